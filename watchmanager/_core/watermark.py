"""The restart point: the contiguous prefix of processed items, in the order they were delivered.

Several handlers may finish out of order; the mark moves only over a prefix without holes, so a crash replays what was
still running. A late event (recovered, lower than others already processed) holds the mark below itself until it is
processed.
"""

from __future__ import annotations

from collections import deque


class Watermark:
    """Tracks items between delivery and processing. `value` is None until something was processed."""

    __slots__ = ("_done", "_late", "_mark", "_running")

    def __init__(self, value: int | None = None) -> None:
        self._mark = value
        self._running: deque[tuple[int, int]] = deque()
        self._done: set[int] = set()
        self._late: dict[int, int] = {}

    def expect_late(self, sequence: int) -> None:
        """A late event is on its way to the consumer."""
        self._late[sequence] = self._late.get(sequence, 0) + 1

    def begin(self, ticket: int, sequence: int) -> None:
        """An item was handed out. Tickets are unique and rise."""
        self._running.append((ticket, sequence))

    def forget(self, ticket: int) -> None:
        """It was handed back, as if it had not been handed out."""
        self._running = deque(each for each in self._running if each[0] != ticket)

    def done(self, ticket: int) -> bool:
        """The item is processed; True when the value may have changed. Twice or unknown is harmless."""
        running = self._running
        if not running or ticket < running[0][0]:
            return False
        self._done.add(ticket)
        moved = False
        while running and running[0][0] in self._done:
            number, sequence = running.popleft()
            self._done.discard(number)
            self._passed(sequence)
            moved = True
        return moved

    def through(self, ticket: int) -> bool:
        """This item and all handed out before it are processed."""
        running = self._running
        moved = False
        while running and running[0][0] <= ticket:
            number, sequence = running.popleft()
            self._done.discard(number)
            self._passed(sequence)
            moved = True
        return moved

    def after(self, ticket: int) -> int | None:
        """What `value` would be after `through(ticket)`; changes nothing."""
        mark, late = self._mark, dict(self._late)
        for number, sequence in self._running:
            if number > ticket:
                break
            if late.get(sequence, 0) > 1:
                late[sequence] -= 1
            else:
                late.pop(sequence, None)
            if mark is None or sequence > mark:
                mark = sequence
        return mark if mark is None or not late else min(mark, min(late) - 1)

    def _passed(self, sequence: int) -> None:
        if self._late:
            left = self._late.get(sequence, 0) - 1
            if left > 0:
                self._late[sequence] = left
            else:
                self._late.pop(sequence, None)
        if self._mark is None or sequence > self._mark:
            self._mark = sequence

    def move(self, sequence: int | None) -> None:
        """Set the mark, for a gap the user agreed to or a seek. What is running no longer counts."""
        self._mark = sequence
        self._running.clear()
        self._done.clear()
        self._late.clear()

    @property
    def value(self) -> int | None:
        if self._mark is not None and self._late:
            return min(self._mark, min(self._late) - 1)
        return self._mark

    @property
    def running(self) -> int:
        """Items handed out and not yet processed."""
        return len(self._running)
