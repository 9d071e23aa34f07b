"""The history service serves pages of a size nobody asked for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerHttp
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPageSize(Fault):
    """Answer as if `pageSize` had been `size`, whatever the request said.

    The client should feel pages shorter or longer than it asked for, and not take a short page for the last one.

    It stands for a service whose cap on pages was lowered; at a cap of Polymarket's API its client took a full page for
    the last one (Polymarket/py-sdk#197).
    """

    name: ClassVar[str] = "http_page_size"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "page"})
    shorthand: ClassVar[str | None] = "size"
    answers: ClassVar[bool] = True

    size: int = doc("events in a page", 1, minimum=1, maximum=10_000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerHttp(page_size=self.size),)
