"""grpc-go and grpc-js on the fake: what they read is what was written, and they feel the faults below the events.

What a client reports is between it and its library: how each names a fault is in the tables. The receipt says that the
fault struck and reached the wire.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import grpc
import pytest

from mockcentral import World
from tests.mockcentral.clients import TOPIC, arm, service, topic
from tests.mockcentral.tap import Tap
from tests.subjects.subject import PATIENCE, Subject
from watchmanager._wire import messages

pytestmark = [pytest.mark.go, pytest.mark.go_all]

CODES = {code.value[0]: code.name for code in grpc.StatusCode}
UNTAPPED = {"close", "half_close", "abort", "garbage", "reframe", "coalesce", "latency"}
"""What is no good frame, or what a relay would undo."""
BAD_GRPC = {"no_trailers", "headers_only", "wrong_content_type", "bad_length", "compressed", "cut"}
"""What is said in good frames, and is no good gRPC."""


@pytest.fixture(params=["grpc_go", "grpc_js"])
def client(request: pytest.FixtureRequest) -> tuple[str, list[str]]:
    """The name of a client and its command."""
    built: str | tuple[str, ...] = request.getfixturevalue(request.param)
    return request.param, [built, "-report"] if isinstance(built, str) else [*built, "--report"]


@contextmanager
def quiet(**options: Any) -> Iterator[World]:
    """A world with one topic, in which nothing happens by itself."""
    with World(**options) as world:
        world.put_topic(topic())
        yield world


def receipt(world: World) -> None:
    """The fault was armed, struck, and reached the wire, in that order."""
    world.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE)
    kinds = [record["kind"] for record in world.journal() if record.get("fault") == "fault"]
    assert kinds[:3] == ["fault.armed", "fault.triggered", "fault.on_wire"]


def read(subject: Subject) -> list[bytes]:
    """The messages that the client read, as they came."""
    return [base64.b64decode(said["data"]) for said in subject.progress if said["step"] == "event"]


def ended(subject: Subject) -> tuple[str, str, bytes]:
    """Status, message and status details of the client's first call."""
    subject.wait_progress("end")
    end = next(said for said in subject.progress if said["step"] == "end")
    return CODES.get(end.get("code", -1), "none"), end.get("message", ""), base64.b64decode(end["details"])


@contextmanager
def watching(world: World, command: list[str], fault: str) -> Iterator[Subject]:
    """The client on the world, and an independent decoder that finds every frame it is sent in order."""
    with ExitStack() as stack:
        tap = None if fault in UNTAPPED or world.ca_file else stack.enter_context(Tap(world.address))
        address = world.address if tap is None else tap.address
        with Subject(world, command, MOCKCENTRAL_ADDRESS=address) as subject:
            yield subject
    if tap is not None:
        assert any(auditor.frames for auditor in tap.audited(grpc=fault not in BAD_GRPC))


def published(world: World, count: int) -> list[int]:
    return world.publish([service(f"s{number}") for number in range(count)])


def test_a_foreign_client_reads_every_message_as_it_was_written(client: tuple[str, list[str]]) -> None:
    with (
        quiet() as world,
        Tap(world.address) as tap,
        Subject(world, client[1], MOCKCENTRAL_ADDRESS=tap.address) as subject,
    ):
        subject.wait_connected()
        sequences = published(world, 500)
        for change in ("updated", "deleted"):
            sequences += world.publish(service("s7", type=change, attributes={"größe": "Ü" * 5000}))
        subject.wait_until(lambda: len(read(subject)) == 502)
    events = [messages.Event.FromString(data) for data in read(subject)]
    assert [event.metadata.sequenceID for event in events] == sequences
    assert [event.payload.name for event in events] == [*(f"s{number}" for number in range(500)), "s7", "s7"]
    assert [event.type for event in events] == [0] * 500 + [1, 2]
    assert {event.metadata.watchTopicSelfLink for event in events} == {TOPIC}
    assert {(event.payload.kind, event.payload.metadata.scope.name) for event in events} == {
        ("APIService", "sample-env")
    }
    # Byte for byte what another decoder takes out of the same frames.
    [body] = [bytes(response.body) for auditor in tap.audited() for response in auditor.responses.values()]
    assert body == b"".join(b"\0" + len(data).to_bytes(4, "big") + data for data in read(subject))


# ------------------------------------------------------------------------------------------ what ends a stream
NO_CODE = ("none", "")
"""A status object without code and message: what grpc-js makes of a compressed message that names no compression."""
SILENT = ("silent", "")
"""No status at all. grpc-js does so where nghttp2 gives a connection up: the call hangs, the socket stays open, and a
program that waits for nothing else comes to its end.
"""

ENDS: list[tuple[object, str, tuple[str, str], tuple[str, str]]] = [
    # fault, moment; status and message, in part, of grpc-go and of grpc-js
    ("end_status", "subscribe", ("UNAVAILABLE", ""), ("UNAVAILABLE", "")),
    ({"end_status": {"code": "DATA_LOSS", "message": "100 % güne"}}, "event", *(("DATA_LOSS", "100 % güne"),) * 2),
    ({"end_status": "OK"}, "event", ("OK", ""), ("OK", "")),
    ({"refuse": "PERMISSION_DENIED"}, "stream_open", ("PERMISSION_DENIED", ""), ("PERMISSION_DENIED", "")),
    ("no_trailers", "event", ("INTERNAL", "without sending trailers"), ("INTERNAL", "without gRPC status")),
    ({"late_trailers": {"delay": "20ms", "code": "ABORTED"}}, "event", ("ABORTED", ""), ("ABORTED", "")),
    ("headers_only", "stream_open", ("UNKNOWN", ""), ("UNKNOWN", "HTTP status code 200")),
    (
        {"wrong_content_type": {"body": "<h1>Log in"}},
        "stream_open",
        ("INTERNAL", "without sending trailers"),
        ("RESOURCE_EXHAUSTED", "larger than max"),
    ),
    (
        {"wrong_content_type": {"status": 502, "body": "<h1>Bad Gateway"}},
        "stream_open",
        ("INTERNAL", "without sending trailers"),
        ("UNAVAILABLE", "HTTP status code 502"),
    ),
    ("bad_length", "event", ("RESOURCE_EXHAUSTED", "4294967295 vs"), ("RESOURCE_EXHAUSTED", "4294967295 vs")),
    ("compressed", "event", ("INTERNAL", "compressed flag set"), NO_CODE),
    ({"cut": 100}, "subscribe", ("INTERNAL", "RST_STREAM"), ("INTERNAL", "RST_STREAM with code 2")),
    ({"cut": {"after": 100, "then": "end"}}, "subscribe", ("INTERNAL", "unexpected EOF"), ("UNAVAILABLE", "cut off")),
    ({"cut": {"after": 2, "of": "events", "then": "end"}}, "subscribe", *(("UNAVAILABLE", "cut off"),) * 2),
    ({"cut": {"after": 100, "then": "close"}}, "subscribe", ("UNAVAILABLE", "EOF"), ("UNAVAILABLE", "dropped")),
    ({"cut": {"after": 100, "then": "abort"}}, "subscribe", ("UNAVAILABLE", ""), ("UNAVAILABLE", "")),
    ({"reset": "NO_ERROR"}, "event", ("INTERNAL", "NO_ERROR"), ("INTERNAL", "without gRPC status")),
    ({"reset": "INTERNAL_ERROR"}, "event", ("INTERNAL", "INTERNAL_ERROR"), ("INTERNAL", "RST_STREAM with code 2")),
    ({"reset": "REFUSED_STREAM"}, "event(2)", ("UNAVAILABLE", "REFUSED_STREAM"), ("UNAVAILABLE", "")),
    ({"reset": "CANCEL"}, "event", ("CANCELLED", "CANCEL"), ("CANCELLED", "Call cancelled")),
    ({"reset": "ENHANCE_YOUR_CALM"}, "event", ("RESOURCE_EXHAUSTED", "CALM"), ("RESOURCE_EXHAUSTED", "exhausted")),
    ({"reset": "INADEQUATE_SECURITY"}, "event", ("PERMISSION_DENIED", "SECURITY"), ("PERMISSION_DENIED", "secure")),
    (
        {"goaway": {"manner": "abrupt", "error_code": 2, "debug": "bye"}},
        "event",
        ("UNAVAILABLE", 'code: INTERNAL_ERROR, debug data: "bye"'),
        ("INTERNAL", "Session closed with error code 2"),
    ),
    (
        {"goaway": {"manner": "graceful", "drain": "20ms"}},
        "event",
        ("UNAVAILABLE", "received prior goaway: code: NO_ERROR"),
        ("UNAVAILABLE", "Connection dropped"),
    ),
    ({"garbage": "random"}, "event", ("UNAVAILABLE", "frame too large"), SILENT),
    ({"garbage": "oversize_frame"}, "event", ("UNAVAILABLE", "frame too large"), SILENT),
    ({"garbage": "data_on_stream_0"}, "event", ("UNAVAILABLE", "PROTOCOL_ERROR"), SILENT),
    ({"garbage": "bad_hpack"}, "event", ("UNAVAILABLE", "COMPRESSION_ERROR"), SILENT),
    ({"garbage": "http1"}, "event", ("UNAVAILABLE", "looked like an HTTP/1.1 header"), SILENT),
    ("close", "event", ("UNAVAILABLE", "EOF"), ("UNAVAILABLE", "Connection dropped")),
    ("half_close", "event", ("UNAVAILABLE", "EOF"), ("UNAVAILABLE", "Connection dropped")),
    ("abort", "event", ("UNAVAILABLE", "reset by peer"), ("UNAVAILABLE", "ECONNRESET")),
]


@pytest.mark.parametrize(("do", "on", "go_says", "js_says"), ENDS, ids=lambda value: str(value))
def test_a_stream_ends_as_the_fault_wants_it(
    client: tuple[str, list[str]], do: object, on: str, go_says: tuple[str, str], js_says: tuple[str, str]
) -> None:
    code, says = {"grpc_go": go_says, "grpc_js": js_says}[client[0]]
    with quiet() as world:
        name = arm(world, do, on)
        with watching(world, client[1], name) as subject:
            if on != "stream_open":
                subject.wait_connected()
                published(world, 3)
            if (code, says) == SILENT:
                assert subject.process.wait(PATIENCE) == 0
                with pytest.raises(AssertionError, match="ended too early"):
                    subject.wait_progress("end")
                receipt(world)
                return
            found, message, _ = ended(subject)
            receipt(world)
            # It comes back for what was taken from it.
            subject.wait_until(lambda: any(record["kind"] == "fault.observed" for record in world.journal()))
    assert (found, says in message) == (code, True), message


@pytest.mark.parametrize("do", [{"goaway": {"last_stream": 0}}, {"reset": "REFUSED_STREAM"}], ids=str)
def test_a_call_that_nobody_handled_is_made_again_and_nobody_notices(client: tuple[str, list[str]], do: object) -> None:
    with quiet() as world:
        name = arm(world, do, "subscribe")
        with watching(world, client[1], name) as subject:
            receipt(world)
            world.wait_for(lambda record: record.get("request") == "subscribe" and record["attempt"] == 2, PATIENCE)
            published(world, 3)
            subject.wait_until(lambda: len(read(subject)) == 3)
            assert not [said for said in subject.progress if said["step"] == "end"]


def test_a_stream_ends_with_details_about_why(client: tuple[str, list[str]]) -> None:
    status = {"code": "RESOURCE_EXHAUSTED", "message": "ü", "reason": "QUOTA", "retry_delay": "1500ms"}
    with quiet() as world:
        name = arm(world, {"end_status": status}, "subscribe")
        with watching(world, client[1], name) as subject:
            code, message, details = ended(subject)
            receipt(world)
    assert (code, message) == ("RESOURCE_EXHAUSTED", "ü")
    assert details.startswith(b"\x08\x08\x12\x02" + "ü".encode())
    assert b"google.rpc.ErrorInfo" in details
    assert b"QUOTA" in details
    assert b"google.rpc.RetryInfo" in details


# ------------------------------------------------------------------------------------------ what a stream lives through
LIVES: list[tuple[object, str]] = [
    ("goaway", "event"),
    ({"settings_storm": 1000}, "event"),
    ({"ping_flood": 1000}, "event"),
    # Node's nghttp2 takes no header block of more than eight CONTINUATION frames.
    ({"reframe": {"frame_bytes": 64, "write_bytes": 1, "empty": True}}, "stream_open"),
    ({"coalesce": "50ms"}, "stream_open"),
    ({"garbage": "unknown_frame"}, "event"),
    ({"latency": {"delay": "20ms", "jitter": "10ms"}}, "connect"),
    ({"window": 1}, "stream_open"),
]


@pytest.mark.parametrize(("do", "on"), LIVES, ids=lambda value: str(value))
def test_a_stream_lives_through_it_and_gets_every_event(client: tuple[str, list[str]], do: object, on: str) -> None:
    with quiet() as world:
        name = arm(world, do, on)
        with watching(world, client[1], name) as subject:
            subject.wait_connected()
            sequences = published(world, 5)
            subject.wait_until(lambda: len(read(subject)) == 5)
            found = [messages.Event.FromString(data).metadata.sequenceID for data in read(subject)]
            assert found == sequences
            # It can still speak, and what it says comes through.
            world.wait_for(lambda record: record.get("request") == "token_refresh" and record["accepted"], PATIENCE)
            assert world.barrier(PATIENCE) >= 1
            receipt(world)
            assert world.faults()[0]["observed"] == 1  # it acked a PING that came behind
            assert not [record for record in world.journal() if record["kind"] == "stream.end"]


def test_a_client_in_a_shut_window_hears_everything_and_cannot_speak(client: tuple[str, list[str]]) -> None:
    with quiet() as world:
        name = arm(world, "window", "subscribe")
        with watching(world, client[1], name) as subject:
            subject.wait_connected()
            assert world.barrier(PATIENCE) == 1  # it has seen the new window
            published(world, 3)
            subject.wait_until(lambda: len(read(subject)) == 3)
            assert world.barrier(PATIENCE) == 1  # what it could send has arrived
            assert not [record for record in world.journal() if record.get("request") == "token_refresh"]
            receipt(world)


# ------------------------------------------------------------------------------------------ handshakes
HANDSHAKES: list[tuple[str, str, str]] = [
    ("tls_expired", "has expired", "has expired"),
    ("tls_not_yet_valid", "is before", "not yet valid"),
    ("tls_wrong_name", "doesn't contain any IP SANs", "does not match"),
    ("tls_unknown_ca", "unknown authority", "unable to verify"),
    ("tls_cut", "unexpected EOF", "disconnected before secure TLS"),
]


@pytest.mark.parametrize(("do", "go_says", "js_says"), HANDSHAKES)
def test_a_handshake_fails_and_the_client_says_why(
    client: tuple[str, list[str]], do: str, go_says: str, js_says: str
) -> None:
    with quiet(tls=True) as world:
        arm(world, do, "connect")
        with watching(world, client[1], do) as subject:
            code, message, _ = ended(subject)
            receipt(world)
            subject.wait_connected()  # the next handshake is a good one
    assert code == "UNAVAILABLE"
    assert {"grpc_go": go_says, "grpc_js": js_says}[client[0]] in message


def test_grpc_go_wants_alpn_and_grpc_js_does_without(client: tuple[str, list[str]]) -> None:
    with quiet(tls=True) as world:
        name = arm(world, "tls_no_alpn", "connect")
        with watching(world, client[1], name) as subject:
            receipt(world)
            if client[0] == "grpc_go":
                code, message, _ = ended(subject)
                assert (code, "missing selected ALPN property" in message) == ("UNAVAILABLE", True)
            subject.wait_connected()
            published(world, 3)
            subject.wait_until(lambda: len(read(subject)) == 3)
            calls = [record["conn"] for record in world.journal() if record["kind"] == "stream.open"]
            assert calls == ([2] if client[0] == "grpc_go" else [1])
