"""A stream breaks off after so many messages or bytes."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, CloseConnection, CutCall, EndCall, Order, ResetCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Fault):
    """Let so much more of the call through, then break it; bytes are those in DATA frames, so a cut may go through a
    message.

    The client should feel a stream that broke, keep what it read whole and nothing of what it did not.

    It stands for a connection that dies under load: a proxy's buffer limit, a server killed while it writes. In
    grpc/grpc-java#9336 one listing in four of 10,100 records ended inside a message.
    """

    name: ClassVar[str] = "cut"
    level: ClassVar[str] = "grpc"
    shorthand: ClassVar[str | None] = "after"
    needs_wire: ClassVar[bool] = True

    after: int = doc("how many", minimum=0, maximum=2**31 - 1)
    of: Literal["bytes", "events"] = doc("what is counted", "bytes")
    then: Literal["reset", "end", "close", "abort", "silence"] = doc(
        "RST_STREAM, trailers with UNAVAILABLE, FIN, RST, or nothing at all", "reset"
    )

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        endings: dict[str, Order] = {
            "reset": ResetCall(moment.call, 2),
            "end": EndCall(moment.call, 14, "cut off"),
            "close": CloseConnection(moment.connection),
            "abort": CloseConnection(moment.connection, abort=True),
        }
        then = endings.get(self.then)
        if self.of == "bytes":
            return (CutCall(moment.call, then, after_bytes=self.after),)
        return (CutCall(moment.call, then, after_events=self.after),)
