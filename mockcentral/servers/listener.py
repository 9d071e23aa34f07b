"""A bound address and who connects to it. Belongs to the loop it is used in."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any

BACKLOG = 1024
RETRY_SECONDS = 0.1
"""After running out of file descriptors: by then some may have been closed."""


class PortInUse(OSError):
    """The address cannot be bound; the message says which and why."""


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to an address, not listening yet. Raises PortInUse."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        raw.bind((host, port))
    except (OSError, OverflowError) as error:
        raw.close()
        reason = getattr(error, "strerror", None) or str(error)
        raise PortInUse(f"cannot listen on {host}:{port}: {reason}") from None
    raw.setblocking(False)
    return raw


def shown(bound: socket.socket) -> str:
    """The address as clients write it."""
    name, port = bound.getsockname()[:2]
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"


class Listener:
    """Accepts on `bound` from `start` to `stop` and gives each connection a protocol of its own.

    Not `create_server` or `sock_accept`: for some turns of the loop what they have accepted is nobody's, and it stays
    open for ever when the world closes meanwhile; nor could a TLS handshake be ended.
    """

    def __init__(
        self,
        bound: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        loop: asyncio.AbstractEventLoop,
        *,
        tls: ssl.SSLContext | None = None,
        handshake_timeout: float | None = None,
        welcome: Callable[[socket.socket], Coroutine[Any, Any, None]] | None = None,
    ) -> None:
        """`welcome`: what to do with a socket that was accepted, instead of the usual handshake."""
        self._bound = bound
        self._protocol = protocol
        self._loop = loop
        self._tls = tls
        self._handshake_timeout = handshake_timeout if tls else None
        self._welcome = welcome
        self._arriving: set[socket.socket] = set()
        """Accepted, and no transport's yet."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None

    def start(self) -> None:
        self._bound.listen(BACKLOG)
        self._loop.add_reader(self._bound, self._accept)

    def refuse(self) -> None:
        """Accept no more until `start`; the handshakes under way go on. The port stays ours: a bound socket that does
        not listen keeps it. Raises PortInUse when somebody else was quicker.
        """
        address = self._bound.getsockname()[:2]
        self._free()
        self._bound = bind(*address)

    def _free(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
        self._loop.remove_reader(self._bound)
        self._bound.close()

    def stop(self) -> None:
        """Accept no more, end the handshakes under way, free the port. Twice is once."""
        if self._bound.fileno() < 0:
            return
        self._free()
        for task in self._tasks:
            task.cancel()
        for raw in self._arriving:  # a task that is cancelled before its first step never sees its socket
            raw.close()
        self._arriving.clear()

    async def wait_stopped(self) -> None:
        """Until every connection that was accepted is its protocol's or closed."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self) -> None:
        for _ in range(BACKLOG):
            try:
                raw, _ = self._bound.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:  # too many open files
                self._loop.remove_reader(self._bound)
                self._retry = self._loop.call_later(RETRY_SECONDS, self.start)
                return
            raw.setblocking(False)
            self._arriving.add(raw)
            task = self._loop.create_task(self._arrive(raw))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _arrive(self, raw: socket.socket) -> None:
        self._arriving.discard(raw)
        if self._welcome is not None:
            await self._welcome(raw)
            return
        with contextlib.suppress(OSError):  # no TLS client, or it left: SSLError is an OSError
            await self._loop.connect_accepted_socket(
                self._protocol, raw, ssl=self._tls, ssl_handshake_timeout=self._handshake_timeout
            )
