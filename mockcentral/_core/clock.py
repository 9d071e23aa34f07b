"""World time: seconds since the world's start, which may stand still and may jump.

Pure: what time it really is comes in with every question. Only ever rises. Faster or slower is not here: a world that
is scaled has shorter or longer durations (`Central.rescale`), because tokens and clients live on the real clock.
"""

from __future__ import annotations


class WorldClock:
    """A clock that began at the real time `started`, seconds of any monotonic clock."""

    __slots__ = ("_ahead", "_frozen", "_started")

    def __init__(self, started: float) -> None:
        self._started = started
        self._ahead = 0.0
        self._frozen: float | None = None

    @property
    def frozen(self) -> bool:
        """Whether it stands still."""
        return self._frozen is not None

    def now(self, real: float) -> float:
        """World time at the real time `real`."""
        return real - self._started + self._ahead if self._frozen is None else self._frozen

    def elapsed(self, real: float) -> float:
        """Real seconds since the start."""
        return real - self._started

    def freeze(self, real: float) -> None:
        """Stand still; doing it twice is once."""
        self._frozen = self.now(real)

    def thaw(self, real: float) -> None:
        """Go on from where it stood."""
        if self._frozen is not None:
            self._ahead = self._frozen - (real - self._started)
            self._frozen = None

    def advance(self, by: float) -> None:
        """Jump ahead by so many seconds, also while it stands still. Raises ValueError for a jump back."""
        if by < 0:
            raise ValueError(f"a world's clock cannot go back by {-by:g} s")
        if self._frozen is not None:
            self._frozen += by
        else:
            self._ahead += by
