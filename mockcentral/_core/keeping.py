"""What of a world is to outlive its process, as rows: what has changed since somebody last wrote them down.

A shell takes the rows before it lets anybody hear of the changes, and hands all of them back to the next process. Rows
hold JSON; nothing here knows a file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, field
from typing import Any

from mockcentral._core.events import Change, Event, Op, Reference, Scope
from mockcentral._core.frozen import dataclass
from mockcentral._core.log import EventLog
from mockcentral._core.resources import Json


class Unreadable(ValueError):
    """A row is not what was written down."""


@dataclass(frozen=True, slots=True)
class EventRow:
    """An event that is kept. `wall` is its time in seconds since the epoch, `topics` JSON of `[[link, id], ...]`."""

    sequence: int
    wall: float
    event: str
    topics: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Changes in one step: all of them are written down, or none."""

    history_lost: bool
    """Every event written down before is to be forgotten first."""
    events: Sequence[EventRow]
    resources: dict[str, str | None]
    """Link to resource, None for one that is gone."""
    log: tuple[int, int, int]
    """The newest sequence ever given out, the next one when there was none, and how far history is purged."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What an earlier process wrote down. `starts` counts the processes before this one."""

    starts: int = 0
    events: Sequence[EventRow] = ()
    resources: Sequence[tuple[str, str]] = ()
    log: tuple[int, int, int] | None = None


@dataclass(slots=True)
class Keeper:
    """Collects what changes."""

    _log: EventLog | None = None
    _numbers: tuple[int, int, int] | None = None
    _events: list[EventRow] = field(default_factory=list)
    _resources: dict[str, str | None] = field(default_factory=dict)

    def event(self, event: Event, wall: float, topics: Sequence[tuple[str, str]]) -> None:
        """An event was published to these topics, link and id each."""
        self._events.append(event_row(event, wall, topics))

    def resource(self, link: str, resource: Json | None) -> None:
        """A resource is now this, or gone."""
        self._resources[link] = None if resource is None else json.dumps(resource, separators=(",", ":"))

    def take(self, log: EventLog) -> Rows | None:
        """What has changed since it was last asked; None when nothing has."""
        lost = self._log is not None and self._log is not log
        numbers = log.numbers
        if not (lost or self._events or self._resources or numbers != self._numbers):
            return None
        events, self._events = self._events, []
        resources, self._resources = self._resources, {}
        self._log, self._numbers = log, numbers
        return Rows(lost, events, resources, numbers)


def event_row(event: Event, wall: float, topics: Sequence[tuple[str, str]]) -> EventRow:
    """An event as it is written down."""
    about = asdict(event.change) | {"op": int(event.change.op), "attributes": dict(event.change.attributes)}
    body = {"id": event.id, "time": event.time, "organization": event.organization, "change": about}
    return EventRow(event.sequence, wall, json.dumps(body, separators=(",", ":")), json.dumps(topics))


def read_event(row: EventRow, at: float) -> tuple[Event, list[tuple[str, str]]]:
    """The event of a row, and its topics; `at` is its time in the world that reads it."""
    body: dict[str, Any] = json.loads(row.event)
    about = body["change"]
    scope = about.pop("scope")
    references = tuple(Reference(**each) for each in about.pop("references"))
    change = Change(
        **(about | {"op": Op(about["op"])}),
        scope=None if scope is None else Scope(**scope),
        references=references,
    )
    event = Event(row.sequence, body["id"], at, body["time"], change, body["organization"])
    return event, [(link, id) for link, id in json.loads(row.topics)]
