"""Running a WSGI application for one complete request, without a server around it.

Knows PEP 3333 and nothing of sockets or any framework; somebody else has read the request and will write the
response.
"""

from __future__ import annotations

import functools
import io
import threading
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

T = TypeVar("T")
_ExcInfo: TypeAlias = "tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None]"


@dataclass(frozen=True, slots=True)
class Response:
    """What the application answered; header names as it wrote them."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


_BUILDING = threading.Lock()


def built_once(build: Callable[[], T]) -> Callable[[], T]:
    """`build`, called by whoever needs its result first. One thread builds at a time: routes are compiled, and Python
    3.11 cannot compile two syntax trees at once (SystemError: AST constructor recursion depth mismatch).
    """
    cached = functools.cache(build)

    @functools.wraps(build)
    def get() -> T:
        with _BUILDING:
            return cached()

    return get


def call(
    app: WSGIApplication,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    scheme: str = "http",
    host: str = "127.0.0.1",
    remote: str = "",
    protocol: str = "HTTP/1.1",
    environ_extra: Mapping[str, Any] | None = None,
    on_error: Callable[[BaseException], None] | None = None,
) -> Response:
    """Run `app` for one request and return its whole answer.

    `target` is the raw request target; `host` ("name" or "name:port") is where the server listens, `remote` the address
    of the client. An exception in the app goes to `on_error` and becomes a 500 with one line for the client; only what
    is no Exception (KeyboardInterrupt) passes through.
    """
    errors = io.StringIO()
    environ = make_environ(
        method, target, headers, body, scheme=scheme, host=host, remote=remote, protocol=protocol, errors=errors
    )
    environ.update(environ_extra or {})
    started: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(
        status: str, response_headers: list[tuple[str, str]], exc_info: _ExcInfo | None = None, /
    ) -> Callable[[bytes], object]:
        # Nothing has gone out yet, so replacing an earlier start is what PEP 3333 allows with exc_info.
        if started and exc_info is None:
            raise AssertionError("start_response was called twice without exc_info")
        started[:] = [(status, list(response_headers))]
        return chunks.append

    try:
        result = app(environ, start_response)
        try:
            chunks.extend(result)
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        if not started:
            raise AssertionError("the application never called start_response")
        status, answered = started[0]
        return Response(int(status.split(" ", 1)[0]), tuple(answered), b"".join(chunks))
    except Exception as error:
        if on_error is not None:
            on_error(error)
        headers_500 = (("Content-Type", "text/plain; charset=utf-8"),)
        return Response(500, headers_500, b"The fake failed to answer this request; its log says why.\n")


def make_environ(
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    scheme: str,
    host: str,
    remote: str,
    protocol: str,
    errors: io.StringIO,
) -> dict[str, Any]:
    """The environ of PEP 3333: text values are bytes in latin-1 disguise."""
    if "://" in target[:12] and not target.startswith("/"):
        # Absolute form, as a client sends it to a proxy (RFC 9112 3.2.2): only path and query are ours.
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    path, _, query = target.partition("?")
    name, port = _split_host(host, "443" if scheme == "https" else "80")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(_native(path).encode("latin-1")).decode("latin-1"),
        "QUERY_STRING": _native(query),
        "RAW_URI": _native(target),
        "REQUEST_URI": _native(target),
        "SERVER_NAME": name,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": protocol,
        "REMOTE_ADDR": remote,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": errors,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "wsgi.input_terminated": True,
        "CONTENT_LENGTH": str(len(body)),
    }
    for header, value in headers:
        if "_" in header:
            continue  # X_Tenant and X-Tenant would be the same key: the usual servers drop the former
        key = header.upper().replace("-", "_")
        if key == "CONTENT_LENGTH" or key == "TRANSFER_ENCODING":
            continue  # the body is complete and its length is known
        if key != "CONTENT_TYPE":
            key = "HTTP_" + key
        value = _native(value)
        if key in environ and key != "CONTENT_TYPE":
            value = environ[key] + ("; " if key == "HTTP_COOKIE" else ",") + value
        environ[key] = value
    return environ


def _native(text: str) -> str:
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("latin-1")
    return text


def _split_host(host: str, default_port: str) -> tuple[str, str]:
    if host.startswith("["):  # an IPv6 literal
        name, _, rest = host[1:].partition("]")
        return name, rest.lstrip(":") or default_port
    name, _, port = host.rpartition(":")
    return (name, port) if name and port.isdigit() else (host, default_port)
