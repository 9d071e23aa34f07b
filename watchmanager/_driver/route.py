"""How a server is reached, decided once for gRPC and for HTTP: directly, through a bridge, through a proxy.

    proxy   single entry   TLS policy          gRPC stream                      HTTP (https)
    -----   ------------   ----------          -----------                      ------------
    no      no             grpcio can          grpcio dials                     httpx dials
    no      yes            grpcio can          grpcio dials the entry           bytes through a bridge
    yes     any            grpcio can          bytes through a bridge           http(s) proxy: httpx; SOCKS5: bridge
    any     any            grpcio cannot       the bridge speaks TLS            as above

SNI, the check of the certificate and `:authority` are those of the server, whatever is dialled (protocol 1.4). The
proxy is decided for the address that is dialled: with a single entry that is the entry.
"""

from __future__ import annotations

import copy
import functools
import os
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from watchmanager._core.proxies import Decision, Target, decide
from watchmanager._driver import tls as tls_policy
from watchmanager._driver.grpcio import grpc
from watchmanager.errors import WatchError
from watchmanager.policy import TLS, Proxy

if TYPE_CHECKING:
    import httpx

    from watchmanager._driver.bridge import Bridge, Speaks
    from watchmanager._driver.dial import Budget, ByteStream

GRPC_PLACEHOLDER = "watchmanager-bridge.invalid:443"
"""What grpcio asks a loopback bridge for. Should a no_proxy variable keep it from the bridge, it finds nothing."""
BRIDGE_SHARE = 0.9
"""The bridge gives up a little before grpcio does, so that its reason is known when grpcio reports the failure."""


class Route:
    """The way to one server. Making it reads files and the environment and raises ConfigError; it opens nothing."""

    def __init__(
        self,
        target: Target,
        *,
        tls: TLS | None = None,
        proxy: Proxy | None = None,
        single_entry: Target | None = None,
        connect_timeout: float = 20.0,
        environ: Mapping[str, str] | None = None,
        loopback: bool | None = None,
    ) -> None:
        self.target = target
        self.policy = (tls or TLS()) if target.tls else None
        self.destination = target if single_entry is None else single_entry
        """What is dialled."""
        self.decision: Decision = decide(
            Target(self.destination.host, self.destination.port, target.tls),
            proxy,
            os.environ if environ is None else environ,
        )
        self.connect_timeout = connect_timeout
        self._loopback = loopback
        self._single_entry = single_entry is not None
        self.proxy_context: ssl.SSLContext | None = None
        if self.decision.proxy is not None and self.decision.proxy.scheme == "https":
            self.proxy_context = tls_policy.context(tls or TLS(), client_certificate=False)
        if self.policy not in (None, TLS()):
            # Made now, so that a bad file is found before anything is opened; without files it can wait.
            assert self.grpc_context is not None

    @functools.cached_property
    def grpc_context(self) -> ssl.SSLContext | None:
        """For whoever speaks TLS in grpcio's place; None without TLS."""
        return None if self.policy is None else tls_policy.context(self.policy, alpn=tls_policy.ALPN_GRPC)

    @functools.cached_property
    def http_context(self) -> ssl.SSLContext | None:
        return None if self.policy is None else tls_policy.context(self.policy)

    @property
    def server_name(self) -> str:
        """Whom the certificate must be for."""
        return (self.policy.server_name if self.policy is not None else None) or self.target.host

    @property
    def authority(self) -> str:
        """What the stream asks for: grpcio insists that it goes with the certificate's name."""
        return str(Target(self.server_name, self.target.port))

    @property
    def terminates(self) -> str | None:
        """Why the bridge speaks TLS in grpcio's place, None when it does not."""
        return None if self.policy is None else tls_policy.beyond_grpcio(self.policy)

    @property
    def bridged(self) -> bool:
        """Whether the gRPC stream goes through a bridge."""
        return self.decision.proxy is not None or self.terminates is not None

    def explain(self) -> str:
        """The way in words, without passwords."""
        words = self.decision.explain()
        if self._single_entry:
            words = f"{self.target} is reached by its single entry address; {words}"
        if (reason := self.terminates) is not None:
            words += f"; the bridge speaks TLS in place of grpcio, because {reason}"
        return words

    async def dial(self, budget: Budget) -> ByteStream:
        """Bytes to the server, without TLS to it. Raises ConnectError."""
        from watchmanager._driver.dial import dial

        return await dial(self.destination, self.decision.proxy, self.proxy_context, budget)

    def open_bridge(self, *, grpc: bool) -> Bridge:
        """A bridge of this route in the running loop; for HTTP TLS always passes through."""
        from watchmanager._driver.bridge import Bridge, Terminate

        terminate = None
        speaks: Speaks = "any"
        if grpc:
            if self.terminates is not None and self.grpc_context is not None:
                terminate = Terminate(self.grpc_context, self.server_name)
            speaks = "tls" if self.target.tls else "h2"
        return Bridge(
            self.dial,
            peer=str(self.target),
            terminate=terminate,
            speaks=speaks,
            seconds=self.connect_timeout * BRIDGE_SHARE,
            loopback=self._loopback,
        )

    @functools.cached_property
    def credentials(self) -> grpc.ChannelCredentials | None:
        """What grpcio needs when it speaks TLS itself; None when it does not."""
        if self.policy is None or self.terminates is not None:
            return None
        return grpc.ssl_channel_credentials(
            root_certificates=tls_policy.roots(self.policy),
            private_key=self.policy.read("key"),
            certificate_chain=self.policy.read("cert"),
        )

    # ------------------------------------------------------------------------------------------ HTTP
    @property
    def http_bridged(self) -> bool:
        """Whether HTTP goes through a bridge, as gRPC does: httpx has no SOCKS5 of its own, dials whom it asks, takes
        what a proxy answers to a plain request for the server's answer, and does not tell why a tunnel did not open.
        """
        return self._single_entry or self.decision.proxy is not None

    def http_client(self, *, timeout: float, **settings: Any) -> httpx.AsyncClient:
        """An httpx client that goes this way; `settings` are httpx's own. An answer has `timeout` seconds, a connection
        with its TLS no more than `connect_timeout`. Belongs to the running loop.
        """
        import httpx

        from watchmanager._driver.sockets import careful

        settings["timeout"] = httpx.Timeout(timeout, connect=min(timeout, self.connect_timeout))
        verify: ssl.SSLContext | bool = self.http_context or False
        if self.policy is not None and self.server_name != self.target.host:

            async def name(request: httpx.Request) -> None:
                request.extensions["sni_hostname"] = self.server_name

            settings = {**settings, "event_hooks": {"request": [name]}}
        if self.http_bridged:
            bridge = self.open_bridge(grpc=False)
            return httpx.AsyncClient(transport=_bridged(bridge, verify), trust_env=False, **settings)
        transport = careful(httpx.AsyncHTTPTransport(verify=verify, trust_env=False))
        return httpx.AsyncClient(transport=transport, trust_env=False, **settings)


def _bridged(bridge: Bridge, verify: ssl.SSLContext | bool) -> httpx.AsyncBaseTransport:
    import httpx

    from watchmanager._driver.sockets import careful

    class Bridged(httpx.AsyncHTTPTransport):
        """Dials the near end of a bridge, and takes the bridge along when it goes."""

        async def aclose(self) -> None:
            await super().aclose()
            await bridge.aclose()

        async def __aexit__(self, *about: Any) -> None:
            # httpx leaves a client's `async with` by this door, not by `aclose`.
            await super().__aexit__(*about)
            await bridge.aclose()

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                return await super().handle_async_request(request)
            except (httpx.TransportError, OSError) as error:
                if bridge.failure is not None:
                    raise httpx.ConnectError(str(bridge.failure), request=request) from bridge.failure
                raise error

    if bridge.path is not None:
        return careful(Bridged(uds=bridge.path, verify=verify))
    assert bridge.proxy_url is not None
    return careful(Bridged(proxy=httpx.Proxy(bridge.proxy_url), verify=verify))


class Link:
    """A gRPC channel over a route, with its bridge where there is one. Made in the running loop, connects when used."""

    def __init__(self, route: Route, options: list[tuple[str, Any]]) -> None:
        self._bridge = route.open_bridge(grpc=True) if route.bridged else None
        self.keepalive_factor = 1.0
        self.streams = 0
        """How many are on it, or may be."""
        name = route.server_name
        every = list(options)
        address = str(route.destination)
        if self._bridge is not None:
            every.append(("grpc.default_authority", route.authority))
            if self._bridge.path is not None:
                address = f"unix:{self._bridge.path}"
                every.append(("grpc.enable_http_proxy", 0))
            else:
                address = f"dns:///{GRPC_PLACEHOLDER}"
                every.append(("grpc.http_proxy", self._bridge.proxy_url))
        else:
            every.append(("grpc.enable_http_proxy", 0))
            if route.destination != route.target or name != route.target.host:
                every.append(("grpc.default_authority", route.authority))
        credentials = route.credentials
        if credentials is None:
            if route.terminates is not None:
                # The bridge speaks TLS; `:scheme` should still say what the server sees.
                every.append(("grpc.http2_scheme", "https"))
            self.channel = grpc.aio.insecure_channel(address, options=every)
        else:
            if self._bridge is not None or name != route.target.host:
                # With grpcio 1.85 the authority alone would do (measured); this says it in the documented way.
                every.append(("grpc.ssl_target_name_override", name))
            self.channel = grpc.aio.secure_channel(address, credentials, options=every)

    @property
    def bridge(self) -> Bridge | None:
        return self._bridge

    def cause(self) -> WatchError | None:
        """Why the newest connection failed, where that is better known than grpcio's UNAVAILABLE tells."""
        failure = None if self._bridge is None else self._bridge.failure
        return None if failure is None else copy.copy(failure)  # whoever gets it writes its attempt on it

    async def close(self) -> None:
        """Close the channel with all that is on it, then the bridge."""
        try:
            await self.channel.close()
        finally:
            if self._bridge is not None:
                await self._bridge.aclose()
