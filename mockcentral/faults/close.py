"""The server closes a TCP connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, CloseConnection
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Fault):
    """FIN after what is queued, without GOAWAY or trailers; without a connection at the anchor, on every open one.

    The client should feel a connection that ended.

    It stands for a proxy or load balancer at the end of its idle timeout, which knows nothing of gRPC: 60 s is what
    nginx takes when nobody tells it otherwise. The FIN that ended a watch after 30 to 45 minutes is in the packets of
    kubernetes/kubernetes#16666.
    """

    name: ClassVar[str] = "close"
    level: ClassVar[str] = "tcp"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (CloseConnection(moment.connection),)
