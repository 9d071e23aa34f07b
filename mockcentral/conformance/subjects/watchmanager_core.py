"""The pure core of `watchmanager` as a party of the simulator, with an application behind it.

`WatchClient` carries the machine's effects to a `Port` and what arrives back into inputs, as `watchmanager._driver`
does over sockets; like a driver it decides nothing. The application takes one item after the other, needs some time
for each, and says when it is done; when the process dies, all it has is the checkpoint.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from functools import lru_cache
from random import Random
from typing import Any, Final

from mockcentral._core.calls import PING_CAPABILITY, PING_RESPONSE, WatchRequest
from mockcentral._core.events import Op, TopicEvent
from mockcentral._core.frozen import dataclass
from mockcentral._core.harvester import UNBOUNDED, Query
from mockcentral.scenario.types import Span
from mockcentral.sim.clock import NEVER
from mockcentral.sim.party import Answer, Port
from mockcentral.sim.plan import ClientPlan
from mockcentral.sim.promises import Broken
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.classify import CODES, passes
from watchmanager._core.machine import OWED_AFTER, REGRESSION_CHECKS, REGRESSION_PAUSE, Machine, Settings
from watchmanager._core.status import State
from watchmanager._core.token import Credential
from watchmanager.errors import (
    HistoryError,
    HistoryProtocolError,
    PermissionDenied,
    TokenProviderError,
    TopicNotFound,
    Unauthenticated,
    WatchError,
)
from watchmanager.events import Details, Event, EventType, Gap, Item, Reference, Resource, Scope
from watchmanager.handlers import never_ran
from watchmanager.policy import Backoff, Buffer, History, Keepalive

EVERY_CODE = frozenset(CODES)
"""For clients that are to try again whatever the server says."""

__all__ = [
    "EVERY_CODE",
    "OF_THE_USERS",
    "Application",
    "Event",
    "Gap",
    "WatchClient",
    "call_through",
    "make_settings",
    "recovery_bound",
]

OF_THE_USERS = (Exception, SystemExit)
"""What the user's code raises is a finding, also sys.exit(0): it would end the whole run as if all were well."""

AT_ONCE = Span(0.0, 0.0)
_TYPES = tuple(EventType[op.name] for op in sorted(Op))
"""By number."""
_PING: Final = Op.PING
_LIVE: Final = State.LIVE
_FAILED: Final = State.FAILED

Application = Callable[[Item], object]
"""What an item is given to once it is its turn: a function, or a coroutine function that waits for nothing real."""


class _Source:
    """Reads what an `Event` asks for out of the fake's own objects; protobuf and JSON have no part in a simulation."""

    def details(self, raw: Any) -> Details:
        entry: TopicEvent = raw
        event, change = entry.event, entry.event.change
        scope = change.scope
        return Details(
            type_name=change.op.name if entry.type_number is None else str(entry.type_number),
            resource=Resource(
                group=change.group,
                kind=change.kind,
                name=change.name,
                id=change.resource_id,
                self_link=change.self_link,
                scope=Scope(scope.kind, scope.name, scope.id, scope.self_link) if scope else None,
                references=tuple(
                    Reference(
                        each.id, each.kind, each.name, each.scope_kind, each.scope_name, each.self_link, each.type
                    )
                    for each in change.references
                ),
                attributes=dict(change.attributes),
            ),
            time=event.time,
            version="v1",
            product="AmplifyCentral",
            correlation_id=event.id,
            organization=event.organization,
            topic=entry.topic_link,
            topic_id=entry.topic_id,
            subresource=change.subresource,
        )

    def raw(self, raw: Any) -> bytes | dict[str, Any]:
        return b""


_SOURCE = _Source()
_TICK = happened.Tick()


def _event(entry: TopicEvent) -> Event:
    event = entry.event
    kind = _TYPES[event.change.op] if entry.type_number is None else EventType.UNKNOWN
    return Event(kind, event.id, event.sequence, 256, entry, _SOURCE)


@dataclass(frozen=True, slots=True)
class Applied:
    """One item the application was done with."""

    life: int
    at: float
    item: Item

    @property
    def sequence(self) -> int:
        return self.item.sequence


class WatchClient:
    """A watch of one topic. `start` is "latest", "earliest" or a sequence; a checkpoint goes before it.

    `processing` is how long the application needs for an item; `application` makes the function that gets the items of
    one life. `save_time` is how long the checkpoint store takes. `seed` decides the client's own random choices;
    `random` is for a client whose every draw is to be the same as another's.
    """

    __slots__ = (
        "_application",
        "_asked",
        "_busy",
        "_current",
        "_done_at",
        "_handle",
        "_inputs",
        "_machine",
        "_own_random",
        "_port",
        "_processing",
        "_random",
        "_requests",
        "_save_time",
        "_saving",
        "_start",
        "_unread",
        "applied",
        "checkpoint",
        "error",
        "first_checkpoint",
        "http_timeout",
        "keepalive",
        "life",
        "live_since",
        "name",
        "on_saved",
        "positions",
        "seed",
        "settings",
        "states",
        "topic",
    )

    def __init__(
        self,
        topic: str,
        *,
        settings: Settings | None = None,
        start: str | int = "latest",
        processing: Span = AT_ONCE,
        save_time: float = 0.0,
        application: Callable[[], Application] | None = None,
        seed: int = 0,
        random: Random | None = None,
        name: str = "watch-client",
    ) -> None:
        settings = settings or Settings(topic=topic, checkpointing=True)
        if settings.topic != topic:
            settings = replace(settings, topic=topic)
        self.topic = topic
        self.settings = settings
        self.name = name
        self.keepalive: tuple[float, float] | None = (settings.keepalive.interval, settings.keepalive.timeout)
        self.http_timeout = settings.history.timeout if settings.history is not None else 60.0
        self.seed = seed
        self._own_random = random
        self._start = start
        self._processing = processing
        self._save_time = save_time
        self._application = application
        self.life = 0
        self.checkpoint: int | None = None
        """What the store holds. It survives a crash."""
        self.first_checkpoint: int | None = None
        self.positions: list[int] = []
        """Where each life began, known when it has found out."""
        self.applied: list[Applied] = []
        self.states: list[tuple[float, State]] = []
        self.live_since: float | None = None
        self.error: BaseException | None = None
        """Why the last life failed."""
        self.on_saved: Callable[[int], None] | None = None
        self._forget()

    @property
    def machine(self) -> Machine:
        """Of this life; before the first one, a machine that nobody has started."""
        if not self.life:
            return Machine(self.settings, self._own_random or Random(0))
        return self._machine

    def _forget(self) -> None:
        self._port: Port | None = None
        self._inputs: deque[happened.Input] = deque()
        self._busy = False
        self._unread: deque[tuple[int, TopicEvent]] = deque()
        self._current: tuple[Item, int] | None = None
        self._done_at: float | None = None
        self._saving: tuple[float, int] | None = None
        self._requests = 0
        self._asked: dict[int, int] = {}
        self._handle: Application | None = None

    def _new_machine(self) -> Machine:
        self._random = self._own_random or Random(f"{self.seed}:client:{self.name}:{self.life}")
        return Machine(self.settings, self._random)

    # ------------------------------------------------------------------------------------------ as a party
    def start(self, port: Port, now: float) -> None:
        self._forget()
        self._port = port
        self.life += 1
        self.error = None
        self._machine = self._new_machine()
        self._handle = self._make_handler() if self._application is not None else None
        self._feed(self._where_to_begin(), now)

    def _make_handler(self) -> Application:
        assert self._application is not None
        try:
            made: object = self._application()
        except OF_THE_USERS as error:
            raise Broken(
                "handler", f"make_handler raised {type(error).__name__} in life {self.life}: {error}"
            ) from error
        if not callable(made):
            raise Broken("handler", f"make_handler returned {made!r} in life {self.life}: it must return a function")
        return made

    def _where_to_begin(self) -> happened.Start:
        if self.checkpoint is not None and self.settings.checkpointing:
            return happened.Start(self.checkpoint, stored=True)
        if isinstance(self._start, int):
            return happened.Start(self._start)
        return happened.Start(None, earliest=self._start == "earliest")

    def opened(self, stream: int, now: float) -> None:
        self._feed(happened.StreamOpened(stream), now)

    def received(self, stream: int, events: tuple[TopicEvent, ...], now: float) -> None:
        if self._unread or self._machine.blocked:
            self._unread.extend((stream, entry) for entry in events)
            return
        for position, entry in enumerate(events):
            if self._machine.blocked:
                self._unread.extend((stream, entry) for entry in events[position:])
                break
            self._read(stream, entry, now)
        self._settle(now)

    def _read(self, stream: int, entry: TopicEvent, now: float) -> None:
        event = entry.event
        if event.change.op is _PING:
            effects = self._machine.handle(happened.PingReceived(stream, event.id), now)
        else:
            effects = self._machine.receive(stream, _event(entry), now)
        for effect in effects:
            _PERFORM[type(effect)](self, effect, now)

    def sleeps_until(self, first: float, every: float, jitter: float) -> float:
        if self._busy or self._inputs or self._unread or not self.settled:
            return -NEVER
        until = self._machine.sleeps_until(first, every + jitter, every - jitter)
        return until if self._saving is None else min(until, self._saving[0])

    def pinged(self, arrivals: Sequence[float]) -> None:
        self._machine.pinged(arrivals)

    def ended(self, stream: int, code: int, details: str, now: float) -> None:
        self._feed(happened.StreamEnded(stream, code, details), now)

    def answered(self, request: int, answer: Answer, now: float) -> None:
        asked = self._asked.pop(request)
        if asked:
            self._feed(_history_input(asked, answer, self.topic), now)
        else:
            self._feed(self._token_input(answer, now), now)

    def deadline(self) -> float | None:
        deadline = self._machine.deadline()
        if self._done_at is not None and (deadline is None or self._done_at < deadline):
            deadline = self._done_at
        if self._saving is not None and (deadline is None or self._saving[0] < deadline):
            deadline = self._saving[0]
        return deadline

    def due(self, now: float) -> None:
        if self._saving is not None and self._saving[0] <= now:
            sequence, self._saving = self._saving[1], None
            self._saved(sequence)
        if self._done_at is not None and self._done_at <= now:
            self._finish_item(now)
        deadline = self._machine.deadline()
        if deadline is not None and deadline <= now:
            self._inputs.append(_TICK)
        self._settle(now)

    def lost(self, now: float) -> None:
        self._forget()
        self.live_since = None

    def unplug(self) -> None:
        """There is no network any more."""
        self._port = None

    # ------------------------------------------------------------------------------------------ for tests
    def close(self, now: float) -> None:
        """The user closes the watch."""
        self._feed(happened.Close(), now)

    @property
    def settled(self) -> bool:
        """LIVE, and the application is done with everything."""
        return self._current is None and self.life > 0 and self._machine.caught_up

    @property
    def events(self) -> list[Applied]:
        """What was applied, without gaps."""
        return [each for each in self.applied if isinstance(each.item, Event)]

    @property
    def gaps(self) -> list[Gap]:
        """The gaps the application was told of."""
        return [each.item for each in self.applied if isinstance(each.item, Gap)]

    # ------------------------------------------------------------------------------------------ the machine
    def _feed(self, input: happened.Input, now: float) -> None:
        self._inputs.append(input)
        self._settle(now)

    def _settle(self, now: float) -> None:
        """Until nobody has anything more to say at this moment."""
        if self._busy:
            return
        self._busy = True
        try:
            inputs, machine = self._inputs, self._machine
            handle = machine.handle
            while True:
                while inputs:
                    for effect in handle(inputs.popleft(), now):
                        _PERFORM[type(effect)](self, effect, now)
                if self._unread and not machine.blocked:
                    self._read(*self._unread.popleft(), now)
                elif self._current is not None:
                    break
                elif machine.outbox.items:
                    self._take_item(now)
                elif machine.state is _FAILED and self._saving is None:
                    inputs.append(happened.Close())
                else:
                    break
        finally:
            self._busy = False

    def _take_item(self, now: float) -> None:
        """The application, which is free, takes the next item."""
        machine = self._machine
        self._current = machine.take()
        if (machine.starved or machine.blocked) and len(machine.outbox.items) <= machine.low_water:
            self._inputs.append(happened.Drained())
        span = self._processing
        if span.high > 0:
            self._done_at = now + span.pick(self._random)
        else:
            self._finish_item(now)

    def _finish_item(self, now: float) -> None:
        assert self._current is not None
        (item, ticket), self._current, self._done_at = self._current, None, None
        if self._handle is not None:
            self._hand_over(item)
        self.applied.append(Applied(self.life, now, item))
        if self._port is not None and self._port.recording and isinstance(item, Event):
            entry: TopicEvent = item._raw
            self._port.record(
                "client.applied", sequence=item.sequence, id=item.id, op=item.type.name, topic=entry.topic_link
            )
        self._machine.processed(ticket, now)

    def _hand_over(self, item: Item) -> None:
        assert self._handle is not None
        try:
            call_through(self._handle, item)
        except OF_THE_USERS as error:
            what = f"gap {item.after}..{item.through}" if isinstance(item, Gap) else f"event {item.sequence}"
            raise Broken(
                "handler", f"the handler raised {type(error).__name__} for {what} in life {self.life}: {error}"
            ) from error

    # ------------------------------------------------------------------------------------------ effects
    def _fetch_token(self, effect: do.FetchToken, now: float) -> None:
        self._request(0).fetch_token(self._requests)

    def _request(self, asked: int) -> Port:
        assert self._port is not None
        self._requests += 1
        self._asked[self._requests] = asked
        return self._port

    def _fetch_history(self, effect: do.FetchHistory, now: float) -> None:
        after = effect.after
        query = Query(after or 0, UNBOUNDED, 1, effect.page_size, effect.newest, after)
        self._request(effect.request).history(self._requests, self.topic, query, effect.credential.reveal())

    def _open_stream(self, effect: do.OpenStream, now: float) -> None:
        assert self._port is not None
        token = effect.credential.reveal()
        request = WatchRequest(self.topic, f"Bearer {token}", None, "", "", (PING_CAPABILITY,))
        self._unread.clear()
        self._port.open_stream(effect.attempt, token, request)

    def _send_token(self, effect: do.SendToken, now: float) -> None:
        assert self._port is not None
        token = f"Bearer {effect.credential.reveal()}"
        self._port.send(effect.attempt, WatchRequest(self_link=self.topic, token=token))

    def _send_pong(self, effect: do.SendPong, now: float) -> None:
        assert self._port is not None
        self._port.send(effect.attempt, WatchRequest(request_type=PING_RESPONSE, ping_id=effect.id))

    def _close_stream(self, effect: do.CloseStream, now: float) -> None:
        assert self._port is not None
        self._port.cancel(effect.attempt)

    def _renew(self, effect: do.RenewChannel, now: float) -> None:
        assert self._port is not None
        self._port.renew(slower=effect.slower)

    def _renew_history(self, effect: do.RenewHistory, now: float) -> None:
        assert self._port is not None
        self._port.renew_history()

    def _save(self, effect: do.SaveCheckpoint, now: float) -> None:
        if self._save_time > 0 and self._machine.state is not State.CLOSED:
            self._saving = (now + self._save_time, effect.sequence)
        else:
            self._saved(effect.sequence)

    def _saved(self, sequence: int) -> None:
        if self.first_checkpoint is None:
            self.first_checkpoint = sequence
        self.checkpoint = sequence
        if self.on_saved is not None:
            self.on_saved(sequence)
        self._inputs.append(happened.CheckpointSaved(sequence))

    def _resync(self, effect: do.Resync, now: float) -> None:
        self._inputs.append(happened.Resynced(effect.expired.server_max))

    def _entered(self, effect: do.Entered, now: float) -> None:
        state = effect.state
        if self.states and self.states[-1][1] is state:
            return
        self.states.append((now, state))
        self.live_since = now if state is _LIVE else None
        if self._port is not None and self._port.recording:
            connected = state in (State.LIVE, State.CATCHING_UP)
            self._port.record("client.status", connected=connected, state=state.value)

    def _log(self, effect: do.Log, now: float) -> None:
        pass

    def _finished(self, effect: do.Finished, now: float) -> None:
        if effect.error is not None:
            self.error = effect.error
        elif self._port is not None:
            port, self._port = self._port, None
            port.exit(0 if self.error is None else 1)

    def _token_input(self, answer: Answer, now: float) -> happened.Input:
        assert self._port is not None
        if answer.token is not None:
            left = None if answer.expires is None else answer.expires - self._port.wall(now)
            return happened.TokenFetched(Credential(answer.token), left)
        what = f"answered {answer.status}" if answer.status else f"cannot be reached: {answer.text}"
        return happened.TokenFailed(TokenProviderError(f"the token endpoint {what}"))


def call_through(function: Callable[[Any], object], given: Any) -> None:
    """Call a function of the user's, and run what it returns to its end, should that be a coroutine.

    Raises what the function raises, and TypeError for a generator: what is in it would never run.
    """
    outcome = function(given)
    if isinstance(outcome, Coroutine):
        _run_through(outcome)
    elif (error := never_ran(outcome)) is not None:
        raise error


def _run_through(coroutine: Coroutine[Any, Any, Any]) -> None:
    """Run a coroutine to its end without an event loop; it may give way (`await asyncio.sleep(0)`), not wait."""
    while True:
        try:
            waits_for = coroutine.send(None)
        except StopIteration:
            return
        if waits_for is not None:
            coroutine.close()
            raise RuntimeError(
                f"it waits for {waits_for!r}, and there is no event loop in virtual time: give a function "
                "that runs the coroutine, such as lambda event: asyncio.run(handler(event))"
            )


def _history_input(request: int, answer: Answer, topic: str) -> happened.Input:
    """What `watchmanager._driver.history` makes of such an answer."""
    if answer.events is not None:
        return happened.HistoryFetched(request, [_event(entry) for entry in answer.events])
    headers = answer.headers or {}
    if answer.status == 410:
        newest = headers.get("x-axway-max-sequence-id")
        return happened.HistoryGone(request, int(newest) if newest else None)
    error: WatchError
    if answer.status == 0:
        error = HistoryError(f"history cannot be reached: {answer.text}")
    elif answer.status == 200:
        if answer.text.strip() == "[]":
            return happened.HistoryFetched(request, [])
        error = HistoryProtocolError("the answer is no page of events", status=200)
        error.retryable = True
    elif answer.status == 401:
        error = Unauthenticated("history refuses the token (401)")
    elif answer.status == 403:
        error = PermissionDenied(f"history does not permit reading {topic} (403)", code="PERMISSION_DENIED")
    elif answer.status == 404:
        error = TopicNotFound(f"history knows no topic {topic} (404)", code="NOT_FOUND")
    else:
        wait = headers.get("retry-after")
        error = HistoryError(
            f"history answered {answer.status}",
            status=answer.status,
            retry_after=float(wait) if wait is not None else None,
            retryable=passes(answer.status),
        )
    return happened.HistoryFailed(request, error)


_PERFORM: dict[type[Any], Callable[[WatchClient, Any, float], None]] = {
    do.FetchToken: WatchClient._fetch_token,
    do.OpenStream: WatchClient._open_stream,
    do.SendToken: WatchClient._send_token,
    do.SendPong: WatchClient._send_pong,
    do.CloseStream: WatchClient._close_stream,
    do.RenewChannel: WatchClient._renew,
    do.RenewHistory: WatchClient._renew_history,
    do.FetchHistory: WatchClient._fetch_history,
    do.SaveCheckpoint: WatchClient._save,
    do.Resync: WatchClient._resync,
    do.Entered: WatchClient._entered,
    do.Log: WatchClient._log,
    do.Finished: WatchClient._finished,
}


# Plans choose between few of each.
_backoff = lru_cache(64)(Backoff)
_keepalive = lru_cache(64)(Keepalive)
_buffer = lru_cache(64)(Buffer)
_history = lru_cache(64)(History)


def make_settings(plan: ClientPlan, topic: str = "") -> Settings:
    """The machine's settings of a plan."""
    on_gone: Any = plan.on_gone
    history = None
    if plan.history:
        history = _history(
            page_size=plan.page_size,
            timeout=plan.http_timeout,
            audit_interval=plan.audit_interval,
            overlap=plan.overlap,
            confirm=plan.confirm,
        )
    return Settings(
        topic=topic,
        backoff=_backoff(maximum=plan.backoff, initial=min(0.5, plan.backoff)),
        keepalive=_keepalive(interval=plan.keepalive, timeout=plan.keepalive_timeout),
        buffer=_buffer(max_events=plan.max_events, recent=plan.recent),
        history=history,
        on_gone=on_gone,
        transient=EVERY_CODE,
        auth_attempts=None,
        checkpointing=True,
        checkpoint_interval=plan.checkpoint_interval,
        checkpoint_every=plan.checkpoint_every,
    )


def recovery_bound(
    settings: Settings,
    *,
    round_trip: float = 0.02,
    pages: int = 1,
    retry_after: float = 0.0,
    hidden: bool = False,
) -> float:
    """Within how many seconds a client is LIVE again, and has everything, once server and network are well.

    Of what may be under way only what follows one another counts, at its longest: a dead connection that is not noticed
    yet, or a call that never comes to stand; the wait after it; a token and a page that are never answered, each with
    the wait after it; the suspicion that the server counts anew; then the way back. A dead peer that is noticed takes
    its history connections along, so pages hang once. `hidden`: a stream may have lost events without a sign, so the
    next audit has to find them, be asked again if its answer is lost, and have the stream replaced.
    """
    keepalive, backoff, history = settings.keepalive, settings.backoff, settings.history
    http = history.timeout if history is not None else 60.0
    wait = max(backoff.maximum, retry_after)
    asking = http + wait
    bound = (
        max(keepalive.interval + keepalive.timeout, settings.connect_timeout)
        + wait
        + 2 * asking
        + REGRESSION_CHECKS * REGRESSION_PAUSE
        + settings.subscribe_grace
        + (12 + 3 * pages) * round_trip
    )
    if hidden and history is not None and history.audit_interval is not None:
        bound += 1.1 * history.audit_interval + asking + OWED_AFTER + wait
    return bound
