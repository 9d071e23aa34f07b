"""Central forgets history."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, PurgeLog
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge(Fault):
    """Forget all events but the newest `keep`; a harvest from further back gets 410.

    The client should feel a 410 where it had a gap to fill, and say so instead of asking again.

    It stands for retention: the client was away longer than history is kept, as every watch on Kubernetes that missed
    the compaction of etcd every five minutes, or, in 2015, fell out of etcd's window of events
    (kubernetes/kubernetes#8700).
    """

    name: ClassVar[str] = "purge"
    level: ClassVar[str] = "server"
    shorthand: ClassVar[str | None] = "keep"

    keep: int = doc("how many of the newest events stay", 0, minimum=0, maximum=10_000_000)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (PurgeLog(self.keep),)
