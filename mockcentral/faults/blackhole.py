"""The network between server and client swallows everything."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, BlackHole
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Blackhole(Fault):
    """From now on bytes of the connection vanish both ways: no data, no PING ack, no FIN, no RST.

    The client should feel silence, and notice by its own keepalive that nobody is there.

    It stands for a pulled cable, a dropped NAT entry, a load balancer that forgets idle connections without a word
    (four minutes at some clouds, 350 s at others).
    """

    name: ClassVar[str] = "blackhole"
    level: ClassVar[str] = "tcp"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (BlackHole(moment.connection),)
