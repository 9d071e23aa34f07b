"""The connection against h2's client side: two independent state machines over nothing but bytes."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from random import Random
from urllib.parse import unquote

import h2.events
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.settings import SettingCodes
from hpack import Encoder
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame, SettingsFrame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mockcentral.wire.frames import PREFACE, frame, goaway_frame, ping_frame
from mockcentral.wire.grpc import (
    CallOpened,
    CallRefused,
    CallReset,
    GoAwayReceived,
    HalfClosed,
    HttpRefused,
    HttpRequest,
    MessageReceived,
    PingAcked,
    PingReceived,
    ProtocolBroken,
    ServerConnection,
    WireEvent,
    encode_message,
)
from tests.mockcentral.auditor import Auditor

CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/central.events.v1.watch/subscribe"),
    (":authority", "fake"),
    ("te", "trailers"),
    ("content-type", "application/grpc"),
    ("user-agent", "grpc-go/1.65.0"),
    ("authorization", "Bearer x"),
]
Change = tuple[str, str]


def request(*changes: Change) -> list[Change]:
    changed = dict(changes)
    return [(name, changed.pop(name, value)) for name, value in CALL] + list(changed.items())


class Link:
    """A client of h2's own and our server, joined by copying bytes."""

    def __init__(
        self, server: ServerConnection | None = None, *, window: int | None = None, max_frame: int = 16_384
    ) -> None:
        self.server = server or ServerConnection()
        self.client = H2Connection(
            H2Configuration(
                client_side=True,
                header_encoding="utf-8",
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        if window is not None:
            self.client.local_settings.initial_window_size = window
            self.client.local_settings.acknowledge()
        self.client.initiate_connection()
        self.seen: list[h2.events.Event] = []
        self.auditor = Auditor(max_frame)
        self.frames: list[Frame] = []
        self.body: dict[int, bytearray] = {}
        self.auto_ack = True

    def up(self) -> list[WireEvent]:
        """Client to server."""
        return self.server.receive(self.client.data_to_send())

    def down(self) -> list[h2.events.Event]:
        """Server to client; DATA is kept in `body`."""
        data = self.server.data_to_send()
        self.frames += self.auditor.feed(data)
        self.auditor.done()
        events = self.client.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.body.setdefault(event.stream_id, bytearray()).extend(event.data)
                if self.auto_ack:
                    self.client.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.seen += events
        return events

    def exchange(self) -> list[WireEvent]:
        """Back and forth until both are silent."""
        events: list[WireEvent] = []
        while True:
            data = self.client.data_to_send()
            events += self.server.receive(data)
            before = len(self.frames)
            self.down()
            if not data and len(self.frames) == before:
                return events

    def open(self, *changes: Change, end_stream: bool = False) -> int:
        stream = self.client.get_next_available_stream_id()
        self.client.send_headers(stream, request(*changes), end_stream=end_stream)
        return stream

    def sent(self, kind: type) -> list[h2.events.Event]:
        return [event for event in self.seen if isinstance(event, kind)]

    def trailers(self) -> dict[str, str]:
        (event,) = self.sent(h2.events.TrailersReceived)
        assert isinstance(event, h2.events.TrailersReceived)
        return {str(name): str(value) for name, value in event.headers}

    def response(self) -> dict[str, str]:
        (event,) = self.sent(h2.events.ResponseReceived)
        assert isinstance(event, h2.events.ResponseReceived)
        return {str(name): str(value) for name, value in event.headers}


# ---------------------------------------------------------------- calls
def test_a_call_opens_with_its_metadata_in_order() -> None:
    link = Link()
    stream = link.open(("x-axway-tenant-id", "42"))
    assert link.exchange() == [
        CallOpened(
            stream,
            "/central.events.v1.watch/subscribe",
            (
                ("te", "trailers"),
                ("content-type", "application/grpc"),
                ("user-agent", "grpc-go/1.65.0"),
                ("authorization", "Bearer x"),
                ("x-axway-tenant-id", "42"),
            ),
        )
    ]


def test_a_user_agent_that_starts_with_a_blank_is_accepted() -> None:
    link = Link()
    link.open(("user-agent", " grpc-go/1.82.1"))
    (opened,) = link.exchange()
    assert isinstance(opened, CallOpened)
    assert ("user-agent", " grpc-go/1.82.1") in opened.metadata


def test_a_user_agent_beyond_ascii_is_read_as_utf8() -> None:
    link = Link()
    link.open(("user-agent", "Überwacher"))
    (opened,) = link.exchange()
    assert isinstance(opened, CallOpened)
    assert ("user-agent", "Überwacher") in opened.metadata


def test_an_authorization_of_many_kilobytes_is_accepted() -> None:
    link = Link()
    link.open(("authorization", "Bearer " + "x" * 40_000))
    assert isinstance(link.exchange()[0], CallOpened)


@pytest.mark.parametrize("content_type", ["application/grpc+proto", "application/grpc;x=y", "Application/gRPC"])
def test_every_spelling_of_the_grpc_content_type_is_a_call(content_type: str) -> None:
    link = Link()
    link.open(("content-type", content_type))
    assert isinstance(link.exchange()[0], CallOpened)


def test_messages_arrive_without_their_prefix() -> None:
    link = Link()
    stream = link.open()
    link.client.send_data(stream, encode_message(b"one") + encode_message(b"") + encode_message(b"three"))
    link.client.end_stream(stream)
    assert link.exchange()[1:] == [
        MessageReceived(stream, b"one"),
        MessageReceived(stream, b""),
        MessageReceived(stream, b"three"),
        HalfClosed(stream),
    ]


def test_a_message_spread_over_many_frames_is_put_together() -> None:
    link = Link()
    stream = link.open()
    message = bytes(range(256)) * 16
    for at in range(0, 4101, 7):
        link.client.send_data(stream, (encode_message(message))[at : at + 7])
    assert link.exchange()[1:] == [MessageReceived(stream, message)]


def test_a_large_message_is_received_while_windows_stay_open() -> None:
    link = Link()
    stream = link.open()
    message = Random(1).randbytes(3_000_000)
    rest = memoryview(encode_message(message))
    events = link.exchange()
    while rest:
        room = min(link.client.local_flow_control_window(stream), link.client.max_outbound_frame_size)
        assert room > 0
        link.client.send_data(stream, bytes(rest[:room]))
        rest = rest[room:]
        events += link.exchange()
    assert events[-1] == MessageReceived(stream, message)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (b"\x01\x00\x00\x00\x01x", 12),
        (b"\x00\x00\x40\x00\x01", 8),
        (b"\x00\xff\xff\xff\xff", 8),
    ],
    ids=["compressed", "one byte over 4 MiB", "4 GiB"],
)
def test_a_message_that_cannot_be_taken_ends_the_call(sent: bytes, code: int) -> None:
    link = Link()
    stream = link.open()
    link.client.send_data(stream, sent + b"more")
    events = link.exchange()
    assert isinstance(events[-1], CallRefused)
    assert events[-1].code == code
    assert link.response()["grpc-status"] == str(code)
    assert link.server.open_streams == 0


def test_half_a_message_at_the_end_is_an_internal_error() -> None:
    link = Link()
    stream = link.open()
    link.client.send_data(stream, b"\0\0\0\0\x05ab", end_stream=True)
    assert isinstance(link.exchange()[-1], CallRefused)
    assert link.response()["grpc-status"] == "13"


def test_no_response_headers_before_the_first_message() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    assert link.sent(h2.events.ResponseReceived) == []
    link.server.send_messages(stream, [encode_message(b"hello")])
    link.exchange()
    assert link.response() == {":status": "200", "content-type": "application/grpc"}
    assert link.body[stream] == encode_message(b"hello")


def test_end_sends_trailers_after_the_queue_and_then_resets_an_open_client() -> None:
    link = Link(window=100)
    stream = link.open()
    link.exchange()
    messages = [encode_message(b"%05d" % n) for n in range(100)]
    link.server.send_messages(stream, messages)
    assert link.server.end(stream, 14, "moving: 100% überall\n", [("x-why", "test")])
    assert not link.server.end(stream, 0)
    assert not link.server.send_messages(stream, messages)
    assert link.server.queued(stream) == 100
    link.exchange()
    assert bytes(link.body[stream]) == b"".join(messages)
    trailers = link.trailers()
    assert trailers["grpc-status"] == "14"
    assert trailers["grpc-message"] == "moving: 100%25 %C3%BCberall%0A"
    assert unquote(trailers["grpc-message"]) == "moving: 100% überall\n"
    assert trailers["x-why"] == "test"
    (reset,) = [f for f in link.frames if type(f).__name__ == "RstStreamFrame"]
    assert reset.error_code == ErrorCodes.NO_ERROR  # type: ignore[attr-defined]
    assert link.server.open_streams == 0
    assert link.server.queued_bytes == 0


def test_a_half_closed_client_is_not_reset_after_the_trailers() -> None:
    link = Link()
    stream = link.open(end_stream=True)
    link.exchange()
    link.server.end(stream, 0)
    link.exchange()
    assert link.response() == {":status": "200", "content-type": "application/grpc", "grpc-status": "0"}
    assert [f for f in link.frames if type(f).__name__ == "RstStreamFrame"] == []


def test_trailers_only_when_nothing_was_sent() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    link.server.end(stream, 16, "who are you?")
    link.exchange()
    assert link.response()["grpc-status"] == "16"
    assert link.sent(h2.events.TrailersReceived) == []
    assert len(link.sent(h2.events.StreamEnded)) == 1


def test_a_client_that_resets_is_reported_once_and_forgotten() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, [b"x" * 200_000])
    link.client.reset_stream(stream, ErrorCodes.CANCEL)
    assert link.up() == [CallReset(stream, 8)]
    assert not link.server.send_messages(stream, [encode_message(b"late")])
    assert not link.server.end(stream, 0)
    assert not link.server.reset(stream, 2)
    assert (link.server.queued(stream), link.server.queued_bytes, link.server.open_streams) == (0, 0, 0)
    assert link.server.drained(stream)


def test_a_reset_lets_out_what_the_windows_allow_first() -> None:
    link = Link(window=23)
    stream = link.open()
    link.exchange()
    link.auto_ack = False
    link.server.send_messages(stream, [encode_message(b"12345"), encode_message(b"67890"), encode_message(b"abcde")])
    assert link.server.reset(stream, 7)
    link.down()
    assert bytes(link.body[stream]) == encode_message(b"12345") + encode_message(b"67890") + b"\0\0\0"
    (reset,) = link.sent(h2.events.StreamReset)
    assert isinstance(reset, h2.events.StreamReset)
    assert reset.error_code == ErrorCodes.REFUSED_STREAM
    assert link.server.queued_bytes == 0


# ---------------------------------------------------------------- flow control
@pytest.mark.parametrize("window", [1, 5, 97, 1000, 65_535, 1_000_000])
def test_a_backlog_is_delivered_whole_through_any_window(window: int) -> None:
    link = Link(window=window)
    stream = link.open()
    link.exchange()
    count = 200 if window < 100 else 10_000
    messages = [encode_message(Random(n).randbytes(n % 300)) for n in range(count)]
    link.server.send_messages(stream, messages)
    link.exchange()
    assert bytes(link.body[stream]) == b"".join(messages)
    assert link.server.drained(stream)
    assert link.server.queued_bytes == 0


def test_a_backlog_is_coalesced_into_full_frames() -> None:
    link = Link()
    link.client.increment_flow_control_window(10_000_000)
    link.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, [encode_message(b"x" * 295)] * 1000)
    link.exchange()
    sizes = [f.body_len for f in link.frames if isinstance(f, DataFrame)]
    assert sizes[:-1] == [16_384] * (len(sizes) - 1)
    assert sum(sizes) == 300_000


def test_frames_are_never_longer_than_the_peer_allows_nor_than_64_kib() -> None:
    link = Link(max_frame=65_536)
    link.client.increment_flow_control_window(10_000_000)
    link.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000, SettingCodes.MAX_FRAME_SIZE: 1_000_000})
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, [encode_message(b"x" * 300_000)])
    link.exchange()
    assert max(f.body_len for f in link.frames if isinstance(f, DataFrame)) == 65_536


def test_streams_share_a_narrow_connection_fairly() -> None:
    link = Link()
    link.auto_ack = False
    streams = [link.open() for _ in range(4)]
    link.exchange()
    for stream in streams:
        link.server.send_messages(stream, [encode_message(b"x" * 100_000)])
    link.exchange()
    assert [len(link.body[stream]) for stream in streams] == [16_384, 16_384, 16_384, 65_535 - 3 * 16_384]
    link.client.increment_flow_control_window(10_000_000)
    for stream in streams:
        link.client.increment_flow_control_window(1_000_000, stream)
    link.exchange()
    assert [len(link.body[stream]) for stream in streams] == [100_005] * 4


def test_a_blocked_stream_does_not_hold_up_the_others() -> None:
    link = Link(window=10)
    link.auto_ack = False
    first, second = link.open(), link.open()
    link.exchange()
    link.server.send_messages(first, [b"x" * 50])
    link.exchange()
    assert link.server.queued_bytes == 40
    link.server.send_messages(second, [b"y" * 10])
    link.exchange()
    assert (len(link.body[first]), len(link.body[second])) == (10, 10)


def test_a_larger_initial_window_frees_what_waits() -> None:
    link = Link(window=10)
    link.auto_ack = False
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, [b"x" * 5000])
    link.exchange()
    assert len(link.body[stream]) == 10
    link.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 6000})
    link.exchange()
    assert len(link.body[stream]) == 5000


def test_a_limit_joins_only_about_that_much_and_loses_nothing() -> None:
    link = Link()
    link.client.increment_flow_control_window(10_000_000)
    link.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5_000_000})
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, [encode_message(b"x" * 295)] * 5000)
    link.server.end(stream, 0)
    chunks = []
    while chunk := link.server.data_to_send(32_768):
        chunks.append(chunk)
    assert max(map(len, chunks)) < 50_000
    link.client.receive_data(b"".join(chunks))
    assert link.server.drained(stream)
    assert link.server.open_streams == 0


def test_live_messages_wait_in_the_queue_while_nobody_asks_for_bytes() -> None:
    link = Link()
    link.client.increment_flow_control_window(10_000_000)
    link.client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5_000_000})
    stream = link.open()
    link.exchange()
    for _ in range(1000):
        link.server.send_messages(stream, (encode_message(b"x" * 995),))
    assert link.server.queued_bytes >= 1_000_000 - 65_536
    link.exchange()
    assert len(link.body[stream]) == 1_000_000


def test_one_message_on_an_idle_call_is_not_queued() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, (encode_message(b"live"),))
    assert link.server.queued(stream) == 0
    link.server.send_messages(stream, [])
    link.server.send_messages(stream, iter([encode_message(b"more"), encode_message(b"and more")]))
    assert link.server.queued(stream) == 2
    link.exchange()
    assert bytes(link.body[stream]) == b"".join(map(encode_message, (b"live", b"more", b"and more")))


# ---------------------------------------------------------------- the connection
def test_pings_are_reported_and_never_acked_unasked() -> None:
    link = Link()
    link.client.ping(b"question")
    assert link.exchange() == [PingReceived(b"question")]
    assert link.sent(h2.events.PingAckReceived) == []
    link.server.ack_ping(b"question")
    link.exchange()
    (ack,) = link.sent(h2.events.PingAckReceived)
    assert isinstance(ack, h2.events.PingAckReceived)
    assert ack.ping_data == b"question"


def test_the_ack_of_our_ping_proves_that_what_came_before_arrived() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    link.server.send_messages(stream, [encode_message(b"a"), encode_message(b"b")])
    link.server.send_ping(b"barrier!")
    link.down()
    assert [type(f).__name__ for f in link.frames][-3:] == ["HeadersFrame", "DataFrame", "PingFrame"]
    assert link.up() == [PingAcked(b"barrier!")]


def test_a_client_that_says_goodbye_still_gets_its_events() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    assert link.server.receive(goaway_frame(0, 0, b"bye") + frame(8, 0, 0, b"\0\0\x10\0")) == [
        GoAwayReceived(0, b"bye")
    ]
    assert link.server.send_messages(stream, [encode_message(b"still here")])
    link.client.send_data(stream, encode_message(b"me too"))
    assert link.exchange() == [MessageReceived(stream, b"me too")]
    assert link.body[stream] == encode_message(b"still here")


def test_after_our_goaway_open_calls_go_on_and_new_ones_are_refused() -> None:
    link = Link()
    stream = link.open()
    link.exchange()
    link.client.send_headers(stream + 2, request())  # crosses the GOAWAY
    crossing = link.client.data_to_send()
    link.server.goaway(0, debug=b"maintenance")
    link.server.send_messages(stream, [encode_message(b"last words")])
    assert link.server.receive(crossing) == []
    link.server.end(stream, 0)
    data = link.server.data_to_send()
    names = []
    rest = memoryview(data)
    while rest:
        parsed, length = Frame.parse_frame_header(rest[:9])
        parsed.parse_body(rest[9 : 9 + length])
        names.append((type(parsed).__name__, parsed.stream_id))
        rest = rest[9 + length :]
    assert names == [
        ("GoAwayFrame", 0),
        ("HeadersFrame", 1),
        ("DataFrame", 1),
        ("RstStreamFrame", 3),
        ("HeadersFrame", 1),
        ("RstStreamFrame", 1),
    ]


def test_too_many_streams_are_refused_one_by_one() -> None:
    link = Link(ServerConnection(max_streams=2))
    streams = [link.open() for _ in range(3)]
    events = link.exchange()
    assert [event.stream for event in events if isinstance(event, CallOpened)] == streams[:2]
    (reset,) = link.sent(h2.events.StreamReset)
    assert isinstance(reset, h2.events.StreamReset)
    assert (reset.stream_id, reset.error_code) == (streams[2], ErrorCodes.REFUSED_STREAM)
    link.server.end(streams[0], 0)
    link.exchange()
    link.open()
    assert isinstance(link.exchange()[0], CallOpened)


def test_settings_are_advertised_first() -> None:
    data = ServerConnection(max_streams=7, max_header_list=99_999).data_to_send()
    parsed, length = Frame.parse_frame_header(memoryview(data)[:9])
    parsed.parse_body(memoryview(data)[9 : 9 + length])
    assert isinstance(parsed, SettingsFrame)
    assert parsed.settings == {SettingCodes.MAX_CONCURRENT_STREAMS: 7, SettingCodes.MAX_HEADER_LIST_SIZE: 99_999}


def test_a_smaller_receive_window_is_advertised_and_kept_open() -> None:
    link = Link(ServerConnection(initial_window=1000))
    link.exchange()
    stream = link.open()
    link.exchange()
    assert link.client.local_flow_control_window(stream) == 1000
    for _ in range(50):
        link.client.send_data(stream, encode_message(b"x" * 495))
        assert link.exchange()[-1] == MessageReceived(stream, b"x" * 495)


# ---------------------------------------------------------------- plain HTTP over HTTP/2
def http_get(link: Link, path: str = "/events?page=1", method: str = "GET", *extra: Change, end: bool = True) -> int:
    stream = link.client.get_next_available_stream_id()
    headers = [(":method", method), (":scheme", "http"), (":path", path), (":authority", "fake:1"), *extra]
    link.client.send_headers(stream, headers, end_stream=end)
    return stream


def test_a_plain_request_is_reported_when_complete_and_answered() -> None:
    link = Link()
    stream = http_get(link, "/auth/realms/x?y=%20z", "POST", ("content-type", "application/json"), end=False)
    assert link.exchange() == []
    link.client.send_data(stream, b'{"a":')
    link.client.send_data(stream, b"1}", end_stream=True)
    assert link.exchange() == [
        HttpRequest(
            stream,
            "POST",
            "/auth/realms/x?y=%20z",
            (("host", "fake:1"), ("content-type", "application/json")),
            b'{"a":1}',
        )
    ]
    headers = [("Content-Type", "text/plain"), ("Connection", "close"), ("X-Bad", "a\r\nb")]
    assert link.server.respond(stream, 201, headers, b"made")
    assert not link.server.respond(stream, 201)
    link.exchange()
    assert link.response() == {":status": "201", "content-type": "text/plain", "x-bad": "a  b", "content-length": "4"}
    assert bytes(link.body[stream]) == b"made"
    assert link.server.open_streams == 0


def test_a_large_answer_respects_the_windows() -> None:
    link = Link(window=5000)
    stream = http_get(link)
    link.exchange()
    body = Random(2).randbytes(1_000_000)
    link.server.respond(stream, 200, [], body)
    link.exchange()
    assert bytes(link.body[stream]) == body
    assert len(link.sent(h2.events.StreamEnded)) == 1
    assert link.server.open_streams == 0


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("DELETE", 204)])
def test_answers_without_a_body_have_none(method: str, status: int) -> None:
    link = Link()
    stream = http_get(link, "/x", method)
    link.exchange()
    link.server.respond(stream, status, [("Content-Length", "4")] if method == "HEAD" else [], b"made")
    link.exchange()
    assert stream not in link.body
    assert len(link.sent(h2.events.StreamEnded)) == 1


def test_a_body_over_the_limit_is_answered_413_early() -> None:
    link = Link(ServerConnection(max_body=1000))
    stream = http_get(link, "/x", "POST", end=False)
    link.client.send_data(stream, b"x" * 1001)
    assert link.exchange() == [HttpRefused(stream, "POST", "/x", 413)]
    assert link.response()[":status"] == "413"
    assert link.server.open_streams == 0


def test_an_announced_body_over_the_limit_is_answered_413_at_once() -> None:
    link = Link(ServerConnection(max_body=1000))
    stream = http_get(link, "/x", "POST", ("content-length", "1001"), end=False)
    assert link.exchange() == [HttpRefused(stream, "POST", "/x", 413)]


def test_a_grpc_call_that_is_no_post_is_answered_405() -> None:
    link = Link()
    stream = link.open((":method", "GET"), end_stream=True)
    assert link.exchange() == [HttpRefused(stream, "GET", "/central.events.v1.watch/subscribe", 405)]
    assert link.response()[":status"] == "405"


def test_grpc_web_is_left_to_the_http_application() -> None:
    link = Link()
    link.open(("content-type", "application/grpc-web"), end_stream=True)
    assert isinstance(link.exchange()[0], HttpRequest)


@pytest.mark.parametrize(
    "headers",
    [
        [(":method", "GET"), (":scheme", "http"), (":path", "")],
        [(":method", "GET"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("Upper", "x")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("a", "x\nb: y")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":path", "/2")],
        [("a", "b"), (":method", "GET"), (":scheme", "http"), (":path", "/")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), (":status2", "x")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("connection", "keep-alive")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("transfer-encoding", "chunked")],
        [(":method", "GET"), (":scheme", "http"), (":path", "/"), ("te", "gzip")],
    ],
    ids=[
        "empty path",
        "no scheme",
        "upper case",
        "line break",
        "twice",
        "late pseudo header",
        "unknown pseudo header",
        "connection",
        "transfer-encoding",
        "te",
    ],
)
def test_a_malformed_request_costs_its_stream_and_not_the_connection(headers: list[Change]) -> None:
    link = Link()
    data = PREFACE + SettingsFrame(0).serialize()
    encoded = Encoder().encode(headers)
    data += HeadersFrame(1, encoded, flags=["END_HEADERS", "END_STREAM"]).serialize()
    assert link.server.receive(data) == []
    answer = link.server.data_to_send()
    assert answer.endswith(frame(3, 0, 1, b"\0\0\0\x01"))
    assert not link.server.broken


# ---------------------------------------------------------------- bad peers
def audit(data: bytes) -> None:
    auditor = Auditor(2**24)  # the soups may ask for longer frames
    auditor.feed(data)
    auditor.done()


def broken_by(data: bytes) -> tuple[ProtocolBroken, bytes]:
    server = ServerConnection()
    server.data_to_send()
    events = server.receive(data)
    assert isinstance(events[-1], ProtocolBroken)
    assert server.broken
    assert server.receive(b"more") == []
    answer = server.data_to_send()
    server.send_messages(1, [b"x"])
    server.end(1, 0)
    server.reset(1, 0)
    server.ack_ping(b"12345678")
    server.send_ping(b"12345678")
    server.goaway()
    assert server.data_to_send() == b""
    return events[-1], answer


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\0" * 100,
        PREFACE + b"\xff" * 100,
        PREFACE + frame(6, 0, 0, b"short"),
        PREFACE + frame(0, 0, 1, b"data before headers"),
        PREFACE + frame(8, 0, 0, b"\0\0\0\0"),
        PREFACE + frame(1, 4, 1, b"\xff\xff\xff\xff\xff\xff"),
        PREFACE + frame(1, 0, 1, b"") + ping_frame(b"12345678"),
    ],
    ids=["http/1.1", "zeros", "ones", "ping", "data", "window", "hpack", "ping in a header block"],
)
def test_nonsense_breaks_the_connection_with_a_goaway(data: bytes) -> None:
    broken, answer = broken_by(data)
    assert broken.reason
    last = answer[answer.rfind(b"\x07\x00\x00\x00\x00\x00") - 3 :]
    assert last[3] == 7


def test_a_header_of_a_hundred_megabytes_is_refused_in_bounded_memory() -> None:
    chunk = b"x" * 16_384

    def flood() -> int:
        server = ServerConnection()
        events = server.receive(PREFACE + SettingsFrame(0).serialize() + HeadersFrame(1, chunk).serialize())
        sent = len(chunk)
        while not events:
            events = server.receive(ContinuationFrame(1, chunk).serialize())
            sent += len(chunk)
        assert isinstance(events[-1], ProtocolBroken)
        return sent

    flood()
    tracemalloc.start()
    sent = flood()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent <= 160 * 1024
    assert peak < 2_000_000


def test_a_header_list_over_the_limit_is_refused_although_it_compresses_well() -> None:
    encoder = Encoder()
    headers = [(":method", "POST"), (":scheme", "http"), (":path", "/")] + [("x", "y" * 1000)] * 200
    encoded = encoder.encode(headers)
    assert len(encoded) < 3000
    broken_by(PREFACE + HeadersFrame(1, encoded, flags=["END_HEADERS"]).serialize())


def test_resetting_streams_for_ever_keeps_nothing() -> None:
    server = ServerConnection()
    server.receive(PREFACE + frame(4, 0, 0, b""))
    encoder = Encoder()

    tracemalloc.start()
    for stream in range(1, 5000, 2):
        opened = frame(1, 4, stream, encoder.encode(CALL[:6])) + frame(0, 0, stream, b"\0\0\0\xff\xffhalf")
        server.receive(opened, now=stream / 50)
        server.send_messages(stream, [b"x" * 100, b"y" * 100])
        server.receive(frame(3, 0, stream, b"\0\0\0\x08"))
        server.data_to_send()
    gc.collect()
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not server.broken
    assert kept < 300_000  # h2 remembers how the last 1,024 ended, at 165 bytes each
    assert (server.open_streams, server.queued_bytes) == (0, 0)


def test_a_stream_that_goes_gives_back_what_it_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_HELD", 5000)
    link = Link()
    for _ in range(20):
        stream = link.open()
        link.client.send_data(stream, b"\0\0\x10\0\0" + b"x" * 1000)
        link.client.reset_stream(stream, ErrorCodes.CANCEL)
        assert not any(isinstance(event, CallRefused) for event in link.exchange())


def test_half_sent_messages_are_bounded_over_all_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_HELD", 100_000)
    link = Link()
    refused: list[WireEvent] = []
    for _ in range(10):
        stream = link.open()
        link.client.send_data(stream, b"\0\0\x10\0\0" + b"x" * 16_000)
        refused += [event for event in link.exchange() if isinstance(event, CallRefused)]
    assert [event.code for event in refused if isinstance(event, CallRefused)] == [8] * 4


def conversation() -> bytes:
    """Everything a lively client sends, as one string of bytes."""
    link = Link()
    link.client.ping(b"bandwdth")
    first, second = link.open(), link.open(("authorization", "Bearer " + "t" * 20_000))
    link.client.send_data(first, encode_message(b"subscribe") + encode_message(b"x" * 700))
    link.client.send_data(second, encode_message(b"")[:3])
    link.client.ping(b"keepaliv")
    link.client.send_data(second, encode_message(b"")[3:], end_stream=True)
    http_get(link, "/events/x?y=z", "GET")
    link.client.reset_stream(first, ErrorCodes.CANCEL)
    data: bytes = link.client.data_to_send()
    return data + goaway_frame(0, 0) + ping_frame(b"lateping") + frame(8, 0, 0, b"\0\0\0\x01")


def observed(pieces: list[bytes]) -> list[WireEvent]:
    server = ServerConnection()
    return [event for piece in pieces for event in server.receive(piece)]


CONVERSATION = conversation()
WHOLE = observed([CONVERSATION])


def test_a_conversation_cut_at_any_byte_means_the_same() -> None:
    data, whole = CONVERSATION, WHOLE
    assert [type(event).__name__ for event in whole] == [
        "PingReceived",
        "CallOpened",
        "CallOpened",
        "MessageReceived",
        "MessageReceived",
        "PingReceived",
        "MessageReceived",
        "HalfClosed",
        "HttpRequest",
        "CallReset",
        "GoAwayReceived",
        "PingReceived",
    ]
    assert observed([data[n : n + 1] for n in range(len(data))]) == whole


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 25_000), max_size=30))
def test_a_conversation_cut_anywhere_means_the_same(cuts: list[int]) -> None:
    data = CONVERSATION
    points = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(points)]
    assert observed(pieces) == WHOLE


@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=400), st.booleans())
def test_random_bytes_never_raise(data: bytes, with_preface: bool) -> None:
    server = ServerConnection()
    events = server.receive((PREFACE if with_preface else b"") + data)
    if data and not with_preface and data[0] != PREFACE[0]:
        assert isinstance(events[-1], ProtocolBroken)
    audit(server.data_to_send())


frame_soup = st.lists(
    st.builds(
        frame,
        st.integers(0, 12),
        st.integers(0, 255),
        st.sampled_from([0, 1, 1, 2, 3, 5, 2**31 - 1]),
        st.one_of(
            st.binary(max_size=60),
            st.just(Encoder().encode(CALL)),
            st.just(encode_message(b"hello")),
            st.just(b"\0\0\0\1"),
        ),
    ),
    max_size=15,
)


@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.too_slow])
@given(frame_soup, st.randoms(use_true_random=False))
def test_soups_of_frames_never_raise_and_are_answered_in_good_http_2(frames: list[bytes], random: Random) -> None:
    server = ServerConnection()
    server.receive(
        PREFACE + frame(4, 0, 0, b"") + HeadersFrame(1, Encoder().encode(CALL), flags=["END_HEADERS"]).serialize()
    )
    commands: list[Callable[[], object]] = [
        lambda: server.send_messages(1, [encode_message(b"x" * 300)] * 300),
        lambda: server.send_messages(1, [encode_message(b"x")]),
        lambda: server.end(1, 2, "ende"),
        lambda: server.reset(1, 2),
        lambda: server.respond(3, 200, [], b"x" * 100_000),
        lambda: server.ack_ping(b"12345678"),
        lambda: server.goaway(),
        lambda: written.append(server.data_to_send(random.choice([None, 100]))),
    ]
    written: list[bytes] = []
    for data in frames:
        server.receive(data)
        random.choice(commands)()
    audit(b"".join(written) + server.data_to_send())
    assert server.queued_bytes >= 0


@pytest.mark.parametrize("size", [10, 30_000])
def test_a_message_for_each_of_many_calls_is_what_it_would_be_one_by_one(size: int) -> None:
    """Small windows, a call without headers yet, one with a queue, one that has ended, one that never was."""
    message = encode_message(b"x" * size)
    bodies = []
    for at_once in (True, False):
        link = Link()
        streams = [link.open() for _ in range(6)]
        link.exchange()
        for stream in streams[:4]:
            link.server.send_messages(stream, (encode_message(b"hello"),))
        link.server.send_messages(streams[1], [encode_message(b"y" * 40_000)] * 2)
        link.server.end(streams[2], 0)
        link.client.reset_stream(streams[3])
        link.exchange()
        if at_once:
            link.server.send_to_each([*streams, 99], message)
        else:
            for stream in [*streams, 99]:
                link.server.send_messages(stream, (message,))
        link.exchange()
        bodies.append(({stream: bytes(link.body.get(stream, b"")) for stream in streams}, link.server.queued_bytes))
    assert bodies[0] == bodies[1]
    assert bodies[0][0][streams[5]].startswith(message[:100])
