"""What can go wrong, named after who can act on it. Imports nothing: an error carries facts, not frames.

WatchError
+-- ConfigError (ValueError)          you: an argument is wrong; raised before anything is opened
+-- ConnectError                      nobody yet: the server was not reached; retried
|   +-- NameResolutionError           the host name has no address
|   +-- ProxyError                    the proxy refused or is not one
|   +-- TLSError                      certificate, host name or handshake
|   +-- ConnectTimeout                nothing answered in time
|   +-- NotGrpcError                  something answered that is no gRPC server
+-- StreamError                       the server or the network ended the stream; retried
|   +-- PeerUnresponsive              pings unanswered, or silent for longer than its own rhythm
|   +-- StreamReset                   the connection or the stream was torn down
|   +-- ServerClosed                  an ordinary end: rotation, shutdown, maximum age
|   +-- TooManyPings                  our keepalive is more eager than the server allows
|   +-- UnsupportedServer             no such method, wrong arguments: retrying cannot help; fatal
+-- AuthError
|   +-- TokenProviderError            your token provider failed or gave no usable token; retried
|   +-- TokenExpired                  the token ended before a new one was to be had; retried
|   +-- Unauthenticated               the server refuses the token: a new one is tried, then backoff
|   +-- PermissionDenied              the server knows you and says no; fatal
+-- TopicError                        fatal
|   +-- TopicNotFound
|   +-- InvalidTopic                  (also a ConfigError)
+-- HistoryError                      the history service; retried for 408, 425, 429, 5xx, timeouts
|   +-- HistoryUnreachable            (also a ConnectError) it was not reached; retried
|   +-- HistoryProtocolError          its answer breaks the rules; fatal
+-- SequenceExpired                   events you have not seen are gone for good; `on_gone` decides
|   +-- SequenceRegressed             the server numbers lower than the position: a restored or another server
+-- DataError
|   +-- DecodeError                   bytes or JSON that are no event
|   +-- EventTooLarge                 larger than the receive limit; fetched from history instead
+-- CheckpointError
|   +-- CheckpointCorrupt             the file holds something else
|   +-- CheckpointLocked              another process uses it
|   +-- CheckpointWriteFailed         could not be written; the watch stops rather than go on unrecorded
+-- HandlerError                      your handler raised; the original is the `__cause__`
+-- LifecycleError                    you: used too early, too late, in the wrong loop or process
    +-- WatchClosed
    +-- WrongLoopError
    +-- ForkedProcessError
"""

from __future__ import annotations

from typing import Any


class WatchError(Exception):
    """Base of everything raised on purpose here. `retryable` says whether the watch itself tries again.

    Facts, None or empty where they do not apply: `code` (gRPC status name), `details` (the peer's words), `topic`,
    `sequence`, `attempt` (number of the stream), `retry_after` (seconds the peer asked us to wait).
    """

    retryable = False

    def __init__(
        self,
        message: str = "",
        *,
        code: str | None = None,
        details: str = "",
        topic: str = "",
        sequence: int | None = None,
        attempt: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.code = code
        self.details = details
        self.topic = topic
        self.sequence = sequence
        self.attempt = attempt

    def __reduce__(self) -> tuple[Any, ...]:
        # Not by calling the class with `args`, as exceptions are otherwise: some want more than a message.
        return _again, (type(self), self.args), self.__dict__


def _again(kind: type[WatchError], args: tuple[Any, ...]) -> WatchError:
    return kind.__new__(kind, *args)


class ConfigError(WatchError, ValueError):
    """An argument or a setting is wrong; the message says which and what to write instead."""


class ConnectError(WatchError):
    """The server was not reached. `diagnosis` is what a walk along the way to it found, step by step, once connecting
    failed several times in a row (see `watchmanager doctor`); None before.
    """

    retryable = True
    diagnosis: Any = None


class NameResolutionError(ConnectError):
    """The host name has no address."""


class ProxyError(ConnectError):
    """The proxy refused; `status` is its HTTP status when it gave one."""

    def __init__(
        self, message: str = "", *, status: int | None = None, code: str | None = None, details: str = ""
    ) -> None:
        super().__init__(message, code=code, details=details)
        self.status = status


class TLSError(ConnectError):
    """Certificate, host name or handshake."""


class ConnectTimeout(ConnectError):
    """Nothing answered in time."""


class NotGrpcError(ConnectError):
    """Something answered that does not speak gRPC: a web server, a TLS port asked in plain text or the reverse, a TLS
    peer that does not choose HTTP/2 (ALPN).
    """


class StreamError(WatchError):
    """The stream ended."""

    retryable = True


class PeerUnresponsive(StreamError):
    """The peer did not answer pings, or was silent for longer than its own rhythm allows."""


class StreamReset(StreamError):
    """The connection or the stream was torn down."""


class ServerClosed(StreamError):
    """An ordinary end by the server."""


class TooManyPings(StreamError):
    """The server finds our keepalive too eager; its interval is doubled for the next connection."""


class UnsupportedServer(StreamError):
    """The server does not know the watch service, or refuses how it is called."""

    retryable = False


class AuthError(WatchError):
    """About tokens and rights."""


class TokenProviderError(AuthError):
    """The token provider raised, timed out, or returned no usable token; the original is the cause. A provider of your
    own may raise it with `retry_after`: it is not asked again before.
    """

    retryable = True


class TokenExpired(AuthError):
    """The token ended before a new one was to be had."""

    retryable = True


class Unauthenticated(AuthError):
    """The server refuses the token."""

    retryable = True


class PermissionDenied(AuthError):
    """The server knows who asks and says no."""


class TopicError(WatchError):
    """About the WatchTopic."""


class TopicNotFound(TopicError):
    """The server has no such WatchTopic."""


class InvalidTopic(TopicError, ConfigError):
    """The name or selfLink cannot be a WatchTopic's."""


class HistoryError(WatchError):
    """The history service failed. `status` is the HTTP status, None when there was no answer."""

    def __init__(
        self,
        message: str = "",
        *,
        status: int | None = None,
        retry_after: float | None = None,
        retryable: bool = True,
        details: str = "",
    ) -> None:
        super().__init__(message, details=details, retry_after=retry_after)
        self.status = status
        self.retryable = retryable


class HistoryUnreachable(HistoryError, ConnectError):
    """No connection to the history service, or one that ended before any answer. Its `diagnosis` follows as that of any
    ConnectError.
    """


class HistoryProtocolError(HistoryError):
    """The answer of the history service breaks the rules it is read by: order, types, progress."""

    def __init__(self, message: str = "", *, status: int | None = None, details: str = "") -> None:
        super().__init__(message, status=status, retryable=False, details=details)


class SequenceExpired(WatchError):
    """Events after `requested` are gone from the server's history; `server_max` is the newest sequence it named, if
    any.
    """

    def __init__(self, requested: int, server_max: int | None, message: str = "") -> None:
        super().__init__(
            message
            or f"events after sequence {requested} are no longer kept by the server (newest: {server_max}); "
            "pass on_gone='skip', 'earliest' or a resync function to go on",
            sequence=requested,
        )
        self.requested = requested
        self.server_max = server_max


class SequenceRegressed(SequenceExpired):
    """The server's newest sequence is lower than the position: it was restored, renumbered, or is another server."""

    def __init__(self, requested: int, server_max: int | None) -> None:
        super().__init__(
            requested,
            server_max,
            f"the position is {requested}, but the server's newest event is {server_max}: "
            "it was restored or is another server; pass on_gone='skip', 'earliest' or a resync function to go on",
        )


class DataError(WatchError):
    """Data of the server cannot be used."""


class DecodeError(DataError):
    """Bytes or JSON that are no event."""


class EventTooLarge(DataError):
    """An event is larger than the receive limit of the stream; it is fetched from history instead."""

    retryable = True


class CheckpointError(WatchError):
    """The checkpoint store failed."""


class CheckpointCorrupt(CheckpointError):
    """The store holds something that is no checkpoint."""


class CheckpointLocked(CheckpointError):
    """Another process (or another watch of this one) uses the checkpoint; `pid` when it is known."""

    def __init__(self, message: str = "", *, pid: int | None = None) -> None:
        super().__init__(message)
        self.pid = pid


class CheckpointWriteFailed(CheckpointError):
    """The position could not be written."""


class HandlerError(WatchError):
    """A handler raised; `event` is what it was given, the original exception is the `__cause__`."""

    def __init__(self, message: str, event: object) -> None:
        super().__init__(message, sequence=getattr(event, "sequence", None))
        self.event = event


class LifecycleError(WatchError):
    """Used too early, too late, or from the wrong place."""


class WatchClosed(LifecycleError):
    """The watch or the manager is closed."""


class WrongLoopError(LifecycleError):
    """An asyncio object was used from another event loop than the one it was started in."""


class ForkedProcessError(LifecycleError):
    """The process was forked after the manager was started; make a new manager in the child."""
