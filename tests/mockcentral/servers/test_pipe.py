"""The thin shell around a line: what it holds back, loses, and tells."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from mockcentral.servers.pipe import MAX_HELD, Pipe
from mockcentral.wire.shaper import Shape


class Transport:
    """Remembers what was written."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return False


class End:
    """Who speaks over the line."""

    def __init__(self) -> None:
        self.transport = Transport()
        self.heard = b""
        self.told = asyncio.Event()
        self.pipe = Pipe(
            cast(asyncio.Transport, self.transport),
            asyncio.get_running_loop(),
            deliver=self.hear,
            wrote=self.told.set,
            choke=self.told.set,
        )

    def hear(self, data: bytes) -> None:
        self.heard += data
        self.told.set()


def on_a_line(test: Callable[[End], Awaitable[None]]) -> None:
    async def run() -> None:
        await test(End())

    asyncio.run(asyncio.wait_for(run(), 20))


def test_a_good_line_passes_on_at_once() -> None:
    async def test(end: End) -> None:
        end.pipe.write(b"out")
        end.pipe.received(b"in")
        assert (end.transport.written, end.heard) == (b"out", b"in")

    on_a_line(test)


def test_bytes_vanish_in_the_direction_that_is_silenced() -> None:
    async def test(end: End) -> None:
        end.pipe.silence("to_client")
        end.pipe.write(b"out")
        end.pipe.received(b"in")
        assert (end.transport.written, end.heard) == (b"", b"in")
        end.pipe.silence("from_client")
        end.pipe.received(b"more")
        assert end.heard == b"in"

    on_a_line(test)


def test_a_slow_line_holds_bytes_back_and_says_when_it_is_full() -> None:
    async def test(end: End) -> None:
        end.pipe.shape("both", Shape(latency=0.01), 1)
        end.pipe.write(b"x" * MAX_HELD)
        end.pipe.received(b"y" * MAX_HELD)
        assert end.transport.written == end.heard == b""
        assert end.pipe.full
        assert end.pipe.choked
        while not (end.transport.written and end.heard):
            end.told.clear()
            await end.told.wait()
        assert (len(end.transport.written), len(end.heard)) == (MAX_HELD, MAX_HELD)
        assert not end.pipe.full
        assert not end.pipe.choked

    on_a_line(test)


def test_what_is_under_way_when_a_line_goes_silent_is_lost() -> None:
    async def test(end: End) -> None:
        end.pipe.shape("both", Shape(latency=0.01), 1)
        end.pipe.write(b"out")
        end.pipe.received(b"in")
        end.pipe.silence("both")
        await end.told.wait()
        assert (end.transport.written, end.heard) == (b"", b"")

    on_a_line(test)


def test_a_slow_line_says_once_that_all_has_come_out_of_it() -> None:
    async def test(end: End) -> None:
        end.pipe.write(b"before")
        assert not end.pipe.take_drained()  # nobody has slowed it
        end.pipe.shape("to_client", Shape(latency=0.005), seed=1)
        assert [end.pipe.take_drained() for _ in range(2)] == [True, False]
        end.pipe.write(b"late")
        while not end.pipe.take_drained():
            assert end.transport.written == b"before"
            await end.told.wait()
        assert end.transport.written == b"beforelate"
        assert not end.pipe.take_drained()

    on_a_line(test)


def test_a_line_that_lost_something_never_says_that_it_all_came_out() -> None:
    async def test(end: End) -> None:
        end.pipe.shape("to_client", Shape(latency=0.005), seed=1)
        end.pipe.write(b"late")
        end.pipe.silence("to_client")
        await end.told.wait()
        assert not end.pipe.take_drained()

    on_a_line(test)


def test_the_last_act_waits_for_what_is_under_way() -> None:
    async def test(end: End) -> None:
        done: list[bytes] = []
        end.pipe.after(lambda: done.append(b"at once"))
        end.pipe.shape("to_client", Shape(latency=0.01), 1)
        end.pipe.write(b"out")
        end.pipe.after(lambda: done.append(end.transport.written))
        assert done == [b"at once"]
        await end.told.wait()
        assert done == [b"at once", b"out"]

    on_a_line(test)


def test_nothing_comes_or_goes_on_a_closed_line() -> None:
    async def test(end: End) -> None:
        end.pipe.shape("to_client", Shape(latency=0.001), 1)
        end.pipe.write(b"out")
        end.pipe.close()
        end.pipe.write(b"out")
        end.pipe.received(b"in")
        later: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, later.set_result, None)
        await later
        assert (end.transport.written, end.heard) == (b"", b"")

    on_a_line(test)
