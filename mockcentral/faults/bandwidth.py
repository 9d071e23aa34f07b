"""The line is thin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, ShapeBytes
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Bandwidth(Fault):
    """From now on so many bytes a second go over the connection each way.

    The client should feel a trickle: it keeps up or falls behind, and must not take slow for dead.

    It stands for a throttled link, a neighbour's backup, a history page over a bad mobile network; in grpc/grpc#22963
    the keepalive took a slow connection for dead.
    """

    name: ClassVar[str] = "bandwidth"
    level: ClassVar[str] = "tcp"
    shorthand: ClassVar[str | None] = "rate"
    needs_wire: ClassVar[bool] = True

    rate: int = doc("bytes a second", minimum=1, maximum=1_000_000_000)
    direction: Literal["both", "to_client", "from_client"] = doc("which way", "both")

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ShapeBytes(moment.connection, self.direction, rate=self.rate),)
