"""The certificate is for somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsWrongName(Fault):
    """Show a certificate, signed by the right CA, for another name.

    The client should feel a failed handshake that names what it expected and what it got.

    It stands for a default virtual host, a moved DNS name, a wildcard that does not reach two labels deep
    (rancher/rancher#30691).
    """

    name: ClassVar[str] = "tls_wrong_name"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "wrong_name"),)
