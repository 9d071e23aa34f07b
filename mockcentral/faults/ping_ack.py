"""The server acks an HTTP/2 PING late or never."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerPing
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class PingAck(Fault):
    """Ack the PING after a delay, or withhold the ack.

    The client should feel a peer that may be dead: past its keepalive timeout it gives the connection up.

    It stands for a server whose event loop is stuck, or a proxy that keeps the connection while the server behind it
    is gone.
    """

    name: ClassVar[str] = "ping_ack"
    level: ClassVar[str] = "http2"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"ping"})
    shorthand: ClassVar[str | None] = "delay"
    words: ClassVar[Mapping[str, Mapping[str, object]]] = {"withhold": {"delay": None}}
    answers: ClassVar[bool] = True

    delay: Duration | None = doc("pause before the ack; null: never acked", None)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerPing(self.delay),)
