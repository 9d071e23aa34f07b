"""An HTTP request is answered late."""

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
class HttpDelay(Fault):
    """Answer truthfully, but only after a pause.

    The client should feel a slow server: it waits, or gives up at its own timeout and asks again.

    It stands for a history read while its database is busy: it answers, later than usual, as the API of
    jdemaeyer/brightsky#152 did from three in the afternoon until midnight.
    """

    name: ClassVar[str] = "http_delay"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "http", "page", "token"})
    shorthand: ClassVar[str | None] = "delay"
    answers: ClassVar[bool] = True

    delay: Span = doc("pause before the answer", minimum=0.001, maximum=86400.0)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerHttp(delay=self.delay.pick(random)),)
