"""A relay in front of somebody else's gRPC server: bytes pass through, faults step in, a journal is kept.

    client  --  EdgeLink (pipe, TLS)  --  wire.relay  --  Upstream  --  server

`EdgeLink` is the front door's `Link` with a `Relay` where it has an HTTP/2 connection of its own, so whatever a fault
does to a line, a handshake or a frame is done by the same code. Central sees connections, calls and PINGs, and decides
as ever; that nothing behind it is ours makes no difference to it.

Back-pressure: when the client does not read, the server is not read from beyond `HIGH_WATER`, and the other way round.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from mockcentral._core.actions import CutCall, Order
from mockcentral._core.journal import Journal
from mockcentral.scenario.schema import Scenario
from mockcentral.servers.front_door import HIGH_WATER, Link
from mockcentral.servers.host import Host
from mockcentral.servers.pipe import reset
from mockcentral.servers.tls import Tls
from mockcentral.wire.grpc import CallOpened, CallReset, PingReceived, ProtocolBroken, ServerConnection, WireEvent
from mockcentral.wire.http1 import error_response
from mockcentral.wire.relay import CutReached, Relay, StreamEnded

CONNECT_LIMIT = 10.0
"""Seconds the upstream has to accept a connection and shake hands."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where the server is. With `tls` it is spoken to in TLS, as `name`."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    name: str | None = None

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class EdgeHost(Host):
    """The sockets, clock and connections of one edge."""

    needed_by_clients = ()

    def __init__(
        self,
        scenario: Scenario,
        *,
        journal: Journal,
        seed: int,
        bound: socket.socket,
        loop: asyncio.AbstractEventLoop,
        target: Target,
        tls: Tls | None = None,
    ) -> None:
        self.target = target
        self._connecting: set[asyncio.Task[None]] = set()
        super().__init__(scenario, journal=journal, seed=seed, bound=bound, loop=loop, tls=tls)

    def _sending(self, order: Order, link: Link, stream: int) -> None:
        """What an edge ends itself it ends at once: what it passed on is the relay's."""

    def _new_link(self) -> Link:
        return EdgeLink(self)

    async def stop(self) -> None:
        """As of a world; the connections to the upstream are closed too."""
        for task in list(self._connecting):
            task.cancel()
        await asyncio.gather(*self._connecting, return_exceptions=True)
        links = [link for link in self.links.values() if isinstance(link, EdgeLink)]
        await super().stop()
        for link in links:
            link.leave_upstream(abort=True)

    def connect(self, link: EdgeLink) -> None:
        """Open a link's connection to the upstream."""
        task = self.loop.create_task(self._connect(link))
        self._connecting.add(task)
        task.add_done_callback(self._connecting.discard)

    async def _connect(self, link: EdgeLink) -> None:
        target = self.target
        name = (target.name or target.host) if target.tls is not None else None
        try:
            opening = self.loop.create_connection(
                lambda: Upstream(link), target.host, target.port, ssl=target.tls, server_hostname=name
            )
            await asyncio.wait_for(opening, CONNECT_LIMIT)
        except asyncio.TimeoutError:
            link.upstream_lost(f"the upstream {target} did not answer within {CONNECT_LIMIT:.0f} s", abort=True)
        except (OSError, ValueError) as error:  # SSLError and gaierror are OSErrors; ValueError: no name for TLS
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
            link.upstream_lost(f"the upstream {target} cannot be reached: {reason}", abort=True)


class Upstream(asyncio.Protocol):
    """A link's connection to the server."""

    def __init__(self, link: EdgeLink) -> None:
        self._link = link

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._link.upstream_up(cast(asyncio.Transport, transport))

    def data_received(self, data: bytes) -> None:
        self._link.upstream_said(data)

    def pause_writing(self) -> None:
        self._link.upstream_full(True)

    def resume_writing(self) -> None:
        self._link.upstream_full(False)

    def connection_lost(self, error: Exception | None) -> None:
        reason = "closed" if error is None else type(error).__name__
        self._link.upstream_lost(f"the upstream's connection ended: {reason}", abort=error is not None)


class EdgeLink(Link):
    """A client's connection and the one to the server that belongs to it."""

    host: EdgeHost

    def __init__(self, host: EdgeHost) -> None:
        super().__init__(host)
        self._relay: Relay | None = None
        self._up: asyncio.Transport | None = None
        self._up_paused = False
        self._gone: str | None = None
        """Why the server is gone; what it had said still goes to the client."""

    # ------------------------------------------------------------------------------------------ the client's side
    def _new_h2(self) -> ServerConnection:
        self._relay = Relay()
        self.host.connect(self)
        # It takes every order that an edge may give.
        return cast(ServerConnection, self._relay)

    def _hear_http1(self, data: bytes) -> None:
        self._write(error_response(400, "An edge passes HTTP/2 on, and nothing else."))
        self._refuse("HTTP/1.1 at an edge", linger=True)

    def _held_up(self) -> bool:
        # What is read has to go somewhere: not while the upstream is not there, or does not read.
        return self._relay is not None and (self._up is None or self._up_paused)

    def _understand(self, events: Sequence[WireEvent | StreamEnded | CutReached]) -> None:
        central, now = self.host.central, self.host.now()
        for event in events:
            if isinstance(event, PingReceived):
                central.ping_received(self.id, event.payload, now)
            elif isinstance(event, CallOpened):
                call = central.call_relayed(self.id, event.stream, now)
                if call is not None:
                    self.calls[event.stream] = call
                    self.host.streams[call] = (self, event.stream)
            elif isinstance(event, (CallReset, StreamEnded)):
                self._stream_is_over(event)
            elif isinstance(event, CutReached):
                if (call := self.calls.get(event.stream)) is not None:
                    central.call_cut(call, now)
            elif isinstance(event, ProtocolBroken):
                central.connection_closed(self.id, now, by="server", reason=event.reason)

    def _stream_is_over(self, event: CallReset | StreamEnded) -> None:
        call = self.calls.pop(event.stream, None)
        if call is None:
            return
        self.host.streams.pop(call, None)
        how = "END_STREAM" if event.error_code is None else f"RST_STREAM {event.error_code}"
        if isinstance(event, CallReset):
            self.host.central.call_closed(call, self.host.now(), reason=how)
        else:
            self.host.central.call_ended(call, self.host.now(), reason=how)

    def cut(self, stream: int, order: CutCall) -> None:
        if self._relay is not None and order.after_bytes is not None:
            self._relay.cut(stream, order.after_bytes)

    # ------------------------------------------------------------------------------------------ the server's side
    def upstream_up(self, transport: asyncio.Transport) -> None:
        """The connection to the server stands."""
        if self._closing:
            transport.abort()
            return
        transport.set_write_buffer_limits(high=HIGH_WATER)
        self._up = transport
        self.host.touched(self)
        self.host.flush()
        self._await_turn()

    def upstream_said(self, data: bytes) -> None:
        """The server sent something."""
        if self._closing or self._relay is None:
            return
        while True:
            events = self._relay.receive_upstream(data)
            self._understand(events)
            self.host.touched(self)
            self.host.flush()
            if not (events and isinstance(events[-1], CutReached)):
                return
            data = b""  # what follows the cut

    def upstream_full(self, full: bool) -> None:
        """The server does not read, or reads again."""
        self._up_paused = full
        self.host.touched(self)
        self.host.flush()
        self._await_turn()

    def upstream_lost(self, reason: str, *, abort: bool) -> None:
        """There is no server behind this link, or not any more."""
        self._up = None
        if self._closing or self._gone is not None:
            return
        self._gone = reason
        if abort and not (self._relay is not None and self._relay.to_client_bytes):
            self._end(abort=True)
        else:
            self.host.touched(self)
        self.host.flush()

    def _end(self, *, abort: bool) -> None:
        self.host.central.connection_closed(self.id, self.host.now(), by="server", reason=self._gone or "")
        self.close(abort=abort)

    def leave_upstream(self, *, abort: bool = False) -> None:
        """Close the connection to the server."""
        up, self._up = self._up, None
        if up is None:
            return
        if abort:
            if (raw := up.get_extra_info("socket")) is not None:
                reset(raw)
            up.abort()
        else:
            up.close()

    # ------------------------------------------------------------------------------------------ both
    @property
    def held_bytes(self) -> int:
        """None that we send ourselves."""
        return 0

    def write_out(self) -> None:
        super().write_out()
        relay = self._relay
        if relay is None or self._closing:
            return
        while self._up is not None and not self._up_paused and (data := relay.data_for_upstream(HIGH_WATER)):
            self._up.write(data)
        if self._up is not None:
            if relay.to_client_bytes > HIGH_WATER:
                self._up.pause_reading()
            elif not self._up.is_closing():
                self._up.resume_reading()
        if self._gone is not None and not relay.to_client_bytes:
            self._end(abort=False)

    @property
    def said_it_all(self) -> bool:
        return super().said_it_all and not (self._relay is not None and self._relay.holds_back)

    def close(self, *, abort: bool = False, linger: bool = False) -> None:
        if self._relay is not None and not abort:
            self._relay.say_the_last()
        super().close(abort=abort, linger=linger)
        self.leave_upstream(abort=abort)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.leave_upstream(abort=error is not None)


def target_of(address: str, **more: Any) -> Target:
    """A target out of `HOST:PORT`. Raises ValueError saying what is wrong with it."""
    host, separator, port = address.rpartition(":")
    if "/" in address:
        raise ValueError(f"{address!r} is no address: write HOST:PORT without a scheme; upstream TLS is said beside it")
    if not separator or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ValueError(f"{address!r} is no address: write HOST:PORT, such as 127.0.0.1:50051")
    return Target(host.strip("[]"), int(port), **more)
