"""The certificate is not valid yet."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsNotYetValid(Fault):
    """Show a certificate whose time begins in two days.

    The client should feel a failed handshake with that reason; its own clock may be the one that is wrong.

    It stands for a machine that woke up with a clock in the past, as a Raspberry Pi four weeks behind in
    rancher/elemental#567, and for a certificate rolled out at once.
    """

    name: ClassVar[str] = "tls_not_yet_valid"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "not_yet_valid"),)
