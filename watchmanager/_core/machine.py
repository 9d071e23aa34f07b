"""The rules of one watch.

How a stream and a history become one sequence without a hole
-------------------------------------------------------------
The server does not acknowledge a subscription, so there is no moment at which "everything from here on comes over the
stream" is known. The order of things makes up for it:

    position     fixed before the first stream: the checkpoint, a number, or the newest event there is (asked for)
    subscribe    the stream opens; what it brings is buffered, PINGs are answered at once
    catch up     history is read by keyset (`sequence > last`, always the first page) until a page is empty; it is
                 emitted
    confirm      a page asked for *after* the server's first word on this stream is empty: whatever was published
                 before that word is emitted, whatever is published later comes over the stream
    merge        the buffer is emitted in order, what history had already brought is dropped
    LIVE         events are emitted as they come

If the server says nothing, a grace period stands in for its first word; the word is then caught up with by an audit. An
audit is the same reading of history while LIVE: it must bring nothing new. What it does bring is emitted as
`recovered`, or, when it is newer than everything the stream brought, becomes a debt of the stream: a stream that does
not pay is replaced.

What holds the parts together
-----------------------------
* Inputs of a stream carry its attempt number, answers of history their request number; others are dropped.
* One request to history at a time. Its answer is used even when the stream it was asked for is gone: progress is
  progress.
* `verified` is the sequence up to which history has confirmed that nothing is missing. A rejoin starts there, or at the
  highest sequence when too much came since.
* Memory is bounded: history is read only while the outbox is at most half full (`starved` otherwise), and a stream that
  brings more than fits is closed ("spilled"): history still has it all.
* The position moves forward on purpose only. 410 and a server that counts lower than before are the user's decision.
* Tokens: one request at a time, whoever needs it; a new token goes to the stream when one is open. One that comes too
  late, when the old one has ended, gets a stream of its own: the old stream, which the server may have let stand, is
  closed when the new one is open. Only then are there two for a moment, and only in this order.

Nothing here knows what time it is (`now` is given and rises), what a socket is, or how bytes become events.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from operator import attrgetter
from random import Random
from typing import Any, Final, Literal

from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core import timers
from watchmanager._core.backoff import Pacer
from watchmanager._core.classify import Remedy, classify
from watchmanager._core.effects import Effect
from watchmanager._core.inputs import Input, Poison
from watchmanager._core.outbox import Outbox
from watchmanager._core.status import State, WatchStatus
from watchmanager._core.timers import Timer, Timers
from watchmanager._core.token import Credential, refresh_after, retry_after
from watchmanager._core.unnumbered import WIDEST, Unnumbered, Way, is_unnumbered, last_number
from watchmanager._core.watermark import Watermark
from watchmanager.decisions import Decision, Raise, Retry, Stop
from watchmanager.errors import (
    ConfigError,
    ConnectTimeout,
    DecodeError,
    EventTooLarge,
    HandlerError,
    HistoryError,
    HistoryProtocolError,
    PeerUnresponsive,
    SequenceExpired,
    SequenceRegressed,
    TokenExpired,
    Unauthenticated,
    WatchError,
)
from watchmanager.events import Event, Gap, GapReason, Item
from watchmanager.policy import Backoff, Buffer, History, Keepalive

# Members of enums have names of their own here and below: found through its class, each of them takes Python 3.11 as
# long as the call of a function.
_IDLE: Final = State.IDLE
_CONNECTING: Final = State.CONNECTING
_CATCHING_UP: Final = State.CATCHING_UP
_LIVE: Final = State.LIVE
_SPILLING: Final = State.SPILLING
_BACKING_OFF: Final = State.BACKING_OFF
_FAILED: Final = State.FAILED
_CLOSED: Final = State.CLOSED
NONE: Final[tuple[Effect, ...]] = ()
Effects = Sequence[Effect]

CONNECT_FAILURES_PER_CHANNEL = 3
"""After so many streams that never stood the channel is renewed: fresh DNS, proxy, sockets."""
STUCK_AFTER = 5.0
"""A stream whose first word could not leave for so long, and that heard nothing after it, is on a connection that
nobody reads: the next one gets another.
"""
OWED_AFTER = 10.0
"""A stream gets this long to bring what history has shown."""
REGRESSION_CHECKS = 3
"""History may lag behind the stream for a moment; only so many answers in a row, `REGRESSION_PAUSE` apart, prove a
regression.
"""
REGRESSION_PAUSE = 2.0
DOUBT_PAUSE = 30.0
YOUNG_REFUSAL = 1.0
"""A token refused on a stream younger than this gets no immediate retry, or the retries could go round without a pause.
"""
CHECKPOINT_TRIES = 4
TOKEN_MARGIN = 0.5
"""A token with less life than this is not worth opening a stream with."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a machine needs to know; see `policy` for the groups. `on_gone` "ask" hands the decision to a resync
    callback.
    """

    topic: str
    backoff: Backoff = field(default_factory=Backoff)
    keepalive: Keepalive = field(default_factory=Keepalive)
    buffer: Buffer = field(default_factory=Buffer)
    history: History | None = field(default_factory=History)
    on_gone: Literal["raise", "skip", "earliest", "ask"] = "raise"
    on_poison: Literal["raise", "skip"] = "raise"
    on_error: Callable[[WatchError, int], Decision | None] | None = None
    transient: frozenset[str] = frozenset()
    connect_timeout: float = 20.0
    subscribe_grace: float = 1.0
    auth_attempts: int | None = 20
    checkpointing: bool = False
    checkpoint_interval: float = 1.0
    checkpoint_every: int = 100


class _Stream(enum.Enum):
    NONE = "no stream"
    OPENING = "opening"
    OPEN = "open"


_NO_STREAM: Final = _Stream.NONE
_OPENING: Final = _Stream.OPENING
_OPEN: Final = _Stream.OPEN


class _Asked(enum.Enum):
    """What history was asked, and therefore what its answer means."""

    POSITION = "where to begin"
    CATCH_UP = "what is missing"
    REGRESSION = "whether the server counts lower than we do"
    GONE = "where the server is, after a 410 that did not say"
    AUDIT = "whether anything was missed"
    BEHIND = "whether anything is behind what has no number"

    # As in `Timer`.
    __hash__ = object.__hash__


_ASKED_POSITION: Final = _Asked.POSITION
_ASKED_CATCH_UP: Final = _Asked.CATCH_UP
_ASKED_REGRESSION: Final = _Asked.REGRESSION
_ASKED_GONE: Final = _Asked.GONE
_ASKED_AUDIT: Final = _Asked.AUDIT
_ASKED_BEHIND: Final = _Asked.BEHIND

_NEWEST = frozenset({_ASKED_POSITION, _ASKED_REGRESSION, _ASKED_GONE, _ASKED_BEHIND})
"""Questions for the newest event alone."""


class Machine:
    """One watch: tell it what happened, do what it asks, wake it at `deadline()`; take items from `outbox`."""

    # With more than 30 attributes each machine would have a dict of its own, and in that Python 3.11 finds neither them
    # nor the methods quickly.
    __slots__ = (
        "_alive_at",
        "_asked",
        "_attempts",
        "_audit_gapped",
        "_audit_until",
        "_audits",
        "_awaiting_word",
        "_behind",
        "_buffer",
        "_buffer_bytes",
        "_checkpointing",
        "_connect_failures",
        "_contiguous",
        "_credential",
        "_credential_expires",
        "_cursor",
        "_delivered",
        "_do",
        "_doubted_at",
        "_earliest",
        "_effects",
        "_forgotten",
        "_gap_after",
        "_gaps",
        "_graced",
        "_heard",
        "_history_pacer",
        "_history_refusals",
        "_history_waits",
        "_in_flight",
        "_known",
        "_last_error",
        "_moved_after",
        "_opened_at",
        "_opens",
        "_overdue",
        "_owed",
        "_pacer",
        "_page_size",
        "_ping_at",
        "_ping_gaps",
        "_pings",
        "_position_is_fresh",
        "_quick_bytes",
        "_quick_events",
        "_random",
        "_refusals",
        "_regression_checked",
        "_regression_seen",
        "_reopen_when_drained",
        "_request",
        "_resyncing",
        "_save_failures",
        "_saved",
        "_saving",
        "_sent",
        "_server_max",
        "_settings",
        "_signed",
        "_since",
        "_since_verified",
        "_sought",
        "_stream",
        "_stuck",
        "_successor",
        "_ticket",
        "_timers",
        "_token_asked",
        "_token_failures",
        "_token_pacer",
        "_troubles",
        "_unconfirmed",
        "_unnumbered",
        "_unsaved",
        "_useless",
        "_verified",
        "_why",
        "attempt",
        "blocked",
        "confirming",
        "error",
        "ever_live",
        "low_water",
        "outbox",
        "starved",
        "state",
        "watermark",
    )

    def __init__(self, settings: Settings, random: Random) -> None:
        self._settings = settings
        self._random = random
        self.state = _IDLE
        self.watermark = Watermark()
        self.outbox = Outbox(settings.buffer.recent, self.watermark)
        self.error: BaseException | None = None
        """Why the machine failed; the consumer gets it after what is still in the outbox."""
        self.starved = False
        """History waits for room: tell `Drained` once the outbox is down to `low_water`."""
        self.blocked = False
        """The outbox is full and nothing may be spilled: do not read on until this is False again."""
        self.confirming = settings.checkpointing and settings.history is not None and settings.history.confirm
        """The restart point moves only as far as history has confirmed."""
        self.low_water = settings.buffer.max_events // 2
        # Looked at for every event, so not looked up each time.
        self._quick_events = settings.buffer.max_events - 1
        self._quick_bytes = settings.buffer.max_bytes
        self._checkpointing = settings.checkpointing
        self.attempt = 0
        self._attempts = 0  # numbers given to streams so far
        self.ever_live = False

        self._timers = Timers()
        self._why = "not started"
        self._since = 0.0
        self._last_error: BaseException | None = None
        self._effects: list[Effect] = []
        self._do = self._effects.append

        # stream
        self._stream = _NO_STREAM
        self._heard = False
        self._opened_at: float | None = None
        self._stuck = False
        self._alive_at: float | None = None
        self._pacer = Pacer(settings.backoff, random)
        self._connect_failures = 0
        self._opens = 0  # streams that stood so far
        self._troubles = 0  # errors in a row, as `on_error` counts them
        self._pings = 0
        self._ping_at: float | None = None
        self._ping_gaps: deque[float] = deque(maxlen=5)
        self._owed: set[int] = set()

        # joining
        self._known = False  # whether the position is
        self._earliest = False  # the next page starts at the oldest kept event
        self._gap_after: int | None = None  # a gap whose end the next page will tell
        self._verified = 0
        self._since_verified = 0
        self._forgotten = -1
        """History said that it no longer reaches back to here: it is not asked from there again (protocol 7.1 C29)."""
        self._contiguous = True  # what is being read began at `verified`, so it may move it
        self._buffer: dict[int, Event] = {}
        self._buffer_bytes = 0
        self._graced = False
        self._awaiting_word = False
        self._reopen_when_drained = False
        self._unconfirmed = False
        self._regression_checked = False
        self._regression_seen = 0
        self._doubted_at = -inf
        self._position_is_fresh = False  # the server itself has just named it

        # history
        page = settings.history.page_size if settings.history else 1
        self._page_size = max(1, min(page, self.low_water))
        self._unnumbered = Unnumbered()
        self._behind: tuple[_Asked, Sequence[Poison]] = (_ASKED_CATCH_UP, ())  # a page of those, and what it was about
        self._request = 0
        self._asked: _Asked | None = None
        self._in_flight = False
        self._cursor: int | None = None
        self._sought: int | None = None  # before the start
        self._signed = False  # the page in flight was asked for after the server's word
        self._audit_until = 0
        self._audit_gapped = False  # the page in flight begins at the oldest event kept
        self._history_pacer = Pacer(settings.backoff, random)
        self._history_refusals = 0
        self._history_waits = False  # for a token
        self._server_max = 0
        self._audits = 0
        self._gaps = 0
        self._resyncing = False

        # token
        self._credential: Credential | None = None
        self._credential_expires: float | None = None
        self._useless: Credential | None = None
        self._token_asked = False
        self._sent: Credential | None = None
        self._overdue = False  # the token has ended, the stream stands nevertheless
        self._successor: int | None = None  # the stream that is to replace the open one
        self._refusals = 0
        self._token_failures = 0
        self._token_pacer = Pacer(settings.backoff, random)

        # consumer
        self._ticket = 0
        self._moved_after = 0  # tickets up to here were given before the position was moved
        self._delivered: int | None = None
        self._saved: int | None = None
        self._saving = False
        self._save_failures = 0
        self._unsaved = 0

    # ------------------------------------------------------------ the outside
    def handle(self, input: Input, now: float) -> Effects:
        """What to do about what happened. Never raises for anything a peer can cause."""
        state = self.state
        if state is _CLOSED or (state is _FAILED and type(input) not in _AFTERLIFE):
            return NONE
        _HANDLERS[type(input)](self, input, now)
        if not self._effects:
            return NONE
        effects = tuple(self._effects)
        self._effects.clear()
        return effects

    def deadline(self) -> float | None:
        """When to send a `Tick` at the latest; None for never."""
        return self._timers.deadline

    def receive(self, attempt: int, event: Event, now: float) -> Effects:
        """`handle(EventReceived(attempt, event), now)` without the wrapping: events come in thousands a second."""
        outbox = self.outbox
        sequence = event.sequence
        if (
            sequence > outbox.highest
            and attempt == self.attempt
            and self.state is _LIVE
            and self._heard
            and not self._owed
            and len(outbox.items) < self._quick_events
            and outbox.bytes + event.size < self._quick_bytes
        ):
            self._alive_at = now
            self._since_verified += 1
            outbox.append(event, sequence)
            return NONE
        return self.handle(happened.EventReceived(attempt, event), now)

    def sleeps_until(self, first: float, longest: float, shortest: float) -> float:
        """Until when PINGs on the stream would only be answered, the first at the latest at `first`, the others no more
        than `longest` and no less than `shortest` seconds apart; -inf: not now. For a simulator, which need not send
        them then (`pinged`).
        """
        if self.state is not _LIVE or not self._heard or self.blocked or not self._ping_gaps:
            return -inf
        keepalive = self._settings.keepalive
        limit = keepalive.silence
        if limit == "auto":
            limit = max(keepalive.silence_minimum, 2.5 * min(shortest, self._ping_gaps[-1]))
        if limit is not None and (longest >= limit or first - (self._alive_at or 0.0) >= limit):
            return -inf  # one of them might be taken for silence
        return self._timers.next_but(timers.SILENCE)

    def pinged(self, arrivals: Sequence[float]) -> None:
        """`handle` of a PING at each of these times and of a `Tick` whenever silence is to be looked at in between,
        once `sleeps_until` has said that nothing else comes of them.
        """
        gaps, before = self._ping_gaps, self._ping_at
        check = self._timers.at(timers.SILENCE)
        alive = max(self._alive_at or 0.0, self._opened_at or 0.0)
        for now in arrivals:
            while check is not None and check < now:
                limit = self._silence_limit
                check = None if limit is None else alive + limit
            if before is not None and now > before:
                gaps.append(now - before)
            before = alive = now
        self._pings += len(arrivals)
        self._ping_at = self._alive_at = before
        if check is not None:
            self._timers.set(timers.SILENCE, check)

    def take(self) -> tuple[Item, int]:
        """The next item for the consumer and its ticket; IndexError when there is none."""
        outbox = self.outbox
        item = outbox.items.popleft()
        outbox.bytes -= item.size
        self._ticket = ticket = self._ticket + 1
        sequence = item.sequence
        if sequence > 0:
            self._delivered = sequence
        self.watermark.begin(ticket, sequence)
        return item, ticket

    def take_after(self, done: int, now: float) -> tuple[Item, int]:
        """`processed(done, now)`, then `take()`: what a consumer does that takes one after the other."""
        outbox = self.outbox
        item = outbox.items.popleft()
        outbox.bytes -= item.size
        self._ticket = ticket = self._ticket + 1
        sequence = item.sequence
        if sequence > 0:
            self._delivered = sequence
        if self.watermark.succeed(done, ticket, sequence) and self._checkpointing:
            self._plan_save(now)
        return item, ticket

    def give_back(self, item: Item, ticket: int) -> None:
        """The consumer could not use it; it is the next to be taken, unless the position was moved since."""
        if ticket > self._moved_after:
            self.watermark.forget(ticket)
            self.outbox.put_back(item)

    @property
    def ready(self) -> bool:
        """Whether what is published from now on is sure to arrive: by history it is once there is a position."""
        return self.state is _LIVE or (self.ever_live and not self.without_history)

    def processed(self, ticket: int, now: float, *, all_before: bool = True) -> None:
        """The consumer is done with an item, and with all handed out before it unless told otherwise."""
        moved = self.watermark.through(ticket) if all_before else self.watermark.done(ticket)
        if moved and self._checkpointing:
            self._plan_save(now)

    def _plan_save(self, now: float) -> None:
        """The restart point has moved."""
        if self.state is not _CLOSED:
            self._unsaved += 1
            if self._saving:
                return
            due = self._timers.at(timers.CHECKPOINT)
            if self._unsaved >= self._settings.checkpoint_every:
                if due is None or due > now:
                    self._timers.set(timers.CHECKPOINT, now)
            elif due is None:
                self._timers.set(timers.CHECKPOINT, now + self._settings.checkpoint_interval)

    def status(self, wall_minus_now: float = 0.0, *, keepalive_factor: float = 1.0) -> WatchStatus:
        """A picture; `wall_minus_now` turns times of `now` into whatever the caller counts in. `keepalive_factor`: how
        many times slower than the settings say the channel sends its PINGs.
        """

        def wall(at: float | None) -> float | None:
            return None if at is None else at + wall_minus_now

        outbox = self.outbox
        return WatchStatus(
            topic=self._settings.topic,
            state=self.state,
            since=self._since + wall_minus_now,
            why=self._why,
            attempt=self.attempt,
            proven_alive_at=wall(self._alive_at),
            connected_at=wall(self._opened_at),
            next_retry_at=wall(self._timers.at(timers.RETRY) or self._timers.at(timers.HISTORY)),
            token_expires_at=wall(self._credential_expires),
            last_error=self._last_error,
            received=outbox.highest,
            delivered=self._delivered,
            committed=self.restart_point,
            server_max=max(self._server_max, outbox.highest),
            lag=len(outbox.items) + len(self._buffer),
            buffered_bytes=outbox.bytes + self._buffer_bytes,
            events=outbox.entered,
            duplicates=outbox.duplicates,
            recovered=outbox.recovered,
            gaps=self._gaps,
            reconnects=max(0, self._opens - 1),
            audits=self._audits,
            pings=self._pings,
            ping_interval=self._ping_interval,
            keepalive=self._settings.keepalive.interval * keepalive_factor,
            dead_peer_bound=self._dead_peer_bound(keepalive_factor),
            handed_out=self._ticket,
            history_fails=self._history_pacer.failures > 0 or self._history_refusals > 0,
        )

    @property
    def buffer(self) -> Buffer:
        return self._settings.buffer

    @property
    def without_history(self) -> bool:
        return self._settings.history is None

    @property
    def caught_up(self) -> bool:
        """LIVE, and the consumer has been given everything."""
        return self.state is _LIVE and not self.outbox.items

    # ------------------------------------------------------------ small words
    def _enter(self, state: State, why: str, now: float) -> None:
        if state is not self.state:
            self.state = state
            self._since = now
        self._why = why
        self._do(do.Entered(state, why))

    def _fail(self, error: BaseException, now: float) -> None:
        self._drop_stream()
        self.error = self._last_error = error
        if isinstance(error, WatchError):
            error.retryable = False
        self._timers.clear_all(but=timers.CHECKPOINT)
        self._enter(_FAILED, str(error) or type(error).__name__, now)
        self.starved = self.blocked = False
        self._do(do.Finished(error))

    def _dead_peer_bound(self, keepalive_factor: float) -> float:
        keepalive = self._settings.keepalive
        bound = keepalive.interval * keepalive_factor + keepalive.timeout
        silence = self._silence_limit
        return bound if silence is None else min(bound, silence)

    @property
    def _ping_interval(self) -> float | None:
        return max(self._ping_gaps) if self._ping_gaps else None

    @property
    def _silence_limit(self) -> float | None:
        keepalive = self._settings.keepalive
        if keepalive.silence != "auto":
            return keepalive.silence
        return max(keepalive.silence_minimum, 2.5 * max(self._ping_gaps)) if self._ping_gaps else None

    # ------------------------------------------------------------ begin and end
    def _on_start(self, start: happened.Start, now: float) -> None:
        if self.state is not _IDLE:
            return
        if self._sought is not None:
            self._move(self._sought, now)
        elif start.position is not None:
            if start.stored:
                self._saved = start.position
            self._fix_position(start.position, now)
        elif self._settings.history is None:
            self._set_position(0)
        elif start.earliest:
            self._known = self._earliest = True
        self._begin(now, "starting")

    def _on_close(self, _: happened.Close, now: float) -> None:
        self._finish(now, "closed")

    def _finish(self, now: float, why: str) -> None:
        self._drop_stream()
        self._timers.clear_all()
        if self._settings.checkpointing and (value := self.restart_point) not in (None, self._saved):
            self._do(do.SaveCheckpoint(value))
        self._enter(_CLOSED, why, now)
        self._do(do.Finished(None))

    def _on_sought(self, sought: happened.Sought, now: float) -> None:
        if self.state is _FAILED:
            return
        if self.state is _IDLE:
            self._sought = sought.position
            return
        # A fresh stream: nothing of what is under way tells before from after.
        self._drop_stream()
        self._move(sought.position, now)
        if self.state is not _BACKING_OFF:
            self._begin(now, f"sought sequence {sought.position}")

    def _move(self, sequence: int, now: float) -> None:
        """Forget what waits, what is asked and what is being handled; go on after `sequence`."""
        self.outbox.clear()
        self._moved_after = self._ticket
        self._in_flight = self._history_waits = self._resyncing = False
        self.starved = self.blocked = self._reopen_when_drained = False
        self._gap_after = None
        self._regression_seen = 0
        self._position_is_fresh = False
        self._timers.clear(timers.HISTORY)
        self._set_position(sequence)
        self.watermark.move(sequence)
        if self._settings.checkpointing:
            self._timers.set(timers.CHECKPOINT, now)

    def _on_crashed(self, crashed: happened.Crashed, now: float) -> None:
        self._fail(crashed.error, now)

    def _set_position(self, sequence: int) -> None:
        """Go on after `sequence`, whatever was before."""
        self._known = True
        self._earliest = False
        self.outbox.begin_after(sequence)
        self._verified = sequence
        self._since_verified = 0
        self._forgotten = -1
        self._contiguous = True
        self._cursor = sequence

    def _confirm(self, sequence: int, now: float) -> None:
        """History has shown that nothing is missing up to here."""
        self._verified = sequence
        self._since_verified = 0
        if self.confirming and self._timers.at(timers.CHECKPOINT) is None:
            self._timers.set(timers.CHECKPOINT, now + self._settings.checkpoint_interval)

    def _fix_position(self, sequence: int, now: float) -> None:
        """The first position: worth saving before anything is processed, so that a restart does not look for it anew
        and finds a later one.
        """
        self._set_position(sequence)
        if self.watermark.value is None:
            self._set_mark(sequence, now)

    def _set_mark(self, sequence: int, now: float) -> None:
        """The restart point follows when what waits, and what is being processed, is done: it is from before."""
        self.watermark.move_behind(len(self.outbox.items), sequence)
        if self._settings.checkpointing:
            self._timers.set(timers.CHECKPOINT, now)

    # ------------------------------------------------------------ stream
    def _begin(self, now: float, why: str) -> None:
        """One more attempt at a stream: token, position, call."""
        self.attempt = self._next_attempt()
        self._timers.clear(timers.RETRY)
        self._reopen_when_drained = False
        self._enter(_CONNECTING, why, now)
        if self._credential_is_good(now):
            self._connect(now)
        else:
            self._ask_token()

    def _next_attempt(self) -> int:
        self._attempts += 1
        return self._attempts

    def _connect(self, now: float) -> None:
        if self._stream is not _NO_STREAM:
            return
        assert self._credential is not None
        if not self._known:
            if not self._in_flight:
                self._ask(_ASKED_POSITION, now)
            return
        self._sent = self._credential
        self._open(now)
        self._do(do.OpenStream(self.attempt, self._credential))

    def _open(self, now: float) -> None:
        """The stream `attempt` is on its way."""
        self._stream = _OPENING
        self._heard = self._graced = self._awaiting_word = self._unconfirmed = False
        self._signed = False
        self._opened_at = None
        self._stuck = False
        self._regression_checked = self._position_is_fresh
        self._position_is_fresh = False
        self._timers.set(timers.CONNECT, now + self._settings.connect_timeout)

    def _open_successor(self, now: float) -> None:
        """A stream with the new token, beside the one that stands."""
        assert self._credential is not None
        self._sent = self._credential
        self._successor = self._next_attempt()
        self._timers.set(timers.CONNECT, now + self._settings.connect_timeout)
        self._enter(self.state, "there is a new token: opening another stream with it", now)
        self._do(do.OpenStream(self._successor, self._credential))

    def _take_over(self, now: float) -> None:
        """The successor is the stream from now on, whatever becomes of it."""
        self._do(do.CloseStream(self.attempt))
        self._forget_stream()
        self._adopt(now)

    def _adopt(self, now: float) -> None:
        assert self._successor is not None
        self.attempt, self._successor = self._successor, None
        self._open(now)

    def _on_opened(self, opened: happened.StreamOpened, now: float) -> None:
        if opened.attempt == self._successor:
            self._take_over(now)
        if opened.attempt != self.attempt or self._stream is not _OPENING:
            return
        self._stuck = self._is_stuck(now)
        self._stream = _OPEN
        self._opens += 1
        self._opened_at = now
        self._ping_at = None
        self._connect_failures = 0
        self._timers.clear(timers.CONNECT)
        limit = self._silence_limit
        if limit is not None:
            self._timers.set(timers.SILENCE, now + limit)
        if self._credential is not None and self._credential != self._sent:
            self._send_token()
        if self._settings.history is None:
            self._go_live(now)
            return
        self._timers.set(timers.GRACE, now + self._settings.subscribe_grace)
        self._enter(_CATCHING_UP, f"reading history after sequence {self._resume_after()}", now)
        if self._in_flight or self._history_waits or self._resyncing or self._timers.at(timers.HISTORY) is not None:
            # What is under way goes on; an audit that outlived its stream is a catch-up now.
            if self._asked is _ASKED_AUDIT:
                self._asked = _ASKED_CATCH_UP
            return
        self._catch_up(now)

    def _is_current(self, attempt: int) -> bool:
        return attempt == self.attempt and self._stream is not _NO_STREAM

    def _word(self, now: float) -> None:
        """The server said something on this stream."""
        self._alive_at = now
        if self._heard:
            return
        self._heard = True
        self._refusals = self._troubles = 0
        self._timers.clear(timers.GRACE)
        if self.state is _CATCHING_UP and self._awaiting_word:
            self._awaiting_word = False
            self._continue(now)
        elif self.state is _LIVE and self._unconfirmed:
            self._unconfirmed = False
            self._timers.set(timers.AUDIT, now)

    def _on_event(self, received: happened.EventReceived, now: float) -> None:
        if not self._is_current(received.attempt):
            return
        event = received.event
        if event.sequence <= 0 and self._settings.history is not None:
            # History has it with its number; delivered from here as well it would come twice.
            broken = DecodeError(f"the stream brought an event without a sequence ({event.id or 'without an id'})")
            self._replace_stream(broken, now)
            return
        if self.state is _LIVE:
            self._word(now)
            self._since_verified += 1
            self._owed.discard(event.sequence)
            if not self.outbox.accept(event):
                self.outbox.duplicates += 1
                self._suspect_regression(now)
            self._check_room(now)
            return
        if event.sequence in self._buffer:
            self.outbox.duplicates += 1
        else:
            self._buffer[event.sequence] = event
            self._buffer_bytes += event.size
        self._word(now)
        if self._stream is not _NO_STREAM:
            self._check_room(now)

    def _on_ping(self, ping: happened.PingReceived, now: float) -> None:
        if not self._is_current(ping.attempt):
            return
        self._pings += 1
        self._do(do.SendPong(ping.attempt, ping.id))
        if self._ping_at is not None and now > self._ping_at:
            self._ping_gaps.append(now - self._ping_at)
        self._ping_at = now
        self._word(now)
        limit = self._silence_limit
        if limit is not None and self._timers.at(timers.SILENCE) is None:
            self._timers.set(timers.SILENCE, now + limit)

    def _on_broken(self, broken: happened.StreamBroken, now: float) -> None:
        if not self._is_current(broken.attempt):
            return
        if self._settings.history is None:
            self._poisoned_on_stream(broken.error, now)
        else:
            # History may have the same event in a readable form, so the stream is given up, not the event.
            self._replace_stream(broken.error, now)

    def _on_ended(self, ended: happened.StreamEnded, now: float) -> None:
        if ended.attempt == self._successor:
            self._take_over(now)
        if not self._is_current(ended.attempt):
            return
        connected = self._stream is _OPEN
        lived = now - self._opened_at if self._opened_at is not None else 0.0
        heard = self._heard
        # gRPC says that a word has left when the call it waited in is over.
        stuck = not heard and (self._stuck or self._is_stuck(now))
        self._forget_stream()
        verdict = classify(
            ended.code,
            ended.details,
            topic=self._settings.topic,
            attempt=ended.attempt,
            connected=connected,
            transient=self._settings.transient,
            cause=ended.cause,
        )
        self._last_error = verdict.error
        verdict.error.retry_after = ended.retry_after
        if verdict.remedy is Remedy.STOP:
            self._drop_stream()
            self._give_up(verdict.error, now)
            return
        if self._successor is not None:
            self._adopt(now)
            self._enter(_CONNECTING, f"the other stream is not yet open: {verdict.error}", now)
            return
        if isinstance(verdict.error, EventTooLarge) and self._settings.history is None:
            self._poisoned_on_stream(verdict.error, now)
            if self.state is _FAILED:
                return
        if verdict.eager_pings:
            self._do(do.Log("stream", "warning", f"{verdict.error}; pinging half as often from now on"))
            self._do(do.RenewChannel(slower=True))
        if verdict.remedy is Remedy.TOKEN:
            if stuck:
                self._do(do.RenewChannel())
            self._token_refused(verdict.error, now, lived=lived, heard=heard)
            return
        if stuck or not connected:
            self._connect_failed(stuck)
        self._suspect_history(verdict.error)
        self._back_off(self._pacer.ended(heard=heard, lived=lived), verdict.error, now)

    def _is_stuck(self, now: float) -> bool:
        """Whether the stream has been waiting to stand for so long that another connection is the better bet."""
        limit = self._timers.at(timers.CONNECT)
        return limit is not None and now - (limit - self._settings.connect_timeout) >= STUCK_AFTER

    def _connect_failed(self, stuck: bool) -> None:
        self._connect_failures += 1
        if stuck or self._connect_failures % CONNECT_FAILURES_PER_CHANNEL == 0:
            self._do(do.RenewChannel())

    def _replace_stream(self, error: WatchError, now: float) -> None:
        """Give up a stream that still stands."""
        lived = now - self._opened_at if self._opened_at is not None else 0.0
        heard = self._heard
        self._drop_stream()
        error.topic, error.attempt = self._settings.topic, self.attempt
        error.retryable = True
        self._last_error = error
        if isinstance(error, PeerUnresponsive):
            # Whoever answers the PINGs of HTTP/2 need not be the one who is silent: over the same connection the next
            # stream would only be as silent.
            self._do(do.RenewChannel())
        self._suspect_history(error)
        self._back_off(self._pacer.ended(heard=heard, lived=lived), error, now)

    def _suspect_history(self, error: WatchError) -> None:
        """A peer that is silent on the stream is so on the other connections too, and they have longer timeouts."""
        if isinstance(error, (PeerUnresponsive, ConnectTimeout)) and self._settings.history is not None:
            self._in_flight = False
            self._do(do.RenewHistory())

    def _drop_stream(self) -> None:
        if self._successor is not None:
            self._do(do.CloseStream(self._successor))
            self._successor = None
        if self._stream is not _NO_STREAM:
            self._do(do.CloseStream(self.attempt))
            self._forget_stream()

    def _forget_stream(self) -> None:
        self._stream = _NO_STREAM
        self._opened_at = None
        self._awaiting_word = self._overdue = False
        self.blocked = False
        # What the stream brought and history did not yet confirm is still in history.
        self._buffer.clear()
        self._buffer_bytes = 0
        self._owed.clear()
        self._timers.clear(timers.CONNECT, timers.GRACE, timers.SILENCE, timers.OWED, timers.AUDIT, timers.DOUBT)

    def _back_off(self, delay: float, error: WatchError, now: float) -> None:
        wait = self._wait_as_told(delay, error, now)
        if wait is not None:
            self._retry_in(wait, error, now)

    def _retry_in(self, delay: float, error: BaseException, now: float) -> None:
        self._timers.set(timers.RETRY, now + delay)
        self._enter(_BACKING_OFF, f"next try in {delay:.1f} s (attempt {self.attempt} ended): {error}", now)

    # ------------------------------------------------------------ what the user says about errors
    def _told(self, error: WatchError, now: float) -> Decision | None:
        """What `on_error` says; None when it leaves it to us. What it does wrong is the end."""
        on_error = self._settings.on_error
        if on_error is None:
            return None
        self._troubles += 1
        try:
            decision: object = on_error(error, self._troubles)
        except (Exception, SystemExit) as raised:
            wrong: WatchError = HandlerError(f"on_error raised {type(raised).__name__} for: {error}", None)
            wrong.__cause__ = raised
        else:
            if decision is None or isinstance(decision, (Retry, Raise, Stop)):
                return decision
            wrong = ConfigError(f"on_error returned {decision!r}: it must be Retry(), Raise(), Stop() or None")
            wrong.__context__ = error
        self._fail(wrong, now)
        return Stop()

    def _wait_as_told(self, delay: float, error: WatchError, now: float) -> float | None:
        """How long to wait after an error that we would get over; None when this was the end."""
        if error.retry_after is not None:
            delay = max(delay, error.retry_after)
        decision = self._told(error, now)
        if isinstance(decision, Retry):
            return delay if decision.delay is None else decision.delay
        if isinstance(decision, Raise):
            self._fail(error, now)
        elif isinstance(decision, Stop):
            self._stop(error, now)
        return delay if decision is None else None

    def _give_up(self, error: WatchError, now: float) -> None:
        """An error that trying again does not help, unless the user says it does."""
        decision = self._told(error, now)
        if isinstance(decision, Retry):
            error.retryable = True
            delay = self._pacer.failed() if decision.delay is None else decision.delay
            if self._stream is _NO_STREAM:
                self._retry_in(delay, error, now)
            else:
                self._timers.set(timers.HISTORY, now + delay)
                self._enter(self.state, f"next try in {delay:.1f} s: {error}", now)
        elif isinstance(decision, Stop):
            self._stop(error, now)
        else:
            self._fail(error, now)

    def _stop(self, error: WatchError, now: float) -> None:
        """The end, without an error for the consumer."""
        if self.state is not _FAILED:
            self._finish(now, f"closed on account of: {error}")

    # ------------------------------------------------------------ poison
    def _poisoned(self, error: WatchError, now: float, after: int, through: int) -> None:
        """An event cannot be read, neither here nor there; it has a number above `after`, and not above `through`."""
        error.topic = self._settings.topic
        self._last_error = error
        if self._settings.on_poison == "raise":
            self._fail(error, now)
        else:
            self._put_gap(after, through, GapReason.POISON)

    def _poisoned_on_stream(self, error: WatchError, now: float) -> None:
        """The same without a history: it is the next after the highest, whatever its number."""
        after = self.outbox.highest
        self._poisoned(error, now, after, after + 1)

    # ------------------------------------------------------------ room
    def _check_room(self, now: float) -> None:
        buffer = self._settings.buffer
        outbox = self.outbox
        waiting = len(outbox.items) + len(self._buffer)
        if waiting < buffer.max_events and outbox.bytes + self._buffer_bytes < buffer.max_bytes:
            return
        if buffer.on_overflow == "block" or self._settings.history is None:
            self.blocked = True
            return
        held = len(self._buffer)
        self._drop_stream()
        self._enter(
            _SPILLING,
            f"{waiting} events wait for the consumer: the stream is closed, history is read as there is room "
            f"({held} dropped for now)",
            now,
        )
        self._do(do.Log("flow", "warning", self._why))
        if self._asked is _ASKED_AUDIT:
            self._asked = _ASKED_CATCH_UP
        if not (
            self._in_flight or self._history_waits or self._resyncing or self._timers.at(timers.HISTORY) is not None
        ):
            self._catch_up(now)

    def _has_room(self) -> bool:
        return len(self.outbox.items) <= self.low_water and (
            self.outbox.bytes <= self._settings.buffer.max_bytes // 2 or not self.outbox.items
        )

    def _on_drained(self, _: happened.Drained, now: float) -> None:
        if not self._has_room():
            return
        self.starved = self.blocked = False
        if self.state is _SPILLING and self._reopen_when_drained:
            self._begin(now, "the consumer has caught up; opening a stream again")
        elif self.state in (_CATCHING_UP, _SPILLING) and not self._awaiting_word:
            self._continue(now)

    # ------------------------------------------------------------ history
    def _resume_after(self) -> int | None:
        """Where to read on: None from the oldest event kept."""
        if self._earliest:
            return None
        assert self._settings.history is not None
        if self._since_verified <= self._settings.history.overlap and self._verified > self._forgotten:
            return self._verified
        return self.outbox.highest

    def _begin_reading(self) -> None:
        self._cursor = self._resume_after()
        # Reading from further on leaves a stretch that no history has confirmed: the audit after this needs to know.
        self._contiguous = self._cursor is None or self._cursor == self._verified

    def _catch_up(self, now: float) -> None:
        self._begin_reading()
        self._continue(now)

    def _continue(self, now: float) -> None:
        """Ask for the next page, or wait for room."""
        if self._in_flight or self._history_waits or self._resyncing:
            return
        if self.state not in (_CATCHING_UP, _SPILLING):
            return
        if not self._has_room():
            self.starved = True
            return
        self._ask(_ASKED_CATCH_UP, now)

    def _ask(self, what: _Asked, now: float) -> None:
        if not self._credential_is_good(now):
            self._asked = what
            self._history_waits = True
            self._ask_token()
            return
        assert self._credential is not None
        self._asked = what
        self._in_flight = True
        self._request += 1
        newest = what in _NEWEST
        if not newest:
            # Where the server is says nothing about what lies before: only a page does.
            self._signed = self._heard or self._graced
        self._do(
            do.FetchHistory(
                self._request,
                None if newest else self._cursor,
                1 if newest else self._unnumbered.width or self._page_size,
                newest,
                self._credential,
            )
        )

    def _answered(self, request: int) -> _Asked | None:
        """What the request was about; None when nobody waits for it any more."""
        if not self._in_flight or request != self._request:
            return None
        self._in_flight = False
        return self._asked

    def _on_history(self, fetched: happened.HistoryFetched, now: float) -> None:
        asked = self._answered(fetched.request)
        if asked is None:
            return
        self._history_refusals = 0
        events: Sequence[Event | Poison] = fetched.events
        lost: list[Poison] = []
        if fetched.poison:
            lost = [each for each in fetched.poison if each.before is not None]
            events = [*fetched.events, *(each for each in fetched.poison if each.before is None)]
        if asked in _NEWEST:
            newest = max((event.sequence for event in events), default=None)
            if newest is None and lost and asked is _ASKED_POSITION:
                unknown = HistoryProtocolError(f"history's newest event cannot be placed: {lost[0].error}", status=200)
                unknown.retryable = True
                self._history_trouble(unknown, now)
                return
            self._history_pacer.succeeded()
            if newest is not None:
                self._server_max = max(self._server_max, newest)
            if asked is _ASKED_POSITION:
                self._fix_position(newest or 0, now)
                self._position_is_fresh = True
                if self.state is _CONNECTING:
                    self._connect(now)
            elif asked is _ASKED_GONE:
                self._expired(newest, now)
            elif asked is _ASKED_BEHIND:
                self._judge_behind(newest, now)
            else:
                self._judge_regression(newest, now)
            return
        if lost and not self._is_wide_enough(events, lost, now):
            return
        self._unnumbered.over()
        self._take_page(asked, events, lost, now)

    def _take_page(self, asked: _Asked, events: Sequence[Event | Poison], lost: Sequence[Poison], now: float) -> None:
        ordered = self._ordered(events, lost, now)
        if ordered is None:
            return
        self._history_pacer.succeeded()
        if asked is _ASKED_AUDIT and self.state is _LIVE:
            self._audit_page(ordered, now)
            return
        for event in ordered:
            if isinstance(event, Poison):
                self._emit_poison(event, now)
                if self.state is _FAILED:
                    return
            else:
                self._emit_from_history(event, now)
        last = last_number(ordered)
        if last is not None:
            if self._cursor is None or last > self._cursor:
                self._cursor = last
            if self._contiguous:
                self._confirm(self._cursor, now)
            self._earliest = False
            self._regression_checked = True
            if self._cursor > self._server_max:
                self._server_max = self._cursor
            self._continue(now)
        else:
            self._reached_end(now)

    def _is_wide_enough(self, events: Sequence[Event | Poison], lost: Sequence[Poison], now: float) -> bool:
        """Whether there is a way on from a page with events that have no number; if not, more is asked for."""
        assert self._asked is not None
        floor = self._cursor or 0
        way = self._unnumbered.way(events, lost, floor, self._page_size)
        if way is Way.AGAIN:
            self._ask(self._asked, now)
        elif way is Way.LOOK:
            self._behind = (self._asked, lost)
            self._ask(_ASKED_BEHIND, now)
        elif way is Way.NONE:
            stuck = HistoryProtocolError(
                f"the {len(events) + len(lost)} events of history after {floor} have no number, and it shows no more "
                f"of them at a time: there is no asking for what comes next ({lost[0].error})",
                status=200,
            )
            self._history_trouble(stuck, now)
        return way is Way.ON

    def _judge_behind(self, newest: int | None, now: float) -> None:
        asked, lost = self._behind
        if self._unnumbered.is_behind(newest, self._cursor or 0):
            self._ask(asked, now)
            return
        self._asked = asked
        self._take_page(asked, (), lost, now)

    def _ordered(
        self, events: Sequence[Event | Poison], lost: Sequence[Poison], now: float
    ) -> list[Event | Poison] | None:
        """The page in rising order, nothing at or below the cursor; None after a failure. A server that answers a
        keyset query with old events only would be asked for ever, so that is an error.
        """
        floor = self._cursor or 0
        fresh = [event for event in events if event.sequence > floor]
        fresh.sort(key=_sequence)
        if events and not fresh and not lost:
            self._history_trouble(
                HistoryProtocolError(
                    f"history was asked for events after {floor} and answered with {len(events)} that are not newer",
                    status=200,
                ),
                now,
            )
            return None
        if lost or self._unnumbered.waiting:
            self._unnumbered.put_in_place(fresh, lost, floor)
        return fresh

    def _arrive(self, sequence: int, now: float) -> None:
        """History goes on with this sequence: if it begins with it, what was before is gone or never was."""
        if self._gap_after is not None:
            if sequence - 1 > self._gap_after:
                self._put_gap(self._gap_after, sequence - 1, GapReason.EXPIRED)
            self._gap_after = None
        if self._earliest and self._known and sequence <= self.outbox.highest:
            # History reaches back to what was delivered: the window knows which events those are.
            self._earliest = False
            self._contiguous = sequence <= self._verified + 1
        elif not self._known or self._earliest:
            self._fix_position_quietly(sequence - 1, now)

    def _emit_poison(self, poison: Poison, now: float) -> None:
        if poison.before is not None:
            self._leave_out(poison, poison.before, now)
            return
        self._arrive(poison.sequence, now)
        event = self._buffer.pop(poison.sequence, None)
        if event is not None:
            # The stream brought it, and it can be read.
            self._buffer_bytes -= event.size
            self.outbox.accept(event)
        elif poison.sequence not in self.outbox.window:
            self._poisoned(poison.error, now, poison.sequence - 1, poison.sequence)
            self.outbox.pass_over(poison.sequence)

    def _leave_out(self, poison: Poison, before: int, now: float) -> None:
        """Events of history whose number cannot be read: all that is known is what stands beside them."""
        self._unnumbered.told(poison)
        after = poison.sequence
        through = before - 1 if before > 0 else after + 1
        end = before - 1 if before > 0 else max(self.outbox.highest, *self._buffer, 0)
        left = poison.count - self._delivered_within(after, end)
        for sequence in sorted(each for each in self._buffer if after < each <= end)[: max(0, left)]:
            event = self._buffer.pop(sequence)
            self._buffer_bytes -= event.size
            self.outbox.accept(event)
            left -= 1
        if left <= 0:
            self._do(do.Log("history", "info", f"the stream brought what history cannot show: {poison.error}"))
            return
        if through > after or self._settings.on_poison == "raise":
            self._poisoned(poison.error, now, after, through)
            return
        self._last_error = poison.error
        self._do(do.Log("history", "warning", f"left out, it stands between {after} and {before}: {poison.error}"))

    def _delivered_within(self, after: int, through: int) -> int:
        """How many events above `after` and up to `through` were delivered: those that stand there in history."""
        window = self.outbox.window
        first = max(after, window.floor) + 1
        return 0 if through - first >= WIDEST else sum(each in window for each in range(first, through + 1))

    def _emit_from_history(self, event: Event, now: float) -> None:
        self._arrive(event.sequence, now)
        buffered = self._buffer.pop(event.sequence, None)
        if buffered is not None:
            self._buffer_bytes -= buffered.size
            self.outbox.duplicates += 1
        self.outbox.accept(event)

    def _fix_position_quietly(self, sequence: int, now: float) -> None:
        cursor = self._cursor
        self._set_position(sequence)
        self._cursor = cursor
        self._set_mark(sequence, now)

    def _reached_end(self, now: float) -> None:
        """History has nothing more right now."""
        if self._earliest:
            # From the oldest event, and there is none.
            if self._gap_after is not None:
                after = self._gap_after
                self._gap_after = None
                self._put_gap(after, max(self._server_max, after), GapReason.EXPIRED)
                self._set_position(max(self._server_max, after))
            else:
                self._fix_position(0, now)
        if not self._regression_checked and self.outbox.highest > 0:
            self._ask(_ASKED_REGRESSION, now)
            return
        if self.state is _SPILLING:
            self._reopen_when_drained = True
            if self._has_room():
                self._begin(now, "history is read; opening a stream again")
            else:
                self.starved = True
        elif self.state is _CATCHING_UP:
            if self._signed:
                self._go_live(now)
            elif self._heard or self._graced:
                self._continue(now)
            else:
                self._awaiting_word = True
                self._enter(_CATCHING_UP, "history is read; waiting for the server's first word", now)

    def _go_live(self, now: float) -> None:
        for sequence in sorted(self._buffer):
            self._since_verified += 1
            if not self.outbox.accept(self._buffer[sequence]):
                self.outbox.duplicates += 1
        self._buffer.clear()
        self._buffer_bytes = 0
        self._unconfirmed = not self._heard
        self.ever_live = True
        self._enter(_LIVE, "events are delivered as they come", now)
        history = self._settings.history
        if history is not None and history.audit_interval is not None:
            self._timers.set(timers.AUDIT, now + history.audit_interval * self._random.uniform(0.9, 1.1))
            unread = not self._contiguous or self._since_verified > history.overlap
            if unread and self.outbox.highest > self._verified:
                self._timers.set(timers.AUDIT, now)

    # ------------------------------------------------------------ audit
    def _start_audit(self, now: float) -> None:
        history = self._settings.history
        if history is None or self.state is not _LIVE:
            return
        if history.audit_interval is not None:
            self._timers.set(timers.AUDIT, now + history.audit_interval * self._random.uniform(0.9, 1.1))
        if self._in_flight or self._history_waits or not self._has_room():
            return
        # Sequences that fell out of the window cannot be told from missed ones any more.
        self._cursor = max(self._verified, self.outbox.window.floor)
        self._audit_until = self.outbox.highest
        self._audit_gapped = self._cursor <= self._forgotten
        if self._audit_gapped:
            self._cursor = None
        self._ask(_ASKED_AUDIT, now)

    def _audit_page(self, events: list[Event | Poison], now: float) -> None:
        outbox = self.outbox
        news = 0
        for event in events:
            if is_unnumbered(event):
                self._emit_poison(event, now)
                if self.state is _FAILED:
                    return
                continue
            ahead = event.sequence > outbox.highest
            if ahead and self._audit_gapped:
                # What lies between may be gone. Only the stream can say that nothing does; a catch-up says what to do.
                self._owe(event.sequence, now)
                continue
            if isinstance(event, Poison):
                self._emit_poison(event, now)
                if self.state is _FAILED:
                    return
                continue
            recovered = outbox.recovered
            if not outbox.accept(event):
                continue
            news += 1
            if ahead:
                # The stream's own copy may be a moment behind. If it never comes, the stream is not worth keeping.
                self._owe(event.sequence, now)
            elif outbox.recovered > recovered:
                self._do(
                    do.Log(
                        "flow",
                        "warning",
                        f"sequence {event.sequence} was missing on the stream; recovered from history",
                    )
                )
        last = last_number(events)
        if last is not None and not (self._audit_gapped and self._owed):
            self._cursor = max(self._verified, last)
            self._confirm(self._cursor, now)
            # Further until a page is empty, or ends with what the stream has brought since: then the stream is alive.
            if (self._cursor <= self._audit_until or news) and self._has_room():
                self._ask(_ASKED_AUDIT, now)
                return
        self._audits += 1

    def _owe(self, sequence: int, now: float) -> None:
        self._owed.add(sequence)
        if self._timers.at(timers.OWED) is None:
            self._timers.set(timers.OWED, now + OWED_AFTER)

    def _check_owed(self, now: float) -> None:
        if self._owed and self.state is _LIVE:
            count = len(self._owed)
            self.outbox.recovered += sum(1 for sequence in self._owed if sequence <= self.outbox.highest)
            self._replace_stream(PeerUnresponsive(f"history shows {count} events that the stream did not deliver"), now)

    # ------------------------------------------------------------ gone
    def _suspect_regression(self, now: float) -> None:
        """The stream brought a number that was there before: a copy, or the server counts anew. History knows. It is
        asked at once, but for many copies not more often than every `DOUBT_PAUSE` seconds.
        """
        if self._settings.history is not None and self._timers.at(timers.DOUBT) is None:
            self._timers.set(timers.DOUBT, max(now, self._doubted_at + DOUBT_PAUSE))

    def _ask_in_doubt(self, now: float) -> None:
        if self._in_flight or self._history_waits:
            self._timers.set(timers.DOUBT, now + REGRESSION_PAUSE)
            return
        self._doubted_at = now
        self._ask(_ASKED_REGRESSION, now)

    def _judge_regression(self, newest: int | None, now: float) -> None:
        position = max(self._verified, 0)
        if newest is None or newest >= position:
            self._regression_checked = True
            self._regression_seen = 0
            self._reached_end(now)
            return
        if self.state is _LIVE:
            self._replace_stream(SequenceRegressed(position, newest), now)
            return
        self._regression_seen += 1
        if self._regression_seen < REGRESSION_CHECKS:
            self._timers.set(timers.HISTORY, now + REGRESSION_PAUSE)
            return
        self._regression_seen = 0
        self._regression_checked = True
        self._decide(SequenceRegressed(position, newest), now)

    def _on_gone(self, gone: happened.HistoryGone, now: float) -> None:
        asked = self._answered(gone.request)
        if asked is None:
            return
        if asked is _ASKED_AUDIT and self.state is _LIVE:
            # Too old to be compared, and nothing says that something was missed. What is still kept can be compared.
            self._do(do.Log("history", "info", "the part of history to be audited is no longer kept"))
            if self._cursor is not None:
                self._forgotten = max(self._forgotten, self._cursor)
                self._cursor = None
                self._audit_gapped = True
                self._ask(_ASKED_AUDIT, now)
            return
        if asked not in (_ASKED_CATCH_UP, _ASKED_AUDIT) or self._cursor is None:
            self._history_trouble(
                HistoryError("history answers 410 to a question without a lower bound", status=410), now
            )
            return
        if self._cursor < self.outbox.highest:
            # Only the overlap is gone, not what we need. What is left of it is compared once we are LIVE.
            self._forgotten = max(self._forgotten, self._cursor)
            self._cursor = self.outbox.highest
            self._contiguous = False
            self._continue(now)
            return
        if gone.server_max is None:
            self._ask(_ASKED_GONE, now)
            return
        self._expired(gone.server_max, now)

    def _expired(self, server_max: int | None, now: float) -> None:
        requested = self.outbox.highest
        if server_max is not None and server_max < requested:
            self._decide(SequenceRegressed(requested, server_max), now)
        else:
            self._decide(SequenceExpired(requested, server_max), now)

    def _decide(self, expired: SequenceExpired, now: float) -> None:
        expired.topic = self._settings.topic
        self._last_error = expired
        policy = self._settings.on_gone
        if policy == "raise":
            self._fail(expired, now)
        elif policy == "ask":
            self._resyncing = True
            self._do(do.Resync(expired))
            self._enter(self.state, f"waiting for the resync: {expired}", now)
        elif policy == "earliest":
            self._restart_from_oldest(expired, now)
        else:
            self._skip_to(expired, now)

    def _skip_to(self, expired: SequenceExpired, now: float) -> None:
        target = expired.server_max if expired.server_max is not None else expired.requested
        reason = GapReason.EXPIRED
        if isinstance(expired, SequenceRegressed):
            reason = GapReason.REGRESSED
        elif self._buffer:
            # What the stream brought meanwhile is in hand and not part of the gap.
            first = min(self._buffer)
            if first - 1 > expired.requested:
                target = min(target, first - 1)
            else:
                # History is gone beyond that as well: asking from the same place again would go on for ever.
                for sequence in sorted(each for each in self._buffer if each <= target):
                    event = self._buffer.pop(sequence)
                    self._buffer_bytes -= event.size
                    self.outbox.accept(event)
        self._put_gap(expired.requested, target, reason)
        self._set_position(target)
        if reason is GapReason.REGRESSED:
            self.watermark.move_behind(len(self.outbox.items), target)
        self._continue(now)

    def _restart_from_oldest(self, expired: SequenceExpired, now: float) -> None:
        self._server_max = expired.server_max or 0
        if isinstance(expired, SequenceRegressed):
            self._put_gap(expired.requested, expired.requested, GapReason.REGRESSED)
            self._set_position(0)
            self.watermark.move_behind(len(self.outbox.items), 0)
        else:
            self._gap_after = expired.requested
        self._earliest = True
        self._cursor = None
        self._continue(now)

    def _put_gap(self, after: int, through: int, reason: GapReason) -> None:
        self._gaps += 1
        self.outbox.put(Gap(after, through, reason))
        self._do(do.Log("history", "warning", f"events after {after} up to {through} may be missing ({reason.value})"))

    def _on_resynced(self, resynced: happened.Resynced, now: float) -> None:
        if not self._resyncing:
            return
        self._resyncing = False
        expired = self._last_error
        position = resynced.position
        if position is None:
            position = expired.server_max if isinstance(expired, SequenceExpired) else None
        self._set_position(position if position is not None else self.outbox.highest)
        self._set_mark(self.outbox.highest, now)
        self._regression_checked = True
        self._continue(now)

    # ------------------------------------------------------------ trouble with history
    def _on_history_failed(self, failed: happened.HistoryFailed, now: float) -> None:
        if self._answered(failed.request) is None:
            return
        error = failed.error
        if isinstance(error, Unauthenticated):
            self._history_refusals += 1
            error.topic = self._settings.topic
            self._last_error = error
            attempts = self._settings.auth_attempts
            if attempts is not None and self._history_refusals >= attempts and self._asked is not _ASKED_AUDIT:
                self._history_refusals = 0
                self._give_up(error, now)
                return
            self._useless = self._credential
            if self._history_refusals == 1:
                self._history_waits = True
                self._ask_token()
                return
        self._history_trouble(error, now)

    def _history_trouble(self, error: WatchError, now: float) -> None:
        error.topic = error.topic or self._settings.topic
        self._last_error = error
        self._do(do.Log("history", "info", f"history: {error}"))
        retryable = error.retryable = error.retryable or (error.code or "") in self._settings.transient
        if self._asked is _ASKED_REGRESSION and self.state is _LIVE:
            if retryable:
                self._timers.set(timers.DOUBT, now + max(self._history_pacer.failed(), error.retry_after or 0.0))
            return
        if self._asked in (_ASKED_AUDIT, _ASKED_BEHIND) and self.state is _LIVE:
            # The stream is not to blame. Another audit will tell: soon, or what was missed waits two intervals.
            planned = self._timers.at(timers.AUDIT)
            if retryable and planned is not None:
                soon = now + max(self._history_pacer.failed(), error.retry_after or 0.0)
                self._timers.set(timers.AUDIT, min(planned, soon))
            return
        if not retryable:
            self._give_up(error, now)
            return
        delay = self._history_pacer.failed()
        if self._asked is _ASKED_POSITION and self.state is _CONNECTING:
            self._back_off(delay, error, now)
            return
        wait = self._wait_as_told(delay, error, now)
        if wait is None:
            return
        delay = wait
        self._timers.set(timers.HISTORY, now + delay)
        self._enter(self.state, f"history is asked again in {delay:.1f} s: {error}", now)

    def _retry_history(self, now: float) -> None:
        if self._in_flight or self._history_waits or self._resyncing:
            return
        if self._asked is _ASKED_REGRESSION and self.state in (_CATCHING_UP, _SPILLING):
            self._ask(_ASKED_REGRESSION, now)
        elif self._asked is _ASKED_GONE and self.state in (_CATCHING_UP, _SPILLING):
            self._ask(_ASKED_GONE, now)
        elif self.state in (_CATCHING_UP, _SPILLING):
            if self._cursor is None and not self._earliest:
                self._begin_reading()
            self._continue(now)

    # ------------------------------------------------------------ token
    def _credential_is_good(self, now: float) -> bool:
        if self._credential is None or (self._useless is not None and self._credential == self._useless):
            return False
        return self._credential_expires is None or self._credential_expires - now > TOKEN_MARGIN

    def _ask_token(self) -> None:
        if not self._token_asked:
            self._token_asked = True
            self._do(do.FetchToken(instead_of=self._useless or self._credential))

    def _on_token(self, fetched: happened.TokenFetched, now: float) -> None:
        self._token_asked = False
        life = fetched.expires_in
        if life is not None and life <= 0:
            self._token_trouble(TokenExpired("the token provider returned a token that has already ended"), now)
            return
        self._token_failures = 0
        self._token_pacer.succeeded()
        self._credential = fetched.credential
        self._credential_expires = None if life is None else now + life
        # The provider may know no other; then the server has to be asked again, at the pace of the refusals.
        self._useless = None
        self._timers.clear(timers.REFRESH, timers.EXPIRY)
        if life is not None:
            self._timers.set(timers.REFRESH, now + refresh_after(life, self._random))
            self._timers.set(timers.EXPIRY, now + life)
        if self._stream is _OPEN and self._credential != self._sent and self._successor is None:
            # Without history, or with events that wait to be read, the break between two streams could cost events.
            if self._overdue and self._settings.history is not None and not self.blocked:
                self._open_successor(now)
            else:
                self._send_token()
        self._overdue = False
        waited, self._history_waits = self._history_waits, False
        if self.state is _CONNECTING and self._stream is _NO_STREAM:
            self._connect(now)
        elif waited and self._asked is not None and not self._in_flight:
            if self._asked in (_ASKED_CATCH_UP, _ASKED_AUDIT) and self.state is not _LIVE:
                self._continue(now)
            elif self.state not in (_BACKING_OFF, _IDLE):
                self._ask(self._asked, now)

    def _send_token(self) -> None:
        assert self._credential is not None
        self._sent = self._credential
        self._do(do.SendToken(self.attempt, self._credential))

    def _on_token_failed(self, failed: happened.TokenFailed, now: float) -> None:
        self._token_asked = False
        self._token_trouble(failed.error, now)

    def _token_trouble(self, error: WatchError, now: float) -> None:
        self._last_error = error
        self._do(do.Log("auth", "warning", str(error)))
        if not error.retryable:
            self._give_up(error, now)
            return
        if self._history_waits:
            self._history_waits = False
            if self.state is not _CONNECTING:
                self._timers.set(timers.HISTORY, now + max(self._token_pacer.failed(), error.retry_after or 0.0))
        if self.state is _CONNECTING and self._stream is _NO_STREAM:
            self._back_off(self._token_pacer.failed(), error, now)
            return
        if self._overdue:
            told = self._wait_as_told(self._token_pacer.failed(), error, now)
            if told is not None:
                self._timers.set(timers.REFRESH, now + told)
            return
        if self._credential_expires is not None and now < self._credential_expires:
            wait = retry_after(self._token_failures, self._credential_expires - now, self._random)
            self._token_failures += 1
            self._timers.set(timers.REFRESH, now + max(wait, error.retry_after or 0.0))

    def _token_refused(self, error: WatchError, now: float, *, lived: float, heard: bool) -> None:
        self._refusals += 1
        self._useless = self._credential
        attempts = self._settings.auth_attempts
        if attempts is not None and self._refusals >= attempts:
            self._refusals = 0
            self._give_up(error, now)
        elif self._refusals == 1 and not (heard and lived < YOUNG_REFUSAL) and not error.retry_after:
            self._begin(now, f"with a new token: {error}")
        else:
            self._back_off(self._pacer.failed(), error, now)

    def _token_ended(self, now: float) -> None:
        """No new token came in time. That is no reason to break a stream: whether it ends is for the server to say."""
        if self._stream is _NO_STREAM:
            return
        error = TokenExpired("the token ended and the provider gave no new one")
        self._useless = self._credential
        self._last_error = error
        if self._stream is _OPENING:
            self._drop_stream()
            self._begin(now, str(error))
            return
        self._overdue = True
        self._enter(self.state, f"{error}; the stream is kept while the server lets it stand", now)
        if self._timers.at(timers.REFRESH) is None:
            self._ask_token()

    # ------------------------------------------------------------ time
    def _on_tick(self, _: happened.Tick, now: float) -> None:
        while (timer := self._timers.due(now)) is not None:
            if self.state is not _FAILED or timer is timers.CHECKPOINT:
                _DUE[timer](self, now)

    def _try_again(self, now: float) -> None:
        self._begin(now, "trying again")

    def _check_opening(self, now: float) -> None:
        if self._successor is not None:
            self._take_over(now)
        if self._stream is _OPENING:
            self._connect_failed(self._settings.connect_timeout >= STUCK_AFTER)
            self._replace_stream(ConnectTimeout(f"no stream within {self._settings.connect_timeout:g} s"), now)

    def _end_grace(self, now: float) -> None:
        self._graced = True
        if self.state is _CATCHING_UP and self._awaiting_word:
            self._awaiting_word = False
            self._continue(now)

    def _refresh(self, now: float) -> None:
        self._ask_token()

    def _check_silence(self, now: float) -> None:
        limit = self._silence_limit
        if limit is None or self._stream is not _OPEN:
            return
        last = max(self._alive_at or 0.0, self._opened_at or 0.0)
        if self.blocked:
            # While we do not read we cannot hear.
            self._timers.set(timers.SILENCE, now + limit)
        elif now >= last + limit:  # as the timer was set: the difference, rounded, may be a little less than the limit
            self._replace_stream(PeerUnresponsive(f"the server has said nothing for {now - last:.1f} s"), now)
        else:
            self._timers.set(timers.SILENCE, last + limit)

    # ------------------------------------------------------------ checkpoint
    @property
    def restart_point(self) -> int | None:
        """Everything up to here is processed and, where that is asked for, confirmed."""
        value = self.watermark.value
        return min(value, self._verified) if self.confirming and value is not None else value

    def _save_and_confirm(self, now: float) -> None:
        self._save(now)
        if self.confirming and 2 * self._since_verified > self._settings.buffer.recent:
            self._start_audit(now)  # before what came is forgotten, and an audit could not tell what is missing

    def _save(self, now: float) -> None:
        value = self.restart_point
        if self._saving or value is None or value == self._saved or not self._settings.checkpointing:
            return
        self._saving = True
        self._unsaved = 0
        self._do(do.SaveCheckpoint(value))

    def _on_saved(self, saved: happened.CheckpointSaved, now: float) -> None:
        self._saving = False
        self._saved = saved.sequence
        self._save_failures = 0
        if self.restart_point != self._saved:
            self._timers.set(timers.CHECKPOINT, now + self._settings.checkpoint_interval)

    def _on_save_failed(self, failed: happened.CheckpointFailed, now: float) -> None:
        self._saving = False
        self._save_failures += 1
        self._do(do.Log("checkpoint", "error", str(failed.error)))
        if self._save_failures >= CHECKPOINT_TRIES:
            if self.state is not _FAILED:
                self._fail(failed.error, now)
            return
        self._timers.set(timers.CHECKPOINT, now + 2.0 ** (self._save_failures - 1))


_AFTERLIFE = frozenset({happened.Tick, happened.Close, happened.CheckpointSaved, happened.CheckpointFailed})
"""What still counts after a failure: the consumer is reading what is left, and its progress is worth saving."""


_sequence = attrgetter("sequence")


_HANDLERS: dict[type[Any], Callable[[Machine, Any, float], None]] = {
    happened.Start: Machine._on_start,
    happened.Tick: Machine._on_tick,
    happened.TokenFetched: Machine._on_token,
    happened.TokenFailed: Machine._on_token_failed,
    happened.StreamOpened: Machine._on_opened,
    happened.EventReceived: Machine._on_event,
    happened.PingReceived: Machine._on_ping,
    happened.StreamBroken: Machine._on_broken,
    happened.StreamEnded: Machine._on_ended,
    happened.HistoryFetched: Machine._on_history,
    happened.HistoryGone: Machine._on_gone,
    happened.HistoryFailed: Machine._on_history_failed,
    happened.Drained: Machine._on_drained,
    happened.Resynced: Machine._on_resynced,
    happened.Sought: Machine._on_sought,
    happened.CheckpointSaved: Machine._on_saved,
    happened.CheckpointFailed: Machine._on_save_failed,
    happened.Crashed: Machine._on_crashed,
    happened.Close: Machine._on_close,
}

_DUE: dict[Timer, Callable[[Machine, float], None]] = {
    timers.RETRY: Machine._try_again,
    timers.CONNECT: Machine._check_opening,
    timers.GRACE: Machine._end_grace,
    timers.HISTORY: Machine._retry_history,
    timers.REFRESH: Machine._refresh,
    timers.EXPIRY: Machine._token_ended,
    timers.SILENCE: Machine._check_silence,
    timers.AUDIT: Machine._start_audit,
    timers.DOUBT: Machine._ask_in_doubt,
    timers.OWED: Machine._check_owed,
    timers.CHECKPOINT: Machine._save_and_confirm,
}
