"""The server acks an HTTP/2 PING late or never."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, AnswerPing
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class PingAck(Fault):
    """Ack the PING after a delay, several times, with a payload that nobody sent, or not at all. `on: ping(n+)` does it
    from the n-th PING on.

    The client should feel a peer that may be dead: past its keepalive timeout it gives the connection up. A second ack
    means nothing to it, and a wrong one is none.

    It stands for a server whose event loop is stuck, or a proxy that keeps the connection while the server behind it is
    gone; in grpc/grpc-go#5308 the server was at work, its client says, when its ack did not come.
    """

    name: ClassVar[str] = "ping_ack"
    level: ClassVar[str] = "http2"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"ping"})
    shorthand: ClassVar[str | None] = "delay"
    words: ClassVar[Mapping[str, Mapping[str, object]]] = {
        "withhold": {"delay": None},
        "double": {"delay": 0.0, "copies": 2},
        "wrong": {"delay": 0.0, "payload": "wrong"},
    }
    answers: ClassVar[bool] = True

    delay: Duration | None = doc("pause before the ack; null: never acked", None, maximum=86400.0)
    copies: int = doc("how many acks are sent; doubled is 2", 1, minimum=1, maximum=1000)
    payload: Literal["same", "wrong"] = doc("the PING's own payload, or eight other bytes", "same")

    def problem(self) -> str | None:
        if self.delay is None and (self.copies > 1 or self.payload == "wrong"):
            return "an ack that is never sent has no copies and no payload: give a delay, 0 for at once"
        if self.delay is not None and self.delay <= 0 and self.copies == 1 and self.payload == "same":
            return "nothing would change: give a delay, `withhold`, `double` or `wrong`"
        return None

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerPing(self.delay, self.copies, random.randbytes(8) if self.payload == "wrong" else None),)
