"""The server side of one HTTP/2 connection: bytes in, calls and requests out; commands in, bytes out.

Knows HTTP/2 (through h2's public API), the gRPC framing over it and plain HTTP requests. It refuses to know what a
message means, when anything should happen, or what a socket is; PINGs are reported and never acked unasked.

What goes out waits in one place until `data_to_send` asks for it:

    send_messages -> call.queue -> (windows, frame size, `limit`) -> data_to_send -> the transport
                     shared bytes                                    joined, full DATA frames

A message on an idle call skips the queue: that is the live path. A slow reader costs references to shared bytes, not
copies, as long as the driver passes a `limit` and stops asking while its transport is full. DATA frames are made here,
not by h2, which takes ten times as long for each; it keeps the windows all the same.

Rules that hold everywhere:

* Nothing a peer sends makes `receive` raise; the worst is `ProtocolBroken`, after which every command is a no-op.
* A command for a stream that is gone does nothing: the peer may have reset it while the command was on its way.
* No state outlives its stream, so opening and resetting streams as fast as one can costs nothing lasting.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from mockcentral.wire.frames import (
    HEADER_SIZE,
    PREFACE,
    FrameError,
    FrameSplitter,
    Ping,
    data_header,
    goaway_frame,
    ping_frame,
    settings_frame,
)
from mockcentral.wire.http import MAX_BODY, HttpRequest, header_bytes, response_headers
from mockcentral.wire.outbox import Outbox

__all__ = [
    "PREFACE",
    "CallOpened",
    "CallRefused",
    "CallReset",
    "GoAwayReceived",
    "HalfClosed",
    "HttpRefused",
    "HttpRequest",
    "MessageReceived",
    "PingAcked",
    "PingReceived",
    "ProtocolBroken",
    "ServerConnection",
    "WireEvent",
    "encode_message",
]

MAX_MESSAGE = 4 * 1024 * 1024
"""Bound for one message; the default of grpc-go and grpcio."""

MAX_HELD = 16 * 1024 * 1024
"""Bound for all half-received messages and bodies of one connection together."""

MAX_UNREAD = 1024 * 1024
"""Bound for acks, headers and resets that wait for a transport nobody reads from; DATA waits for windows."""

MAX_AT_ONCE = 4 * 1024 * 1024
"""Bytes of backlog that a PING pushes out before it at once; of more only what the transport takes is ever copied."""

MAX_DATA_FRAME = 64 * 1024
"""Some peers allow frames of megabytes; longer frames than this save nothing and keep the other streams waiting."""

MAX_HEADER_LIST = 64 * 1024
"""JWTs of several KiB are ordinary in an authorization header."""

_UNLIMITED = 2**31 - 1

_INTERNAL, _RESOURCE_EXHAUSTED, _UNIMPLEMENTED = 13, 8, 12

_NAME = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE = re.compile(rb"[\0\r\n]")
_KNOWN_SETTINGS = frozenset(SettingCodes)
_PER_CONNECTION = frozenset((b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade"))
_PSEUDO = frozenset((b":method", b":scheme", b":authority", b":path", b":protocol"))

_GRPC_HEADERS = ((b":status", b"200"), (b"content-type", b"application/grpc"))

Headers: TypeAlias = "list[tuple[bytes, bytes]]"


# ---------------------------------------------------------------- what the peer did
@dataclass(frozen=True, slots=True)
class CallOpened:
    """A gRPC call began. `metadata` is every header but the pseudo ones, in order, values untouched."""

    stream: int
    path: str
    metadata: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """One complete gRPC message, without its prefix."""

    stream: int
    data: bytes


@dataclass(frozen=True, slots=True)
class HalfClosed:
    """The client will send nothing more on this call."""

    stream: int


@dataclass(frozen=True, slots=True)
class CallReset:
    """The call is gone: the client reset it, or broke it so that h2 did (`remote` False)."""

    stream: int
    error_code: int
    remote: bool = True


@dataclass(frozen=True, slots=True)
class CallRefused:
    """The connection ended this call by itself, with this status: what came was no message it can read."""

    stream: int
    code: int
    message: str


@dataclass(frozen=True, slots=True)
class HttpRefused:
    """The connection answered this request by itself: 405 for a gRPC call that is no POST, 413 for a long body."""

    stream: int
    method: str
    path: str
    status: int


@dataclass(frozen=True, slots=True)
class PingReceived:
    """A PING that nobody has answered yet."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class PingAcked:
    """The answer to a PING of ours, or to none: the payload tells."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class GoAwayReceived:
    """The client will open no more streams; those that are open go on."""

    error_code: int
    debug: bytes = b""


@dataclass(frozen=True, slots=True)
class ProtocolBroken:
    """The peer does not speak HTTP/2 any more. Send what `data_to_send` still holds (a GOAWAY) and close."""

    reason: str


WireEvent: TypeAlias = (
    CallOpened
    | MessageReceived
    | HalfClosed
    | CallReset
    | CallRefused
    | HttpRequest
    | HttpRefused
    | PingReceived
    | PingAcked
    | GoAwayReceived
    | ProtocolBroken
)


def encode_message(data: bytes) -> bytes:
    """A gRPC message with its 5-byte prefix: not compressed, length in 4 bytes."""
    return b"\0" + len(data).to_bytes(4, "big") + data


class _Stream:
    """What is known of one open stream. An idle gRPC call keeps nothing but this object."""

    __slots__ = ("ending", "half_closed", "headers_sent", "inbound", "lost", "queue", "request")

    def __init__(self, request: tuple[str, str, tuple[tuple[str, str], ...]] | None) -> None:
        self.request = request
        """Method, path and headers of a plain HTTP request; None for a gRPC call."""
        self.headers_sent = False
        self.half_closed = False
        self.inbound: bytearray | None = None
        self.queue: Outbox | None = None
        self.lost = False
        """What waited was dropped: the client never gets it."""
        self.ending: Headers | None = None
        """Trailers to send when the queue is empty; empty for plain HTTP, None while the call goes on."""

    @property
    def idle(self) -> bool:
        """Whether a message may go out at once, as far as the call is concerned."""
        return self.headers_sent and self.queue is None and self.ending is None and self.request is None


class _H2(H2Connection):
    # h2 remembers how 65,536 streams ended, for courtesy towards late frames; that is 5 MB a connection under a flood.
    MAX_CLOSED_STREAMS = 1024
    _asked = 0

    @property
    def open_inbound_streams(self) -> int:
        # h2 asks at each request, to compare with a limit that is none here, and goes through all streams for the
        # answer: with a thousand open, that is more than all the rest. It also clears away closed ones meanwhile, so
        # now and then it may.
        self._asked += 1
        return 0 if self._asked % 64 else super().open_inbound_streams

    def room(self, stream: int) -> int:
        """Bytes that the next DATA frame of a stream may have. Raises ProtocolError when it is over."""
        state = self.streams.get(stream)
        if state is None or state.closed:
            raise ProtocolError(f"stream {stream} is over")
        return min(state.outbound_flow_control_window, self.outbound_flow_control_window, self.max_outbound_frame_size)

    def spend(self, stream: int, size: int) -> None:
        """A DATA frame goes out that h2 did not make: without END_STREAM it changes nothing but the windows."""
        self.streams[stream].outbound_flow_control_window -= size
        self.outbound_flow_control_window -= size


class ServerConnection:
    """One HTTP/2 connection, seen from the server; `data_to_send` holds our SETTINGS from the start.

    `max_streams` is advertised; streams beyond it are reset with REFUSED_STREAM, the connection lives on.
    `initial_window` is each stream's receive window in bytes.
    """

    def __init__(
        self,
        *,
        max_streams: int = 1000,
        initial_window: int = 65_535,
        max_header_list: int = MAX_HEADER_LIST,
        max_message: int = MAX_MESSAGE,
        max_body: int = MAX_BODY,
    ) -> None:
        # Outbound headers are made here and need no second look. Inbound ones are judged by `_read_headers`, because h2
        # refuses the whole connection for the leading space in the user-agent of Go clients (protocol 1.4).
        config = H2Configuration(
            client_side=False,
            header_encoding=None,
            validate_inbound_headers=False,
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
        )
        self._h2 = _H2(config)
        # h2 takes one stream too many for a connection error; RFC 9113 5.1.2 allows to refuse just that stream, which
        # is what a client racing our SETTINGS deserves. So h2 is told "no limit" and the peer is told the real one.
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _UNLIMITED,
                SettingCodes.MAX_HEADER_LIST_SIZE: max_header_list,
            },
        )
        self._h2.decoder.max_header_list_size = max_header_list
        self._h2.initiate_connection()
        self._h2.clear_outbound_data_buffer()
        self._out: list[bytes | memoryview] = [
            settings_frame(
                {
                    SettingCodes.MAX_CONCURRENT_STREAMS: max_streams,
                    SettingCodes.MAX_HEADER_LIST_SIZE: max_header_list,
                }
            )
        ]
        if initial_window != self._h2.local_settings.initial_window_size:
            self._h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: initial_window})
        self._splitter = FrameSplitter(max_header_block=2 * max_header_list)
        self._credit = self._splitter.credit
        self._credit.owe(2)  # the SETTINGS above
        self._max_streams = max_streams
        self._max_message = max_message
        self._max_body = max_body
        self._streams: dict[int, _Stream] = {}
        self._ready: OrderedDict[int, None] = OrderedDict()
        """Streams with something queued that were not found blocked by their own window since."""
        self._queued_bytes = 0
        self._held = 0
        self._unread = 0
        """Bytes in `_out` that are no DATA frames; negative while those are still with h2."""
        self._unasked = 0
        """Bytes on the live path since `data_to_send`: while a transport is full, they too must wait in the queues."""
        self._last_stream = _UNLIMITED
        """Streams above it came after our GOAWAY."""
        self._later: list[bytes] = []
        """Frames of our own behind a backlog too long to be copied for their sake."""
        self._broken = False
        self._greeted = False
        self._window: int | None = None
        """How much the client may send on a stream at a time, where that is less than h2 thinks."""

    # ------------------------------------------------------------ bytes in
    def receive(self, data: bytes, now: float = 0.0) -> list[WireEvent]:
        """What these bytes mean, in order. Never raises; after `ProtocolBroken` it returns nothing.

        `now`, in seconds, lets a peer recover from what it cost us; without, it has one `Credit.BURST` for ever.
        """
        events: list[WireEvent] = []
        if self._broken:
            return events
        self._credit.refill(now)
        bad: FrameError | None = None
        try:
            items = self._splitter.feed(data)
        except FrameError as error:
            items, bad = error.items, error
        for item in items:
            if isinstance(item, bytes):
                self._feed(item, events)
                if self._broken:
                    return events
            elif isinstance(item, Ping):
                events.append(PingAcked(item.payload) if item.ack else PingReceived(item.payload))
            else:
                # h2 never sees it: after a GOAWAY it would refuse every later frame and all our own sending.
                events.append(GoAwayReceived(item.error_code, item.debug))
        if bad is not None:
            self._break(str(bad), bad.error_code, events)
            return events
        self._keep(self._h2.data_to_send())
        if self._unread > MAX_UNREAD:
            self._break("the client does not read its answers", ErrorCodes.ENHANCE_YOUR_CALM, events)
        return events

    @property
    def half_read(self) -> int:
        """Bytes of messages and request bodies that have not ended."""
        return self._held

    def drop_half_read(self) -> None:
        """Let go of them; for a connection that is about to end."""
        for call in self._streams.values():
            self._drop_inbound(call)

    @property
    def broken(self) -> bool:
        """True once `ProtocolBroken` was reported."""
        return self._broken

    @property
    def greeted(self) -> bool:
        """True once the client's preface was complete: the magic words and its SETTINGS (RFC 9113 3.4)."""
        return self._greeted

    @property
    def open_streams(self) -> int:
        """Calls and requests that are not over yet."""
        return len(self._streams)

    # ------------------------------------------------------------ commands: calls
    def send_messages(self, stream: int, frames: Iterable[bytes]) -> bool:
        """Send gRPC messages, already length-prefixed, after those sent before. False when the call is over."""
        call = self._streams.get(stream)
        if call is None or call.request is not None or call.ending is not None:
            return False
        if not call.headers_sent:
            call.headers_sent = True
            try:
                self._h2.send_headers(stream, _GRPC_HEADERS)
            except ProtocolError:
                self._forget(stream)
                return False
        queue = call.queue
        if queue is None:
            if not isinstance(frames, (tuple, list)):
                frames = tuple(frames)
            if len(frames) == 1 and self._unasked + len(frames[0]) <= MAX_DATA_FRAME:
                size = len(frames[0])
                try:
                    room = self._h2.room(stream)
                except ProtocolError:
                    self._forget(stream)
                    return False
                if size <= room:
                    self._unasked += size
                    self._send_data(stream, frames, size)
                    return True
            queue = Outbox()
        self._queued_bytes += queue.put(frames)
        if queue:
            call.queue = queue
            self._ready[stream] = None
        return True

    def send_to_each(self, streams: Iterable[int], frame: bytes) -> None:
        """Send one message on each of these streams, as `send_messages` would; calls that are over get none."""
        h2, calls, out, size = self._h2, self._streams, self._out, len(frame)
        self._keep(h2.data_to_send())
        for stream in streams:
            call = calls.get(stream)
            fits = call is not None and call.idle and self._unasked + size <= MAX_DATA_FRAME
            try:
                fits = fits and size <= h2.room(stream)
            except ProtocolError:
                fits = False
            if fits:
                self._unasked += size
                h2.spend(stream, size)
                out += (data_header(stream, size), frame)
                self._credit.earn()
            else:
                self.send_messages(stream, (frame,))

    def end(
        self,
        stream: int,
        code: int,
        message: str = "",
        trailers: Iterable[tuple[str, str]] = (),
        *,
        bare: bool = False,
    ) -> bool:
        """End a call with a gRPC status once everything queued is out. False when it is over already.

        `bare`: END_STREAM comes without trailers, which gRPC forbids.

        When the client has not half-closed, RST_STREAM(NO_ERROR) follows the trailers, as RFC 9113 8.1 allows and
        grpc-go's server does, so the stream does not stay half open for ever.
        """
        call = self._streams.get(stream)
        if call is None or call.request is not None or call.ending is not None:
            return False
        if bare:
            return self._end_bare(stream, call)
        call.ending = [(b"grpc-status", b"%d" % code)]
        if message:
            call.ending.append((b"grpc-message", percent_encode(message)))
        call.ending += [(header_bytes(name.lower()), header_bytes(value)) for name, value in trailers]
        self._drop_inbound(call)
        if call.queue is None:
            self._finish(stream, call)
        return True

    def _end_bare(self, stream: int, call: _Stream) -> bool:
        self.send_messages(stream, ())  # the headers, where they were not sent yet
        if stream not in self._streams:
            return False
        call.ending = []
        self._drop_inbound(call)
        if call.queue is None:
            try:
                self._h2.send_data(stream, b"", end_stream=True)
            except ProtocolError:
                self._forget(stream)
                return False
            self._closed(stream, call)
        return True

    def respond_call(self, stream: int, status: int, content_type: str, body: bytes = b"", *, end: bool = True) -> bool:
        """Answer a call with response headers of one's own and this body; False when it has headers already, or is
        over.
        """
        call = self._streams.get(stream)
        if call is None or call.request is not None or call.ending is not None or call.headers_sent:
            return False
        head = [(b":status", b"%d" % status), (b"content-type", header_bytes(content_type))]
        call.headers_sent = True
        try:
            self._h2.send_headers(stream, head, end_stream=end and not body)
        except ProtocolError:
            self._forget(stream)
            return False
        if body:
            self.send_messages(stream, (body,))
        if end and body:
            return self._end_bare(stream, call)
        if end:
            self._closed(stream, call)
        return True

    def discard(self, stream: int) -> None:
        """Forget what waits for a stream; the next thing to do is to reset it."""
        call = self._streams.get(stream)
        if call is not None and call.queue is not None:
            self._empty(stream, call)

    def reset(self, stream: int, error_code: int) -> bool:
        """RST_STREAM after whatever the windows let out now; the rest is dropped. False when it is over."""
        call = self._streams.get(stream)
        if call is None:
            return False
        while call.queue is not None and self._send_frame(stream, call):
            pass
        if stream in self._streams:
            self._reset(stream, error_code)
            self._forget(stream)
        return True

    # ------------------------------------------------------------ commands: plain HTTP
    def awaits_answer(self, stream: int) -> bool:
        """Whether a client still waits for the answer to its `HttpRequest`."""
        call = self._streams.get(stream)
        return call is not None and call.request is not None and call.ending is None

    def respond(self, stream: int, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bool:
        """Answer an `HttpRequest`. False when the client has given it up."""
        call = self._streams.get(stream)
        if call is None or call.request is None or call.ending is not None:
            return False
        call.ending = []
        self._drop_inbound(call)
        head = [(b":status", b"%d" % status), *response_headers(headers, status, body)]
        if call.request[0] == "HEAD" or status in (204, 304):
            body = b""
        try:
            self._h2.send_headers(stream, head, end_stream=not body)
        except ProtocolError:
            self._forget(stream)
            return False
        if body:
            self._enqueue(stream, call, body)
        else:
            self._closed(stream, call)
        return True

    def begin_response(self, stream: int, status: int, headers: Iterable[tuple[str, str]], length: int) -> bool:
        """The head of an answer to an `HttpRequest`; its body of `length` bytes follows in pieces (`send_body`).

        False when the client has given it up.
        """
        call = self._streams.get(stream)
        if call is None or call.request is None or call.ending is not None or call.headers_sent:
            return False
        self._drop_inbound(call)
        call.headers_sent = True
        given = [pair for pair in headers if pair[0].lower() != "content-length"]
        head = [*response_headers([*given, ("content-length", str(length))], status, b"")]
        try:
            self._h2.send_headers(stream, [(b":status", b"%d" % status), *head])
        except ProtocolError:
            self._forget(stream)
            return False
        return True

    def send_body(self, stream: int, piece: bytes, *, end: bool) -> bool:
        """A piece of a body after `begin_response`. False when the client has given it up."""
        call = self._streams.get(stream)
        if call is None or call.request is None or call.ending is not None or not call.headers_sent:
            return False
        if end:
            call.ending = []
        self._enqueue(stream, call, piece)
        return True

    # ------------------------------------------------------------ commands: the connection
    def ack_ping(self, payload: bytes) -> None:
        """Answer a PING."""
        self._emit(ping_frame(payload, ack=True))

    def send_ping(self, payload: bytes) -> None:
        """Ask for a sign of life. What the windows let out goes first, so the ack also proves that it arrived."""
        self._credit.owe()
        self._emit_behind(ping_frame(payload))

    def goaway(self, error_code: int = 0, last_stream: int | None = None, debug: bytes = b"") -> None:
        """GOAWAY; open calls go on, streams opened above `last_stream` are refused. None means all opened so far.

        Announce 2**31 - 1 first to shut down gracefully: nothing is refused until a second GOAWAY names a number.
        """
        if last_stream is None:
            last_stream = self._h2.highest_inbound_stream_id
        self._last_stream = last_stream
        self._emit_behind(goaway_frame(error_code, last_stream, debug))

    def send_frames(self, data: bytes) -> None:
        """Bytes of one's own between two frames, behind what the windows let out."""
        self._credit.owe(len(data) // HEADER_SIZE)  # it may be as many PINGs
        self._emit_behind(data)

    def shrink_window(self, size: int) -> None:
        """Let the client send `size` bytes on a stream before it waits for leave to send as many; 0: for ever.

        h2 goes on believing in its own, larger window: it will never take a client that obeys for one that does not.
        """
        self._window = size
        self._credit.owe()
        self._emit(settings_frame({SettingCodes.INITIAL_WINDOW_SIZE: size}))
        if size:
            for stream in self._streams:
                # What h2 has not yet told the client it has read would be missing from so small a window.
                self._allow(self._h2.local_settings.initial_window_size, stream)

    def _allow(self, most: int, stream: int) -> None:
        with suppress(ProtocolError):  # it is over, or its end is on the way
            if (less := most - self._h2.remote_flow_control_window(stream)) > 0:
                self._h2.increment_flow_control_window(less, stream)

    # ------------------------------------------------------------ bytes out
    def data_to_send(self, limit: int | None = None) -> bytes:
        """Bytes for the transport; b"" when there is nothing now.

        With a `limit` (bytes), queued messages are joined only until about that much is there: call again when the
        transport has room. Without, everything the peer's windows allow.
        """
        if self._ready and not self._broken:
            self._pump(limit)
        if self._later and (not self._ready or self._h2.outbound_flow_control_window <= 0):
            for later in self._later:
                self._emit(later)
            self._later.clear()
        data = self._h2.data_to_send()
        self._unasked = self._unread = 0
        if self._out:
            self._out.append(data)
            data = b"".join(self._out)
            self._out.clear()
        return data

    def queued(self, stream: int) -> int:
        """Messages of a stream that h2 has not got yet; a half-sent one counts."""
        call = self._streams.get(stream)
        return len(call.queue) if call is not None and call.queue is not None else 0

    def sending(self, stream: int) -> Callable[[], bool | None] | None:
        """Whether all that was sent on a stream until now has gone out, to be asked later: None as long as it has not.
        False once it never will. None instead of that when the stream is over.
        """
        call = self._streams.get(stream)
        if call is None:
            return None
        return lambda: False if call.lost else None if call.queue else True

    def sent_so_far(self, stream: int, but: int = 0) -> Callable[[], bool | None]:
        """As `sending`, for what was sent on a stream until now, whatever is sent behind it; of that without the last
        `but` bytes. False when the stream is over.
        """
        call = self._streams.get(stream)
        if call is None:
            return lambda: False
        if (queue := call.queue) is None:
            return lambda: True
        mark = queue.end - but
        return lambda: True if queue.taken >= mark else None if call.queue is queue else False

    @property
    def queued_bytes(self) -> int:
        """Bytes waiting in all queues, for windows or for `data_to_send` to be called."""
        return self._queued_bytes

    @property
    def waiting_answers(self) -> int:
        """Bytes of HTTP answers that the client's windows have not let out yet."""
        calls = (call for call in self._streams.values() if call.request is not None)
        return sum(call.queue.size for call in calls if call.queue is not None)

    def drained(self, stream: int) -> bool:
        """True when nothing of this stream waits, be it open or gone."""
        return self.queued(stream) == 0

    # ------------------------------------------------------------ inside: receiving
    def _feed(self, data: bytes, events: list[WireEvent]) -> None:
        try:
            received = self._h2.receive_data(data)
            for event in received:
                self._handle(event, events)
        except ProtocolError as error:
            # h2 has queued the GOAWAY, unless it did not even get past the preface.
            pending = self._h2.data_to_send()
            self._break(_short(error), None if pending else error.error_code, events)
            self._out.append(pending)
        except Exception as error:
            # Hostile bytes found a hole in h2, hyperframe or hpack. The peer sees an ended connection either way.
            self._break(f"{type(error).__name__} while reading frames", ErrorCodes.INTERNAL_ERROR, events)

    def _handle(self, event: Event, events: list[WireEvent]) -> None:
        if isinstance(event, DataReceived):
            self._data(event, events)
        elif isinstance(event, WindowUpdated):
            if event.stream_id:
                call = self._streams.get(event.stream_id)
                if call is not None and call.queue is not None:
                    self._ready[event.stream_id] = None
        elif isinstance(event, RequestReceived):
            self._opened(event.stream_id, event.headers, events)
        elif isinstance(event, StreamEnded):
            self._ended(event.stream_id, events)
        elif isinstance(event, StreamReset):
            if not event.remote_reset:
                self._credit.left -= 1
            call = self._streams.get(event.stream_id)
            if call is not None:
                if call.request is None:
                    events.append(CallReset(event.stream_id, int(event.error_code), event.remote_reset))
                self._forget(event.stream_id)
        elif isinstance(event, RemoteSettingsChanged):
            self._greeted = True
            for setting in event.changed_settings:
                if setting not in _KNOWN_SETTINGS:  # h2 would keep all 65,536 of them
                    del self._h2.remote_settings[setting]
            if SettingCodes.INITIAL_WINDOW_SIZE in event.changed_settings:
                for stream, call in self._streams.items():
                    if call.queue is not None:
                        self._ready[stream] = None
            if SettingCodes.HEADER_TABLE_SIZE in event.changed_settings and self._h2.encoder.header_table_size > 4096:
                self._h2.encoder.header_table_size = 4096  # the peer offers memory of ours; the default is plenty

    def _opened(self, stream: int, raw: Iterable[tuple[bytes, bytes]], events: list[WireEvent]) -> None:
        if stream > self._last_stream or len(self._streams) >= self._max_streams:
            self._refuse_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        read = _read_headers(raw)
        if read is None:
            self._refuse_stream(stream, ErrorCodes.PROTOCOL_ERROR)  # "malformed" is a stream error, RFC 9113 8.1.1
            return
        pseudo, regular = read
        method, path = _text(pseudo[b":method"]), _text(pseudo[b":path"])
        content_type = next((value for name, value in regular if name == b"content-type"), b"")
        if not _is_grpc(content_type):
            headers = [(_text(name), value.decode("latin-1").strip(" \t")) for name, value in regular]
            if b":authority" in pseudo and all(name != "host" for name, _ in headers):
                headers.insert(0, ("host", pseudo[b":authority"].decode("latin-1")))
            self._streams[stream] = call = _Stream((method, pseudo[b":path"].decode("latin-1"), tuple(headers)))
            length = next((value for name, value in headers if name == "content-length"), "0")
            if method == "CONNECT":
                self._refuse_http(stream, call, 405, "This is no proxy.\n", events)
            elif int(length) > self._max_body:  # h2 has made sure it is a number
                self._refuse_http(stream, call, 413, f"At most {self._max_body} bytes, please.\n", events)
        elif method != "POST":
            self._streams[stream] = call = _Stream((method, path, ()))
            self._refuse_http(stream, call, 405, "gRPC calls are POST requests.\n", events, (("allow", "POST"),))
        else:
            self._streams[stream] = _Stream(None)
            metadata = tuple((_text(name), _text(value)) for name, value in regular)
            events.append(CallOpened(stream, path, metadata))

    def _data(self, event: DataReceived, events: list[WireEvent]) -> None:
        stream, data = event.stream_id, event.data
        if event.flow_controlled_length:
            with suppress(ProtocolError):  # the stream went away within the same read
                if self._window is None:
                    self._h2.acknowledge_received_data(event.flow_controlled_length, stream)
                else:
                    self._h2.increment_flow_control_window(event.flow_controlled_length)
                    if self._window:
                        self._h2.increment_flow_control_window(event.flow_controlled_length, stream)
        call = self._streams.get(stream)
        if call is None or call.ending is not None or not data:
            return
        if call.request is not None:
            self._hold(call, data)
            if (call.inbound is not None and len(call.inbound) > self._max_body) or self._held > MAX_HELD:
                self._refuse_http(stream, call, 413, f"At most {self._max_body} bytes, please.\n", events)
            return
        if call.inbound is None:
            at = self._messages(stream, call, data, events)
            if call.ending is None and at < len(data):
                self._hold(call, data[at:])
        else:
            self._hold(call, data)
            size = 5 + int.from_bytes(call.inbound[1:5], "big") if len(call.inbound) >= 5 else 0
            if size and len(call.inbound) < size and size <= self._max_message + 5 and not call.inbound[0]:
                at = 0  # still waiting for the rest: do not copy what is there for each DATA frame
            else:
                at = self._messages(stream, call, bytes(call.inbound), events)
            if call.ending is None and at:
                self._held -= at
                del call.inbound[:at]
                if not call.inbound:
                    call.inbound = None
        if call.ending is None and self._held > MAX_HELD:
            self._refuse_call(stream, _RESOURCE_EXHAUSTED, "too many half-sent messages on this connection", events)

    def _messages(self, stream: int, call: _Stream, data: bytes, events: list[WireEvent]) -> int:
        """Report the complete messages in `data`; the position of the first incomplete one."""
        at, size = 0, len(data)
        while size - at >= 5:
            length = int.from_bytes(data[at + 1 : at + 5], "big")
            if data[at]:
                self._refuse_call(stream, _UNIMPLEMENTED, "compressed messages are not supported", events)
                return at
            if length > self._max_message:
                text = f"a message of {length} bytes was announced, {self._max_message} are allowed"
                self._refuse_call(stream, _RESOURCE_EXHAUSTED, text, events)
                return at
            if size - at - 5 < length:
                break
            events.append(MessageReceived(stream, data[at + 5 : at + 5 + length]))
            at += 5 + length
        return at

    def _ended(self, stream: int, events: list[WireEvent]) -> None:
        call = self._streams.get(stream)
        if call is None:
            return
        call.half_closed = True
        if call.ending is not None:
            return
        if call.request is not None:
            method, path, headers = call.request
            body = bytes(call.inbound or b"")
            self._drop_inbound(call)
            events.append(HttpRequest(stream, method, path, headers, body))
        elif call.inbound:
            self._refuse_call(stream, _INTERNAL, "the call was half-closed in the middle of a message", events)
        else:
            events.append(HalfClosed(stream))

    def _hold(self, call: _Stream, data: bytes) -> None:
        if call.inbound is None:
            call.inbound = bytearray()
        call.inbound += data
        self._held += len(data)

    def _drop_inbound(self, call: _Stream) -> None:
        if call.inbound is not None:
            self._held -= len(call.inbound)
            call.inbound = None

    def _refuse_call(self, stream: int, code: int, message: str, events: list[WireEvent]) -> None:
        self.end(stream, code, message)
        events.append(CallRefused(stream, code, message))

    def _refuse_http(
        self,
        stream: int,
        call: _Stream,
        status: int,
        text: str,
        events: list[WireEvent],
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        assert call.request is not None
        events.append(HttpRefused(stream, call.request[0], call.request[1], status))
        self.respond(stream, status, (("content-type", "text/plain; charset=utf-8"), *headers), text.encode())

    def _refuse_stream(self, stream: int, error_code: int) -> None:
        self._credit.left -= 1  # who makes us reset streams costs as much as who resets them
        self._reset(stream, error_code)

    def _break(self, reason: str, error_code: int | None, events: list[WireEvent]) -> None:
        self._broken = True
        self._later.clear()
        self._streams.clear()
        self._ready.clear()
        self._queued_bytes = self._held = 0
        if error_code is not None:
            self._out.append(self._h2.data_to_send())
            self._out.append(goaway_frame(error_code, self._h2.highest_inbound_stream_id))
        events.append(ProtocolBroken(reason))

    # ------------------------------------------------------------ inside: sending
    def _pump(self, limit: int | None) -> None:
        """One DATA frame a stream in turn, until the limit, the connection window or the queues are exhausted."""
        ready, h2, streams = self._ready, self._h2, self._streams
        sent = 0
        while ready and h2.outbound_flow_control_window > 0 and (limit is None or sent < limit):
            stream, _ = ready.popitem(last=False)
            call = streams.get(stream)
            if call is None or call.queue is None:
                continue
            count = self._send_frame(stream, call)
            sent += count
            if count and call.queue is not None and stream in streams:
                ready[stream] = None

    def _send_frame(self, stream: int, call: _Stream) -> int:
        """One DATA frame, as full as it may be; its size. 0 when a window is closed."""
        queue = call.queue
        assert queue is not None
        try:
            room = min(self._h2.room(stream), MAX_DATA_FRAME)
            if room <= 0:
                return 0
            parts, size = queue.take(room)
            self._queued_bytes -= size
            done = not queue
            if done and call.ending == []:
                self._h2.send_data(stream, b"".join(parts), end_stream=True)
                self._unread -= HEADER_SIZE + size
                self._credit.earn()
            else:
                self._send_data(stream, parts, size)
        except ProtocolError:
            self._forget(stream)
            return 0
        if done:
            call.queue = None
            self._ready.pop(stream, None)
            if call.ending is not None:
                self._finish(stream, call)
        return size

    def _finish(self, stream: int, call: _Stream) -> None:
        """The queue is empty and the end was ordered: trailers, or nothing more for plain HTTP."""
        if call.ending:
            # Without a message before, the trailers are the response headers too ("Trailers-Only").
            trailers = call.ending if call.headers_sent else [*_GRPC_HEADERS, *call.ending]
            try:
                self._h2.send_headers(stream, trailers, end_stream=True)
            except ProtocolError:
                self._forget(stream)
                return
        self._closed(stream, call)

    def _closed(self, stream: int, call: _Stream) -> None:
        """END_STREAM was sent."""
        if not call.half_closed:
            self._reset(stream, ErrorCodes.NO_ERROR)
        self._forget(stream)

    def _reset(self, stream: int, error_code: int) -> None:
        with suppress(ProtocolError):  # closed in the meantime: that is what was wanted
            self._h2.reset_stream(stream, error_code)

    def _forget(self, stream: int) -> None:
        call = self._streams.pop(stream, None)
        if call is None:
            return
        self._empty(stream, call)
        self._drop_inbound(call)

    def _empty(self, stream: int, call: _Stream) -> None:
        self._ready.pop(stream, None)
        if call.queue is not None:
            self._queued_bytes -= call.queue.size
            call.lost = call.lost or bool(call.queue)
            call.queue = None

    def _emit(self, data: bytes) -> None:
        """A frame h2 does not know of, behind what h2 has made so far."""
        if self._broken:
            return
        self._keep(self._h2.data_to_send())
        self._keep(data)

    def _emit_behind(self, data: bytes) -> None:
        """A frame of our own behind what the windows let out."""
        if self._later or self._queued_bytes > MAX_AT_ONCE:
            self._later.append(data)
        else:
            self._pump(None)
            self._emit(data)

    def _keep(self, data: bytes) -> None:
        if data:
            self._out.append(data)
            self._unread += len(data)

    def _enqueue(self, stream: int, call: _Stream, piece: bytes) -> None:
        if call.queue is None:
            call.queue = Outbox()
        self._queued_bytes += call.queue.put((piece,))
        self._ready[stream] = None

    def _send_data(self, stream: int, parts: Iterable[bytes | memoryview], size: int) -> None:
        """A DATA frame that there is room for, behind what h2 has made so far."""
        self._keep(self._h2.data_to_send())
        self._h2.spend(stream, size)
        self._out.append(data_header(stream, size))
        self._out += parts
        self._credit.earn()


def _read_headers(
    raw: Iterable[tuple[bytes, bytes]],
) -> tuple[dict[bytes, bytes], list[tuple[bytes, bytes]]] | None:
    """Pseudo and regular headers of a request, or None when they are malformed (RFC 9113 8.2 and 8.3.1).

    More lenient than the letter in one place: blanks around a value are let through (protocol 1.4).
    """
    pseudo: dict[bytes, bytes] = {}
    regular: list[tuple[bytes, bytes]] = []
    for name, value in raw:
        if _BAD_VALUE.search(value):
            return None
        if name[:1] == b":":
            if regular or name in pseudo or name not in _PSEUDO:
                return None
            pseudo[name] = value
        elif not _NAME.fullmatch(name) or name in _PER_CONNECTION:
            return None
        else:
            if name == b"te" and value.strip(b" \t").lower() != b"trailers":
                return None
            regular.append((name, value))
    if pseudo.get(b":method") == b"CONNECT":
        pseudo.setdefault(b":path", pseudo.get(b":authority", b""))
    elif not (pseudo.get(b":method") and pseudo.get(b":path") and b":scheme" in pseudo):
        return None
    return pseudo, regular


def _is_grpc(content_type: bytes) -> bool:
    """application/grpc, with a codec (+proto) or parameters; not its neighbour application/grpc-web."""
    return content_type[:16].lower() == b"application/grpc" and content_type[16:17] in (b"", b"+", b";", b" ")


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def percent_encode(message: str) -> bytes:
    """`grpc-message` as the gRPC specification wants it: printable ASCII but "%" as it is, other bytes as %XX."""
    encoded = message.encode("utf-8", "replace")
    return b"".join(b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in encoded)


def _short(error: Exception) -> str:
    text = str(error) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."
