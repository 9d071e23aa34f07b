"""One connection of the control API: requests and their answers, or the journal as server-sent events."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import parse_qs

from mockcentral.servers import wsgi
from mockcentral.wire.http import HttpRequest
from mockcentral.wire.http1 import Http1Connection, Http1Error, error_response, sniff, tls_alert

if TYPE_CHECKING:
    from mockcentral.servers.control import ControlServer
    from mockcentral.world import World

_EVENT_STREAM = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
)

MAX_BEHIND = 64 * 1024 * 1024
"""Bytes a follower of the journal may be behind; one that does not read is cut off rather than kept in memory."""

SILENT_LIMIT = 30.0
"""Seconds a client has for its first request, and for each that it has begun."""


class ControlConnection(asyncio.Protocol):
    """One connection of the control API."""

    def __init__(self, server: ControlServer) -> None:
        self._control = server
        self._http = Http1Connection()
        self._first = bytearray()
        self._known = False
        self._transport: asyncio.Transport
        self._stop_listening: Callable[[], None] | None = None
        self._paused = False
        self._impatience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._control.connections.add(self)
        self._await_request()

    def connection_lost(self, error: Exception | None) -> None:
        self._control.connections.discard(self)
        self._be_patient()
        if self._stop_listening is not None:
            self._stop_listening()

    def close(self) -> None:
        self._transport.abort()

    def pause_writing(self) -> None:
        self._paused = True  # who does not read its answers may ask no further
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._control.loop.call_soon(self.data_received, b"")

    def _await_request(self) -> None:
        if self._impatience is None:
            self._impatience = self._control.loop.call_later(SILENT_LIMIT, self._transport.abort)

    def _be_patient(self) -> None:
        if self._impatience is not None:
            self._impatience.cancel()
            self._impatience = None

    def data_received(self, data: bytes) -> None:
        if self._stop_listening is not None:
            return  # an event stream: whatever the client says is too late
        if not self._known:
            self._first += data
            protocol = sniff(bytes(self._first[:32]))
            if protocol is None:
                return
            if protocol != "http/1.1":
                self._transport.write(
                    tls_alert() if protocol == "tls" else error_response(400, "the control API speaks HTTP/1.1")
                )
                self._transport.close()
                return
            self._known = True
            data = bytes(self._first)
        events = self._http.receive(data)
        if interim := self._http.data_to_send():
            self._transport.write(interim)
        for event in events:
            if isinstance(event, Http1Error):
                self._transport.write(event.response)
                self._transport.close()
                return
            self._answer(event)
        if not self._http.unfinished:
            self._be_patient()
        elif not self._transport.is_closing():
            self._await_request()

    def _answer(self, request: HttpRequest) -> None:
        if self._stream_events(request):
            return

        def failed(error: BaseException) -> None:
            context = {"message": "a view of the control API failed", "exception": error}
            self._control.loop.call_soon_threadsafe(self._control.loop.call_exception_handler, context)

        def work() -> None:
            from mockcentral.servers import control_api

            response = wsgi.call(
                control_api.application(),
                request.method,
                request.path,
                request.headers,
                request.body,
                host=self._control.address,
                environ_extra={control_api.WORLDS: self._control.worlds, control_api.CONTROL: self._control},
                on_error=failed,
            )
            with contextlib.suppress(RuntimeError):  # the loop was stopped meanwhile
                self._control.loop.call_soon_threadsafe(self._respond, response)

        if not self._control.submit(work):
            self._respond(wsgi.Response(503, (("retry-after", "1"),), b"too many requests are waiting\n"))

    def _respond(self, response: wsgi.Response) -> None:
        if self._transport.is_closing():
            return
        self._transport.write(self._http.respond(response.status, response.headers, response.body))
        if self._http.close_after:
            self._transport.close()
        elif not self._paused:
            self._control.loop.call_soon(self.data_received, b"")

    # ------------------------------------------------------------------------------------------ server-sent events
    def _stream_events(self, request: HttpRequest) -> bool:
        """Answer a journal request that accepts text/event-stream, record by record; False when it is another
        request.
        """
        path, _, query = request.path.partition("?")
        parts = path.strip("/").split("/")
        accept = next((value for name, value in request.headers if name == "accept"), "")
        if "text/event-stream" not in accept or request.method != "GET":
            return False
        if len(parts) != 4 or parts[:2] != ["v1", "worlds"] or parts[3] != "journal":
            return False
        world = self._control.worlds.get(parts[2])
        # Who comes back after a break says how far it had got; that counts for more than what it first asked for.
        last = next((value for name, value in request.headers if name == "last-event-id"), None)
        since = last or parse_qs(query).get("since", ["0"])[0]
        if world is None or not (since.isascii() and since.isdigit()):
            return False

        self._transport.write(_EVENT_STREAM)
        self._follow(world, int(since[:18]))
        return True

    def _follow(self, world: World, since: int) -> None:
        # Worlds and control connections share one loop, so nothing can be added between the past and the future.
        def write(record: dict[str, Any]) -> None:
            if self._transport.get_write_buffer_size() > MAX_BEHIND:
                self._transport.abort()
            if not self._transport.is_closing():
                line = json.dumps(record, separators=(",", ":"))
                self._transport.write(f"id: {record['n']}\ndata: {line}\n\n".encode())

        for record in world.journal(since):
            write(record)
        self._stop_listening = world.listen(write)
