"""How a stream takes in what comes at once: all of it, in order, as there is room, and nothing after its end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from tests.watchmanager.worlds import change, plain, watching
from watchmanager._core import inputs as happened
from watchmanager._driver import transport
from watchmanager._driver.transport import Stream
from watchmanager._wire import codec, messages
from watchmanager.events import Event
from watchmanager.policy import Buffer

END = "end"


def data(sequence: int) -> bytes:
    found = messages.Event(type=messages.CREATED, id=f"e{sequence}")
    found.metadata.sequenceID = sequence
    return found.SerializeToString()


def ping(id: str) -> bytes:
    return messages.Event(type=messages.PING, id=id).SerializeToString()


class Call:
    """A call of grpc.aio whose messages are scripted. A function among them is called when its turn comes."""

    def __init__(self, script: list[Any]) -> None:
        self.script = script
        self.was_cancelled = False
        self.reading: set[asyncio.Future[None]] = set()

    async def write(self, message: bytes) -> None:
        pass

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for each in self.script:
            if isinstance(each, bytes):
                yield each
            else:
                waiting = asyncio.ensure_future(each())
                self.reading.add(waiting)
                await waiting

    def add_done_callback(self, callback: Callable[[Any], None]) -> None:
        callback(self)

    def cancel(self) -> None:
        self.was_cancelled = True
        for each in self.reading:
            each.cancel()

    def cancelled(self) -> bool:
        return self.was_cancelled

    async def code(self) -> Any:
        return grpc.StatusCode.UNAVAILABLE

    async def details(self) -> str:
        return END

    async def trailing_metadata(self) -> tuple[()]:
        return ()


class Rig:
    """A stream on a scripted call, and what it told."""

    def __init__(self, *script: Any, rooms: dict[int, asyncio.Future[None]] | None = None) -> None:
        self.call = Call(list(script))
        self.told: list[Any] = []
        self.rooms = rooms or {}
        """To be waited for after the event with that number."""
        self.wakes: list[int] = []
        """How many there were whenever the consumer was woken."""
        self.released = False
        given: Any = self  # the parts of a transport that a stream uses
        self.stream = Stream(given, "/t", 1, "token", feed=self.feed, deliver=self.deliver, delivered=self.delivered)

    def open(self, token: str) -> tuple[Any, Any]:
        return self.call, None

    def release(self, link: object) -> None:
        self.released = True

    def cause(self) -> None:
        return None

    def feed(self, input: happened.Input) -> None:
        match input:
            case happened.PingReceived(id=id):
                self.told.append(id)
            case happened.StreamBroken():
                self.told.append("broken")
            case happened.StreamEnded(details=details):
                self.told.append(details)

    def deliver(self, attempt: int, event: Event) -> asyncio.Future[None] | None:
        self.told.append(event.sequence)
        return self.rooms.pop(event.sequence, None)

    def delivered(self) -> None:
        self.wakes.append(len(self.told))

    async def close(self) -> None:
        self.stream.close()
        await asyncio.wait_for(self.stream.wait_closed(), 20)


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


async def until(condition: Callable[[], bool]) -> None:
    async def look() -> None:
        while not condition():
            await asyncio.sleep(0)

    await asyncio.wait_for(look(), 20)


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def test_everything_is_taken_in_in_order_whatever_it_is() -> None:
    async def main() -> None:
        rig = Rig(data(1), ping("a"), data(2), b"\xff", data(3), ping("b"))
        await asyncio.wait_for(rig.stream.wait_closed(), 20)
        assert rig.told == [1, "a", 2, "broken", 3, "b", END]
        assert rig.released

    asyncio.run(main())


def test_a_lone_message_is_taken_in_at_once_and_what_follows_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BURST", 3600.0)

    async def main() -> None:
        rig = Rig(data(1), data(2), data(3), forever)
        await turns()
        assert rig.told == [1]
        assert rig.wakes == [1]
        await rig.close()

    asyncio.run(main())


def test_the_last_of_a_burst_wait_for_a_timer_only() -> None:
    async def main() -> None:
        rig = Rig(*(data(each) for each in range(1, 40)), forever)
        await until(lambda: len(rig.told) == 39)
        assert rig.told == list(range(1, 40))
        assert rig.wakes[-1] == 39
        await rig.close()

    asyncio.run(main())


def test_no_more_than_so_many_wait_and_a_large_one_makes_none_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BURST", 3600.0)
    monkeypatch.setattr(transport, "FLOOD_END", 3600.0)

    async def main() -> None:
        large = messages.Event(type=messages.CREATED, id="x" * transport.LARGE)
        large.metadata.sequenceID = 201
        rig = Rig(*(data(each) for each in range(1, 201)), large.SerializeToString(), forever)
        rig.stream._took_at = asyncio.get_running_loop().time()
        await turns()
        assert rig.told == list(range(1, 202))
        assert rig.wakes == [transport.MOST, 2 * transport.MOST, 3 * transport.MOST, 201]
        await rig.close()

    asyncio.run(main())


def test_nothing_goes_on_before_there_is_room_and_then_it_does_by_itself() -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        first, second = loop.create_future(), loop.create_future()
        rig = Rig(*(data(each) for each in range(1, 10)), forever, rooms={3: first, 6: second})
        await until(lambda: 3 in rig.told)
        await turns()
        assert rig.told == [1, 2, 3]
        first.set_result(None)
        await until(lambda: 6 in rig.told)
        await turns()
        assert rig.told == [1, 2, 3, 4, 5, 6]
        second.set_result(None)
        await until(lambda: 9 in rig.told)
        assert rig.told == list(range(1, 10))
        await rig.close()

    asyncio.run(main())


@pytest.mark.parametrize("between", range(5))
def test_a_message_that_comes_in_the_moment_there_is_room_goes_the_way_of_all(
    between: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "BURST", 3600.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        gate, room = loop.create_future(), loop.create_future()

        async def wait() -> None:
            await gate

        rig = Rig(data(1), data(2), data(3), wait, data(4), rooms={2: room})
        await turns()
        rig.stream._take_in()  # what the timer does
        assert rig.told == [1, 2]
        gate.set_result(None)
        await turns(between)
        room.set_result(None)
        await asyncio.wait_for(rig.stream.wait_closed(), 20)
        assert rig.told == [1, 2, 3, 4, END]

    asyncio.run(main())


def test_what_came_before_the_end_is_told_before_it_even_when_room_is_late() -> None:
    async def main() -> None:
        room = asyncio.get_running_loop().create_future()
        rig = Rig(data(1), data(2), data(3), rooms={1: room, 2: room})
        await turns()
        assert rig.told == [1]
        room.set_result(None)
        await asyncio.wait_for(rig.stream.wait_closed(), 20)
        assert rig.told == [1, 2, 3, END]

    asyncio.run(main())


def test_after_close_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "BURST", 3600.0)

    async def main() -> None:
        rig = Rig(data(1), data(2), data(3), forever)
        await turns()
        assert rig.told == [1]
        timer = rig.stream._taking
        assert timer is not None
        await rig.close()
        assert timer.cancelled()
        assert rig.told == [1]

    asyncio.run(main())


@pytest.mark.parametrize("where", ["while taking in", "while reading"])
def test_a_bug_of_ours_ends_the_stream_and_is_no_silence(
    where: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        async def fail() -> None:
            raise ZeroDivisionError

        if where == "while taking in":
            monkeypatch.setattr(codec, "decode", lambda data: 1 / 0)
        rig = Rig(data(1), fail)
        await rig.stream.wait_closed()
        await turns()
        assert rig.told[-1] == "internal error: ZeroDivisionError"
        assert rig.told.count("internal error: ZeroDivisionError") == 1
        assert END not in rig.told
        assert rig.stream.closed
        assert rig.released

    with caplog.at_level(logging.ERROR, "watchmanager.stream"):
        asyncio.run(main())
    assert "ZeroDivisionError" in caplog.text


def test_the_buffer_is_never_overfilled_by_a_burst() -> None:
    """Without a history nothing may be dropped: reading stops, and the server keeps the rest."""

    async def main() -> None:
        with plain() as world:
            async with watching(world, history=False, buffer=Buffer(max_events=10)) as watch:
                await watch.ready(20)
                numbers = world.publish([change(each) for each in range(200)])
                seen = []
                async for event in watch:
                    assert watch.status.lag <= 10
                    seen.append(event.sequence)
                    if len(seen) == 200:
                        break
                assert seen == numbers

    asyncio.run(main())
