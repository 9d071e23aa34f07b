"""What the machine wants done: one frozen record a verb. A driver carries them out in order and decides nothing."""

from __future__ import annotations

from typing import Literal, TypeAlias

from watchmanager._core.record import Record
from watchmanager._core.status import State
from watchmanager._core.token import Credential
from watchmanager.errors import SequenceExpired


class FetchToken(Record):
    """Ask the provider. `instead_of` is a token that is of no use any more: a cached one must differ from it."""

    instead_of: Credential | None


class OpenStream(Record):
    """Open a call with this token in its metadata, send the subscribe message, then read until it ends."""

    attempt: int
    credential: Credential


class SendToken(Record):
    """Send a refreshed token on the stream."""

    attempt: int
    credential: Credential


class SendPong(Record):
    """Answer a PING event."""

    attempt: int
    id: str


class CloseStream(Record):
    """Cancel the call. What is still in flight on it is not wanted."""

    attempt: int


class RenewChannel(Record):
    """The next stream gets another connection than the newest one had: fresh DNS, proxy, sockets. `slower`: the server
    finds PINGs as frequent as there too many.
    """

    slower: bool = False


class FetchHistory(Record):
    """Ask for one page: sequence > `after`, rising (None: from the oldest), or only the newest event if `newest`."""

    request: int
    after: int | None
    page_size: int
    newest: bool
    credential: Credential


class RenewHistory(Record):
    """Ask history over new connections from now on, and forget the question under way: the peer behind the old ones is
    dead.
    """


class SaveCheckpoint(Record):
    """Everything up to `sequence` is processed."""

    sequence: int


class Resync(Record):
    """Call the user's resync and report with `Resynced`."""

    expired: SequenceExpired


class Entered(Record):
    """A state was entered; for logs and callbacks."""

    state: State
    reason: str


class Log(Record):
    """One line for the logger of a concern."""

    concern: Literal["stream", "history", "auth", "checkpoint", "flow"]
    level: Literal["debug", "info", "warning", "error"]
    text: str


class Finished(Record):
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
