"""The line is long."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, ShapeBytes
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency(Fault):
    """From now on every byte arrives `delay` later, more or less `jitter`; order is kept.

    The client should feel slow answers, and nothing else until its own timeouts are shorter.

    It stands for another continent, a VPN, a mobile network; with much jitter for bufferbloat. From the US to
    Singapore, 250 ms away, a fixed timeout of 2 s was too short (kubernetes-sigs/cluster-api#5586).
    """

    name: ClassVar[str] = "latency"
    level: ClassVar[str] = "tcp"
    shorthand: ClassVar[str | None] = "delay"
    needs_wire: ClassVar[bool] = True

    delay: Duration = doc("how much later", minimum=0.001, maximum=3600)
    jitter: Duration = doc("more or less so much, drawn for each write", Duration(0.0), maximum=3600)
    direction: Literal["both", "to_client", "from_client"] = doc("which way", "both")

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        latency, seed = (self.delay, self.jitter), random.getrandbits(32)
        return (ShapeBytes(moment.connection, self.direction, latency=latency, seed=seed),)
