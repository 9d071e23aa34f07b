"""What clients have begun to send and not ended, over all connections of a world: bounded, whoever they are."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

MAX_HALF_READ = 256 * 1024 * 1024
"""Bytes of unfinished messages and request bodies. One connection is held to less by itself (wire/grpc, wire/http)."""


class HalfRead(Generic[T]):
    """Who holds how much."""

    def __init__(self) -> None:
        self._held: dict[T, int] = {}
        self._total = 0

    def weigh(self, who: T, size: int) -> T | None:
        """`who` holds `size` bytes now. Returns who holds most when together they hold too much: that one has to go,
        not the one who came last.
        """
        self._total += size - self._held.get(who, 0)
        if size:
            self._held[who] = size
        else:
            self._held.pop(who, None)
        return max(self._held, key=self._held.__getitem__) if self._total > MAX_HALF_READ else None
