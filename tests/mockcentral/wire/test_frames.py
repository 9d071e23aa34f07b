"""The splitter lifts out PING and GOAWAY and leaves every other byte where it was."""

from __future__ import annotations

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
)
from hypothesis import given
from hypothesis import strategies as st

from mockcentral.wire import frames
from mockcentral.wire.frames import PREFACE, FrameSplitter, FrameTooLong, GoAway, HeaderBlockTooLong, Item, Ping

DATA = DataFrame(1, b"x" * 100).serialize()
PING = PingFrame(0, b"12345678").serialize()
ACK = PingFrame(0, b"abcdefgh", flags=["ACK"]).serialize()
GOAWAY = GoAwayFrame(0, last_stream_id=5, error_code=2, additional_data=b"bye").serialize()


def joined(items: list[Item]) -> list[Item]:
    """Items with neighbouring bytes joined: the same however the stream was cut."""
    result: list[Item] = []
    for item in items:
        if isinstance(item, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += item
        else:
            result.append(item)
    return result


def parsed(data: bytes) -> Frame:
    frame, length = Frame.parse_frame_header(memoryview(data)[:9])
    frame.parse_body(memoryview(data)[9 : 9 + length])
    assert len(data) == 9 + length
    return frame


def test_pings_and_goaways_are_lifted_out_in_order() -> None:
    items = FrameSplitter().feed(PREFACE + DATA + PING + DATA + DATA + ACK + GOAWAY + DATA)
    assert items == [
        PREFACE + DATA,
        Ping(b"12345678", ack=False),
        DATA + DATA,
        Ping(b"abcdefgh", ack=True),
        GoAway(error_code=2, last_stream=5, debug=b"bye"),
        DATA,
    ]


def test_a_feed_without_pings_comes_back_uncopied() -> None:
    splitter = FrameSplitter()
    splitter.feed(PREFACE)
    data = DATA * 50
    (item,) = splitter.feed(data)
    assert item is data


@given(
    st.lists(st.sampled_from([DATA, PING, ACK, GOAWAY, SettingsFrame(0).serialize()]), max_size=12),
    st.lists(st.integers(0, 1200), max_size=20),
)
def test_any_cut_of_the_stream_gives_the_same_items(parts: list[bytes], cuts: list[int]) -> None:
    data = PREFACE + b"".join(parts)
    whole = joined(FrameSplitter().feed(data))
    splitter = FrameSplitter()
    pieces: list[Item] = []
    last = 0
    for cut in [*sorted(min(cut, len(data)) for cut in cuts), len(data)]:
        pieces += splitter.feed(data[last:cut])
        last = cut
    assert joined(pieces) == whole
    assert splitter.held == 0


def test_a_ping_within_a_header_block_is_left_for_h2_to_complain() -> None:
    headers = HeadersFrame(1, b"abc").serialize()  # no END_HEADERS
    end = ContinuationFrame(1, b"def", flags=["END_HEADERS"]).serialize()
    assert FrameSplitter().feed(PREFACE + headers + PING) == [PREFACE + headers + PING]
    assert FrameSplitter().feed(PREFACE + headers + end + PING) == [PREFACE + headers + end, Ping(b"12345678", False)]


@pytest.mark.parametrize(
    "malformed",
    [frames.frame(6, 0, 0, b"1234567"), frames.frame(6, 0, 3, b"12345678"), frames.frame(7, 0, 0, b"1234")],
    ids=["short ping", "ping on a stream", "short goaway"],
)
def test_malformed_frames_are_left_for_h2_to_complain(malformed: bytes) -> None:
    assert FrameSplitter().feed(PREFACE + malformed) == [PREFACE + malformed]


def test_an_overlong_frame_is_refused_at_its_header() -> None:
    splitter = FrameSplitter(max_frame_size=16_384)
    with pytest.raises(FrameTooLong) as caught:
        splitter.feed(PREFACE + PING + frames.frame(0, 0, 1, b"")[:0] + b"\x00\x40\x01\x00\x00\x00\x00\x00\x01")
    assert caught.value.items == [PREFACE, Ping(b"12345678", False)]
    assert caught.value.error_code == 6
    assert splitter.held == 0


def test_a_frame_of_exactly_the_limit_passes() -> None:
    data = frames.frame(0, 0, 1, b"x" * 16_384)
    assert FrameSplitter().feed(PREFACE + data) == [PREFACE + data]


def test_endless_continuations_are_refused() -> None:
    splitter = FrameSplitter(max_header_block=1000)
    splitter.feed(PREFACE + HeadersFrame(1, b"x" * 600).serialize())
    with pytest.raises(HeaderBlockTooLong):
        splitter.feed(ContinuationFrame(1, b"x" * 600).serialize())


def test_at_most_one_frame_is_held_back() -> None:
    splitter = FrameSplitter()
    splitter.feed(PREFACE + GOAWAY[:-1])
    assert splitter.held == len(GOAWAY) - 1
    assert splitter.feed(GOAWAY[-1:]) == [GoAway(2, 5, b"bye")]
    splitter.feed(DATA[:50])
    assert splitter.held == 0


def test_frames_made_here_are_read_by_hyperframe() -> None:
    ping = parsed(frames.ping_frame(b"87654321", ack=True))
    assert isinstance(ping, PingFrame)
    assert ping.opaque_data == b"87654321"
    assert "ACK" in ping.flags
    goaway = parsed(frames.goaway_frame(11, 7, b"too_many_pings"))
    assert isinstance(goaway, GoAwayFrame)
    assert (goaway.error_code, goaway.last_stream_id, goaway.additional_data) == (11, 7, b"too_many_pings")
    settings = parsed(frames.settings_frame({3: 1000, 6: 65536}))
    assert isinstance(settings, SettingsFrame)
    assert settings.settings == {3: 1000, 6: 65536}
    with pytest.raises(ValueError, match="8 bytes"):
        frames.ping_frame(b"short")
