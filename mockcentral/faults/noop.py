"""The fault that does nothing: the pattern for the others, and a mark in the journal."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Noop(Fault):
    """Nothing happens; the journal says when its rule fired, and that is its whole receipt: nothing of it is to reach
    the wire.

    The client should feel nothing.

    It stands for a day on which nothing went wrong.
    """

    name: ClassVar[str] = "noop"
    level: ClassVar[str] = "noop"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return ()
