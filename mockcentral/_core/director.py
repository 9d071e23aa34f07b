"""When faults strike: rules tied to moments of the run.

A rule waits for its anchor (and for those it is `given`), maybe pauses, and then lets its fault say what happens. The
director counts, draws and pauses; it never carries anything out and does not know what a fault does. Every rule draws
from a random stream of its own, named by seed and rule, so adding a rule shifts nothing for the others.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator

from mockcentral._core.actions import Action
from mockcentral._core.chance import Chance
from mockcentral._core.frozen import dataclass
from mockcentral.faults.base import Moment
from mockcentral.scenario.scaling import scaled_rule
from mockcentral.scenario.schema import FaultRule


@dataclass(frozen=True, slots=True)
class Strike:
    """A rule that fires now, with what its fault wants to happen."""

    rule: FaultRule
    moment: Moment
    actions: tuple[Action, ...]
    planned: float | None = None
    """When it was to happen, after a pause; None: at its moment."""


class _Armed:
    __slots__ = ("awaits", "fired", "random", "rule", "until")

    def __init__(self, rule: FaultRule, at: float, seed: str) -> None:
        self.rule = rule
        self.until = None if rule.ttl is None else at + rule.ttl
        self.random = Chance(seed)
        self.fired = 0
        self.awaits = set(rule.given)
        """Moments that must have come before it may strike."""

    def wants(self, moment: Moment, now: float, attempt: int) -> bool:
        rule = self.rule
        if self.awaits or not rule.on.matches(moment.nth) or not rule.do.wants(moment):
            return False
        if rule.during is not None and not rule.during.low <= attempt <= rule.during.high:
            return False
        if self.until is not None and now > self.until:
            return False
        if rule.times is not None and self.fired >= rule.times:
            return False
        return rule.probability >= 1.0 or self.random().random() < rule.probability


class Director:
    """The armed rules of a world and the strikes they have planned."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._armed: dict[str, _Armed] = {}
        self._by_anchor: dict[str, list[_Armed]] = {}
        self._awaiting: dict[str, list[_Armed]] = {}
        self.anchors: set[str] = set()
        """The anchors that any rule is tied to: lets hot paths skip `observe`."""
        self.planned: list[tuple[float, int, _Armed, Moment]] = []
        """Strikes that wait for their time. Without them, and without rules that are `mortal`, there is no deadline."""
        self.mortal: list[_Armed] = []
        """Rules with a ttl."""
        self._tie = 0

    def arm(self, rule: FaultRule, now: float) -> None:
        """Arm a rule; one of the same name is replaced."""
        self.disarm(rule.name)
        armed = _Armed(rule, now, f"{self._seed}:fault:{rule.name}")
        self._armed[rule.name] = armed
        if armed.until is not None:
            self.mortal.append(armed)
        self._by_anchor.setdefault(rule.on.name, []).append(armed)
        for anchor in rule.given:
            self._awaiting.setdefault(anchor.name, []).append(armed)
            self.anchors.add(anchor.name)
        self.anchors.add(rule.on.name)

    def disarm(self, name: str) -> bool:
        """Disarm a rule; what it had planned does not happen. False when there is no such rule."""
        armed = self._armed.pop(name, None)
        if armed is None:
            return False
        self._by_anchor[armed.rule.on.name].remove(armed)
        for waiting in self._awaiting.values():
            if armed in waiting:
                waiting[:] = [other for other in waiting if other is not armed]
        self.anchors = {name for tied in (self._by_anchor, self._awaiting) for name, rules in tied.items() if rules}
        self.mortal = [other for other in self.mortal if other is not armed]
        self.planned = [entry for entry in self.planned if entry[2] is not armed]
        heapq.heapify(self.planned)
        return True

    def minds(self, anchor: str) -> bool:
        """Whether a rule strikes at this moment."""
        return bool(self._by_anchor.get(anchor))

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        return tuple(armed.rule for armed in self._armed.values())

    def fired(self, name: str) -> int:
        """How often a rule struck (or is about to)."""
        armed = self._armed.get(name)
        return armed.fired if armed else 0

    def observe(
        self,
        anchor: str,
        nth: int,
        now: float,
        *,
        connection: int = 0,
        call: int = 0,
        op: str = "",
        attempt: int = 0,
    ) -> list[Strike]:
        """The strikes that happen at this very moment; those with a pause are planned for `due`. `attempt` is the
        number of the newest watch call.
        """
        for armed in self._awaiting.get(anchor, ()):
            armed.awaits = {other for other in armed.awaits if other.name != anchor or not other.matches(nth)}
        strikes = []
        moment = Moment(anchor, nth, connection, call, op)
        for armed in self._by_anchor.get(anchor, ()):
            if not armed.wants(moment, now, attempt):
                continue
            armed.fired += 1
            pause = armed.rule.after.pick(armed.random())
            if pause > 0:
                self._tie += 1
                heapq.heappush(self.planned, (now + pause, self._tie, armed, moment))
            else:
                strikes.append(self._strike(armed, moment))
        return strikes

    def due(self, now: float) -> Iterator[Strike]:
        """The planned strikes whose time has come, in order."""
        while self.planned and self.planned[0][0] <= now:
            at, _, armed, moment = heapq.heappop(self.planned)
            yield self._strike(armed, moment, at)

    def deadline(self) -> float | None:
        """When the next planned strike is due, or the next rule has outlived its ttl."""
        earliest = self.planned[0][0] if self.planned else None
        for armed in self.mortal:
            if armed.until is not None and (earliest is None or armed.until < earliest):
                earliest = armed.until
        return earliest

    def outlived(self, now: float) -> list[str]:
        """The names of the rules whose ttl is over; they are disarmed now."""
        names = [armed.rule.name for armed in self.mortal if armed.until is not None and armed.until <= now]
        for name in names:
            self.disarm(name)
        return names

    def rescale(self, ratio: float, now: float) -> None:
        """Pauses that run are shortened `ratio` times, and so is everything the rules say of time."""
        self.planned = [(now + (at - now) / ratio, tie, armed, moment) for at, tie, armed, moment in self.planned]
        for armed in self._armed.values():
            armed.rule = scaled_rule(armed.rule, ratio)
            if armed.until is not None:
                armed.until = now + (armed.until - now) / ratio

    def missed(self, strike: Strike) -> None:
        """The target of a strike was gone: the rule may fire once more (a fault that hit nothing did not happen)."""
        armed = self._armed.get(strike.rule.name)
        if armed is not None and armed.fired:
            armed.fired -= 1

    @staticmethod
    def _strike(armed: _Armed, moment: Moment, planned: float | None = None) -> Strike:
        return Strike(armed.rule, moment, tuple(armed.rule.do.actions(moment, armed.random())), planned)
