"""Ways to a server, step by step: name, address, proxy, TLS. Every failure is an error that says which step it was.

A `ByteStream` is what every step gives and what the next one builds on; TLS inside TLS is nothing special. Buffers are
bounded: reading stops while nobody takes what was read, and `drain` waits while the peer does not take what was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import re
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from watchmanager._core.proxies import ProxyServer, Target
from watchmanager._driver import tls as tls_policy
from watchmanager.errors import ConnectError, ConnectTimeout, NameResolutionError, NotGrpcError, ProxyError

CHUNK = 64 * 1024
MAX_HEAD = 16 * 1024
"""A proxy's answer to CONNECT may be so long; more is no answer."""
T = TypeVar("T")


class ByteStream(Protocol):
    """Bytes both ways. I/O failures are raised as OSError (`ssl.SSLError` is one)."""

    async def read(self) -> bytes:
        """Some bytes, none at the end."""

    def unread(self, data: bytes) -> None:
        """Put back what was read too far."""

    def send(self, data: bytes) -> None:
        """Hand over at once; what the peer does not take is kept. Follow with `drain`."""

    async def drain(self) -> None:
        """Until little enough is kept."""

    def send_eof(self) -> None:
        """Say that nothing more comes, reading goes on."""

    def close(self) -> None:
        """End in order: what is kept is sent first."""

    def abort(self) -> None:
        """End now; the peer sees a reset where that can be told."""

    async def wait_closed(self) -> None:
        """Until the socket is gone."""


class SocketStream(asyncio.Protocol):
    """A socket."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._eof = False
        self._lost: BaseException | None = None
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained = asyncio.Event()
        self._drained.set()
        self.ended = asyncio.Event()
        """Set when the peer ended its side or the connection is lost, however much is still to be read."""
        self.closed = asyncio.Event()
        """Set when the socket is gone."""

    @classmethod
    async def wrap(cls, connected: socket.socket) -> SocketStream:
        """A stream on a connected, non-blocking socket, which now belongs to it."""
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(cls, sock=connected)
        return stream

    # -- asyncio.Protocol
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.set_write_buffer_limits(high=CHUNK)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if len(self._buffer) >= CHUNK and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._eof = True
        self.ended.set()
        self._wake()
        return True  # the other direction goes on

    def connection_lost(self, error: Exception | None) -> None:
        self._lost = error or ConnectionResetError("the connection is closed")
        if error is None:
            self._eof = True
        self.ended.set()
        self.closed.set()
        self._drained.set()
        self._wake()

    def pause_writing(self) -> None:
        self._drained.clear()

    def resume_writing(self) -> None:
        self._drained.set()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- ByteStream
    async def read(self) -> bytes:
        while not self._buffer:
            if self._eof:
                return b""
            if self._lost is not None:
                raise self._lost
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        data = bytes(self._buffer)
        self._buffer.clear()
        if self._paused and self._transport is not None and self._lost is None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def unread(self, data: bytes) -> None:
        self._buffer[:0] = data

    def send(self, data: bytes) -> None:
        if self._lost is None and self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    async def drain(self) -> None:
        await self._drained.wait()
        if self._lost is not None:
            raise self._lost if isinstance(self._lost, OSError) else ConnectionResetError(str(self._lost))

    def send_eof(self) -> None:
        if self._lost is None and self._transport is not None and not self._transport.is_closing():
            with contextlib.suppress(OSError):
                self._transport.write_eof()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        if self._transport is None:
            return
        found = self._transport.get_extra_info("socket")
        if found is not None and self._lost is None and found.family in (socket.AF_INET, socket.AF_INET6):
            # With a linger of zero seconds the kernel sends RST: an abrupt end stays abrupt on the other side.
            with contextlib.suppress(OSError):
                found.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
                )
        self._transport.abort()

    async def wait_closed(self) -> None:
        await self.closed.wait()


class TlsStream:
    """TLS over any stream, as its client.

    Everything TLS wants to send goes to the stream below in the same step in which OpenSSL made it: two tasks that use
    one stream, one reading and one writing, cannot change the order of records.
    """

    def __init__(self, below: ByteStream, context: ssl.SSLContext, name: str | None) -> None:
        self._below = below
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name)
        self._back = b""

    @property
    def info(self) -> ssl.SSLObject:
        """Version, cipher, ALPN and certificate, after the handshake."""
        return self._tls

    async def handshake(self) -> None:
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                self._flush()
                await self._feed()
            except ssl.SSLError:
                self._flush()  # the alert that says why
                raise
            else:
                self._flush()
                return

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._below.send(data)

    async def _feed(self) -> None:
        data = await self._below.read()
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    async def read(self) -> bytes:
        if self._back:
            data, self._back = self._back, b""
            return data
        while True:
            try:
                data = self._tls.read(CHUNK)
            except ssl.SSLWantReadError:
                self._flush()  # a key update is answered by reading on
                await self._feed()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                # Many peers close without saying so in TLS; what runs inside has its own ends.
                return b""
            else:
                self._flush()
                return data

    def unread(self, data: bytes) -> None:
        self._back = data + self._back

    def send(self, data: bytes) -> None:
        self._tls.write(data)
        self._flush()

    async def drain(self) -> None:
        await self._below.drain()

    def send_eof(self) -> None:
        # The peer's close_notify is not waited for: `read` meets it.
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        self._below.send_eof()

    def close(self) -> None:
        with contextlib.suppress(ssl.SSLError):
            self._tls.unwrap()
        self._flush()
        self._below.close()

    def abort(self) -> None:
        self._below.abort()

    async def wait_closed(self) -> None:
        await self._below.wait_closed()


class TimeUp(Exception):
    """A deadline passed."""


class Deadline:
    """Cancels its body after so many seconds and raises TimeUp instead.

    `asyncio.timeout` is missing in 3.10, and `asyncio.wait_for` before 3.12 can swallow a cancellation or lose a
    result, which here is an open socket.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._passed = False
        self._handle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None

        def end() -> None:
            self._passed = True
            task.cancel()

        self._handle = asyncio.get_running_loop().call_later(self._seconds, end)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        assert self._handle is not None
        self._handle.cancel()
        if not self._passed:
            return
        task = asyncio.current_task()
        # Whoever cancelled the task as well, from outside, keeps the last word (3.11 and later can tell).
        outside = task is not None and hasattr(task, "uncancel") and task.uncancel() > 0
        if kind is asyncio.CancelledError and not outside:
            raise TimeUp


@dataclass(frozen=True, slots=True)
class Resolved:
    """One address of a name."""

    family: int
    sockaddr: tuple[Any, ...]

    def __str__(self) -> str:
        return str(self.sockaddr[0])


class Budget:
    """Time for all steps of a connection together. Belongs to the running loop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._until = asyncio.get_running_loop().time() + seconds

    @property
    def left(self) -> float:
        return max(0.0, self._until - asyncio.get_running_loop().time())


async def within(budget: Budget, work: Awaitable[T], what: str) -> T:
    """The result of `work`, or ConnectTimeout saying what took too long."""
    try:
        async with Deadline(budget.left):
            return await work
    except TimeUp:
        raise ConnectTimeout(f"{what} within {budget.seconds:g} s") from None


def words(error: OSError) -> str:
    """What the operating system says; asyncio puts the address into the text instead."""
    return os.strerror(error.errno).lower() if error.errno and error.errno > 0 else str(error)


async def resolve(target: Target) -> Sequence[Resolved]:
    """The addresses of a name, at least one. Raises NameResolutionError."""
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        said = getattr(error, "strerror", None) or error
        raise NameResolutionError(f"the name {target.host!r} has no address: {said}") from error
    unique = dict.fromkeys(Resolved(family, address) for family, _, _, _, address in found)
    if not unique:
        raise NameResolutionError(f"the name {target.host!r} has no address")
    return tuple(unique)


async def connect_one(address: Resolved) -> SocketStream:
    """A connection to one address. Raises OSError."""
    loop = asyncio.get_running_loop()
    made = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        made.setblocking(False)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(made, address.sockaddr)
        return await SocketStream.wrap(made)
    except BaseException:
        made.close()
        raise


async def connect(target: Target, addresses: Sequence[Resolved], budget: Budget) -> SocketStream:
    """A connection to the first address that takes one; each gets its share of the time, so that one that
    swallows everything does not hide the next. Raises ConnectError or ConnectTimeout with what each answered.
    """
    refused: list[str] = []
    timed_out = False
    for tried, address in enumerate(addresses):
        share = budget.left / (len(addresses) - tried)
        try:
            async with Deadline(share):
                return await connect_one(address)
        except TimeUp:
            timed_out = True
            refused.append(f"{address}: no answer within {share:.1f} s")
        except OSError as error:
            refused.append(f"{address}: {words(error)}")
    text = f"cannot connect to {target} ({'; '.join(refused)})"
    raise ConnectTimeout(text) if timed_out else ConnectError(text)


async def start_tls(stream: ByteStream, context: ssl.SSLContext, name: str, peer: str, budget: Budget) -> TlsStream:
    """TLS over `stream`; the certificate must be for `name`. Raises TLSError, NotGrpcError or ConnectTimeout."""
    made = TlsStream(stream, context, name)
    try:
        await within(budget, made.handshake(), f"{peer} did not finish the TLS handshake")
    except OSError as error:
        raise tls_policy.translate(error, peer, name) from error
    return made


def check_alpn(stream: TlsStream, peer: str) -> None:
    """Raises NotGrpcError unless the peer agreed to HTTP/2."""
    chosen = stream.info.selected_alpn_protocol()
    if chosen != "h2":
        offered = f"it chose {chosen}" if chosen else "it chose no protocol at all"
        raise NotGrpcError(
            f"{peer} speaks TLS but not HTTP/2 ({offered}); a proxy that opens TLS on the way does this, too: "
            "it must let h2 through or leave this host alone"
        )


async def ask_connect(stream: ByteStream, destination: Target, proxy: ProxyServer, budget: Budget) -> None:
    """HTTP CONNECT (RFC 9110 9.3.6) with Basic credentials. Raises ProxyError with the status, or ConnectTimeout."""
    lines = [f"CONNECT {destination} HTTP/1.1", f"Host: {destination}", "User-Agent: watchmanager"]
    if proxy.basic is not None:
        lines.append(f"Proxy-Authorization: {proxy.basic}")
    stream.send("\r\n".join([*lines, "", ""]).encode("ascii"))
    try:
        head = await within(budget, _head(stream, proxy), f"the proxy {proxy} did not answer CONNECT")
    except OSError as error:
        raise ProxyError(f"the proxy {proxy} closed the connection instead of answering CONNECT") from error
    found = re.match(rb"HTTP/1\.[01] (\d{3})(?: ([^\r\n]*))?\r?\n", head)
    if found is None:
        raise ProxyError(f"{proxy} is no HTTP proxy: it answered {head[:40]!r}")
    status = int(found[1])
    if 200 <= status < 300:
        return
    said = (found[2] or b"").decode("latin-1").strip()[:80]
    advice = ""
    if status == 407:
        schemes = [each.decode() for each in re.findall(rb"(?im)^proxy-authenticate:[ \t]*([\w-]+)", head)]
        basic = not schemes or "basic" in map(str.lower, schemes)
        wanted = "Basic" if basic else " or ".join(schemes)
        if proxy.user is not None:
            advice = f": it does not accept the user {proxy.user!r}"
        else:
            advice = f": it wants {wanted}; write user:password@ before the host"
        if not basic:
            advice += f" (this client speaks Basic, the proxy asks for {wanted})"
    elif status == 403:
        advice = f": it does not allow {destination}"
    raise ProxyError(f"the proxy {proxy} answered {status} {said}".rstrip() + advice, status=status, details=said)


async def _head(stream: ByteStream, proxy: ProxyServer) -> bytes:
    """The final head of an HTTP answer; what follows it is put back."""
    data = b""
    while True:
        end = re.search(rb"\r?\n\r?\n", data)
        if end is not None:
            if re.match(rb"HTTP/1\.1 1\d\d", data):
                data = data[end.end() :]
                continue
            if rest := data[end.end() :]:
                stream.unread(rest)
            return data[: end.end()]
        if len(data) > MAX_HEAD or (len(data) >= 5 and not data.startswith(b"HTTP/")):
            raise ProxyError(f"{proxy} is no HTTP proxy: it answered {data[:40]!r}")
        more = await stream.read()
        if not more:
            raise ProxyError(f"the proxy {proxy} closed the connection instead of answering CONNECT")
        data += more


_SOCKS_REFUSALS = {
    1: "general failure",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    5: "connection refused",
    6: "time to live exceeded",
    7: "command not supported",
    8: "address type not supported",
}


async def ask_socks(
    stream: ByteStream,
    destination: Target,
    proxy: ProxyServer,
    budget: Budget,
    look_up: Callable[[Target], Awaitable[Sequence[Resolved]]] = resolve,
) -> None:
    """SOCKS5 CONNECT (RFC 1928, RFC 1929). `socks5` resolves the name here, `socks5h` there. Raises ProxyError."""
    address = await within(budget, _socks_address(destination, proxy, look_up), f"no address of {destination.host}")
    work = _socks(stream, destination, proxy, address)
    try:
        await within(budget, work, f"the proxy {proxy} did not answer")
    except OSError as error:
        raise ProxyError(f"the proxy {proxy} closed the connection") from error


async def _socks_address(
    destination: Target, proxy: ProxyServer, look_up: Callable[[Target], Awaitable[Sequence[Resolved]]]
) -> bytes:
    host = destination.host
    if proxy.scheme == "socks5" and _packed(host) is None:
        host = str((await look_up(destination))[0])
    packed = _packed(host)
    if packed is not None:
        return (b"\x01" if len(packed) == 4 else b"\x04") + packed
    name = host.encode("ascii")
    if len(name) > 255:
        raise ProxyError(f"the name of the server has {len(name)} bytes; SOCKS5 carries 255")
    return b"\x03" + bytes([len(name)]) + name


def _packed(host: str) -> bytes | None:
    try:
        return ipaddress.ip_address(host.partition("%")[0]).packed
    except ValueError:
        return None


async def _socks(stream: ByteStream, destination: Target, proxy: ProxyServer, address: bytes) -> None:
    answer = _Exactly(stream, proxy)
    stream.send(b"\x05\x01\x00" if proxy.user is None else b"\x05\x02\x00\x02")
    version, method = await answer.read(2)
    if version != 5:
        raise ProxyError(f"{proxy} is no SOCKS5 proxy: it answered with version {version}")
    if method == 2 and proxy.user is not None:
        user, password = proxy.user.encode(), (proxy.password or "").encode()
        stream.send(b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password)
        _, status = await answer.read(2)
        if status != 0:
            raise ProxyError(f"the proxy {proxy} does not accept the user {proxy.user!r}", status=407)
    elif method == 0xFF:
        advice = "wants credentials: write user:password@ before the host"
        raise ProxyError(f"the proxy {proxy} {advice if proxy.user is None else 'takes none we have'}", status=407)
    elif method != 0:
        raise ProxyError(f"the proxy {proxy} chose method {method}, which was not offered")
    stream.send(b"\x05\x01\x00" + address + destination.port.to_bytes(2, "big"))
    version, code, _, kind = await answer.read(4)
    if version != 5:
        raise ProxyError(f"{proxy} is no SOCKS5 proxy: it answered with version {version}")
    if code != 0:
        said = _SOCKS_REFUSALS.get(code, f"code {code}")
        raise ProxyError(f"the proxy {proxy} cannot reach {destination}: {said}", details=said)
    length = {1: 4, 4: 16}.get(kind)
    if length is None:
        (length,) = await answer.read(1)
    await answer.read(length + 2)
    answer.done()


class _Exactly:
    """Reads so many bytes of a stream, and gives back what is left over."""

    def __init__(self, stream: ByteStream, proxy: ProxyServer) -> None:
        self._stream = stream
        self._proxy = proxy
        self._data = b""

    async def read(self, count: int) -> bytes:
        while len(self._data) < count:
            more = await self._stream.read()
            if not more:
                raise ProxyError(f"the proxy {self._proxy} closed the connection")
            self._data += more
        taken, self._data = self._data[:count], self._data[count:]
        return taken

    def done(self) -> None:
        if self._data:
            self._stream.unread(self._data)
            self._data = b""


async def dial(
    destination: Target, proxy: ProxyServer | None, proxy_context: ssl.SSLContext | None, budget: Budget
) -> ByteStream:
    """A stream to `destination`, directly or through `proxy`; within the time there is.

    `proxy_context` is for `https` proxies. Raises a ConnectError.
    """
    first = destination if proxy is None else Target(proxy.host, proxy.port)
    addresses = await within(budget, resolve(first), f"the name {first.host!r} was not resolved")
    stream: ByteStream = await connect(first, addresses, budget)
    if proxy is None:
        return stream
    try:
        return await through(stream, destination, proxy, proxy_context, budget)
    except BaseException:
        stream.abort()
        raise


async def through(
    stream: ByteStream,
    destination: Target,
    proxy: ProxyServer,
    proxy_context: ssl.SSLContext | None,
    budget: Budget,
) -> ByteStream:
    """A stream to `destination` over a connection to its proxy. Raises a ConnectError."""
    if proxy.scheme == "https":
        assert proxy_context is not None
        stream = await start_tls(stream, proxy_context, proxy.host, f"the proxy {proxy}", budget)
    if proxy.scheme in ("http", "https"):
        await ask_connect(stream, destination, proxy, budget)
    else:
        await ask_socks(stream, destination, proxy, budget)
    return stream
