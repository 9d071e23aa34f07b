"""A harvester request is answered 410, though the history is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerHttp
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpGone(Fault):
    """Answer 410, with the newest sequence in X-Axway-Max-Sequence-Id or without that header.

    The client should feel a position that is lost: with the header it can go on from there, without it must ask for
    the newest.

    It stands for history that expired between two pages (`on: page(2)`), as a listing did while a large project was
    being deleted (mlrun/mlrun#6360), and for a gateway that strips headers.
    """

    name: ClassVar[str] = "http_gone"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "page"})
    shorthand: ClassVar[str | None] = "header"
    answers: ClassVar[bool] = True

    header: bool = doc("whether X-Axway-Max-Sequence-Id is there", True)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerHttp(gone="with header" if self.header else "bare"),)
