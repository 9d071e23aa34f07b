"""What became of each fault: armed, triggered, on the wire, observed by the client.

    armed       it waits for its moment                              known when the rule is taken
    triggered   its moment came                                      known at once
    on the wire the bytes (or the silence) it asked for are out      told by whoever carried the order out
    observed    the client did something it could only do, or would only do, once that had reached it

That an event is missing is on the wire when all that was sent before its place is out.

*Observed* is the one that is concluded, from what a client does next: it acks a PING that was sent afterwards (what
came before it on the connection has been read), asks again, gives the call or connection up, or comes back for what
the fault took from it. It is evidence that the fault was felt, not a verdict: a client may be right to do nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

from mockcentral._core.frozen import dataclass
from mockcentral._core.journal import Journal
from mockcentral.scenario.schema import FaultRule

MAX_PENDING = 10_000
"""Faults on the wire that wait for a sign; beyond that the oldest is taken for never observed."""

ARMED, SPENT, DISARMED = "armed", "spent", "disarmed"
TTL, ASKED = "ttl", "asked"
"""Why a rule was disarmed."""


class Receipt:
    """What became of one rule. `state`: armed, spent (it struck as often as it may) or disarmed."""

    __slots__ = ("armed", "observed", "on_wire", "rule", "triggered", "why")

    def __init__(self, rule: FaultRule) -> None:
        self.rule = rule
        self.armed = True
        self.why = ""
        self.triggered = 0
        self.on_wire = 0
        self.observed = 0

    def as_dict(self) -> dict[str, Any]:
        """As JSON: see `World.faults`."""
        rule = self.rule
        spent = rule.times is not None and self.triggered >= rule.times
        return {
            "name": rule.name,
            "do": rule.do.name,
            "on": str(rule.on),
            "times": rule.times,
            "state": (SPENT if spent else ARMED) if self.armed else DISARMED,
            **({"disarmed_by": self.why} if self.why else {}),
            "triggered": self.triggered,
            "on_wire": self.on_wire,
            "observed": self.observed,
        }


@dataclass(frozen=True, slots=True)
class Pending:
    """A fault that reached the wire and waits for a sign of the client. `number` counts them; `mark` is the number of
    the `MarkSent` that it waited for, 0 where it was none.
    """

    number: int
    rule: str
    connection: int
    call: int
    sequence: int
    needs: str
    """The one sign that counts, "" for any."""
    mark: int = 0


class Receipts:
    """The receipts of a world, by rule name; the newest rule of a name counts."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self._receipts: dict[str, Receipt] = {}
        self.waiting: list[Pending] = []
        """The faults that wait for a sign, mostly none: hot paths skip `sign` then."""
        self.sent = 0
        """How many faults reached the wire so far."""

    def __iter__(self) -> Iterator[Receipt]:
        """All but those somebody took away; a rule that outlived its ttl still shows what it did."""
        return (receipt for receipt in self._receipts.values() if receipt.why != ASKED)

    def get(self, name: str) -> Receipt | None:
        """The receipt of a rule."""
        return self._receipts.get(name)

    def armed(self, rule: FaultRule, now: float) -> None:
        """A rule is armed."""
        self._receipts[rule.name] = Receipt(rule)
        if not self._journal.keeps:
            return
        given = {"given": [str(anchor) for anchor in rule.given]} if rule.given else {}
        self._journal.add(
            now,
            "fault.armed",
            fault=rule.name,
            do=rule.do.name,
            anchor=str(rule.on),
            settings=asdict(rule.do),
            **given,
        )

    def disarmed(self, name: str, why: str, now: float) -> None:
        """A rule strikes no more; `why`: TTL or ASKED."""
        if (receipt := self._receipts.get(name)) is not None and receipt.armed:
            receipt.armed, receipt.why = False, why
            self._journal.add(now, "fault.disarmed", fault=name, why=why)

    def triggered(self, rule: FaultRule, now: float, **fields: Any) -> None:
        """A rule struck."""
        if (receipt := self._receipts.get(rule.name)) is not None:
            receipt.triggered += 1
        if self._journal.keeps:
            self._journal.add(now, "fault.triggered", fault=rule.name, do=rule.do.name, anchor=str(rule.on), **fields)

    def on_wire(self, name: str, now: float, *, needs: str = "", mark: int = 0, **fields: Any) -> None:
        """What a rule asked for is out; `fields` may have `conn`, `attempt`, and by how many seconds it was `late`."""
        if (receipt := self._receipts.get(name)) is not None:
            receipt.on_wire += 1
        self._journal.add(now, "fault.on_wire", fault=name, **fields)
        self.sent += 1
        if len(self.waiting) >= MAX_PENDING:
            del self.waiting[0]
        self.waiting.append(
            Pending(
                self.sent,
                name,
                fields.get("conn", 0),
                fields.get("attempt", 0),
                fields.get("sequence", 0),
                needs,
                mark,
            )
        )

    def sign(self, how: str, now: float, fits: Callable[[Pending], bool]) -> None:
        """The client did something: every fault that it fits was observed."""
        if not self.waiting:
            return
        seen = [one for one in self.waiting if (not one.needs or one.needs == how) and fits(one)]
        if not seen:
            return
        self.waiting = [one for one in self.waiting if one not in seen]
        for one in seen:
            if (receipt := self._receipts.get(one.rule)) is not None:
                receipt.observed += 1
            where = {name: id for name, id in (("conn", one.connection), ("attempt", one.call)) if id}
            self._journal.add(now, "fault.observed", fault=one.rule, by=how, **where)
