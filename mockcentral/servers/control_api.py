"""The control API (design/interfaces "Control API"): what a world can be made to do, over HTTP.

Views read the request, call the same methods Python users call on `World`, and render the answer. Errors are
problem+json (RFC 9457). Like `http_api`, one application serves everybody and keeps nothing.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from mockcentral.servers.bodies import json_body
from mockcentral.servers.listener import PortInUse
from mockcentral.servers.wsgi import built_once
from mockcentral.worlds import Conflict

if TYPE_CHECKING:
    from mockcentral.world import World
    from mockcentral.worlds import Worlds

WORLDS = "mockcentral.worlds"
CONTROL = "mockcentral.control"

MAX_BARRIER = 300.0
MAX_EVENTS = 100_000


class Refusal(Exception):
    """A request that cannot be done; becomes a problem document."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@built_once
def application() -> Flask:
    """The application, made when the first request needs it."""
    app = Flask("mockcentral.control", static_folder=None)
    world = "/v1/worlds/<id>"
    for rule, view, method in (
        ("/healthz", healthz, "GET"),
        ("/readyz", readyz, "GET"),
        ("/metrics", metrics, "GET"),
        ("/openapi.json", openapi, "GET"),
        ("/v1/schema", schema, "GET"),
        ("/v1/worlds", list_worlds, "GET"),
        (world, put_world, "PUT"),
        (world, get_world, "GET"),
        (world, delete_world, "DELETE"),
        (f"{world}/events", publish, "POST"),
        (f"{world}/faults", list_faults, "GET"),
        (f"{world}/faults/<name>", put_fault, "PUT"),
        (f"{world}/faults/<name>", delete_fault, "DELETE"),
        (f"{world}/clock", clock, "POST"),
        (f"{world}/connections", list_connections, "GET"),
        (f"{world}/connections/<which>/<verb>", break_connection, "POST"),
        (f"{world}/tokens/expire", expire_tokens, "POST"),
        (f"{world}/purge", purge, "POST"),
        (f"{world}/journal", journal, "GET"),
        (f"{world}/verify", verify, "POST"),
        (f"{world}/barrier", barrier, "POST"),
        (f"{world}/reset", reset, "POST"),
    ):
        app.add_url_rule(rule, endpoint=f"{view.__name__}", view_func=view, methods=[method])
    app.register_error_handler(Refusal, lambda error: problem(error.status, error.detail))
    app.register_error_handler(HTTPException, lambda error: problem(error.code or 500, error.description or error.name))
    return app


def warm_up() -> None:
    """See `portal.import_ahead`."""
    application()


# ------------------------------------------------------------------------------------------ the process
def healthz() -> Response:
    """Whether the process answers."""
    return _json({"status": "ok"})


def readyz() -> Response:
    """Whether every world takes connections; 503 while one is down (its scenario restarts it)."""
    down = [world.name for world in _worlds() if not world.listening]
    return _json({"ready": not down, "down": down}, 503 if down else 200)


def metrics() -> Response:
    """Counters and gauges of every world, in Prometheus' text format."""
    lines: list[str] = []
    stats = [(world.name, world.stats()) for world in _worlds()]
    for name, (kind, about) in METRICS.items():
        lines += [f"# HELP mockcentral_{name} {about}", f"# TYPE mockcentral_{name} {kind}"]
        lines += [f'mockcentral_{name}{{world="{world}"}} {values[name]}' for world, values in stats]
    return Response("\n".join(lines) + "\n", content_type="text/plain; version=0.0.4; charset=utf-8")


METRICS = {
    "events_published_total": ("counter", "Events published since the start."),
    "events_kept": ("gauge", "Events that history still holds."),
    "sequence": ("gauge", "The newest sequence id."),
    "topics": ("gauge", "Watch topics there are."),
    "connections": ("gauge", "Open TCP connections."),
    "streams": ("gauge", "Open watch streams."),
    "attempts_total": ("counter", "Watch streams opened since the start."),
    "journal_records_total": ("counter", "Journal records since the start."),
    "stalls_total": ("counter", "Times this machine did not keep time since the start."),
    "stalled_seconds_total": ("counter", "Seconds it lost."),
}


def openapi() -> Response:
    """This API as an OpenAPI document."""
    from mockcentral.servers.openapi import document

    return _json(document(application(), _control().url))


def schema() -> Response:
    """The JSON Schema of scenario files."""
    from mockcentral.scenario.json_schema import schema as scenario_schema

    return _json(scenario_schema())


# ------------------------------------------------------------------------------------------ worlds
def list_worlds() -> Response:
    """Every world with its addresses."""
    return _json({"worlds": [_shown(world) for world in _worlds()]})


def put_world(id: str) -> Response:
    """Create a world with its scenario, topics and faults; the same body again changes nothing."""
    try:
        world, new = _registry().create(id, _object(), _control())
    except Conflict as error:
        raise Refusal(409, str(error)) from None
    except (ValueError, PortInUse) as error:
        raise Refusal(400, str(error)) from None
    return _json(_shown(world), 201 if new else 200)


def get_world(id: str) -> Response:
    """One world."""
    return _json(_shown(_world(id)))


def delete_world(id: str) -> Response:
    """Close a world and everything in it."""
    if not _registry().remove(id):
        raise Refusal(404, f"there is no world {id!r}")
    return Response(status=204)


def reset(id: str) -> Response:
    """Back to the beginning: same address and seed, everything else as new."""
    world = _world(id)
    world.reset()
    return _json(_shown(world))


# ------------------------------------------------------------------------------------------ verbs
def publish(id: str) -> Response:
    """Publish one change or a list of changes; answers their sequence ids."""
    world, body = _world(id), json_body(force=True)
    if not isinstance(body, (dict, list)):
        raise Refusal(400, "the body must be a change or a list of changes, as JSON")
    if isinstance(body, list) and len(body) > MAX_EVENTS:
        raise Refusal(413, f"{MAX_EVENTS} changes at most in one call")
    try:
        sequences = world.publish(body)
    except (ValueError, OverflowError) as error:
        raise Refusal(400, str(error)) from None
    return _json({"sequences": sequences}, 201)


def list_faults(id: str) -> Response:
    """The armed rules: how often each struck and how often that reached the wire."""
    return _json({"faults": _world(id).faults()})


def put_fault(id: str, name: str) -> Response:
    """Arm a fault rule; one of the same name is replaced."""
    from mockcentral.scenario.load import parse_fault

    world, body = _world(id), _object()
    if body.get("name") not in (None, name):
        raise Refusal(400, f"the body names {str(body['name'])[:80]!r}, the address {name!r}")
    try:
        rule = parse_fault({**body, "name": name})
        if rule.do.level == "tls" and not world.speaks_tls:
            raise Refusal(400, f"{rule.do.name} needs TLS, and this world has none: start it with --tls")
        world.arm(rule)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return _json(next(rule for rule in world.faults() if rule["name"] == name))


def delete_fault(id: str, name: str) -> Response:
    """Disarm a fault rule."""
    if not _world(id).disarm(name):
        raise Refusal(404, f"there is no fault {name!r}")
    return Response(status=204)


def clock(id: str) -> Response:
    """Change the world's time: `scale` its durations, `advance` by a duration, `freeze` it or let it go on."""
    from mockcentral.scenario.scalars import Wrong, read_duration

    world, body = _world(id), _object(optional=True)
    for key in body:
        if key not in ("scale", "advance", "freeze"):
            raise Refusal(400, f"a clock has no {key!r}: scale, advance, freeze")
    scale, advance, freeze = body.get("scale"), body.get("advance"), body.get("freeze")
    if scale is not None and (isinstance(scale, bool) or not isinstance(scale, (int, float))):
        raise Refusal(400, "scale must be a number: 60 lets an hour pass in a minute")
    if freeze is not None and not isinstance(freeze, bool):
        raise Refusal(400, "freeze must be true or false")
    try:
        seconds = None if advance is None else float(read_duration(str(advance), advance))
        return _json(world.clock(scale=scale, advance=seconds, freeze=freeze))
    except Wrong as error:
        raise Refusal(400, f"advance: {error}") from None
    except ValueError as error:
        raise Refusal(400, str(error)) from None


def list_connections(id: str) -> Response:
    """The open connections."""
    return _json({"connections": _world(id).connections()})


def break_connection(id: str, which: str, verb: str) -> Response:
    """goaway, rst, close or blackhole, on connection `which` or on all with `*`."""
    world = _world(id)
    open_now = {connection["conn"] for connection in world.connections()}
    if which == "*":
        number = 0
    elif whole(which) in open_now:
        number = int(which)
    else:
        raise Refusal(404, f"there is no open connection {which!r}: write its number or *")
    if verb == "goaway":
        world.goaway(number)
    elif verb in ("rst", "close"):
        world.close_connections(number, abort=verb == "rst")
    elif verb == "blackhole":
        world.blackhole(number)
    else:
        raise Refusal(404, f"a connection has no verb {verb!r}: goaway, rst, close, blackhole")
    return _json({"connections": len(open_now) if number == 0 else 1})


def expire_tokens(id: str) -> Response:
    """All tokens issued so far, or the one given as `token`, are expired from now on."""
    token = _object(optional=True).get("token")
    if token is not None and not isinstance(token, str):
        raise Refusal(400, "token must be text: a token or its fingerprint")
    return _json({"expired": _world(id).expire_tokens(token)})


def purge(id: str) -> Response:
    """Forget events up to the sequence `through`, or all but the newest `keep`; everything with neither."""
    body = _object(optional=True)
    for key, value in body.items():
        if key not in ("through", "keep"):
            raise Refusal(400, f"purge has no {key!r}: through, keep")
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise Refusal(400, f"{key} must be a whole number from 0")
    return _json({"purged": _world(id).purge(body.get("through"), body.get("keep"))})


def journal(id: str) -> Response:
    """The journal after record `since`, as NDJSON; as server-sent events for who accepts text/event-stream."""
    since = whole(given := request.args.get("since", "0"))
    if since is None:
        raise Refusal(400, f"since is {given[:40]!r}: write the number of a record")
    lines = (json.dumps(record, separators=(",", ":")) + "\n" for record in _world(id).journal(since))
    return Response("".join(lines), content_type="application/x-ndjson")


def verify(id: str) -> Response:
    """Run checks over the journal so far: those in `checks`, else the scenario's and the four of every watch."""
    checks = _object(optional=True).get("checks")
    if checks is not None and not (isinstance(checks, list) and all(isinstance(check, str) for check in checks)):
        raise Refusal(400, "checks must be a list of names")
    try:
        verdicts = _world(id).verify(checks)
    except ValueError as error:
        raise Refusal(400, str(error)) from None
    return _json({"verdicts": [verdict.as_dict() for verdict in verdicts]})


def barrier(id: str) -> Response:
    """Answer when every open connection has acked a PING sent now."""
    timeout = _object(optional=True).get("timeout", 10.0)
    if isinstance(timeout, bool) or not isinstance(timeout, (int, float)) or not 0 < timeout <= MAX_BARRIER:
        raise Refusal(400, f"timeout must be seconds, above 0 and up to {MAX_BARRIER:g}")
    try:
        return _json({"acked": _world(id).barrier(float(timeout))})
    except TimeoutError as error:
        raise Refusal(504, str(error)) from None


# ------------------------------------------------------------------------------------------ shared
def problem(status: int, detail: str) -> Response:
    """An RFC 9457 problem document."""
    from http import HTTPStatus

    title = HTTPStatus(status).phrase
    return _json(
        {"type": "about:blank", "title": title, "status": status, "detail": detail}, status, "application/problem+json"
    )


def whole(text: str) -> int | None:
    """A whole number from 0 as its ASCII digits, None for other texts."""
    return int(text[:18]) if text.isascii() and text.isdigit() else None


def _json(body: Any, status: int = 200, content_type: str = "application/json") -> Response:
    return Response(json.dumps(body) + "\n", status=status, content_type=content_type)


def _registry() -> Worlds:
    registry: Worlds = request.environ[WORLDS]
    return registry


def _control() -> Any:
    return request.environ[CONTROL]


def _worlds() -> list[World]:
    return list(_registry())


def _world(id: str) -> World:
    world = _registry().get(id)
    if world is None:
        raise Refusal(404, f"there is no world {id!r}")
    return world


def _shown(world: World) -> dict[str, Any]:
    """A world's context without its token: a token is asked for at the token endpoint."""
    return {key: value for key, value in world.context.items() if key != "token"}


def _object(*, optional: bool = False) -> dict[str, Any]:
    if optional and not request.get_data():
        return {}
    body = json_body(force=True)
    if not isinstance(body, dict):
        raise Refusal(400, "the body must be a JSON object")
    return body
