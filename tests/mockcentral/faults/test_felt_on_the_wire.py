"""Each fault below the events, over real sockets: a stock grpcio client feels it, and its receipt says so."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import h2.config
import h2.connection
import pytest
from google.protobuf import any_pb2

from mockcentral import World
from mockcentral._core.central import Central
from mockcentral.conformance.verdict import Outcome
from mockcentral.faults.registry import FAULTS
from mockcentral.scenario.load import parse_fault
from mockcentral.scenario.schema import Scenario
from mockcentral.servers.pipe import Pipe
from mockcentral.servers.tls import TlsError
from mockcentral.wire.frames import FrameSplitter, Ping, ping_frame, settings_frame
from mockcentral.wire.grpc import PREFACE
from tests.mockcentral.clients import PATIENCE, Watch, arm, raw, service, subscribed, topic


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_topic(topic())
        yield world


def receipt(world: World, count: int = 1) -> dict[str, Any]:
    """The receipt of the fault: it was armed, struck, and reached the wire, in that order."""
    seen: list[dict[str, Any]] = []

    def enough(record: Mapping[str, Any]) -> bool:
        if record["kind"] == "fault.on_wire":
            seen.append(dict(record))
        return len(seen) >= count

    world.wait_for(enough, PATIENCE)
    kinds = [record["kind"] for record in world.journal() if record.get("fault") == "fault"]
    assert kinds[:2] == ["fault.armed", "fault.triggered"]
    [fault] = world.faults()
    assert fault["on_wire"] >= count
    return seen[-1]


def end(watch: Watch) -> tuple[str, str]:
    """How the call ended. A status is only seen behind the events, so they are read first."""
    timer = threading.Timer(PATIENCE, watch.call.cancel)
    timer.start()
    try:
        with contextlib.suppress(grpc.RpcError):
            for _ in watch.call:
                pass
    finally:
        timer.cancel()
    return watch.end()


@pytest.mark.parametrize(
    "do",
    [
        "half_close",
        {"cut": {"after": 10, "then": "end"}},
        {"garbage": "random"},
        {"garbage": "http1"},
        "bad_length",
        "compressed",
        {"goaway": {"last_stream": 0}},
        {"oversize": 5_000_000},
        {"reset": "INTERNAL_ERROR"},
    ],
    ids=str,
)
def test_a_client_that_says_nothing_and_never_comes_back_is_not_believed_to_have_all(world: World, do: object) -> None:
    arm(world, do, "event(2)")
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(f"s{number}") for number in range(8)])
        end(watch)
        world.wait_for(lambda record: record["kind"] == "stream.end", PATIENCE)
        [verdict] = world.verify(["complete"])
    assert verdict.outcome in (Outcome.INCONCLUSIVE, Outcome.FAIL)


@pytest.mark.parametrize(
    "do",
    [
        {"bad_length": 100_000},
        {"cut": {"after": 10, "then": "silence"}},
        {"latency": "1h"},
        {"bandwidth": 1},
        {"coalesce": "1m"},
    ],
    ids=str,
)
def test_a_stream_that_looks_open_is_not_believed_either(world: World, do: object) -> None:
    arm(world, do, "event(2)")
    with Watch(world):
        subscribed(world)
        world.publish([service(f"s{number}") for number in range(8)])
        receipt(world)
        [verdict] = world.verify(["complete"])
    assert verdict.outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    "do",
    [
        {"latency": "20ms"},
        {"bandwidth": 100_000},
        {"coalesce": "20ms"},
        {"garbage": "unknown_frame"},
        "settings_storm",
        "reframe",
        "goaway",
        {"oversize": 1000},
    ],
    ids=str,
)
def test_a_client_that_stays_and_reads_is_believed(world: World, do: object) -> None:
    arm(world, do, "event(2)")
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(f"s{number}") for number in range(8)])
        assert len(watch.events(8)) == 8
        receipt(world)
        if any(record["kind"] == "conn.slow" for record in world.journal()):
            last = max(record["n"] for record in world.journal() if record["kind"] == "stream.event")
            world.wait_for(lambda record: record["kind"] == "conn.drained" and record["n"] > last, PATIENCE)
        [verdict] = world.verify(["complete"])
    assert verdict.outcome is Outcome.PASS


def no_receipt(world: World) -> bool:
    return not [record for record in world.journal() if record["kind"] == "fault.on_wire"]


# ------------------------------------------------------------------------------------------ what ends a stream
ENDS: list[tuple[object, str, str, str]] = [
    ("end_status", "subscribe", "UNAVAILABLE", ""),
    ({"end_status": {"code": "DATA_LOSS", "message": "100 % gone"}}, "subscribe", "DATA_LOSS", "100 % gone"),
    ({"refuse": "PERMISSION_DENIED"}, "stream_open", "PERMISSION_DENIED", ""),
    ({"refuse": "RESOURCE_EXHAUSTED"}, "subscribe", "RESOURCE_EXHAUSTED", ""),
    ("no_trailers", "subscribe", "INTERNAL", "END_STREAM"),
    ("no_trailers", "event", "INTERNAL", "END_STREAM"),
    ({"late_trailers": {"delay": "20ms", "code": "ABORTED"}}, "subscribe", "ABORTED", ""),
    ("headers_only", "stream_open", "UNKNOWN", "No status received"),
    ("headers_only", "subscribe", "UNKNOWN", "No status received"),
    ({"wrong_content_type": {"status": 502, "body": "<h1>Bad Gateway"}}, "subscribe", "UNAVAILABLE", "status: 502"),
    ({"wrong_content_type": {"status": 302}}, "stream_open", "UNKNOWN", "status: 302"),
    ({"wrong_content_type": {"body": "<h1>Log in"}}, "stream_open", "INTERNAL", "END_STREAM"),
    ("bad_length", "event", "RESOURCE_EXHAUSTED", "larger than max"),
    ("compressed", "event", "INTERNAL", "Compression bit set"),
    ({"cut": 100}, "subscribe", "INTERNAL", "RST_STREAM"),
    ({"cut": {"after": 100, "then": "end"}}, "subscribe", "UNAVAILABLE", "cut off"),
    ({"cut": {"after": 100, "then": "close"}}, "subscribe", "UNAVAILABLE", "Socket closed"),
    ({"cut": {"after": 0, "then": "end"}}, "subscribe", "UNAVAILABLE", "cut off"),
    ({"cut": {"after": 100, "then": "abort"}}, "subscribe", "UNAVAILABLE", ""),
    ({"cut": {"after": 2, "of": "events", "then": "end"}}, "subscribe", "UNAVAILABLE", "cut off"),
    ({"cut": {"after": 0, "of": "events", "then": "end"}}, "subscribe", "UNAVAILABLE", "cut off"),
    ({"reset": "REFUSED_STREAM"}, "subscribe", "UNAVAILABLE", "error code 7"),
    ({"reset": "ENHANCE_YOUR_CALM"}, "event", "RESOURCE_EXHAUSTED", "error code 11"),
    ({"goaway": {"last_stream": 0}}, "subscribe", "UNAVAILABLE", "GOAWAY received; Error code: 0"),
    ({"goaway": {"manner": "abrupt", "error_code": 2, "debug": "bye"}}, "subscribe", "UNAVAILABLE", "Debug Text: bye"),
    ({"goaway": {"manner": "graceful", "drain": "20ms"}}, "subscribe", "UNAVAILABLE", "GOAWAY received"),
    ({"garbage": "random"}, "subscribe", "UNKNOWN", "Failed parsing HTTP/2"),
    ({"garbage": "oversize_frame"}, "subscribe", "UNKNOWN", "Frame size 16777215"),
    ({"garbage": "bad_hpack"}, "subscribe", "INTERNAL", "hpack"),
    ({"garbage": "http1"}, "subscribe", "UNAVAILABLE", "http1.x server (HTTP status 502)"),
    ("close", "subscribe", "UNAVAILABLE", "Socket closed"),
    ("half_close", "subscribe", "UNAVAILABLE", "Socket closed"),
    ("abort", "subscribe", "UNAVAILABLE", "reset by peer"),
    ("abort", "connect", "UNAVAILABLE", "reset by peer"),
]


@pytest.mark.parametrize(("do", "on", "code", "says"), ENDS, ids=lambda value: str(value))
def test_a_stream_ends_as_the_fault_wants_it(world: World, do: object, on: str, code: str, says: str) -> None:
    arm(world, do, on)
    with Watch(world) as watch:
        if on in ("event", "subscribe"):
            world.wait_for(lambda record: record.get("request") == "subscribe", PATIENCE)
            world.publish([service(f"s{number}") for number in range(3)])
        found, details = end(watch)
    assert found == code
    assert says in details
    receipt(world)
    with Watch(world):  # it comes back for what was taken from it
        world.wait_for(lambda record: record["kind"] == "fault.observed", PATIENCE)


def test_a_stream_ends_with_details_about_why(world: World) -> None:
    arm(
        world,
        {"end_status": {"code": "RESOURCE_EXHAUSTED", "message": "ü", "reason": "QUOTA", "retry_delay": "1500ms"}},
        "subscribe",
    )
    with Watch(world) as watch:
        assert end(watch)[0] == "RESOURCE_EXHAUSTED"
        trailers = dict(watch.call.trailing_metadata())
    status = trailers["grpc-status-details-bin"]
    assert status.startswith(b"\x08\x08\x12\x02" + "ü".encode())
    info, retry = (any_pb2.Any.FromString(part) for part in _fields(status, 3))
    assert info.type_url == "type.googleapis.com/google.rpc.ErrorInfo"
    assert _fields(info.value, 1) == [b"QUOTA"]
    assert retry.type_url == "type.googleapis.com/google.rpc.RetryInfo"
    [duration] = _fields(retry.value, 1)
    assert duration == b"\x08\x01\x10\x80\xca\xb5\xee\x01"  # 1 s and 500,000,000 ns
    receipt(world)


def test_details_may_be_rubbish(world: World) -> None:
    arm(world, {"end_status": {"broken_details": True}}, "subscribe")
    with Watch(world) as watch:
        assert end(watch)[0] == "UNAVAILABLE"
        assert dict(watch.call.trailing_metadata())["grpc-status-details-bin"] == b"\xff\xff\xff\xff"


def _fields(data: bytes, number: int) -> list[bytes]:
    """The length-delimited fields of this number in a serialized message."""
    found, at = [], 0
    while at < len(data):
        tag, at = data[at], at + 1
        value, shift = 0, 0
        while True:
            byte, at = data[at], at + 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if tag & 7 == 2:
            if tag >> 3 == number:
                found.append(data[at : at + value])
            at += value
    return found


# ------------------------------------------------------------------------------------------ what a stream lives through
LIVES: list[tuple[object, str]] = [  # what each does to the bytes is below
    ("noop", "subscribe"),
    ("goaway", "subscribe"),
    ({"settings_storm": 100}, "subscribe"),
    ({"ping_flood": 100}, "subscribe"),
    ("reframe", "connect"),
    ("reframe", "stream_open"),
    ({"reframe": {"frame_bytes": 1, "write_bytes": 1, "empty": True}}, "stream_open"),
    ({"coalesce": "50ms"}, "stream_open"),
    ({"garbage": "unknown_frame"}, "subscribe"),
    ({"latency": {"delay": "20ms", "jitter": "10ms"}}, "connect"),
    ({"bandwidth": 20_000}, "connect"),
    ({"slow_accept": "50ms"}, "connect"),
    ({"window": 1}, "stream_open"),
    ({"window": 1}, "connect"),
    ({"wrong_content_type": {"content_type": "application/grpc-web"}}, "stream_open"),
    ({"too_many_pings": {"strikes": 1000}}, "connect"),
]


@pytest.mark.parametrize(("do", "on"), LIVES, ids=lambda value: str(value))
def test_a_stream_lives_through_it_and_gets_every_event(world: World, do: object, on: str) -> None:
    name = arm(world, do, on)
    with Watch(world) as watch:
        subscribed(world)
        sequences = world.publish([service(f"s{number}") for number in range(5)])
        assert watch.sequences(5) == sequences
        watch.subscribe(token=world.issue_token())
        world.wait_for(lambda record: record.get("request") == "token_refresh", PATIENCE)
        world.barrier()
    if name in ("noop", "too_many_pings"):  # the one does nothing, the other had no reason to
        assert no_receipt(world)
    else:
        receipt(world)
        assert world.faults()[0]["observed"] == 1  # it acked a PING that came behind


def test_every_settings_frame_and_every_ping_is_answered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The barrier's PING comes behind them, so its ack comes behind all of theirs."""
    arm(world, {"ping_flood": 300}, "subscribe")
    heard: list[bytes] = []
    original = Central.ping_acked

    def listen(central: Central, id: int, payload: bytes, now: float) -> None:
        heard.append(payload)
        original(central, id, payload, now)

    monkeypatch.setattr(Central, "ping_acked", listen)
    with Watch(world) as watch:
        subscribed(world)
        assert world.barrier() == 1
        assert [int.from_bytes(payload, "big") for payload in heard[:300]] == list(range(1, 301))
        assert watch.call.is_active()


# ------------------------------------------------------------------------------------------ what it does to the bytes
HELLO = PREFACE + settings_frame({}) + ping_frame(b"question")


def reads(world: World, enough: Callable[[bytes], bool], said: bytes = HELLO) -> tuple[list[bytes], float]:
    """What a client reads, piece by piece, until it is enough, and how many seconds that took since it connected."""
    pieces: list[bytes] = []
    began = time.monotonic()
    with raw(world.address) as connection:
        connection.sendall(said)
        while not enough(b"".join(pieces)):
            pieces.append(connection.recv(65_536))
            assert pieces[-1], "the connection ended"
    return pieces, time.monotonic() - began


def frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """The whole frames in these bytes: type, flags, payload."""
    found, at = [], 0
    while len(data) - at >= 9 and len(data) - at - 9 >= (size := int.from_bytes(data[at : at + 3], "big")):
        found.append((data[at + 3], data[at + 4], data[at + 9 : at + 9 + size]))
        at += 9 + size
    return found


def acked(data: bytes) -> bool:
    return (0x6, 0x1, b"question") in frames(data)


@pytest.mark.parametrize(
    ("do", "at_least"),
    [
        ({"latency": "40ms"}, 0.08),  # there and back
        ({"latency": {"delay": "40ms", "direction": "to_client"}}, 0.04),
        ({"latency": {"delay": "40ms", "direction": "from_client"}}, 0.04),
        ({"slow_accept": "40ms"}, 0.04),
        ({"bandwidth": {"rate": 1000, "direction": "from_client"}}, len(HELLO) / 1000),
        ({"coalesce": "40ms"}, 0.0),
    ],
    ids=str,
)
def test_an_answer_takes_its_time(world: World, do: object, at_least: float) -> None:
    arm(world, do, "connect")
    _, took = reads(world, acked)
    assert took >= at_least
    receipt(world)


def test_what_is_gathered_leaves_in_one_piece(world: World) -> None:
    arm(world, {"coalesce": "100ms"}, "connect")
    pieces, took = reads(world, acked)
    assert took >= 0.1
    assert len(pieces) == 1
    assert len(frames(pieces[0])) >= 3  # our SETTINGS, an ack of theirs, the ack of the PING


def test_segments_are_as_small_as_asked_for(world: World) -> None:
    arm(world, {"reframe": {"frame_bytes": None, "write_bytes": 1}}, "connect")
    writes: list[int] = []
    pipe = Pipe.send

    def send(self: Pipe, data: bytes) -> None:
        writes.append(len(data))
        pipe(self, data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Pipe, "send", send)
        pieces, _ = reads(world, acked)
    assert set(writes) == {1}
    assert len(writes) == len(b"".join(pieces))


def test_the_window_is_what_the_client_is_told_and_given_back_byte_by_byte(world: World) -> None:
    arm(world, {"window": 1}, "connect")
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding=None))
    client.initiate_connection()
    pairs = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", "/apis")]
    client.send_headers(1, pairs)
    updates, heard = (0x8, 0, b"\0\0\0\1"), b""
    with raw(world.address) as connection:
        connection.sendall(client.data_to_send())
        for count in (2, 4):  # one byte is given back on the stream and one on the connection
            while (0x4, 0, b"\0\4\0\0\0\1") not in frames(heard):  # SETTINGS_INITIAL_WINDOW_SIZE 1
                heard += connection.recv(65_536)
            client.send_data(1, b"x")
            connection.sendall(client.data_to_send())
            while frames(heard).count(updates) < count:
                heard += connection.recv(65_536)
    receipt(world)


def test_a_storm_is_as_many_frames_as_asked_for(world: World) -> None:
    arm(world, {"settings_storm": 50}, "ping(1)")
    pieces, _ = reads(world, acked)
    assert sum(kind == 0x4 and not flags for kind, flags, _ in frames(b"".join(pieces))) == 51  # with the first one
    receipt(world)


@pytest.mark.parametrize(
    "kind", ["random", "unknown_frame", "oversize_frame", "data_on_stream_0", "bad_hpack", "http1"]
)
def test_the_same_seed_says_the_same_garbage(kind: str) -> None:
    heard = []
    for _ in range(2):
        with World(seed=5) as world:
            arm(world, {"garbage": kind}, "ping(1)")
            pieces, _ = reads(world, lambda data: b"answered" in data, HELLO + ping_frame(b"answered"))
            heard.append(b"".join(pieces))
            receipt(world)
    assert heard[0] == heard[1]


# ------------------------------------------------------------------------------------------ PINGs
KEEPALIVE: dict[str, int | str] = {
    "grpc.keepalive_time_ms": 200,
    "grpc.keepalive_timeout_ms": 200,
    "grpc.http2.ping_timeout_ms": 200,
    "grpc.keepalive_permit_without_calls": 1,
    "grpc.http2.max_pings_without_data": 0,
}


def acks(world: World, count: int, *, wanted: int) -> list[bytes]:
    """The payloads of the first acks to so many PINGs."""
    splitter, found = FrameSplitter(), list[bytes]()
    splitter.feed(PREFACE)  # it expects to read a client, which begins with these bytes
    with raw(world.address) as connection:
        connection.sendall(PREFACE + settings_frame({}) + ping_frame(b"question") * count)
        while len(found) < wanted:
            for item in splitter.feed(connection.recv(65_536)):
                if isinstance(item, Ping) and item.ack:
                    found.append(item.payload)
    return found


def test_a_ping_is_acked_twice(world: World) -> None:
    arm(world, {"ping_ack": "double"}, "ping(2)")
    assert acks(world, 3, wanted=4) == [b"question"] * 4
    receipt(world)


def test_a_ping_is_acked_with_a_payload_nobody_sent(world: World) -> None:
    arm(world, {"ping_ack": "wrong"}, "ping(2+)", times=None)
    first, second, third = acks(world, 3, wanted=3)
    assert first == b"question"
    assert b"question" not in (second, third)
    assert second != third
    receipt(world, 2)


@pytest.mark.parametrize("do", [{"ping_ack": "withhold"}, {"ping_ack": "wrong"}, {"ping_ack": "1h"}], ids=str)
def test_a_client_without_its_ack_gives_the_connection_up(world: World, do: object) -> None:
    arm(world, do, "ping(2+)", times=None)
    with Watch(world, options=KEEPALIVE) as watch:
        assert end(watch)[0] == "UNAVAILABLE"
    receipt(world)


def test_a_client_that_pings_too_often_is_told_to_calm_down(world: World) -> None:
    arm(world, {"too_many_pings": {"min_interval": "1h", "strikes": 0}}, "connect")
    with Watch(world, options=KEEPALIVE) as watch:
        code, details = end(watch)
    assert (code, "too_many_pings" in details) == ("UNAVAILABLE", True)
    receipt(world)
    assert len([record for record in world.journal() if record["kind"] == "ping.acked"]) == 1


# ------------------------------------------------------------------------------------------ silence
def test_a_client_in_a_shut_window_hears_everything_and_cannot_speak(world: World) -> None:
    arm(world, "window", "subscribe")
    with Watch(world) as watch:
        subscribed(world)
        assert world.barrier() == 1  # it has seen the new window
        watch.subscribe(token=world.issue_token())
        sequences = world.publish([service("a"), service("b")])
        assert watch.sequences(2) == sequences
        assert world.barrier() == 1  # what it could send has arrived
        assert not [record for record in world.journal() if record.get("request") == "token_refresh"]
    receipt(world)


@pytest.mark.parametrize("direction", ["both", "to_client", "from_client"])
def test_a_client_notices_a_line_that_swallows_bytes(world: World, direction: str) -> None:
    arm(world, {"blackhole": direction}, "event")
    with Watch(world, options=KEEPALIVE) as watch:
        subscribed(world)
        world.publish(service("first"))
        receipt(world)
        if direction == "from_client":
            assert len(watch.events(1)) == 1
            watch.subscribe(token=world.issue_token())
        assert end(watch)[0] == "UNAVAILABLE"
    assert not [record for record in world.journal() if record.get("request") == "token_refresh"]


@pytest.mark.parametrize("do", [{"headers_only": {"end": False}}, {"cut": {"after": 0, "then": "silence"}}], ids=str)
def test_a_stream_may_stay_open_and_say_nothing(world: World, do: object) -> None:
    arm(world, do, "subscribe")
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service("a"), service("b")])
        receipt(world)
        assert world.barrier() == 1
        assert watch.call.is_active()
        assert not [record for record in world.journal() if record["kind"] == "stream.end"]


def test_half_a_message_is_no_event(world: World) -> None:
    arm(world, {"bad_length": {"length": 100, "bytes": 10, "end": True}}, "subscribe")
    with Watch(world) as watch:
        assert list(watch.call) == []  # and grpcio 1.85 takes the OK that follows at its word
    receipt(world, 2)


# ------------------------------------------------------------------------------------------ the way there
def test_a_port_that_refuses_is_felt_by_newcomers_only(world: World) -> None:
    with Watch(world) as old:
        subscribed(world)
        arm(world, {"tcp_refuse": "1h"}, "publish(2)")
        first, second = world.publish([service("a"), service("b")])
        receipt(world)
        assert not world.listening
        with Watch(world) as new:
            code, details = new.end()
        assert (code, "Connection refused" in details) == ("UNAVAILABLE", True)
        [third] = world.publish(service("c"))
        assert old.sequences(3) == [first, second, third]


def test_a_port_that_refused_takes_connections_again(world: World) -> None:
    arm(world, {"tcp_refuse": "10ms"}, "stream_end")
    with Watch(world) as watch:
        subscribed(world)
    receipt(world)
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(ConnectionRefusedError), raw(world.address):
            break
    with Watch(world) as watch:
        subscribed(world, 2)
        [sequence] = world.publish(service())
        assert watch.sequences(1) == [sequence]


def test_a_half_closed_connection_is_still_read(world: World) -> None:
    arm(world, "half_close", "ping(1)")
    with raw(world.address) as connection:
        connection.sendall(HELLO)
        while connection.recv(65_536):
            pass
        connection.sendall(ping_frame(b"any more") * 2)
        world.wait_for(lambda record: record["kind"] == "ping.received" and record["nth"] == 3, PATIENCE)
    receipt(world)


# ------------------------------------------------------------------------------------------ TLS
@pytest.fixture(scope="module")
def secure() -> Iterator[World]:
    with World(tls=True) as world:
        world.put_topic(topic())
        yield world


def credentials(world: World) -> grpc.ChannelCredentials:
    assert world.ca_file is not None
    return grpc.ssl_channel_credentials(Path(world.ca_file).read_bytes())


TLS: list[tuple[object, str]] = [
    ("tls_expired", "certificate"),
    ("tls_not_yet_valid", "certificate"),
    ("tls_wrong_name", ""),
    ("tls_unknown_ca", "certificate"),
    ("tls_old_protocol", "UNSUPPORTED_PROTOCOL"),
    ("tls_no_alpn", "ALPN"),
    ("tls_cut", ""),
    ({"tls_cut": 0}, ""),
]


@pytest.mark.parametrize(("do", "says"), TLS, ids=lambda value: str(value))
def test_a_grpc_client_refuses_a_handshake_with_a_flaw(secure: World, do: object, says: str) -> None:
    before = len(secure.journal())
    arm(secure, do, "connect")
    with Watch(secure, credentials=credentials(secure)) as watch:
        code, details = end(watch)
    assert code == "UNAVAILABLE"
    assert says in details
    since = secure.journal()[before]["n"] - 1 if len(secure.journal()) > before else 0
    secure.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE, since=since)


@pytest.mark.parametrize(
    ("do", "says"),
    [
        ("tls_expired", "certificate has expired"),
        ("tls_not_yet_valid", "certificate is not yet valid"),
        ("tls_wrong_name", "Hostname mismatch"),
        ("tls_unknown_ca", "unable to get local issuer certificate"),
        ("tls_old_protocol", "UNSUPPORTED_PROTOCOL"),
    ],
)
def test_openssl_names_the_flaw(secure: World, do: str, says: str) -> None:
    arm(secure, do, "connect")
    trust = ssl.create_default_context(cafile=secure.ca_file)
    with raw(secure.address) as connection, pytest.raises(ssl.SSLError, match=says):
        trust.wrap_socket(connection, server_hostname="localhost")


@pytest.mark.parametrize("after", [0, 50])
def test_a_handshake_stalls(secure: World, after: int) -> None:
    arm(secure, {"tls_stall": after}, "connect")
    trust = ssl.create_default_context(cafile=secure.ca_file)
    since = secure.journal()[-1]["n"]
    with raw(secure.address) as connection:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        client = trust.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        connection.sendall(outgoing.read())
        answer = b""
        while len(answer) < after:
            answer += connection.recv(65_536)
        secure.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE, since=since)
        incoming.write(answer)
        with pytest.raises(ssl.SSLWantReadError):
            client.do_handshake()
        connection.setblocking(False)
        with pytest.raises(BlockingIOError):  # everything it has said is here: it says no more
            connection.recv(1)
        assert len(answer) == after
    closed = secure.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE, since=since)
    assert closed["by"] == "client"


def test_the_journal_says_what_the_client_thought_of_the_certificate(secure: World) -> None:
    arm(secure, "tls_unknown_ca", "connect")
    since = secure.journal()[-1]["n"]
    trust = ssl.create_default_context(cafile=secure.ca_file)
    with raw(secure.address) as connection, pytest.raises(ssl.SSLError):
        trust.wrap_socket(connection, server_hostname="localhost")
    closed = secure.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE, since=since)
    assert closed["by"] == "client"
    assert closed["reason"] == "TLS handshake: TLSV1_ALERT_UNKNOWN_CA"


@pytest.mark.parametrize("do", ["abort", "close", {"slow_accept": "20ms"}], ids=str)
def test_what_strikes_at_accept_strikes_before_the_handshake(secure: World, do: object) -> None:
    arm(secure, do, "connect")
    trust = ssl.create_default_context(cafile=secure.ca_file)
    since = secure.journal()[-1]["n"]
    host, _, port = secure.address.rpartition(":")

    def connect() -> None:
        with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
            trust.wrap_socket(connection, server_hostname="localhost").close()

    if do in ("abort", "close"):
        with pytest.raises((ConnectionError, ssl.SSLEOFError, ssl.SSLZeroReturnError)):
            connect()
    else:
        began = time.monotonic()
        connect()
        assert time.monotonic() - began >= 0.02
    secure.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE, since=since)


@pytest.mark.parametrize(
    ("first", "second", "shows"),
    [
        ("blackhole", "tls_no_alpn", "first"),
        ("tls_no_alpn", "blackhole", "second"),
        ({"blackhole": "to_client"}, "tls_cut", "first"),
        ("blackhole", {"blackhole": "to_client"}, "first"),
        ("blackhole", {"latency": "1ms"}, "first"),
        ({"latency": "1ms"}, "tls_expired", "second"),
        ("tls_expired", "tls_cut", "second"),
    ],
    ids=str,
)
def test_of_two_faults_at_one_handshake_only_what_shows_has_a_receipt(
    first: object, second: object, shows: str
) -> None:
    with World(tls=True) as secure:
        for name, do in (("first", first), ("second", second)):
            secure.arm(parse_fault({"name": name, "on": "connect(1)", "do": do}))
        trust = ssl.create_default_context(cafile=secure.ca_file)
        with raw(secure.address) as connection:
            if "blackhole" in (first, second) or "to_client" in str(first):
                connection.settimeout(0.1)
            with pytest.raises((OSError, TimeoutError)):
                trust.wrap_socket(connection, server_hostname="localhost")
        secure.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
        assert {one["name"]: (one["triggered"], one["on_wire"]) for one in secure.faults()} == {
            "first": (1, int(shows == "first")),
            "second": (1, int(shows == "second")),
        }


def test_a_line_that_is_slow_from_the_start_has_its_receipt_when_the_handshake_is_over(secure: World) -> None:
    arm(secure, {"latency": "1ms"}, "connect")
    since = secure.journal()[-1]["n"]
    trust = ssl.create_default_context(cafile=secure.ca_file)
    with raw(secure.address) as connection, trust.wrap_socket(connection, server_hostname="localhost"):
        secure.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE, since=since)


def test_a_scenario_that_spoils_handshakes_needs_tls() -> None:
    rule = parse_fault({"name": "old", "on": "connect", "do": "tls_expired"})
    scenario = Scenario(scenario="stale", about="x", faults=(rule,), needs=("wire",))
    with pytest.raises(TlsError, match=r"^scenario stale: the fault old \(tls_expired\) needs TLS: add --tls"):
        World(scenario).start()
    with World(scenario, tls=True) as world:
        assert world.faults()[0]["state"] == "armed"


def test_a_scenario_of_a_file_that_needs_tls_says_where(tmp_path: Path) -> None:
    path = tmp_path / "stale.yaml"
    path.write_text(
        "scenario: stale\nabout: x\nneeds: [wire]\nfaults:\n  - {name: old, on: connect, do: tls_expired}\n"
    )
    with pytest.raises(TlsError) as caught:
        World(path).start()
    assert str(caught.value).startswith(f"{path}:5: the fault old (tls_expired) needs TLS: add --tls")


def test_a_tls_fault_on_a_plain_port_has_no_receipt(world: World) -> None:
    arm(world, "tls_expired", "connect")
    with Watch(world):
        subscribed(world)
    assert no_receipt(world)


@pytest.mark.parametrize("direction", ["from_client", "to_client", "both"])
@pytest.mark.parametrize("what", [{"delay": "100ms"}, {"rate": 4000}])
def test_a_slow_line_loses_nothing_of_who_has_said_all_he_has_to_say(
    world: World, what: dict[str, object], direction: str
) -> None:
    name = "latency" if "delay" in what else "bandwidth"
    arm(world, {name: {**what, "direction": direction}}, "connect")
    host, _, port = world.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        answer = b""
        while data := client.recv(65536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.rstrip().endswith(b"}")


def test_a_slow_line_that_falls_silent_ends_all_the_same(world: World) -> None:
    arm(world, {"latency": {"delay": "100ms", "direction": "both"}}, "connect")
    arm(world, "blackhole", "http", name="silence")
    host, _, port = world.address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as client:
        client.sendall(b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n")
        client.shutdown(socket.SHUT_WR)
        assert client.recv(65536) == b""


# ------------------------------------------------------------------------------------------ nobody is forgotten
ELSEWHERE = {
    "ping_ack": test_a_client_without_its_ack_gives_the_connection_up,
    "blackhole": test_a_client_notices_a_line_that_swallows_bytes,
    "tcp_refuse": test_a_port_that_refuses_is_felt_by_newcomers_only,
    "tls_stall": test_a_handshake_stalls,
}
"""Faults that are in none of the tables above, with their tests."""


def test_every_fault_below_the_events_is_felt_here() -> None:
    tables = [row[0] for table in (ENDS, LIVES, TLS) for row in table]
    felt = {next(iter(do)) if isinstance(do, dict) else do for do in tables} | ELSEWHERE.keys()
    assert {kind.name for kind in FAULTS if kind.level in ("grpc", "http2", "tcp", "tls")} <= felt
