"""What a watch tells about itself: one frozen picture."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class State(enum.Enum):
    """Where a watch is."""

    IDLE = "IDLE"
    CONNECTING = "CONNECTING"
    CATCHING_UP = "CATCHING_UP"
    LIVE = "LIVE"
    SPILLING = "SPILLING"
    BACKING_OFF = "BACKING_OFF"
    FAILED = "FAILED"
    CLOSED = "CLOSED"

    def __repr__(self) -> str:
        return f"State.{self.name}"


@dataclass(frozen=True, slots=True)
class WatchStatus:
    """A picture of a watch. Times are seconds since the epoch, None when it has not happened (or is not planned).

    `why` is a sentence about the present state. `proven_alive_at` is when the server application last said anything on
    the stream: an open connection proves nothing. Sequences: `received` (highest that came in), `delivered` (last
    handed out), `committed` (restart point), `server_max` (highest known to exist). `lag` is the number of items
    waiting for the consumer. `recovered` counts events that came late, `duplicates` copies that were dropped.
    `dead_peer_bound` is within how many seconds a silent peer is noticed while a stream stands. `keepalive` is the ping
    interval in use. `handed_out` counts the items the consumer got; `paused` says that it gets none for now.
    `history_fails`: the last question to history was not answered with events, and it is asked again.
    """

    topic: str
    state: State
    since: float
    why: str
    attempt: int
    proven_alive_at: float | None
    connected_at: float | None
    next_retry_at: float | None
    token_expires_at: float | None
    last_error: BaseException | None
    received: int
    delivered: int | None
    committed: int | None
    server_max: int
    lag: int
    buffered_bytes: int
    events: int
    duplicates: int
    recovered: int
    gaps: int
    reconnects: int
    audits: int
    pings: int
    ping_interval: float | None
    keepalive: float
    dead_peer_bound: float
    handed_out: int = 0
    paused: bool = False
    history_fails: bool = False

    @property
    def healthy(self) -> bool:
        """Everything the server publishes is on its way: over a stream that is LIVE, or, until then and while too much
        waits for the consumer (CATCHING_UP, SPILLING), out of a history that answers.
        """
        if self.state in (State.CATCHING_UP, State.SPILLING):
            return not self.history_fails
        return self.state is State.LIVE
