"""A TLS handshake never ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsStall(Fault):
    """Take the client's hello, send so many bytes of the answer, and fall silent.

    The client should feel nothing, and give up at its own timeout for connecting.

    It stands for a server out of CPU or entropy, and for a path that swallows the large packet with the certificates,
    as one to the Guardian over IPv6 did (guardian/dotcom-rendering#6297).
    """

    name: ClassVar[str] = "tls_stall"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    shorthand: ClassVar[str | None] = "after_bytes"
    needs_wire: ClassVar[bool] = True

    after_bytes: int = doc("how much of the server's first answer is sent", 0, minimum=0, maximum=65536)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "stall", self.after_bytes),)
