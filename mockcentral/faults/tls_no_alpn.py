"""The server does not agree on a protocol."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SpoilHandshake
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsNoAlpn(Fault):
    """Shake hands well, but without ALPN.

    The client should feel a server that is no gRPC server: grpcio and grpc-go (since 1.67) refuse it, others go on.

    It stands for a TLS-terminating load balancer in TCP mode, or an inspecting proxy that drops the extension; a load
    balancer without ALPN shut out nodes with the new grpc-go (onflow/flow-go#7019).
    """

    name: ClassVar[str] = "tls_no_alpn"
    level: ClassVar[str] = "tls"
    at_once: ClassVar[bool] = True
    anchors: ClassVar[frozenset[str] | None] = frozenset({"connect"})
    needs_wire: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SpoilHandshake(moment.connection, "no_alpn"),)
