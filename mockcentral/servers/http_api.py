"""The HTTP side of the front door: harvester, token endpoint, resources (protocol sections 3, 5, 6).

One Flask application serves every world: it keeps nothing, the world a request is for comes with the request (`of`). A
view reads the request, asks `_core`, renders the answer. Views run on the world's own loop, so they may not block.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from mockcentral._core import harvester, listing, rsql, writes
from mockcentral._core.actions import AnswerHttp, Part
from mockcentral._core.log import Gone
from mockcentral._core.resources import VERSIONS, Place, in_version, is_subresource
from mockcentral._core.tokens import Worth
from mockcentral._core.writes import Refused
from mockcentral.servers.bodies import json_body
from mockcentral.servers.wsgi import built_once

if TYPE_CHECKING:
    from mockcentral.servers.host import Host

HOST = "mockcentral.host"
FACTS = "mockcentral.facts"
DECISION = "mockcentral.decision"
PARTS = "mockcentral.parts"
"""WSGI environment keys: the host a request is for, a dict for what the journal should know of the answer, what faults
want done to it, and a set for the parts of it in which that was done.
"""

TEAMS = ({"guid": "5d7a1c4e-0000-4000-8000-000000000001", "name": "Default Team", "default": True},)
"""Every agent needs one (protocol 6.1)."""

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@built_once
def application() -> Flask:
    """The application, made when the first request needs it."""
    app = Flask("mockcentral", static_folder=None)
    app.add_url_rule("/events/<path:link>", view_func=harvest)
    app.add_url_rule("/auth/realms/<realm>/protocol/openid-connect/token", view_func=token, methods=["POST"])
    app.add_url_rule("/auth/realms/<realm>/protocol/openid-connect/certs", view_func=certs)
    app.add_url_rule(
        "/apis/<group>/<version>/<path:rest>",
        view_func=resources,
        methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        provide_automatic_options=False,
    )
    app.add_url_rule("/api/v1/platformTeams", view_func=platform_teams)
    app.add_url_rule("/api/v1/org/<org>", view_func=organization)
    app.add_url_rule("/api/v1/usage", view_func=usage, methods=["POST"])
    app.add_url_rule("/openapi.json", view_func=openapi)
    app.register_error_handler(HTTPException, _http_error)
    return app


def warm_up() -> None:
    """See `portal.import_ahead`."""
    application()


def of() -> tuple[Host, dict[str, Any]]:
    """The host this request is for, and the facts for its journal line."""
    return request.environ[HOST], request.environ[FACTS]


def _decision() -> AnswerHttp:
    decision: AnswerHttp = request.environ[DECISION]
    return decision


def _changed(part: Part) -> None:
    """What faults wanted of a part of this answer was done."""
    request.environ[PARTS].add(part)


# ------------------------------------------------------------------------------------------ history
def harvest(link: str) -> Response:
    """A page of a topic's history: an array, or 410 with the newest sequence (protocol 3.2)."""
    host, facts = of()
    if (refused := _refused()) is not None:
        return refused
    self_link = "/" + link
    try:
        page = host.central.harvest(self_link, request.args, host.now(), _decision().page_size)
    except ValueError as error:
        return problem(400, str(error))
    if page is None:
        return problem(404, f"there is no watch topic {self_link[:200]}")
    if isinstance(page, Gone):
        facts["max_sequence"] = page.max_sequence
        response = problem(410, "the sequence is older than what is kept; X-Axway-Max-Sequence-Id has the newest one")
        response.headers["X-Axway-Max-Sequence-Id"] = str(page.max_sequence)
        return response
    facts["sequences"] = page.sequences
    _changed("page")
    return Response("[" + ",".join(map(harvester.event_text, page.events)) + "]", content_type="application/json")


def harvest_facts(link: str, parameters: dict[str, str], page_size: int) -> dict[str, Any]:
    """What the journal tells of any harvester request, answered or not."""
    facts: dict[str, Any] = {"topic": link, "after": None, "page": None, "page_size": None, "sequences": []}
    try:
        query = harvester.parse(parameters, page_size)
    except ValueError:
        return facts
    return facts | {"after": query.asked_after, "page": query.page, "page_size": query.page_size}


# ------------------------------------------------------------------------------------------ tokens
def token(realm: str) -> Response:
    """Client credentials with a key-pair assertion (protocol 6.2). The reason of a refusal goes to the journal only."""
    host, _ = of()
    form = request.form
    try:
        if form.get("grant_type") != "client_credentials":
            raise ValueError("grant_type is not client_credentials")
        if form.get("client_assertion_type") != ASSERTION_TYPE:
            raise ValueError(f"client_assertion_type is not {ASSERTION_TYPE}")
        client_id = host.assertions.client_of(
            form.get("client_assertion", ""),
            audiences=(f"{host.auth_url}/realms/{realm}", request.base_url.rpartition("/protocol/")[0]),
            wall=host.central.wall(host.now()),
        )
    except ValueError as error:
        host.journal.add(host.now(), "token.refused", reason=str(error))
        return _json({"error": "invalid_client", "error_description": "Client authentication failed"}, 401)
    life, answer = host.central.settings.token.life, _decision().token
    if answer is not None and host.central.takes_effect(answer, client_id):
        _changed("token")
    granted = {
        "access_token": host.central.token(
            client_id, host.now(), answer=answer, issuer=f"{host.auth_url}/realms/{realm}"
        ),
        "expires_in": max(1, int(life)),
        "token_type": "Bearer",
    }
    response = _json(granted)
    response.headers["Cache-Control"] = "no-store"
    return response


def certs(realm: str) -> Response:
    """The public key tokens are signed with, as a JWKS."""
    host, _ = of()
    return _json(host.signer.jwks())


# ------------------------------------------------------------------------------------------ resources
def resources(group: str, version: str, rest: str) -> Response:
    """A collection, a resource or a subresource by its address, in either API version (protocol 6.0)."""
    host, _ = of()
    if (refused := _refused()) is not None:
        return refused
    if version not in VERSIONS:
        return problem(404, f"API version {version[:40]} is not served, only {' and '.join(VERSIONS)}")
    place = host.central.resources.locate(group, rest, creating=request.method == "POST")
    if place is None:
        return problem(404, f"{request.path[:200]} is no resource's address")
    level = 2 if place.subresource else 1 if place.name else 0
    view = _VIEWS.get((request.method, level))
    if view is None:
        allowed = sorted(method for method, other in _VIEWS if other == level)
        response = problem(405, f"here one can {', '.join(allowed)}")
        response.headers["Allow"] = ", ".join(allowed)
        return response
    try:
        return view(host, place, version)
    except Refused as error:
        return problem(error.status, str(error))


def _read(host: Host, place: Place, version: str) -> Response:
    resource = host.central.resources.get(place.link)
    if resource is None:
        return problem(404, f"there is no resource {request.path[:200]}")
    try:
        _check_parameters(host, ("fields",))
    except ValueError as error:
        return problem(400, str(error))
    return _json(listing.project(in_version(resource, version), request.args.get("fields", "")))


def _read_subresource(host: Host, place: Place, version: str) -> Response:
    resource = host.central.resources.get(place.link)
    if resource is None or not is_subresource(place.subresource) or place.subresource not in resource:
        return problem(404, f"there is no resource {request.path[:200]}")
    return _json({place.subresource: resource[place.subresource]})


def _check_parameters(host: Host, known: Iterable[str]) -> None:
    if host.central.settings.rest.unknown_parameters == "refuse":
        listing.check(request.args, known)


def _list(host: Host, place: Place, version: str) -> Response:
    store = host.central.resources
    try:
        _check_parameters(host, listing.PARAMETERS)
        asked = listing.parse(request.args)
    except ValueError as error:
        return problem(400, str(error))
    page, total = listing.select(store.collection(place.collection), asked)
    shown = [listing.project(in_version(each, version), asked.fields) for each in page]
    if asked.embeds:
        for each, resource in zip(shown, page, strict=True):
            each["_embedded"] = {"metadata.references": {"references": listing.referred(store, resource, version)}}
    response = _json(shown)
    response.headers["X-Axway-Total-Count"] = str(total)
    return response


def _create(host: Host, place: Place, version: str) -> Response:
    return _json(in_version(writes.create(host.central, place, _object(), host.now()), version), 201)


def _replace(host: Host, place: Place, version: str) -> Response:
    return _json(in_version(writes.replace(host.central, place, _object(), host.now()), version))


def _put_subresource(host: Host, place: Place, version: str) -> Response:
    return _json(in_version(writes.put_subresource(host.central, place, _object(), host.now()), version))


def _patch_subresource(host: Host, place: Place, version: str) -> Response:
    if request.mimetype != "application/json-patch+json":
        return problem(415, "a patch is application/json-patch+json")
    return _json(in_version(writes.patch_subresource(host.central, place, json_body(force=True), host.now()), version))


def _delete(host: Host, place: Place, version: str) -> Response:
    """Whatever body comes along is ignored: agents send the resource."""
    writes.delete(host.central, place, host.now())
    return Response(status=204)


def _object() -> dict[str, Any]:
    body = json_body()
    if not isinstance(body, dict):
        raise Refused(400, "the body must be a JSON object: a resource")
    return body


_VIEWS: Mapping[tuple[str, int], Callable[[Host, Place, str], Response]] = {
    ("GET", 0): _list,
    ("HEAD", 0): _list,
    ("POST", 0): _create,
    ("GET", 1): _read,
    ("HEAD", 1): _read,
    ("PUT", 1): _replace,
    ("DELETE", 1): _delete,
    ("GET", 2): _read_subresource,
    ("HEAD", 2): _read_subresource,
    ("PUT", 2): _put_subresource,
    ("PATCH", 2): _patch_subresource,
}
"""Method and depth (a collection, a resource, a subresource) -> what to do."""


# ------------------------------------------------------------------------------------------ platform
def platform_teams() -> Response:
    """The teams of the organization: an array of guid, name and default (protocol 6.1)."""
    if (refused := _refused()) is not None:
        return refused
    try:
        wanted = rsql.parse(request.args["query"]) if request.args.get("query") else None
    except ValueError as error:
        return problem(400, str(error))
    return _json([team for team in TEAMS if wanted is None or wanted(team)])


def organization(org: str) -> Response:
    """The organization with its entitlements (protocol 6.1)."""
    if (refused := _refused()) is not None:
        return refused
    return _json({"success": True, "result": {"org_id": org, "entitlements": {}}})


def usage() -> Response:
    """A usage report is taken and forgotten; 202 is what agents call success (protocol 6.4)."""
    if (refused := _refused()) is not None:
        return refused
    return _json({"success": True}, 202)


def openapi() -> Response:
    """What of all this there is, as an OpenAPI document; for anybody."""
    from mockcentral.servers.openapi_front import document

    host, _ = of()
    return _json(document(host.http_url))


# ------------------------------------------------------------------------------------------ shared
def problem(status: int, detail: str) -> Response:
    """An error in Central's form (protocol 6.0): agents look for the number in its text."""
    return _json({"errors": [{"status": status, "title": HTTPStatus(status).phrase, "detail": detail}]}, status)


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), status=status, content_type="application/json")


def _refused() -> Response | None:
    """401 without a good token, 403 for a foreign tenant; None when the request may go on. Its line says why."""
    host, facts = of()
    verdict = host.central.judge(request.headers.get("Authorization"), host.now())
    if verdict.worth is not Worth.GOOD:
        facts["refused"] = verdict.worth.value
        return problem(401, f"token refused: {verdict.worth.value}")
    tenant = request.headers.get("X-Axway-Tenant-Id")
    if tenant is not None and tenant != host.central.settings.tenant:
        facts["refused"] = "foreign tenant"
        return problem(403, "this tenant is not served here")
    return None


def _http_error(error: HTTPException) -> Response:
    response = problem(error.code or 500, error.description or "")
    if isinstance(error, MethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.valid_methods or ()))
    return response
