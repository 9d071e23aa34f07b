"""One machine, driven: effects become I/O, I/O becomes inputs, time becomes ticks. Lives in one event loop.

Nothing is decided here. Every task that does I/O ends in one input; the consumer takes items straight out of the
machine's outbox.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeAlias

from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.machine import CONNECT_FAILURES_PER_CHANNEL, Effects, Machine
from watchmanager._core.status import State, WatchStatus
from watchmanager._driver.history import HistoryClient
from watchmanager._driver.home import Home
from watchmanager._driver.transport import Stream, Transport
from watchmanager._driver.workers import Outcome, call
from watchmanager.auth import TokenSource
from watchmanager.checkpoints import CheckpointStore
from watchmanager.errors import (
    CheckpointError,
    CheckpointLocked,
    CheckpointWriteFailed,
    ConnectError,
    HandlerError,
    HistoryError,
    LifecycleError,
    SequenceExpired,
    TokenProviderError,
    WatchClosed,
    WatchError,
)
from watchmanager.events import Event, Item

if TYPE_CHECKING:
    from watchmanager._driver.examiner import Examiner
    from watchmanager._driver.probe import Diagnosis
    from watchmanager._driver.route import Link

ResyncFunction: TypeAlias = Callable[[SequenceExpired], "int | Awaitable[int | None] | None"]
StateFunction: TypeAlias = Callable[[State, str], None]

_STATUS_UNKNOWN = 2
CLOSE_TIMEOUT = 5.0
CANCEL_AGAIN = 0.5
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_LOGGERS = {
    name: logging.getLogger(f"watchmanager.{name}") for name in ("stream", "history", "auth", "checkpoint", "flow")
}


class Engine:
    """Drives one watch. `start_at` is "latest", "earliest", "checkpoint" or a sequence."""

    def __init__(
        self,
        machine: Machine,
        topic: str,
        *,
        transport: Transport,
        history: HistoryClient | None,
        tokens: TokenSource,
        store: CheckpointStore | None,
        start_at: str | int,
        fallback: str = "latest",
        resync: ResyncFunction | None = None,
        on_state: StateFunction | None = None,
        manager: Home | None = None,
        is_held: Callable[[], bool] | None = None,
    ) -> None:
        self.machine = machine
        self.topic = topic
        self._transport = transport
        self._history = history
        self._tokens = tokens
        self._store = store
        self._start_at = start_at
        self._fallback = fallback
        self._resync = resync
        self._on_state = on_state
        self.started = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._home = Home("watch")
        self._manager = manager
        self._is_held = is_held
        self.holds = False
        """Whether the position in the store is this watch's to move."""
        self._items = machine.outbox.items
        self._streams: dict[int, Stream] = {}
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._saves: asyncio.Task[None] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._watchers: list[asyncio.Future[None]] = []
        self._closing: asyncio.Task[None] | None = None
        self._paused = False
        self.claim: Any = None
        """What the store says this watch holds, for a store that tells watches apart (`SqlCheckpoints`)."""
        self._diagnosis: Diagnosis | None = None
        self._examined = ""  # what the log was told of it
        self._history_unreached = 0  # times in a row
        self._newest_link: Link | None = None
        self.handed: Collection[tuple[Item, int]] = ()
        """Items that were taken and wait elsewhere for whoever iterates, see `handover`."""
        self._perform: dict[type[Any], Callable[[Any], None]] = {
            do.FetchToken: self._fetch_token,
            do.OpenStream: self._open_stream,
            do.SendToken: self._send_token,
            do.SendPong: self._send_pong,
            do.CloseStream: self._close_stream,
            do.RenewChannel: self._renew_channel,
            do.FetchHistory: self._fetch_history,
            do.RenewHistory: self._renew_history,
            do.SaveCheckpoint: self._save_checkpoint,
            do.Resync: self._run_resync,
            do.Entered: self._entered,
            do.Log: self._log,
            do.Finished: self._finished,
        }

    # ------------------------------------------------------------ life
    def start(self) -> None:
        """Begin in the running loop. Twice is once."""
        self.check()
        if self._loop is None:
            if self._manager is not None:
                self._manager.enter()
            self._home.enter()
            self._loop = self._home.loop
            self.started = True
            self._spawn(self._begin())

    def check(self) -> None:
        """Raises when this is the wrong process or loop."""
        self._home.check()

    async def _begin(self) -> None:
        try:
            position, earliest, stored = await self._position()
        except CheckpointError as error:
            self.feed(happened.Crashed(error))
        else:
            self.feed(happened.Start(position, earliest, stored))

    async def _position(self) -> tuple[int | None, bool, bool]:
        """Where to begin, whether with the oldest event kept, and whether the store said so."""
        start = self._start_at
        if start == "checkpoint":
            assert self._store is not None
            found = await self._load()
            if found is not None:
                return found, False, True
            start = self._fallback
        elif self._store is not None:
            # Not needed for where to begin, but a lock or a damaged file has to show now and not at the first save.
            await self._load()
        if isinstance(start, int):
            return start, False, False
        return None, start == "earliest", False

    async def _load(self) -> int | None:
        assert self._store is not None
        if self._is_held is not None and self._is_held():
            raise CheckpointLocked(
                f"another watch of {self.topic} keeps its position in the same store, which has one for each topic: "
                "close that one first, or give one of them a manager with other checkpoints",
                pid=os.getpid(),
            )
        self.holds = True
        found: int | None
        found, error = await self._call_store(self._store.load, self.topic)
        if error is None:
            try:
                claim = getattr(self._store, "claim", None)
                if claim is not None:
                    self.claim = claim(self.topic)
                return found
            except Exception as raised:
                error = raised
        if isinstance(error, CheckpointError):
            raise error
        raise CheckpointError(
            f"the checkpoint of {self.topic} cannot be loaded: {type(error).__name__}: {error}"
        ) from error

    async def close(self) -> None:
        """Stop, save the position, give back everything. Twice is once."""
        if self._loop is None:
            # Never started: nothing to give back.
            self._loop, self.started = asyncio.get_running_loop(), True
            self.machine.handle(happened.Close(), self._loop.time())
            return
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        streams = tuple(self._streams.values())
        self.feed(happened.Close())
        if self._saves is not None:
            _, late = await asyncio.wait([self._saves], timeout=CLOSE_TIMEOUT)
            if late:
                self._lost(f"the store has not answered for {CLOSE_TIMEOUT:g} s")
        while self._tasks:
            # More than once: before 3.11 a cancellation can be swallowed on its way through httpx.
            for task in tuple(self._tasks):
                task.cancel()
            await asyncio.wait(tuple(self._tasks), timeout=CANCEL_AGAIN)
        if streams:
            await asyncio.wait([asyncio.ensure_future(each.wait_closed()) for each in streams], timeout=CLOSE_TIMEOUT)

    # ------------------------------------------------------------ what happened
    def feed(self, input: happened.Input) -> None:
        """Tell the machine, do what it says."""
        assert self._loop is not None
        try:
            self._carry_out(self.machine.handle(input, self._loop.time()))
        except Exception as error:
            self._crashed(error)
        self._settle()

    def _crashed(self, error: Exception) -> None:
        """A bug here or there: the consumer shall see it rather than wait for ever."""
        _LOGGERS["stream"].exception("%s: internal error", self.topic, extra=self._about())
        self._carry_out(self.machine.handle(happened.Crashed(error), self._loop.time()))  # type: ignore[union-attr]

    def _deliver(self, attempt: int, event: Event) -> asyncio.Future[None] | None:
        """An event; what is returned is to be waited for before the next one."""
        machine = self.machine
        try:
            effects = machine.receive(attempt, event, self._loop.time())  # type: ignore[union-attr]
            if effects:
                self._carry_out(effects)
                self._settle()
        except Exception as error:
            self._crashed(error)
            self._settle()
        return self._wait_room() if machine.blocked else None

    def _delivered(self) -> None:
        """Some events, and no more for now. Waking the consumer for each would cost more than all the rest."""
        if self._waiter is not None and self._items:
            self._wake()

    def _carry_out(self, effects: Effects) -> None:
        for effect in effects:
            self._perform[type(effect)](effect)

    def _settle(self) -> None:
        """After anything: the timer, and whoever waits."""
        machine = self.machine
        deadline = machine.deadline()
        if deadline != self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = None if deadline is None else self._loop.call_at(deadline, self._tick)  # type: ignore[union-attr]
            self._timer_at = deadline
        if self._waiter is not None and (self._items or machine.state in (State.CLOSED, State.FAILED)):
            self._wake()
        if self._room is not None and not machine.blocked:
            room, self._room = self._room, None
            if not room.done():
                room.set_result(None)

    def _tick(self) -> None:
        self._timer = self._timer_at = None
        self.feed(happened.Tick())

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # ------------------------------------------------------------ what to do
    def _fetch_token(self, effect: do.FetchToken) -> None:
        self._spawn(self._get_token(effect))

    async def _get_token(self, effect: do.FetchToken) -> None:
        try:
            credential, life = await self._tokens.get(effect.instead_of)
        except WatchError as error:
            self.feed(happened.TokenFailed(error))
        except Exception as error:
            failure = TokenProviderError(f"the token provider failed: {type(error).__name__}")
            failure.__cause__ = error
            self.feed(happened.TokenFailed(failure))
        else:
            self.feed(happened.TokenFetched(credential, life))

    def _open_stream(self, effect: do.OpenStream) -> None:
        # Those that ended by themselves; while one takes over from another there are two.
        self._streams = {attempt: each for attempt, each in self._streams.items() if not each.closed}
        try:
            self._streams[effect.attempt] = Stream(
                self._transport,
                self.topic,
                effect.attempt,
                effect.credential.reveal(),
                feed=self.feed,
                deliver=self._deliver,
                delivered=self._delivered,
            )
            self._newest_link = self._streams[effect.attempt].link
        except Exception as error:
            ended = happened.StreamEnded(
                effect.attempt, _STATUS_UNKNOWN, f"{type(error).__name__} when opening the call"
            )
            self._loop.call_soon(self.feed, ended)  # type: ignore[union-attr]

    def _wait_room(self) -> asyncio.Future[None]:
        if self._room is None:
            self._room = self._loop.create_future()  # type: ignore[union-attr]
        return self._room

    def _send_token(self, effect: do.SendToken) -> None:
        if stream := self._streams.get(effect.attempt):
            stream.send_token(effect.credential.reveal())

    def _send_pong(self, effect: do.SendPong) -> None:
        if stream := self._streams.get(effect.attempt):
            stream.send_pong(effect.id)

    def _close_stream(self, effect: do.CloseStream) -> None:
        if stream := self._streams.pop(effect.attempt, None):
            stream.close()

    def _renew_channel(self, effect: do.RenewChannel) -> None:
        self._transport.renew(self._newest_link, slower=effect.slower)
        if isinstance(self.status().last_error, ConnectError):
            self._spawn(self._diagnose(self._transport.examiner))

    async def _diagnose(self, examiner: Examiner) -> None:
        """Find out which step of connecting fails; the errors of the tries that follow carry it, too."""
        self._diagnosis = found = await examiner.diagnose()
        self._attach()
        what = f"{found.failed} fails: {found.message}; {found.hint}" if found.failed else "every step works now"
        # The same again is no news: a server may be away for hours.
        level = logging.WARNING if what != self._examined else logging.DEBUG
        self._examined = what
        _LOGGERS["stream"].log(
            level, "%s: examined the way to %s: %s", self.topic, found.server, what, extra=self._about()
        )

    def _attach(self) -> None:
        error = self.status().last_error
        if isinstance(error, ConnectError) and error.diagnosis is None:
            error.diagnosis = self._diagnosis

    def _fetch_history(self, effect: do.FetchHistory) -> None:
        self._asking = self._spawn(self._get_history(effect))

    def _renew_history(self, _: do.RenewHistory) -> None:
        if self._asking is not None:
            self._asking.cancel()
        if self._history is not None:
            self._history.renew()

    async def _get_history(self, effect: do.FetchHistory) -> None:
        assert self._history is not None
        outcome: happened.Input
        try:
            outcome = await self._history.fetch(self.topic, effect)
        except Exception as error:
            # Whatever it is, the machine waits for an answer.
            _LOGGERS["history"].exception("%s: internal error", self.topic, extra=self._about())
            failure = HistoryError(f"history gave no answer: {type(error).__name__}")
            failure.__cause__ = error
            outcome = happened.HistoryFailed(effect.request, failure)
        self.feed(outcome)
        if isinstance(outcome, happened.HistoryFailed) and isinstance(outcome.error, ConnectError):
            if self._history_unreached % CONNECT_FAILURES_PER_CHANNEL == 0:
                self._spawn(self._diagnose(self._history.examiner))
            self._history_unreached += 1
        else:
            self._history_unreached = 0

    def _save_checkpoint(self, effect: do.SaveCheckpoint) -> None:
        # Not in `_tasks`: a save under way is waited for when closing, not cancelled.
        self._saves = asyncio.ensure_future(self._save(effect.sequence, self._saves))

    async def _save(self, sequence: int, before: asyncio.Task[None] | None) -> None:
        if before is not None and not before.done():
            await asyncio.wait([before])
        assert self._store is not None
        _, error = await self._call_store(self._store.save, self.topic, sequence)
        if error is None:
            self.feed(happened.CheckpointSaved(sequence))
            return
        if not isinstance(error, CheckpointError):
            failure = CheckpointWriteFailed(
                f"the checkpoint of {self.topic} cannot be saved: {type(error).__name__}: {error}"
            )
            failure.__cause__ = error
            error = failure
        if self.machine.state is State.CLOSED:
            self._lost(str(error))
        self.feed(happened.CheckpointFailed(sequence, error))

    def _lost(self, why: str) -> None:
        """There is no next save that could make up for this one, and nobody who could be told otherwise."""
        _LOGGERS["checkpoint"].error(
            "%s: closed, and the last position may not be saved: %s; the next start repeats what was processed since",
            self.topic,
            why,
            extra=self._about(),
        )

    async def _call_store(self, method: Callable[..., Any], *arguments: Any) -> Outcome:
        return await call(method, *arguments, blocks=getattr(self._store, "blocking", False))

    def _run_resync(self, effect: do.Resync) -> None:
        self._spawn(self._call_resync(effect.expired))

    async def _call_resync(self, expired: SequenceExpired) -> None:
        assert self._resync is not None
        position, error = await call(self._resync, expired)
        if error is not None:
            self._crash("the resync function", error)
        elif position is not None and (isinstance(position, bool) or not isinstance(position, int) or position < 0):
            wrong = HandlerError(f"the resync function returned {position!r}: it must be a sequence or None", None)
            self.feed(happened.Crashed(wrong))
        else:
            self.feed(happened.Resynced(position))

    def _crash(self, what: str, error: BaseException) -> None:
        failure = HandlerError(f"{what} raised {type(error).__name__}", None)
        failure.__cause__ = error
        self.feed(happened.Crashed(failure))

    def _log(self, effect: do.Log) -> None:
        logger, level = _LOGGERS[effect.concern], _LEVELS[effect.level]
        if logger.isEnabledFor(level):
            logger.log(level, "%s: %s", self.topic, effect.text, extra=self._about())

    def _about(self) -> dict[str, object]:
        """What log records carry for those who filter them."""
        machine = self.machine
        return {"topic": self.topic, "state": machine.state.value, "attempt": machine.attempt}

    def _entered(self, effect: do.Entered) -> None:
        if _LOGGERS["stream"].isEnabledFor(logging.INFO):
            _LOGGERS["stream"].info("%s: %s, %s", self.topic, effect.state.value, effect.reason, extra=self._about())
        if effect.state is State.LIVE:
            self._diagnosis, self._examined = None, ""
        elif self._diagnosis is not None:
            self._attach()
        self._tell_watchers()
        if self._on_state is not None:
            try:
                self._on_state(effect.state, effect.reason)
            except Exception:
                _LOGGERS["stream"].exception("%s: on_state raised", self.topic, extra=self._about())
            except SystemExit as error:
                # Not an accident that could be passed over. Out of here it would end the loop and leave others waiting.
                self._loop.call_soon(self._crash, "on_state", error)  # type: ignore[union-attr]

    def _tell_watchers(self) -> None:
        for each in self._watchers:
            if not each.done():
                each.set_result(None)
        self._watchers.clear()

    def _finished(self, effect: do.Finished) -> None:
        self._wake()

    # ------------------------------------------------------------ consumer
    def take(self) -> tuple[Item, int] | None:
        """The next item and its ticket, None when there is none right now."""
        if not self._items or self._paused:
            return None
        found = self.machine.take()
        machine = self.machine
        if (machine.starved or machine.blocked) and len(self._items) <= machine.low_water:
            self.feed(happened.Drained())
        return found

    def take_after(self, done: int) -> tuple[Item, int] | None:
        """The same when the item before is processed, unless its ticket is 0; when there is none, that is still to be
        told.
        """
        if not self._items or self._paused:
            return None
        machine = self.machine
        found = machine.take_after(done, self._loop.time()) if done else machine.take()  # type: ignore[union-attr]
        if (machine.starved or machine.blocked) and len(self._items) <= machine.low_water:
            self.feed(happened.Drained())
        elif machine.deadline() != self._timer_at:
            self._settle()
        return found

    async def next(self) -> tuple[Item, int] | None:
        """The next item and its ticket; None once closed. Raises the cause of a failure, after what came before it.

        Cancelling it loses nothing: an item leaves the outbox in the step that returns it.
        """
        while True:
            if self._items and not self._paused:
                return self.take()
            if self.over():
                return None
            await self._wait()

    async def next_by(self, ends: float) -> tuple[Item, int] | None:
        """The same, until a time of the loop; then asyncio.TimeoutError. `wait_for` would not do: before Python 3.12 it
        swallows a cancellation that comes in the moment the item does.
        """
        late = False

        def give_up() -> None:
            nonlocal late
            late = True
            self._wake()

        timer = self._loop.call_at(ends, give_up)  # type: ignore[union-attr]
        try:
            while True:
                if self._items and not self._paused:
                    return self.take()
                if self.over():
                    return None
                if late:
                    raise asyncio.TimeoutError
                await self._wait()
        finally:
            timer.cancel()

    def over(self) -> bool:
        """Closed. Raises the cause of a failure, once what came before it is taken."""
        machine = self.machine
        if machine.state is State.FAILED and not self._items:
            assert machine.error is not None
            raise machine.error.with_traceback(None)
        return machine.state is State.CLOSED

    async def _wait(self) -> None:
        self.check()
        waiter = self._new_waiter()
        try:
            await waiter
        finally:
            if self._waiter is waiter:
                self._waiter = None

    def call_when_woken(self, function: Callable[[], None]) -> None:
        """Call it, soon, when there is an item to take, or none will come any more; for those who are no task."""

        def woken(waiter: asyncio.Future[None]) -> None:
            if not waiter.cancelled():
                function()

        self._new_waiter().add_done_callback(woken)

    def forget_call(self) -> None:
        """What `call_when_woken` was given is not called any more."""
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.cancel()

    def _new_waiter(self) -> asyncio.Future[None]:
        if self._waiter is not None:
            raise LifecycleError("another task is already waiting for this watch's next event")
        self._waiter = waiter = self._loop.create_future()  # type: ignore[union-attr]
        return waiter

    def pause(self) -> None:
        """Hand out nothing more. Whatever comes waits, and is spilled when there is too much of it."""
        self._paused = True

    def resume(self) -> None:
        """Hand out again."""
        self._paused = False
        self._wake()
        self._tell_watchers()

    async def wait_resumed(self) -> None:
        """Until it is not paused, or over."""
        while self._paused and self.machine.state not in (State.FAILED, State.CLOSED):
            await self.wait_changed()

    def seek(self, sequence: int) -> None:
        """Go on after `sequence`. What was handed out before no longer counts for the position."""
        if self.machine.state is State.CLOSED:
            raise WatchClosed("the watch is closed")
        if self.machine.state is State.FAILED:
            raise LifecycleError(f"the watch has failed, make a new one: {self.machine.error}")
        if self._loop is None:
            self._start_at = sequence
        else:
            self.check()
            self.feed(happened.Sought(sequence))

    def give_back(self, item: Item, ticket: int) -> None:
        """It was not processed and is handed out again, next."""
        self.machine.give_back(item, ticket)
        self._wake()

    def fail(self, error: BaseException) -> None:
        """The consumer cannot go on: it gets this error next, and no more items."""
        self.machine.outbox.clear()
        self.feed(happened.Crashed(error))

    @property
    def store(self) -> CheckpointStore | None:
        return self._store

    def position_after(self, ticket: int) -> int | None:
        """The restart point once this item, and all before it, will be processed."""
        return self.machine.watermark.after(ticket)

    def processed(self, ticket: int, *, all_before: bool = True) -> None:
        """The consumer is done with it."""
        machine = self.machine
        machine.processed(ticket, self._loop.time(), all_before=all_before)  # type: ignore[union-attr]
        if machine.deadline() != self._timer_at:
            self._settle()

    async def wait_changed(self) -> None:
        """Until a state is entered (or re-entered with another reason)."""
        self.check()
        future: asyncio.Future[None] = self._loop.create_future()  # type: ignore[union-attr]
        self._watchers.append(future)
        try:
            await future
        finally:
            if future in self._watchers:
                self._watchers.remove(future)

    def send_status(self, message: bytes) -> bool:
        """An agent status on the stream, if one stands."""
        stream = self._streams.get(self.machine.attempt)
        if stream is None or stream.closed:
            return False
        stream.send(message)
        return True

    def status(self) -> WatchStatus:
        """A picture, with times since the epoch."""
        offset = time.time() - self._loop.time() if self._loop is not None else 0.0
        found = self.machine.status(offset, keepalive_factor=self._transport.keepalive_factor)
        if self.handed:
            waiting = tuple(self.handed)
            size = found.buffered_bytes + sum(item.size for item, _ in waiting)
            found = replace(found, lag=found.lag + len(waiting), buffered_bytes=size)
        return replace(found, paused=True) if self._paused else found
