"""Central begins to count again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, ResetSequence
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetNumbers(Fault):
    """Forget all history and number the next event `to`, lower than clients have seen; streams stay open.

    The client should feel events older than its position, and neither drop them as known nor wait for the old number.

    It stands for a restored backup, such as GitLab's of 31 January 2017, which was six hours old, and for a broker
    topic that was made anew.
    """

    name: ClassVar[str] = "reset_sequence"
    level: ClassVar[str] = "server"
    shorthand: ClassVar[str | None] = "to"

    to: int = doc("the sequence of the next event", 1, minimum=1, maximum=2**62)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ResetSequence(self.to),)
