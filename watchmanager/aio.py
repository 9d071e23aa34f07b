"""The public API for asyncio. Its blocking twin is `sync`: same names, same order."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Mapping, MutableMapping
from dataclasses import asdict, replace
from random import Random
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from watchmanager import metrics
from watchmanager._core.address import parse_address, topic_link
from watchmanager._core.classify import CODES
from watchmanager._core.machine import Machine, Settings
from watchmanager._core.proxies import Target
from watchmanager._core.status import State, WatchStatus
from watchmanager._driver.engine import Engine, ResyncFunction, StateFunction
from watchmanager._driver.history import HistoryClient
from watchmanager._driver.home import Home
from watchmanager._driver.http import ask_clock
from watchmanager._driver.pages import read_pages
from watchmanager._driver.route import Route
from watchmanager._driver.tally import Tally
from watchmanager._driver.transport import Transport
from watchmanager._wire import codec
from watchmanager.auth import TokenLike, TokenSource
from watchmanager.checkpoints import CheckpointStore, MappingCheckpoints
from watchmanager.decisions import Decision
from watchmanager.errors import ConfigError, LifecycleError, WatchClosed, WatchError
from watchmanager.events import Event, EventType, Item
from watchmanager.handlers import GapHandler, Handler, HandlerErrorLike, Key, Registration, register
from watchmanager.policy import TLS, Backoff, Buffer, History, Keepalive, Proxy

if TYPE_CHECKING:
    from watchmanager._driver.probe import Diagnosis
    from watchmanager._driver.runner import Observer, Rules, Runner
    from watchmanager.sql import Outcome, Transaction

StartLike: TypeAlias = Literal["checkpoint", "latest", "earliest"] | int
GoneLike: TypeAlias = Literal["raise", "skip", "earliest"] | ResyncFunction
PoisonLike: TypeAlias = Literal["raise", "skip"]
OnError: TypeAlias = Callable[[WatchError, int], "Decision | None"]
CommitLike: TypeAlias = Literal["on_next", "manual"]
F = TypeVar("F", bound=Handler)

VERSION = "0.1.0"
STREAK = 64
"""Items handed over in a row before others get their turn on the loop."""


class AsyncWatchManager:
    """Watches topics of one server for one tenant. Opens nothing before a watch starts; belongs to one event loop.

    `address`: `https://host[:port]`, `host:port` (TLS) or `http://host:port` (plain text, as `insecure=True` does).
    `token`: a JWT, a function or coroutine function that returns one (or a `Token`), or an object with `fetch(fresh)`.
    `checkpoints`: a `CheckpointStore`, or any mutable mapping from topic to sequence. `history`: False does without the
    history service: then nothing is caught up after a broken stream. Raises ConfigError for arguments that cannot be
    meant.
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
        self._address = parse_address(address, insecure=insecure)
        if tls is not None and not self._address.secure:
            raise ConfigError(f"tls is given, but {self._address.url} is plain text: write https:// or drop tls")
        if not isinstance(tenant_id, str) or not tenant_id.strip():
            raise ConfigError("tenant_id is empty: give the organization id as text")
        if not tenant_id.isascii() or not tenant_id.isprintable():
            raise ConfigError("tenant_id holds characters that no header can carry")
        for name, value in (
            ("connect_timeout", connect_timeout),
            ("subscribe_grace", subscribe_grace),
            ("token_timeout", token_timeout),
            ("checkpoint_interval", checkpoint_interval),
        ):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < 86_400:
                raise ConfigError(f"{name} is {value!r}: it must be a number of seconds above 0")
        if auth_attempts is not None and (
            isinstance(auth_attempts, bool) or not isinstance(auth_attempts, int) or auth_attempts < 1
        ):
            raise ConfigError(f"auth_attempts is {auth_attempts!r}: it must be a whole number from 1, or None")
        if not isinstance(user_agent, str) or not user_agent.isascii() or not (user_agent + " ").isprintable():
            raise ConfigError(f"user_agent is {user_agent!r}: it must be text that a header can carry")
        for name, given, kinds, write in (
            ("tls", tls, (TLS,), "TLS(...)"),
            ("proxy", proxy, (Proxy, str), "Proxy(...) or its URL"),
            ("history", history, (History, bool), "History(...), True or False"),
            ("backoff", backoff, (Backoff,), "Backoff(...)"),
            ("keepalive", keepalive, (Keepalive,), "Keepalive(...)"),
            ("buffer", buffer, (Buffer,), "Buffer(...)"),
            ("random", random, (Random,), "random.Random(...)"),
        ):
            if given is not None and not isinstance(given, kinds):
                shown = type(given).__name__ if name == "proxy" else repr(given)  # may hold a password
                raise ConfigError(f"{name} is {shown}: give {write}")
        if not (
            checkpoints is None
            or isinstance(checkpoints, MutableMapping)
            or all(callable(getattr(checkpoints, method, None)) for method in ("load", "save", "close"))
        ):
            raise ConfigError(
                f"checkpoints is {checkpoints!r}: give FileCheckpoints(path), SqlCheckpoints(...), a dict, "
                "or an object with load, save and close"
            )
        if isinstance(treat_as_transient, str):
            raise ConfigError(f"treat_as_transient is {treat_as_transient!r}: give a list of names of gRPC codes")
        for code in treat_as_transient:
            if code not in CODES:
                raise ConfigError(
                    f"treat_as_transient holds {code!r}: write names of gRPC codes, such as PERMISSION_DENIED"
                )
        self._tenant = tenant_id.strip()
        self._tokens = TokenSource(
            token, timeout=token_timeout, ask_clock=lambda skew: ask_clock(self._history_route, skew)
        )
        self._tls = (tls or TLS()) if self._address.secure else None
        self._proxy = Proxy(url=proxy) if isinstance(proxy, str) else proxy
        self._single_entry = (
            None if single_entry is None else parse_address(single_entry, insecure=not self._address.secure)
        )
        self._store = MappingCheckpoints(checkpoints) if isinstance(checkpoints, MutableMapping) else checkpoints
        self._history_policy = (History() if history else None) if isinstance(history, bool) else history
        self._backoff = backoff or Backoff()
        self._keepalive = keepalive or Keepalive()
        self._buffer = buffer or Buffer()
        self._user_agent = f"{user_agent} watchmanager-python/{VERSION}".strip()
        self._connect_timeout = float(connect_timeout)
        self._grace = float(subscribe_grace)
        self._auth_attempts = auth_attempts if auth_attempts is not None else (2 if self._tokens.fixed else 20)
        self._transient = frozenset(treat_as_transient)
        self._checkpoint_interval = checkpoint_interval
        self._random = random or Random()
        self._transport: Transport | None = None
        self._history: HistoryClient | None = None
        self._watches: list[AsyncWatch] = []
        self._handlers: list[Registration] = []
        self._runners: list[Runner] = []
        # By topic: what its handlers did, and the counters of watches that are closed.
        self._tallies: defaultdict[str, Tally] = defaultdict(Tally)
        self._gone: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._observer: Observer | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed = False
        self._home = Home("manager")
        # Reads the files of `tls` and the environment, so that what is wrong with them shows here.
        server = Target(self._address.host, self._address.port, self._address.secure)
        self._route = self._route_to(server)
        url = self._history_policy.url if self._history_policy is not None else None
        harvester = server if url is None else Target.from_url(url)
        self._history_route = self._route if harvester == server else self._route_to(harvester)

    @classmethod
    def from_env(cls, environment: Mapping[str, str] | None = None, **arguments: Any) -> AsyncWatchManager:
        """A manager for what the environment says (`watchmanager.environment` lists the variables); `arguments` come
        before it. Raises ConfigError naming the variable that is missing.
        """
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
    ) -> AsyncWatch:
        """A watch of a topic, given by name or selfLink. It starts with `async with`, `ready()` or the first `async
        for` step.

        `start`: "latest" (events from now on), "earliest" (everything the server keeps), a sequence (what comes after
        it), or "checkpoint" (where the last watch with this store stopped, else `fallback`), which is the default with
        `checkpoints`. `on_gone`, when the server no longer keeps what was not yet seen: "raise" `SequenceExpired`,
        "skip" to its newest event or go on with the "earliest" kept one (both deliver a `Gap`), or call a function with
        the error: what it returns is the sequence to go on after, None for the server's newest. `on_poison`, when an
        event can be read neither from the stream nor from history: "raise" what is wrong with it, or "skip" it and
        deliver a `Gap`. `on_error` is asked about every other error that ends a stream or a request, with the number of
        errors in a row (without a word from the server between them): it returns `Retry(delay)`, `Raise()`, `Stop()`,
        or None for what we would do. It runs in the loop: decide, do not wait. `commit`: "on_next" counts an event as
        processed when the next one is asked for; "manual" waits for `commit(event)`. Raises ConfigError, InvalidTopic,
        WatchClosed.
        """
        self._check()
        link = topic_link(topic)
        if start is None:
            start = "checkpoint" if self._store is not None else "latest"
        if start == "checkpoint" and self._store is None:
            raise ConfigError(
                "start is 'checkpoint', but the manager has no checkpoints: give checkpoints=FileCheckpoints(...)"
            )
        if isinstance(start, bool) or not (
            start in ("checkpoint", "latest", "earliest") or (isinstance(start, int) and start >= 0)
        ):
            raise ConfigError(f"start is {start!r}: write 'latest', 'earliest', 'checkpoint' or a sequence from 0")
        if start == "earliest" and self._history_policy is None:
            raise ConfigError("start is 'earliest', but history is switched off")
        if fallback not in ("latest", "earliest"):
            raise ConfigError(f"fallback is {fallback!r}: write 'latest' or 'earliest'")
        if not callable(on_gone) and on_gone not in ("raise", "skip", "earliest"):
            raise ConfigError(f"on_gone is {on_gone!r}: write 'raise', 'skip', 'earliest' or give a function")
        if on_poison not in ("raise", "skip"):
            raise ConfigError(f"on_poison is {on_poison!r}: write 'raise' or 'skip'")
        if on_error is not None and not callable(on_error):
            raise ConfigError(f"on_error is {on_error!r}: give a function of the error and their number in a row")
        if on_state is not None and not callable(on_state):
            raise ConfigError(f"on_state is {on_state!r}: give a function of the state and its reason")
        if commit not in ("on_next", "manual"):
            raise ConfigError(f"commit is {commit!r}: write 'on_next' or 'manual'")
        settings = Settings(
            topic=link,
            backoff=self._backoff,
            keepalive=self._keepalive,
            buffer=self._buffer,
            history=self._history_policy,
            on_gone="ask" if callable(on_gone) else on_gone,
            on_poison=on_poison,
            on_error=on_error,
            transient=self._transient,
            connect_timeout=self._connect_timeout,
            subscribe_grace=self._grace,
            auth_attempts=self._auth_attempts,
            checkpointing=self._store is not None,
            checkpoint_interval=self._checkpoint_interval,
        )
        self._open()
        assert self._transport is not None
        engine = Engine(
            Machine(settings, Random(self._random.getrandbits(64))),
            link,
            transport=self._transport,
            history=self._history,
            tokens=self._tokens,
            store=self._store,
            start_at=start,
            fallback=fallback,
            resync=on_gone if callable(on_gone) else None,
            on_state=on_state,
            manager=self._home,
            # Those in a database tell watches apart by themselves: there the later one goes on.
            is_held=None if self._in_database() else lambda: self._is_held(link),
        )
        watch = AsyncWatch(engine, commit)
        for each in self._watches:
            if each.status.state is State.CLOSED:
                self._gone[each.topic].update(metrics.counters(each.status))
        self._watches = [each for each in self._watches if each.status.state is not State.CLOSED]
        self._watches.append(watch)
        return watch

    def history(self, topic: str, *, after: int | None = None, before: int | None = None) -> AsyncIterator[Event]:
        """The events of the past with `after` < sequence < `before`, without a stream; None stands for the oldest kept
        and for the newest there is when it is reached.

        Raises SequenceExpired when the server does not keep what comes after `after`, DecodeError (with `sequence`, to
        go on after it) for an event that cannot be read, HistoryError when asking several times does not help.
        """
        pages = self._pages(topic, after, before)

        async def events() -> AsyncIterator[Event]:
            self._home.enter()
            async for page in pages:
                for event in page:
                    yield event

        return events()

    def _pages(self, topic: str, after: int | None, before: int | None) -> AsyncIterator[list[Event]]:
        self._check()
        if self._history_policy is None:
            raise ConfigError("history is switched off for this manager")
        for name, value in (("after", after), ("before", before)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 0):
                raise ConfigError(f"{name} is {value!r}: it must be a sequence, or None")
        link = topic_link(topic)
        self._open()
        assert self._history is not None
        return read_pages(
            self._history,
            self._tokens,
            link,
            after=after,
            before=before,
            page_size=self._history_policy.page_size,
            backoff=self._backoff,
            random=Random(self._random.getrandbits(64)),
        )

    def _route_to(self, target: Target) -> Route:
        """The single entry stands for every name of the server, so for a history with another name, too."""
        entry = self._single_entry
        tls = self._tls
        if tls is not None and target.host != self._address.host:
            tls = replace(tls, server_name=None)  # it is the name of the server at the address
        return Route(
            target,
            tls=tls,
            proxy=self._proxy,
            single_entry=None if entry is None else Target(entry.host, entry.port),
            connect_timeout=self._connect_timeout,
        )

    def explain(self) -> str:
        """Which way is taken to the server, and why: proxy, single entry, who speaks TLS. Holds no password."""
        return self._route.explain()

    async def diagnose(self, topic: str | None = None) -> Diagnosis:
        """Walk the way to the server step by step, from its name to reading `topic` (a name or selfLink; None: up to
        the token), and tell which step fails. Never raises for a failed step, InvalidTopic for what can be no topic. No
        step takes longer than `connect_timeout`.
        """
        from watchmanager._driver.probe import diagnose

        self._check()
        self._home.enter()

        async def token() -> tuple[str, float | None]:
            credential, life = await self._tokens.get(None)
            return credential.reveal(), life

        url = self._history_policy.url if self._history_policy is not None else None
        return await diagnose(
            self._route,
            token=token,
            topic=None if topic is None else topic_link(topic),
            tenant=self._tenant,
            history=self._history_route,
            history_url=url,
            seconds=self._connect_timeout,
        )

    def _in_database(self) -> bool:
        if self._store is None:
            return False
        from watchmanager.sql import SqlCheckpoints

        return isinstance(self._store, SqlCheckpoints)

    def _is_held(self, topic: str) -> bool:
        over = (State.FAILED, State.CLOSED)
        return any(
            each.topic == topic and each._engine.holds and each._engine.machine.state not in over
            for each in self._watches
        )

    def _check(self) -> None:
        self._home.check_process()
        if self._closed:
            raise WatchClosed("the manager is closed")

    def _open(self) -> None:
        """Objects that connect later; made here because only here everything is known."""
        if self._transport is None:
            self._transport = Transport(
                self._route, tenant=self._tenant, user_agent=self._user_agent, keepalive=self._keepalive
            )
        if self._history is None and self._history_policy is not None:
            self._history = HistoryClient(
                self._history_policy.url or self._address.url,
                self._tenant,
                self._user_agent,
                self._history_policy,
                self._history_route,
                self._tokens.skew,
                self._transport.examiner if self._history_route is self._route else None,
            )

    def on(
        self,
        *kinds: str,
        types: Collection[EventType] | EventType | None = None,
        group: str | None = None,
    ) -> Callable[[F], F]:
        """Decorates a function that `run` calls for events about resources of these kinds (none: of all kinds), of
        these types (None: all), of this group (None: any).

        Coroutine functions run in the loop, plain functions in threads. What several functions want, they get one after
        the other in the order they were decorated. Raises ConfigError.
        """

        def decorate(function: F) -> F:
            self._handlers.append(register(function, kinds, types, group))
            return function

        return decorate

    async def run(
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
        """Watch a topic and call the functions registered with `on` until the manager is closed.

        `concurrency` events are handled at a time, those with the same `key` (default: the resource) in order;
        `backlog` (default: 16 for each) are in hand at most, the rest waits in the watch. The restart point never
        passes an event that is not handled; events nobody wants count as handled.

        `on_handler_error`: "stop" ends with HandlerError; "retry" (or `HandlerRetry(...)`) calls again, then stops;
        "skip" logs and goes on, telling `on_gap`; or a function of the error, the event and the attempt that returns
        `Retry`, `Skip`, `Raise` or `Stop`. `on_gap` is called with a `Gap`, after everything before it is handled.
        However it ends, what is being handled has `drain` seconds to end. After `slow_after` seconds a handler's stack
        is logged (`watchmanager.handler`). The other arguments are those of `watch`. Raises what ends the watch.
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
        await self._runner(watch, rules).run()

    def _runner(self, watch: AsyncWatch, rules: Rules) -> Runner:
        from watchmanager._driver.runner import Runner

        if not self._handlers:
            raise ConfigError("no handlers: decorate a function with @manager.on(...) before run()")
        runner = Runner(
            watch,
            self._handlers,
            rules,
            self._tallies[watch.topic],
            Random(self._random.getrandbits(64)),
            self._observer,
        )
        watch._runner = runner
        self._runners = [each for each in self._runners if not each.ended]
        self._runners.append(runner)
        return runner

    @property
    def watches(self) -> tuple[AsyncWatch, ...]:
        """Those not closed yet."""
        return tuple(each for each in self._watches if each.status.state is not State.CLOSED)

    def metrics(self) -> dict[str, float]:
        """Numbers of all watches and handlers; their names are in `watchmanager.metrics`."""
        return metrics.of_manager(self.metrics_by_topic().values(), self._tokens.skew.seconds)

    def metrics_by_topic(self) -> dict[str, dict[str, float]]:
        """The same for each topic, by selfLink, those of closed watches included. From any thread."""
        found: dict[str, dict[str, float]] = {}
        now = time.time()
        watches = tuple(self._watches)
        for topic in dict.fromkeys((*tuple(self._gone), *(each.topic for each in watches))):
            gone = Counter(self._gone.get(topic, {}))
            still: list[WatchStatus] = []
            for status in (each.status for each in watches if each.topic == topic):
                if status.state is State.CLOSED:
                    gone.update(metrics.counters(status))
                else:
                    still.append(status)
            tally = self._tallies.get(topic) or Tally()
            found[topic] = metrics.of_topic(still, gone, asdict(tally), now)
        return found

    async def close(self) -> None:
        """Let handlers end, close all watches, then the connections. Twice is once. From inside a handler it only
        begins to: the handler has to end first.
        """
        self._home.check()
        closing = self._begin_to_close()
        if not any(each.is_inside() for each in self._runners):
            await asyncio.shield(closing)

    def _begin_to_close(self) -> asyncio.Task[None]:
        self._closed = True
        for each in self._runners:
            each.halt()  # at once: a handler that ends in the next turn of the loop makes no room for another
        if self._closing is None:
            self._closing = asyncio.ensure_future(self._close())
        return self._closing

    async def _close(self) -> None:
        if self._runners:
            from watchmanager._driver.runner import leave_runner

            leave_runner()
        await asyncio.gather(*(each.stop() for each in self._runners))
        await asyncio.gather(*(each.close() for each in self._watches))
        await self._tokens.aclose()
        if self._history is not None:
            await self._history.aclose()
        if self._transport is not None:
            await self._transport.aclose()
        if self._store is not None:
            found = self._store.close()
            if found is not None:
                await found

    async def __aenter__(self) -> AsyncWatchManager:
        if self._closed:
            raise WatchClosed("the manager is closed")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def check_batches(max: int, within: float) -> None:
    """Raises ConfigError."""
    if isinstance(max, bool) or not isinstance(max, int) or max < 1:
        raise ConfigError(f"max is {max!r}: it must be a whole number from 1")
    if isinstance(within, bool) or not isinstance(within, (int, float)) or not 0 <= within < 86_400:
        raise ConfigError(f"within is {within!r}: it must be a number of seconds from 0")


class AsyncWatch:
    """The events of one topic, in order, each once. Iterate it; leave the loop or `close()` it when done.

    Iteration ends only after `close()`. Everything that ends a watch otherwise is raised, after the events before it.
    """

    def __init__(self, engine: Engine, commit: CommitLike) -> None:
        self._engine = engine
        self._commit_on_next = commit == "on_next"
        self._ticket = 0
        self._streak = 0
        self._tickets: dict[int, int] = {}
        self._item: Item | None = None
        self._runner: Runner | None = None

    @property
    def topic(self) -> str:
        """selfLink of the topic."""
        return self._engine.topic

    @property
    def status(self) -> WatchStatus:
        """How it is right now."""
        return self._engine.status()

    async def ready(self, timeout: float | None = None) -> None:
        """Until everything published from now on is sure to arrive. Raises the cause when it fails, or when `timeout`
        seconds pass (asyncio.TimeoutError when no cause is known).
        """
        self._engine.start()
        machine = self._engine.machine
        try:
            await asyncio.wait_for(self._until_live(), timeout)
        except asyncio.TimeoutError:
            cause = self.status.last_error
            if cause is not None:
                raise cause.with_traceback(None) from cause.__cause__
            raise
        if machine.state is State.FAILED:
            assert machine.error is not None
            raise machine.error.with_traceback(None)
        if machine.state is State.CLOSED:
            raise WatchClosed("the watch was closed before it was ready")

    async def _until_live(self) -> None:
        machine = self._engine.machine
        while not machine.ready and machine.state not in (State.FAILED, State.CLOSED):
            await self._engine.wait_changed()

    async def state_changes(self) -> AsyncIterator[WatchStatus]:
        """The status now, and again when the state or its reason is another, until the watch has failed or is closed.
        Who looks rarely sees the latest and not every one between; `on_state` is called for each.
        """
        self._engine.start()
        while True:
            status = self.status
            yield status
            if status.state in (State.FAILED, State.CLOSED):
                return
            await self._other_than(status)

    async def _other_than(self, seen: WatchStatus) -> None:
        while True:
            now = self.status
            if (now.state, now.why, now.attempt) != (seen.state, seen.why, seen.attempt):
                return
            await self._engine.wait_changed()

    def __aiter__(self) -> AsyncIterator[Item]:
        return self

    async def __anext__(self) -> Item:
        engine = self._engine
        if not engine.started:
            engine.start()
        self._streak += 1
        # Asking for the next says that the one before is done.
        found = engine.take_after(self._ticket) if self._streak < STREAK else None
        if found is None:
            if self._ticket:
                engine.processed(self._ticket)
                self._ticket = 0
            if self._streak >= STREAK:
                # A handler that never waits would keep everybody else off the loop, answers to PINGs among them.
                await asyncio.sleep(0)
            self._streak = 0
            found = await engine.next()
            if found is None:
                raise StopAsyncIteration
        self._item, ticket = found
        if self._commit_on_next:
            self._ticket = ticket
        else:
            self._tickets[id(self._item)] = ticket
        return self._item

    async def catch_up(self) -> AsyncIterator[Item]:
        """The items until nothing is left that was published before: ends when the watch is live and everything is
        handed out.
        """
        engine = self._engine
        engine.start()
        while True:
            machine = engine.machine
            if not machine.outbox.items:
                if machine.state is State.LIVE:
                    if self._commit_on_next and self._ticket:
                        engine.processed(self._ticket)
                        self._ticket = 0
                    return
                if machine.state not in (State.FAILED, State.CLOSED):
                    await self._either(engine)
                    continue
            try:
                item = await self.__anext__()
            except StopAsyncIteration:
                return
            yield item

    @staticmethod
    async def _either(engine: Engine) -> None:
        """Until there is an item or another state."""
        changed = asyncio.ensure_future(engine.wait_changed())
        arrived = asyncio.ensure_future(engine._wait())
        try:
            await asyncio.wait([changed, arrived], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (changed, arrived):
                each.cancel()
            await asyncio.gather(changed, arrived, return_exceptions=True)

    async def until(self, predicate: Callable[[Item], bool], timeout: float | None = None) -> Item:
        """The first item for which `predicate` is true; those before it are consumed. asyncio.TimeoutError after
        `timeout`.
        """

        async def search() -> Item:
            async for item in self:
                if predicate(item):
                    return item
            raise WatchClosed("the watch was closed")

        return await asyncio.wait_for(search(), timeout)

    async def batches(self, max: int = 100, within: float = 1.0) -> AsyncIterator[list[Item]]:
        """Lists of up to `max` items, each at most `within` seconds after its first one came. Asking for the next list
        says that the one before is processed (with commit="manual", `commit` each item).
        """
        check_batches(max, within)
        loop = asyncio.get_running_loop()
        engine = self._engine
        while True:
            try:
                first = await self.__anext__()
            except StopAsyncIteration:
                return
            # Until the list is handed over, what is in it can go back.
            batch = [(first, self._ticket if self._commit_on_next else self._tickets.pop(id(first), 0))]
            self._ticket = 0
            ends = loop.time() + within
            try:
                while len(batch) < max:
                    found = engine.take()
                    if found is None:
                        if engine.machine.state in (State.FAILED, State.CLOSED):
                            break
                        try:
                            found = await engine.next_by(ends)
                        except (asyncio.TimeoutError, WatchError):  # an error comes again with the next step
                            break
                        if found is None:
                            break
                    batch.append(found)
            except BaseException:
                for item, ticket in reversed(batch):
                    engine.give_back(item, ticket)
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
        self._engine.pause()

    def resume(self) -> None:
        """Hand out items again."""
        self._engine.resume()

    def seek(self, sequence: int) -> None:
        """Go on after `sequence`, forwards or backwards: what waits is dropped, the restart point moves there, and a
        new stream is opened. What was handed out before can still be handled, but no longer moves the restart point.
        Raises LifecycleError when the watch has failed or history is switched off.
        """
        if isinstance(sequence, bool) or not isinstance(sequence, int) or sequence < 0:
            raise ConfigError(f"sequence is {sequence!r}: it must be a whole number from 0")
        if self._engine.machine.without_history:
            raise LifecycleError("without history there is nothing to go back or forward to")
        self._engine.seek(sequence)
        self._ticket = 0

    def commit(self, item: Item) -> None:
        """This item is processed (with commit="manual"; otherwise it is worth saying of the last one only). The restart
        point moves over the unbroken run of processed items. Raises WatchClosed: it is too late then.
        """
        if self._engine.machine.state is State.CLOSED:
            raise WatchClosed(f"the watch is closed, and sequence {item.sequence} comes again after a restart")
        self._commit(item)

    def _commit(self, item: Item) -> None:
        if self._commit_on_next:
            if self._ticket and item is self._item:
                self._engine.processed(self._ticket)
                self._ticket = 0
            return
        ticket = self._tickets.pop(id(item), None)
        if ticket is None:
            raise LifecycleError(f"sequence {item.sequence} was not delivered by this watch, or is committed already")
        self._engine.processed(ticket, all_before=False)

    def transaction(self, item: Item, connection: Any) -> Transaction:
        """`with watch.transaction(event, connection) as cursor:`: what the block writes and the position of the event
        are committed together, or not at all: then the event is handed out again. Of the items in hand it counts those
        before this one as processed, too: one transaction at a time, in order.

        `connection` is yours, of any DB-API 2.0 module, to the database of the manager's `SqlCheckpoints`. The block
        and the commit run where you are, in the loop's thread, too. Raises CheckpointLocked when another watch took
        over, CheckpointWriteFailed when the database does not take it, ConfigError without SqlCheckpoints and with
        `History(confirm=True)`.
        """
        from watchmanager.sql import Transaction, transactional

        engine = self._engine
        store, ticket = transactional(engine.store, confirming=engine.machine.confirming), self._ticket_of(item)

        def settle(outcome: Outcome, error: BaseException | None) -> None:
            self._ticket = 0
            self._tickets.pop(id(item), None)
            if outcome == "committed":
                engine.processed(ticket)
            elif outcome == "rolled back":
                engine.give_back(item, ticket)
            else:
                assert error is not None
                engine.fail(error)

        return Transaction(
            store, connection, self.topic, engine.claim, item, lambda: engine.position_after(ticket), settle
        )

    def _ticket_of(self, item: Item) -> int:
        found = self._tickets.get(id(item)) if not self._commit_on_next else self._ticket if item is self._item else 0
        if not found:
            raise LifecycleError(
                f"sequence {item.sequence} is not what this watch handed out last, or is committed already"
            )
        return found

    def metrics(self) -> dict[str, float]:
        """This watch in numbers; their names are in `watchmanager.metrics`."""
        return metrics.of_watch(self.status, time.time())

    def send_agent_status(self, state: str, message: str = "") -> bool:
        """Tell the server about this agent (protocol 4.8); False when no stream stands."""
        return self._engine.send_status(codec.agent_status(self.topic, state, message))

    async def close(self) -> None:
        """Stop and save the position. What is not yet handed out stays with the server. Twice is once. Handlers that
        run on this watch may end first; from inside one of them this only begins to close.
        """
        if self._runner is None:
            await self._finish()
        else:
            await self._runner.stop()

    async def _finish(self) -> None:
        self._ticket = 0
        self._tickets.clear()
        await self._engine.close()

    async def __aenter__(self) -> AsyncWatch:
        self._engine.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()
