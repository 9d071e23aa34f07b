"""The sockets under httpx. httpcore leaves one open whose TLS handshake is cancelled, until the garbage collector
comes: a history that hangs and is asked anew every few seconds would cost a file each time.
"""

from __future__ import annotations

from typing import Any

import httpcore
import httpx


class Stream(httpcore.AsyncNetworkStream):
    """A connection that is closed when its handshake comes to nothing, whatever the reason."""

    def __init__(self, inner: httpcore.AsyncNetworkStream) -> None:
        self._inner = inner
        self.read, self.write, self.aclose = inner.read, inner.write, inner.aclose  # type: ignore[method-assign]
        self.get_extra_info = inner.get_extra_info  # type: ignore[method-assign]

    async def start_tls(self, *arguments: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        try:
            return await self._inner.start_tls(*arguments, **more)
        except BaseException:
            await self._inner.aclose()
            raise


class Backend(httpcore.AsyncNetworkBackend):
    """Another one's connections, as `Stream`."""

    def __init__(self, inner: httpcore.AsyncNetworkBackend) -> None:
        self._inner = inner
        self.sleep = inner.sleep  # type: ignore[method-assign]

    async def connect_tcp(self, *arguments: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        return Stream(await self._inner.connect_tcp(*arguments, **more))

    async def connect_unix_socket(self, *arguments: Any, **more: Any) -> httpcore.AsyncNetworkStream:
        return Stream(await self._inner.connect_unix_socket(*arguments, **more))


def careful(transport: httpx.AsyncHTTPTransport) -> httpx.AsyncHTTPTransport:
    """The same transport, over such connections. httpx has no argument for it; without that attribute it stays as it
    is.
    """
    pool: Any = transport._pool
    if (inner := getattr(pool, "_network_backend", None)) is not None:
        pool._network_backend = Backend(inner)
    return transport
