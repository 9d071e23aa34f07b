"""The server asks whether the client is there, again and again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SendFrames
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.wire.frames import ping_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class PingFlood(Fault):
    """Send many PINGs at once; HTTP/2 wants an answer to each.

    The client should feel nothing, and answer them all, in order.

    It stands for the ping flood of CVE-2019-9512, or a proxy whose idea of a keepalive is milliseconds.
    """

    name: ClassVar[str] = "ping_flood"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "count"
    needs_wire: ClassVar[bool] = True

    count: int = doc("how many PINGs", 1000, minimum=1, maximum=100_000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        frames = b"".join(ping_frame(number.to_bytes(8, "big")) for number in range(1, self.count + 1))
        return (SendFrames(moment.connection, frames, harmless=True),)
