"""Ids as Central gives them: UUIDs, decided by a seed."""

from __future__ import annotations

from random import Random

_MASK = ~((0xF000 << 64) | (0xC000 << 48))
_VERSION = (4 << 76) | (0x8000 << 48)


class Ids:
    """Version 4 UUIDs, one after the other."""

    __slots__ = ("_bits",)

    def __init__(self, seed: str) -> None:
        self._bits = Random(seed).getrandbits

    def new(self) -> str:
        # Spelled by hand: `uuid.UUID` takes eight times as long, and every event has an id.
        raw = (self._bits(128) & _MASK | _VERSION).to_bytes(16, "big")
        return f"{raw[:4].hex()}-{raw[4:10].hex('-', 2)}-{raw[10:].hex()}"

    def skip(self, count: int) -> None:
        """As if so many had been given out."""
        self._bits(128 * count)
