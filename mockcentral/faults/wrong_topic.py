"""An event names a topic nobody asked for."""

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
class WrongTopic(Fault):
    """Send the event with another topic's name and id in its metadata.

    The client should feel an event that is not for it. A watch library hands it on as it is, `topic` and all (protocol
    1.7), so whoever trusts it unread acts on a resource it never asked for.

    It stands for a fan-out that mixed two subscribers up, as Dapr did with those of two Kafka topics (dapr/dapr#5332).
    """

    name: ClassVar[str] = "wrong_topic"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "topic"
    answers: ClassVar[bool] = True

    topic: str = doc(
        "the selfLink the event names", "/management/v1/watchtopics/somebody-elses", minimum=1, maximum=400
    )

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(change=Alteration((("topic", self.topic),))),)
