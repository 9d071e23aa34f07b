"""An HTTP answer breaks off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerHttp
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTruncate(Fault):
    """Send the real head and a share of the real body, then break the connection (HTTP/2: reset the stream).

    The client should feel an answer that is not whole, use nothing of it, and ask again.

    It stands for a proxy that was restarted in the middle of a large page, or lost the rest of it: in
    http-party/node-http-proxy#623 30 KB came where 50 were announced.
    """

    name: ClassVar[str] = "http_truncate"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "http", "page", "token"})
    shorthand: ClassVar[str | None] = "keep"
    answers: ClassVar[bool] = True

    keep: float = doc("the share of the body that is sent", 0.5, minimum=0.0, maximum=0.99)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerHttp(cut=self.keep),)
