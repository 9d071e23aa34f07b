"""A TLS handshake breaks off."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCut(Fault):
    """Take the client's hello, send so many bytes of the answer, and close.

    The client should feel a failed connection, and try again after a pause.

    It stands for a proxy that ends what its rules do not like once it has read the server name; a Kubernetes client met
    the end of its connection right after its hello in rustls/rustls#1417.
    """

    name: ClassVar[str] = "tls_cut"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    shorthand: ClassVar[str | None] = "after_bytes"
    needs_wire: ClassVar[bool] = True

    after_bytes: int = doc("how much of the server's first answer is sent", 100, minimum=0, maximum=65536)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "cut", self.after_bytes),)
