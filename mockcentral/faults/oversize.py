"""An event is larger than clients take."""

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
class Oversize(Fault):
    """Send the event with an attribute of so many bytes; most gRPC clients take 4 MiB unless told otherwise.

    The client should feel RESOURCE_EXHAUSTED from its own library, and not meet the same event for ever.

    It stands for the one resource with a 5 MB definition in it; etcd answered a watch with 4.8 MB at once in
    etcd-io/etcd#19441.
    """

    name: ClassVar[str] = "oversize"
    level: ClassVar[str] = "event"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event"})
    shorthand: ClassVar[str | None] = "size"
    answers: ClassVar[bool] = True

    size: int = doc("bytes added to the event", 5_000_000, minimum=1, maximum=32 * 1024 * 1024)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerEvent(change=Alteration(padding=self.size)),)
