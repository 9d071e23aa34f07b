"""What a hostile HTTP/2 client sends for ever: each flood is what comes after the preface, in pieces without end."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator

from hpack import Encoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from mockcentral.wire.frames import PREFACE, settings_frame

HELLO = PREFACE + SettingsFrame(0).serialize()
REQUEST = [(":method", "POST"), (":scheme", "http"), (":path", "/central.events.v1.watch/subscribe")]
CALL = [*REQUEST, ("te", "trailers"), ("content-type", "application/grpc")]


def headers(stream: int, fields: list[tuple[str, str]], *flags: str) -> bytes:
    """A HEADERS frame that leaves the compression table alone, so that each stands for itself."""
    return HeadersFrame(stream, _block(tuple(fields)), flags=["END_HEADERS", *flags]).serialize()


@functools.cache
def _block(fields: tuple[tuple[str, str], ...]) -> bytes:
    return Encoder().encode([(name, value, True) for name, value in fields])


def rapid_reset() -> Iterator[bytes]:
    for stream in range(1, 2**31, 2):
        yield headers(stream, CALL) + RstStreamFrame(stream, error_code=8).serialize()


def made_to_reset() -> Iterator[bytes]:
    """The server resets: a request that is none, a window that overflows."""
    for stream in range(1, 2**31, 4):
        yield headers(stream, [*CALL, ("connection", "close")])
        yield headers(stream + 2, CALL) + WindowUpdateFrame(stream + 2, window_increment=2**31 - 1).serialize()


def refused_streams(*credentials: tuple[str, str]) -> Iterator[bytes]:
    """More open streams than were allowed; at a front door it takes a token to keep a call open."""
    for stream in range(1, 2**31, 2):
        yield headers(stream, [*CALL, *credentials])


def continuations() -> Iterator[bytes]:
    yield HeadersFrame(1, b"\x00" + b"\x7f" + b"\xff" * 100).serialize()
    while True:
        yield ContinuationFrame(1, b"x" * 16_384).serialize()


def empty_continuations() -> Iterator[bytes]:
    yield HeadersFrame(1, b"\x82").serialize()
    while True:
        yield ContinuationFrame(1, b"").serialize()


def huge_headers() -> Iterator[bytes]:
    """One request after the other whose few bytes stand for a header list of 200 kB."""
    encoder = Encoder()
    for stream in range(1, 2**31, 2):
        block = encoder.encode([*CALL, *[("x", "y" * 1000)] * 200])
        yield HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize()


def unknown_settings(first: int, count: int) -> bytes:
    """SETTINGS nobody has heard of; hyperframe writes only the low byte of an identifier."""
    return settings_frame(dict.fromkeys(range(first, first + count), 1))


def again_and_again(*frames: Frame | bytes) -> Callable[[], Iterator[bytes]]:
    piece = b"".join(one if isinstance(one, bytes) else one.serialize() for one in frames) * 10

    def flood() -> Iterator[bytes]:
        while True:
            yield piece

    return flood


def empty_data() -> Iterator[bytes]:
    yield headers(1, CALL)
    yield from again_and_again(DataFrame(1))()


def window_updates() -> Iterator[bytes]:
    yield headers(1, CALL)
    yield from again_and_again(WindowUpdateFrame(0, window_increment=1), WindowUpdateFrame(1, window_increment=1))()


FLOODS: dict[str, Callable[..., Iterator[bytes]]] = {
    "rapid reset": rapid_reset,
    "made to reset": made_to_reset,
    "refused streams": refused_streams,
    "continuations": continuations,
    "empty continuations": empty_continuations,
    "huge headers": huge_headers,
    "settings": again_and_again(SettingsFrame(0, settings={4: 65_535})),
    "long settings": again_and_again(unknown_settings(100, 2700)),
    "pings": again_and_again(PingFrame(0, b"12345678")),
    "settings acks": again_and_again(SettingsFrame(0, flags=["ACK"])),
    "ping acks": again_and_again(PingFrame(0, b"12345678", flags=["ACK"])),
    "priorities": again_and_again(PriorityFrame(1, depends_on=3, stream_weight=7)),
    "goaways": again_and_again(GoAwayFrame(0, last_stream_id=0, error_code=0, additional_data=b"x" * 1000)),
    "empty data": empty_data,
    "window updates": window_updates,
}
"""Name -> flood. Each is to be answered by GOAWAY with ENHANCE_YOUR_CALM (RFC 9113 10.5)."""


def goaway_code(received: bytes) -> int | None:
    """The code of the last GOAWAY in what a server sent, read by hyperframe; None without one."""
    code = None
    while len(received) >= 9:
        parsed, length = Frame.parse_frame_header(memoryview(received[:9]))
        parsed.parse_body(memoryview(received[9 : 9 + length]))
        if isinstance(parsed, GoAwayFrame):
            code = parsed.error_code
        received = received[9 + length :]
    return code
