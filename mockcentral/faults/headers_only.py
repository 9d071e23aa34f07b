"""A call is answered with response headers and nothing else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, Quiet, RespondCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadersOnly(Fault):
    """Send gRPC's response headers, then END_STREAM without a status, or with `end: false` nothing more for good.

    The client should feel a failed call it may repeat; where the stream stays open, a peer that says nothing.

    It stands for a gateway that commits its response before the server behind it has answered, and then loses it; under
    Tomcat a stream without messages ended so (spring-projects/spring-grpc#131).
    """

    name: ClassVar[str] = "headers_only"
    level: ClassVar[str] = "grpc"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"stream_open", "subscribe"})
    shorthand: ClassVar[str | None] = "end"
    needs_wire: ClassVar[bool] = True

    end: bool = doc("whether END_STREAM is on the headers", True)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        answer = RespondCall(moment.call, end=self.end)
        return (answer,) if self.end else (answer, Quiet(moment.call))
