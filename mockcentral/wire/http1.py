"""The server side of one HTTP/1.x connection, and telling protocols apart by their first bytes.

Knows HTTP/1.1 through h11; refuses to know what a request asks for. Requests come one at a time: the next of a pipeline
is reported by the `receive(b"")` that follows a `respond`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

import h11

from mockcentral.wire.frames import PREFACE
from mockcentral.wire.http import MAX_BODY, HttpRequest, reason_phrase, response_headers

__all__ = ["Http1Connection", "Http1Error", "HttpRequest", "Protocol", "error_response", "sniff", "tls_alert"]

MAX_HEAD = 64 * 1024
"""Bound for a request line with its headers."""

MAX_AHEAD = 128 * 1024
"""Bound for what a client may send before its request was answered."""

_SLICE = 16 * 1024
"""h11 looks at its limit only when it needs more data, so it gets big reads in pieces."""

_METHOD = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ-")
_LONGEST_METHOD = 20
_H2_START = PREFACE[:14]

Protocol: TypeAlias = Literal["h2", "http/1.1", "tls", "unknown"]


def sniff(first_bytes: bytes) -> Protocol | None:
    """The protocol a client speaks, by the first bytes it sent; None when more are needed (at most 21)."""
    if not first_bytes:
        return None
    if first_bytes[0] == 0x16:  # a TLS handshake record, version 3.0 to 3.4
        if len(first_bytes) < 3:
            return None if first_bytes[1:2] in (b"", b"\x03") else "unknown"
        return "tls" if first_bytes[1] == 3 and first_bytes[2] <= 4 else "unknown"
    if first_bytes.startswith(_H2_START):
        return "h2"
    if _H2_START.startswith(first_bytes):
        return None  # "P" may still become POST
    for index, byte in enumerate(first_bytes[: _LONGEST_METHOD + 1]):
        if byte == 0x20 and index:
            return "http/1.1"
        if byte not in _METHOD:
            return "unknown"
    return None if len(first_bytes) <= _LONGEST_METHOD else "unknown"


def tls_alert() -> bytes:
    """A fatal `protocol_version` alert: what a TLS client on a plain port understands (RFC 8446 6)."""
    return b"\x15\x03\x01\x00\x02\x02\x46"


def error_response(status: int, text: str) -> bytes:
    """A whole HTTP/1.1 response with a one-line body, after which the connection closes."""
    body = text.encode("utf-8", "replace") + b"\n"
    head = (
        f"HTTP/1.1 {status} {reason_phrase(status)}\r\n"
        "content-type: text/plain; charset=utf-8\r\n"
        f"content-length: {len(body)}\r\n"
        "connection: close\r\n\r\n"
    )
    return head.encode("ascii") + body


@dataclass(frozen=True, slots=True)
class Http1Error:
    """The client sent something that cannot be answered properly. Write `response` (it may be empty) and close."""

    status: int
    reason: str
    response: bytes


class Http1Connection:
    """Bytes in, requests out; `respond` gives the bytes of an answer.

    The loop of a driver:

        events = connection.receive(data)           # at most one request is outstanding
        write(connection.data_to_send())            # "100 Continue" for those who wait for it
        for event in events:
            write(connection.respond(...))
            if connection.close_after: close, else go on with receive(b"")
    """

    def __init__(self, *, max_body: int = MAX_BODY, max_head: int = MAX_HEAD) -> None:
        self._h11 = h11.Connection(h11.SERVER, max_incomplete_event_size=max_head)
        self._max_body = max_body
        self._request: h11.Request | None = None
        self._body = bytearray()
        self._waiting = False
        """A request was reported and not answered."""
        self._ahead = bytearray()
        self._out = b""
        self._ambiguous = False
        """The request says in two ways where it ends."""
        self._closed = False

    @property
    def close_after(self) -> bool:
        """True when the connection must be closed once what was answered is written."""
        return self._closed

    @property
    def waiting(self) -> bool:
        """True between a request and its `respond`; a driver may stop reading meanwhile."""
        return self._waiting

    @property
    def unfinished(self) -> bool:
        """True while a request has begun to arrive and is not complete."""
        if self._waiting or self._closed:
            return False
        return self._h11.their_state is h11.SEND_BODY or bool(self._ahead) or bool(self._h11.trailing_data[0])

    @property
    def half_read(self) -> int:
        """Bytes of a request body that has not ended."""
        return len(self._body)

    def drop_half_read(self) -> None:
        """Let go of it; for a connection that is about to end."""
        self._body.clear()

    def receive(self, data: bytes) -> list[HttpRequest | Http1Error]:
        """The request completed by `data`, or the reason there will be none. Never raises.

        While a request waits for its answer nothing is returned and up to 128 KiB are kept for later; a client that
        sends more is cut off after the answer.
        """
        if self._closed:
            return []
        self._ahead += data
        if self._waiting:
            if len(self._ahead) > MAX_AHEAD:
                self._ahead.clear()
                self._closed = True
            return []
        try:
            return self._advance()
        except h11.RemoteProtocolError as error:
            status = error.error_status_hint or 400
            if status == 431:
                return [self._fail(431, "The request head is too long.")]
            return [self._fail(status, f"Bad request: {_one_line(str(error))}.")]

    def respond(self, status: int, headers: Iterable[tuple[str, str]] = (), body: bytes = b"") -> bytes:
        """The bytes that answer the request reported last. b"" when there is none."""
        if not self._waiting or self._request is None:
            return b""
        method = self._request.method
        self._waiting = False
        self._request = None
        if not 200 <= status <= 999:
            status = 500
        try:
            head = response_headers(headers, status, body)
            if self._closed:
                head.append((b"connection", b"close"))
            answer = h11.Response(status_code=status, headers=head, reason=reason_phrase(status))
            pieces = [self._h11.send(answer)]
            if body and method != b"HEAD" and status not in (204, 304):
                pieces.append(self._h11.send(h11.Data(data=body)))
            pieces.append(self._h11.send(h11.EndOfMessage()))
        except h11.LocalProtocolError as error:
            # A header that cannot be written, from the application or a scenario: say so instead of falling over.
            self._closed = True
            return error_response(500, f"The answer cannot be written: {_one_line(str(error))}.")
        if self._closed or self._h11.our_state is not h11.DONE or self._h11.their_state is not h11.DONE:
            self._closed = True
        else:
            self._h11.start_next_cycle()
        return b"".join(pieces)

    def data_to_send(self) -> bytes:
        """Interim answers to write now: "100 Continue" where a client waits for it before it sends a body."""
        data, self._out = self._out, b""
        return data

    def _advance(self) -> list[HttpRequest | Http1Error]:
        while True:
            event = self._h11.next_event()
            if event is h11.NEED_DATA:
                if self._h11.they_are_waiting_for_100_continue:
                    self._out += self._h11.send(h11.InformationalResponse(status_code=100, headers=[]))
                if not self._ahead:
                    return []
                self._h11.receive_data(bytes(self._ahead[:_SLICE]))
                del self._ahead[:_SLICE]
            elif isinstance(event, h11.Request):
                self._request = event
                if not event.http_version.startswith(b"1."):
                    version = event.http_version.decode("ascii")
                    return [self._fail(505, f"HTTP/{version} is not spoken here: write HTTP/1.1.")]
                names = {name for name, _ in event.headers}
                # RFC 9112 6.1: somebody on the way may read it otherwise, so it is the last one here.
                self._ambiguous = names >= {b"content-length", b"transfer-encoding"}
                for name, value in event.headers:
                    if name == b"content-length" and int(value) > self._max_body:
                        return [self._too_long()]
            elif isinstance(event, h11.Data):
                self._body += event.data
                if len(self._body) > self._max_body:
                    return [self._too_long()]
            elif isinstance(event, h11.EndOfMessage):
                return [self._complete()]
            else:
                return []  # PAUSED after a protocol switch, or the end: nothing more will come

    def _complete(self) -> HttpRequest:
        assert self._request is not None
        request = self._request
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.headers)
        body = bytes(self._body)
        self._body.clear()
        self._waiting = True
        if self._ambiguous:
            self._ahead.clear()
            self._closed = True
        return HttpRequest(0, request.method.decode("ascii"), request.target.decode("latin-1"), headers, body)

    def _too_long(self) -> Http1Error:
        return self._fail(413, f"At most {self._max_body} bytes, please.")

    def _fail(self, status: int, text: str) -> Http1Error:
        self._closed = True
        self._ahead.clear()
        self._body.clear()
        return Http1Error(status, text, error_response(status, text))


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 120 else text[:117] + "..."
