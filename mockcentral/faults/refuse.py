"""The server refuses a watch call, or its first message, with a gRPC status."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Code


@dataclass(frozen=True, slots=True, kw_only=True)
class Refuse(Fault):
    """Refuse the call being opened, or the subscription being read.

    The client should feel an attempt that failed, and wait longer before each further one.

    It stands for a server that is starting, full (grpc/grpc-node#1969), or has lost what it needs to answer.
    """

    name: ClassVar[str] = "refuse"
    level: ClassVar[str] = "grpc"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"stream_open", "subscribe"})
    shorthand: ClassVar[str | None] = "code"
    answers: ClassVar[bool] = True

    code: Code = doc("the gRPC status of the refusal", Code.UNAVAILABLE)
    message: str = doc("the status message", "", maximum=1000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerCall(int(self.code), self.message),)
