"""A world in which nothing happens by itself, and things to wait for."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import mockcentral
import watchmanager as wm
from mockcentral.scenario.load import load
from tests.watchmanager.worlds import manager

PATIENCE = 60.0
"""Nobody waits that long unless something is broken."""


def quiet(**world: Any) -> mockcentral.World:
    """The sample topic, no traffic, no faults."""
    return mockcentral.World(replace(load("calm"), traffic=(), faults=(), expect=()), **world)


class Saves(wm.MemoryCheckpoints):
    """A store that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[int] = []
        self._news = asyncio.Event()

    def save(self, topic: str, sequence: int) -> None:
        super().save(topic, sequence)
        self.saved.append(sequence)
        self._news.set()

    async def wait(self, sequence: int) -> None:
        """Until this is the restart point."""
        while not self.saved or self.saved[-1] != sequence:
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)


@contextlib.asynccontextmanager
async def running(
    world: mockcentral.World, owner: wm.AsyncWatchManager, **run: Any
) -> AsyncIterator[asyncio.Task[None]]:
    """Handlers at work and the watch live; at the end the manager is closed and the run is over."""
    task = asyncio.ensure_future(owner.run(world.topics[0], **{"start": "latest", **run}))
    await asyncio.sleep(0)
    try:
        ready = asyncio.ensure_future(owner.watches[0].ready(PATIENCE))
        await asyncio.wait([ready, task], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            ready.cancel()
            task.result()
        await ready
        yield task
    finally:
        await owner.close()
        await asyncio.wait([task])
        with contextlib.suppress(BaseException):
            task.result()


async def soon(happened: asyncio.Event) -> None:
    await asyncio.wait_for(happened.wait(), PATIENCE)


def owner_of(world: mockcentral.World, **more: Any) -> wm.AsyncWatchManager:
    return manager(world, checkpoint_interval=0.01, **more)


class Counted:
    """Counts, and says when it got there."""

    def __init__(self, target: int) -> None:
        self.count = 0
        self.reached = asyncio.Event()
        self._target = target

    def up(self) -> None:
        self.count += 1
        if self.count == self._target:
            self.reached.set()


def run(main: Callable[[], Any]) -> None:
    asyncio.run(main())
