"""The same bytes, cut up otherwise: an independent decoder reads the same messages out of them."""

from __future__ import annotations

import h2.config
import h2.connection
import h2.events
from hyperframe.frame import ContinuationFrame, DataFrame, Frame, HeadersFrame
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral.wire.frames import frame
from mockcentral.wire.grpc import PREFACE, ServerConnection, encode_message
from mockcentral.wire.mangler import Mangler

HEADERS = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/x"),
    (":authority", "x"),
    ("content-type", "application/grpc"),
]


def conversation(*messages: bytes) -> tuple[h2.connection.H2Connection, bytes]:
    """A client that has opened stream 1, and what a server says to it: headers, messages, trailers."""
    client = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    client.initiate_connection()
    client.send_headers(1, HEADERS)
    server = ServerConnection()
    server.receive(client.data_to_send())
    server.send_messages(1, [encode_message(message) for message in messages])
    server.end(1, 0, "good bye")
    return client, server.data_to_send()


def heard(client: h2.connection.H2Connection, pieces: list[bytes]) -> tuple[bytes, list[str]]:
    """All DATA the client got, and the names of the events that are not DATA."""
    data, names = b"", []
    for piece in pieces:
        for event in client.receive_data(piece):
            if isinstance(event, h2.events.DataReceived):
                data += event.data
            else:
                names.append(type(event).__name__)
    return data, names


def frames(pieces: list[bytes]) -> list[Frame]:
    data, found = b"".join(pieces), []
    while data:
        one, length = Frame.parse_frame_header(memoryview(data[:9]))
        one.parse_body(memoryview(data[9 : 9 + length]))
        found.append(one)
        data = data[9 + length :]
    return found


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.binary(max_size=300), max_size=5),
    st.one_of(st.none(), st.integers(1, 50)),
    st.one_of(st.none(), st.integers(1, 50)),
    st.booleans(),
)
def test_a_client_hears_the_same_however_it_is_cut(
    messages: list[bytes], frame_bytes: int | None, write_bytes: int | None, empty: bool
) -> None:
    client, said = conversation(*messages)
    twin, _ = conversation(*messages)
    mangler = Mangler()
    mangler.reframe(frame_bytes, write_bytes, empty=empty)
    pieces = mangler.feed(said)
    assert write_bytes is None or all(len(piece) <= write_bytes for piece in pieces)
    for one in frames(pieces):
        if frame_bytes is not None and isinstance(one, (DataFrame, HeadersFrame, ContinuationFrame)):
            assert one.body_len <= frame_bytes
    assert heard(client, pieces) == heard(twin, [said])


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_bytes_may_come_in_any_pieces(data: st.DataObject) -> None:
    client, said = conversation(b"one", b"two" * 50)
    at, pieces, mangler = 0, [], Mangler()
    while at < len(said):
        step = data.draw(st.integers(1, 60))
        pieces += mangler.feed(said[at : at + step])
        at += step
    assert b"".join(pieces) == said
    assert heard(client, pieces)[0] == encode_message(b"one") + encode_message(b"two" * 50)


def test_an_empty_data_frame_goes_before_each() -> None:
    client, said = conversation(b"0123456789")
    mangler = Mangler()
    mangler.reframe(5, None, empty=True)
    sizes = [one.body_len for one in frames(mangler.feed(said)) if isinstance(one, DataFrame)]
    assert sizes == [0, 5, 0, 5, 0, 5]
    del client


def test_a_cut_lets_through_just_so_many_bytes_and_says_when() -> None:
    client, said = conversation(b"0123456789", b"more")
    mangler = Mangler()
    mangler.cut(1, 7)
    pieces = mangler.feed(said)
    assert mangler.take_reached() == [1]
    assert mangler.take_reached() == []
    data, names = heard(client, pieces)
    assert data == encode_message(b"0123456789")[:7]
    assert "TrailersReceived" in names  # header blocks are never dropped: all later ones would mean something else


def test_a_cut_counts_only_its_own_stream_and_may_end_with_a_frame() -> None:
    mangler = Mangler()
    mangler.cut(1, 4)
    other, mine, more = frame(0, 0, 3, b"other"), frame(0, 1, 1, b"mine"), frame(0, 0, 1, b"more")
    assert b"".join(mangler.feed(other)) == other
    assert mangler.take_reached() == []
    assert b"".join(mangler.feed(mine)) == frame(0, 0, 1, b"mine")  # its END_STREAM is dropped with the rest
    assert mangler.take_reached() == [1]
    assert mangler.feed(more) == []
    assert mangler.take_reached() == []


def test_a_cut_after_nothing_is_reached_at_once() -> None:
    mangler = Mangler()
    mangler.cut(1, 0)
    assert mangler.take_reached() == [1]
    assert mangler.feed(frame(0, 0, 1, b"x")) == []


def test_padding_of_a_frame_that_is_cut_does_not_count() -> None:
    mangler = Mangler()
    mangler.cut(1, 3)
    assert mangler.feed(frame(0, 0x8, 1, b"\x02" + b"abcd" + b"\0\0")) == [frame(0, 0, 1, b"abc")]


def test_what_is_injected_goes_between_two_frames() -> None:
    mangler, ping = Mangler(), frame(6, 0, 0, b"12345678")
    data = frame(0, 0, 1, b"abcdef")
    assert mangler.inject(ping) == [ping]
    assert mangler.feed(data[:10]) == []
    assert mangler.inject(ping) == []
    assert b"".join(mangler.feed(data[10:])) == data + ping


def test_a_mangler_without_orders_changes_nothing() -> None:
    _, said = conversation(b"a" * 20_000)
    assert b"".join(Mangler().feed(said)) == said
    assert PREFACE not in said
