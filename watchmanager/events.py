"""What a watch delivers: events, and gaps where events are known to be missing. Knows no wire format.

`Event` is a frozen, slotted dataclass to whoever reads it, with `match`, `fields` and `asdict`; what is behind the head
of the resource is decoded when it is first asked for, because most handlers look at the type and the kind and move on.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import Field, dataclass, field, make_dataclass
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn, Protocol, TypeAlias

from watchmanager._core.record import Record


class Attributes(dict[str, str]):
    """A mapping that cannot be changed, but is compared, copied, pickled and written as JSON like any dict."""

    __slots__ = ()

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError("the attributes of a resource cannot be changed: dict(attributes) is a copy that can")

    __setitem__ = __delitem__ = __ior__ = clear = pop = popitem = setdefault = update = _refuse

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[type[Attributes], tuple[dict[str, str]]]:
        return Attributes, (dict(self),)


_EMPTY: Mapping[str, str] = Attributes()


class EventType(enum.Enum):
    """What happened (protocol 1.2). What a newer server adds becomes UNKNOWN; `Event.type_name` keeps it."""

    CREATED = "CREATED"
    UPDATED = "UPDATED"
    DELETED = "DELETED"
    SUBRESOURCEUPDATED = "SUBRESOURCEUPDATED"
    TRIGGERACTION = "TRIGGERACTION"
    PING = "PING"
    UNKNOWN = "UNKNOWN"

    def __repr__(self) -> str:
        return f"EventType.{self.name}"


@dataclass(frozen=True, slots=True)
class Scope:
    """The scope of a resource, such as Environment/sample-env."""

    kind: str = ""
    name: str = ""
    id: str = ""
    self_link: str = ""


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference from the resource's metadata; `type` is "HARD" or "SOFT"."""

    id: str = ""
    kind: str = ""
    name: str = ""
    scope_kind: str = ""
    scope_name: str = ""
    self_link: str = ""
    type: str = "HARD"


@dataclass(frozen=True, slots=True)
class Resource:
    """The head of the resource an event is about: no spec, no subresources (protocol 1.2)."""

    group: str = ""
    kind: str = ""
    name: str = ""
    id: str = ""
    self_link: str = ""
    scope: Scope | None = None
    references: tuple[Reference, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=lambda: _EMPTY)


class Details(Record):
    """Everything of an event but its type, id and sequence. `action` is the type URL and bytes of `actionDetails`."""

    type_name: str
    resource: Resource
    time: str = ""
    version: str = ""
    product: str = ""
    correlation_id: str = ""
    organization: str = ""
    topic: str = ""
    topic_id: str = ""
    subresource: str = ""
    action: tuple[str, bytes] | None = None


class Source(Protocol):
    """How a codec reads what an event was made from."""

    def details(self, raw: Any) -> Details: ...

    def raw(self, raw: Any) -> bytes | dict[str, Any]: ...


class Event:
    """Something happened to a resource that the topic is about.

    Attributes: `type`, `sequence` (position in the server's log, 0 when the server gave none), `id`, `recovered` (True
    when it came late, after an event with a higher sequence), `kind`, `name`, `group`, `scope`, `resource` (with `id`,
    `self_link`, `references`, `attributes`), `subresource`, `time` (the server's text), `timestamp`, `topic`,
    `organization`, `correlation_id`, `product`, `version`, `action`, and `raw` (protobuf bytes from the stream, a dict
    from history). Two events are equal when type, sequence and id are.

        match event:
            case Event(type=EventType.DELETED, kind="Credential"): ...
    """

    __slots__ = ("_details", "_id", "_raw", "_recovered", "_sequence", "_size", "_source", "_type")
    __match_args__ = ("type", "kind", "name")

    def __init__(self, type: EventType, id: str, sequence: int, size: int, raw: Any, source: Source) -> None:
        # Codecs make events, millions of them: no keyword arguments, no checks.
        self._type = type
        self._id = id
        self._sequence = sequence
        self._size = size
        self._raw = raw
        self._source = source
        self._recovered = False
        self._details: Details | None = None

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]  # see _become_dataclass

        @property
        def type(self) -> EventType:
            """What happened."""

        @property
        def id(self) -> str:
            """The server's id of the event."""

        @property
        def sequence(self) -> int:
            """Position in the server's log; 0 when it gave none."""

        @property
        def recovered(self) -> bool:
            """True when it came after an event with a higher sequence."""

        @property
        def size(self) -> int:
            """Bytes on the wire."""
    else:
        # Read for every event: attrgetter stays in C, a Python property costs a call.
        type = property(attrgetter("_type"))
        id = property(attrgetter("_id"))
        sequence = property(attrgetter("_sequence"))
        recovered = property(attrgetter("_recovered"))
        size = property(attrgetter("_size"))

    @property
    def details(self) -> Details:
        """Everything else, decoded once."""
        details = self._details
        if details is None:
            details = self._details = self._source.details(self._raw)
        return details

    @property
    def raw(self) -> bytes | dict[str, Any]:
        """What the server sent: protobuf bytes from the stream, a JSON object from history; unknown fields included."""
        return self._source.raw(self._raw)

    @property
    def type_name(self) -> str:
        """The type in the server's own word or number; tells UNKNOWN types apart."""
        return self.details.type_name

    @property
    def resource(self) -> Resource:
        return self.details.resource

    @property
    def kind(self) -> str:
        return self.details.resource.kind

    @property
    def name(self) -> str:
        return self.details.resource.name

    @property
    def group(self) -> str:
        return self.details.resource.group

    @property
    def scope(self) -> Scope | None:
        return self.details.resource.scope

    @property
    def self_link(self) -> str:
        return self.details.resource.self_link

    @property
    def subresource(self) -> str:
        """Which subresource changed, for SUBRESOURCEUPDATED; else empty."""
        return self.details.subresource

    @property
    def time(self) -> str:
        """The server's own text; its form varies (protocol 3.4)."""
        return self.details.time

    @property
    def timestamp(self) -> datetime | None:
        """`time` as a datetime, without zone when the server wrote none; None when it cannot be read."""
        return parse_time(self.details.time)

    @property
    def topic(self) -> str:
        """selfLink of the WatchTopic the event was matched by."""
        return self.details.topic

    @property
    def organization(self) -> str:
        return self.details.organization

    @property
    def correlation_id(self) -> str:
        return self.details.correlation_id

    @property
    def product(self) -> str:
        return self.details.product

    @property
    def version(self) -> str:
        return self.details.version

    @property
    def action(self) -> tuple[str, bytes] | None:
        """Type URL and bytes of `actionDetails`, for TRIGGERACTION; None from history, which does not have them."""
        return self.details.action

    def late(self) -> Event:
        """The same event marked as recovered."""
        twin = Event(self._type, self._id, self._sequence, self._size, self._raw, self._source)
        twin._recovered = True
        twin._details = self._details
        return twin

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return (self._sequence, self._id, self._type) == (other._sequence, other._id, other._type)

    def __hash__(self) -> int:
        return hash((self._sequence, self._id))

    def __repr__(self) -> str:
        mark = ", recovered=True" if self._recovered else ""
        head = f"type={self._type!r}, sequence={self._sequence}, kind={self.kind!r}, name={self.name!r}"
        return f"Event({head}, id={self._id!r}{mark})"


def _become_dataclass(kind: Any, *names: str) -> None:
    """Let `dataclasses` see these properties as fields. Only a server makes events, so no field is for a constructor,
    and `dataclasses.replace` does not apply.
    """
    shadow: Any = make_dataclass(
        kind.__name__, [(name, Any, field(init=False)) for name in names], init=False, repr=False, eq=False
    )
    kind.__dataclass_fields__ = shadow.__dataclass_fields__
    kind.__dataclass_params__ = shadow.__dataclass_params__
    for each in kind.__dataclass_fields__.values():
        each.type = getattr(vars(kind)[each.name].fget, "__annotations__", {}).get("return", _QUICK.get(each.name))


_QUICK = {"type": "EventType", "id": "str", "sequence": "int", "recovered": "bool"}
"""Types of the properties that no Python function stands behind."""

_become_dataclass(
    Event,
    "type",
    "sequence",
    "id",
    "recovered",
    "resource",
    "subresource",
    "time",
    "topic",
    "organization",
    "correlation_id",
    "product",
    "version",
    "action",
)


class GapReason(enum.Enum):
    """Why events are missing."""

    EXPIRED = "EXPIRED"
    """The server no longer keeps them."""
    REGRESSED = "REGRESSED"
    """The server counts lower than before: what it had up to there is another history."""
    SKIPPED = "SKIPPED"
    """You moved the position forward, or chose to skip an event that a handler failed at."""
    POISON = "POISON"
    """It cannot be read, from the stream nor from history, and you chose to go on without it."""

    def __repr__(self) -> str:
        return f"GapReason.{self.name}"


@dataclass(frozen=True, slots=True)
class Gap:
    """Events with `after` < sequence <= `through` may be missing. Delivered in place of them when the policy says to go
    on.
    """

    after: int
    through: int
    reason: GapReason = GapReason.EXPIRED

    @property
    def sequence(self) -> int:
        """Where the watch goes on; makes a Gap committable like an event."""
        return self.through

    @property
    def size(self) -> int:
        return 0


Item: TypeAlias = Event | Gap


def parse_time(text: str) -> datetime | None:
    """A datetime from the forms servers use: `2024-10-28 15:43:02.689148`, `...T...Z`, `...+0000`. None when it is
    neither.
    """
    text = text.strip()
    if text.endswith(("Z", "z")):
        text = text[:-1] + "+00:00"
    if len(text) > 5 and text[-5] in "+-" and text[-4:].isdigit():
        text = text[:-2] + ":" + text[-2:]
    head, dot, rest = text.partition(".")
    if dot:
        # datetime.fromisoformat of 3.10 takes three or six digits only.
        digits = len(rest) - len(rest.lstrip("0123456789"))
        text = f"{head}.{rest[:digits][:6].ljust(6, '0')}{rest[digits:]}"
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
