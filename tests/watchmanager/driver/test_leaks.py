"""Reconnecting for a long time leaves nothing behind. `WATCHMANAGER_RECONNECTS=1000` for the long run."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

import pytest

import watchmanager as wm
from tests.watchmanager.driver.tiny import tcp_server
from tests.watchmanager.worlds import change, manager, plain, take

RECONNECTS = int(os.environ.get("WATCHMANAGER_RECONNECTS", "40"))
FDS = Path("/proc/self/fd")


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(1000):
        pass


def test_tries_that_do_not_connect_leave_no_task_behind() -> None:
    """To a server that accepts and says nothing: grpc.aio does not wake a write that waits for such a connection."""

    def reading() -> list[str]:
        names = [str(getattr(task.get_coro(), "__qualname__", "")) for task in asyncio.all_tasks()]
        return [name for name in names if name.startswith("Stream.")]

    async def main() -> None:
        async with tcp_server(silence) as port:
            eager = wm.Backoff(initial=0.01, maximum=0.01)
            owner = wm.AsyncWatchManager(
                f"http://127.0.0.1:{port}",
                tenant_id="1",
                token=wm.Token("x", None),
                history=False,
                connect_timeout=0.2,
                backoff=eager,
            )
            async with owner:
                watch = owner.watch("t")
                most = 0
                async for status in watch.state_changes():
                    most = max(most, len(reading()))
                    if status.attempt > 8:
                        break
            assert most <= 2  # one that ends, and one that begins
            assert reading() == []

    asyncio.run(main())


@pytest.mark.skipif(not FDS.exists(), reason="counts open files in /proc")
def test_reconnecting_leaves_no_task_thread_or_socket_behind() -> None:
    def count() -> tuple[int, int, int]:
        gc.collect()
        return len(asyncio.all_tasks()), threading.active_count(), len(list(FDS.iterdir()))

    async def main() -> None:
        eager = wm.Backoff(initial=0.01, maximum=0.05, rotation=0.01, rotation_maximum=0.02)
        with plain() as world:
            async with manager(world, backoff=eager) as owner, owner.watch(world.topics[0]) as watch:
                await watch.ready(20)
                before = (0, 0, 0)
                for number in range(RECONNECTS):
                    attempt = watch.status.attempt
                    await asyncio.to_thread(world.close_connections)
                    world.publish(change(number))
                    await take(watch, 1)
                    while watch.status.attempt == attempt or watch.status.state is not wm.State.LIVE:
                        await watch._engine.wait_changed()
                    if number == RECONNECTS // 4:
                        before = count()
                after = count()
        # The fake's threads and sockets are in the same process: a little noise, no growth.
        for name, first, last in zip(("tasks", "threads", "files"), before, after, strict=True):
            assert last <= first + 6, f"{name} grew from {first} to {last}"

    asyncio.run(main())
