"""A watch topic is deleted under its streams."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, DropTopic
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class DeleteTopic(Fault):
    """Delete the topic: its streams end like those of an unknown one, and so does every attempt until it is
    `back_after`, with a new id and an empty history.

    The client should feel a topic that is not there: say so and end, or try on with pauses and begin afresh when it is
    back.

    It stands for a colleague who deleted and re-created the watch topic of a running agent; the Kafka consumer of
    confluentinc/confluent-kafka-python#1787 got neither messages nor an error from then on.
    """

    name: ClassVar[str] = "delete_topic"
    level: ClassVar[str] = "server"
    shorthand: ClassVar[str | None] = "back_after"

    topic: str | None = doc(
        "its name; null: the topic of the stream at the anchor, else every topic",
        None,
        pattern=r"[^/\s*]+",
        example="sample-watch-topic",
    )
    back_after: Span | None = doc("when it is created again; null: never", None, maximum=86400.0)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        back_after = None if self.back_after is None else self.back_after.pick(random)
        return (DropTopic(self.topic, moment.call, back_after),)
