"""An event is not sent on a stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Lose(Fault):
    """Leave the event out of this stream; the history still has it.

    The client should feel nothing yet, and find the event when it next reads the history.

    It stands for a fan-out that dropped a message under load, while the log kept it, as NATS did to a slow consumer in
    nuts-foundation/nuts-node#2401.
    """

    name: ClassVar[str] = "lose"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    answers: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(0),)
