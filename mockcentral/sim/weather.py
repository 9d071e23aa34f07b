"""What a network does to what travels through it, as settings."""

from __future__ import annotations

from dataclasses import dataclass

from mockcentral.scenario.types import Span

LOCAL = Span(0.001, 0.005)
"""Two machines in one building."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Weather:
    """Delays and losses of a network. Losses are chances from 0 to 1, drawn from the seed.

    `up` and `down`: how long anything travels towards the server and back; within one connection nothing overtakes.
    `lost_ends`: the end of a connection never reaches the client, which from then on talks into nothing: half open.
    `zombies`: the end of a stream never reaches the client although its connection lives on and PINGs are acked, as
    with a gateway that forgets a stream.
    """

    up: Span = LOCAL
    down: Span = LOCAL
    lost_ends: float = 0.0
    zombies: float = 0.0

    def problem(self) -> str | None:
        """What is wrong with the settings, None when nothing is."""
        for name in ("up", "down"):
            span = getattr(self, name)
            if not 0.0 <= span.low <= span.high:
                return f"weather.{name} goes from {span.low!r} to {span.high!r}: write two rising delays of 0 s or more"
        for name in ("lost_ends", "zombies"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                return f"weather.{name} is {getattr(self, name)!r}: write a chance from 0 to 1"
        return None


CLEAR = Weather()
