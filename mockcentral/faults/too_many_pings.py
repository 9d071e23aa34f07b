"""The server has enough of the client's PINGs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, GuardPings
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class TooManyPings(Fault):
    """From now on the connection ends with GOAWAY ENHANCE_YOUR_CALM "too_many_pings" when PINGs come faster than
    `min_interval` more than `strikes` times; an event in between forgives them.

    The client should feel a closed connection, and ask less often on the next: gRPC clients double their interval.

    It stands for a gRPC server with its default policy (five minutes, two strikes) and a client whose keepalive is
    quicker, such as the 10 s of llm-d/llm-d-kv-cache#363.
    """

    name: ClassVar[str] = "too_many_pings"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "min_interval"

    min_interval: Duration = doc(
        "the shortest pause between two PINGs that is in order", Duration(300.0), maximum=86400.0
    )
    strikes: int = doc("how many quicker ones are let pass", 2, minimum=0, maximum=1000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (GuardPings(moment.connection, self.min_interval, self.strikes),)
