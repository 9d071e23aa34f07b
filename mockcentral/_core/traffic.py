"""Traffic: where events come from when a scenario says so.

One line of traffic is a small population of resources: things are created before they are updated and updated before
they are deleted, as a publisher would do it. Types and names are drawn from a random stream of the line's own.
"""

from __future__ import annotations

from random import Random
from typing import Final

from mockcentral._core.events import Change, Op, parse_scope
from mockcentral.scenario.scaling import scaled_traffic
from mockcentral.scenario.schema import Traffic

_UPDATED: Final = Op.UPDATED
_SUBRESOURCE: Final = Op.SUBRESOURCEUPDATED
_OPS = {"created": Op.CREATED, "updated": _UPDATED, "deleted": Op.DELETED}
_WORDS = ("petstore", "orders", "billing", "catalog", "inventory", "shipping", "users", "search", "payments", "reviews")


class TrafficLine:
    """The state of one traffic line: how much is left, when the next burst is due, what is alive."""

    def __init__(self, spec: Traffic, random: Random) -> None:
        self.spec = spec
        self.left = spec.count
        self.next_at: float | None = None
        self._random = random
        self._alive: list[str] = []
        self._made = 0
        self._started = False
        self.burst_left = 0
        """How much of a burst that was begun is to come."""
        self._scope = parse_scope(spec.publish.scope)

    def observe(self, anchor: str, nth: int, now: float) -> None:
        """Start when the anchor of the line happened for the first time."""
        if not self._started and anchor == self.spec.on.name and self.spec.on.matches(nth):
            self._started = True
            self.next_at = now + self.spec.after.pick(self._random)

    def rescale(self, ratio: float, now: float) -> None:
        """Its pauses, the running one too, are shortened `ratio` times."""
        self.spec = scaled_traffic(self.spec, ratio)
        if self.next_at is not None:
            self.next_at = now + (self.next_at - now) / ratio

    @property
    def done(self) -> bool:
        return self.left == 0

    def next_change(self) -> Change:
        """The next change of the line, whose time is `next_at`; only to be called while there is one."""
        if not self.burst_left:
            self.burst_left = self.left if self.left < self.spec.burst else self.spec.burst
        change = self._change()
        self.left -= 1
        self.burst_left -= 1
        if not self.burst_left:
            # From the planned time, not from now: a late timer must not slow the traffic down.
            at = self.next_at or 0.0
            self.next_at = at + self.spec.every.pick(self._random) if self.left else None
        return change

    def _change(self) -> Change:
        publish, alive, random = self.spec.publish, self._alive, self._random.random
        word = publish.type[int(random() * len(publish.type))]
        if word == "created" and publish.name is not None and alive:
            word = next((other for other in publish.type if other != "created"), "created")
        if word != "created" and not alive and "created" in publish.type:
            word = "created"
        if word == "created" or not alive:
            place = len(alive)
            name = publish.name or self._new_name()
            if publish.name is None or name not in alive:  # a new name is nobody else's
                alive.append(name)
        else:
            place = int(random() * len(alive))
            name = alive[place]
        if word == "deleted":
            del alive[place]
        op = _OPS[word]
        if op is _UPDATED and publish.subresource:
            op = _SUBRESOURCE
        subresource = publish.subresource or "" if op is _SUBRESOURCE else ""
        return Change(op, publish.group, publish.kind, name, self._scope, subresource)

    def _new_name(self) -> str:
        self._made += 1
        return f"{_WORDS[int(self._random.random() * len(_WORDS))]}-{self._made}"
