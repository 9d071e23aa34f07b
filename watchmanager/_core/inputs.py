"""What the machine is told: one frozen record for each thing that can happen to a watch.

Inputs born on a stream carry the number of its attempt; those of history carry the number of the request. The machine
drops what belongs to an attempt or a request it no longer waits for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from watchmanager._core.record import Record
from watchmanager._core.token import Credential
from watchmanager.errors import DecodeError, WatchError
from watchmanager.events import Event


class Start(Record):
    """Begin. `position` is the sequence to go on after; None fixes it at the newest event, or at the oldest kept.
    `stored`: it came out of the store, so it need not be saved.
    """

    position: int | None = None
    earliest: bool = False
    stored: bool = False


class Tick(Record):
    """Time passed; due timers fire. Early or late is harmless."""


class TokenFetched(Record):
    """The provider answered. `expires_in` is the remaining life in seconds, None when nobody knows it."""

    credential: Credential
    expires_in: float | None


class TokenFailed(Record):
    """The provider failed, or its token is of no use."""

    error: WatchError


class StreamOpened(Record):
    """The call stands and the subscribe message was handed over. That the server read it is not known yet."""

    attempt: int


class EventReceived(Record):
    """An event came over the stream."""

    attempt: int
    event: Event


class PingReceived(Record):
    """A PING event came over the stream; it wants its id back."""

    attempt: int
    id: str


class StreamBroken(Record):
    """A message came that is no event; the stream still stands."""

    attempt: int
    error: WatchError


class StreamEnded(Record):
    """The call is over: gRPC status number and text, what the driver knows better: why it never got through, and the
    seconds the server asked us to wait.
    """

    attempt: int
    code: int
    details: str = ""
    cause: WatchError | None = None
    retry_after: float | None = None


class Poison(Record):
    """An event of history that cannot be read, except for where it is.

    Not even its number can be read where `before` is given: then it stands behind the event `sequence` on its page (0:
    behind none), before the event `before` (-1: before none), and `key` tells it from others of that kind, of which
    `count` stand in one place.
    """

    sequence: int
    error: DecodeError
    before: int | None = None
    key: str = ""
    count: int = 1


class HistoryFetched(Record):
    """A page of history, in the order the server gave it; `poison` is what of it cannot be read."""

    request: int
    events: Sequence[Event]
    poison: Sequence[Poison] = ()


class HistoryGone(Record):
    """410: what was asked for is no longer kept; `server_max` is the newest sequence, None if it was not told."""

    request: int
    server_max: int | None


class HistoryFailed(Record):
    """No page: the error tells status, whether to retry and how long to wait at least."""

    request: int
    error: WatchError


class Drained(Record):
    """The consumer took items while the machine waited for room (`Machine.starved`)."""


class Resynced(Record):
    """The user's resync is done; go on after `position`, or where the server said when None."""

    position: int | None = None


class Sought(Record):
    """The user wants to go on after `position`, wherever the watch is."""

    position: int


class CheckpointSaved(Record):
    """The store has it."""

    sequence: int


class CheckpointFailed(Record):
    """The store failed to save."""

    sequence: int
    error: WatchError


class Crashed(Record):
    """The driver cannot go on: a user callback raised, or a bug."""

    error: BaseException


class Close(Record):
    """The user is done."""


Input: TypeAlias = (
    Start
    | Tick
    | TokenFetched
    | TokenFailed
    | StreamOpened
    | EventReceived
    | PingReceived
    | StreamBroken
    | StreamEnded
    | HistoryFetched
    | HistoryGone
    | HistoryFailed
    | Drained
    | Resynced
    | Sought
    | CheckpointSaved
    | CheckpointFailed
    | Crashed
    | Close
)
