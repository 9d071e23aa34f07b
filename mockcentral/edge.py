"""`Edge`: the faults of frames, TCP and TLS in front of any gRPC server, and a journal of what passed through.

As `mockcentral.World` it may be used from any thread, as a context manager or with `start` and `close`, and shares the
background loop with worlds. What it has of them is what makes sense without a world of its own: address, journal,
waiting, arming faults, closing connections.
"""

from __future__ import annotations

import os
import socket
import ssl
from pathlib import Path
from typing import Any

from mockcentral.scenario.edge import for_edge, left_out
from mockcentral.scenario.schema import FaultRule, Scenario
from mockcentral.servers.edge import EdgeHost, Target, target_of
from mockcentral.servers.tls import TlsError
from mockcentral.world import World


class Edge(World):
    """A relay to `upstream` ("host:port") that plays the faults of `scenario`; none without one.

    `upstream_tls` speaks TLS to it, trusting `upstream_ca` (a PEM file; the system's store without) and expecting
    `upstream_name` (the host's name without). `tls`, `cert`, `key` are for the clients' side, as of a World, and the
    rest of `options` too. Raises ScenarioError for a scenario that needs more than an edge has, ValueError for an
    upstream that is no address, TlsError for certificates that cannot be used.
    """

    def __init__(
        self,
        upstream: str,
        scenario: str | Path | Scenario | None = None,
        *,
        upstream_tls: bool = False,
        upstream_ca: str | None = None,
        upstream_name: str | None = None,
        **options: Any,
    ) -> None:
        self._faultless = scenario is None
        source = None if isinstance(scenario, Scenario) else scenario
        super().__init__(scenario, **options)
        self.left_out = left_out(self.unscaled)
        """Parts of the scenario that are not played: an edge has no world of its own."""
        self.unscaled = for_edge(self.unscaled, source)
        self.scenario = for_edge(self.scenario, source)
        if upstream_name is not None and not (upstream_tls or upstream_ca):
            raise ValueError(
                "there is no TLS to the upstream in which its name would count: say so, or leave the name out"
            )
        context = _client_context(upstream_ca) if upstream_tls or upstream_ca else None
        self.target: Target = target_of(upstream, tls=context, name=upstream_name)

    def _begin(self, bound: socket.socket, tls: Any) -> None:
        portal = self._live_portal()
        host = EdgeHost(
            self.scenario,
            journal=self._journal,
            seed=self.seed,
            bound=bound,
            loop=portal.loop,
            tls=tls,
            target=self.target,
        )
        self._host = host
        portal.run(host.start(time_scale=self.time_scale, upstream=str(self.target)))

    def arm(self, rule: FaultRule) -> None:
        """Arm a fault; ScenarioError for one that an edge cannot do."""
        for_edge(Scenario(scenario="armed", about="armed by hand", faults=(rule,)))
        super().arm(rule)

    @property
    def context(self) -> dict[str, Any]:
        """The ready file's JSON: that of a world, without what an edge has not, and with the upstream."""
        return {
            "v": 1,
            "world": self.name,
            "address": self.address,
            "http_url": self.http_url,
            "upstream": str(self.target),
            "ca_file": self.ca_file,
            "scenario": None if self._faultless else self.scenario.scenario,
            "seed": self.seed,
            "pid": os.getpid(),
        }


def _client_context(ca_file: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise TlsError(f"{ca_file}: is no PEM file with a CA: {getattr(error, 'strerror', None) or error}") from None
    context.set_alpn_protocols(["h2"])
    return context
