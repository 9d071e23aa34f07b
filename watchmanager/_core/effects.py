"""What the machine wants done: one frozen dataclass a verb. A driver carries them out in order and decides nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from watchmanager._core.token import Credential
from watchmanager.errors import SequenceExpired


@dataclass(frozen=True, slots=True)
class FetchToken:
    """Ask the provider. `instead_of` is a token that is of no use any more: a cached one must differ from it."""

    instead_of: Credential | None


@dataclass(frozen=True, slots=True)
class OpenStream:
    """Open a call with this token in its metadata, send the subscribe message, then read until it ends."""

    attempt: int
    credential: Credential


@dataclass(frozen=True, slots=True)
class SendToken:
    """Send a refreshed token on the stream."""

    attempt: int
    credential: Credential


@dataclass(frozen=True, slots=True)
class SendPong:
    """Answer a PING event."""

    attempt: int
    id: str


@dataclass(frozen=True, slots=True)
class CloseStream:
    """Cancel the call. What is still in flight on it is not wanted."""

    attempt: int


@dataclass(frozen=True, slots=True)
class RenewChannel:
    """Drop the connection for the next stream: fresh DNS, proxy, sockets; `keepalive` multiplies the ping interval."""

    keepalive: float = 1.0


@dataclass(frozen=True, slots=True)
class FetchHistory:
    """Ask for one page: sequence > `after`, rising (None: from the oldest), or only the newest event if `newest`."""

    request: int
    after: int | None
    page_size: int
    newest: bool
    credential: Credential


@dataclass(frozen=True, slots=True)
class RenewHistory:
    """Ask history over new connections from now on, and forget the question under way: the peer behind the old ones is
    dead.
    """


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Everything up to `sequence` is processed."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Resync:
    """Call the user's resync and report with `Resynced`."""

    expired: SequenceExpired


@dataclass(frozen=True, slots=True)
class Entered:
    """A state was entered; for logs and callbacks."""

    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class Log:
    """One line for the logger of a concern."""

    concern: Literal["stream", "history", "auth", "checkpoint", "flow"]
    level: Literal["debug", "info", "warning", "error"]
    text: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The machine is at rest for good: closed when `error` is None, failed otherwise."""

    error: BaseException | None


Effect: TypeAlias = (
    FetchToken
    | OpenStream
    | SendToken
    | SendPong
    | CloseStream
    | RenewChannel
    | FetchHistory
    | RenewHistory
    | SaveCheckpoint
    | Resync
    | Entered
    | Log
    | Finished
)
