"""The network between server and client swallows everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, BlackHole
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackhole(Fault):
    """From now on bytes of the connection vanish, both ways or one: no data, no PING ack, no FIN, no RST.

    The client should feel silence, and notice by its own keepalive that nobody is there: also when events still come,
    and only its own words get lost.

    It stands for a pulled cable, a dropped NAT entry, a load balancer that forgets idle connections without a word:
    after four minutes in front of Azure's machines, after 350 s at AWS's network load balancer. Idle pulls from
    Google's Pub/Sub hung for good, with neither message nor error (googleapis/google-cloud-python#4083).
    """

    name: ClassVar[str] = "blackhole"
    level: ClassVar[str] = "tcp"
    shorthand: ClassVar[str | None] = "direction"

    direction: Literal["both", "to_client", "from_client"] = doc("which bytes vanish", "both")

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (BlackHole(moment.connection, self.direction),)
