"""A machine in virtual time with a small model of a server: a log, a history over it, a stream that can be cut.

`Lab` answers the machine's effects after fixed short delays, so that things overlap as they do in life. What a test
wants to go wrong it says by attributes (`refuse`, `history_fails`, ...) or by feeding inputs itself.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection
from dataclasses import replace
from random import Random
from typing import Any

from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.machine import Machine, Settings
from watchmanager._core.status import State
from watchmanager._core.token import Credential
from watchmanager.errors import DecodeError, WatchError
from watchmanager.events import Details, Event, EventType, Item, Resource

TOPIC = "/management/v1/watchtopics/t"
MOST_STEPS = 200_000
"""Of one `run`."""


class _NoSource:
    @staticmethod
    def details(raw: Any) -> Details:
        return Details("CREATED", Resource(kind="APIService", name=f"n{raw}"))

    @staticmethod
    def raw(raw: Any) -> bytes:
        return b""


def event(sequence: int, id: str | None = None, size: int = 100) -> Event:
    return Event(EventType.CREATED, f"id-{sequence}" if id is None else id, sequence, size, sequence, _NoSource())


def numberless(sequence: int, named: Collection[int], error: DecodeError) -> happened.Poison:
    """An event of a page whose number cannot be read; `named` are the numbers that can be."""
    behind = max((other for other in named if other < sequence), default=0)
    before = min((other for other in named if other > sequence), default=-1)
    return happened.Poison(behind, error, before, str(sequence))


class Lab:
    """One machine and its world. `now` moves by `run` only."""

    def __init__(self, settings: Settings | None = None, *, seed: int = 1, **changes: Any) -> None:
        self.settings = replace(settings or Settings(topic=TOPIC), **changes)
        self.random = Random(seed)
        self.machine = Machine(self.settings, self.random)
        self.now = 0.0
        self.effects: list[do.Effect] = []
        self.times: list[tuple[float, do.Effect]] = []
        self.log: list[int] = []
        self.purged_through = 0
        self.stream: int | None = None
        self.refuse: tuple[int, str] | None = None
        self.silent_open = False  # the call never stands
        self.may_overlap = False  # a stream may be opened while another stands, to take over from it
        self.cancelled: set[int] = set()
        self.token_life: float | None = 1000.0
        self.token_fails: WatchError | None = None
        self.tokens = 0
        self.same_token = False
        self.history_fails: WatchError | None = None
        self.history_delay = 0.02
        self.history_hidden: set[int] = set()  # not yet visible in history
        self.stream_loses: set[int] = set()
        self.say_max = True
        self.tells_max = True
        self.store: list[int] = []
        self.store_fails: WatchError | None = None
        self.auto_take = True
        self.taken: list[Item] = []
        self._queue: list[tuple[float, int, Callable[[], None]]] = []
        self._number = 0

    # ------------------------------------------------------------ the machine
    def feed(self, input: happened.Input) -> list[do.Effect]:
        if isinstance(input, happened.StreamEnded) and input.attempt == self.stream:
            self.stream = None
        found = list(self.machine.handle(input, self.now))
        for effect in found:
            self.effects.append(effect)
            self.times.append((self.now, effect))
            self._carry_out(effect)
        if self.auto_take:
            self.take_all()
        return found

    def take(self) -> Item:
        item, ticket = self.machine.take()
        self.machine.processed(ticket, self.now)
        self.taken.append(item)
        if (self.machine.starved or self.machine.blocked) and len(self.machine.outbox.items) <= self.machine.low_water:
            self.feed(happened.Drained())
        return item

    def take_all(self) -> None:
        while self.machine.outbox.items:
            self.take()

    def start(self, position: int | None = None, *, earliest: bool = False, stored: bool = True) -> Lab:
        self.feed(happened.Start(position, earliest, stored))
        return self

    def run(self, seconds: float) -> Lab:
        """Let time pass: answers arrive, timers fire."""
        end = self.now + seconds
        for _ in range(MOST_STEPS):
            due = self._queue[0][0] if self._queue else None
            deadline = self.machine.deadline()
            times = [each for each in (due, deadline) if each is not None and each <= end]
            if not times:
                self.now = end
                return self
            self.now = max(self.now, min(times))
            if due is not None and due <= self.now:
                _, _, action = heapq.heappop(self._queue)
                action()
            else:
                self.feed(happened.Tick())
        raise AssertionError(f"{MOST_STEPS} steps and only at {self.now:.3f} s: the machine goes round and round")

    def later(self, delay: float, action: Callable[[], None]) -> None:
        self._number += 1
        heapq.heappush(self._queue, (self.now + delay, self._number, action))

    # ------------------------------------------------------------ the server
    def publish(self, *sequences: int) -> None:
        """Into history, and down the stream that stands now."""
        for sequence in sequences:
            self.log.append(sequence)
            if self.stream is not None and sequence not in self.stream_loses:
                self.push(sequence)

    def push(self, sequence: int, delay: float = 0.001) -> None:
        attempt = self.stream
        assert attempt is not None
        self.later(delay, lambda: self.deliver(attempt, event(sequence)))

    def deliver(self, attempt: int, one: Event) -> None:
        for effect in self.machine.receive(attempt, one, self.now):
            self.effects.append(effect)
            self.times.append((self.now, effect))
            self._carry_out(effect)
        if self.auto_take:
            self.take_all()

    def ping(self, id: str = "p") -> None:
        assert self.stream is not None
        self.feed(happened.PingReceived(self.stream, id))

    def cut(self, code: int = 14, details: str = "") -> None:
        """The stream ends; what is in flight still arrives, after it was given up."""
        assert self.stream is not None
        attempt, self.stream = self.stream, None
        self.feed(happened.StreamEnded(attempt, code, details))

    # ------------------------------------------------------------ carrying out
    def _carry_out(self, effect: do.Effect) -> None:
        match effect:
            case do.FetchToken():
                self.later(0.01, self._answer_token)
            case do.OpenStream(attempt=attempt):
                assert self.stream is None or self.may_overlap, "two streams at once would deliver everything twice"
                if not self.silent_open:
                    self.later(0.02, lambda: self._answer_open(attempt))
            case do.CloseStream(attempt=attempt):
                self.cancelled.add(attempt)
                if attempt == self.stream:
                    self.stream = None
            case do.FetchHistory():
                self.later(self.history_delay, lambda: self._answer_history(effect))
            case do.SaveCheckpoint(sequence=sequence):
                self.later(0.005, lambda: self._answer_save(sequence))
            case _:
                pass

    def _answer_token(self) -> None:
        if self.token_fails is not None:
            self.feed(happened.TokenFailed(self.token_fails))
            return
        self.tokens += 0 if self.same_token and self.tokens else 1
        self.feed(happened.TokenFetched(Credential(f"token-{self.tokens}"), self.token_life))

    def _answer_open(self, attempt: int) -> None:
        if self.refuse is not None:
            self.feed(happened.StreamEnded(attempt, *self.refuse))
            return
        if attempt not in self.cancelled:
            self.stream = attempt
        self.feed(happened.StreamOpened(attempt))

    def _answer_history(self, effect: do.FetchHistory) -> None:
        if self.history_fails is not None:
            self.feed(happened.HistoryFailed(effect.request, self.history_fails))
            return
        visible = sorted(each for each in self.log if each > self.purged_through and each not in self.history_hidden)
        newest = max(self.log, default=0)
        if effect.newest:
            found = visible[-1:]
        elif effect.after is not None and effect.after < self.purged_through:
            self.feed(happened.HistoryGone(effect.request, newest if self.tells_max else None))
            return
        else:
            found = [each for each in visible if effect.after is None or each > effect.after][: effect.page_size]
        self.feed(happened.HistoryFetched(effect.request, [event(each) for each in found]))

    def _answer_save(self, sequence: int) -> None:
        if self.store_fails is not None:
            self.feed(happened.CheckpointFailed(sequence, self.store_fails))
            return
        self.store.append(sequence)
        self.feed(happened.CheckpointSaved(sequence))

    # ------------------------------------------------------------ looking
    @property
    def sequences(self) -> list[int]:
        return [each.sequence for each in self.taken]

    def is_in(self, *states: State) -> bool:
        return self.machine.state in states

    def did(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.effects if isinstance(each, kind)]

    def when(self, kind: type[Any]) -> list[float]:
        return [at for at, each in self.times if isinstance(each, kind)]

    @property
    def asked(self) -> list[int | None]:
        """The lower bounds of the pages that were asked for."""
        return [each.after for each in self.did(do.FetchHistory) if not each.newest]

    def live(self, position: int = 0) -> Lab:
        """Started, and LIVE with the server's first word heard."""
        self.start(position).run(0.1)
        self.ping()
        self.run(0.2)
        assert self.machine.state.value == "LIVE", self.machine.status()
        return self
