"""A field of an event is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, AnswerEvent
from mockcentral._core.events import Alteration
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Corrupt(Fault):
    """Send the event with one field empty or made up; the history has it as it was.

    The client should feel an event it can tell is wrong or has to take as it is, and go on with the next one.

    It stands for a publisher's bug: a field that was never empty before, a time that is none. SendGrid's bounces came
    with a null for the message's id, and their reader threw (mirajavora/sendgrid-webhooks#4).
    """

    name: ClassVar[str] = "corrupt"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "field"
    answers: ClassVar[bool] = True

    field: Literal["id", "time", "sequence", "organization", "group", "kind", "name", "self_link", "scope"] = doc(
        "which field is wrong", "name"
    )
    how: Literal["empty", "garbage"] = doc("left empty (0 for the sequence), or made up from the seed", "empty")

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        value: str | int = "" if self.field != "sequence" else 0
        if self.how == "garbage":
            digits = random.getrandbits(63)
            value = f"\u2620 {digits:x}" if self.field != "sequence" else digits
        return (AnswerEvent(change=Alteration(((self.field, value),))),)
