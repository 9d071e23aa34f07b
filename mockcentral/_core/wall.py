"""The clock on a world's wall, which a fault may put wrong."""

from __future__ import annotations

from mockcentral._core import dates


class Wall:
    """Turns world time into wall time, in seconds since 1970. `skew`: by how many seconds it is wrong."""

    __slots__ = ("skew", "start")

    def __init__(self, start: float) -> None:
        self.start = start
        self.skew = 0.0

    def at(self, now: float) -> float:
        """Wall time at world time `now`."""
        return self.start + self.skew + now

    def timestamp(self, now: float) -> str:
        """A world time as resources have it."""
        return dates.timestamp(self.start + self.skew + now)
