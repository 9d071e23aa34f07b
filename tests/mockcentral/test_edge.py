"""An edge in front of somebody else's server: grpc.aio on both sides, nothing of ours but what is between."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

from mockcentral.cli import main
from mockcentral.edge import Edge
from mockcentral.faults.base import Fault
from mockcentral.faults.blackhole import Blackhole
from mockcentral.faults.close import Close
from mockcentral.faults.cut import Cut
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.garbage import Garbage
from mockcentral.faults.goaway import Goaway
from mockcentral.faults.latency import Latency
from mockcentral.faults.lose import Lose
from mockcentral.faults.ping_ack import PingAck
from mockcentral.faults.ping_flood import PingFlood
from mockcentral.faults.reframe import ReframeConnection
from mockcentral.faults.reset import Reset
from mockcentral.faults.settings_storm import SettingsStorm
from mockcentral.faults.tls_expired import TlsExpired
from mockcentral.faults.window import Window
from mockcentral.scenario.errors import ScenarioError
from mockcentral.scenario.load import load
from mockcentral.scenario.schema import Attempt, FaultRule, Scenario
from mockcentral.scenario.types import Anchor, Code, Duration, Span

PATIENCE = 20.0
STREAM, ECHO = "/test.Service/Stream", "/test.Service/Echo"
MESSAGES = 5


class Server:
    """A grpc.aio.server: `Echo` answers, `Stream` echoes every message and says `MESSAGES` of its own first."""

    async def __aenter__(self) -> Server:
        self.cancelled = asyncio.Event()
        self._server = grpc.aio.server()
        handlers: dict[str, Any] = {
            "Stream": grpc.stream_stream_rpc_method_handler(self._stream),
            "Echo": grpc.unary_unary_rpc_method_handler(self._echo),
        }
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Service", handlers),))
        self.port = self._server.add_insecure_port("127.0.0.1:0")
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(None)

    async def _stream(self, requests: AsyncIterator[bytes], context: Any) -> AsyncIterator[bytes]:
        context.add_done_callback(lambda _: self.cancelled.set())
        for number in range(MESSAGES):
            yield b"message %d" % number
        async for request in requests:
            yield request

    @staticmethod
    async def _echo(request: bytes, context: Any) -> bytes:
        return request


def played(*faults: tuple[str, Fault], **more: Any) -> Scenario:
    """A scenario of faults, each with its moment."""
    rules = tuple(
        FaultRule(name=f"f{number}", on=_anchor(on), do=fault, **more) for number, (on, fault) in enumerate(faults)
    )
    return Scenario(scenario="test", about="a test", faults=rules, needs=("wire",))


def _anchor(text: str) -> Anchor:
    name, _, nth = text.rstrip(")").partition("(")
    return Anchor(name, int(nth)) if nth else Anchor(name)


Work = Callable[[Edge, grpc.aio.Channel, Server], Awaitable[None]]


def through(scenario: Scenario | None, work: Work, *options: tuple[str, Any], **edge: Any) -> list[dict[str, Any]]:
    """Run a client through an edge to the server; returns the journal."""

    async def main() -> list[dict[str, Any]]:
        async with Server() as server:
            passing = Edge(f"127.0.0.1:{server.port}", scenario, **edge)
            async with passing:
                fresh = ("grpc.use_local_subchannel_pool", 1)
                async with grpc.aio.insecure_channel(passing.address, options=[fresh, *options]) as channel:
                    await asyncio.wait_for(work(passing, channel, server), PATIENCE)
                return passing.journal()

    return asyncio.run(main())


def stream(channel: grpc.aio.Channel) -> Any:
    method: Any = channel.stream_stream(STREAM)
    return method()


async def failure(awaited: Awaitable[Any]) -> grpc.aio.AioRpcError:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await awaited
    return caught.value


async def read_all(call: Any) -> list[bytes]:
    return [message async for message in call]


async def journaled(edge: Edge, **fields: Any) -> None:
    """Until a line with these fields is in the journal."""
    await asyncio.to_thread(
        edge.wait_for, lambda line: all(line.get(key) == value for key, value in fields.items()), PATIENCE
    )


# ------------------------------------------------------------------------------------------ passing through
def test_calls_pass_through_whatever_their_size_and_are_journaled() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        for size in (0, 10, 100_000, 3_000_000):
            assert len(await echo(bytes(size))) == size
        call = stream(channel)
        assert [await call.read() for _ in range(MESSAGES)] == [b"message %d" % number for number in range(MESSAGES)]
        await call.write(b"x" * 1_000_000)
        assert len(await call.read()) == 1_000_000
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK
        await journaled(edge, kind="stream.end", attempt=5)

    journal = through(None, work)
    kinds = [line["kind"] for line in journal]
    assert kinds.count("stream.open") == kinds.count("stream.end") == 5
    assert kinds.count("conn.open") == 1
    ends = [line for line in journal if line["kind"] == "stream.end"]
    assert {(line["by"], line["reason"]) for line in ends} == {("server", "END_STREAM")}
    assert journal[0]["upstream"].startswith("127.0.0.1:")


def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        call = stream(channel)
        await call.read()
        call.cancel()
        await server.cancelled.wait()
        await journaled(edge, kind="stream.end", by="client")

    through(None, work)


def test_who_does_not_read_is_not_sent_more_than_the_windows_and_a_bounded_rest() -> None:
    async def main() -> int:
        sent = 0

        async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await reader.read(1)
            frame = (16384).to_bytes(3, "big") + b"\0\0\0\0\0\1" + bytes(16384)
            while True:
                writer.write(frame)
                await writer.drain()
                sent += len(frame)

        server = await asyncio.start_server(flood, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with Edge(f"127.0.0.1:{port}") as edge:
            host, _, number = edge.address.rpartition(":")
            _reader, writer = await asyncio.open_connection(host, int(number), limit=1024)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\4" + bytes(5))
            # Until nothing more is taken: the sum stands still over several looks.
            before, still = -1, 0
            while still < 5:
                await asyncio.sleep(0.05)
                still = still + 1 if sent == before and sent else 0
                before = sent
            writer.transport.abort()
        server.close()
        return sent

    assert 0 < asyncio.run(asyncio.wait_for(main(), PATIENCE)) < 32 * 1024 * 1024


def test_a_server_that_is_not_there_is_a_connection_that_breaks() -> None:
    async def main() -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            async with Edge(f"127.0.0.1:{free.getsockname()[1]}") as edge:
                async with grpc.aio.insecure_channel(edge.address) as channel:
                    error = await failure(stream(channel).read())
                    assert error.code() is grpc.StatusCode.UNAVAILABLE
                line = next(line for line in edge.journal() if line["kind"] == "conn.close")
                assert "cannot be reached" in line["reason"]

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_a_server_that_goes_away_takes_the_connection_with_it() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        call = stream(channel)
        waiting = asyncio.ensure_future(read_all(call))
        await journaled(edge, kind="stream.open")
        stopping = asyncio.ensure_future(server._server.stop(None))
        await failure(waiting)  # UNAVAILABLE, or CANCELLED: the server says goodbye to its calls first
        await stopping
        await journaled(edge, kind="conn.close")

    through(None, work)


# ------------------------------------------------------------------------------------------ faults
def receipts(journal: list[dict[str, Any]]) -> set[str]:
    return {line["fault"] for line in journal if line["kind"] == "fault.on_wire"}


def test_a_reset_is_felt_by_the_client_and_the_server() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        error = await failure(read_all(stream(channel)))
        assert error.code() in (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNAVAILABLE)
        await server.cancelled.wait()
        # The connection is well: the next call on it too.
        call = stream(channel)
        assert [await call.read() for _ in range(MESSAGES)][-1] == b"message 4"

    journal = through(played(("stream_open(1)", Reset()), after=Span(0.1, 0.1)), work)
    assert receipts(journal) == {"f0"}
    assert [line["kind"] for line in journal].count("conn.open") == 1


def test_a_goaway_makes_the_client_take_another_connection() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        old = stream(channel)
        await old.read()
        await journaled(edge, kind="fault.on_wire", fault="f0")
        assert await old.read() == b"message 1"
        while True:  # until the client has heard of it
            new = stream(channel)
            await new.read()
            opened = [line["conn"] for line in edge.journal() if line["kind"] == "stream.open"]
            if len(set(opened)) == 2:
                return

    assert receipts(through(played(("stream_open(1)", Goaway())), work)) == {"f0"}


@pytest.mark.parametrize("fault", [PingAck(delay=None), Blackhole()], ids=["unacked", "black-hole"])
def test_a_peer_that_seems_dead_is_noticed_by_the_clients_keepalive(fault: Fault) -> None:
    keepalive = (
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.http2.ping_timeout_ms", 300),
        ("grpc.http2.max_pings_without_data", 0),
    )

    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        call = stream(channel)
        assert (await failure(read_all(call))).code() is grpc.StatusCode.UNAVAILABLE
        await journaled(edge, kind="conn.close", by="client")

    on = "ping" if isinstance(fault, PingAck) else "stream_open(1)"
    assert receipts(through(played((on, fault)), work, *keepalive)) == {"f0"}


def test_a_healthy_server_acks_the_pings_that_pass_through() -> None:
    keepalive = (
        ("grpc.keepalive_time_ms", 1000),
        ("grpc.http2.ping_timeout_ms", 500),
        ("grpc.http2.max_pings_without_data", 0),
    )

    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        call = stream(channel)
        for _ in range(MESSAGES):
            await call.read()
        await journaled(edge, kind="ping.received", nth=3)
        await call.write(b"still there")
        assert await call.read() == b"still there"

    through(None, work, *keepalive)


def test_storms_and_odd_frames_hurt_neither_side() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        for _ in range(3):
            assert len(await echo(bytes(50_000))) == 50_000

    scenario = played(
        ("preface", SettingsStorm(count=100)), ("preface", ReframeConnection(frame_bytes=100, write_bytes=None))
    )
    journal = through(scenario, work)
    assert receipts(journal) == {"f0", "f1"}
    assert [line["kind"] for line in journal].count("conn.open") == 1


@pytest.mark.parametrize(
    "fault", [PingFlood(count=5), SettingsStorm(count=5), Window(size=100), Garbage(kind="unknown_frame")], ids=str
)
def test_what_is_said_before_the_server_has_spoken_waits_until_it_has(fault: Fault) -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        assert await echo(b"hello") == b"hello"

    journal = through(played(("connect(1)", fault)), work)
    assert receipts(journal) == {"f0"}
    assert [line["kind"] for line in journal].count("conn.open") == 1


def test_a_small_window_lets_a_large_message_through_piece_by_piece() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        for size in (100_000, 10, 200_000):
            assert await echo(b"x" * size) == b"x" * size

    journal = through(played(("connect", Window(size=1000))), work)
    assert receipts(journal) == {"f0"}


def test_who_may_not_send_still_hears_and_is_never_answered() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        call = stream(channel)
        assert [await call.read() for _ in range(MESSAGES)] == [b"message %d" % number for number in range(MESSAGES)]
        await journaled(edge, kind="fault.on_wire")
        echo: Any = channel.unary_unary(ECHO)
        # More than the window it had before, so it does not matter when it heard of the new one.
        error = await failure(echo(b"x" * 100_000, timeout=0.5))
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED

    through(played(("connect", Window(size=0))), work)


def test_a_cut_goes_through_the_middle_of_a_message() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        assert (await failure(_awaited(echo(bytes(50_000))))).code() is not grpc.StatusCode.OK
        assert len(await echo(bytes(50_000))) == 50_000

    assert receipts(through(played(("stream_open(1)", Cut(after=1000))), work)) == {"f0"}


def test_a_cut_may_end_a_stream_with_a_status_of_the_edge() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        error = await failure(_awaited(echo(bytes(50_000))))
        assert (error.code(), error.details()) == (grpc.StatusCode.UNAVAILABLE, "cut off")
        # The compression table of the server's headers is as it was: the next answers are read on this connection.
        for size in (1, 50_000):
            assert len(await echo(bytes(size))) == size
        assert [record["kind"] for record in edge.journal()].count("conn.open") == 1

    assert receipts(through(played(("stream_open(1)", Cut(after=1000, then="end"))), work)) == {"f0"}


async def _awaited(call: Any) -> Any:
    return await call


def test_a_long_line_is_felt() -> None:
    async def work(edge: Edge, channel: grpc.aio.Channel, server: Server) -> None:
        echo: Any = channel.unary_unary(ECHO)
        began = time.monotonic()
        await echo(b"x")
        assert time.monotonic() - began >= 0.2

    assert receipts(through(played(("connect", Latency(delay=Duration(0.1)))), work)) == {"f0"}


def test_a_bad_certificate_is_shown_once_and_the_next_handshake_is_good(tmp_path: Path) -> None:
    async def main() -> None:
        async with Server() as server:
            scenario = played(("connect(1)", TlsExpired()))
            async with Edge(f"127.0.0.1:{server.port}", scenario, tls=True) as edge:
                assert edge.ca_file is not None
                credentials = grpc.ssl_channel_credentials(Path(edge.ca_file).read_bytes())
                async with grpc.aio.secure_channel(edge.address, credentials) as channel:
                    echo: Any = channel.unary_unary(ECHO)
                    error = await failure(_awaited(echo(b"x")))
                    assert "certificate has expired" in str(error.details())
                async with grpc.aio.secure_channel(
                    edge.address, credentials, options=[("grpc.use_local_subchannel_pool", 1)]
                ) as channel:
                    echo = channel.unary_unary(ECHO)
                    assert await echo(b"x", wait_for_ready=True) == b"x"
                assert receipts(edge.journal()) == {"f0"}

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_an_edge_speaks_tls_to_its_upstream_and_says_why_it_cannot() -> None:
    async def echoed(edge: Edge) -> bytes:
        async with edge, grpc.aio.insecure_channel(edge.address) as channel:
            echo: Any = channel.unary_unary(ECHO)
            try:
                return bytes(await echo(b"x"))
            except grpc.aio.AioRpcError:
                line = next(line for line in edge.journal() if line["kind"] == "conn.close")
                return str(line["reason"]).encode()

    async def main() -> None:
        # An edge with TLS is a server with TLS.
        async with Server() as server, Edge(f"127.0.0.1:{server.port}", tls=True) as inner:
            assert await echoed(Edge(inner.address, upstream_ca=inner.ca_file)) == b"x"
            assert b"cannot be reached: CERTIFICATE_VERIFY_FAILED" in await echoed(
                Edge(inner.address, upstream_tls=True)
            )

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_what_speaks_no_http2_is_told_so() -> None:
    async def main() -> bytes:
        async with Server() as server, Edge(f"127.0.0.1:{server.port}") as edge:
            host, _, port = edge.address.rpartition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            answer = await reader.read()
            writer.close()
            return answer

    answer = asyncio.run(asyncio.wait_for(main(), PATIENCE))
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"An edge passes HTTP/2 on" in answer


# ------------------------------------------------------------------------------------------ what it cannot do
@pytest.mark.parametrize(
    ("scenario", "says"),
    [
        (played(("stream_open", Lose())), "fault rule `f0`: lose needs the fake's own world"),
        (played(("stream_open", EndStatus())), "fault rule `f0`: end_status needs the fake's own world"),
        (played(("event", Close())), "fault rule `f0`: event never happens at an edge: write start, connect, preface,"),
        (played(("stream_open", Cut(after=1, of="events"))), "an edge counts no events"),
        (played(("stream_open", Cut(after=1, then="silence"))), "or let `blackhole: to_client` make it silent"),
        (
            Scenario(scenario="x", about="y", attempts=(Attempt(refuse=Code.UNAVAILABLE),)),
            "attempts: an edge cannot end a call with a status",
        ),
    ],
)
def test_faults_that_need_a_world_are_refused_before_anything_starts(scenario: Scenario, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        Edge("127.0.0.1:1", scenario)
    assert says in str(caught.value)


def test_what_an_edge_cannot_do_is_said_with_its_file_and_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        """scenario: mine
about: Nothing of it can be.
attempts: [{refuse: UNAVAILABLE}]
faults:
  - {name: over, on: stream_open, do: end_status}
  - name: late
    on: event(3)
    given:
      - harvest
    do: close
"""
    )
    with pytest.raises(ScenarioError) as caught:
        Edge("127.0.0.1:1", path)
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[0] for line in lines] == [f"{path}:{number}" for number in (3, 5, 7, 9)]
    assert "end_status needs the fake's own world" in lines[1]


def test_a_fault_that_needs_a_world_is_refused_later_too() -> None:
    with Edge("127.0.0.1:1") as edge, pytest.raises(ScenarioError, match=r"lose needs the fake's own world"):
        edge.arm(FaultRule(name="x", on=Anchor("stream_open"), do=Lose()))


@pytest.mark.parametrize("upstream", ["", "host", ":1", "host:0", "host:65536", "host:x", "host:²", "http://host:1"])
def test_an_upstream_that_is_no_address_is_refused(upstream: str) -> None:
    with pytest.raises(ValueError, match="write HOST:PORT"):
        Edge(upstream)


def test_a_built_in_with_topics_and_traffic_plays_its_faults_only() -> None:
    edge = Edge("127.0.0.1:1", "silent")
    assert edge.left_out == ["topics", "traffic", "expect"]
    assert edge.scenario.faults == load("silent").faults
    assert edge.scenario.traffic == ()
    assert edge.scenario.topics == ()


# ------------------------------------------------------------------------------------------ the command
@pytest.mark.parametrize(("scenario", "named"), [(None, None), ("silent", "silent")])
def test_an_edge_without_a_scenario_names_none(scenario: str | None, named: str | None) -> None:
    with Edge("127.0.0.1:1", scenario) as edge:
        assert edge.context["scenario"] == named


def test_the_command_says_where_it_is_and_ends_as_serve_does(tmp_path: Path) -> None:
    ready, journal = tmp_path / "ready.json", tmp_path / "journal.ndjson"
    flags = ["--upstream", "127.0.0.1:1", "--scenario", "silent", "--seed", "3", "--journal", str(journal)]
    command = [sys.executable, "-m", "mockcentral", "edge", *flags, "--ready-file", str(ready), "--print-ready", "json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        assert process.stdout is not None
        said = json.loads(process.stdout.readline())
        assert json.loads(ready.read_text(encoding="utf-8")) == said
        assert (said["upstream"], said["scenario"], said["seed"], said["pid"]) == (
            "127.0.0.1:1",
            "silent",
            3,
            process.pid,
        )
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate()
        watchdog.cancel()
    assert process.returncode == 143
    assert errors == "mockcentral: an edge plays no topics, traffic, expect: only the faults count\n"
    assert not ready.exists()
    assert json.loads(journal.read_text(encoding="utf-8").splitlines()[0])["kind"] == "world.start"


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ((), "the following arguments are required: --upstream"),
        (("--upstream", "nowhere"), "--upstream: 'nowhere' is no address: write HOST:PORT"),
        (("--upstream", "a:1", "--scenario", "calm", "--cert", "x"), "--cert and --key go together"),
        (("--upstream", "a:1", "--scenario", "flaky"), "end_status needs the fake's own world"),
        (("--upstream", "https://a:1"), "--upstream: 'https://a:1' is no address: write HOST:PORT without a scheme"),
        (
            ("--upstream", "a:1", "--upstream-name", "b"),
            "there is no TLS to the upstream in which its name would count",
        ),
        (("--upstream", "a:1", "--scenario", "clam"), "there is no scenario `clam`"),
        (("--upstream", "a:1", "--store", "e.db"), "--store"),
        (("--upstream", "a:1", "--scenario", "silent", "--scenario", "calm"), "--scenario is given 2 times"),
        (("--upstream", "a:1", "--upstream-ca", "/no/such"), "/no/such: is no PEM file with a CA"),
    ],
)
def test_bad_input_is_said_in_lines_and_exit_code_2(
    flags: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    try:
        code = main(["edge", *flags])
    except SystemExit as exit:  # the parser's way
        code = int(exit.code or 0)
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert says in err
    assert all(line.startswith("mockcentral") for line in err.splitlines())


def test_a_journal_that_cannot_be_written_is_said_before_anything_is_ready(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "mockcentral",
        "edge",
        "--upstream",
        "a:1",
        "--journal",
        str(tmp_path / "no" / "x"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mockcentral: ")
    assert "Traceback" not in done.stderr
