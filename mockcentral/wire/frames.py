"""The frames a fake wants to answer by its own policy, taken out of the byte stream before h2 sees them.

h2 acks every PING by itself and refuses all work after a GOAWAY. A fake Central delays or withholds acks, and goes on
delivering while a client says goodbye, so both frames are lifted out here and all else passes through as it came. This
module knows the 9-byte frame header (RFC 9113 4.1) and a few frame layouts; it knows nothing of streams, header
compression or flow control, and leaves every judgement about malformed frames to h2.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from mockcentral.wire.credit import Credit

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
"""What every HTTP/2 client sends first (RFC 9113 3.4)."""

HEADER_SIZE = 9
DEFAULT_MAX_FRAME_SIZE = 16_384
"""The smallest limit HTTP/2 allows to advertise; requests to a watch service are far smaller."""

DEFAULT_MAX_HEADER_BLOCK = 128 * 1024
"""Bound for one compressed header block. A valid block is never longer than the header list it stands for (64 KiB
here), so twice that only ever stops floods of CONTINUATION frames."""

MAX_CONTINUATIONS = 63
"""Bound for the CONTINUATION frames of one header block, since empty ones add nothing to its length. h2 has the same
and calls it a PROTOCOL_ERROR.
"""

_HEADERS, _SETTINGS, _PUSH_PROMISE, _PING, _GOAWAY, _CONTINUATION = 0x1, 0x4, 0x5, 0x6, 0x7, 0x9
_ACK = 0x1
_END_HEADERS = 0x4

_FRAME_SIZE_ERROR, _ENHANCE_YOUR_CALM = 0x6, 0xB

_TOO_MUCH = "more PINGs, resets, settings or empty frames than anybody needs"

_HEADER = struct.Struct(">BHBBI")
_U32 = struct.Struct(">I")


@dataclass(frozen=True, slots=True)
class Ping:
    """A well-formed PING frame; `ack` tells an answer from a question. `payload` is 8 bytes."""

    payload: bytes
    ack: bool


@dataclass(frozen=True, slots=True)
class GoAway:
    """A well-formed GOAWAY frame of the peer."""

    error_code: int
    last_stream: int
    debug: bytes


Item: TypeAlias = "bytes | Ping | GoAway"


class FrameError(Exception):
    """The byte stream cannot be followed any further.

    `error_code` is the HTTP/2 code to say goodbye with; `items` are those found before the bad frame in the same feed.
    """

    def __init__(self, message: str, error_code: int, items: list[Item]) -> None:
        super().__init__(message)
        self.error_code = error_code
        self.items = items


class FrameTooLong(FrameError):
    """A frame header announced more than the advertised maximum. None of its payload was stored."""


class HeaderBlockTooLong(FrameError):
    """HEADERS and CONTINUATION frames add up to more than any sensible request."""


class Flood(FrameError):
    """More frames that cost work and ask for nothing than any honest client sends."""


class FrameSplitter:
    """Splits what a client sends into bytes for h2 and the frames answered elsewhere, in order.

    Holds back at most one incomplete frame header, PING or GOAWAY; other payloads pass on as they arrive, so a feed
    without such frames gives back the very object it was given. Inside a header block (RFC 9113 4.3: nothing may come
    between HEADERS and its CONTINUATIONs) PING and GOAWAY pass on too, and h2 complains as it should. After a
    `FrameError` the splitter must not be fed again. Each frame is paid for with `credit`, which the owner refills.
    """

    __slots__ = ("_block", "_continuations", "_held", "_in_block", "_max_block", "_max_frame", "_passing", "credit")

    def __init__(
        self, max_frame_size: int = DEFAULT_MAX_FRAME_SIZE, max_header_block: int = DEFAULT_MAX_HEADER_BLOCK
    ) -> None:
        self._max_frame = max_frame_size
        self._max_block = max_header_block
        self._passing = len(PREFACE)
        self._held = b""
        self._in_block = False
        self._block = self._continuations = 0
        self.credit = Credit()

    @property
    def held(self) -> int:
        """Bytes kept back until the rest of their frame arrives."""
        return len(self._held)

    def feed(self, data: bytes) -> list[Item]:
        """The items completed by `data`. Raises `FrameTooLong`, `HeaderBlockTooLong` or `Flood`."""
        if self._held:
            data = self._held + data
            self._held = b""
        size = len(data)
        items: list[Item] = []
        credit = self.credit
        run = 0  # where the bytes to pass on begin
        at = 0
        while True:
            if self._passing:
                step = min(self._passing, size - at)
                at += step
                self._passing -= step
            if size - at < HEADER_SIZE:
                break
            high, low, kind, flags, stream = _HEADER.unpack_from(data, at)
            length = high << 16 | low
            if length > self._max_frame:
                _pass_on(items, data, run, at)
                message = f"a frame of {length} bytes was announced, {self._max_frame} are allowed"
                raise FrameTooLong(message, _FRAME_SIZE_ERROR, items)
            lifted = not self._in_block and not stream & 0x7FFFFFFF and _is_lifted(kind, length)
            if lifted and size - at < HEADER_SIZE + length:
                break
            credit.spend(kind, flags, length)
            if credit.left < 0:
                _pass_on(items, data, run, at)
                raise Flood(_TOO_MUCH, _ENHANCE_YOUR_CALM, items)
            if lifted:
                _pass_on(items, data, run, at)
                run = at + HEADER_SIZE + length
                body = data[at + HEADER_SIZE : run]
                at = run
                if kind == _PING:
                    items.append(Ping(body, bool(flags & _ACK)))
                else:
                    last_stream = _U32.unpack_from(body)[0] & 0x7FFFFFFF
                    items.append(GoAway(_U32.unpack_from(body, 4)[0], last_stream, body[8:]))
                continue
            if kind in (_HEADERS, _PUSH_PROMISE) and not self._in_block:
                self._in_block = not flags & _END_HEADERS
                self._block, self._continuations = length, 0
            elif kind == _CONTINUATION and self._in_block:
                self._in_block = not flags & _END_HEADERS
                self._block += length
                self._continuations += 1
                if self._block > self._max_block or self._continuations > MAX_CONTINUATIONS:
                    _pass_on(items, data, run, at)
                    message = f"a header block of more than {self._max_block} bytes or {MAX_CONTINUATIONS + 1} frames"
                    raise HeaderBlockTooLong(message, _ENHANCE_YOUR_CALM, items)
            at += HEADER_SIZE
            self._passing = length
        _pass_on(items, data, run, at)
        self._held = data[at:]
        return items


def _is_lifted(kind: int, length: int) -> bool:
    return (kind == _PING and length == 8) or (kind == _GOAWAY and length >= 8)


def _pass_on(items: list[Item], data: bytes, start: int, end: int) -> None:
    if end > start:
        items.append(data[start:end])  # slicing all of a bytes object copies nothing


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """One HTTP/2 frame of any kind."""
    length = len(payload)
    return _HEADER.pack(length >> 16, length & 0xFFFF, kind, flags, stream) + payload


def data_header(stream: int, length: int) -> bytes:
    """What comes before so many bytes of DATA that do not end the stream."""
    return _HEADER.pack(length >> 16, length & 0xFFFF, 0, 0, stream)


def ping_frame(payload: bytes, ack: bool = False) -> bytes:
    """A PING frame. Raises ValueError unless the payload has 8 bytes."""
    if len(payload) != 8:
        raise ValueError(f"a PING carries 8 bytes, not {len(payload)}")
    return frame(_PING, _ACK if ack else 0, 0, payload)


def goaway_frame(error_code: int, last_stream: int, debug: bytes = b"") -> bytes:
    """A GOAWAY frame: streams above `last_stream` were not and will not be looked at."""
    return frame(_GOAWAY, 0, 0, _U32.pack(last_stream & 0x7FFFFFFF) + _U32.pack(error_code) + debug)


def settings_frame(settings: Mapping[int, int]) -> bytes:
    """A SETTINGS frame with these identifiers and values."""
    return frame(_SETTINGS, 0, 0, b"".join(struct.pack(">HI", key, value) for key, value in settings.items()))
