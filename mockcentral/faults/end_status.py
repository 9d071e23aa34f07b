"""The server ends a watch call with a gRPC status."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, EndCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Code, Duration
from mockcentral.wire.status import error_details

DETAILS = "grpc-status-details-bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class EndStatus(Fault):
    """End the call with trailers, after what is queued; without a call at the anchor, end every open one. A `reason` or
    `retry_delay` also sends grpc-status-details-bin: a google.rpc.Status with ErrorInfo and RetryInfo.

    The client should feel a stream that ended with a status, and open the next one.

    It stands for a server that is being replaced and ends its streams in good order; also any refusal in the middle.
    Google's Pub/Sub ended pulls with UNAVAILABLE after 30 to 60 minutes, and a client stopped there
    (akka/alpakka#1615).
    """

    name: ClassVar[str] = "end_status"
    level: ClassVar[str] = "grpc"
    shorthand: ClassVar[str | None] = "code"

    code: Code = doc("the gRPC status it ends with", Code.UNAVAILABLE)
    message: str = doc("the status message", "", maximum=1000)
    reason: str | None = doc("ErrorInfo's reason", None, pattern=r"[A-Z][A-Z0-9_]{0,62}", example="QUOTA_EXCEEDED")
    domain: str = doc("ErrorInfo's domain", "", maximum=200)
    retry_delay: Duration | None = doc("RetryInfo's retry_delay", None, maximum=86400)
    broken_details: bool = doc("whether grpc-status-details-bin is sent as bytes that are no Status", False)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (EndCall(moment.call, int(self.code), self.message, self._trailers()),)

    def _trailers(self) -> tuple[tuple[str, str], ...]:
        if self.broken_details:
            return ((DETAILS, "/////w"),)
        if self.reason is None and self.retry_delay is None:
            return ()
        details = error_details(int(self.code), self.message, self.reason, self.domain, self.retry_delay)
        return ((DETAILS, base64.b64encode(details).decode().rstrip("=")),)
