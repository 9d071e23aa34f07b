"""An event is sent more than once on a stream."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate(Fault):
    """Send the event several times in a row.

    The client should feel one event.

    It stands for at-least-once delivery behind the service: a producer that retried after a lost answer, as in
    IBM/sarama#1965 while the brokers were restarted.
    """

    name: ClassVar[str] = "duplicate"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "copies"
    answers: ClassVar[bool] = True

    copies: int = doc("how many copies go out", 2, minimum=2, maximum=1000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(self.copies),)
