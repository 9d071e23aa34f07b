"""The Go client's names on this engine, for people and programs that come from `agent-sdk/pkg/watchmanager`.

    manager = compat.new(
        compat.Config(host="apicentral.axway.com", port=443, tenant_id="1234567", token_getter=get_token),
        compat.with_harvester(compat.Harvester(), sequence),
    )
    events: queue.Queue[Event] = queue.Queue(100)
    watch_id = manager.register_watch("/management/v1/watchtopics/my-topic", events)

What differs, because the engine underneath differs: a broken stream is reopened here and what was missed meanwhile is
read from the harvester (Go leaves both to a layer above); events come without duplicates; closing one watch leaves the
others alone. `docs/from-go-to-python.md` has the table.
"""

from __future__ import annotations

import logging
import queue
import threading
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeAlias

from watchmanager._core.status import State
from watchmanager.auth import TokenLike
from watchmanager.errors import ConfigError, ConnectTimeout, LifecycleError, SequenceExpired, WatchClosed, WatchError
from watchmanager.events import Event
from watchmanager.policy import TLS, History, Keepalive, Proxy
from watchmanager.sync import Watch, WatchManager

FIRST_SEND_TIMEOUT = 30.0
"""How long `register_watch` waits for the first message to be handed over, as the Go client (protocol 2.1)."""

EventSink: TypeAlias = "queue.Queue[Event] | queue.SimpleQueue[Event] | Callable[[Event], object]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Host, Port, TenantID, TokenGetter, UserAgent. A missing one raises ConfigError, as `New` returns an error."""

    host: str
    port: int = 443
    tenant_id: str
    token_getter: TokenLike
    user_agent: str = ""

    def __post_init__(self) -> None:
        if not self.host:
            raise ConfigError("Config.host is empty")
        if not self.tenant_id:
            raise ConfigError("Config.tenant_id is empty")
        if self.token_getter is None:
            raise ConfigError("Config.token_getter is missing: give a function that returns a token")


class SequenceProvider(Protocol):
    """Go's SequenceProvider: where the position is kept."""

    def get_sequence(self) -> int: ...

    def set_sequence(self, sequence: int) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Harvester:
    """Go's harvester client: `url` None means the address of the stream."""

    url: str | None = None
    page_size: int = 100
    timeout: float = 60.0


@dataclass(frozen=True, slots=True)
class AgentStatus:
    """What goes into the request channel (protocol 4.8)."""

    state: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class _Options:
    logger: logging.Logger | None = None
    tls: TLS | None = field(default_factory=TLS)
    keepalive: Keepalive = field(default_factory=Keepalive)
    proxy: Proxy | None = None
    single_entry: str | None = None
    harvester: Harvester | None = None
    sequence: SequenceProvider | None = None
    on_sync_error: Callable[[], object] | None = None
    requests: queue.Queue[AgentStatus] | None = None


Option: TypeAlias = Callable[[_Options], _Options]


def with_logger(logger: logging.Logger) -> Option:
    """Go: WithLogger. Every line of `watchmanager` loggers about this manager's watches also goes here."""
    return lambda options: replace(options, logger=logger)


def with_tls_config(tls: TLS | None) -> Option:
    """Go: WithTLSConfig. None is plain text."""
    return lambda options: replace(options, tls=tls)


def with_keepalive(time: float, timeout: float) -> Option:
    """Go: WithKeepAlive, in seconds."""
    return lambda options: replace(options, keepalive=Keepalive(interval=time, timeout=timeout))


def with_proxy(url: str) -> Option:
    """Go: WithProxy. An empty text is no proxy; a wrong one raises ConfigError here."""
    return lambda options: replace(options, proxy=Proxy(url=url) if url else None)


def with_single_entry_addr(address: str) -> Option:
    """Go: WithSingleEntryAddr: `host:port` that is dialled instead; names and certificates stay those of the host."""
    return lambda options: replace(options, single_entry=address or None)


def with_harvester(harvester: Harvester, sequence: SequenceProvider) -> Option:
    """Go: WithHarvester. Catch up from `sequence.get_sequence()`; without it nothing that was missed is read."""
    return lambda options: replace(options, harvester=harvester, sequence=sequence)


def with_sync_events(sequence: SequenceProvider) -> Option:
    """Go, before v1.1.26: WithSyncEvents; the harvester is at the stream's own address."""
    return with_harvester(Harvester(), sequence)


def with_event_sync_error(callback: Callable[[], object]) -> Option:
    """Go: WithEventSyncError: called when the position is unusable (negative, or no longer kept)."""
    return lambda options: replace(options, on_sync_error=callback)


def with_request_channel(requests: queue.Queue[AgentStatus]) -> Option:
    """Go: WithRequestChannel: what is put there is sent on the streams."""
    return lambda options: replace(options, requests=requests)


def new(config: Config, *options: Option) -> Manager:
    """Go: New. Opens nothing; raises ConfigError."""
    if not isinstance(config, Config):
        raise ConfigError("new() needs a Config")
    chosen = _Options()
    for option in options:
        chosen = option(chosen)
    return Manager(config, chosen)


class Manager:
    """Go's Manager. Use `new`. Threads: one for the engine, one for each watch, one for the request channel."""

    def __init__(self, config: Config, options: _Options) -> None:
        host = f"[{config.host}]" if ":" in config.host and not config.host.startswith("[") else config.host
        scheme = "http" if options.tls is None else "https"
        harvester = options.harvester
        self._options = options
        self._manager = WatchManager(
            f"{scheme}://{host}:{config.port}",
            tenant_id=config.tenant_id,
            token=config.token_getter,
            tls=options.tls,
            proxy=options.proxy,
            single_entry=options.single_entry,
            history=False
            if harvester is None
            else History(url=harvester.url, page_size=harvester.page_size, timeout=harvester.timeout),
            keepalive=options.keepalive,
            user_agent=config.user_agent,
        )
        self._watches: dict[str, _Delivery] = {}
        self._lock = threading.Lock()
        self._forward: _LogForward | None = None
        if options.logger is not None:
            self._forward = _LogForward(options.logger)
            logging.getLogger("watchmanager").addHandler(self._forward)
        self._stop = threading.Event()
        self._sender: threading.Thread | None = None

    def register_watch(self, link: str, events: EventSink, errors: queue.Queue[BaseException] | None = None) -> str:
        """Go: RegisterWatch. Returns the watch's id once the subscription was handed over; raises what Go returns as
        error.

        `events` is a queue, which may block the delivery but not the stream, or a function. `errors` gets what ends the
        watch, as in versions before v1.1.138.
        """
        sequence = self._options.sequence
        start: Any = "latest"
        if sequence is not None:
            position = sequence.get_sequence()
            if position < 0:
                self._sync_error()
                raise WatchError(f"there is no usable sequence for {link}: the provider says {position}")
            start = position if position > 0 else "latest"
        opened = threading.Event()

        def on_state(state: State, why: str) -> None:
            if state not in (State.IDLE, State.CONNECTING):
                opened.set()

        watch = self._manager.watch(link, start=start, on_gone=self._on_gone, on_state=on_state)
        watch.__enter__()
        if not opened.wait(FIRST_SEND_TIMEOUT):
            watch.close()
            raise ConnectTimeout(f"no stream for {link} within {FIRST_SEND_TIMEOUT:g} s")
        status = watch.status
        if status.state in (State.BACKING_OFF, State.FAILED, State.CLOSED):
            watch.close()
            raise status.last_error or WatchClosed("the manager is closed")
        watch_id = str(uuid.uuid1())
        delivery = _Delivery(watch, events, errors)
        with self._lock:
            self._watches[watch_id] = delivery
            if self._options.requests is not None and self._sender is None:
                self._sender = threading.Thread(target=self._send_requests, name="watchmanager-requests", daemon=True)
                self._sender.start()
        delivery.start()
        return watch_id

    def close_watch(self, watch_id: str) -> None:
        """Go: CloseWatch. LifecycleError for an unknown id."""
        with self._lock:
            delivery = self._watches.pop(watch_id, None)
        if delivery is None:
            raise LifecycleError(f"there is no watch {watch_id!r}")
        delivery.stop()

    def close_conn(self) -> None:
        """Go: CloseConn. Closes all watches and the connection; twice is once."""
        self._stop.set()
        with self._lock:
            deliveries, self._watches = list(self._watches.values()), {}
        for delivery in deliveries:
            delivery.stop()
        self._manager.close()
        if self._forward is not None:
            logging.getLogger("watchmanager").removeHandler(self._forward)
            self._forward = None

    def status(self) -> bool:
        """Go: Status. True when there are watches and each has a stream."""
        with self._lock:
            deliveries = list(self._watches.values())
        return bool(deliveries) and all(each.watch.status.healthy for each in deliveries)

    def cause(self, watch_id: str) -> BaseException | None:
        """What ended a watch; None while it goes on. (Go: the cause of the cancelled context.)"""
        with self._lock:
            delivery = self._watches.get(watch_id)
        return None if delivery is None else delivery.error

    def __enter__(self) -> Manager:
        return self

    def __exit__(self, *_: object) -> None:
        self.close_conn()

    # ---------------------------------------------------------------- inside
    def _sync_error(self) -> None:
        if self._options.on_sync_error is not None:
            self._options.on_sync_error()

    def _on_gone(self, expired: SequenceExpired) -> int | None:
        """As Go does on 410: the position becomes the server's newest; the callback may rebuild what was lost."""
        self._sync_error()
        if expired.server_max is not None and self._options.sequence is not None:
            self._options.sequence.set_sequence(expired.server_max)
        return expired.server_max

    def _send_requests(self) -> None:
        requests = self._options.requests
        assert requests is not None
        while not self._stop.is_set():
            try:
                request = requests.get(timeout=0.5)
            except queue.Empty:
                continue
            with self._lock:
                deliveries = list(self._watches.values())
            for delivery in deliveries:
                delivery.send(request)


class _Delivery:
    """Moves the events of one watch to where the user wants them."""

    def __init__(self, watch: Watch, events: EventSink, errors: queue.Queue[BaseException] | None) -> None:
        self.watch = watch
        self.error: BaseException | None = None
        self._sink = events
        self._errors = errors
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="watchmanager-events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self.watch.close()
        if self._thread is not threading.current_thread():
            self._thread.join(5.0)

    def send(self, request: AgentStatus) -> None:
        with suppress(LifecycleError):  # closed meanwhile; a status is only about the present
            self.watch.send_agent_status(request.state, request.message)

    def _run(self) -> None:
        try:
            for item in self.watch:
                if isinstance(item, Event):
                    self._put(item)
        except BaseException as error:
            if not self._stopped.is_set():
                self.error = error
                if self._errors is not None:
                    self._errors.put(error)

    def _put(self, event: Event) -> None:
        sink = self._sink
        if callable(sink):
            sink(event)
            return
        while not self._stopped.is_set():
            try:
                sink.put(event, timeout=0.2)
                return
            except queue.Full:
                continue


class _LogForward(logging.Handler):
    """Hands records to the user's logger as well."""

    def __init__(self, logger: logging.Logger) -> None:
        super().__init__()
        self._logger = logger

    def emit(self, record: logging.LogRecord) -> None:
        if self._logger.isEnabledFor(record.levelno):
            self._logger.handle(record)
