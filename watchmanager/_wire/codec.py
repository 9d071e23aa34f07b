"""Events from protobuf bytes and from history's JSON, requests to protobuf bytes (protocol 1.2, 1.5, 3.2).

Strict about types, tolerant of what it does not know: a field or a type of a newer server passes through (`Event.raw`,
`EventType.UNKNOWN`), a wrong type is a `DecodeError` that names the place. It never turns one thing silently into
another.
"""

from __future__ import annotations

import copyreg
import hashlib
import json
from collections.abc import Callable
from typing import Any

from google.protobuf.message import DecodeError as ProtobufError

from watchmanager._core.inputs import Poison
from watchmanager._wire import messages
from watchmanager.errors import DecodeError
from watchmanager.events import Attributes, Details, Event, EventType, Reference, Resource, Scope

METHOD = "/central.events.v1.watch/subscribe"
CAPABILITIES = ("ping",)

_TYPES = (
    EventType.CREATED,
    EventType.UPDATED,
    EventType.DELETED,
    EventType.SUBRESOURCEUPDATED,
    EventType.TRIGGERACTION,
    EventType.PING,
)
_BY_WORD = {kind.value: kind for kind in _TYPES}
_MAX_EXACT_FLOAT = 2**53
_INT64 = 2**63


# ---------------------------------------------------------------- requests
def subscribe(topic: str, token: str) -> bytes:
    """The first message of a stream: no requestType, and what we can do (protocol 1.5)."""
    return messages.Request(selfLink=topic, token=f"Bearer {token}", capabilities=CAPABILITIES).SerializeToString()


def refresh(topic: str, token: str) -> bytes:
    """A new token for a running stream: no requestType either (protocol 1.5)."""
    return messages.Request(selfLink=topic, token=f"Bearer {token}").SerializeToString()


def pong(id: str) -> bytes:
    """The answer to a PING event: its id, nothing else (protocol 1.5)."""
    return messages.Request(
        requestType=messages.PING_RESPONSE, pingResponse=messages.PingResponse(id=id)
    ).SerializeToString()


def agent_status(topic: str, state: str, message: str) -> bytes:
    """What an agent says about itself, with the selfLink of newer clients (protocol 1.5)."""
    return messages.Request(
        selfLink=topic,
        requestType=messages.AGENT_STATUS,
        agentStatus=messages.AgentStatus(state=state, message=message),
    ).SerializeToString()


# ---------------------------------------------------------------- events from the stream
class _Protobuf:
    """Reads what `decode` left for later."""

    @staticmethod
    def details(message: messages.Event) -> Details:
        payload = message.payload
        meta = payload.metadata
        about = message.metadata
        scope = meta.scope
        number = message.type
        return Details(
            type_name=_TYPES[number].value if 0 <= number < len(_TYPES) else str(number),
            resource=Resource(
                group=payload.group,
                kind=payload.kind,
                name=payload.name,
                id=meta.id,
                self_link=meta.selfLink,
                scope=_some(Scope(scope.kind, scope.name, scope.id, scope.selfLink)),
                references=tuple(
                    Reference(
                        each.id,
                        each.kind,
                        each.name,
                        each.scopeKind,
                        each.scopeName,
                        each.selfLink,
                        "SOFT" if each.type == messages.SOFT else "HARD",
                    )
                    for each in meta.references
                ),
                attributes=Attributes(payload.attributes),
            ),
            time=message.time,
            version=message.version,
            product=message.product,
            correlation_id=message.correlationId,
            organization=message.organization.id,
            topic=about.watchTopicSelfLink,
            topic_id=about.watchTopicID,
            subresource=about.subresource,
            action=_action(about) if about.HasField("actionDetails") else None,
        )

    @staticmethod
    def raw(message: messages.Event) -> bytes:
        return message.SerializeToString()


def _action(about: messages.EventMeta) -> tuple[str, bytes]:
    any_message: Any = about.actionDetails
    return any_message.type_url, any_message.value


_PROTOBUF = _Protobuf()
_parse = messages.Event.FromString


def decode(data: bytes) -> Event:
    """An event from a message of the stream; PING is one too. Raises DecodeError."""
    try:
        message = _parse(data)
    except ProtobufError as error:
        raise DecodeError(f"a message of {len(data)} bytes on the stream is no event: {error}") from error
    number = message.type
    sequence = message.metadata.sequenceID
    if sequence <= 0 and number != messages.PING and not message.HasField("metadata"):
        raise DecodeError(f"a message of {len(data)} bytes on the stream is an event without metadata")
    return Event(
        _TYPES[number] if 0 <= number <= 5 else EventType.UNKNOWN,
        message.id,
        sequence,
        len(data),
        message,
        _PROTOBUF,
    )


# ---------------------------------------------------------------- events from history
class _Json:
    """Holds details that were read at once: history is checked before any of it is used."""

    @staticmethod
    def details(raw: tuple[dict[str, Any], Details]) -> Details:
        return raw[1]

    @staticmethod
    def raw(raw: tuple[dict[str, Any], Details]) -> dict[str, Any]:
        return raw[0]


_JSON = _Json()


def decode_page(body: bytes) -> tuple[list[Event], list[Poison]]:
    """The events of a history answer, in its order, and those that cannot be read.

    Raises DecodeError when the answer is no list of events at all.
    """
    events: list[Event] = []
    unreadable: list[Poison] = []
    lost: list[Poison] = []
    parsed, size = _array_of_events(body)
    last = 0
    for index, each in enumerate(parsed):
        sequence, error = 0, None
        try:
            event = event_from_json(each, f"event {index}", size)
            sequence = event.sequence
            if sequence > 0 or (sequence == 0 and each and (each.get("metadata") or {}).get("sequenceID") is not None):
                events.append(event)
            else:
                error = DecodeError(f"event {index} ({event.id or 'without an id'}) has no sequence")
        except DecodeError as wrong:
            sequence, error = wrong.sequence or 0, wrong
            if sequence > 0:
                unreadable.append(Poison(sequence, wrong))
        if sequence > 0:
            last = sequence
            unreadable += [Poison(one.sequence, one.error, sequence, one.key) for one in lost]
            lost.clear()
        elif error is not None:
            lost.append(Poison(last, error, -1, _key(each)))
    return events, unreadable + lost


def _key(given: Any) -> str:
    try:
        text = json.dumps(given, sort_keys=True)
    except RecursionError:
        text = str(type(given))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def decode_history(body: bytes) -> list[Event]:
    """The events of a history answer, in its order. Raises DecodeError naming the place."""
    parsed, size = _array_of_events(body)
    return [event_from_json(each, f"event {index}", size) for index, each in enumerate(parsed)]


def _array_of_events(body: bytes) -> tuple[list[Any], int]:
    """The events as JSON, and how many bytes one has on average."""
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"history's answer is no JSON ({len(body)} bytes): {error}") from None
    if parsed is None:
        return [], 0
    if not isinstance(parsed, list):
        raise DecodeError(f"history's answer must be an array, not {_name(parsed)}")
    return parsed, len(body) // max(1, len(parsed))


def event_from_json(given: Any, where: str = "event", size: int = 0) -> Event:
    """One event as history shows it. Raises DecodeError."""
    event = _object(given, where)
    meta = _object(event.get("metadata"), f"{where}.metadata")
    sequence = _sequence(meta.get("sequenceID"), f"{where}.metadata.sequenceID")
    try:
        return _event(event, meta, sequence, f"{where} (sequence {sequence})", size)
    except DecodeError as error:
        error.sequence = sequence
        raise


def _event(event: dict[str, Any], meta: dict[str, Any], sequence: int, where: str, size: int) -> Event:
    word = _text(event, "type", where)
    payload = _object(event.get("payload"), f"{where}.payload")
    resource = _object(payload.get("metadata"), f"{where}.payload.metadata")
    scope = resource.get("scope")
    details = Details(
        type_name=word,
        resource=Resource(
            group=_text(payload, "group", where),
            kind=_text(payload, "kind", where),
            name=_text(payload, "name", where),
            id=_text(resource, "id", where),
            self_link=_text(resource, "selfLink", where),
            scope=None if scope is None else _scope(_object(scope, f"{where}.scope"), where),
            references=tuple(
                _reference(_object(each, f"{where}.references"), where)
                for each in _array(resource.get("references"), f"{where}.references")
            ),
            attributes=_attributes(payload.get("attributes"), f"{where}.attributes"),
        ),
        time=_text(event, "time", where),
        version=_text(event, "version", where),
        product=_text(event, "product", where),
        correlation_id=_text(event, "correlationId", where),
        organization=_text(_object(event.get("organization"), f"{where}.organization"), "id", where),
        topic=_text(meta, "watchTopicSelfLink", where),
        topic_id=_text(meta, "watchTopicID", where),
        subresource=_text(meta, "subresource", where),
    )
    return Event(_event_type(word), _text(event, "id", where), sequence, size, (event, details), _JSON)


# ---------------------------------------------------------------- copies
def _reduce(event: Event) -> tuple[Any, ...]:
    """How an event is copied and pickled: as what it was made from, unknown fields included."""
    make: Callable[..., Event]
    origin: tuple[Any, ...]
    if event._source is _PROTOBUF:
        make, origin = decode, (event.raw,)
    elif event._source is _JSON:
        make, origin = event_from_json, (event.raw, "event", event.size)
    else:
        return object.__reduce_ex__(event, 4)  # type: ignore[return-value]
    return _again, (make, origin, event.recovered)


def _again(make: Callable[..., Event], origin: tuple[Any, ...], recovered: bool) -> Event:
    event = make(*origin)
    return event.late() if recovered else event


copyreg.pickle(Event, _reduce)


def _event_type(word: str) -> EventType:
    """`ResourceCreated` is CREATED, `SubResourceUpdated` is SUBRESOURCEUPDATED (protocol 3.2); what is not known is
    UNKNOWN. (The Go client takes unknown words for CREATED.)
    """
    return _BY_WORD.get(word.removeprefix("Resource").upper(), EventType.UNKNOWN)


def _scope(scope: dict[str, Any], where: str) -> Scope | None:
    return _some(Scope(*(_text(scope, name, where) for name in ("kind", "name", "id", "selfLink"))))


def _some(scope: Scope) -> Scope | None:
    """An empty scope is how a server says that there is none: Go clients need the field (protocol 1.7)."""
    return None if scope == _EMPTY else scope


_EMPTY = Scope()


def _reference(given: dict[str, Any], where: str) -> Reference:
    id, kind, name, scope_kind, scope_name, link = (
        _text(given, key, where) for key in ("id", "kind", "name", "scopeKind", "scopeName", "selfLink")
    )
    return Reference(id, kind, name, scope_kind, scope_name, link, "SOFT" if given.get("type") == "SOFT" else "HARD")


def _attributes(given: Any, where: str) -> Attributes:
    found = _object(given, where)
    for key, value in found.items():
        if not isinstance(value, str):
            raise DecodeError(f"{where}.{key} must be text, not {_name(value)}")
    return Attributes(found)


def _sequence(given: Any, where: str) -> int:
    """An int64 as number or as text of digits; null counts as none (0)."""
    if given is None:
        return 0
    if (
        isinstance(given, str) and given.lstrip("-").isascii() and given.lstrip("-").isdigit() and len(given) <= 20
    ) or (isinstance(given, float) and given.is_integer() and abs(given) <= _MAX_EXACT_FLOAT):
        given = int(given)
    if isinstance(given, bool) or not isinstance(given, int) or not -_INT64 <= given < _INT64:
        raise DecodeError(f"{where} is {str(given)[:40]}: it must be a whole number of 64 bits")
    return given


def _object(given: Any, where: str) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise DecodeError(f"{where} must be an object, not {_name(given)}")
    return given


def _array(given: Any, where: str) -> list[Any]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise DecodeError(f"{where} must be an array, not {_name(given)}")
    return given


def _text(owner: dict[str, Any], name: str, where: str) -> str:
    value = owner.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DecodeError(f"{where}: {name} must be text, not {_name(value)}")
    return value


def _name(value: Any) -> str:
    names = {
        bool: "true or false",
        int: "a number",
        float: "a number",
        str: "text",
        list: "an array",
        dict: "an object",
    }
    return "null" if value is None else names.get(type(value), type(value).__name__)
