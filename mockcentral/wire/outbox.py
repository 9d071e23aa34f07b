"""What waits for the window of one stream: messages in the order they were sent, given out in pieces of any size.

It holds references, never copies, and knows neither frames nor windows. Whatever it does with many messages it does in
a few steps, because a backlog has hundreds of thousands of them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate, islice

TRIM = 64
"""Messages that were taken are dropped when there are more than these and more than those that wait: each message that
stays is then moved once on average.
"""


class Outbox:
    """Messages to send. `len()` counts them, one that was taken in part too; an empty one is false."""

    __slots__ = ("_at", "_ends", "_messages", "_taken")

    def __init__(self) -> None:
        self._messages: list[bytes] = []
        self._ends = array("Q")
        """Where each of them ends, in bytes put since the start."""
        self._at = 0
        """The first that was not taken whole."""
        self._taken = 0
        """Bytes taken since the start."""

    def __len__(self) -> int:
        return len(self._messages) - self._at

    @property
    def size(self) -> int:
        """Bytes that wait."""
        return self.end - self._taken

    @property
    def end(self) -> int:
        """Bytes put since the start."""
        return self._ends[-1] if self._ends else self._taken

    @property
    def taken(self) -> int:
        """Bytes taken since the start."""
        return self._taken

    def put(self, messages: Iterable[bytes]) -> int:
        """Messages to be sent after those that wait; returns how many bytes they have."""
        first = len(self._messages)
        self._messages += messages
        start = self.end
        self._ends.extend(islice(accumulate(map(len, self._messages[first:]), initial=start), 1, None))
        return self.end - start

    def take(self, room: int) -> tuple[list[bytes | memoryview], int]:
        """The next bytes, at most `room` of them, in parts to be joined, and how many they are."""
        messages, ends, at = self._messages, self._ends, self._at
        begin = self._taken
        after = bisect_right(ends, begin + room, at)
        parts: list[bytes | memoryview]
        if after > at:
            parts = messages[at:after]  # type: ignore[assignment]
            if ends[at] - begin < len(messages[at]):  # the beginning of it is out
                parts[0] = memoryview(messages[at])[begin - ends[at] :]
            self._taken = ends[after - 1]
        else:
            parts = []
        if after < len(messages) and (left := begin + room - self._taken):
            done = len(messages[after]) - (ends[after] - self._taken)
            parts.append(memoryview(messages[after])[done : done + left])
            self._taken += left
        self._at = after
        if after > TRIM and after * 2 > len(messages):
            del messages[:after]
            del ends[:after]
            self._at = 0
        return parts, self._taken - begin
