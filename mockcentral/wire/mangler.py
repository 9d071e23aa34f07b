"""What a server says on one HTTP/2 connection, cut up otherwise on its way to the client.

    server's bytes -> feed -> whole frames -> cuts -> frames of another size -> segments -> the transport

Works on frames alone, so it may stand behind our own HTTP/2 layer or between two strangers: it knows the 9-byte header
(RFC 9113 4.1), DATA, HEADERS and CONTINUATION, and it never opens a header block. Flow control stays as it was, because
no payload byte is added; of a stream that was cut only DATA vanishes, because a lost header block would spoil every
later one.
"""

from __future__ import annotations

from mockcentral.wire.frames import HEADER_SIZE, frame

_DATA, _HEADERS, _CONTINUATION = 0x0, 0x1, 0x9
_END_STREAM, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x4, 0x8, 0x20


class Mangler:
    """Feed it the server's bytes, write what it gives back, one write each.

    Without orders it passes whole frames on as they are. `reframe` and `cut` count from the next frame on.
    """

    __slots__ = ("_cuts", "_empty", "_frame_bytes", "_held", "_lost", "_pending", "_reached", "_write_bytes")

    def __init__(self) -> None:
        self._held = b""
        self._pending = b""
        self._frame_bytes: int | None = None
        self._write_bytes: int | None = None
        self._empty = False
        self._cuts: dict[int, int] = {}
        """Stream -> bytes of DATA it may still send; 0 for good."""
        self._reached: list[int] = []
        self._lost: set[int] = set()

    def reframe(self, frame_bytes: int | None, write_bytes: int | None, *, empty: bool = False) -> None:
        """Cut DATA and header blocks into frames of at most `frame_bytes` of payload, with an `empty` DATA frame before
        each DATA frame, and the bytes into writes of at most `write_bytes`. None: as they come.
        """
        self._frame_bytes, self._write_bytes, self._empty = frame_bytes, write_bytes, empty

    def cut(self, stream: int, after_bytes: int) -> None:
        """Let so many more bytes of DATA through on a stream; `take_reached` tells when that happened."""
        self._cuts[stream] = after_bytes
        if not after_bytes:
            self._reached.append(stream)

    def forget(self, stream: int) -> None:
        """A stream is over."""
        self._cuts.pop(stream, None)
        self._lost.discard(stream)

    def has_cut(self, stream: int) -> bool:
        """Whether anything of a stream was cut off."""
        return stream in self._lost

    def take_reached(self) -> list[int]:
        """The streams that came to their cut since it was last asked."""
        reached, self._reached = self._reached, []
        return reached

    def inject(self, data: bytes) -> list[bytes]:
        """Bytes of one's own, behind the frame that is under way; what can be written now."""
        if self._held:
            self._pending += data
            return []
        return self._segments(data)

    def feed(self, data: bytes) -> list[bytes]:
        """What these bytes come to, one write each."""
        data = self._held + data
        size, at, out = len(data), 0, []
        while size - at >= HEADER_SIZE:
            end = at + HEADER_SIZE + int.from_bytes(data[at : at + 3], "big")
            if end > size:
                break
            out.append(self._frame(data, at, end))
            at = end
            if self._pending:
                out.append(self._pending)
                self._pending = b""
        self._held = data[at:]
        return self._segments(b"".join(out))

    def _frame(self, data: bytes, at: int, end: int) -> bytes:
        kind, flags = data[at + 3], data[at + 4]
        stream = int.from_bytes(data[at + 5 : at + 9], "big") & 0x7FFFFFFF
        whole = data[at:end]
        if kind == _DATA and stream in self._cuts:
            return self._cut(stream, flags, whole)
        if kind == _DATA:
            return self._split_data(stream, flags, whole)
        if kind == _HEADERS and self._frame_bytes and not flags & (_PADDED | _PRIORITY) and flags & _END_HEADERS:
            return self._split_headers(stream, flags, whole[HEADER_SIZE:])
        return whole

    def _cut(self, stream: int, flags: int, whole: bytes) -> bytes:
        left = self._cuts[stream]
        payload = whole[HEADER_SIZE:]
        if flags & _PADDED and payload:
            payload = payload[1 : max(1, len(payload) - payload[0])]
        if len(payload) > left:
            self._lost.add(stream)
        if not left:
            return b""
        if len(payload) < left:
            self._cuts[stream] = left - len(payload)
            return self._split_data(stream, flags, whole)
        self._cuts[stream] = 0
        self._reached.append(stream)
        return self._split_data(stream, 0, frame(_DATA, 0, stream, payload[:left]))

    def _split_data(self, stream: int, flags: int, whole: bytes) -> bytes:
        size = self._frame_bytes
        if size is None or flags & _PADDED or (len(whole) - HEADER_SIZE <= size and not self._empty):
            return whole
        payload = whole[HEADER_SIZE:]
        parts = [payload[at : at + size] for at in range(0, len(payload), size)] or [b""]
        empty = frame(_DATA, 0, stream, b"") if self._empty else b""
        out = [empty + frame(_DATA, 0, stream, part) for part in parts[:-1]]
        return b"".join([*out, empty, frame(_DATA, flags, stream, parts[-1])])

    def _split_headers(self, stream: int, flags: int, block: bytes) -> bytes:
        size = self._frame_bytes
        assert size is not None
        parts = [block[at : at + size] for at in range(0, len(block), size)]
        if len(parts) < 2:
            return frame(_HEADERS, flags, stream, block)
        first = frame(_HEADERS, flags & ~_END_HEADERS, stream, parts[0])
        middle = [frame(_CONTINUATION, 0, stream, part) for part in parts[1:-1]]
        return b"".join([first, *middle, frame(_CONTINUATION, _END_HEADERS, stream, parts[-1])])

    def _segments(self, data: bytes) -> list[bytes]:
        if not data:
            return []
        size = self._write_bytes or len(data)
        return [data[at : at + size] for at in range(0, len(data), size)]
