"""A stream is finished, and nobody says so for a while."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, EndCall, Later, Quiet
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Code, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class LateTrailers(Fault):
    """Send nothing more on the call, and its trailers only after a pause.

    The client should feel a quiet stream, and then its end; if it takes silence for death it may leave before.

    It stands for a server that hangs in its shutdown hook: the work is over, the handler has not returned. So hung an
    access node of Flow, with subscriptions open (onflow/flow-go#8662).
    """

    name: ClassVar[str] = "late_trailers"
    level: ClassVar[str] = "grpc"
    shorthand: ClassVar[str | None] = "delay"

    delay: Span = doc("silence before the trailers", maximum=86400.0)
    code: Code = doc("the gRPC status they carry", Code.UNAVAILABLE)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        end = EndCall(moment.call, int(self.code))
        return Quiet(moment.call, receipt=True), Later(self.delay.pick(random), (end,), receipt=False)
