"""Frames that pass through: all of them, in order, but for what a fault asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import hpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockcentral.wire.frames import PREFACE, frame, goaway_frame, ping_frame, settings_frame
from mockcentral.wire.grpc import CallOpened, CallReset, PingReceived, ProtocolBroken
from mockcentral.wire.relay import MAX_FRAME, CutReached, Relay, StreamEnded

DATA, HEADERS, RST, SETTINGS, WINDOW, CONTINUATION = 0x0, 0x1, 0x3, 0x4, 0x8, 0x9
END_STREAM, END_HEADERS, ACK = 0x1, 0x4, 0x1
HELLO = PREFACE + settings_frame({})
OPEN = frame(HEADERS, END_HEADERS, 1, b"\x82")
EVENT = frame(DATA, 0, 1, b"event")
QUESTION = ping_frame(b"12345678")
ACKED = frame(SETTINGS, ACK, 0, b"")


def greeted(*more: bytes) -> Relay:
    """A relay whose client and server have said hello, and the client this; each has got it."""
    relay = Relay()
    relay.receive(HELLO + b"".join(more))
    relay.receive_upstream(settings_frame({}))
    relay.data_to_send()
    relay.receive(ACKED)
    relay.data_for_upstream()
    return relay


def test_what_a_client_sends_goes_to_the_server_as_it_is() -> None:
    relay = Relay()
    assert relay.receive(HELLO + OPEN + EVENT) == [CallOpened(1, "", ())]
    assert relay.greeted
    assert relay.data_for_upstream() == HELLO + OPEN + EVENT
    assert relay.data_to_send() == b""


def test_a_ping_waits_for_its_fault_and_then_passes_on() -> None:
    relay = greeted()
    assert relay.receive(QUESTION + OPEN) == [PingReceived(b"12345678"), CallOpened(1, "", ())]
    assert relay.data_for_upstream() == OPEN
    relay.ack_ping(b"12345678")
    assert relay.data_for_upstream() == QUESTION
    answer = ping_frame(b"12345678", ack=True)
    relay.receive_upstream(answer)
    assert relay.data_to_send() == answer


def test_a_ping_that_is_none_is_the_servers_to_judge() -> None:
    relay = greeted()
    wrong = frame(0x6, 0, 1, b"12345678")
    assert relay.receive(wrong) == []
    assert relay.data_for_upstream() == wrong


def test_an_ack_that_nobody_asked_for_is_made_here() -> None:
    relay = greeted(QUESTION)
    relay.ack_ping(b"wrongone")
    assert relay.data_for_upstream() == b""
    assert relay.data_to_send() == ping_frame(b"wrongone", ack=True)


def test_a_stream_ends_with_the_last_frame_of_the_server_or_a_reset_of_either() -> None:
    relay = greeted(OPEN)
    assert relay.receive_upstream(frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88")) == [StreamEnded(1)]
    relay = greeted(OPEN)
    assert relay.receive_upstream(frame(RST, 0, 1, bytes([0, 0, 0, 7]))) == [StreamEnded(1, 7)]
    relay = greeted(OPEN)
    assert relay.receive(frame(RST, 0, 1, bytes([0, 0, 0, 8]))) == [CallReset(1, 8)]
    assert relay.receive_upstream(frame(DATA, END_STREAM, 1, b"")) == []


def test_a_half_close_of_the_client_ends_nothing() -> None:
    relay = greeted(OPEN)
    relay.receive(frame(DATA, END_STREAM, 1, b""))
    assert relay.receive_upstream(frame(DATA, END_STREAM, 1, b"")) == [StreamEnded(1)]


def test_a_reset_goes_to_both_and_what_the_server_still_sends_is_dropped_and_given_back() -> None:
    relay = greeted(OPEN)
    relay.reset(1, 2)
    assert relay.data_to_send() == frame(RST, 0, 1, bytes([0, 0, 0, 2]))
    assert relay.data_for_upstream() == frame(RST, 0, 1, bytes([0, 0, 0, 8]))
    relay.receive_upstream(EVENT)
    assert relay.data_to_send() == b""
    assert relay.data_for_upstream() == frame(WINDOW, 0, 0, bytes([0, 0, 0, 5]))
    # The client's decoder of headers must not miss one.
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88")
    assert relay.receive_upstream(trailers) == []
    assert relay.data_to_send() == trailers
    # What the client had on its way is dropped too, and given back to it.
    relay = greeted(OPEN)
    relay.reset(1, 2)
    relay.data_to_send(), relay.data_for_upstream()
    relay.receive(EVENT)
    assert relay.data_for_upstream() == b""
    assert relay.data_to_send() == frame(WINDOW, 0, 0, bytes([0, 0, 0, 5]))


def test_nothing_of_ours_comes_between_the_frames_of_a_header_block() -> None:
    begin, rest = frame(HEADERS, 0, 3, b"\x82"), frame(CONTINUATION, END_HEADERS, 3, b"\x84")
    relay = greeted(OPEN, QUESTION)
    relay.receive(begin)
    relay.reset(1, 2)
    relay.ack_ping(b"12345678")
    assert relay.data_for_upstream() == begin
    relay.receive(rest + EVENT)
    cancel = frame(RST, 0, 1, (8).to_bytes(4, "big"))
    assert relay.data_for_upstream() == rest + cancel + QUESTION  # and nothing more of the stream that was reset
    relay.data_to_send()
    relay.receive_upstream(begin)
    relay.send_ping(b"abcdefgh")
    relay.goaway(0)
    assert relay.data_to_send() == begin
    relay.receive_upstream(frame(CONTINUATION, 0, 3, b""))
    assert relay.data_to_send() == frame(CONTINUATION, 0, 3, b"")
    relay.receive_upstream(rest)
    assert relay.data_to_send() == rest + ping_frame(b"abcdefgh") + goaway_frame(0, 3)
    assert relay.to_client_bytes == relay.to_server_bytes == 0


def test_a_reset_of_a_stream_that_is_over_does_nothing() -> None:
    relay = greeted(OPEN)
    relay.receive_upstream(frame(DATA, END_STREAM, 1, b""))
    relay.data_to_send()
    relay.reset(1, 2)
    relay.reset(3, 2)
    assert relay.data_to_send() == relay.data_for_upstream() == b""


def test_an_end_goes_to_the_client_as_trailers_that_leave_the_compression_table_alone() -> None:
    relay = greeted(OPEN)
    relay.end(1, 14, "50 % off", [("x-long", "v" * 300)])
    trailers, rest = _first(relay.data_to_send())
    assert (trailers[3], trailers[4], trailers[8]) == (HEADERS, END_HEADERS | END_STREAM, 1)
    assert rest == frame(RST, 0, 1, bytes(4))
    decoder = hpack.Decoder()
    found: Any = decoder.decode(trailers[9:])
    assert found == [("grpc-status", "14"), ("grpc-message", "50 %25 off"), ("x-long", "v" * 300)]
    assert not decoder.header_table.dynamic_entries
    assert relay.data_for_upstream() == frame(RST, 0, 1, bytes([0, 0, 0, 8]))
    relay.end(1, 14)  # it is over
    assert relay.data_to_send() == b""
    relay = greeted(OPEN)
    relay.end(1, 0, bare=True)
    assert relay.data_to_send() == frame(DATA, END_STREAM, 1, b"") + frame(RST, 0, 1, bytes(4))


def _first(data: bytes) -> tuple[bytes, bytes]:
    size = 9 + int.from_bytes(data[:3], "big")
    return data[:size], data[size:]


def test_a_cut_lets_so_many_bytes_through_and_what_follows_waits_for_the_reset() -> None:
    relay = greeted(OPEN)
    relay.cut(1, 7)
    trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\x88")
    assert relay.receive_upstream(EVENT + EVENT + EVENT + trailers) == [CutReached(1)]
    assert relay.data_to_send() == EVENT + frame(DATA, 0, 1, b"ev")
    assert relay.data_for_upstream() == frame(WINDOW, 0, 0, bytes([0, 0, 0, 3]))
    relay.reset(1, 2)
    assert relay.receive_upstream(b"") == []
    assert relay.data_to_send() == frame(RST, 0, 1, bytes([0, 0, 0, 2])) + trailers
    relay.cut(1, 7)
    assert relay.receive_upstream(EVENT) == []
    assert relay.data_to_send() == EVENT


def test_goaway_names_the_last_stream_the_client_opened() -> None:
    relay = greeted(OPEN, frame(HEADERS, END_HEADERS, 5, b"\x82"))
    relay.goaway(11, None, b"too_many_pings")
    assert relay.data_to_send() == goaway_frame(11, 5, b"too_many_pings")
    assert relay.data_for_upstream() == b""


def test_acks_of_what_a_fault_sent_go_no_further() -> None:
    relay = greeted()
    ours, theirs = settings_frame({3: 1000}), settings_frame({3: 7})
    relay.receive_upstream(theirs)
    relay.send_frames(ours * 2)
    relay.receive_upstream(theirs)
    ack = frame(SETTINGS, ACK, 0, b"")
    got = []
    for _ in range(4):
        relay.receive(ack)
        got.append(relay.data_for_upstream() == ack)
    assert got == [True, False, False, True]
    relay.send_ping(b"our-ping")
    relay.receive_upstream(ping_frame(b"serverpi"))
    relay.receive(ping_frame(b"our-ping", ack=True))
    assert relay.data_for_upstream() == b""
    relay.receive(ping_frame(b"serverpi", ack=True))
    assert relay.data_for_upstream() == ping_frame(b"serverpi", ack=True)


@pytest.mark.parametrize(
    ("feed", "says"),
    [
        (lambda relay: relay.receive(b"GET / HTTP/1.1\r\n\r\n"), "no HTTP/2 preface"),
        (lambda relay: relay.receive(HELLO + b"\xff\xff\xff" + bytes(6)), "a frame of 16777215 bytes was announced"),
        (lambda relay: relay.receive_upstream(b"HTTP/1.1 400 Bad Request\r\n"), "the upstream does not speak HTTP/2"),
    ],
)
def test_what_cannot_be_followed_is_said_once(feed: Callable[[Relay], list[object]], says: str) -> None:
    relay = Relay()
    broken = feed(relay)[-1]
    assert isinstance(broken, ProtocolBroken)
    assert says in broken.reason
    assert relay.broken
    assert relay.data_to_send().endswith(goaway_frame(1, 0))
    assert relay.receive(HELLO) == relay.receive_upstream(EVENT) == []


def test_no_more_is_held_than_one_frame() -> None:
    relay = greeted()
    head = MAX_FRAME.to_bytes(3, "big") + bytes(6)
    relay.receive_upstream(head + bytes(1000))
    assert relay.to_client_bytes == 0
    relay.receive_upstream(bytes(MAX_FRAME - 1000))
    assert relay.to_client_bytes == len(relay.data_to_send()) == MAX_FRAME + 9
    assert relay.to_client_bytes == 0


def test_what_is_taken_is_bounded_but_for_one_frame() -> None:
    relay = greeted()
    relay.receive_upstream(EVENT * 3)
    assert relay.data_to_send(1) == EVENT
    assert relay.data_to_send(len(EVENT) * 2) == EVENT * 2


def test_less_than_was_asked_for_is_all_there_is() -> None:
    """Whoever got less waits for the next event of its peers, and there may be none before what is left has arrived."""
    for limit in range(1, 40):
        relay = greeted(EVENT * 3)
        relay.receive_upstream(EVENT * 3)
        for take in (relay.data_to_send, relay.data_for_upstream):
            while len(take(limit)) >= limit:
                pass
            assert take(None) == b""


FRAMES = st.lists(
    st.builds(
        frame,
        st.sampled_from((DATA, HEADERS, SETTINGS, WINDOW, CONTINUATION, 0xFA)),
        st.sampled_from((0, END_HEADERS)),
        st.integers(0, 9),
        st.binary(max_size=40),
    ),
    max_size=10,
).map(b"".join)


@given(up=FRAMES, down=FRAMES, cuts=st.lists(st.integers(1, 60), max_size=10))
def test_however_bytes_come_they_leave_in_order_and_whole(up: bytes, down: bytes, cuts: list[int]) -> None:
    relay = Relay()
    sent_up, sent_down = b"", b""
    up = HELLO + up
    for data, feed in ((up, relay.receive), (down, relay.receive_upstream)):
        at = 0
        for cut in [*cuts, len(data)]:
            feed(data[at : at + cut])
            at += cut
            sent_up += relay.data_for_upstream(20)
            sent_down += relay.data_to_send(20)
    sent_up += relay.data_for_upstream()
    sent_down += relay.data_to_send()
    assert (sent_up, sent_down) == (up, down)


# ------------------------------------------------------------------------------------------ smaller windows
def update(stream: int, count: int) -> bytes:
    return frame(WINDOW, 0, stream, count.to_bytes(4, "big"))


def test_a_shrunk_window_is_the_relays_to_give_and_the_server_hears_nothing_of_it() -> None:
    relay = greeted(OPEN)
    relay.shrink_window(10)
    assert relay.data_to_send() == settings_frame({4: 10})
    relay.receive(frame(SETTINGS, ACK, 0, b""))
    assert relay.data_for_upstream() == b""
    relay.receive(EVENT)
    assert relay.data_for_upstream() == EVENT
    assert relay.data_to_send() == update(1, 5)
    relay.receive_upstream(update(1, 5) + update(0, 5) + settings_frame({4: 100_000}))
    assert relay.data_to_send() == update(0, 5) + settings_frame({4: 10})


def test_grants_pass_while_no_window_was_shrunk() -> None:
    relay = greeted(OPEN, EVENT)
    for leave in (update(1, 5), update(0, 5), update(3, 5), settings_frame({4: 100_000})):
        relay.receive_upstream(leave)
        assert relay.data_to_send() == leave


def test_the_window_of_a_stream_that_is_over_is_forgotten() -> None:
    relay = greeted(OPEN)
    relay.reset(1, 8)
    relay.shrink_window(10)
    relay.receive(EVENT)
    assert update(1, 5) not in relay.data_to_send()


def test_the_first_word_is_the_servers_and_acks_go_to_who_asked_for_them() -> None:
    relay = Relay()
    relay.receive(HELLO + OPEN)
    relay.data_for_upstream()
    relay.send_ping(b"12345678")
    relay.send_frames(settings_frame({3: 1000}))
    relay.goaway(0)
    assert (relay.data_to_send(), relay.holds_back) == (b"", True)
    theirs = settings_frame({1: 4096})
    relay.receive_upstream(theirs)
    assert relay.data_to_send() == theirs + QUESTION + settings_frame({3: 1000}) + goaway_frame(0, 1)
    assert not relay.holds_back
    relay.receive(ACKED)
    assert relay.data_for_upstream() == ACKED
    relay.receive(ACKED)
    assert relay.data_for_upstream() == b""


def test_what_waits_for_a_server_that_will_say_nothing_goes_out_behind_settings_of_our_own() -> None:
    relay = Relay()
    relay.receive(HELLO)
    relay.say_the_last()
    assert relay.data_to_send() == b""
    relay.goaway(11)
    relay.say_the_last()
    assert relay.data_to_send() == settings_frame({}) + goaway_frame(11, 0)
