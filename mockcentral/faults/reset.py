"""The server resets one HTTP/2 stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, ResetCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import ERROR_CODES, ErrorCode


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset(Fault):
    """RST_STREAM on the call, without trailers; without a call at the anchor, on every open one.

    The client should feel a stream that broke while its connection lives on.

    It stands for a proxy's timeout for a stream, such as Envoy's of five minutes, which hit a stream full of events in
    envoyproxy/envoy#33289, or a server that gave one stream up to save the others.
    """

    name: ClassVar[str] = "reset"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "error_code"

    error_code: ErrorCode = doc("the HTTP/2 error code of the frame", ERROR_CODES["INTERNAL_ERROR"])

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ResetCall(moment.call, self.error_code),)
