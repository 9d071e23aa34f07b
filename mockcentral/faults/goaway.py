"""The server asks for no more streams on a connection."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, GoAway
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import ERROR_CODES, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Goaway(Fault):
    """GOAWAY on the connection; streams up to `last_stream` live on until something else ends them.

    The client should feel a connection that takes no new stream: the next attempt needs a new connection.

    It stands for a rolling update, or a proxy at its limit of requests or age for a connection.
    """

    name: ClassVar[str] = "goaway"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "error_code"

    error_code: ErrorCode = doc("the HTTP/2 error code of the frame", ERROR_CODES["NO_ERROR"])
    last_stream: int | None = doc(
        "the last HTTP/2 stream id that was handled; null: all that were opened", None, minimum=0, maximum=2**31 - 1
    )
    debug: str = doc("the frame's debug data, such as too_many_pings", "", maximum=1000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (GoAway(moment.connection, self.error_code, self.last_stream, self.debug.encode()),)
