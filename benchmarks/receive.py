"""How fast a client receives: ours against a bare grpc.aio loop that reads and parses, on the same stream.

    python benchmarks/receive.py [--events 30000] [--rounds 15]

The fake runs in a process of its own; each round takes every client once, so a slow moment of the machine hits all.
Figures are events a second from the first to the last, and the CPU time of the client's process for each. The ratio is
the median of each round's own ratio to its bare loop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

import watchmanager
from watchmanager._wire import messages

PEER = "bare grpc.aio"
PUBLISHER = """
import json, sys, mockcentral
from mockcentral.scenario.schema import Filter, FilterScope, PingSettings, Scenario, Topic, WorldSettings
scope = FilterScope(kind="Environment", name="sample-env")
topic = Topic(name="t", filters=(Filter(kind="APIService", scope=scope),))
settings = WorldSettings(ping=PingSettings(every=1.0))  # a sign of life, so that `ready` is soon true
scenario = Scenario(scenario="receive", about="A burst.", world=settings, topics=(topic,))
with mockcentral.World(scenario) as world:
    print(json.dumps(world.context), flush=True)
    for line in sys.stdin:
        count = int(line)
        change = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"}
        world.publish([change] * count)
        print("published", flush=True)
"""


Go = Callable[[int], None]
"""Publishes that many events."""
Figure = tuple[float, float]
"""Events a second, microseconds of CPU for each."""


class Start:
    """When the first event came."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()


def figures(start: Start | None, count: int) -> Figure:
    assert start is not None
    return count / (time.perf_counter() - start.wall), (time.process_time() - start.cpu) / count * 1e6


async def bare(context: dict[str, Any], count: int, go: Go) -> Figure:
    """A loop that reads and parses, nothing else."""
    async with grpc.aio.insecure_channel(context["address"]) as channel:
        call = channel.stream_stream(
            "/central.events.v1.watch/subscribe",
            request_serializer=messages.Request.SerializeToString,
            response_deserializer=messages.Event.FromString,
        )(metadata=(("authorization", f"Bearer {context['token']}"), ("x-axway-tenant-id", context["tenant"])))
        token = f"Bearer {context['token']}"
        await call.write(messages.Request(selfLink=context["topics"][0], token=token, capabilities=["ping"]))
        await call.read()  # a PING: the server knows this stream
        go(count)
        left, start = count, None
        while left:
            event: Any = await call.read()
            if event.metadata.sequenceID:
                start = start or Start()
                left -= 1
        figure = figures(start, count)
        call.cancel()
        return figure


async def aio(context: dict[str, Any], count: int, go: Go) -> Figure:
    """`async for event in watch`, once it is live."""
    async with (
        watchmanager.AsyncWatchManager(
            context["http_url"], tenant_id=context["tenant"], token=context["token"]
        ) as manager,
        manager.watch(context["topics"][0]) as watch,
    ):
        await watch.ready(10)
        go(count)
        left, start = count, None
        async for event in watch:
            start = start or Start()
            assert event.sequence
            left -= 1
            if left == 0:
                break
        return figures(start, count)


def blocking(context: dict[str, Any], count: int, go: Go) -> Figure:
    """`for event in watch`, once it is live."""
    with (
        watchmanager.WatchManager(context["http_url"], tenant_id=context["tenant"], token=context["token"]) as manager,
        manager.watch(context["topics"][0]) as watch,
    ):
        watch.ready(10)
        go(count)
        left, start = count, None
        for event in watch:
            start = start or Start()
            assert event.sequence
            left -= 1
            if left == 0:
                break
        return figures(start, count)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=30_000, help="events a round (default: 30000)")
    parser.add_argument("--rounds", type=int, default=15, help="times each client receives them (default: 15)")
    arguments = parser.parse_args()
    server = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )
    assert server.stdin is not None
    assert server.stdout is not None
    pipe = server.stdin
    context = json.loads(server.stdout.readline())

    def go(count: int) -> None:
        pipe.write(f"{count}\n")
        pipe.flush()

    clients: dict[str, Callable[[], Figure]] = {
        PEER: lambda: asyncio.run(bare(context, arguments.events, go)),
        "watchmanager asyncio": lambda: asyncio.run(aio(context, arguments.events, go)),
        "watchmanager blocking": lambda: blocking(context, arguments.events, go),
    }
    seen: dict[str, list[Figure]] = {name: [] for name in clients}
    try:
        for _ in range(arguments.rounds):
            for name, client in clients.items():
                seen[name].append(client())
    finally:
        server.stdin.close()
        server.wait(10)
    for name, found in seen.items():
        rates = [rate for rate, _ in found]
        ratios = [rate / peer for rate, (peer, _) in zip(rates, seen[PEER], strict=True)]
        print(
            f"{name:<22} {statistics.median(rates):>8,.0f} events/s  ({min(rates):,.0f} to {max(rates):,.0f})"
            f"  ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
            f"  {statistics.median(cpu for _, cpu in found):.0f} us of CPU each"
        )


if __name__ == "__main__":
    main()
