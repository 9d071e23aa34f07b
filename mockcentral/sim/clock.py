"""Virtual time: what happens next, and what time it is then. Knows nothing of what happens."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from typing import Any

NEVER = float("inf")


class Clock:
    """A queue of actions by time. `now` only rises; what is due at one time happens in the order it was planned."""

    __slots__ = ("_queue", "_tie", "now", "steps", "until")

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        """How many actions happened."""
        self.until = -NEVER
        """Up to when whoever runs the clock wants to see nothing of what happens; see `Network._skim`."""
        self._tie = count(1).__next__
        self._queue: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []

    def at(self, when: float, action: Callable[..., None], *arguments: Any) -> None:
        """Plan an action; a time that has passed means now."""
        self.plan(when, action, arguments)

    def plan(self, when: float, action: Callable[..., None], arguments: tuple[Any, ...]) -> None:
        """As `at`, for whoever has the arguments in a tuple already."""
        heappush(self._queue, (when, self._tie(), action, arguments))

    @property
    def next_at(self) -> float:
        """When the next action is due, `NEVER` when none is planned."""
        return self._queue[0][0] if self._queue else NEVER

    def next_at_but(self, when: float, action: Callable[..., None]) -> float:
        """`next_at`, but for what is planned for this action and time."""
        found = NEVER
        for at, _, planned, _ in self._queue:
            if at < found and (at != when or planned != action):
                found = at
        return found

    def step(self) -> bool:
        """Jump to the next action and let it happen; False when there is none."""
        if not self._queue:
            return False
        when, _, action, arguments = heappop(self._queue)
        if when > self.now:
            self.now = when
        self.steps += 1
        action(*arguments)
        return True

    def run(self, until: float, limit: int) -> int:
        """Step through everything up to a time (inclusive), at most `limit` steps; returns how many were left."""
        queue = self._queue
        self.until = until
        left = limit
        try:
            while queue and left and queue[0][0] <= until:
                when, _, action, arguments = heappop(queue)
                if when > self.now:
                    self.now = when
                left -= 1
                action(*arguments)
        finally:
            self.until = -NEVER
            self.steps += limit - left
        return left

    def clear(self) -> None:
        """Nothing is planned any more."""
        self._queue.clear()

    def __len__(self) -> int:
        return len(self._queue)
