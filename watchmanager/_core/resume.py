"""Which sequences were delivered already: the window that tells a duplicate from a late event.

Sequences rise but have holes (protocol 3.3), so "the next one" cannot be known; what can be known is which ones were
seen. The window keeps the most recent ones and a floor: at or below the floor everything counts as seen.
"""

from __future__ import annotations

from collections import deque


class Window:
    """Recently seen sequences above a floor. Memory is bounded by `size` sequences."""

    __slots__ = ("_order", "_seen", "floor", "size")

    def __init__(self, size: int, floor: int) -> None:
        self.size = size
        self._order: deque[int] = deque()
        self._seen: set[int] = set()
        self.floor = floor

    def __len__(self) -> int:
        return len(self._order)

    def add(self, sequence: int) -> None:
        """Remember a sequence; the oldest remembered one raises the floor when there is no room."""
        self._seen.add(sequence)
        order = self._order
        order.append(sequence)
        if len(order) > self.size:
            oldest = order.popleft()
            self._seen.discard(oldest)
            if oldest > self.floor:
                self.floor = oldest

    def __contains__(self, sequence: int) -> bool:
        return sequence <= self.floor or sequence in self._seen
