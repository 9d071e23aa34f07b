"""A call is answered by somebody who does not speak gRPC."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, RespondCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongContentType(Fault):
    """Answer the call with these response headers; with a body the stream ends after it, without one gRPC goes on under
    the wrong name.

    The client should feel a failed call with the HTTP status in its message, and try again where it is a 5xx.

    It stands for the load balancer's own "502 Bad Gateway" page, as all calls of a day met it in Cgboal/SonarSearch#20,
    a captive portal, a login page for every path.
    """

    name: ClassVar[str] = "wrong_content_type"
    level: ClassVar[str] = "grpc"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"stream_open", "subscribe"})
    shorthand: ClassVar[str | None] = "content_type"
    needs_wire: ClassVar[bool] = True

    content_type: str = doc(
        "the header content-type", "text/html", maximum=200, pattern=r"[!-~][ -~]*", example="text/html"
    )
    status: int = doc("the HTTP status", 200, minimum=200, maximum=599)
    body: str = doc("the body, sent as it is", "", maximum=100_000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        body = self.body.encode()
        return (RespondCall(moment.call, self.status, self.content_type, body, end=bool(body) or self.status != 200),)
