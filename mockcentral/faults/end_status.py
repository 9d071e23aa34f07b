"""The server ends a watch call with a gRPC status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, EndCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class EndStatus(Fault):
    """End the call with trailers, after what is queued; without a call at the anchor, end every open one.

    The client should feel a stream that ended with a status, and open the next one.

    It stands for a server that is being replaced and ends its streams in good order; also any refusal in the middle.
    """

    name: ClassVar[str] = "end_status"
    level: ClassVar[str] = "grpc"
    shorthand: ClassVar[str | None] = "code"

    code: Code = doc("the gRPC status it ends with", Code.UNAVAILABLE)
    message: str = doc("the status message", "", maximum=1000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (EndCall(moment.call, int(self.code), self.message),)
