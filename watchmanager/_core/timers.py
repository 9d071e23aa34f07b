"""The machine's timers: each says when to do something; arming is one assignment, firing early or late is harmless."""

from __future__ import annotations

import enum
from math import inf
from typing import Final


class Timer(enum.Enum):
    """When to ..."""

    CONNECT = "give up a stream that is not standing yet"
    GRACE = "stop waiting for the server's first word and ask history anyway"
    RETRY = "try the next stream"
    HISTORY = "ask history again after a failure"
    REFRESH = "get the next token"
    EXPIRY = "give up a stream whose token has ended"
    SILENCE = "look whether the server has been silent for too long"
    AUDIT = "compare history with what was delivered"
    DOUBT = "ask history whether the server counts anew"
    OWED = "look whether the stream delivered what history showed"
    CHECKPOINT = "save the position"

    # Members are single objects: the hash of their name, which Enum computes anew each time, is not needed.
    __hash__ = object.__hash__


# Found through their class, each of them takes Python 3.11 as long as the call of a function.
CONNECT: Final = Timer.CONNECT
GRACE: Final = Timer.GRACE
RETRY: Final = Timer.RETRY
HISTORY: Final = Timer.HISTORY
REFRESH: Final = Timer.REFRESH
EXPIRY: Final = Timer.EXPIRY
SILENCE: Final = Timer.SILENCE
AUDIT: Final = Timer.AUDIT
DOUBT: Final = Timer.DOUBT
OWED: Final = Timer.OWED
CHECKPOINT: Final = Timer.CHECKPOINT


class Timers:
    """Due times by timer. `deadline` is the earliest, kept up to date so that asking costs nothing."""

    __slots__ = ("_due", "deadline")

    def __init__(self) -> None:
        self._due: dict[Timer, float] = {}
        self.deadline: float | None = None

    def set(self, timer: Timer, at: float) -> None:
        """Arm, or move."""
        due = self._due
        moved = timer in due
        due[timer] = at
        deadline = self.deadline
        if deadline is None or at <= deadline:
            self.deadline = at
        elif moved:
            self.deadline = min(due.values())

    def clear(self, *timers: Timer) -> None:
        """Disarm; unknown ones are fine."""
        due = self._due
        for timer in timers:
            at = due.pop(timer, None)
            if at is not None and at == self.deadline:
                self.deadline = min(due.values()) if due else None

    def clear_all(self, *, but: Timer | None = None) -> None:
        """Disarm all of them, except one."""
        self.clear(*(timer for timer in Timer if timer is not but))

    def at(self, timer: Timer) -> float | None:
        """When it is due; None when it is not armed."""
        return self._due.get(timer)

    def next_but(self, timer: Timer) -> float:
        """When the next of the others is due; inf when none is armed."""
        found = inf
        for other, at in self._due.items():
            if at < found and other is not timer:
                found = at
        return found

    def due(self, now: float) -> Timer | None:
        """The earliest timer that is due, disarmed; None when none is."""
        deadline = self.deadline
        if deadline is None or deadline > now:
            return None
        first: Timer | None = None
        following = inf
        for timer, at in self._due.items():
            if at == deadline and (first is None or timer.name < first.name):
                if first is not None:
                    following = at
                first = timer
            elif at < following:
                following = at
        assert first is not None
        del self._due[first]
        self.deadline = following if self._due else None
        return first
