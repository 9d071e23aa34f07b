"""From a gRPC status to a cause and what to do about it (protocol 7.3: the real server's codes are not documented).

The code alone says little: in grpcio a refused connection, a bad certificate, a proxy's 407 and a dead peer are all
UNAVAILABLE, so the text is looked at too, loosely, because it is no API. What is not recognised stays a plain
`ConnectError` or `StreamError` and is retried.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Collection
from functools import lru_cache

from watchmanager._core.record import Record
from watchmanager.errors import (
    ConnectError,
    ConnectTimeout,
    EventTooLarge,
    NameResolutionError,
    NotGrpcError,
    PeerUnresponsive,
    PermissionDenied,
    ProxyError,
    ServerClosed,
    StreamError,
    StreamReset,
    TLSError,
    TooManyPings,
    TopicNotFound,
    Unauthenticated,
    UnsupportedServer,
    WatchError,
)

CODES = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
"""Names of gRPC status codes, by number."""
RETRIED = frozenset({408, 425, 429})
"""HTTP statuses that pass, besides all from 500 on."""


def passes(status: int) -> bool:
    """Whether it is worth asking history again, after an answer with an HTTP status that says nothing else."""
    return status in RETRIED or status >= 500


class Remedy(enum.Enum):
    """What to do about the end of a stream."""

    RETRY = "wait, then try again"
    TOKEN = "get a new token, then try again"
    STOP = "tell the user; trying again cannot help"


FATAL = frozenset({"INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED", "FAILED_PRECONDITION", "UNIMPLEMENTED"})
"""Codes that end the watch unless the user calls them transient."""


class Verdict(Record):
    """A cause and its remedy; `eager_pings` when the server complained about keepalive."""

    error: WatchError
    remedy: Remedy
    eager_pings: bool = False


def code_name(code: int) -> str:
    """The name of a status number; unknown numbers count as UNKNOWN, as gRPC says they must."""
    return CODES[code] if 0 <= code < len(CODES) else "UNKNOWN"


def classify(
    code: int,
    details: str,
    *,
    topic: str,
    attempt: int,
    connected: bool,
    transient: Collection[str] = (),
    cause: WatchError | None = None,
) -> Verdict:
    """The cause of a stream's end. `connected`: the subscribe message had been handed over; `transient`: names of codes
    the user wants retried although they are fatal by default. `cause`: why no connection came about, from whoever
    tried; it stands in for an UNAVAILABLE that only says that none did.
    """
    name = code_name(code)
    text = details.strip()[:300]
    if cause is not None and not connected and name in ("UNAVAILABLE", "UNKNOWN", "DEADLINE_EXCEEDED", "INTERNAL"):
        error = cause
    else:
        error = _error(name, text, topic, connected)
    error.code, error.details, error.topic, error.attempt = name, text, topic, attempt
    if name == "UNAUTHENTICATED":
        return Verdict(error, Remedy.TOKEN)
    if name in FATAL and name not in transient and not isinstance(error, (ConnectError, TooManyPings)):
        error.retryable = False
        return Verdict(error, Remedy.STOP)
    error.retryable = True
    return Verdict(error, Remedy.RETRY, eager_pings=isinstance(error, TooManyPings))


def _error(name: str, text: str, topic: str, connected: bool) -> WatchError:
    lower = text.lower()
    said = f": {text}" if text else ""
    if name in ("OK", "CANCELLED"):
        return ServerClosed(f"the server ended the stream{said or ' without an error'}")
    if name == "UNAUTHENTICATED":
        return Unauthenticated(f"the server refuses the token{said}")
    if name == "PERMISSION_DENIED":
        return PermissionDenied(f"the server does not permit watching {topic}{said}")
    if name == "NOT_FOUND":
        return TopicNotFound(f"the server knows no topic {topic}{said}")
    if name == "UNIMPLEMENTED":
        if "http" in lower:
            return NotGrpcError(f"what answers there does not speak gRPC{said}")
        return UnsupportedServer(f"the server does not offer the watch service{said}")
    if name in ("INVALID_ARGUMENT", "FAILED_PRECONDITION"):
        return UnsupportedServer(f"the server refuses the subscription to {topic} with {name}{said}")
    if name == "RESOURCE_EXHAUSTED" and "larger than max" in lower:
        return EventTooLarge(f"an event is larger than the stream may carry{said}")
    if "too_many_pings" in lower or "too many pings" in lower:
        return TooManyPings(f"the server finds the keepalive interval too short{said}")
    make = _recognised(lower)
    if make is ProxyError:
        status = re.search(r"response code (\d{3})", lower)
        return ProxyError(f"the proxy refused{said}", status=int(status[1]) if status else None)
    if make in _WHAT:
        return make(f"{_WHAT[make]}{said}")
    if not connected:
        return ConnectError(f"the server cannot be reached ({name}){said}")
    if name == "UNAVAILABLE" and make is StreamReset:
        return StreamReset(f"the stream was torn down{said}")
    return StreamError(f"the server ended the stream with {name}{said}")


@lru_cache(256)  # streams end with the same few texts again and again
def _recognised(text: str) -> type[WatchError]:
    """What a text speaks of; a plain StreamError when nothing in it is known."""
    return next((make for pattern, make in _TEXTS if pattern.search(text)), StreamError)


_TEXTS: tuple[tuple[re.Pattern[str], type[WatchError]], ...] = (
    (re.compile(r"ping timeout|keepalive (watchdog )?timeout|keepalive timed out"), PeerUnresponsive),
    (
        re.compile(r"errors? resolving|dns resolution|domain name not found|name or service not known"),
        NameResolutionError,
    ),
    (re.compile(r"http proxy|proxy.*response code|connect handshake with proxy"), ProxyError),
    (
        # Before TLSError: a handshake that went well and chose no HTTP/2 is about who answers, not about trust.
        re.compile(
            r"missing selected alpn|expected settings|failed parsing http/2|trying to connect an http1|invalid http2|"
            r"unexpected http status"
        ),
        NotGrpcError,
    ),
    (
        re.compile(r"hostname verification|certificate|ssl_error|tls handshake|handshake (read )?failed|tsi_"),
        TLSError,
    ),
    (re.compile(r"timed? ?out|timeout occurred|deadline"), ConnectTimeout),
    (re.compile(r"failed to connect|connection refused|no route to host|network is unreachable"), ConnectError),
    (re.compile(r"reset|socket closed|stream removed|connection|broken pipe|eof"), StreamReset),
)
_WHAT: dict[type[WatchError], str] = {
    PeerUnresponsive: "the server no longer answers pings",
    NameResolutionError: "the host name of the server has no address",
    TLSError: "no trusted TLS connection",
    NotGrpcError: "what answers there does not speak HTTP/2",
    ConnectTimeout: "the server did not answer in time",
    ConnectError: "the server cannot be reached",
}
