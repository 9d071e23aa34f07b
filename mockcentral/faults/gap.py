"""A run of events is not sent on a stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Fault):
    """Leave the event and those after it out of this stream; the stream goes on, and the history has them.

    The client should feel a jump in the numbers, and fill it from the history before it takes its position for safe.

    It stands for a broker partition that was away for a moment while the service kept its streams open, as etcd did
    with watches whose events were minutes late (etcd-io/etcd#17529).
    """

    name: ClassVar[str] = "gap"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "events"
    answers: ClassVar[bool] = True

    events: int = doc("how many events in a row are left out", 3, minimum=1, maximum=10_000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(0, run=self.events),)
