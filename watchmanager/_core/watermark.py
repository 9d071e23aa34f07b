"""The restart point: the contiguous prefix of processed items, in the order they were delivered.

Several handlers may finish out of order; the mark moves only over a prefix without holes, so a crash replays what was
still running. A late event (recovered, lower than others already processed) holds the mark below itself until it is
processed.

The position may be set anew (a resync, a server that counts from lower) while items from before still wait or are being
processed. The mark follows when the last of them is processed, and not before: a crash would lose them.
"""

from __future__ import annotations

from collections import deque


class Watermark:
    """Tracks items between delivery and processing. `value` is None until something was processed."""

    __slots__ = ("_done", "_lates", "_mark", "_moves", "_running")

    def __init__(self, value: int | None = None) -> None:
        self._mark = value
        self._running: deque[tuple[int, int]] = deque()
        self._done: set[int] = set()
        self._moves: deque[list[int]] = deque()
        """Where the mark is to go: [items from before that are not processed, sequence]."""
        self._lates: deque[dict[int, int]] = deque([{}])
        """Late events and how often each is expected: up to the first move, between it and the second, and so on."""

    def expect_late(self, sequence: int) -> None:
        """A late event is on its way to the consumer."""
        late = self._lates[-1]
        late[sequence] = late.get(sequence, 0) + 1

    def begin(self, ticket: int, sequence: int) -> None:
        """An item was handed out; 0 has no sequence. Tickets are unique and rise."""
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

    def succeed(self, done: int, ticket: int, sequence: int) -> bool:
        """`through(done)`, then `begin(ticket, sequence)`: one after the other, as most items come."""
        running = self._running
        if len(running) == 1 and running[0][0] == done and not self._moves and not self._lates[0]:
            passed = running[0][1]
            if passed > (self._mark or 0):
                self._mark = passed
            running[0] = (ticket, sequence)
            return True
        moved = self.through(done)
        running.append((ticket, sequence))
        return moved

    def after(self, ticket: int) -> int | None:
        """What `value` would be after `through(ticket)`; changes nothing."""
        then = Watermark(self._mark)
        then._running = deque(each for each in self._running if each[0] <= ticket)
        then._moves = deque([*each] for each in self._moves)
        then._lates = deque(dict(each) for each in self._lates)
        then.through(ticket)
        return then.value

    def _passed(self, sequence: int) -> None:
        late = self._lates[0]
        if late:
            left = late.get(sequence, 0) - 1
            if left > 0:
                late[sequence] = left
            else:
                late.pop(sequence, None)
        if sequence > (self._mark or 0):
            self._mark = sequence
        if self._moves:
            for move in self._moves:
                move[0] -= 1
            self._arrive()

    def _arrive(self) -> None:
        moves = self._moves
        while moves and moves[0][0] <= 0:
            _, self._mark = moves.popleft()
            self._lates.popleft()

    def move(self, sequence: int | None) -> None:
        """Set the mark, for a seek. What is running no longer counts."""
        self._mark = sequence
        self._running.clear()
        self._done.clear()
        self._moves.clear()
        self._lates = deque([{}])

    def move_behind(self, waiting: int, sequence: int) -> None:
        """Set the mark, up or down, once what is running and the `waiting` items that are handed out next are
        processed.
        """
        self._moves.append([len(self._running) + waiting, sequence])
        self._lates.append({})
        self._arrive()

    @property
    def value(self) -> int | None:
        late = self._lates[0]
        if self._mark is not None and late:
            return min(self._mark, min(late) - 1)
        return self._mark

    @property
    def running(self) -> int:
        """Items handed out and not yet processed."""
        return len(self._running)
