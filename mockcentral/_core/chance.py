"""Random streams that may never be drawn from."""

from __future__ import annotations

from random import Random


class Chance:
    """A random stream of its own, seeded when it is first asked for: that takes as long as publishing an event."""

    __slots__ = ("_random", "_seed")

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._random: Random | None = None

    def __call__(self) -> Random:
        if self._random is None:
            self._random = Random(self._seed)
        return self._random
