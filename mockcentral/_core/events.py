"""Resource changes and the events they become.

A `Change` is what a publisher says happened; an `Event` is that change with the id, time and sequence Central gave it
(protocol 1.2, 3.2); a `TopicEvent` is the event as one topic hands it out, the unit that is encoded once and sent to
every subscriber of the topic. How they look on the wire is known to `wire.codec` and `_core.harvester`, not here.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

from mockcentral._core.dates import event_time
from mockcentral._core.frozen import dataclass


class Op(enum.IntEnum):
    """Event.Type by number (protocol 1.2)."""

    CREATED = 0
    UPDATED = 1
    DELETED = 2
    SUBRESOURCEUPDATED = 3
    TRIGGERACTION = 4
    PING = 5

    # Looked up for every event: the number will do, Enum would hash the name.
    __hash__ = int.__hash__


FILTER_WORD = {
    Op.CREATED: "created",
    Op.UPDATED: "updated",
    Op.SUBRESOURCEUPDATED: "updated",  # protocol 5.4: "updated" includes subresource updates
    Op.DELETED: "deleted",
}
"""The word a topic's filter uses for an operation; operations not listed match no filter word."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of a resource."""

    kind: str
    name: str
    id: str = ""
    self_link: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference from the payload's metadata; `type` is "HARD" or "SOFT"."""

    id: str = ""
    kind: str = ""
    name: str = ""
    scope_kind: str = ""
    scope_name: str = ""
    self_link: str = ""
    type: str = "HARD"


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to one resource."""

    op: Op
    group: str
    kind: str
    name: str
    scope: Scope | None = None
    subresource: str = ""
    resource_id: str = ""
    self_link: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """A change as Central keeps it. `at` is world time in seconds, `stamp` wall time, or the very text clients get."""

    sequence: int
    id: str
    at: float
    stamp: float | str
    change: Change
    organization: str

    @property
    def time(self) -> str:
        """The text clients get: spelled when it is asked for, as nobody does in most simulated worlds."""
        return self.stamp if isinstance(self.stamp, str) else event_time(self.stamp)

    @property
    def op(self) -> Op:
        return self.change.op


class TopicEvent:
    """An event as one topic hands it out; `frame`, `text` and `line` hold its gRPC message, its JSON and its fields in
    the journal once somebody needed them.
    """

    __slots__ = ("event", "frame", "line", "text", "topic_id", "topic_link", "type_number")

    def __init__(self, event: Event, topic_id: str, topic_link: str, type_number: int | None = None) -> None:
        self.event = event
        self.topic_id = topic_id
        self.topic_link = topic_link
        self.type_number = type_number
        """What stands in the field `type` instead of the operation's number: only faults set it."""
        self.frame: bytes | None = None
        self.text: str | None = None
        self.line: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Alteration:
    """What is different about an event on its way to one client: fields with their new values, bytes added.

    Fields: id, time, sequence, organization, type (a number), group, kind, name, self_link, scope (its name), topic.
    """

    fields: tuple[tuple[str, str | int], ...] = ()
    padding: int = 0

    def __str__(self) -> str:
        words = [name for name, _ in self.fields] + ([f"{self.padding} bytes more"] if self.padding else [])
        return ", ".join(words)


_OF_EVENT = {"id": "id", "time": "stamp", "sequence": "sequence", "organization": "organization"}
_OF_CHANGE = {"group": "group", "kind": "kind", "name": "name", "self_link": "self_link"}


def altered(entry: TopicEvent, alteration: Alteration) -> TopicEvent:
    """A copy of an event with fields changed; the original, which others share, stays as it is."""
    event, change = entry.event, entry.event.change
    link, topic_id, number = entry.topic_link, entry.topic_id, entry.type_number
    for name, value in alteration.fields:
        if name in _OF_EVENT:
            event = replace(event, **{_OF_EVENT[name]: value})  # type: ignore[arg-type]
        elif name in _OF_CHANGE:
            change = replace(change, **{_OF_CHANGE[name]: value})  # type: ignore[arg-type]
        elif name == "scope":
            change = replace(change, scope=Scope("", "") if change.scope is None else change.scope)
            assert change.scope is not None
            change = replace(change, scope=replace(change.scope, name=str(value)))
        elif name == "topic":
            link, topic_id = str(value), f"{topic_id[::-1]}"
        elif name == "type":
            number = int(value)
        else:
            raise ValueError(f"an event has no field {name!r}")
    if alteration.padding:
        change = replace(change, attributes={**change.attributes, "padding": "x" * alteration.padding})
    return TopicEvent(replace(event, change=change), topic_id, link, number)


_OPS = {"created": Op.CREATED, "updated": Op.UPDATED, "deleted": Op.DELETED}


def parse_change(given: object) -> Change:
    """A change as users write it: `{"kind": "APIService", "name": "x", "scope": "Environment/e", "type": "created"}`.

    `group` is management when absent, `type` is created when absent; a `subresource` makes an update a
    SubResourceUpdated. Raises ValueError naming the key and what to write there.
    """
    if not isinstance(given, Mapping):
        raise ValueError("a change must be an object with kind, name and type")
    known = {"group", "kind", "name", "scope", "type", "subresource", "attributes"}
    for key in given:
        if key not in known:
            raise ValueError(f"a change has no {key!r}: it may hold {', '.join(sorted(known))}")
    for key in ("kind", "name"):
        value = given.get(key)
        if not isinstance(value, str) or not value or "/" in value:
            raise ValueError(f"a change needs {key}: text without a slash, not {value!r}")
    group = given.get("group", "management")
    if not isinstance(group, str) or not group or "/" in group:
        raise ValueError(f"group must be text without a slash, not {group!r}")
    word = given.get("type", "created")
    op = _OPS.get(word) if isinstance(word, str) else None
    if op is None:
        raise ValueError(f"type is {word!r}: write {', '.join(_OPS)}")
    subresource = given.get("subresource") or ""
    if not isinstance(subresource, str):
        raise ValueError(f"subresource must be text, not {subresource!r}")
    if subresource and op is Op.UPDATED:
        op = Op.SUBRESOURCEUPDATED
    attributes = given.get("attributes") or {}
    if not isinstance(attributes, Mapping) or not all(
        isinstance(text, str) for pair in attributes.items() for text in pair
    ):
        raise ValueError("attributes must be an object of texts")
    try:
        "".join((group, given["kind"], given["name"], subresource, *attributes, *attributes.values())).encode()
    except UnicodeEncodeError:
        raise ValueError("a change holds half a character (\\ud800 to \\udfff), which nobody could send") from None
    return Change(
        op=op,
        group=group,
        kind=given["kind"],
        name=given["name"],
        scope=parse_scope(given.get("scope")),
        subresource=subresource,
        attributes=dict(attributes),
    )


def parse_scope(given: object) -> Scope | None:
    """A scope as users write it: `Environment/sample-env`, or an object with kind and name. Raises ValueError."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        kind, name = given.get("kind"), given.get("name")
    elif isinstance(given, str):
        kind, _, name = given.partition("/")
    else:
        kind = name = None
    if not (isinstance(kind, str) and isinstance(name, str)) or not kind or not name or "/" in name:
        raise ValueError(f"scope is {given!r}: write Kind/name, such as Environment/sample-env")
    if not name.isprintable():
        raise ValueError(f"scope is {given!r}: a name is printable text")
    return Scope(kind, name)
