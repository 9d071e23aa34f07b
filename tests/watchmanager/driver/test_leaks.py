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
from watchmanager._core.proxies import Target
from watchmanager._driver.route import Route
from watchmanager.policy import Proxy

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
@pytest.mark.parametrize("way", ["directly", "proxy"])
def test_a_request_that_is_given_up_during_its_handshake_leaves_no_socket_behind(way: str) -> None:
    async def main() -> None:
        arrived = asyncio.Event()

        async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if way == "proxy":
                await reader.readuntil(b"\r\n\r\n")
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            await reader.readexactly(5)  # of a ClientHello
            arrived.set()
            await silence(reader, writer)

        async with tcp_server(stall) as port:
            proxy = Proxy(url=f"http://127.0.0.1:{port}") if way == "proxy" else None
            route = Route(Target("127.0.0.1", port), tls=wm.TLS(), proxy=proxy, environ={})
            before = len(list(FDS.iterdir()))
            for _ in range(5):
                arrived.clear()
                client = route.http_client(timeout=60)
                asking = asyncio.ensure_future(client.get(f"https://127.0.0.1:{port}/"))
                await asyncio.wait_for(arrived.wait(), 20)
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                await client.aclose()
            for _ in range(1000):
                if len(list(FDS.iterdir())) <= before:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError(f"{len(list(FDS.iterdir())) - before} files more than before")

    gc.collect()
    gc.disable()  # it would close them, some day
    try:
        asyncio.run(main())
    finally:
        gc.enable()


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
