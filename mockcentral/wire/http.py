"""What HTTP/1.1 and HTTP/2 have in common here: a complete request, and headers fit to answer it.

Knows no bytes on the wire; `http1` and `grpc` do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

MAX_BODY = 8 * 1024 * 1024
"""Bound for a request body; the largest honest one is a resource with a whole API definition in it."""

_CONNECTION_HEADERS = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "http2-settings")
)
_FORBIDDEN = str.maketrans({"\r": " ", "\n": " ", "\0": " "})


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """One complete HTTP request.

    `path` is the raw target with its query. Header names are lower case, values are latin-1 text, which is what WSGI
    calls native strings; HTTP/2's `:authority` is found as `host`. `stream` is 0 on HTTP/1.1.
    """

    stream: int
    method: str
    path: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def reason_phrase(status: int) -> str:
    """The usual words for a status; "Unknown" for one nobody registered."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def response_headers(headers: Iterable[tuple[str, str]], status: int, body: bytes) -> list[tuple[bytes, bytes]]:
    """Headers as bytes: lower-case names, no per-connection ones, no line breaks, one content-length."""
    result = []
    has_length = False
    for name, value in headers:
        name = name.lower()
        if name in _CONNECTION_HEADERS:
            continue
        if name == "content-length":
            if has_length:
                continue
            has_length = True
        result.append((header_bytes(name), header_bytes(value).strip()))
    if not has_length and status >= 200 and status not in (204, 304):
        result.append((b"content-length", b"%d" % len(body)))
    return result


def header_bytes(text: str) -> bytes:
    """A header's bytes: latin-1 where it can, else UTF-8; line breaks become spaces so nothing can be smuggled in."""
    text = text.translate(_FORBIDDEN)
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
