"""The certificate has expired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsExpired(Fault):
    """Show a certificate whose time ended two days ago.

    The client should feel a failed handshake with that reason, and not connect without checking.

    It stands for the renewal job that failed unseen: Ericsson's in December 2018, Teams' in February 2020.
    """

    name: ClassVar[str] = "tls_expired"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "expired"),)
