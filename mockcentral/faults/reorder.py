"""An event is overtaken by later ones."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Reorder(Fault):
    """Hold the event back until `by` later ones were sent on the stream; if it ends before, the event is lost there.

    The client should feel an event that is older than the last one, and neither drop it nor go back.

    It stands for two broker partitions behind one stream, one of them slower; a watch on Kubernetes gave version 950362
    before 950361 (kubernetes/kubernetes#49745).
    """

    name: ClassVar[str] = "reorder"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "by"
    answers: ClassVar[bool] = True

    by: int = doc("how many later events overtake it", 1, minimum=1, maximum=1000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(hold=self.by),)
