"""An event has a type nobody knows yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral._core.events import Alteration
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownType(Fault):
    """Send the event with a number in `type` that the client's messages have no name for.

    The client should feel an event it has no handler for, pass it on or skip it, and count its sequence as seen.

    It stands for a service that was upgraded before its clients, as Box's was, whose events its Java SDK could not all
    name (box/box-java-sdk#895).
    """

    name: ClassVar[str] = "unknown_type"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "number"
    answers: ClassVar[bool] = True

    number: int = doc("the number in the field `type`", 99, minimum=6, maximum=2**31 - 1)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(change=Alteration((("type", self.number),))),)
