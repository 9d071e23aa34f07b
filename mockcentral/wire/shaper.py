"""One direction of a slow line: bytes go in, and come out later, in order.

Pure: it takes `now` in seconds, says when it has something (`deadline`) and hands over what is due (`take`). Latency,
jitter, bandwidth and gathering add up; all are drawn from the `Random` it is given.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from random import Random

TICK = 0.02
"""Seconds between two pieces on a line of limited bandwidth: fine enough to look like a stream, coarse enough to be
cheap.
"""


@dataclass(frozen=True, slots=True)
class Shape:
    """How slow a line is. `latency` and `jitter` in seconds (`latency` more or less `jitter`, never below 0), `rate` in
    bytes a second (None: no limit), `gather`: what comes within so many seconds leaves together.
    """

    latency: float = 0.0
    jitter: float = 0.0
    rate: float | None = None
    gather: float = 0.0


class Shaper:
    """A queue of bytes with the times they are due. `size` is how many bytes wait in it."""

    __slots__ = ("_free_at", "_gather_until", "_queue", "random", "shape", "size")

    def __init__(self, random: Random, shape: Shape | None = None) -> None:
        self.random = random
        self.shape = shape or Shape()
        self.size = 0
        self._queue: deque[tuple[float, bytes]] = deque()
        self._free_at = 0.0
        self._gather_until = 0.0

    def put(self, data: bytes, now: float) -> None:
        """Bytes set out on the line."""
        rate = self.shape.rate
        step = len(data) if rate is None else max(1, int(rate * TICK))
        for at in range(0, len(data), max(1, step)):
            piece = data[at : at + step]
            left_at = now
            if rate is not None:
                left_at = self._free_at = max(now, self._free_at) + len(piece) / rate
            self._queue.append((self._arrival(left_at, now), piece))
        self.size += len(data)

    def _arrival(self, left_at: float, now: float) -> float:
        shape = self.shape
        due = left_at
        if shape.latency or shape.jitter:
            due += max(0.0, shape.latency + shape.jitter * (2 * self.random.random() - 1))
        if shape.gather:
            if now >= self._gather_until:
                self._gather_until = now + shape.gather
            due = max(due, self._gather_until)
        return due

    def take(self, now: float) -> bytes:
        """What has arrived, b"" when nothing has."""
        arrived = []
        # TCP delivers in order: who is late keeps the others waiting.
        while self._queue and self._queue[0][0] <= now:
            arrived.append(self._queue.popleft()[1])
        data = b"".join(arrived)
        self.size -= len(data)
        return data

    def deadline(self) -> float | None:
        """When the next bytes arrive, None when nothing is under way."""
        return self._queue[0][0] if self._queue else None
