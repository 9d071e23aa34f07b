"""A byte bridge inside the process: grpcio (or httpx) dials its near end, the bridge dials the server in its place.

    grpcio --- UNIX socket in a private directory --- Bridge --- proxy? --- TLS? --- server

So everything that grpcio cannot do becomes possible: SOCKS5, TLS to the proxy, a choice of versions and ciphers, the
real reason why a connection failed. The bridge knows bytes, not frames: HTTP/2 pings travel from end to end, so a peer
that went silent stays silent for grpcio's keepalive to notice, and a slow reader slows the writer down.

Where there are no UNIX sockets (Windows) the near end is a port on the loopback address. Any local user may connect to
such a port, so it behaves as an HTTP proxy that wants a password which only this process knows.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import re
import socket
import ssl
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from watchmanager._driver import tls as tls_policy
from watchmanager._driver.dial import (
    MAX_HEAD,
    Budget,
    ByteStream,
    SocketStream,
    check_alpn,
    start_tls,
    within,
)
from watchmanager.errors import ConnectError, NotGrpcError, WatchError

MAX_UNIX_PATH = 100
"""`sun_path` holds 108 bytes on Linux and 104 on macOS."""
HELLO_SECONDS = 5.0
"""A client of the loopback end gets so long to show the password."""
CLOSING_SECONDS = 0.25
LINGER_SECONDS = 5.0
"""What the far end may still say once the near end has ended."""
BACKLOG = 16

Speaks = Literal["h2", "tls", "any"]
"""What the far end must speak: plain HTTP/2, TLS that passes through, or whatever the two ends agree on."""


@dataclass(frozen=True, slots=True)
class Terminate:
    """Speak TLS in grpcio's place, which sends plain HTTP/2 to the bridge. The certificate must be for `name`."""

    context: ssl.SSLContext
    name: str


class Bridge:
    """Listens from the moment it is made; belongs to the running event loop.

    `dial` opens a connection to the far end and raises a ConnectError. `peer` is the far end's name in messages.
    """

    def __init__(
        self,
        dial: Callable[[Budget], Awaitable[ByteStream]],
        *,
        peer: str,
        terminate: Terminate | None = None,
        speaks: Speaks = "any",
        seconds: float = 20.0,
        loopback: bool | None = None,
    ) -> None:
        self._dial = dial
        self._peer = peer
        self._terminate = terminate
        self._speaks = speaks
        self._seconds = seconds
        self.failure: WatchError | None = None
        """Why the newest connection failed or was cut before the server said anything; None once one succeeds."""
        self.opened = 0
        """Connections accepted so far."""
        self._tasks: set[asyncio.Task[None]] = set()
        self.path: str | None = None
        self._secret = ""
        self._directory: str | None = None
        if loopback is None:
            loopback = not hasattr(socket, "AF_UNIX") or os.name == "nt"
        self._listener = self._listen_loopback() if loopback else self._listen_unix()
        self._loop = asyncio.get_running_loop()
        self._accepting: asyncio.Task[None] | None = None
        try:
            self._loop.add_reader(self._listener, self._accept_now)
        except NotImplementedError:  # Windows
            self._accepting = self._loop.create_task(self._accept_later())

    # ------------------------------------------------------------------------------------------ the near end
    def _listen_unix(self) -> socket.socket:
        import shutil  # here and below: every user of the package would pay for what few need
        import tempfile

        directory = tempfile.mkdtemp(prefix="watchmanager-")  # 0700: nobody else can connect
        path = os.path.join(directory, "b")
        if len(os.fsencode(path)) > MAX_UNIX_PATH:
            shutil.rmtree(directory, ignore_errors=True)
            return self._listen_loopback()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(path)
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            shutil.rmtree(directory, ignore_errors=True)
            raise
        self.path = path
        self._directory = directory
        # For a loop that ends without `aclose`.
        self._remove = weakref.finalize(self, shutil.rmtree, directory, True)
        return listener

    def _listen_loopback(self) -> socket.socket:
        import secrets

        self._secret = secrets.token_urlsafe(24)
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            listener.bind(("127.0.0.1", 0))
            listener.listen(BACKLOG)
            listener.setblocking(False)
        except BaseException:
            listener.close()
            raise
        return listener

    @property
    def proxy_url(self) -> str | None:
        """The loopback end as a proxy with its password; None where there is a UNIX socket."""
        if self.path is not None:
            return None
        return f"http://bridge:{self._secret}@127.0.0.1:{self._listener.getsockname()[1]}"

    # ------------------------------------------------------------------------------------------ life
    def _accept_now(self) -> None:
        # Not `loop.sock_accept`: a connection it has just taken is lost when its task is cancelled.
        for _ in range(BACKLOG):
            try:
                connected, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionError):
                return
            except OSError:
                # Out of file descriptors, most likely; the loop asks again until it works.
                return
            self._accepted(connected)

    async def _accept_later(self) -> None:
        while True:
            try:
                connected, _ = await self._loop.sock_accept(self._listener)
            except OSError:
                await asyncio.sleep(0.1)
            else:
                self._accepted(connected)

    def _accepted(self, connected: socket.socket) -> None:
        connected.setblocking(False)
        self.opened += 1
        task = self._loop.create_task(self._serve(connected))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never sees its socket.
        task.add_done_callback(lambda _: connected.close())

    async def aclose(self, grace: float = CLOSING_SECONDS) -> None:
        """Stop listening, let connections that are ending end, and cut the rest. Twice is once."""
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        elif self._listener.fileno() >= 0:
            self._loop.remove_reader(self._listener)
        self._listener.close()
        if self._directory is not None:
            self._remove()
        if self._tasks and grace > 0:
            # Whoever dialled us has just closed: a server should see that, and not a reset.
            await asyncio.wait(self._tasks, timeout=grace)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def connections(self) -> int:
        """How many are open or being opened."""
        return len(self._tasks)

    # ------------------------------------------------------------------------------------------ one connection
    async def _serve(self, connected: socket.socket) -> None:
        try:
            near = await SocketStream.wrap(connected)
        except BaseException:
            connected.close()
            raise
        far: ByteStream | None = None
        try:
            if self.path is None and not await self._admitted(near):
                return
            far = await self._reach(near)
            if far is None:
                return
            await self._pump(near, far)
        except WatchError as error:
            # Once the near end has left, what the far end does about it is no news.
            if far is None or not near.ended.is_set():
                self.failure = error
        except OSError as error:
            # Established and then cut: the ends see it themselves.
            if self.failure is None and far is None:
                self.failure = ConnectError(f"{self._peer} cannot be reached: {error}")
        finally:
            # After an orderly end both are closed already, and this does nothing.
            for stream in (near, far):
                if stream is not None:
                    stream.abort()
            with contextlib.suppress(asyncio.CancelledError):
                for stream in (near, far):
                    if stream is not None:
                        await stream.wait_closed()

    async def _reach(self, near: SocketStream) -> ByteStream | None:
        """The far end; None when the near one lost patience meanwhile."""
        reaching = asyncio.ensure_future(self._connect())
        leaving = asyncio.ensure_future(near.ended.wait())
        far: ByteStream | None = None
        try:
            await asyncio.wait([reaching, leaving], return_when=asyncio.FIRST_COMPLETED)
            if reaching.done():
                far = reaching.result()
            return far
        finally:
            leaving.cancel()
            reaching.cancel()
            late, _ = await asyncio.gather(reaching, leaving, return_exceptions=True)
            if far is None and not isinstance(late, BaseException):
                late.abort()

    async def _connect(self) -> ByteStream:
        budget = Budget(self._seconds)
        far = await self._dial(budget)
        if self._terminate is None:
            return far
        try:
            secured = await start_tls(far, self._terminate.context, self._terminate.name, self._peer, budget)
            check_alpn(secured, self._peer)
        except BaseException:
            far.abort()
            raise
        return secured

    async def _pump(self, near: SocketStream, far: ByteStream) -> None:
        """Copy both ways until both ends are done, or one breaks."""
        loop = asyncio.get_running_loop()
        up = loop.create_task(self._copy(near, far))
        down = loop.create_task(self._copy_down(far, near))
        try:
            done, _ = await asyncio.wait([up, down], return_when=asyncio.FIRST_COMPLETED)
            if up in done and up.exception() is None:
                # The near end has left. A far end that has fallen silent would keep both sockets for ever.
                done, _ = await asyncio.wait([up, down], timeout=LINGER_SECONDS)
            else:
                done, _ = await asyncio.wait([up, down], return_when=asyncio.FIRST_EXCEPTION)
            for task in (down, up):
                if task in done:
                    task.result()
            if down not in done:
                return
            near.close()
            far.close()
            await near.wait_closed()
            await far.wait_closed()
        finally:
            for task in (up, down):
                task.cancel()
            await asyncio.gather(up, down, return_exceptions=True)

    @staticmethod
    async def _copy(source: ByteStream, sink: ByteStream) -> None:
        while data := await source.read():
            sink.send(data)
            await sink.drain()
        sink.send_eof()

    async def _copy_down(self, far: ByteStream, near: ByteStream) -> None:
        """As `_copy`, with a look at the first bytes: they tell who speaks there."""
        try:
            first = await far.read()
        except ssl.SSLError as error:
            # With TLS 1.3 a server refuses our certificate only after the handshake.
            raise tls_policy.translate(error, self._peer, None) from error
        except OSError as error:
            raise ConnectError(f"{self._peer} reset the connection before it said anything") from error
        if not first:
            raise ConnectError(f"{self._peer} closed the connection before it said anything")
        self._check_speech(first)
        self.failure = None
        near.send(first)
        await near.drain()
        await self._copy(far, near)

    def _check_speech(self, first: bytes) -> None:
        speaks: Speaks = "h2" if self._terminate is not None else self._speaks
        if speaks == "any":
            return
        if speaks == "tls":
            if first[0] in (0x15, 0x16):
                return
            what = "HTTP without TLS" if first.startswith(b"HTTP/") else "something that is not TLS"
            raise NotGrpcError(f"{self._peer} answers with {what}: use http:// (insecure=True) or another port")
        if first.startswith(b"HTTP/"):
            raise NotGrpcError(f"{self._peer} speaks HTTP/1.1: {first[:40]!r} is no answer to HTTP/2")
        if first[0] == 0x15 and first[1:2] == b"\x03":
            raise NotGrpcError(f"{self._peer} speaks TLS and was asked in plain text: use https://")
        # A server must begin with a SETTINGS frame (RFC 9113 3.4); its type is the fourth byte.
        if len(first) > 3 and first[3] != 4:
            raise NotGrpcError(f"{self._peer} does not speak HTTP/2: it began with {first[:16]!r}")

    # ------------------------------------------------------------------------------------------ the loopback end
    async def _admitted(self, near: SocketStream) -> bool:
        """Answers CONNECT when the password is right. A request with a whole URL, as proxies get it for plain http, is
        turned into one for its server, which is told to close afterwards.
        """
        data = b""
        budget = Budget(HELLO_SECONDS)
        while b"\r\n\r\n" not in data:
            if len(data) > MAX_HEAD:
                return False
            more = await within(budget, near.read(), "a client of the bridge said nothing")
            if not more:
                return False
            data += more
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.split(b"\r\n")
        want = b"Basic " + base64.b64encode(f"bridge:{self._secret}".encode())
        import hmac

        shown = [
            value.strip()
            for name, _, value in (each.partition(b":") for each in lines[1:])
            if name.strip().lower() == b"proxy-authorization"
        ]
        if len(shown) != 1 or not hmac.compare_digest(shown[0], want):
            near.send(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            near.close()
            await near.wait_closed()
            return False
        if lines[0].startswith(b"CONNECT "):
            near.send(b"HTTP/1.1 200 OK\r\n\r\n")
            near.unread(rest)
            return True
        request = re.fullmatch(rb"([A-Z]+) http://[^/ ]+(/[^ ]*)? (HTTP/1\.1)", lines[0])
        if request is None:
            return False
        dropped = (b"proxy-authorization", b"proxy-connection", b"connection")
        kept = [each for each in lines[1:] if each.partition(b":")[0].strip().lower() not in dropped]
        first = b" ".join((request[1], request[2] or b"/", request[3]))
        near.unread(b"\r\n".join([first, *kept, b"Connection: close", b"", rest]))
        return True
