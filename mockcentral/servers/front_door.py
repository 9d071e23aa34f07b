"""One TCP connection of the front door: first bytes, then HTTP/2 or HTTP/1.x; everything it hears goes to Central.

A `Link` moves bytes and nothing else: what they mean is `wire`'s business, what to do about it Central's, and who
carries out what Central orders is the `Host`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

from h2.errors import ErrorCodes

from mockcentral._core.actions import BlackHole, CloseConnection, CutCall, Order, Reframe, ShapeBytes, SpoilHandshake
from mockcentral.servers.departure import Marks
from mockcentral.servers.pipe import Pipe, half_close, reset
from mockcentral.servers.tls import below, left_to_write
from mockcentral.wire.codec import decode_request
from mockcentral.wire.grpc import (
    CallOpened,
    CallRefused,
    CallReset,
    HalfClosed,
    HttpRefused,
    HttpRequest,
    MessageReceived,
    PingAcked,
    PingReceived,
    ProtocolBroken,
    ServerConnection,
    WireEvent,
)
from mockcentral.wire.http1 import Http1Connection, Http1Error, error_response, sniff, tls_alert
from mockcentral.wire.mangler import Mangler
from mockcentral.wire.shaper import Shape

if TYPE_CHECKING:
    from mockcentral.servers.host import Host

SILENT_LIMIT = 30.0
"""Seconds a client has to say what it wants: the TLS handshake, the whole HTTP/2 preface with its SETTINGS, each HTTP/1
request from its first byte to its last. Between requests it may be silent for ever.
"""

LINGER = 1.0
"""Seconds a client has to close its side after our FIN, while whatever it still sends is dropped: a close at once would
answer that with RST, which may swallow what the client has not read yet.
"""

STALLS = 5
"""Times in a row a closed connection may be found, every `LINGER`, to have taken nothing of what is left for it."""

TURN = 4096
"""Bytes heard from one connection before the others have their turn. One read may bring 256 KiB: 15,000 PINGs, or 8,000
requests, and each millisecond spent on them is one that everybody else's events are late.
"""

HIGH_WATER = 256 * 1024
"""Bytes waiting in the transport above which no more is asked of the HTTP/2 layer."""


class Link(asyncio.Protocol):
    """A connection from accept to close."""

    # Of the class until they are needed: with more than thirty attributes all of them take CPython longer.
    _below: asyncio.Transport | None = None
    """Under TLS the transport that has the socket."""
    _left = 0
    """Bytes that went to the transport and were seen to have left it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.id = 0
        self.calls: dict[int, int] = {}
        """HTTP/2 stream -> call."""
        self.marks: dict[int, Marks] = {}
        """Call -> what of its events has its receipt when it has left."""
        self.h2: ServerConnection | None = None
        self.http1: Http1Connection | None = None
        self.pipe: Pipe | None = None
        """What a fault did to the line; None on a good one."""
        self.flaw: tuple[SpoilHandshake, str | None] | None = None
        """What is to go wrong with the TLS handshake, and the fault rule that asked for it."""
        self.hold = 0.0
        """Seconds to leave the connection alone after it was accepted."""
        self.peer = ""
        self._raw: socket.socket | None = None
        """The socket while there is no transport yet: a TLS handshake is to come."""
        self._holding = False
        self._swallows: BlackHole | None = None
        """What is to vanish, from before the TLS handshake was over."""
        self._waiting: list[tuple[Order, str | None]] = []
        self._for_line: list[tuple[Order, str | None]] = []
        self._transport: asyncio.Transport
        self._first = bytearray()
        self._unheard = bytearray()
        """What was read and waits for its turn. Nothing more is read meanwhile."""
        self._turn_due = False
        self._paused = False
        self._dripping = False
        """An HTTP/1 answer is being sent in pieces: nothing else may be answered in between."""
        self._closing = False
        self._aborted = False
        self._lingering = False
        self._said_all = True
        self._passed = 0
        """Bytes that went to the transport without a pipe."""
        self._telling = False
        """The transport is to tell when it has nothing left, and is given nothing more until then."""
        self._half_read = 0
        self._impatience: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------ asyncio calls these
    def accepted(self, raw: socket.socket) -> None:
        """A TCP connection whose TLS handshake is to come: faults may strike before it."""
        self._raw = raw
        try:
            peer = raw.getpeername()
        except OSError:  # it has left already
            peer = ""
        self._register(peer)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if (socket_transport := below(transport)) is not None:
            self._below = socket_transport
        if transport.is_closing():  # the world stopped listening meanwhile
            self._closing = True
            return
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self._impatience = self.host.loop.call_later(SILENT_LIMIT, self._lost_patience)
        if self._raw is None:
            self._register(transport.get_extra_info("peername"))
            if self.hold and not self._closing:
                self._holding = True
                self._be_patient()
                self._set_reading()
                self.host.loop.call_later(self.hold, self._end_of_hold)
        else:
            self._raw = None
            if self._swallows is not None:
                self.blackhole(self._swallows)
            self.host.central.again(self._for_line)
            self._for_line.clear()
            self.host.flush()

    def _register(self, peer: object) -> None:
        self.peer = _address(peer)
        self.id = self.host.central.connection_opened(self.peer, self.host.now())
        self.host.links[self.id] = self
        self.host.flush()

    def _end_of_hold(self) -> None:
        self._holding = False
        if not self._closing:
            self._impatience = self.host.loop.call_later(SILENT_LIMIT, self._lost_patience)
        self._await_turn()

    def handshake_over(self, by: str, reason: str) -> None:
        """There will be no TLS connection."""
        self._closing = True
        self.host.links.pop(self.id, None)
        self.host.central.connection_closed(self.id, self.host.now(), by=by, reason=reason)
        self.host.flush()
        self.host.link_gone()

    @property
    def closing(self) -> bool:
        """Whether nothing more is said."""
        return self._closing

    @property
    def held_bytes(self) -> int:
        """What the windows of an HTTP/2 client have not let out yet."""
        return 0 if self.h2 is None else self.h2.queued_bytes

    def data_received(self, data: bytes) -> None:
        if self.pipe is None:
            self._arrived(data)
        else:
            self.pipe.received(data)

    def _arrived(self, data: bytes) -> None:
        if self._holding:  # Python 3.10 reads once more after a pause in `connection_made`
            self._unheard += data
            self._set_reading()
        elif self._unheard:  # over TLS a pause comes too late for what is decrypted already
            self._unheard += data
        elif len(data) <= TURN:
            self._listen(data)
        else:
            self._unheard += data
            self._take_turn()

    def eof_received(self) -> bool:
        if self._holding:  # heard as early as data on Python 3.10; after the hold reading goes on, and meets it again
            return True
        while self._unheard:  # over TLS the end may come with the same read
            self._listen(self._next_unheard())
        self._look_what_left()
        if self.pipe is None or self._transport.get_extra_info("sslcontext") is not None:  # TLS ends both ways at once
            return False
        return self.pipe.ended(self._transport.close)  # what a slow line holds is not lost with the end behind it

    def connection_lost(self, error: Exception | None) -> None:
        if not self.id:  # it was never ours
            return
        self._closing = True
        self._transport.close()  # Python 3.10 warns of a TLS transport that ended by itself and was not closed
        self._unheard.clear()
        self._be_patient()
        self._weigh(0)
        if self.pipe is not None:
            self.pipe.close()
        reason = "closed" if error is None else type(error).__name__
        self.host.links.pop(self.id, None)
        self.host.central.connection_closed(self.id, self.host.now(), by="client", reason=reason)
        for call in self.calls.values():
            self.host.streams.pop(call, None)
        self.calls.clear()
        self.host.flush()
        self.host.link_gone()

    def pause_writing(self) -> None:
        self._paused = True
        self._set_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if self._below is None:  # it tells of what it has sent, be it closing or not
            self._left = self._handed_to_transport - self._left_to_write()
        if self._telling:
            self._telling = False
            self._transport.set_write_buffer_limits(high=HIGH_WATER)
            if self._below is not None:
                self._below.set_write_buffer_limits()
        self._set_reading()
        if self.http1 is not None:
            self.host.loop.call_soon(self._go_on)
        self.host.touched(self)
        self.host.flush()

    # ------------------------------------------------------------------------------------------ turns
    def _take_turn(self) -> None:
        self._turn_due = False
        if self._unheard and not self._held_up():
            self._listen(self._next_unheard())
        self._await_turn()

    def _await_turn(self) -> None:
        if self._unheard and not self._turn_due and not self._held_up() and not self._holding:
            self._turn_due = True
            self.host.loop.call_soon(self._take_turn)
        self._set_reading()

    def _next_unheard(self) -> bytes:
        piece = bytes(self._unheard[:TURN])
        del self._unheard[:TURN]
        return piece

    def _held_up(self) -> bool:
        # Who does not read its answers may ask no further, nor who has not got all of one; HTTP/2 has windows for that.
        return (self._paused or self._dripping) and self.http1 is not None

    def _set_reading(self) -> None:
        if self._unheard or self._held_up() or self._holding or (self.pipe is not None and self.pipe.choked):
            self._transport.pause_reading()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def _go_on(self) -> None:
        """After an HTTP/1 answer: the next of a pipeline, then what was read behind it."""
        self._listen(b"")
        self._await_turn()

    def _listen(self, data: bytes) -> None:
        self.host.catch_up()
        if self._closing:
            self._unheard.clear()
            return
        if self.h2 is not None:
            self._hear_h2(data)
        elif self.http1 is not None:
            self._hear_http1(data)
        else:
            self._hear_first(data)
        self.host.touched(self)
        self.host.flush()

    # ------------------------------------------------------------------------------------------ the host calls these
    def write_out(self) -> None:
        """Hand to the transport what the HTTP/2 layer has ready, as far as the transport takes it."""
        if self.h2 is None or self.mute or self._closing:
            return
        self._said_all = False
        if self._transport.is_closing() or (self._below is not None and self._throws_away):
            return
        while not self._paused and not (self.pipe is not None and self.pipe.full):
            data = self.h2.data_to_send(HIGH_WATER)
            if data:
                self._write(data)
            if self.marks:
                for marks in self.marks.values():
                    marks.hand_on()
            if len(data) < HIGH_WATER:
                self._said_all = True
                break
        if self.pipe is not None and self.pipe.mangler is not None:
            for stream in self.pipe.mangler.take_reached():
                if (call := self.calls.get(stream)) is not None:
                    self.host.central.call_cut(call, self.host.now())
        if self.h2.broken:
            self.close(linger=True)  # more of a flood is on its way, and RST would overtake the GOAWAY

    def take_drained(self) -> bool:
        """Whether all that was said over a slow line has come out of it, since that was asked the last time."""
        return self.pipe is not None and not self.held_bytes and self.pipe.take_drained()

    def close(self, *, abort: bool = False, linger: bool = False) -> None:
        """FIN after what was written, or RST at once; with `linger` the client is left time to read it all."""
        if self._closing:
            return
        self._be_patient()
        if self._raw is not None:
            self._closing = True
            if abort:
                reset(self._raw)
            self._raw.close()
            self.host.links.pop(self.id, None)
            return
        if not abort and not self.mute:
            # Paused for the sake of a receipt, not because the client does not read: it may have one more piece.
            if self.h2 is not None and (not self._paused or self._telling):
                if data := self.h2.data_to_send(HIGH_WATER):
                    self._write(data)
                self._said_all = len(data) < HIGH_WATER
            self._closing = True
            if self.pipe is None:
                self._finish(linger)
            else:
                self.pipe.after(lambda: self._finish(linger))
            return
        self._closing = True
        if (raw := self._transport.get_extra_info("socket")) is not None:
            reset(raw)
        self._give_up()

    def _finish(self, linger: bool) -> None:
        if self._transport.is_closing():
            return
        self._look_what_left()
        self._lingering = linger and self._transport.can_write_eof()
        if self._lingering:
            self._transport.write_eof()
        else:
            self._transport.close()
        self._watch_the_end(self._left_to_write(), 0)

    def _write(self, data: bytes) -> None:
        if self.pipe is None:
            self._passed += len(data)
            self._transport.write(data)
        else:
            self.pipe.write(data)

    def abort(self) -> None:
        """Give the transport up, whatever still waits in it."""
        if self._raw is None:
            self._give_up()
        else:
            self.close()

    def _give_up(self) -> None:
        self._aborted = True
        self._transport.abort()

    # ------------------------------------------------------------------------------------------ what has left
    @property
    def has_line(self) -> bool:
        """Whether there is something to write to: not before a TLS handshake is over."""
        return self._raw is None

    @property
    def lost(self) -> bool:
        """Whether the connection is gone, with whatever had not left."""
        return self._aborted or self.id not in self.host.links

    @property
    def said_it_all(self) -> bool:
        """Whether everything the windows let out was handed on when it was last asked to write out."""
        return self._said_all

    @property
    def handed_on(self) -> int:
        """Bytes that were given to the line, if there is a slow one, or to the transport."""
        return self._passed + (self.pipe.handed_on if self.pipe is not None else 0)

    def has_let_out(self, mark: int) -> bool | None:
        """Whether as many bytes as were handed on at some time have left; None: not yet, False: they never will. When
        it is the transport that keeps them, the host hears of it when they have left.
        """
        passed = self._handed_to_transport
        if passed < mark:
            return False if self.mute else None
        self._look_what_left()
        if self._left >= mark:
            return True
        if not self._telling and not (self._below is not None and self._throws_away):
            self._telling = True
            behind = passed - mark if self._below is None else 0
            self._transport.set_write_buffer_limits(high=behind, low=behind)
            if self._below is not None:
                self._below.set_write_buffer_limits(high=0)
        return None

    @property
    def _handed_to_transport(self) -> int:
        return self._passed + (self.pipe.passed if self.pipe is not None else 0)

    @property
    def _throws_away(self) -> bool:
        """Whether the transport that has the socket is closing: its buffer may be empty because it gave up. TLS does
        not say so before the next turn.
        """
        return (self._below or self._transport).is_closing()

    def _look_what_left(self) -> None:
        if not self._throws_away:
            self._left = self._handed_to_transport - self._left_to_write()

    def has_cut(self, stream: int) -> bool:
        """Whether a fault has cut off something of what was sent on a stream."""
        return self.pipe is not None and self.pipe.mangler is not None and self.pipe.mangler.has_cut(stream)

    # ------------------------------------------------------------------------------------------ what faults do to it
    @property
    def mute(self) -> bool:
        """Whether what we write vanishes."""
        return self.pipe is not None and self.pipe.mute

    @property
    def silent(self) -> bool:
        """Whether bytes vanish in one direction at least."""
        return self.pipe is not None and (self.pipe.mute or self.pipe.deaf)

    @property
    def owes_h2(self) -> bool:
        """Whether orders wait until somebody speaks HTTP/2."""
        return bool(self._waiting) and not self._closing

    def wait_for_h2(self, order: Order, rule: str | None) -> None:
        """Nobody has spoken yet: what is said in HTTP/2 is said when they do."""
        if self.http1 is None:
            self._waiting.append((order, rule))

    def wait_for_line(self, order: Order, rule: str | None) -> None:
        """What is done to the line is done when the TLS handshake is over."""
        self._for_line.append((order, rule))

    def spoil(self, order: SpoilHandshake, rule: str | None) -> None:
        """The TLS handshake goes another way, unless it stalls because bytes vanish. Its receipt is due when the client
        has got our side of it.
        """
        if self._swallows is None:
            self.flaw = (order, rule)

    def blackhole(self, order: BlackHole) -> bool:
        """Whatever comes is dropped, or nothing is written from now on, or both: the peer sees an open connection.
        False when it was so already.

        Reading goes on, because the moment the client gives up is worth knowing.
        """
        self._be_patient()
        if (pipe := self._line()) is not None:
            return pipe.silence(order.direction)
        before, self._swallows = self._swallows, order
        self.flaw = (SpoilHandshake(self.id, "stall"), None)
        return before is None

    def shape(self, order: ShapeBytes) -> bool:
        """The line is slow from now on. False where bytes vanish."""
        pipe = self._line()
        assert pipe is not None
        ways: tuple[tuple[Literal["to_client", "from_client"], bool], ...] = (
            ("to_client", pipe.mute),
            ("from_client", pipe.deaf),
        )
        felt = False
        for direction, vanishes in ways:
            if order.direction in ("both", direction) and not vanishes:
                felt = True
                old = pipe.shape_of(direction)
                latency, jitter = (old.latency, old.jitter) if order.latency is None else order.latency
                gather = old.gather if order.gather is None else order.gather
                rate = old.rate if order.rate is None else order.rate
                pipe.shape(direction, Shape(latency, jitter, rate, gather), order.seed)
        return felt

    def reframe(self, order: Reframe) -> bool:
        """Frames and segments have other sizes from now on; False where nobody speaks HTTP/2, or is heard."""
        if self.mute or (mangler := self._mangler()) is None:
            return False
        mangler.reframe(order.frame_bytes, order.write_bytes, empty=order.empty)
        return True

    def cut(self, stream: int, order: CutCall) -> None:
        """Let so much more of a stream through."""
        if (mangler := self._mangler()) is not None and order.after_bytes is not None:
            mangler.cut(stream, order.after_bytes)

    def half_close(self) -> bool:
        """FIN after what is queued; reading goes on. False when nothing of it can be seen."""
        if self._raw is not None or self._closing or self.mute:
            return False
        self.write_out()
        pipe = self._line()
        assert pipe is not None

        def finish() -> None:
            half_close(self._transport)
            pipe.silence("to_client")

        pipe.after(finish)
        return True

    def _line(self) -> Pipe | None:
        """The line, made when a fault first needs it; None while there is no transport."""
        if self.pipe is None and self._raw is None:
            self.pipe = Pipe(
                self._transport, self.host.loop, deliver=self._arrived, wrote=self._wrote, choke=self._set_reading
            )
        return self.pipe

    def _mangler(self) -> Mangler | None:
        pipe = self._line()
        if pipe is None or self.h2 is None:
            return None
        pipe.mangler = pipe.mangler or Mangler()
        return pipe.mangler

    def _wrote(self) -> None:
        self.host.touched(self)
        self.host.flush()

    # ------------------------------------------------------------------------------------------ first bytes
    def _hear_first(self, data: bytes) -> None:
        self._first += data
        protocol = "h2" if self._agreed_on_h2() else sniff(bytes(self._first[:32]))
        if protocol is None:
            return
        self.host.central.connection_speaks(self.id, protocol, self.host.now())
        first, self._first = bytes(self._first), bytearray()
        if protocol == "h2":
            self.h2 = self._new_h2()
            self.host.central.again(self._waiting)
            self._waiting.clear()
            self._hear_h2(first)
        elif protocol == "http/1.1":
            self.http1 = Http1Connection()
            # Of what was to be said in HTTP/2 only the end is left, and it is no sign of the fault.
            self.host.central.again([(order, None) for order, _ in self._waiting if isinstance(order, CloseConnection)])
            self._waiting.clear()
            self._hear_http1(first)
        elif protocol == "tls":
            self._transport.write(tls_alert())
            self._refuse("a TLS client on a plain port: start the fake with --tls, or use the client without TLS")
        else:
            self._transport.write(error_response(400, "neither HTTP/2 nor HTTP/1.1"))
            self._refuse("neither HTTP/2 nor HTTP/1.1", linger=True)

    def _new_h2(self) -> ServerConnection:
        return ServerConnection()

    def _agreed_on_h2(self) -> bool:
        """Whether TLS settled it: then whatever comes is HTTP/2, good or bad, and nothing is answered in HTTP/1.1."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return tls is not None and tls.selected_alpn_protocol() == "h2"

    def _refuse(self, reason: str, *, linger: bool = False) -> None:
        self.host.central.connection_closed(self.id, self.host.now(), by="server", reason=reason)
        self.close(linger=linger)

    def _weigh(self, half_read: int) -> None:
        if half_read != self._half_read:
            self._half_read = half_read
            self.host.weigh(self, half_read)

    def too_much(self) -> None:
        """All connections together hold too much of what has not ended, and this one holds most."""
        if self.h2 is not None:
            self.h2.goaway(ErrorCodes.ENHANCE_YOUR_CALM, 0)
        else:
            self._transport.write(error_response(503, "Too much is being sent at once."))
        self._refuse("too much half-sent at once", linger=True)
        spoken = self.h2 or self.http1
        assert spoken is not None  # it has to have said something to hold anything
        spoken.drop_half_read()
        self._weigh(0)

    # ------------------------------------------------------------------------------------------ patience
    def _be_patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def _lost_patience(self) -> None:
        self._impatience = None
        if self.pipe is not None:  # a fault has made the line slow: the client cannot help it
            return
        if self.h2 is not None:
            self.h2.goaway(ErrorCodes.SETTINGS_TIMEOUT, 0)
            self._refuse(f"no SETTINGS within {SILENT_LIMIT:.0f} s", linger=True)
        elif self.http1 is not None:
            self._transport.write(error_response(408, f"The request was not complete within {SILENT_LIMIT:.0f} s."))
            self._refuse(f"a request was not complete within {SILENT_LIMIT:.0f} s", linger=True)
        else:
            self._refuse(f"said nothing for {SILENT_LIMIT:.0f} s")

    def _watch_the_end(self, left: int, stalls: int) -> None:
        self._impatience = self.host.loop.call_later(LINGER, self._look_at_the_end, left, stalls)

    def _look_at_the_end(self, before: int, stalls: int) -> None:
        """Give the transport up when its peer has everything and does not close, or stopped taking what is left."""
        left = self._left_to_write()
        if left < before:
            self._watch_the_end(left, 0)
        elif stalls < STALLS and (left or not self._lingering):
            self._watch_the_end(left, stalls + 1)
        else:
            self._give_up()

    def _left_to_write(self) -> int:
        if self._below is not None:
            return left_to_write(self._transport, self._below)
        return self._transport.get_write_buffer_size()

    # ------------------------------------------------------------------------------------------ HTTP/2
    def _hear_h2(self, data: bytes) -> None:
        assert self.h2 is not None
        self._understand(self.h2.receive(data, self.host.now()))
        self._weigh(self.h2.half_read)
        if self._impatience is not None and self.h2.greeted and not self._closing:
            self._be_patient()

    def _understand(self, events: list[WireEvent]) -> None:
        central, host = self.host.central, self.host
        for event in events:
            now = host.now()
            if isinstance(event, MessageReceived):
                if (call := self.calls.get(event.stream)) is not None:
                    try:
                        request = decode_request(event.data)
                    except ValueError as error:
                        central.bad_request(call, str(error), now)
                    else:
                        central.request_received(call, request, now)
            elif isinstance(event, PingReceived):
                central.ping_received(self.id, event.payload, now)
            elif isinstance(event, PingAcked):
                central.ping_acked(self.id, event.payload, now)
            elif isinstance(event, CallOpened):
                self._open(event)
            elif isinstance(event, HalfClosed):
                if (call := self.calls.get(event.stream)) is not None:
                    central.call_half_closed(call, now)
            elif isinstance(event, CallReset):
                if (call := self.calls.pop(event.stream, None)) is not None:
                    host.streams.pop(call, None)
                    central.call_closed(call, now, reason=f"RST_STREAM {event.error_code}")
            elif isinstance(event, CallRefused):
                if (call := self.calls.pop(event.stream, None)) is not None:
                    host.streams.pop(call, None)
                    central.bad_request(call, event.message, now)
            elif isinstance(event, HttpRequest):
                host.answer(self, event)
            elif isinstance(event, HttpRefused):
                host.journal.add(
                    now,
                    "http.request",
                    conn=self.id,
                    method=event.method,
                    path=event.path[:400],
                    query="",
                    status=event.status,
                )
            elif isinstance(event, ProtocolBroken):
                central.connection_closed(self.id, now, by="server", reason=f"not HTTP/2 any more: {event.reason}")
            # A client's GOAWAY needs no answer: its open streams go on.

    def _open(self, event: CallOpened) -> None:
        metadata: dict[str, str] = {}
        for name, value in event.metadata:
            metadata.setdefault(name, value)
        # Orders for the new call are taken by `flush`, after this returned: the call is known by then.
        central = self.host.central
        call = central.call_opened(self.id, event.stream, event.path, metadata, self.host.now())
        if call is not None:
            self.calls[event.stream] = call
            self.host.streams[call] = (self, event.stream)

    # ------------------------------------------------------------------------------------------ HTTP/1
    def _hear_http1(self, data: bytes) -> None:
        assert self.http1 is not None
        events = self.http1.receive(data)
        if interim := self.http1.data_to_send():  # to who waits for leave before it sends a body: there is no event yet
            self._transport.write(interim)
        for event in events:
            if isinstance(event, Http1Error):
                self._transport.write(event.response)
                self._refuse(f"bad HTTP request: {event.reason}", linger=True)
                return
            self.host.answer(self, event)
        self._weigh(self.http1.half_read)
        if self._closing:
            return
        if not self.http1.unfinished:
            self._be_patient()
        elif self._impatience is None:
            self._impatience = self.host.loop.call_later(SILENT_LIMIT, self._lost_patience)

    def respond_partly(
        self, request: HttpRequest, status: int, headers: tuple[tuple[str, str], ...], body: bytes, share: float
    ) -> None:
        """Send the head of an answer and a share of its body; then the stream is reset, or the connection closed."""
        if self._deaf:
            return
        part = body[: int(len(body) * share)]
        if self.h2 is not None:
            if self.h2.begin_response(request.stream, status, headers, len(body)):
                if part:
                    self.h2.send_body(request.stream, part, end=False)
                self.h2.reset(request.stream, ErrorCodes.INTERNAL_ERROR)
            self.host.touched(self)
            return
        assert self.http1 is not None
        whole = self.http1.respond(status, headers, body)
        head = whole.find(b"\r\n\r\n") + 4
        self._write(whole[: head + int((len(whole) - head) * share)])
        self._refuse("an answer was broken off", linger=True)

    def respond_slowly(
        self, request: HttpRequest, status: int, headers: tuple[tuple[str, str], ...], length: int
    ) -> Callable[[bytes, bool], bool]:
        """Send the head of an answer. The result sends a piece of its body (True: the last one), and is False when
        nobody is there any more.
        """
        if self._deaf:
            return lambda piece, last: False
        if self.h2 is not None:
            h2 = self.h2
            h2.begin_response(request.stream, status, headers, length)

            def send(piece: bytes, last: bool) -> bool:
                if self._deaf or not h2.send_body(request.stream, piece, end=last):
                    return False
                self.host.touched(self)
                return True

            return send
        http1 = self.http1
        assert http1 is not None
        kept = tuple(pair for pair in headers if pair[0].lower() != "content-length")
        whole = http1.respond(status, (*kept, ("content-length", str(length))), b"\0" * length)
        self._write(whole[: whole.find(b"\r\n\r\n") + 4])
        self._dripping = True
        self._set_reading()

        def drip(piece: bytes, last: bool) -> bool:
            if self._deaf:
                return False
            self._write(piece)
            if self._transport.is_closing():  # nobody read while it dripped: that the client has left shows only now
                return False
            if last:
                self._dripping = False
                self._after_answer()
                if not self._deaf:
                    self._set_reading()
            return True

        return drip

    @property
    def _deaf(self) -> bool:
        return self.mute or self._closing or self._transport.is_closing()

    def awaits_answer(self, request: HttpRequest) -> bool:
        """Whether somebody is still there for the answer to a request."""
        return not self._deaf and (self.h2 is None or self.h2.awaits_answer(request.stream))

    def respond(self, request: HttpRequest, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """Send an HTTP response, to whichever protocol asked."""
        if self._deaf:
            return
        if self.h2 is not None:
            self.h2.respond(request.stream, status, headers, body)
            self.host.touched(self)
            return
        assert self.http1 is not None
        self._write(self.http1.respond(status, headers, body))
        self._after_answer()

    def _after_answer(self) -> None:
        assert self.http1 is not None
        if self.http1.close_after:
            self.host.central.connection_closed(self.id, self.host.now(), by="client", reason="HTTP exchange complete")
            self.close()
        elif not self._paused:
            # The next of a pipeline. Not from here: a long pipeline would be a deep recursion.
            self.host.loop.call_soon(self._go_on)


def _address(peer: object) -> str:
    if isinstance(peer, tuple) and len(peer) >= 2:
        return f"{peer[0]}:{peer[1]}"
    return str(peer or "")
