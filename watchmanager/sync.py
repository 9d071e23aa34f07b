"""The public API for threads. The same engine as `aio`, in one background thread a manager; same names, same order.

Items cross from that thread in small batches, so that a fast stream does not pay for a thread switch per event. What is
in a batch is not yet processed: the restart point moves when the next item is asked for.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Iterator, Mapping, MutableMapping
from contextlib import suppress
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from watchmanager._core.status import State, WatchStatus
from watchmanager._driver.engine import StateFunction
from watchmanager._driver.handover import Handover, Request
from watchmanager._driver.home import Home
from watchmanager.aio import (
    AsyncWatch,
    AsyncWatchManager,
    CommitLike,
    F,
    GoneLike,
    OnError,
    PoisonLike,
    StartLike,
    check_batches,
)
from watchmanager.auth import TokenLike
from watchmanager.checkpoints import CheckpointStore
from watchmanager.errors import LifecycleError, WatchClosed, WatchError
from watchmanager.events import Event, EventType, Item
from watchmanager.handlers import GapHandler, HandlerErrorLike, Key
from watchmanager.policy import TLS, Backoff, Buffer, History, Keepalive, Proxy

if TYPE_CHECKING:
    from watchmanager._driver.probe import Diagnosis
    from watchmanager.sql import Outcome, Transaction

T = TypeVar("T")

TELL_EVERY = 0.2
"""Seconds after which a consumer that works through a batch tells the engine how far it is."""


class WatchManager:
    """Watches topics of one server for one tenant, from any thread. See `AsyncWatchManager` for the arguments.

    The background thread starts with the first watch and ends with `close()`. It is a daemon: a program that forgets to
    close still ends, without saving the last positions. After a fork make a new manager in the child.
    """

    def __init__(
        self,
        address: str,
        *,
        tenant_id: str,
        token: TokenLike,
        insecure: bool = False,
        tls: TLS | None = None,
        proxy: Proxy | str | None = None,
        single_entry: str | None = None,
        checkpoints: CheckpointStore | MutableMapping[str, int] | None = None,
        history: History | bool = True,
        backoff: Backoff | None = None,
        keepalive: Keepalive | None = None,
        buffer: Buffer | None = None,
        user_agent: str = "",
        connect_timeout: float = 20.0,
        subscribe_grace: float = 1.0,
        token_timeout: float = 60.0,
        auth_attempts: int | None = None,
        treat_as_transient: Collection[str] = (),
        checkpoint_interval: float = 1.0,
        random: Random | None = None,
    ) -> None:
        self._manager = AsyncWatchManager(
            address,
            tenant_id=tenant_id,
            token=token,
            insecure=insecure,
            tls=tls,
            proxy=proxy,
            single_entry=single_entry,
            checkpoints=checkpoints,
            history=history,
            backoff=backoff,
            keepalive=keepalive,
            buffer=buffer,
            user_agent=user_agent,
            connect_timeout=connect_timeout,
            subscribe_grace=subscribe_grace,
            token_timeout=token_timeout,
            auth_attempts=auth_attempts,
            treat_as_transient=treat_as_transient,
            checkpoint_interval=checkpoint_interval,
            random=random,
        )
        self._portal = _Portal()
        self._watches: weakref.WeakSet[Watch] = weakref.WeakSet()
        self._closed = False
        self._stopped = False

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **arguments: Any) -> WatchManager:
        """A manager for what the environment says; see `AsyncWatchManager.from_env`."""
        from watchmanager.environment import settings

        return cls(**settings(os.environ if environment is None else environment, arguments))

    def watch(
        self,
        topic: str,
        *,
        start: StartLike | None = None,
        fallback: Literal["latest", "earliest"] = "latest",
        on_gone: GoneLike = "raise",
        on_poison: PoisonLike = "raise",
        on_error: OnError | None = None,
        commit: CommitLike = "on_next",
        on_state: StateFunction | None = None,
    ) -> Watch:
        """A watch of a topic; see `AsyncWatchManager.watch`. It starts with `with`, `ready()` or the first step of a
        `for`.

        `on_gone` may be a plain function; it, `on_error` and `on_state` are called in another thread than yours.
        """
        self._check()
        inner = self._manager.watch(
            topic,
            start=start,
            fallback=fallback,
            on_gone=on_gone,
            on_poison=on_poison,
            on_error=on_error,
            commit=commit,
            on_state=on_state,
        )
        watch = Watch(inner, self._portal, commit)
        self._watches.add(watch)
        return watch

    def history(self, topic: str, *, after: int | None = None, before: int | None = None) -> Iterator[Event]:
        """The events of the past, without a stream; see `AsyncWatchManager.history`."""
        self._check()
        pages = self._manager._pages(topic, after, before)

        def events() -> Iterator[Event]:
            while True:
                page = self._portal.run(_next_page(pages))
                if page is None:
                    return
                yield from page

        return events()

    def explain(self) -> str:
        """Which way is taken to the server, and why; see `AsyncWatchManager.explain`."""
        return self._manager.explain()

    def diagnose(self, topic: str | None = None) -> Diagnosis:
        """Walk the way to the server step by step; see `AsyncWatchManager.diagnose`."""
        self._check()
        return self._portal.run(self._manager.diagnose(topic))

    def on(
        self,
        *kinds: str,
        types: Collection[EventType] | EventType | None = None,
        group: str | None = None,
    ) -> Callable[[F], F]:
        """Decorates a function that `run` calls; see `AsyncWatchManager.on`. Plain functions run in threads of their
        own, coroutine functions in the background thread's loop.
        """
        return self._manager.on(*kinds, types=types, group=group)

    def run(
        self,
        topic: str,
        *,
        concurrency: int = 1,
        key: Key | None = None,
        on_handler_error: HandlerErrorLike = "stop",
        on_gap: GapHandler | None = None,
        backlog: int | None = None,
        drain: float = 10.0,
        slow_after: float | None = 30.0,
        start: StartLike | None = None,
        fallback: Literal["latest", "earliest"] = "latest",
        on_gone: GoneLike = "raise",
        on_poison: PoisonLike = "raise",
        on_error: OnError | None = None,
        on_state: StateFunction | None = None,
    ) -> None:
        """Watch a topic and call the functions registered with `on` until the manager is closed, by a handler or
        another thread; see `AsyncWatchManager.run`. Ctrl-C lets handlers end for `drain` seconds; another one does not.
        """
        from watchmanager._driver.runner import Rules

        rules = Rules(
            concurrency=concurrency,
            key=key,
            on_handler_error=on_handler_error,
            on_gap=on_gap,
            backlog=backlog,
            drain=drain,
            slow_after=slow_after,
        )
        watch = self.watch(
            topic,
            start=start,
            fallback=fallback,
            on_gone=on_gone,
            on_poison=on_poison,
            on_error=on_error,
            commit="manual",
            on_state=on_state,
        )
        runner = self._manager._runner(watch._inner, rules)
        try:
            self._portal.run(runner.run())
        except BaseException:
            self._portal.run(runner.stop())
            raise

    @property
    def watches(self) -> tuple[Watch, ...]:
        """Those not closed yet."""
        return tuple(each for each in self._watches if each.status.state is not State.CLOSED)

    def metrics(self) -> dict[str, float]:
        """Numbers of all watches and handlers; their names are in `watchmanager.metrics`."""
        return self._manager.metrics()

    def metrics_by_topic(self) -> dict[str, dict[str, float]]:
        """The same for each topic; see `AsyncWatchManager.metrics_by_topic`."""
        return self._manager.metrics_by_topic()

    def close(self) -> None:
        """Let handlers end, close all watches, then the connections and the thread. Twice is once. From inside a
        handler it only begins to: the handler has to end first.
        """
        if self._stopped:
            return
        self._portal.check()
        self._closed = True
        if any(each.is_inside() for each in self._manager._runners):
            if self._portal.is_here():
                self._manager._begin_to_close()
            else:
                self._portal.run(self._manager.close())
            return
        self._stopped = True
        for watch in tuple(self._watches):
            watch.close()
        self._portal.run(self._manager.close())
        self._portal.stop()

    def _check(self) -> None:
        self._portal.check()
        if self._closed:
            raise WatchClosed("the manager is closed")

    def __enter__(self) -> WatchManager:
        if self._closed:
            raise WatchClosed("the manager is closed")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class Watch:
    """The events of one topic, in order, each once. Iterate it from one thread; `close()` it from any.

    Iteration ends only after `close()`. Everything that ends a watch otherwise is raised, after the events before it.
    """

    def __init__(self, inner: AsyncWatch, portal: _Portal, commit: CommitLike) -> None:
        self._inner = inner
        self._engine = inner._engine
        self._portal = portal
        self._commit_on_next = commit == "on_next"
        self._handover = Handover(inner._engine)
        self._batch = self._handover.items
        self._ticket = 0  # of the item that was handed out last
        self._done = 0  # and of the last one that is known to be processed
        self._tickets: dict[int, int] = {}
        self._item: Item | None = None
        self._moves = 0  # of the position, by seek()
        self._paused = False
        self._told_at = 0.0
        self._waiting = threading.Lock()

    @property
    def topic(self) -> str:
        """selfLink of the topic."""
        return self._inner.topic

    @property
    def status(self) -> WatchStatus:
        """How it is right now."""
        return self._inner.status

    def ready(self, timeout: float | None = None) -> None:
        """Until everything published from now on is sure to arrive. Raises the cause when it fails, or when `timeout`
        seconds pass (TimeoutError when no cause is known).
        """
        try:
            self._portal.run(self._inner.ready(timeout))
        except asyncio.TimeoutError:
            raise TimeoutError(f"not ready within {timeout:g} s") from None

    def state_changes(self) -> Iterator[WatchStatus]:
        """The status now, and again when the state or its reason is another; see `AsyncWatch.state_changes`."""
        self.__enter__()
        while True:
            status = self.status
            yield status
            if status.state in (State.FAILED, State.CLOSED):
                return
            try:
                self._portal.run(self._inner._other_than(status))
            except (concurrent.futures.CancelledError, WatchClosed):
                yield self.status  # closed, loop and all
                return

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        return self._next(None)

    def _next(self, deadline: float | None) -> Item:
        """StopIteration once closed, TimeoutError when it is later than `deadline` by time.monotonic()."""
        while True:
            if self._paused:
                self._wait_resumed(_left(deadline))
            try:
                item, ticket = self._batch.popleft()
            except IndexError:
                if not self._fetch(_left(deadline)):
                    raise StopIteration from None
                continue
            self._item = item
            if self._commit_on_next:
                if self._ticket:
                    self._done = self._ticket
                    self._tell(self._done)
                self._ticket = ticket
            else:
                self._tickets[id(item)] = ticket
            return item

    def catch_up(self) -> Iterator[Item]:
        """The items until nothing is left that was published before: ends when the watch is live and everything is
        handed out.
        """
        try:
            while self._batch or not self._portal.run(self._settled()):
                try:
                    item = next(self)
                except StopIteration:
                    return
                yield item
            if self._commit_on_next and self._ticket:
                self._portal.run(self._processed(self._ticket))
                self._ticket = 0
        except WatchClosed:
            return  # by another thread, loop and all

    def until(self, predicate: Callable[[Item], bool], timeout: float | None = None) -> Item:
        """The first item for which `predicate` is true; those before it are consumed. TimeoutError after `timeout`."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            try:
                item = self._next(deadline)
            except StopIteration:
                raise WatchClosed("the watch was closed") from None
            if predicate(item):
                return item

    def batches(self, max: int = 100, within: float = 1.0) -> Iterator[list[Item]]:
        """Lists of up to `max` items, each at most `within` seconds after its first one came. Asking for the next list
        says that the one before is processed (with commit="manual", `commit` each item).
        """
        check_batches(max, within)
        while True:
            try:
                first = next(self)
            except StopIteration:
                return
            # Until the list is handed over, what is in it can go back.
            batch = [(first, self._ticket if self._commit_on_next else self._tickets.pop(id(first), 0))]
            self._ticket, moves = 0, self._moves
            ends = time.monotonic() + within
            try:
                while len(batch) < max:
                    try:
                        if not self._batch and not self._fetch(ends - time.monotonic()):
                            break
                    except (TimeoutError, WatchError):  # an error comes again with the next step
                        break
                    if self._paused:
                        break
                    with suppress(IndexError):  # a seek took them
                        batch.append(self._batch.popleft())
            except BaseException:
                if moves == self._moves:
                    self._batch.extendleft(reversed(batch))
                raise
            self._item, last = batch[-1]
            if self._commit_on_next:
                self._ticket = last
            else:
                self._tickets.update((id(item), ticket) for item, ticket in batch)
            yield [item for item, _ in batch]

    def pause(self) -> None:
        """Hand out no more items until `resume`. The stream stays, PINGs are answered, and what comes waits (or is left
        in history when there is too much of it). Twice is once.
        """
        self._paused = True
        self._inner.pause()

    def resume(self) -> None:
        """Hand out items again."""
        self._paused = False
        if not self._portal.post(self._inner.resume):
            self._inner.resume()

    def seek(self, sequence: int) -> None:
        """Go on after `sequence`, forwards or backwards: what waits is dropped, the restart point moves there, and a
        new stream is opened. What was handed out before can still be handled, but no longer moves the restart point.
        Raises LifecycleError when the watch has failed or history is switched off.
        """

        async def seek() -> None:
            self._inner.seek(sequence)
            self._batch.clear()
            self._ticket = self._done = 0
            self._moves += 1

        self._portal.run(seek())

    def commit(self, item: Item) -> None:
        """This item is processed (with commit="manual"; otherwise it is worth saying of the last one only). The restart
        point moves over the unbroken run of processed items. Raises WatchClosed: it is too late then.
        """
        if self._engine.machine.state is State.CLOSED:
            raise WatchClosed(f"the watch is closed, and sequence {item.sequence} comes again after a restart")
        if self._commit_on_next:
            if item is not self._item:
                return
            ticket, self._ticket = self._ticket, 0
        else:
            found = self._tickets.pop(id(item), None)
            if found is None:
                raise LifecycleError(
                    f"sequence {item.sequence} was not delivered by this watch, or is committed already"
                )
            ticket = found
        if ticket:
            self._portal.run(self._processed(ticket))

    def transaction(self, item: Item, connection: Any) -> Transaction:
        """`with watch.transaction(event, connection) as cursor:`: what the block writes and the position of the event
        are committed together, or not at all: then the event is handed out again. Of the items in hand it counts those
        before this one as processed, too: one transaction at a time, in order.

        `connection` is yours, of any DB-API 2.0 module, to the database of the manager's `SqlCheckpoints`. The block
        and the commit run in your thread. Raises CheckpointLocked when another watch took over, CheckpointWriteFailed
        when the database does not take it, ConfigError without SqlCheckpoints and with `History(confirm=True)`.
        """
        from watchmanager.sql import Transaction, transactional

        engine, portal = self._engine, self._portal
        store, ticket = transactional(engine.store, confirming=engine.machine.confirming), self._ticket_of(item)

        async def position() -> int | None:
            return engine.position_after(ticket)

        async def committed() -> None:
            engine.processed(ticket)

        async def over(error: BaseException) -> None:
            self._batch.clear()
            engine.fail(error)

        def settle(outcome: Outcome, error: BaseException | None) -> None:
            self._ticket = 0
            self._tickets.pop(id(item), None)
            if outcome == "committed":
                self._done = max(self._done, ticket)
                portal.run(committed())
            elif outcome == "rolled back":
                self._batch.appendleft((item, ticket))
            else:
                assert error is not None
                portal.run(over(error))

        return Transaction(store, connection, self.topic, engine.claim, item, lambda: portal.run(position()), settle)

    def _ticket_of(self, item: Item) -> int:
        found = self._tickets.get(id(item)) if not self._commit_on_next else self._ticket if item is self._item else 0
        if not found:
            raise LifecycleError(
                f"sequence {item.sequence} is not what this watch handed out last, or is committed already"
            )
        return found

    def metrics(self) -> dict[str, float]:
        """This watch in numbers; their names are in `watchmanager.metrics`."""
        return self._inner.metrics()

    def send_agent_status(self, state: str, message: str = "") -> bool:
        """Tell the server about this agent (protocol 4.8); False when no stream stands."""

        async def send() -> bool:
            return self._inner.send_agent_status(state, message)

        return self._portal.run(send())

    def close(self) -> None:
        """Stop and save the position. What is not yet handed out stays with the server. Twice is once."""
        self._portal.run(self._close(self._done))
        self._batch.clear()
        self._ticket = 0
        self._tickets.clear()

    def __enter__(self) -> Watch:
        async def start() -> None:
            self._engine.start()

        self._portal.run(start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---------------------------------------------------------------- inside
    def _fetch(self, timeout: float | None = None) -> bool:
        """Wait for a batch; False once closed. TimeoutError after `timeout`. Interrupted, it loses nothing: the batch
        is filled by the loop's thread, whether or not somebody still waits for it.
        """
        if not self._waiting.acquire(blocking=False):
            raise LifecycleError("another thread is already waiting for this watch's next event")
        try:
            ticket, self._ticket = self._ticket if self._commit_on_next else 0, 0
            request = Request()
            try:
                try:
                    self._portal.call(self._handover.ask, request, ticket)
                except WatchClosed:
                    if self._engine.machine.state is State.CLOSED:
                        return False  # by another thread, loop and all
                    raise
                answered = request.wait(timeout)
            except BaseException:
                self._portal.post(self._handover.withdraw, request)
                raise
            if not answered:
                self._portal.post(self._handover.withdraw, request)
                if not self._batch:
                    raise TimeoutError(f"nothing within {timeout:g} s")
            elif request.error is not None:
                raise request.error
            return not request.closed
        finally:
            self._waiting.release()

    def _wait_resumed(self, timeout: float | None) -> None:
        """What was fetched before the pause waits here; the engine holds back the rest. May raise TimeoutError."""

        async def resumed() -> None:
            await self._engine.wait_resumed()

        with suppress(WatchClosed):  # by another thread, loop and all: there is nothing to resume
            self._portal.run(resumed(), timeout)

    async def _settled(self) -> bool:
        """Wait until there is an item (False) or nothing is left to wait for (True)."""
        engine = self._engine
        engine.start()
        while True:
            machine = engine.machine
            if machine.outbox.items or machine.state in (State.FAILED, State.CLOSED):
                return False
            if machine.state is State.LIVE:
                return True
            await self._inner._either(engine)

    async def _close(self, done: int) -> None:
        if done and self._engine.started:
            self._engine.processed(done)
        await self._inner.close()

    async def _processed(self, ticket: int) -> None:
        self._engine.processed(ticket, all_before=self._commit_on_next)

    def _tell(self, ticket: int) -> None:
        now = time.monotonic()
        if now - self._told_at > TELL_EVERY:
            self._told_at = now
            self._portal.post(self._engine.processed, ticket)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - time.monotonic())


async def _next_page(pages: AsyncIterator[list[Event]]) -> list[Event] | None:
    """None after the last."""
    async for page in pages:
        return page
    return None


class _Portal:
    """One event loop in one daemon thread, made when it is first needed."""

    def __init__(self) -> None:
        self._home = Home("manager")
        self._lock = threading.RLock()  # a signal handler may close what its own thread is about to use
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopped = False

    def check(self) -> None:
        self._home.check_process()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine over there and wait for it; TimeoutError after `timeout` (it is cancelled then)."""
        try:
            with self._lock:
                future = asyncio.run_coroutine_threadsafe(work, self._running())
        except BaseException:
            work.close()
            raise
        try:
            return future.result(timeout)
        except (TimeoutError, concurrent.futures.TimeoutError):  # one and the same from 3.11 on
            if future.done():
                raise
            future.cancel()
            raise TimeoutError(f"nothing within {timeout:g} s") from None
        except BaseException:
            future.cancel()
            raise

    def is_here(self) -> bool:
        """Whether the caller is the loop's thread: a coroutine or a callback of the user's."""
        return threading.current_thread() is self._thread

    def call(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function over there, soon. What is called before `stop` is called."""
        with self._lock:
            self._running().call_soon_threadsafe(function, *arguments)

    def post(self, function: Callable[..., object], *arguments: object) -> bool:
        """The same; False when there is no loop (yet, or any more)."""
        with self._lock:
            if self._loop is None or self._stopped:
                return False
            self._loop.call_soon_threadsafe(function, *arguments)
            return True

    def stop(self) -> None:
        """End the loop and wait for the thread."""
        with self._lock:
            thread, stopped, self._stopped = self._thread, self._stopped, True
            if self._loop is None or thread is None:
                return
            if not stopped:
                self._loop.call_soon_threadsafe(self._loop.stop)
        if thread is not threading.current_thread():
            thread.join()

    def _running(self) -> asyncio.AbstractEventLoop:
        self.check()
        with self._lock:
            if self._stopped:
                raise WatchClosed("the manager is closed")
            if self._loop is None:
                started = threading.Event()
                self._thread = threading.Thread(target=self._main, args=(started,), name="watchmanager", daemon=True)
                self._thread.start()
                started.wait()
            assert self._loop is not None
            if self._thread is threading.current_thread():
                raise LifecycleError("a callback of the watch may not call the watch's blocking methods")
            return self._loop

    def _main(self, started: threading.Event) -> None:
        loop = asyncio.new_event_loop()
        self._loop = loop
        asyncio.set_event_loop(loop)
        loop.call_soon(started.set)
        try:
            while not self._stopped:
                # What users' coroutines raise is caught where they are called. Anything else that is no Exception ends
                # the loop: nobody would have an answer any more.
                with suppress(SystemExit, KeyboardInterrupt):
                    loop.run_forever()
            left = asyncio.all_tasks(loop)
            for task in left:
                task.cancel()
            loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.run_until_complete(loop.shutdown_default_executor())
        finally:
            asyncio.set_event_loop(None)
            loop.close()
