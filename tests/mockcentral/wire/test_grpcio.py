"""The connection against a stock grpcio client, over real sockets and through a driver of forty lines."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import grpc.aio
import pytest

from mockcentral.wire.grpc import (
    CallOpened,
    CallReset,
    HalfClosed,
    MessageReceived,
    PingReceived,
    ServerConnection,
    WireEvent,
    encode_message,
)

WATCH = "/central.events.v1.watch/subscribe"
COUNT = 10_000


class Driver(asyncio.Protocol):
    """Bytes between a socket and a `ServerConnection`; the rules are those of the test."""

    def __init__(self, rules: Callable[[Driver, WireEvent], None]) -> None:
        self.rules = rules
        self.wire = ServerConnection()
        self.events: list[WireEvent] = []
        self.paused = False
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.wire.receive(data):
            self.events.append(event)
            self.rules(self, event)
        self.flush()
        if self.wire.broken:
            self.transport.close()

    def flush(self) -> None:
        while not self.paused and (data := self.wire.data_to_send(65_536)):
            self.transport.write(data)

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        self.flush()


def rules(driver: Driver, event: WireEvent) -> None:
    """A small Central: what a call does is said by its path, its metadata or its first message."""
    wire = driver.wire
    if isinstance(event, CallOpened):
        if event.path != WATCH:
            wire.end(event.stream, 12, f"unknown method {event.path}")
    elif isinstance(event, MessageReceived):
        if event.data == b"backlog":
            wire.send_messages(event.stream, [encode_message(b"%06d" % n + b"x" * 200) for n in range(COUNT)])
            wire.end(event.stream, 14, "Überlast: 100 % voll\n", [("x-why", "test")])
        elif event.data == b"refuse":
            wire.end(event.stream, 7, "no")
        elif event.data == b"reset":
            wire.reset(event.stream, 7)
        elif event.data == b"goaway":
            wire.goaway()
            wire.send_messages(event.stream, [encode_message(b"after goaway")])
            wire.end(event.stream, 0)
        else:
            wire.send_messages(event.stream, (encode_message(b"echo " + event.data),))
    elif isinstance(event, HalfClosed):
        wire.end(event.stream, 0)
    elif isinstance(event, PingReceived):
        wire.ack_ping(event.payload)


class Server:
    """The driver listening in a thread of its own, so that blocking clients can be served."""

    def __init__(self, rules: Callable[[Driver, WireEvent], None]) -> None:
        self.rules = rules
        self.drivers: list[Driver] = []
        self.address = ""
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        server = await self._loop.create_server(self._accept, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()
        self.address = f"{host}:{port}"
        self._started.set()
        await self._stop.wait()
        server.close()
        for driver in self.drivers:
            driver.transport.abort()
        await asyncio.sleep(0)  # the aborted transports close their sockets in the next turn

    def _accept(self) -> Driver:
        driver = Driver(self.rules)
        self.drivers.append(driver)
        return driver

    def __enter__(self) -> Server:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Ask inside the loop until it is true; the timeout only turns a hang into a failure."""

        async def poll() -> None:
            while not condition():
                await asyncio.sleep(0.005)

        asyncio.run_coroutine_threadsafe(asyncio.wait_for(poll(), 20), self._loop).result()


@contextmanager
def serving(rules: Callable[[Driver, WireEvent], None] = rules) -> Iterator[Server]:
    with Server(rules) as server:
        yield server


def options(**more: int) -> list[tuple[str, Any]]:
    # Each test has a connection of its own, not one that grpcio shares between channels.
    return [("grpc.use_local_subchannel_pool", 1), *((name.replace("__", "."), value) for name, value in more.items())]


def blocking(channel: grpc.Channel, path: str = WATCH) -> grpc.StreamStreamMultiCallable[bytes, bytes]:
    return channel.stream_stream(path)


def watching(channel: grpc.aio.Channel) -> grpc.aio.StreamStreamMultiCallable[bytes, bytes]:
    return channel.stream_stream(WATCH)


def talk(server: Server, *requests: bytes, path: str = WATCH, **more: int) -> tuple[list[bytes], grpc.RpcError | Any]:
    """All answers and the end of one blocking call."""
    with grpc.insecure_channel(server.address, options(**more)) as channel:
        call = blocking(channel, path)(iter(requests), timeout=20)
        answers = []
        try:
            for answer in call:
                answers.append(answer)
        except grpc.RpcError as error:
            return answers, error
        return answers, call


def test_a_blocking_call_goes_both_ways() -> None:
    with serving() as server:
        answers, end = talk(server, b"one", b"two", b"x" * 100_000)
        assert answers == [b"echo one", b"echo two", b"echo " + b"x" * 100_000]
        assert end.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("window", [100, 5000, 65_535])
def test_ten_thousand_messages_come_whole_through_small_windows(window: int) -> None:
    with serving() as server:
        # Without bandwidth probing grpcio keeps the stream window we ask for.
        answers, end = talk(server, b"backlog", grpc__http2__lookahead_bytes=window, grpc__http2__bdp_probe=0)
        assert [int(answer[:6]) for answer in answers] == list(range(COUNT))
        assert end.code() is grpc.StatusCode.UNAVAILABLE
        assert end.details() == "Überlast: 100 % voll\n"
        assert ("x-why", "test") in end.trailing_metadata()
        assert server.drivers[0].wire.queued_bytes == 0


def test_an_unknown_path_is_unimplemented() -> None:
    with serving() as server:
        answers, end = talk(server, b"x", path="/no.such/method")
        assert answers == []
        assert end.code() is grpc.StatusCode.UNIMPLEMENTED
        assert end.details() == "unknown method /no.such/method"


@pytest.mark.parametrize(
    ("request_", "code"),
    [(b"refuse", grpc.StatusCode.PERMISSION_DENIED), (b"reset", grpc.StatusCode.UNAVAILABLE)],
)
def test_a_call_may_be_refused_with_trailers_or_with_a_reset(request_: bytes, code: grpc.StatusCode) -> None:
    with serving() as server:
        answers, end = talk(server, request_)
        assert answers == []
        assert end.code() is code


def test_a_goaway_lets_the_open_call_end_in_peace() -> None:
    with serving() as server:
        answers, end = talk(server, b"goaway")
        assert answers == [b"after goaway"]
        assert end.code() is grpc.StatusCode.OK


def test_a_compressed_message_is_unimplemented() -> None:
    with serving() as server, grpc.insecure_channel(server.address, options()) as channel:
        call = blocking(channel)(iter([b"x" * 10_000]), timeout=20, compression=grpc.Compression.Gzip)
        with pytest.raises(grpc.RpcError) as caught:
            next(call)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_cancelled_call_is_seen_as_a_reset() -> None:
    async def client(server: Server) -> None:
        async with grpc.aio.insecure_channel(server.address, options()) as channel:
            call = watching(channel)()
            await call.write(b"hello")
            assert await call.read() == b"echo hello"
            call.cancel()

    with serving() as server:
        asyncio.run(client(server))
        server.wait_for(lambda: any(isinstance(event, CallReset) for event in server.drivers[0].events))
        (reset,) = [event for event in server.drivers[0].events if isinstance(event, CallReset)]
        assert reset.error_code == 8
        assert server.drivers[0].wire.open_streams == 0


def test_asyncio_calls_share_one_connection() -> None:
    async def one(channel: grpc.aio.Channel, number: int) -> list[bytes]:
        async def requests() -> AsyncIterator[bytes]:
            for n in range(20):
                yield b"%d-%d" % (number, n)

        return [answer async for answer in watching(channel)(requests())]

    async def client(server: Server) -> None:
        async with grpc.aio.insecure_channel(server.address, options()) as channel:
            answers = await asyncio.gather(*(one(channel, number) for number in range(50)))
            for number, got in enumerate(answers):
                assert got == [b"echo %d-%d" % (number, n) for n in range(20)]

    with serving() as server:
        asyncio.run(client(server))
        assert len(server.drivers) == 1
        assert server.drivers[0].wire.open_streams == 0


KEEPALIVE = {
    "grpc__keepalive_time_ms": 100,
    "grpc__keepalive_timeout_ms": 300,
    "grpc__http2__ping_timeout_ms": 300,
    "grpc__http2__max_pings_without_data": 0,
    "grpc__keepalive_permit_without_calls": 1,
}


def test_acked_keepalives_leave_the_call_alone() -> None:
    def pings(server: Server) -> int:
        return sum(isinstance(event, PingReceived) for event in server.drivers[0].events)

    async def client(server: Server) -> None:
        async with grpc.aio.insecure_channel(server.address, options(**KEEPALIVE)) as channel:
            call = watching(channel)()
            await call.write(b"hello")
            assert await call.read() == b"echo hello"
            await asyncio.to_thread(server.wait_for, lambda: pings(server) >= 4)
            await call.write(b"still there?")
            assert await call.read() == b"echo still there?"
            await call.done_writing()
            assert await call.read() is grpc.aio.EOF

    with serving() as server:
        asyncio.run(client(server))


def test_withheld_acks_are_noticed_by_the_client() -> None:
    def silent(driver: Driver, event: WireEvent) -> None:
        if not isinstance(event, PingReceived):
            rules(driver, event)

    async def client(server: Server) -> None:
        async with grpc.aio.insecure_channel(server.address, options(**KEEPALIVE)) as channel:
            call = watching(channel)()
            await call.write(b"hello")
            assert await call.read() == b"echo hello"
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call.read()
            assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
            assert "timeout" in str(caught.value.details())

    with serving(silent) as server:
        asyncio.run(asyncio.wait_for(client(server), 50))
