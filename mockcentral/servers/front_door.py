"""One TCP connection of the front door: first bytes, then HTTP/2 or HTTP/1.x; everything it hears goes to Central.

A `Link` moves bytes and nothing else: what they mean is `wire`'s business, what to do about it Central's, and who
carries out what Central orders is the `Host`.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import TYPE_CHECKING, cast

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

if TYPE_CHECKING:
    from mockcentral.servers.host import Host

SILENT_LIMIT = 30.0
"""Seconds a client may stay silent before its first bytes tell a protocol; one that only connects holds a socket, no
more.
"""

LINGER = 1.0
"""Seconds a client has to close its side after our FIN, while whatever it still sends is dropped: a close at once would
answer that with RST, which may swallow what the client has not read yet.
"""

HIGH_WATER = 256 * 1024
"""Bytes waiting in the transport above which no more is asked of the HTTP/2 layer."""


class Link(asyncio.Protocol):
    """A connection from accept to close."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.id = 0
        self.calls: dict[int, int] = {}
        """HTTP/2 stream -> call."""
        self.h2: ServerConnection | None = None
        self.http1: Http1Connection | None = None
        self.blackholed = False
        self.peer = ""
        self.barrier_pings: set[bytes] = set()
        """Payloads of PINGs somebody waits for."""
        self._transport: asyncio.Transport
        self._first = bytearray()
        self._paused = False
        self._closing = False
        self._impatience: asyncio.TimerHandle | None = None

    # ------------------------------------------------------------------------------------------ asyncio calls these
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if transport.is_closing():  # the world stopped listening meanwhile
            self._closing = True
            return
        self._transport.set_write_buffer_limits(high=HIGH_WATER)
        self.peer = _address(transport.get_extra_info("peername"))
        self.id = self.host.central.connection_opened(self.peer, self.host.now())
        self.host.links[self.id] = self
        self._impatience = self.host.loop.call_later(SILENT_LIMIT, self._lost_patience)
        self.host.flush()

    def data_received(self, data: bytes) -> None:
        if self.blackholed or self._closing:
            return
        if self.h2 is not None:
            self._hear(self.h2.receive(data))
        elif self.http1 is not None:
            self._hear_http1(data)
        else:
            self._listen_first(data)
        self.host.touched(self)
        self.host.flush()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if not self.id:  # it was never ours
            return
        self._closing = True
        self._transport.close()  # Python 3.10 warns of a TLS transport that ended by itself and was not closed
        if self._impatience is not None:
            self._impatience.cancel()
        reason = "closed" if error is None else type(error).__name__
        self.host.links.pop(self.id, None)
        self.host.central.connection_closed(self.id, self.host.now(), by="client", reason=reason)
        for call in self.calls.values():
            self.host.streams.pop(call, None)
        self.calls.clear()
        self.host.barrier_over(self.barrier_pings)
        self.host.flush()
        self.host.link_gone()

    def pause_writing(self) -> None:
        self._paused = True
        if self.http1 is not None:  # who does not read its answers may ask no further; HTTP/2 has windows for that
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if self.http1 is not None:
            self._transport.resume_reading()
            self.host.loop.call_soon(self.data_received, b"")
        self.host.touched(self)
        self.host.flush()

    # ------------------------------------------------------------------------------------------ the host calls these
    def write_out(self) -> None:
        """Hand to the transport what the HTTP/2 layer has ready, as far as the transport takes it."""
        if self.h2 is None or self.blackholed or self._closing or self._transport.is_closing():
            return
        while not self._paused:
            data = self.h2.data_to_send(HIGH_WATER)
            if not data:
                break
            self._transport.write(data)
        if self.h2.broken:
            self.close()

    def close(self, *, abort: bool = False, linger: bool = False) -> None:
        """FIN after what was written, or RST at once; with `linger` the client is left time to read it all."""
        if self._closing:
            return
        if not abort and not self.blackholed:
            if self.h2 is not None and not self._paused and (data := self.h2.data_to_send(HIGH_WATER)):
                self._transport.write(data)
            self._closing = True
            if linger and self._transport.can_write_eof():
                self._transport.write_eof()
                self._impatience = self.host.loop.call_later(LINGER, self._end_of_linger)
            else:
                self._transport.close()
            return
        self._closing = True
        raw = self._transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def abort(self) -> None:
        """Give the transport up, whatever still waits in it."""
        self._transport.abort()

    def blackhole(self) -> None:
        """Whatever comes is dropped and nothing is written from now on; the peer sees an open, silent connection.

        Reading goes on, because the moment the client gives up is worth knowing.
        """
        self.blackholed = True

    # ------------------------------------------------------------------------------------------ first bytes
    def _listen_first(self, data: bytes) -> None:
        self._first += data
        protocol = "h2" if self._agreed_on_h2() else sniff(bytes(self._first[:32]))
        if protocol is None:
            return
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None
        self.host.central.connection_speaks(self.id, protocol, self.host.now())
        first, self._first = bytes(self._first), bytearray()
        if protocol == "h2":
            self.h2 = ServerConnection()
            self._hear(self.h2.receive(first))
        elif protocol == "http/1.1":
            self.http1 = Http1Connection()
            self._hear_http1(first)
        elif protocol == "tls":
            self._transport.write(tls_alert())
            self._refuse("a TLS client on a plain port: start the fake with --tls, or use the client without TLS")
        else:
            self._transport.write(error_response(400, "neither HTTP/2 nor HTTP/1.1"))
            self._refuse("neither HTTP/2 nor HTTP/1.1", linger=True)

    def _agreed_on_h2(self) -> bool:
        """Whether TLS settled it: then whatever comes is HTTP/2, good or bad, and nothing is answered in HTTP/1.1."""
        tls: ssl.SSLObject | None = self._transport.get_extra_info("ssl_object")
        return tls is not None and tls.selected_alpn_protocol() == "h2"

    def _refuse(self, reason: str, *, linger: bool = False) -> None:
        self.host.central.connection_closed(self.id, self.host.now(), by="server", reason=reason)
        self.close(linger=linger)

    def _end_of_linger(self) -> None:
        if self._transport.get_write_buffer_size():  # it still reads, slowly
            self._impatience = self.host.loop.call_later(LINGER, self._end_of_linger)
        else:
            self._transport.abort()

    def _lost_patience(self) -> None:
        self._impatience = None
        self._refuse(f"said nothing for {SILENT_LIMIT:.0f} s")

    # ------------------------------------------------------------------------------------------ HTTP/2
    def _hear(self, events: list[WireEvent]) -> None:
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
                self.barrier_pings.discard(event.payload)
                host.ping_acked(event.payload)
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
        for event in self.http1.receive(data):
            if isinstance(event, Http1Error):
                self._transport.write(event.response)
                self._refuse(f"bad HTTP request: {event.reason}", linger=True)
                return
            if interim := self.http1.data_to_send():
                self._transport.write(interim)
            self.host.answer(self, event)

    def respond(self, request: HttpRequest, status: int, headers: tuple[tuple[str, str], ...], body: bytes) -> None:
        """Send an HTTP response, to whichever protocol asked."""
        if self.blackholed or self._closing or self._transport.is_closing():
            return
        if self.h2 is not None:
            self.h2.respond(request.stream, status, headers, body)
            self.host.touched(self)
            return
        assert self.http1 is not None
        self._transport.write(self.http1.respond(status, headers, body))
        if self.http1.close_after:
            self.host.central.connection_closed(self.id, self.host.now(), by="client", reason="HTTP exchange complete")
            self.close()
        elif not self._paused:
            # The next of a pipeline. Not from here: a long pipeline would be a deep recursion.
            self.host.loop.call_soon(self.data_received, b"")


def _address(peer: object) -> str:
    if isinstance(peer, tuple) and len(peer) >= 2:
        return f"{peer[0]}:{peer[1]}"
    return str(peer or "")
