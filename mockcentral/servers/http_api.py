"""The HTTP side of the front door: harvester, token endpoint, resources (protocol sections 3, 5, 6).

One Flask application serves every world: it keeps nothing, the world a request is for comes with the request (`of`). A
view reads the request, asks `_core`, renders the answer. Views run on the world's own loop, so they may not block.
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from mockcentral._core import harvester
from mockcentral._core.log import Gone
from mockcentral._core.resources import MAX_NAME, VERSIONS, in_version, unversioned
from mockcentral._core.tokens import Worth
from mockcentral.servers.bodies import json_body

if TYPE_CHECKING:
    from mockcentral.servers.host import Host

HOST = "mockcentral.host"
FACTS = "mockcentral.facts"
"""WSGI environment keys: the host a request is for, and a dict for what the journal should know of the answer."""

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@functools.cache
def application() -> Flask:
    """The application, made when the first request needs it."""
    app = Flask("mockcentral", static_folder=None)
    app.add_url_rule("/events/<path:link>", view_func=harvest)
    app.add_url_rule("/auth/realms/<realm>/protocol/openid-connect/token", view_func=token, methods=["POST"])
    app.add_url_rule("/auth/realms/<realm>/protocol/openid-connect/certs", view_func=certs)
    app.add_url_rule("/apis/<group>/<version>/watchtopics", view_func=list_topics, methods=["GET"])
    app.add_url_rule("/apis/<group>/<version>/watchtopics", view_func=create_topic, methods=["POST"])
    app.add_url_rule("/apis/<group>/<version>/watchtopics/<name>", view_func=replace_topic, methods=["PUT"])
    app.add_url_rule("/apis/<group>/<version>/watchtopics/<name>", view_func=delete_topic, methods=["DELETE"])
    app.add_url_rule("/apis/<group>/<version>/<path:rest>", view_func=read, methods=["GET"])
    app.register_error_handler(HTTPException, _http_error)
    return app


def of() -> tuple[Host, dict[str, Any]]:
    """The host this request is for, and the facts for its journal line."""
    return request.environ[HOST], request.environ[FACTS]


# ------------------------------------------------------------------------------------------ history
def harvest(link: str) -> Response:
    """A page of a topic's history: an array, or 410 with the newest sequence (protocol 3.2)."""
    host, facts = of()
    if (refused := _refused(host)) is not None:
        return refused
    self_link = "/" + link
    try:
        page = host.central.harvest(self_link, request.args, host.now())
    except ValueError as error:
        return problem(400, "Bad Request", str(error))
    if page is None:
        return problem(404, "Not Found", f"there is no watch topic {self_link[:200]}")
    if isinstance(page, Gone):
        facts["max_sequence"] = page.max_sequence
        response = problem(
            410, "Gone", "the sequence is older than what is kept; X-Axway-Max-Sequence-Id has the newest one"
        )
        response.headers["X-Axway-Max-Sequence-Id"] = str(page.max_sequence)
        return response
    facts["sequences"] = page.sequences
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
    life = host.central.settings.token.life
    granted = {
        "access_token": host.central.token(client_id, host.now()),
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
def create_topic(group: str, version: str) -> Response:
    """POST of a WatchTopic; a stale metadata.id is ignored, a taken name is a conflict (protocol 5.2)."""
    host, _ = of()
    if (refused := _refused(host) or _wrong_place(group, version)) is not None:
        return refused
    body = json_body()
    if not isinstance(body, dict):
        return problem(400, "Bad Request", "the body must be a JSON object: a WatchTopic resource")
    name = body.get("name") or "watchtopic-" + host.central.new_id()
    if not isinstance(name, str) or "/" in name or len(name) > MAX_NAME:
        return problem(400, "Bad Request", "name must be text without a slash, 253 characters at most")
    if f"/{group}/watchtopics/{name}" in host.central.resources:
        return problem(409, "Conflict", f"there is a watch topic {name} already")
    return _put_topic(host, name, body, version, 201)


def replace_topic(group: str, version: str, name: str) -> Response:
    """PUT of a WatchTopic: new filters for the same topic."""
    host, _ = of()
    if (refused := _refused(host) or _wrong_place(group, version)) is not None:
        return refused
    if f"/{group}/watchtopics/{name}" not in host.central.resources:
        return problem(404, "Not Found", f"there is no watch topic {name}")
    body = json_body()
    if not isinstance(body, dict):
        return problem(400, "Bad Request", "the body must be a JSON object: a WatchTopic resource")
    if body.get("name") not in (None, "", name):
        return problem(400, "Bad Request", f"the body names {str(body['name'])[:80]!r}, the address {name!r}")
    return _put_topic(host, name, body, version, 200)


def _put_topic(host: Host, name: str, body: dict[str, Any], version: str, status: int) -> Response:
    try:
        resource = host.central.put_topic(name, body, host.now())
    except ValueError as error:
        return problem(400, "Bad Request", str(error))
    return _json(in_version(resource, version), status)


def delete_topic(group: str, version: str, name: str) -> Response:
    """DELETE of a WatchTopic; whatever body comes along is ignored."""
    host, _ = of()
    if (refused := _refused(host) or _wrong_place(group, version)) is not None:
        return refused
    if host.central.delete_topic(name, host.now()) is None:
        return problem(404, "Not Found", f"there is no watch topic {name}")
    return Response(status=204)


def list_topics(group: str, version: str) -> Response:
    """The watch topics; page and pageSize as everywhere, the total in X-Axway-Total-Count."""
    return read(group, version, "watchtopics")


def read(group: str, version: str, rest: str) -> Response:
    """Any resource that was published or created by its selfLink, or a collection of them."""
    host, _ = of()
    if (refused := _refused(host)) is not None:
        return refused
    if version not in VERSIONS:
        return problem(404, "Not Found", f"API version {version[:40]} is not served, only {' and '.join(VERSIONS)}")
    link = unversioned(f"/{group}/{version}/{rest}")
    resource = host.central.resources.get(link)
    if resource is not None:
        return _json(in_version(resource, version))
    if len(link.split("/")) % 2 == 0:  # names come in pairs after the group: an even split is one resource
        return problem(404, "Not Found", f"there is no resource {request.path[:200]}")
    members = [in_version(member, version) for member in host.central.resources.collection(link)]
    try:
        page = max(1, int(request.args.get("page", 1)))
        size = min(1000, max(1, int(request.args.get("pageSize", 100))))
    except ValueError:
        return problem(400, "Bad Request", "page and pageSize must be whole numbers")
    response = _json(members[(page - 1) * size : page * size])
    response.headers["X-Axway-Total-Count"] = str(len(members))
    return response


# ------------------------------------------------------------------------------------------ shared
def problem(status: int, title: str, detail: str) -> Response:
    """An error in Central's form (protocol 6.0)."""
    return _json({"errors": [{"status": status, "title": title, "detail": detail}]}, status)


def _json(body: Any, status: int = 200) -> Response:
    return Response(json.dumps(body, separators=(",", ":")), status=status, content_type="application/json")


def _refused(host: Host) -> Response | None:
    """401 without a good token, 403 for a foreign tenant; None when the request may go on."""
    verdict = host.central.judge(request.headers.get("Authorization"), host.now())
    if verdict.worth is not Worth.GOOD:
        return problem(401, "Unauthorized", f"token refused: {verdict.worth.value}")
    tenant = request.headers.get("X-Axway-Tenant-Id")
    if tenant is not None and tenant != host.central.settings.tenant:
        return problem(403, "Forbidden", "this tenant is not served here")
    return None


def _wrong_place(group: str, version: str) -> Response | None:
    if group != "management" or version not in VERSIONS:
        return problem(404, "Not Found", "watch topics live under /apis/management/v1/watchtopics")
    return None


def _http_error(error: HTTPException) -> Response:
    return problem(error.code or 500, error.name, error.description or "")
