"""The news of a deletion is not sent."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class LostDelete(Fault):
    """Leave a DELETED event out of this stream; other events pass and are not counted as a strike.

    The client should feel nothing yet, and not keep a thing for ever that the server no longer has.

    It stands for a deletion whose event was lost: the one event that no later event of the resource makes good. API
    servers at EKS lost some, and showed the deleted for a day and more (kubernetes/kubernetes#123072).
    """

    name: ClassVar[str] = "lost_delete"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    answers: ClassVar[bool] = True

    def wants(self, moment: Moment) -> bool:
        return moment.op == "DELETED"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(0),)
