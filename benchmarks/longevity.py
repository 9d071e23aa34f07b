"""What a long life leaves behind: 24 virtual hours of faults, and a thousand real reconnects beside bare grpc.aio's.

    python benchmarks/longevity.py [--hours 24] [--reconnects 1000]

In virtual time a stream breaks every minute, in turn by a status, a reset connection and silence, while events come;
memory (tracemalloc) is taken every eighth of the time. Over sockets the fake lives in a process of its own and closes
every connection again and again; tasks, threads, open files and RSS of the client's process are taken every tenth. The
peer does with grpc.aio alone what the watch does: a new call, its first message read. "Growth" is from the first tenth,
when everything was loaded, to the last.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

import watchmanager as wm
from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario.load import load
from mockcentral.sim.world import SimWorld
from watchmanager._core.machine import Settings
from watchmanager._wire import messages

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
SERVER = """
import json, sys, mockcentral
from dataclasses import replace
from mockcentral.scenario.load import load
with mockcentral.World(replace(load("calm"), traffic=(), faults=(), expect=())) as world:
    print(json.dumps(world.context), flush=True)
    for line in sys.stdin:
        world.close_connections()
        world.publish({"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"})
        print("done", flush=True)
"""


def virtual(hours: float) -> None:
    """Print memory after each eighth of the time."""
    world = SimWorld(replace(load("calm"), traffic=(), faults=(), expect=()), lean=True)
    # Sequences are remembered to tell duplicates, 100,000 of them: fewer here, so that the bound is reached.
    client = WatchClient(TOPIC, settings=Settings(topic=TOPIC, checkpointing=True, buffer=wm.Buffer(recent=500)))
    world.join(client)
    change = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"}
    breaks: tuple[Callable[[], object], ...] = (
        lambda: world.end_streams(14),
        world.close_connections,
        world.blackhole,
    )
    minutes = int(hours * 60)
    sizes = []
    applied = 0
    tracemalloc.start()
    start = time.perf_counter()
    for minute in range(minutes):
        world.publish([change] * 3)
        world.run(until=minute * 60.0 + 1.0)
        breaks[minute % 3]()
        world.run(until=minute * 60.0 + 60.0)
        if (minute + 1) % (minutes // 8) == 0:
            # What the test itself keeps: every item, every event ever published.
            applied += len(client.applied)
            client.applied.clear()
            client.states.clear()
            client.positions.clear()
            world.published.clear()
            world.purge(keep=100)
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0] / 1024)
    tracemalloc.stop()
    print(
        f"{hours:g} virtual hours, {minutes} broken streams, {applied} items, {time.perf_counter() - start:.1f} s: "
        f"KiB at each eighth {', '.join(f'{size:,.0f}' for size in sizes)}"
    )


Counts = tuple[int, int, int, int]


def counts() -> Counts:
    """Tasks, threads, open files, RSS in KiB."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return (
        len(asyncio.all_tasks()),
        threading.active_count(),
        len(os.listdir("/proc/self/fd")),
        pages * os.sysconf("SC_PAGE_SIZE") // 1024,
    )


Tell = Callable[[], Awaitable[None]]


async def ours(context: dict[str, Any], reconnects: int, tell: Tell) -> list[Counts]:
    eager = wm.Backoff(initial=0.01, maximum=0.05, rotation=0.01, rotation_maximum=0.02)
    seen = []
    async with (
        wm.AsyncWatchManager(
            context["http_url"],
            tenant_id=context["tenant"],
            token=context["token"],
            backoff=eager,
            subscribe_grace=0.02,
        ) as manager,
        manager.watch(context["topics"][0]) as watch,
    ):
        await watch.ready(30)
        for number in range(reconnects):
            await tell()
            await asyncio.wait_for(anext(watch), 60)
            if (number + 1) % max(1, reconnects // 10) == 0:
                seen.append(counts())
        assert watch.status.reconnects >= reconnects // 2
    return seen


async def bare(context: dict[str, Any], reconnects: int, tell: Tell) -> list[Counts]:
    seen = []
    token = f"Bearer {context['token']}"
    metadata = (("authorization", token), ("x-axway-tenant-id", context["tenant"]))
    request = messages.Request(selfLink=context["topics"][0], token=token)
    options = [("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)]
    async with grpc.aio.insecure_channel(context["address"], options=options) as channel:
        method = channel.stream_stream(
            "/central.events.v1.watch/subscribe",
            request_serializer=messages.Request.SerializeToString,
            response_deserializer=messages.Event.FromString,
        )
        for number in range(reconnects):
            call: Any = method(metadata=metadata, wait_for_ready=True)
            try:
                await call.write(request)
                await tell()
                while await call.read() is not grpc.aio.EOF:
                    pass
            except grpc.RpcError:
                pass
            if (number + 1) % max(1, reconnects // 10) == 0:
                seen.append(counts())
    return seen


def real(reconnects: int) -> None:
    server = subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert server.stdin is not None
    assert server.stdout is not None
    to, back = server.stdin, server.stdout
    context = json.loads(back.readline())

    def ask() -> None:
        to.write("close\n")
        to.flush()
        back.readline()

    async def tell() -> None:
        await asyncio.to_thread(ask)

    try:
        for name, client in (("bare grpc.aio", bare), ("watchmanager", ours)):
            start = time.perf_counter()
            seen = asyncio.run(client(context, reconnects, tell))
            first, last = seen[0], seen[-1]
            print(
                f"{name:<14} {reconnects} reconnects, {time.perf_counter() - start:.0f} s: "
                + ", ".join(
                    f"{what} {a} -> {b}"
                    for what, a, b in zip(("tasks", "threads", "files", "RSS KiB"), first, last, strict=True)
                )
                + f" (RSS by tenth {', '.join(str(each[3]) for each in seen)})"
            )
    finally:
        to.close()
        server.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="virtual hours (default: 24)")
    parser.add_argument("--reconnects", type=int, default=1_000, help="real reconnects (default: 1000)")
    arguments = parser.parse_args()
    virtual(arguments.hours)
    real(arguments.reconnects)


if __name__ == "__main__":
    main()
