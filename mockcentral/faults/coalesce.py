"""What the server says arrives in lumps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, ShapeBytes
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Coalesce(Fault):
    """From now on what goes to the client within `window` leaves together, many frames in one segment.

    The client should feel bursts with pauses between them, and nothing else.

    It stands for Nagle and delayed acks, as in the 40 ms of each call in tower-rs/tower-grpc#149, and for proxies that
    buffer a response until a timer fires.
    """

    name: ClassVar[str] = "coalesce"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "window"
    needs_wire: ClassVar[bool] = True

    window: Duration = doc("how long bytes are gathered", Duration(0.2), minimum=0.001, maximum=60)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ShapeBytes(moment.connection, "to_client", gather=self.window),)
