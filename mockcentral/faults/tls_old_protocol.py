"""The server knows nothing newer than TLS 1.1."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsOldProtocol(Fault):
    """Answer every hello with TLS 1.1, as a server from before 2008 would.

    The client should feel a failed handshake: it refuses the old version.

    It stands for an appliance nobody updates, after clients dropped TLS 1.0 and 1.1 in 2020; gobuster could not scan
    such a server any more with a newer Go (OJ/gobuster#367).
    """

    name: ClassVar[str] = "tls_old_protocol"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "old_protocol"),)
