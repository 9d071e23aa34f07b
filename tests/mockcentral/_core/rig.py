"""Central in a test's hands: made-up tokens, a clock that is a number, faults that do what they are told."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from typing import Any, ClassVar

from mockcentral._core.actions import Action, Order, SendEvents, SendPing, SendToEach
from mockcentral._core.calls import WATCH_PATH, WatchRequest
from mockcentral._core.central import Central
from mockcentral._core.events import Change, Event, Op, Scope, TopicEvent
from mockcentral._core.journal import Journal, Record
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.schema import FaultRule, Filter, Scenario, Topic, WorldSettings
from mockcentral.scenario.types import Anchor

WALL = 1_700_000_000.0
TENANT = "1234567890"
TOPIC = "/management/v1/watchtopics/all"
OTHER = "/management/v1/watchtopics/other"


@dataclass(frozen=True, slots=True, kw_only=True)
class Do(Fault):
    """A fault that does what a test says."""

    name: ClassVar[str] = "do"
    level: ClassVar[str] = "noop"
    what: tuple[Action, ...] | Callable[[Moment, Random], Iterable[Action]] = ()

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return self.what(moment, random) if callable(self.what) else self.what


def rule(name: str, on: str, *what: Action, nth: int | None = None, onwards: bool = False, **more: Any) -> FaultRule:
    return FaultRule(name=name, on=Anchor(on, nth, onwards), do=Do(what=what), **more)


def sign(claims: Mapping[str, Any]) -> str:
    """A token in form; its signature is nobody's business here."""
    parts = [json.dumps({"alg": "none"}), json.dumps(dict(claims))]
    return ".".join([*(base64.urlsafe_b64encode(part.encode()).rstrip(b"=").decode() for part in parts), "c2ln"])


def change(name: str = "petstore", *, op: Op = Op.CREATED, kind: str = "APIService", env: str | None = "e") -> Change:
    return Change(op, "management", kind, name, Scope("Environment", env) if env else None)


def event(sequence: int, *, at: float = 0.0, about: Change | None = None) -> Event:
    return Event(sequence, f"id-{sequence}", at, "2024-10-28 15:43:02.689148", about or change(), TENANT)


def entry(sequence: int, about: Change | None = None) -> TopicEvent:
    return TopicEvent(event(sequence, about=about), "topic-id", TOPIC)


ALL = Topic(name="all", filters=(Filter(group="*", kind="*"),))
NONE = Topic(name="other", filters=(Filter(kind="Nothing"),))


def _each(issue: tuple[Order, str | None]) -> list[tuple[Order, str | None]]:
    """An order to many calls as orders to each of them."""
    order, name = issue
    if isinstance(order, SendToEach):
        return [(SendEvents(call, (order.event,)), name) for call in order.calls]
    return [issue]


class Rig:
    """A Central, and the client that talks to it. Time stands still unless `at` moves it."""

    def __init__(self, scenario: Scenario | None = None, *, seed: int = 7, **world: Any) -> None:
        scenario = scenario or Scenario(scenario="test", about="a test")
        if not scenario.topics:
            scenario = replace(scenario, topics=(ALL, NONE))
        if world:
            scenario = replace(scenario, world=WorldSettings(**world))
        self.journal = Journal("test")
        self.central = Central(scenario, journal=self.journal, sign=sign, wall_start=WALL, seed=seed)
        self.now = 0.0
        self.issues: list[tuple[Order, str | None]] = []
        self.central.start(0.0)
        self.take()

    def take(self) -> list[Order]:
        """What Central ordered since last time, carried out without a flaw."""
        issues = [one for issue in self.central.orders() for one in _each(issue)]
        for order, name in issues:
            if name is not None:
                self.central.performed(order, name, self.now)
            elif isinstance(order, SendPing):
                self.central.ping_left(order.payload)
        self.issues += issues
        return [order for order, _ in issues]

    def at(self, now: float) -> list[Order]:
        """Let time pass the way a shell does, from deadline to deadline, and take what was ordered."""
        orders = self.take()
        while (deadline := self.central.deadline()) is not None and deadline <= now:
            self.now = max(self.now, deadline)
            self.central.tick(self.now)
            orders += self.take()
        self.now = now
        return orders

    def token(self, life: float | None = None) -> str:
        return self.central.token("client", self.now, life)

    def connect(self) -> int:
        number = self.central.connection_opened("peer:1", self.now)
        self.central.connection_speaks(number, "h2", self.now)
        return number

    def open(self, *, connection: int | None = None, token: str | None = None, **metadata: str) -> int:
        """Open a watch call: headers only."""
        headers = {"authorization": f"Bearer {self.token() if token is None else token}", "x-axway-tenant-id": TENANT}
        headers |= {name.replace("_", "-"): value for name, value in metadata.items()}
        connection = self.connect() if connection is None else connection
        call = self.central.call_opened(connection, 1, WATCH_PATH, headers, self.now)
        assert call is not None
        return call

    def ask(self, call: int, topic: str = TOPIC, token: str | None = None, **more: Any) -> None:
        request = WatchRequest(self_link=topic, token=f"Bearer {self.token() if token is None else token}", **more)
        self.central.request_received(call, request, self.now)

    def watch(self, topic: str = TOPIC, *, token: str | None = None, **more: Any) -> int:
        """A call that has subscribed."""
        call = self.open(token=token)
        self.ask(call, topic, token, **more)
        return call

    def publish(self, name: str = "petstore", **more: Any) -> int:
        return self.central.publish(change(name, **more), self.now).sequence

    # ---------------------------------------------------------------- looking
    def records(self, kind: str, **fields: Any) -> list[Record]:
        return [
            record
            for record in self.journal
            if record["kind"] == kind and all(record.get(name) == value for name, value in fields.items())
        ]

    def last(self, kind: str) -> Record:
        return self.records(kind)[-1]

    def sent(self, call: int) -> list[int]:
        """The sequences handed to the wire on a call so far."""
        self.take()
        orders = [order for order, _ in self.issues if isinstance(order, SendEvents) and order.call == call]
        return [item.event.sequence for order in orders for item in order.events]

    def end(self, call: int) -> tuple[str, str]:
        """How a call ended: code and who ended it."""
        [record] = self.records("stream.end", attempt=call)
        return record["code"], record["by"]
