"""A connection is taken late."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, HoldAccept
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowAccept(Fault):
    """The TCP connection is there, and for a while nobody reads from it or says a word, not even in a TLS handshake.

    The client should feel a slow start, and give up at its connect timeout if that is shorter.

    It stands for a server whose accept loop is busy: the kernel has shaken hands, the process has not looked yet. A
    burst of connections hung at a backlog of 128 in tokio-rs/tokio#383.
    """

    name: ClassVar[str] = "slow_accept"
    level: ClassVar[str] = "tcp"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    shorthand: ClassVar[str | None] = "delay"
    needs_wire: ClassVar[bool] = True

    delay: Span = doc("how long it is left alone", minimum=0.001, maximum=86400.0)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (HoldAccept(moment.connection, self.delay.pick(random)),)
