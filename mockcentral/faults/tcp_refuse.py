"""Nobody listens for a while; the connections there are live on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, RefuseConnections
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class TcpRefuse(Fault):
    """The port refuses new connections for a while, and nothing else changes.

    The client should feel "connection refused" when it comes back, and wait a little longer each time.

    It stands for a full accept queue, a pod that is not ready any more, a firewall rule that came late. When etcd was
    stopped, a watch dialled it without a pause, at 150 % CPU (etcd-io/etcd#9578).
    """

    name: ClassVar[str] = "tcp_refuse"
    level: ClassVar[str] = "tcp"
    shorthand: ClassVar[str | None] = "down_for"

    down_for: Span = doc("how long nobody listens", minimum=0.001, maximum=86400.0)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (RefuseConnections(self.down_for.pick(random)),)
