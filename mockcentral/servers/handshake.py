"""TLS handshakes that do not come to an end, on a socket that nobody else reads.

The server's side is OpenSSL's own, over memory; how much of its answer goes out is decided here. Any shell that has
accepted a socket may use it.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable

from mockcentral._core.actions import SpoilHandshake
from mockcentral.wire.tls import old_server_hello

BROKEN = frozenset({"stall", "cut", "old_protocol"})
"""The flaws after which there is no connection in any case; the others only change what is shown."""

MAX_HELLO = 64 * 1024
"""Bytes a client may say before the handshake has to get somewhere."""


async def shake_hands_badly(
    loop: asyncio.AbstractEventLoop,
    raw: socket.socket,
    context: ssl.SSLContext,
    order: SpoilHandshake,
    sent: Callable[[], None],
) -> tuple[str, str]:
    """Answer a client's hello as ordered and wait until it has enough; `sent` is called when our part is out.

    Returns who ended the connection and why; the socket is the caller's to close.
    """
    try:
        answer = await _answer(loop, raw, context)
        if not answer:
            return "client", "closed"
        answer = old_server_hello() if order.flaw == "old_protocol" else answer[: order.after_bytes]
        if answer:
            await loop.sock_sendall(raw, answer)
        sent()
        if order.flaw == "cut":
            return "server", "the TLS handshake was cut off"
        while await loop.sock_recv(raw, 65_536):
            pass
    except OSError as error:
        return "client", type(error).__name__
    return "client", "closed"


async def _answer(loop: asyncio.AbstractEventLoop, raw: socket.socket, context: ssl.SSLContext) -> bytes:
    """What a good server would answer to the client's hello; b"" when there was none."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = context.wrap_bio(incoming, outgoing, server_side=True)
    heard = 0
    while not outgoing.pending and heard < MAX_HELLO:
        data = await loop.sock_recv(raw, 65_536)
        if not data:
            return b""
        heard += len(data)
        incoming.write(data)
        try:
            server.do_handshake()
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:
            return b""
    return outgoing.read()
