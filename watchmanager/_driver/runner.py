"""Handlers at work on a watch: several events at a time, those with the same key in order.

Events are taken while fewer than `backlog` are in hand; the rest waits in the watch, which is bounded, too. Every key
that has events is a lane: one task that works them off one by one. A lane needs one of `concurrency` slots while its
handler runs, and none while it waits to try again. Each event is committed when all its handlers are done, in whatever
order that happens: the watch moves its position over the unbroken prefix only.

However it ends, it winds down in the same order: take no more, let what runs end (for at most `drain` seconds), close
the watch, which saves the position. What was not finished is not committed and comes again after a restart.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, TypeAlias

from watchmanager._core.backoff import Pacer
from watchmanager._driver.tally import Tally
from watchmanager._driver.watchdog import Call, Watchdog
from watchmanager._driver.workers import Outcome, Workers, outcome
from watchmanager.decisions import HandlerDecision, HandlerRetry, Raise, Retry, Skip, Stop
from watchmanager.errors import ConfigError, HandlerError
from watchmanager.events import Event, Gap, GapReason
from watchmanager.handlers import GapHandler, HandlerErrorLike, Key, Registration, never_ran, resource_key

if TYPE_CHECKING:
    from watchmanager.aio import AsyncWatch

log = logging.getLogger("watchmanager.handler")


Observer: TypeAlias = Callable[[str, str, Event, int], Callable[["BaseException | None"], None]]
"""Told the topic, the handler, the event and the attempt before a call, and what was raised after it; both in the
context the handler runs in. May not raise.
"""


@dataclass(frozen=True, kw_only=True)
class Rules:
    """How to run; raises ConfigError."""

    concurrency: int = 1
    key: Key | None = None
    on_handler_error: HandlerErrorLike = "stop"
    on_gap: GapHandler | None = None
    backlog: int | None = None
    drain: float = 10.0
    slow_after: float | None = 30.0

    def __post_init__(self) -> None:
        for name in ("concurrency", "backlog"):
            value = getattr(self, name)
            if name == "backlog" and value is None:
                continue
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise ConfigError(f"{name} is {value!r}: it must be a whole number from 1")
        for name in ("drain", "slow_after"):
            value = getattr(self, name)
            if name == "slow_after" and value is None:
                continue
            low = value if isinstance(value, (int, float)) and not isinstance(value, bool) else -1
            if not 0 <= low < 1e9 or (name == "slow_after" and not low):
                raise ConfigError(f"{name} is {value!r}: it must be a number of seconds")
        for name in ("key", "on_gap"):
            if getattr(self, name) is not None and not callable(getattr(self, name)):
                raise ConfigError(f"{name} is {getattr(self, name)!r}: it must be a function")
        policy = self.on_handler_error
        if not (policy in ("stop", "retry", "skip") or isinstance(policy, HandlerRetry) or callable(policy)):
            raise ConfigError(
                f"on_handler_error is {policy!r}: write 'stop', 'retry', 'skip', HandlerRetry(...) or give a function"
            )


class Runner:
    """Runs handlers over one watch (with commit="manual"), once."""

    def __init__(
        self,
        watch: AsyncWatch,
        handlers: Sequence[Registration],
        rules: Rules,
        tally: Tally,
        random: Random,
        observer: Observer | None = None,
    ) -> None:
        self._watch = watch
        self._handlers = tuple(handlers)
        self._rules = rules
        self._tally = tally
        self._random = random
        self._observer = observer
        policy = rules.on_handler_error
        self._policy = HandlerRetry() if policy == "retry" else policy
        self._key = rules.key or resource_key
        self._backlog = rules.backlog or 16 * rules.concurrency
        self._workers = Workers(rules.concurrency, "watchmanager-handler")
        self._slots = asyncio.Semaphore(rules.concurrency)
        self._lanes: dict[Hashable, deque[Event]] = {}
        self._tasks: dict[asyncio.Task[None], Hashable] = {}
        self._in_hand = 0
        self._room: asyncio.Future[None] | None = None
        self._failure: BaseException | None = None
        self._stopping = False
        self._halt = asyncio.Event()
        self._main: asyncio.Task[None] | None = None
        self._watchdog: Watchdog | None = None

    async def run(self) -> None:
        """Until the watch is closed or fails, a handler fails for good, or it is cancelled."""
        if self._halt.is_set():
            return  # closed before it began
        self._main = asyncio.ensure_future(self._run())
        try:
            await asyncio.shield(self._main)
        except asyncio.CancelledError:
            self._halt.set()
            await self._main  # winds down within `drain`; cancelled once more, it is over at once
            raise

    def halt(self) -> None:
        """Take no more events and end as soon as what runs has ended."""
        self._stopping = True
        self._halt.set()

    async def stop(self) -> None:
        """`halt` and wait for it; from inside a handler only `halt`, or it would wait for itself."""
        self.halt()
        if self._main is None:
            await self._watch._finish()  # never run
        elif not self.is_inside():
            await asyncio.wait([self._main])

    @property
    def ended(self) -> bool:
        return self._main is not None and self._main.done()

    def is_inside(self) -> bool:
        """Called by one of its own handlers?"""
        return _inside.get() is self

    # ------------------------------------------------------------ intake
    async def _run(self) -> None:
        if self._rules.slow_after is not None:
            self._watchdog = Watchdog(self._watch.topic, self._rules.slow_after)
        intake = asyncio.ensure_future(self._take_in())
        halted = asyncio.ensure_future(self._halt.wait())
        try:
            await asyncio.wait([intake, halted], return_when=asyncio.FIRST_COMPLETED)
            if intake.done() and not self._stopping:
                # The watch is over. What it had delivered is still handled, as a loop over it would have done.
                while self._tasks and not self._halt.is_set():
                    await asyncio.wait([*self._tasks, halted], return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._stopping = True
            intake.cancel()
            halted.cancel()
            patience = self._rules.drain
            try:
                await asyncio.gather(intake, halted, return_exceptions=True)
            except asyncio.CancelledError:
                patience = 0.0  # cancelled once more
                raise
            finally:
                try:
                    await self._drain(patience)
                finally:
                    await self._end()
        if self._failure is not None:
            raise self._failure
        if not intake.cancelled() and (ended := intake.exception()) is not None:
            raise ended

    async def _take_in(self) -> None:
        async for item in self._watch:
            if isinstance(item, Gap):
                await self._pass_gap(item)
                continue
            wanted = [each for each in self._handlers if each.wants(item)]
            if not wanted:
                self._tally.unhandled += 1
                self._watch._commit(item)
                continue
            try:
                key = self._key(item)
                lane = self._lanes.get(key)
            except (Exception, SystemExit) as error:
                self._fail(item, error, f"the key function raised {type(error).__name__} for {item!r}")
                return
            self._in_hand += 1
            self._tally.queued += 1
            if lane is not None:
                lane.append(item)
            else:
                self._lanes[key] = deque((item,))
                task = asyncio.ensure_future(self._work_off(key))
                self._tasks[task] = key
                task.add_done_callback(self._lane_ended)
            while self._in_hand >= self._backlog:
                await self._wait_less()

    async def _wait_less(self) -> None:
        self._room = asyncio.get_running_loop().create_future()
        try:
            await self._room
        finally:
            self._room = None

    async def _pass_gap(self, gap: Gap) -> None:
        """Everything before a gap is handled before it, everything after it later."""
        while self._in_hand:
            await self._wait_less()
        on_gap = self._rules.on_gap
        if on_gap is None:
            log.warning(
                "%s: %r passes by, nobody handles gaps (on_gap)",
                self._watch.topic,
                gap,
                extra={"topic": self._watch.topic, "sequence": gap.sequence},
            )
        else:
            await self._tell_gap(gap)
        self._watch._commit(gap)

    async def _tell_gap(self, gap: Gap) -> None:
        on_gap = self._rules.on_gap
        assert on_gap is not None
        returned, error = await self._outcome(on_gap, gap)
        error = error or never_ran(returned)
        if error is not None:
            raise self._wrapped(error, gap, f"on_gap raised {type(error).__name__} for {gap!r}") from error

    async def _outcome(self, function: Callable[..., Any], *arguments: Any) -> Outcome:
        """What comes of a user's function that is no handler: in a handler's thread if it is a plain one."""
        if inspect.iscoroutinefunction(function):
            return await outcome(function(*arguments))
        value, error = await self._workers.start(function, *arguments).done
        if error is None and inspect.isawaitable(value):
            return await outcome(value)
        return value, error

    # ------------------------------------------------------------ lanes
    async def _work_off(self, key: Hashable) -> None:
        _inside.set(self)
        lane = self._lanes[key]
        try:
            while lane and not self._stopping:
                event = lane[0]
                if await self._handle(event):
                    self._watch._commit(event)
                elif self._stopping:
                    break
                lane.popleft()
                self._in_hand -= 1
                self._tally.queued -= 1
                if self._room is not None and not self._room.done():
                    self._room.set_result(None)
        finally:  # cancelled, too
            self._in_hand -= len(lane)
            self._tally.queued -= len(lane)
            del self._lanes[key]

    def _lane_ended(self, task: asyncio.Task[None]) -> None:
        del self._tasks[task]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failure = self._failure or error  # a bug of ours, not to be lost
            self.halt()

    async def _handle(self, event: Event) -> bool:
        """All handlers of an event, one after the other; True when it counts as processed."""
        begun = False
        for handler in self._handlers:
            if handler.wants(event):
                if not await self._call_until_done(handler, event, begun):
                    return False
                begun = True
        return True

    async def _call_until_done(self, handler: Registration, event: Event, begun: bool) -> bool:
        attempt = 0
        pacer: Pacer | None = None
        while True:
            attempt += 1
            async with self._slots:
                if self._stopping and (attempt > 1 or not begun):
                    return False
                error = await self._call(handler, event, attempt)
            if error is None:
                return True
            self._tally.errors += 1
            decision = await self._decide(error, event, attempt)
            if isinstance(decision, Skip):
                return await self._skip(handler, event, error, attempt)
            if isinstance(decision, Retry):
                delay = decision.delay
                if delay is None:
                    pacer = pacer or Pacer(self._retries.backoff, self._random)
                    delay = pacer.failed()
                log.warning(
                    "%s: handler %s failed at sequence %d (event %s), attempt %d; again in %.1f s: %s",
                    self._watch.topic,
                    handler.name,
                    event.sequence,
                    event.id,
                    attempt,
                    delay,
                    type(error).__name__,
                    extra={**self._about(handler, event), "attempt": attempt},
                )
                self._tally.retries += 1
                if not await self._pause(delay):
                    return False
                continue
            if isinstance(decision, Stop):
                self.halt()
            else:
                self._fail(event, error, f"handler {handler.name} raised {type(error).__name__} for {event!r}")
            return False

    async def _pause(self, delay: float) -> bool:
        """False when it was stopped meanwhile."""
        try:
            await asyncio.wait_for(self._halt.wait(), delay)
        except asyncio.TimeoutError:
            return True
        return False

    async def _call(self, handler: Registration, event: Event, attempt: int) -> BaseException | None:
        """Call it; what it raised, None when it did not."""
        if self._observer is None:
            return await self._call_it(handler, event)
        ended = self._observer(self._watch.topic, handler.name, event, attempt)
        error: BaseException | None = None
        try:
            error = await self._call_it(handler, event)
        except BaseException as cancelled:
            error = cancelled
            raise
        finally:
            ended(error)
        return error

    async def _call_it(self, handler: Registration, event: Event) -> BaseException | None:
        tally = self._tally
        tally.calls += 1
        tally.running += 1
        began = time.monotonic()
        call = self._watchdog.begin(handler.name, event) if self._watchdog is not None else None
        try:
            if handler.is_async:
                return await self._await(handler.function(event), call)
            job = self._workers.start(handler.function, event)
            if call is not None:
                call.job = job
            value, error = await job.done
            if error is None and inspect.isawaitable(value):
                if call is not None:
                    call.job = None
                return await self._await(value, call)
            return error or never_ran(value)
        finally:
            if call is not None and self._watchdog is not None:
                self._watchdog.end(call)
            tally.running -= 1
            tally.seconds += time.monotonic() - began

    async def _await(self, work: Any, call: Call | None) -> BaseException | None:
        if call is not None:
            call.coroutine = work
        try:
            return never_ran(await work)
        except asyncio.CancelledError as error:
            if self._cancelling:
                raise
            return error  # something the handler itself waited for was cancelled
        except (Exception, SystemExit) as error:  # out of here SystemExit would end the loop, and run() not return
            return error

    # ------------------------------------------------------------ errors
    @property
    def _retries(self) -> HandlerRetry:
        return self._policy if isinstance(self._policy, HandlerRetry) else HandlerRetry()

    async def _decide(self, error: BaseException, event: Event, attempt: int) -> HandlerDecision:
        policy = self._policy
        if not isinstance(error, Exception) or policy == "stop":
            return Raise()
        if policy == "skip":
            return Skip()
        if isinstance(policy, HandlerRetry):
            if attempt < policy.attempts:
                return Retry()
            return Skip() if policy.then == "skip" else Raise()
        assert callable(policy)
        found, raised = await self._outcome(policy, error, event, attempt)
        if raised is not None:
            raised.__context__ = error
            self._fail(event, raised, f"on_handler_error raised {type(raised).__name__} for {event!r}")
            return Stop()
        if isinstance(found, (Retry, Raise, Stop, Skip)):
            return found
        wrong = ConfigError(f"on_handler_error returned {found!r}: it must be Retry(), Raise(), Stop() or Skip()")
        wrong.__context__ = error
        self._fail(event, wrong, str(wrong))
        return Stop()

    async def _skip(self, handler: Registration, event: Event, error: BaseException, attempt: int) -> bool:
        self._tally.skipped += 1
        log.error(
            "%s: handler %s failed at sequence %d (event %s), attempt %d; skipped",
            self._watch.topic,
            handler.name,
            event.sequence,
            event.id,
            attempt,
            exc_info=error,
            extra={**self._about(handler, event), "attempt": attempt},
        )
        if self._rules.on_gap is not None:
            try:
                await self._tell_gap(Gap(event.sequence - 1, event.sequence, GapReason.SKIPPED))
            except HandlerError as failure:
                self._failure = self._failure or failure
                self.halt()
                return False
        return True

    def _about(self, handler: Registration, event: Event) -> dict[str, object]:
        return {
            "topic": self._watch.topic,
            "handler": handler.name,
            "sequence": event.sequence,
            "event_id": event.id,
        }

    def _wrapped(self, error: BaseException, about: object, message: str) -> HandlerError:
        failure = HandlerError(message, about)
        failure.topic = self._watch.topic
        failure.__cause__ = error
        return failure

    def _fail(self, event: Event, error: BaseException, message: str) -> None:
        """The first failure is raised by `run`, further ones are only logged."""
        failure = self._wrapped(error, event, message)
        if self._failure is None:
            self._failure = failure
        else:
            log.error("%s: %s", self._watch.topic, message, exc_info=error, extra={"topic": self._watch.topic})
        self.halt()

    # ------------------------------------------------------------ end
    _cancelling = False

    async def _end(self) -> None:
        self._workers.stop()
        if self._watchdog is not None:
            self._watchdog.stop()
        await self._watch._finish()

    async def _drain(self, patience: float) -> None:
        if self._tasks:
            try:
                await asyncio.wait([*self._tasks], timeout=patience)
            finally:
                self._cancelling = True
                left = [*self._tasks]
                for task in left:
                    task.cancel()
                if left:
                    unfinished = sorted(
                        lane[0].sequence for lane in (self._lanes[self._tasks[task]] for task in left) if lane
                    )
                    log.warning(
                        "%s: closing without waiting for the handlers of %s, which have had %g s; "
                        "these events are not committed",
                        self._watch.topic,
                        unfinished,
                        patience,
                        extra={"topic": self._watch.topic},
                    )
                    await asyncio.gather(*left, return_exceptions=True)


def leave_runner() -> None:
    """What follows in this task does not belong to the handler that started it."""
    _inside.set(None)


_inside: ContextVar[Runner | None] = ContextVar("watchmanager_runner", default=None)
