"""What a machine went through, for comparing runs and for the question "what happened before that?". Bounded."""

from __future__ import annotations

from collections import deque

from watchmanager._core.record import Record


class Transition(Record):
    """A change of state; `at` is the `now` of the input that caused it."""

    at: float
    before: str
    after: str
    reason: str


class Trace:
    """The most recent transitions."""

    def __init__(self, size: int = 256) -> None:
        self.transitions: deque[Transition] = deque(maxlen=size)

    def moved(self, at: float, before: str, after: str, reason: str) -> None:
        self.transitions.append(Transition(at, before, after, reason))
