"""The server asks for no more streams on a connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, CloseConnection, GoAway, Later
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import ERROR_CODES, Duration, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Goaway(Fault):
    """GOAWAY on the connection. `plain`: streams up to `last_stream` live on until something else ends them.
    `graceful`: first "open no more streams" (last stream 2^31 - 1), after `drain` the real GOAWAY and FIN. `abrupt`:
    GOAWAY and FIN.

    The client should feel a connection that takes no new stream: the next attempt needs a new connection.

    It stands for a rolling update, or a proxy at its limit of requests or age for a connection, such as the 1,000
    requests of nginx, at which calls failed in grpc/grpc-go#2205, or grpc-go's MaxConnectionAge.
    """

    name: ClassVar[str] = "goaway"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "error_code"

    error_code: ErrorCode = doc("the HTTP/2 error code of the frame", ERROR_CODES["NO_ERROR"])
    last_stream: int | None = doc(
        "the last HTTP/2 stream id that was handled; null: all that were opened", None, minimum=0, maximum=2**31 - 1
    )
    debug: str = doc("the frame's debug data, such as too_many_pings", "", maximum=1000)
    manner: Literal["plain", "graceful", "abrupt"] = doc("what comes after it", "plain")
    drain: Duration = doc("how long a graceful end takes", Duration(1.0), maximum=86400)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        at, debug = moment.connection, self.debug.encode()
        goaway = GoAway(at, self.error_code, self.last_stream, debug)
        if self.manner == "plain":
            return (goaway,)
        if self.manner == "abrupt":
            return goaway, CloseConnection(at)
        return GoAway(at, 0, 2**31 - 1, debug), Later(self.drain, (goaway, CloseConnection(at)))
