"""What the fake costs: cold start, worlds, the harvester, publishing with many topics.

    python benchmarks/worlds.py [--rounds 5] [--worlds 500]

* Cold start: `python -m mockcentral --scenario calm` until its first line says where it is; the peer is a
  `grpc.aio.server` in a Python that does nothing else, until it has started.
* A world made and destroyed by `mockcentral.World`, one by one, then many at once in this process; the peer is a
  `grpc.aio.server` started and stopped, then as many of them on one loop.
* The harvester over HTTP/1.1 on one connection, pages of 100; the peer is the same page served by a Flask view that has
  it ready, on werkzeug's own server.
* Publishing in the rules alone, one matching topic among 10, 1,000 and 100,000: microseconds an event. The peer is what
  a simple fake does: it looks through all filters, one after the other, and appends the event where one fits.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from urllib.parse import quote

import grpc.aio

import mockcentral
from mockcentral.scenario.load import load
from mockcentral.scenario.schema import Filter, FilterScope, Topic
from mockcentral.sim.world import SimWorld

PEER_START = """
import asyncio, grpc.aio
async def main():
    server = grpc.aio.server()
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    print("ready", flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""
PLAIN = replace(load("calm"), traffic=(), faults=(), expect=())
CHANGE = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"}


def started(command: list[str], sign: str, cache: str) -> float:
    """Seconds until a line of its output holds `sign`. Bytecode comes out of `cache`."""
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    start = time.perf_counter()
    server = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment
    )
    assert server.stdout is not None
    for line in server.stdout:
        if sign in line:
            break
    else:
        raise RuntimeError(f"{command} ended before it was ready")
    spent = time.perf_counter() - start
    server.terminate()
    server.wait(20)
    return spent


def cold_starts(rounds: int) -> list[list[float]]:
    with tempfile.TemporaryDirectory() as cache:

        def ours() -> float:
            return (
                started(["-m", "mockcentral", "--scenario", "calm", "--print-ready", "json"], '"address"', cache) * 1e3
            )

        def peer() -> float:
            return started(["-c", PEER_START], "ready", cache) * 1e3

        times(1, ours, peer)  # writes the bytecode
        return times(rounds, ours, peer)


def one_world() -> float:
    start = time.perf_counter()
    with mockcentral.World(PLAIN):
        pass
    return time.perf_counter() - start


def one_grpc_server() -> float:
    async def main() -> float:
        start = time.perf_counter()
        server = grpc.aio.server()
        server.add_insecure_port("127.0.0.1:0")
        await server.start()
        await server.stop(None)
        return time.perf_counter() - start

    return asyncio.run(main())


def many_worlds(count: int, threads: set[int]) -> float:
    """Milliseconds for each until all of them listen; notes how many threads there are then."""
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        worlds = [stack.enter_context(mockcentral.World(PLAIN)) for _ in range(count)]
        spent = time.perf_counter() - start
        for world in worlds:
            world.publish(CHANGE)
        threads.add(threading.active_count())
    return spent / count * 1e3


def many_grpc_servers(count: int) -> float:
    """The same of servers of `grpc.aio`."""

    async def main() -> float:
        start = time.perf_counter()
        servers = [grpc.aio.server() for _ in range(count)]
        for server in servers:
            server.add_insecure_port("127.0.0.1:0")
            await server.start()
        spent = time.perf_counter() - start
        for server in servers:
            await server.stop(None)
        return spent / count * 1e3

    return asyncio.run(main())


def harvester(pages: int) -> float:
    """Events a second."""
    with mockcentral.World(PLAIN) as world:
        world.publish([CHANGE] * 1_000)
        headers = {"Authorization": f"Bearer {world.token}", "X-Axway-Tenant-Id": world.tenant}
        link = world.topics[0]
        connection = http.client.HTTPConnection(world.address)
        path = f"/events{link}?pageSize=100&sort=sequenceID,ASC&query={quote('sequenceID>0')}"
        return read(connection, path, headers, pages)


def read(connection: http.client.HTTPConnection, path: str, headers: dict[str, str], pages: int) -> float:
    count = 0
    start = 0.0
    for number in range(pages + 1):
        if number == 1:  # the first opens the connection and fills caches
            start, count = time.perf_counter(), 0
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, (answer.status, body[:200])
        count += body.count(b'"sequenceID"')
    spent = time.perf_counter() - start
    connection.close()
    return count / spent


def bare_flask(pages: int) -> float:
    import flask
    from werkzeug.serving import WSGIRequestHandler, make_server

    class Handler(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, type: str, message: str, *args: object) -> None:
            pass

    with mockcentral.World(PLAIN) as world:
        world.publish([CHANGE] * 100)
        headers = {"Authorization": f"Bearer {world.token}", "X-Axway-Tenant-Id": world.tenant}
        connection = http.client.HTTPConnection(world.address)
        connection.request("GET", f"/events{world.topics[0]}?pageSize=100", headers=headers)
        page = json.loads(connection.getresponse().read())
        connection.close()
    app = flask.Flask("peer")

    @app.get("/events")
    def events() -> flask.Response:
        return flask.Response(json.dumps(page), mimetype="application/json")

    server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        return read(http.client.HTTPConnection("127.0.0.1", server.server_port), "/events", {}, pages)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def many_topics(count: int) -> tuple[Topic, ...]:
    return tuple(
        Topic(
            name=f"topic-{number}",
            filters=(Filter(kind="APIService", scope=FilterScope(kind="Environment", name=f"env-{number}")),),
        )
        for number in range(count)
    )


def publish(topics: int, events: int = 2_000) -> float:
    """Microseconds for one event that one of so many topics wants."""
    many = many_topics(topics)
    world = SimWorld(replace(PLAIN, topics=many), lean=True)
    change = {**CHANGE, "scope": f"Environment/env-{topics // 2}"}
    world.publish([change] * 50)
    start = time.process_time()
    world.publish([change] * events)
    spent = time.process_time() - start
    assert world.published[-1][1], "no topic wanted it"
    return spent / events * 1e6


def look_through(topics: int, steps: int = 200_000) -> float:
    """The same of a list of filters: as many events as come to so many steps."""
    many = [(topic, list[dict[str, str]]()) for topic in many_topics(topics)]
    change = {**CHANGE, "scope": f"Environment/env-{topics // 2}", "group": "management"}
    kind, name = change["scope"].split("/")
    events = max(1, steps // topics)
    start = time.process_time()
    for _ in range(events):
        for topic, log in many:
            for wanted in topic.filters:
                if (
                    change["type"] in wanted.type
                    and wanted.group in ("*", change["group"])
                    and wanted.kind in ("*", change["kind"])
                    and wanted.name in ("*", change["name"])
                    and (wanted.scope is None or (wanted.scope.kind == kind and wanted.scope.name in ("*", name)))
                ):
                    log.append(change)
                    break
    spent = time.process_time() - start
    assert sum(len(log) for _, log in many) == events, "no topic wanted it"
    return spent / events * 1e6


def show(name: str, found: list[float], unit: str, goal: str = "", peer: list[float] | None = None) -> float:
    middle = statistics.median(found)
    ratio = f"  ratio {middle / statistics.median(peer):.2g}" if peer else ""
    print(f"{name:<42} {middle:>10,.1f} {unit}  ({min(found):,.1f} to {max(found):,.1f}){ratio}  {goal}", flush=True)
    return middle


def times(rounds: int, *works: Callable[[], float]) -> list[list[float]]:
    """Each of them once a round."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(rounds):
        for work, seen in zip(works, found, strict=True):
            seen.append(work())
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times each figure is taken (default: 5)")
    parser.add_argument("--worlds", type=int, default=500, help="worlds at once (default: 500)")
    parser.add_argument("--topics", type=int, nargs="+", default=[10, 1_000, 100_000], help="registered topics")
    arguments = parser.parse_args()
    rounds = arguments.rounds

    ours, peer = cold_starts(rounds)
    show("grpc.aio.server, cold start", peer, "ms")
    show("python -m mockcentral, cold start", ours, "ms", "goal 400 ms", peer)

    one_world(), one_grpc_server()
    ours, peer = times(rounds * 10, lambda: one_world() * 1e3, lambda: one_grpc_server() * 1e3)
    show("grpc.aio.server, start and stop", peer, "ms")
    show("a world, made and destroyed", ours, "ms", "goal 5 ms", peer)
    count, threads = arguments.worlds, set[int]()
    ours, peer = times(rounds, lambda: many_worlds(count, threads), lambda: many_grpc_servers(count))
    show(f"{count} servers of grpc.aio at once, each", peer, "ms")
    show(f"{count} worlds at once, each", ours, "ms", f"with {max(threads)} threads", peer)

    ours, peer = times(rounds, lambda: harvester(100), lambda: bare_flask(100))
    show("flask, the same page", peer, "events/s")
    show("harvester, pages of 100", ours, "events/s", "goal 50,000", peer)

    first = 0.0
    for topics in arguments.topics:
        found, peer = times(rounds, lambda: publish(topics), lambda: look_through(topics))  # noqa: B023
        show(f"looking through {topics:,} topics", peer, "us")
        middle = show(f"publish, {topics:,} topics, 1 of them matches", found, "us", "", peer)
        first = first or middle
        if middle != first:
            print(f"{'':<42} {middle / first:>10.2f} times the first  goal below 2")


if __name__ == "__main__":
    main()
