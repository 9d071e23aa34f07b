"""The server says no more but goes on listening."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, HalfClose
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class HalfCloseConnection(Fault):
    """FIN after what is queued, while what the client sends is still read; without a connection at the anchor, on every
    open one.

    The client should feel the end of its streams at once, though its own side could still send.

    It stands for a proxy that shuts down the half whose peer is gone, and waits for the other: Go's reverse proxy did
    so with WebSockets, and waited for ever (golang/go#75807).
    """

    name: ClassVar[str] = "half_close"
    level: ClassVar[str] = "tcp"
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (HalfClose(moment.connection),)
