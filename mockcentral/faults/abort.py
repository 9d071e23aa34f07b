"""The server's TCP connection breaks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, CloseConnection
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Abort(Fault):
    """TCP RST: what is queued is lost, what is in flight may be; without a connection at the anchor, on every open one.

    The client should feel a connection that broke, and trust nothing it did not read.

    It stands for a peer that crashed, or a firewall that answers for it: the kernel says RST to whatever comes next. An
    operator's watch died of one and was never opened again (nolar/kopf#787).
    """

    name: ClassVar[str] = "abort"
    level: ClassVar[str] = "tcp"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (CloseConnection(moment.connection, abort=True),)
