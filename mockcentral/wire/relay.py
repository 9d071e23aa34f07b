"""Frames of a client on their way to somebody else's server, and back: the place where a fault may step in.

    client --receive-->  frames  --data_for_upstream-->  server
           <-data_to_send-- frames <--receive_upstream--

It stands where `wire.grpc.ServerConnection` stands when the fake answers itself, and takes the same orders, but it has
no calls of its own: it knows the 9-byte frame header (RFC 9113 4.1), counts streams, holds PINGs back until it is told
what to do with them, and puts frames of its own between those of others. It never opens a header block, so whatever the
two have to say to each other is theirs.

Bounds: one incomplete frame in each direction, at most `MAX_FRAME`; what waits to be sent is for the driver to limit,
by not feeding more. Nothing makes it raise; what cannot be followed is `ProtocolBroken`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from mockcentral.wire.frames import (
    HEADER_SIZE,
    PREFACE,
    frame,
    goaway_frame,
    ping_frame,
    settings_frame,
)
from mockcentral.wire.grpc import CallOpened, CallReset, PingReceived, ProtocolBroken, WireEvent, percent_encode
from mockcentral.wire.windows import INITIAL_WINDOW_SIZE, Windows

MAX_FRAME = 4 * 1024 * 1024
"""The largest frame that is passed on: gRPC's C core takes so much when it is told it may send as much."""

MAX_STREAMS = 10_000
"""Open streams that are counted on one connection."""

MAX_PINGS = 1000
"""PINGs of a client that wait for their fault at once; more are passed on."""

MAX_ASKED = 100_000
"""SETTINGS and PINGs that a client may leave without an ack before it is forgotten who sent them."""

_SETTINGS, _PUSH_PROMISE = 0x4, 0x5
_DATA, _HEADERS, _RST_STREAM, _PING, _GOAWAY, _WINDOW_UPDATE, _CONTINUATION = 0x0, 0x1, 0x3, 0x6, 0x7, 0x8, 0x9
_ACK = _END_STREAM = 0x1
_END_HEADERS = 0x4
_NO_ERROR, _CANCEL = 0x0, 0x8


@dataclass(frozen=True, slots=True)
class StreamEnded:
    """The server ended a stream: with END_STREAM, or RST_STREAM and this code."""

    stream: int
    error_code: int | None = None


@dataclass(frozen=True, slots=True)
class CutReached:
    """As many bytes of DATA as a cut allows have gone to the client. What came behind them waits until
    `receive_upstream` is called again, so that a reset of the stream goes first.
    """

    stream: int


class _Frames:
    """Whole frames out of bytes."""

    __slots__ = ("held",)

    def __init__(self) -> None:
        self.held = b""

    def feed(self, data: bytes) -> tuple[list[bytes], str | None]:
        """The frames that are complete, and why it cannot go on."""
        data = self.held + data if self.held else data
        found: list[bytes] = []
        at, size = 0, len(data)
        while size - at >= HEADER_SIZE:
            length = int.from_bytes(data[at : at + 3], "big")
            if length > MAX_FRAME:
                self.held = b""
                return found, f"a frame of {length} bytes was announced, {MAX_FRAME} are passed on"
            end = at + HEADER_SIZE + length
            if end > size:
                break
            found.append(data[at:end])
            at = end
        self.held = data[at:]
        return found, None


class Relay:
    """One HTTP/2 connection that passes through. See the module docstring."""

    waiting_answers = 0
    """No HTTP answers of our own wait here."""
    half_read = 0
    """Nothing waits until it is whole: what is read goes on, and who is read from waits for room."""

    def __init__(self) -> None:
        self.broken = False
        self.greeted = False
        """Whether the client has sent its preface and SETTINGS."""
        self._preface = b""
        self._from_client, self._from_server = _Frames(), _Frames()
        self._to_client: deque[bytes] = deque()
        self._to_server: deque[bytes] = deque()
        self.to_client_bytes = 0
        """Bytes that wait for the client."""
        self.to_server_bytes = 0
        self._block_up = self._block_down = False
        """Whether a header block has begun to pass, and has not ended."""
        self._server_spoke = False
        """Whether the server's SETTINGS have passed, which have to be the first a client hears (RFC 9113 3.4)."""
        self._behind_up: deque[bytes] = deque()
        self._behind_down: deque[bytes] = deque()
        self._open: set[int] = set()
        self._dead: set[int] = set()
        """Streams we have reset, of which the server may still send."""
        self._cuts: dict[int, int] = {}
        """Stream -> bytes of DATA that still go to the client."""
        self._later: deque[bytes] = deque()
        """Frames of the server behind a cut."""
        self._windows = Windows()
        self._last_stream = 0
        self._pings: deque[bytes] = deque()
        """Payloads of the client's PINGs that were neither passed on nor dropped."""
        # Who asked for the acks to come: the server gets those it asked for, and never one that a fault asked for.
        self._settings_of: deque[bool] = deque(maxlen=MAX_ASKED)
        """For each SETTINGS that the client has not acked, in order: was it the server's?"""
        self._server_pings: deque[bytes] = deque(maxlen=MAX_ASKED)

    # ------------------------------------------------------------------------------------------ bytes in
    def receive(self, data: bytes, now: float = 0.0) -> list[WireEvent]:
        """What a client's bytes mean; they wait for the server, but for its PINGs."""
        events: list[WireEvent] = []
        if self.broken:
            return events
        if len(self._preface) < len(PREFACE):
            need = len(PREFACE) - len(self._preface)
            self._preface += data[:need]
            data = data[need:]
            if not PREFACE.startswith(self._preface):
                return [self._break("no HTTP/2 preface")]
            if len(self._preface) == len(PREFACE):
                self._up(PREFACE)
        frames, wrong = self._from_client.feed(data)
        for whole in frames:
            self._client_frame(whole, events)
        if wrong is not None:
            events.append(self._break(wrong))
        return events

    def _client_frame(self, whole: bytes, events: list[WireEvent]) -> None:
        kind, flags, stream = whole[3], whole[4], _stream(whole)
        self.greeted = True
        good_ping = kind == _PING and not stream and len(whole) == HEADER_SIZE + 8
        if good_ping and not flags & _ACK and len(self._pings) < MAX_PINGS:
            payload = whole[HEADER_SIZE:]
            self._pings.append(payload)
            events.append(PingReceived(payload))
            return
        if flags & _ACK and not self._is_for_server(kind, whole):
            return
        if stream in self._dead and kind != _CONTINUATION:
            if kind == _DATA and len(whole) > HEADER_SIZE:  # the server will never give this back
                self._down(_window_update(len(whole) - HEADER_SIZE))
            if kind != _HEADERS:
                return
        self._pass_up(whole)
        if kind == _DATA:
            self._give(stream, self._windows.sent(stream, len(whole) - HEADER_SIZE))
        elif kind == _HEADERS and stream > self._last_stream:
            self._last_stream = stream
            if len(self._open) < MAX_STREAMS:
                self._open.add(stream)
                self._give(stream, self._windows.opened(stream))
                events.append(CallOpened(stream, "", ()))
        elif kind == _RST_STREAM and stream in self._open:
            self._is_over(stream)
            events.append(CallReset(stream, int.from_bytes(whole[HEADER_SIZE : HEADER_SIZE + 4], "big")))

    def _is_for_server(self, kind: int, whole: bytes) -> bool:
        """Whether the ack of a client is one that the server waits for; true of all that is no ack."""
        if kind == _SETTINGS:
            return self._settings_of.popleft() if self._settings_of else True
        if kind == _PING:
            payload = whole[HEADER_SIZE:]
            if payload not in self._server_pings:
                return False
            self._server_pings.remove(payload)
        return True

    def receive_upstream(self, data: bytes) -> list[WireEvent | StreamEnded | CutReached]:
        """What the server's bytes mean; they wait for the client. After a `CutReached`, which is the last of a list,
        call it again, with nothing if there is nothing.
        """
        events: list[WireEvent | StreamEnded | CutReached] = []
        if self.broken:
            return events
        frames, wrong = self._from_server.feed(data)
        self._later.extend(frames)
        while self._later:
            self._server_frame(self._later.popleft(), events)
            if events and isinstance(events[-1], CutReached):
                break
        if wrong is not None:
            events.append(self._break(f"the upstream does not speak HTTP/2: {wrong}"))
        return events

    def _server_frame(self, whole: bytes, events: list[WireEvent | StreamEnded | CutReached]) -> None:
        kind, flags, stream = whole[3], whole[4], _stream(whole)
        size = len(whole) - HEADER_SIZE
        ended = kind == _RST_STREAM or (kind in (_DATA, _HEADERS) and bool(flags & _END_STREAM))
        if stream in self._dead and kind in (_DATA, _RST_STREAM, _WINDOW_UPDATE):
            # Header blocks go on: a lost one would spoil every later one.
            if kind == _DATA and size:
                self._up(_window_update(size))
            if ended:
                self._dead.discard(stream)
            return
        if kind == _DATA and stream in self._cuts:
            left = self._cuts[stream]
            if size >= left:
                del self._cuts[stream]
                if left:
                    self._down(frame(_DATA, 0, stream, whole[HEADER_SIZE : HEADER_SIZE + left]))
                if size > left:
                    self._up(_window_update(size - left))
                events.append(CutReached(stream))
                return
            self._cuts[stream] = left - size
        if kind == _WINDOW_UPDATE and size == 4:
            more = self._windows.granted(stream, int.from_bytes(whole[HEADER_SIZE:], "big") & 0x7FFFFFFF)
            if more is not None:
                self._give(stream, more)
                return
        elif kind == _SETTINGS and not flags & _ACK:
            whole = whole[:HEADER_SIZE] + self._windows.configured(whole[HEADER_SIZE:])
        if kind == _SETTINGS and not flags & _ACK:
            self._settings_of.append(True)
        elif kind == _PING and not flags & _ACK:
            self._server_pings.append(whole[HEADER_SIZE:])
        self._pass_down(whole)
        if ended:
            self._dead.discard(stream)
            if stream in self._open:
                self._is_over(stream)
                code = int.from_bytes(whole[HEADER_SIZE : HEADER_SIZE + 4], "big") if kind == _RST_STREAM else None
                events.append(StreamEnded(stream, code))

    # ------------------------------------------------------------------------------------------ orders
    def ack_ping(self, payload: bytes) -> None:
        """Let the client's PING with this payload through to the server, who acks it; another payload is acked here."""
        if payload in self._pings:
            self._pings.remove(payload)
            self._up(ping_frame(payload))
        else:
            self._down(ping_frame(payload, ack=True))

    def send_ping(self, payload: bytes) -> None:
        """A PING of our own for the client; its ack goes no further."""
        self._down(ping_frame(payload))

    def goaway(self, error_code: int, last_stream: int | None = None, debug: bytes = b"") -> None:
        """GOAWAY for the client. The server knows nothing of it."""
        self._down(goaway_frame(error_code, self._last_stream if last_stream is None else last_stream, debug))

    def reset(self, stream: int, error_code: int) -> None:
        """RST_STREAM for the client with this code, for the server with CANCEL. Nothing when the stream is over."""
        if stream in self._open:
            self._give_up(stream)
            self._down(frame(_RST_STREAM, 0, stream, error_code.to_bytes(4, "big")))

    def end(
        self, stream: int, code: int, message: str = "", trailers: Iterable[tuple[str, str]] = (), *, bare: bool = False
    ) -> None:
        """Trailers with a gRPC status for the client, END_STREAM alone when `bare`; for the server it is a reset.

        For a stream whose response headers have passed, as behind a cut: what ends it are no headers but trailers.
        Nothing when the stream is over.
        """
        if stream not in self._open:
            return
        self._give_up(stream)
        if bare:
            self._down(frame(_DATA, _END_STREAM, stream, b""))
        else:
            told = [("grpc-status", str(code)), ("grpc-message", percent_encode(message).decode()), *trailers]
            block = b"".join(_literal(name, value) for name, value in told if value)
            self._down(frame(_HEADERS, _END_STREAM | _END_HEADERS, stream, block))
        self._down(frame(_RST_STREAM, 0, stream, _NO_ERROR.to_bytes(4, "big")))  # RFC 9113 8.1: send no more

    def _give_up(self, stream: int) -> None:
        self._is_over(stream)
        self._dead.add(stream)
        self._up(frame(_RST_STREAM, 0, stream, _CANCEL.to_bytes(4, "big")))

    def cut(self, stream: int, after_bytes: int) -> None:
        """Let so many more bytes of DATA through to the client on a stream; `CutReached` tells when that was done, with
        0 at the next DATA frame. Nothing when the stream is over.
        """
        if stream in self._open:
            self._cuts[stream] = after_bytes

    def shrink_window(self, size: int) -> None:
        """Let the client send `size` bytes on a stream before it waits for leave to send as many; 0: for ever. The
        server knows nothing of it, and never gets more than it granted.
        """
        raised = list(self._windows.shrink(size))
        self.send_frames(settings_frame({INITIAL_WINDOW_SIZE: self._windows.client_initial}))
        for stream, more in raised:
            self._give(stream, more)

    def send_frames(self, data: bytes) -> None:
        """These bytes for the client, between two frames, whatever they are."""
        self._down(data)

    def say_the_last(self) -> None:
        """There will be no more of the server: what waits for its first word goes out behind SETTINGS of our own."""
        if self.holds_back and not self._server_spoke:
            self._pass_down(settings_frame({}))

    @property
    def holds_back(self) -> bool:
        """Whether something of ours for the client waits for what has to come before it."""
        return bool(self._behind_down)

    # ------------------------------------------------------------------------------------------ bytes out
    def data_to_send(self, limit: int | None = None) -> bytes:
        """Whole frames for the client, as many as reach `limit` bytes: fewer bytes mean that nothing is left."""
        data = _take(self._to_client, limit)
        self.to_client_bytes -= len(data)
        return data

    def data_for_upstream(self, limit: int | None = None) -> bytes:
        """The same for the server."""
        data = _take(self._to_server, limit)
        self.to_server_bytes -= len(data)
        return data

    # ------------------------------------------------------------------------------------------ inside
    def _is_over(self, stream: int) -> None:
        self._open.discard(stream)
        self._cuts.pop(stream, None)
        self._windows.closed(stream)

    def _give(self, stream: int, more: int) -> None:
        if more:
            self._down(_window_update(more, stream))

    # Nothing may come between the frames of a header block (RFC 9113 4.3): what is ours waits until it has passed.
    def _pass_down(self, whole: bytes) -> None:
        self._server_spoke = True
        self._block_down = _leaves_block_open(whole, self._block_down)
        self._put_down(whole)
        while self._behind_down and not self._block_down:
            self._say(self._behind_down.popleft())

    def _pass_up(self, whole: bytes) -> None:
        self._block_up = _leaves_block_open(whole, self._block_up)
        self._put_up(whole)
        while self._behind_up and not self._block_up:
            self._put_up(self._behind_up.popleft())

    def _down(self, data: bytes) -> None:
        """Something of ours for the client."""
        if self._block_down or not self._server_spoke:
            self._behind_down.append(data)
        else:
            self._say(data)

    def _say(self, data: bytes) -> None:
        self._put_down(data)
        for whole in _Frames().feed(data)[0]:
            if whole[3] == _SETTINGS and not whole[4] & _ACK:
                self._settings_of.append(False)

    def _up(self, data: bytes) -> None:
        """Something of ours for the server."""
        if self._block_up:
            self._behind_up.append(data)
        else:
            self._put_up(data)

    def _put_down(self, data: bytes) -> None:
        if not self.broken:
            self._to_client.append(data)
            self.to_client_bytes += len(data)

    def _put_up(self, data: bytes) -> None:
        if not self.broken:
            self._to_server.append(data)
            self.to_server_bytes += len(data)

    def _break(self, reason: str) -> ProtocolBroken:
        self._put_down(goaway_frame(0x1, self._last_stream))
        self.broken = True
        return ProtocolBroken(reason)


def _leaves_block_open(whole: bytes, open: bool) -> bool:
    """Whether frames of a header block are still to come after this one."""
    if whole[3] in (_HEADERS, _PUSH_PROMISE, _CONTINUATION):
        return not whole[4] & _END_HEADERS
    return open


def _stream(whole: bytes) -> int:
    return int.from_bytes(whole[5:9], "big") & 0x7FFFFFFF


def _literal(name: str, value: str) -> bytes:
    """A header that neither reads nor changes the compression table, which is the server's (RFC 7541 6.2.2)."""
    return b"\x00" + b"".join(_text(part.encode("latin-1")) for part in (name, value))


def _text(data: bytes) -> bytes:
    """RFC 7541 5.1 and 5.2: the length on seven bits and then on seven more at a time, and the bytes as they are."""
    rest = len(data) - 127
    if rest < 0:
        return bytes([len(data)]) + data
    length = bytearray([127])
    while rest > 127:
        length.append(rest & 127 | 128)
        rest >>= 7
    return bytes(length) + bytes([rest]) + data


def _window_update(count: int, stream: int = 0) -> bytes:
    return frame(_WINDOW_UPDATE, 0, stream, count.to_bytes(4, "big"))


def _take(queue: deque[bytes], limit: int | None) -> bytes:
    parts: list[bytes] = []
    size = 0
    while queue and (limit is None or size < limit):
        parts.append(queue.popleft())
        size += len(parts[-1])
    return b"".join(parts)
