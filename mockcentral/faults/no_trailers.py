"""A stream ends without trailers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, EndCall
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class NoTrailers(Fault):
    """Send what is queued, then END_STREAM without trailers; without a call at the anchor, on every open one.

    The client should feel a stream that broke, with a status of its own making (UNKNOWN, INTERNAL), and open the next.

    It stands for a proxy that does not forward HTTP trailers: nginx without its gRPC module (grpc/grpc-go#892), CDNs,
    HTTP/1.1 hops.
    """

    name: ClassVar[str] = "no_trailers"
    level: ClassVar[str] = "grpc"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (EndCall(moment.call, 2, "no trailers", bare=True),)
