"""How items cross to a thread that iterates: at once when alone, together in a burst, and never lost on the way."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

import watchmanager as wm
from watchmanager._driver import handover
from watchmanager._driver.handover import Handover, Request


class Number(int):
    """An item: one byte for each that it counts."""

    @property
    def size(self) -> int:
        return int(self)


class Engine:
    """What a hand-over needs of an engine."""

    def __init__(self, buffer: wm.Buffer | None = None) -> None:
        self.machine = SimpleNamespace(buffer=buffer or wm.Buffer())
        self.handed: Any = ()
        self.waiting: deque[int] = deque()
        self.told: list[int] = []
        self.closed = False
        self.error: Exception | None = None
        self.call: Callable[[], None] | None = None

    def start(self) -> None:
        pass

    def processed(self, ticket: int) -> None:
        self.told.append(ticket)

    def take(self) -> tuple[int, int] | None:
        return (Number(self.waiting[0]), self.waiting.popleft()) if self.waiting else None

    def over(self) -> bool:
        if self.error is not None and not self.waiting:
            raise self.error
        return self.closed

    def call_when_woken(self, function: Callable[[], None]) -> None:
        assert self.call is None
        self.call = function

    def forget_call(self) -> None:
        self.call = None

    def put(self, *items: int) -> None:
        self.waiting.extend(items)
        self.wake()

    def wake(self) -> None:
        call, self.call = self.call, None
        if call is not None:
            call()


def both(buffer: wm.Buffer | None = None) -> tuple[Engine, Handover]:
    engine: Any = Engine(buffer)
    return engine, Handover(engine)


def answered(request: Request) -> bool:
    return request.wait(0)


async def until_answered(request: Request) -> None:
    assert await asyncio.to_thread(request.wait, 10)


def numbers(way: Handover) -> list[int]:
    return [ticket for _, ticket in way.items]


def test_a_lone_item_crosses_at_once() -> None:
    async def main() -> None:
        engine, way = both()
        request = Request()
        way.ask(request, 0)
        assert not answered(request)
        engine.put(1)
        assert answered(request)
        assert numbers(way) == [1]

    asyncio.run(main())


def test_in_a_burst_items_cross_together_and_all_that_came_meanwhile_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(handover, "HOLD", 5.0)

    async def main() -> None:
        engine, way = both()
        way._hold, way._handed_at = 5.0, asyncio.get_running_loop().time()
        request = Request()
        way.ask(request, 0)
        engine.put(1)
        assert not answered(request)
        engine.put(2, 3)
        assert way._timer is not None
        way._timer.cancel()
        way._hand_over()  # what the timer calls
        assert answered(request)
        assert numbers(way) == [1, 2, 3]

    asyncio.run(main())


def test_a_full_batch_is_not_held_back_and_the_rest_stays_with_the_engine() -> None:
    async def main() -> None:
        engine, way = both()
        way._hold, way._handed_at = 5.0, asyncio.get_running_loop().time()
        engine.put(*range(1, handover.BATCH + 11))
        request = Request()
        way.ask(request, 0)
        assert answered(request)
        assert len(way.items) == handover.BATCH
        assert len(engine.waiting) == 10

    asyncio.run(main())


@pytest.mark.parametrize(
    ("buffer", "crosses"),
    [(wm.Buffer(max_events=40), 5), (wm.Buffer(max_bytes=1024), 16), (wm.Buffer(max_events=2), 1)],
    ids=["events", "bytes: 1 + 2 + ... up to 128 and more", "never none"],
)
def test_only_a_part_of_the_buffer_crosses_at_a_time_and_counts_as_waiting(buffer: wm.Buffer, crosses: int) -> None:
    async def main() -> None:
        engine, way = both(buffer)
        engine.put(*range(1, 101))
        request = Request()
        way.ask(request, 0)
        await until_answered(request)
        assert numbers(way) == list(range(1, crosses + 1))
        assert engine.handed is way.items

    asyncio.run(main())


def test_the_hold_grows_while_batches_are_large_and_is_short_again_after_a_small_one() -> None:
    async def main() -> None:
        engine, way = both()
        holds = []
        for count in (handover.MANY, handover.MANY, handover.MANY, 1):
            request = Request()
            engine.put(*range(1, count + 1))
            way.ask(request, 0)
            await until_answered(request)
            holds.append(way._hold)
            way.items.clear()
        assert holds == [2 * handover.HOLD, 4 * handover.HOLD, handover.HOLD_MOST, handover.HOLD]

    asyncio.run(main())


def test_a_thread_that_gave_up_leaves_its_items_and_nobody_waiting() -> None:
    async def main() -> None:
        engine, way = both()
        way._hold, way._handed_at = 5.0, asyncio.get_running_loop().time()
        first = Request()
        way.ask(first, 0)
        engine.put(1)  # held
        way.withdraw(first)
        assert way._timer is None
        assert numbers(way) == [1]
        second = Request()
        way._handed_at = 0.0
        way.ask(second, 7)
        assert answered(second)
        assert not answered(first)
        assert engine.told == [7]
        third = Request()
        way.items.clear()
        way.ask(third, 0)
        assert engine.call is not None
        way.withdraw(first)  # late: no longer its turn
        assert engine.call is not None
        way.withdraw(third)
        assert engine.call is None

    asyncio.run(main())


def test_the_end_and_its_cause_are_told_to_every_thread_that_asks() -> None:
    async def main() -> None:
        engine, way = both()
        request = Request()
        way.ask(request, 0)
        engine.error = wm.TopicNotFound("gone")
        engine.wake()
        assert answered(request)
        assert request.error is engine.error
        again = Request()
        way.ask(again, 0)
        assert answered(again)
        assert again.error is engine.error
        engine.error, engine.closed = None, True
        last = Request()
        way.ask(last, 0)
        assert answered(last)
        assert last.closed
        assert last.error is None

    asyncio.run(main())
