"""The server dies and comes back."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, Restart
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class RestartServer(Fault):
    """Every connection breaks, new ones are refused for a while; tokens survive, the history unless `forget`.

    The client should feel refused connections, keep trying with pauses, and then go on where it was.

    It stands for a crash with a supervisor, or a deployment without a drain; in dapr/dapr#8602 even one with a drain
    left its clients with refused connections.
    """

    name: ClassVar[str] = "restart"
    level: ClassVar[str] = "server"
    shorthand: ClassVar[str | None] = "down_for"

    down_for: Span = doc("how long nobody listens", maximum=86400.0)
    forget: bool = doc("whether the history is gone afterwards", False)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (Restart(self.down_for.pick(random), self.forget),)
