"""Between accepting a connection and telling its protocol the loop takes some turns: nothing may be lost in them."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from typing import Any

import pytest
import trustme

from mockcentral.servers.listener import Listener, PortInUse, bind, shown
from tests.mockcentral.clients import PATIENCE

TURNS = range(6)


class Ends(asyncio.Protocol):
    """Who came, and who is still there."""

    def __init__(self, there: list[asyncio.BaseTransport]) -> None:
        self._there = there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._there.append(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._there.remove(self._transport)


def server_tls() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    return context


async def ended(client: socket.socket) -> None:
    """Until the other side closed or reset it; whatever comes before is read away."""
    with contextlib.suppress(ConnectionError):
        while await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 4096), PATIENCE):
            pass


def dial(bound: socket.socket) -> socket.socket:
    client = socket.create_connection(bound.getsockname()[:2])
    client.setblocking(False)
    return client


@pytest.mark.parametrize("turns", TURNS)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_whoever_was_accepted_when_it_stops_belongs_to_a_protocol_or_is_closed(tls: bool, turns: int) -> None:
    async def main() -> None:
        there: list[asyncio.BaseTransport] = []
        bound = bind("127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        listener = Listener(bound, lambda: Ends(there), loop, tls=server_tls() if tls else None)
        listener.start()
        with dial(bound) as client:
            for _ in range(turns):
                await asyncio.sleep(0)
            listener.stop()
            await listener.wait_stopped()
            for transport in there:
                transport.close()
            await ended(client)
            await asyncio.sleep(0)
            assert not there

    asyncio.run(main())


def test_it_stops_twice_and_its_port_is_free_again() -> None:
    async def main() -> None:
        bound = bind("127.0.0.1", 0)
        port = bound.getsockname()[1]
        listener = Listener(bound, asyncio.Protocol, asyncio.get_running_loop())
        listener.start()
        with pytest.raises(PortInUse, match=f"cannot listen on 127.0.0.1:{port}"):
            bind("127.0.0.1", port)
        listener.stop()
        listener.stop()
        await listener.wait_stopped()
        bind("127.0.0.1", port).close()

    asyncio.run(main())


def test_after_running_out_of_file_descriptors_it_accepts_again() -> None:
    class Poor:
        """A socket whose first `accept` finds no descriptor left."""

        def __init__(self, bound: socket.socket) -> None:
            self.bound, self.refused = bound, 0

        def __getattr__(self, name: str) -> Any:
            return getattr(self.bound, name)

        def accept(self) -> Any:
            if not self.refused:
                self.refused += 1
                raise OSError(errno.EMFILE, "Too many open files")
            return self.bound.accept()

    async def main() -> None:
        there: list[asyncio.BaseTransport] = []
        bound = bind("127.0.0.1", 0)
        poor: Any = Poor(bound)
        arrived = asyncio.Event()

        class Arrives(Ends):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                super().connection_made(transport)
                arrived.set()

        listener = Listener(poor, lambda: Arrives(there), asyncio.get_running_loop())
        listener.start()
        with dial(bound) as client:
            await asyncio.wait_for(arrived.wait(), PATIENCE)
            assert poor.refused == 1
            listener.stop()
            there[0].close()
            await ended(client)

    asyncio.run(main())


@pytest.mark.parametrize(("host", "word"), [("127.0.0.1", "127.0.0.1:"), ("::1", "[::1]:")])
def test_an_address_is_shown_as_clients_write_it(host: str, word: str) -> None:
    with bind(host, 0) as bound:
        assert shown(bound).startswith(word)
