"""An HTTP answer comes in drops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerHttp
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpTrickle(Fault):
    """Send the real body in `pieces`, with a pause of `every` before each.

    The client should feel an answer that never stalls for long and yet takes for ever: only a limit on the whole ends
    it.

    It stands for a congested line, and for a slow-drip attack turned round; a request with a timeout of 3 s hung, it
    seems on such a server, in postmanlabs/httpbin#642.
    """

    name: ClassVar[str] = "http_trickle"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "http", "page", "token"})
    shorthand: ClassVar[str | None] = "every"
    answers: ClassVar[bool] = True

    every: Span = doc("pause before each piece", Span(0.1, 0.1), maximum=3600.0)
    pieces: int = doc("how many pieces the body is cut into", 10, minimum=1, maximum=10_000)

    def problem(self) -> str | None:
        if self.pieces == 1 and self.every.high <= 0:
            return "nothing would change: give a pause with `every`, or more `pieces`"
        return None

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerHttp(trickle=(self.pieces, self.every.pick(random))),)
