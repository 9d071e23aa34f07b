"""Nobody the client knows has signed the certificate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsUnknownCa(Fault):
    """Show a certificate of an authority that the client was never told of.

    The client should feel a failed handshake, and be told how to trust the CA, not how to switch checking off.

    It stands for a TLS-inspecting proxy whose root is not installed, for a missing intermediate, and for a root that
    has ended, such as DST Root CA X3 under Let's Encrypt on 30 September 2021.
    """

    name: ClassVar[str] = "tls_unknown_ca"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "unknown_ca"),)
