"""An independent reader of what the fake writes: hyperframe and hpack, and the rules a client may rely on.

Shares no code with the fake's own wire, nor h2's state machine: what both believe is not what counts here.
"""

from __future__ import annotations

from hpack import Decoder
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

_FLAGS = {0x0: 0x1, 0x1: 0x5, 0x3: 0x0, 0x4: 0x1, 0x6: 0x1, 0x7: 0x0, 0x8: 0x0, 0x9: 0x4}
"""Frame type -> the flags this server has a use for; RFC 9113 has more, for padding and priorities."""

_PER_CONNECTION = {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"}


class _Response:
    def __init__(self) -> None:
        self.headers: list[tuple[str, str]] | None = None
        self.body = bytearray()
        self.over = False


class Auditor:
    """Fed with the bytes of one connection, in any pieces; raises AssertionError at the first that is wrong.

    `max_frame` is what the client allowed; `grpc` whether calls have to end as gRPC says, too. `frames` are all there
    were, `responses` what each stream got.
    """

    def __init__(self, max_frame: int = 16_384, *, grpc: bool = True) -> None:
        self.frames: list[Frame] = []
        self.responses: dict[int, _Response] = {}
        self._max_frame = max_frame
        self._grpc = grpc
        self._held = b""
        self._decoder = Decoder()
        self._block: tuple[HeadersFrame, bytearray] | None = None
        self._last_stream = 2**31 - 1

    def feed(self, data: bytes) -> list[Frame]:
        """The frames completed by `data`."""
        self._held += data
        found: list[Frame] = []
        while len(self._held) >= 9:
            length = int.from_bytes(self._held[:3], "big")
            if len(self._held) < 9 + length:
                break
            head, body = self._held[:9], self._held[9 : 9 + length]
            self._held = self._held[9 + length :]
            found.append(self._read(head, body))
        return found

    def done(self) -> None:
        """The connection is over: nothing may be left half-written."""
        assert self._held == b""
        assert self._block is None

    def _read(self, head: bytes, body: bytes) -> Frame:
        kind, flags = head[3], head[4]
        assert kind in _FLAGS, f"frame type {kind:#x}"
        assert not flags & ~_FLAGS[kind], f"flags {flags:#x} of frame type {kind:#x}"
        assert not head[5] & 0x80, "the reserved bit of a stream identifier"
        assert len(body) <= self._max_frame, f"{len(body)} bytes in a frame"
        frame, length = Frame.parse_frame_header(memoryview(head), strict=True)
        assert length == len(body)
        frame.parse_body(memoryview(body))
        if not self.frames:
            assert isinstance(frame, SettingsFrame), "the first frame is no SETTINGS"
            assert not flags
        self.frames.append(frame)
        if self._block is not None:
            assert isinstance(frame, ContinuationFrame)
        if isinstance(frame, (SettingsFrame, PingFrame, GoAwayFrame)):
            assert frame.stream_id == 0
        elif not isinstance(frame, WindowUpdateFrame):
            assert frame.stream_id % 2 == 1
        if isinstance(frame, SettingsFrame) and flags:
            assert not body, "an ack of SETTINGS carries none"
        elif isinstance(frame, GoAwayFrame):
            assert frame.last_stream_id <= self._last_stream, "a GOAWAY takes streams back"
            self._last_stream = frame.last_stream_id
        elif isinstance(frame, HeadersFrame):
            self._block = frame, bytearray(frame.data)
            if flags & 0x4:
                self._headers()
        elif isinstance(frame, ContinuationFrame):
            assert self._block is not None
            assert frame.stream_id == self._block[0].stream_id
            self._block[1].extend(frame.data)
            if flags & 0x4:
                self._headers()
        elif isinstance(frame, DataFrame):
            response = self._live(frame.stream_id)
            assert response.headers is not None, "DATA before HEADERS"
            response.body += frame.data
            if flags & 0x1:
                self._over(response)
        elif isinstance(frame, RstStreamFrame):
            self.responses.setdefault(frame.stream_id, _Response()).over = True
        elif isinstance(frame, WindowUpdateFrame):
            assert 0 < frame.window_increment < 2**31
        return frame

    def _live(self, stream: int) -> _Response:
        response = self.responses.setdefault(stream, _Response())
        assert not response.over, f"more on stream {stream}, which is over"
        return response

    def _headers(self) -> None:
        assert self._block is not None
        (first, block), self._block = self._block, None
        fields = [(str(name), str(value)) for name, value in self._decoder.decode(bytes(block))]
        response = self._live(first.stream_id)
        ends = "END_STREAM" in first.flags
        for name, value in fields:
            assert name == name.lower()
            assert name not in _PER_CONNECTION
            assert not set(value) & set("\r\n\0")
            assert value == value.strip()
        if response.headers is None:
            assert fields[0][0] == ":status"
            assert 200 <= int(fields[0][1]) <= 999
            assert all(not name.startswith(":") for name, _ in fields[1:])
            response.headers = fields
        else:
            assert ends, "trailers without END_STREAM"
            assert all(not name.startswith(":") for name, _ in fields)
            response.headers = response.headers + fields
        if ends:
            self._over(response)

    def _over(self, response: _Response) -> None:
        response.over = True
        assert response.headers is not None
        fields = dict(response.headers)
        if not self._grpc or fields.get("content-type") != "application/grpc":
            return
        assert int(fields["grpc-status"]) <= 16
        at = 0
        while at < len(response.body):
            assert response.body[at] == 0, "a compressed message"
            at += 5 + int.from_bytes(response.body[at + 1 : at + 5], "big")
        assert at == len(response.body), "the stream ends in the middle of a message"
