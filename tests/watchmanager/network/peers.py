"""Small real peers on the loopback address: proxies that misbehave on request, TLS servers and their certificates."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import grpc.aio
import trustme

from mockcentral import World
from mockcentral.scenario.schema import Filter, Topic
from watchmanager._core.proxies import Target
from watchmanager._driver.route import Link, Route
from watchmanager._wire import codec
from watchmanager.policy import TLS

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Server:
    """A TCP server in the running loop; `handle` is what it does with a connection."""

    tls: ssl.SSLContext | None = None

    def __init__(self, handle: Handler | None = None, tls: ssl.SSLContext | None = None) -> None:
        if handle is not None:
            self.handle = handle  # type: ignore[assignment, method-assign]
        self.tls = tls
        self.accepted = 0
        self._closing = False
        self._tasks: set[asyncio.Task[None]] = set()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raise NotImplementedError

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Not a coroutine: a task that is cancelled before its first step would leave the transport open."""
        if self._closing:
            writer.transport.abort()
            return
        self.accepted += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: writer.transport.abort())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await self.handle(reader, writer)

    async def __aenter__(self) -> Any:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self._server.close()
        for _ in range(3):  # turns of the loop between accepting a connection and telling us
            await asyncio.sleep(0)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._server.wait_closed(), 5)
        await asyncio.sleep(0)  # aborted transports say goodbye in the next round

    @property
    def target(self) -> Target:
        return Target("127.0.0.1", self.port)


class StrictTls:
    """A TLS server that says why it refuses: asyncio's drops the alert, so this one blocks, in a thread."""

    def __init__(self, context: ssl.SSLContext, *, closes: bool = False) -> None:
        self._context = context
        self._closes = closes  # once TLS stands
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.target = Target("127.0.0.1", self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run)
        self.reasons: list[str] = []

    def _run(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            # The spare outlives `wrap_socket`, which closes what it was given when the handshake fails.
            with connected, connected.dup() as spare, contextlib.suppress(OSError):
                connected.settimeout(10)
                spare.settimeout(10)
                try:
                    secured = self._context.wrap_socket(connected, server_side=True)
                except ssl.SSLError as error:
                    self.reasons.append(error.reason)
                    # Closing with something unread would send a reset that overtakes the alert.
                    spare.shutdown(socket.SHUT_WR)
                    while spare.recv(65536):
                        pass
                    continue
                with secured:
                    while not self._closes and secured.recv(65536):
                        pass

    def __enter__(self) -> StrictTls:
        self._thread.start()
        return self

    def __exit__(self, *about: object) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes `accept`
        self._listener.close()
        self._thread.join()


async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads and never answers, until the peer leaves."""
    while await reader.read(65536):
        pass


def answer(data: bytes) -> Handler:
    """A handler that sends `data` once asked anything, and closes."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65536)
        writer.write(data)
        await writer.drain()
        writer.close()
        await hang(reader, writer)

    return handle


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError, RuntimeError):
        if writer.can_write_eof():
            writer.write_eof()
        else:
            writer.close()


class Tunnelling(Server):
    """What both kinds of proxy have in common. `silence()` makes black holes of its tunnels, `cut()` ends them."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, to: Target | None = None) -> None:
        super().__init__(tls=tls)
        self.to = to
        self.asked: list[str] = []
        self.tunnels = 0
        self._swallow = asyncio.Event()
        self._open: list[asyncio.StreamWriter] = []

    def silence(self) -> None:
        self._swallow.set()

    def cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def tunnel(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int) -> None:
        self.asked.append(f"{host}:{port}")
        if self.to is not None:
            host, port = self.to.host, self.to.port
        # Shielded: cancelled at the wrong moment it would leave a transport that nobody has. It is waited for instead.
        opening = asyncio.ensure_future(asyncio.open_connection(host, port))
        try:
            far_reader, far_writer = await asyncio.shield(opening)
        except asyncio.CancelledError:
            with contextlib.suppress(OSError):
                (await opening)[1].transport.abort()
            raise
        self.tunnels += 1
        self._open += [writer, far_writer]
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        finally:
            far_writer.transport.abort()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not self._swallow.is_set():
                    writer.write(data)
                    await writer.drain()
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            if not self._swallow.is_set():
                writer.write_eof() if writer.can_write_eof() else writer.close()


class ConnectProxy(Tunnelling):
    """An HTTP proxy that knows CONNECT only.

    `user`: "name:password" that it wants, told with `schemes`. `status`: it answers so instead. `mute`: it never
    answers. `cut_head`: it closes in the middle of its answer.
    """

    def __init__(
        self,
        *,
        user: str | None = None,
        status: int | None = None,
        mute: bool = False,
        cut_head: bool = False,
        schemes: tuple[str, ...] = ("Basic",),
        tls: ssl.SSLContext | None = None,
        to: Target | None = None,
    ) -> None:
        super().__init__(tls=tls, to=to)
        self.schemes = schemes
        self.user = user
        self.status = status
        self.mute = mute
        self.cut_head = cut_head

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self.mute:
            await hang(reader, writer)
        if self.cut_head:
            writer.write(b"HTTP/1.1 200 O")
            await writer.drain()
            return
        status = self.status
        if self.user is not None:
            want = base64.b64encode(self.user.encode())
            if b"Proxy-Authorization: Basic " + want + b"\r\n" not in head:
                status = 407
        if status is not None:
            extra = "".join(f'Proxy-Authenticate: {each} realm="x"\r\n' for each in self.schemes if status == 407)
            writer.write(b"HTTP/1.1 %d No\r\n%sContent-Length: 0\r\n\r\n" % (status, extra.encode()))
            await writer.drain()
            writer.close()
            return
        method, where = head.split(b" ", 2)[:2]
        if method == b"CONNECT":
            host, _, port = where.decode().rpartition(":")
            writer.write(b"HTTP/1.1 200 Connection established\r\nX-Proxy: yes\r\n\r\n")
            await self.tunnel(reader, writer, host.strip("[]"), int(port))
            return
        writer.write(b"HTTP/1.1 405 CONNECT only\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()


class SocksProxy(Tunnelling):
    """A SOCKS5 proxy. `user`: "name:password" that it wants. `reply`: it refuses with this code."""

    def __init__(self, *, user: str | None = None, reply: int = 0, to: Target | None = None) -> None:
        super().__init__(to=to)
        self.user = user
        self.reply = reply

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        _, count = await reader.readexactly(2)
        methods = await reader.readexactly(count)
        wanted = 0 if self.user is None else 2
        if wanted not in methods:
            writer.write(b"\x05\xff")
            await writer.drain()
            return
        writer.write(bytes([5, wanted]))
        if self.user is not None:
            name = (await reader.readexactly((await reader.readexactly(2))[1])).decode()
            word = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
            good = f"{name}:{word}" == self.user
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                await writer.drain()
                return
        kind = (await reader.readexactly(4))[3]
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        elif kind == 1:
            host = ".".join(str(each) for each in await reader.readexactly(4))
        else:
            host = (await reader.readexactly(16)).hex()
        port = int.from_bytes(await reader.readexactly(2), "big")
        writer.write(bytes([5, self.reply, 0, 1, 0, 0, 0, 0, 0, 0]))
        if self.reply:
            self.asked.append(f"{host}:{port}")
            await writer.drain()
            return
        await self.tunnel(reader, writer, host, port)


class Certificates:
    """A CA of our own and what it signs, as files in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = trustme.CA()
        self.ca = str(folder / "ca.pem")
        self.authority.cert_pem.write_to_path(self.ca)
        trustme.CA().cert_pem.write_to_path(str(folder / "other.pem"))
        self.other_ca = str(folder / "other.pem")

    def files(self, *names: str, expired: bool = False) -> tuple[str, str]:
        """Certificate and key for these names."""
        past = datetime.datetime(2001, 1, 1, tzinfo=datetime.timezone.utc)
        issued = self.authority.issue_cert(*names, not_after=past) if expired else self.authority.issue_cert(*names)
        stem = self.folder / f"{names[0]}{'-expired' if expired else ''}"
        issued.private_key_pem.write_to_path(f"{stem}.key")
        for number, pem in enumerate(issued.cert_chain_pems):
            pem.write_to_path(f"{stem}.pem", append=number > 0)
        return f"{stem}.pem", f"{stem}.key"

    def server(self, *names: str, alpn: tuple[str, ...] = ("h2",), expired: bool = False) -> ssl.SSLContext:
        """A server's context."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.files(*names, expired=expired))
        if alpn:
            context.set_alpn_protocols(list(alpn))
        return context


SERVICES = Topic(
    name="services",
    filters=(Filter(group="management", kind="APIService"),),
)
CHANGE = {"kind": "APIService", "scope": "Environment/sample-env", "type": "created", "group": "management"}


def publish(world: World, count: int) -> list[int]:
    return world.publish([{**CHANGE, "name": f"service-{number}"} for number in range(count)])


def keepalive(interval: float, timeout: float) -> list[tuple[str, Any]]:
    return [
        ("grpc.keepalive_time_ms", int(interval * 1000)),
        ("grpc.keepalive_timeout_ms", int(timeout * 1000)),
        ("grpc.http2.ping_timeout_ms", int(timeout * 1000)),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.use_local_subchannel_pool", 1),
    ]


async def open_call(link: Link, world: World) -> Any:
    """A watch call on which the subscription was sent and seen by the world."""
    method: Any = link.channel.stream_stream(codec.METHOD, request_serializer=None, response_deserializer=None)
    call = method(metadata=(("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant)))
    seen = len(world.journal())
    await call.write(codec.subscribe(world.topics[0], world.token))
    await asyncio.to_thread(world.wait_for, lambda record: record["kind"] == "stream.request", 10.0, since=seen)
    return call


async def receive(link: Link, world: World, count: int) -> list[int]:
    """The sequences of `count` events that are published once the stream stands."""
    call = await open_call(link, world)
    wanted = publish(world, count)
    got = [codec.decode(await call.read()).sequence for _ in range(count)]
    call.cancel()
    assert got == wanted
    return got


async def refused(link: Link) -> grpc.aio.AioRpcError:
    """How a call ends that cannot get through."""
    method: Any = link.channel.stream_stream(codec.METHOD, request_serializer=None, response_deserializer=None)
    call = method(wait_for_ready=False)
    try:
        while await call.read() is not grpc.aio.EOF:
            pass
    except grpc.aio.AioRpcError as error:
        return error
    raise AssertionError("the call ended with OK")


def world_tls(world: World, **settings: Any) -> TLS:
    return TLS(ca=world.ca_file, **settings)


def route_to(world: World, **settings: Any) -> Route:
    """The way to a world, with its CA trusted when it speaks TLS."""
    tls = settings.pop("tls", None)
    if tls is None and world.ca_file is not None:
        tls = TLS(ca=world.ca_file)
    target = Target.from_address(world.address, tls=tls is not None)
    return Route(target, tls=tls, environ=settings.pop("environ", {}), **settings)
