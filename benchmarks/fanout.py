"""One event to many streams, beside grpc.aio.server; and what a stream costs that nothing happens on.

    python benchmarks/fanout.py [--rounds 10] [--streams 1000 5000] [--idle 10000] [--idle-rounds 3]

Needs Go: one client in Go, which does little but read frames, reads from both servers, each in a process of its own.

* Fan-out: writes a second, from the moment before an event is published until the last stream has it; the first events
  warm up. Once with 100 streams on each connection, once with a connection for each stream.
* Idle: what a server's RSS grows by for each stream that watches, once with 100 on a connection, once with one. A
  fresh process each time, because memory that was given back once is not asked for again.

Messages of the peer are raw bytes as large as the fake's, and the fake keeps its journal of each event meanwhile.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from watchmanager._wire import codec

GO = Path(__file__).parent / "go_streams"
SIZE = 390
"""Bytes of a message; one of the fake's here has about as many."""
WARM_UP = 3
FAKE = """
import json, sys, time, mockcentral
from dataclasses import replace
from mockcentral.scenario.load import load
change = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"}
with mockcentral.World(replace(load("calm"), traffic=(), faults=(), expect=())) as world:
    print(json.dumps(world.context), flush=True)
    for line in sys.stdin:
        if line.startswith("count"):
            print(world._act(lambda central, now: sum(len(entry.calls) for entry in central.topics)), flush=True)
        else:
            start = time.time_ns()
            world.publish(change)
            print(start, flush=True)
"""
AIO = """
import asyncio, json, sys, time, grpc.aio
message = bytes(int(sys.argv[1]))
contexts = []
async def stream(request_iterator, context):
    async for hello in request_iterator:
        break
    contexts.append(context)
    try:
        await asyncio.Event().wait()
    finally:
        contexts.remove(context)
class Everything(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(stream)
async def main():
    # Thousands of calls at once are more than it takes by itself: it refuses some of them.
    limits = ("grpc.server.max_pending_requests", "grpc.server.max_pending_requests_hard_limit")
    server = grpc.aio.server(handlers=[Everything()], options=[(limit, 100_000) for limit in limits])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    context = {"address": f"127.0.0.1:{port}", "token": "t", "tenant": "1", "topics": ["/t"]}
    print(json.dumps(context), flush=True)
    while line := await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline):
        if line.startswith("count"):
            print(len(contexts), flush=True)
        else:
            start = time.time_ns()
            await asyncio.gather(*(context.write(message) for context in contexts))
            print(start, flush=True)
asyncio.run(main())
"""


class Server:
    """A server in a process of its own, and the client's streams to it."""

    def __init__(self, *command: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        self.context: dict[str, Any] = json.loads(self._read())

    def ask(self, word: str) -> int:
        assert self._process.stdin is not None
        print(word, file=self._process.stdin, flush=True)
        return int(self._read())

    def rss(self) -> int:
        """KiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return int(found[1])

    def close(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()


@contextlib.contextmanager
def watching(program: str, server: Server, streams: int, connections: int) -> Iterator[IO[str]]:
    """A client whose streams are all known to the server; it prints when an event has reached all of them."""
    context = server.context
    hello = base64.b64encode(codec.subscribe(context["topics"][0], context["token"])).decode()
    command = [program, "watch", context["address"], str(streams), str(connections), hello]
    client = subprocess.Popen([*command, context["token"], context["tenant"]], stdout=subprocess.PIPE, text=True)
    try:
        assert client.stdout is not None
        if client.stdout.readline().strip() != "open":
            raise RuntimeError("the client could not open its streams")
        while server.ask("count") < streams:
            pass
        yield client.stdout
    finally:
        client.kill()
        client.communicate()


def fan_out(program: str, rounds: int, streams: int, connections: int) -> None:
    servers = {"grpc.aio": Server(AIO, str(SIZE)), "mockcentral": Server(FAKE)}
    try:
        rates: dict[str, list[float]] = {name: [] for name in servers}
        with contextlib.ExitStack() as stack:
            told = {
                name: stack.enter_context(watching(program, server, streams, connections))
                for name, server in servers.items()
            }
            for turn in range(WARM_UP + rounds):
                for name, server in servers.items():
                    start = server.ask("publish")
                    rate = streams / (int(told[name].readline()) - start) * 1e9
                    if turn >= WARM_UP:
                        rates[name].append(rate)
    finally:
        for server in servers.values():
            server.close()
    ratio = statistics.median(ours / peer for ours, peer in zip(rates["mockcentral"], rates["grpc.aio"], strict=True))
    for name, found in rates.items():
        more = f"  {ratio:.2f} of grpc.aio, goal 4" if name == "mockcentral" else ""
        where = f"{streams:>6} streams on {connections:>5} connections"
        spread = f"({min(found):,.0f} to {max(found):,.0f})"
        print(f"{where}, {name:<11} {statistics.median(found):>9,.0f} writes/s  {spread}{more}", flush=True)


def idle(program: str, rounds: int, streams: int, connections: int) -> None:
    commands = {"grpc.aio": (AIO, str(SIZE)), "mockcentral": (FAKE,)}
    sizes: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            sizes[name].append(growth(program, Server(*command), streams, connections))
    ratio = statistics.median(sizes["mockcentral"]) / statistics.median(sizes["grpc.aio"])
    for name, found in sizes.items():
        more = f"  {ratio:.2f} of grpc.aio, goal below 6" if name == "mockcentral" else ""
        where = f"{streams:>6} idle streams on {connections:>5} connections"
        spread = f"({min(found):.1f} to {max(found):.1f})"
        print(f"{where}, {name:<11} {statistics.median(found):.1f} KiB each  {spread}{more}", flush=True)


def growth(program: str, server: Server, streams: int, connections: int) -> float:
    """KiB a stream."""
    try:
        with watching(program, server, 100, 1):  # whatever the first streams make the server import or allocate
            pass
        before = server.rss()
        with watching(program, server, streams, connections):
            return (server.rss() - before) / streams
    finally:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="events each figure is taken from (default: 10)")
    parser.add_argument("--streams", type=int, nargs="+", default=[1_000, 5_000], help="streams an event goes to")
    parser.add_argument("--idle", type=int, default=10_000, help="idle streams (default: 10000)")
    parser.add_argument("--idle-rounds", type=int, default=3, help="times they are weighed (default: 3)")
    arguments = parser.parse_args()
    if shutil.which("go") is None:
        raise SystemExit("Go is not installed, and the client is written in Go")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with tempfile.TemporaryDirectory() as directory:
        program = str(Path(directory) / "streams")
        subprocess.run(["go", "build", "-o", program, "."], cwd=GO, check=True)
        for streams in arguments.streams:
            for connections in (streams // 100, streams):
                fan_out(program, arguments.rounds, streams, connections)
        for connections in (arguments.idle // 100, arguments.idle):
            idle(program, arguments.idle_rounds, arguments.idle, connections)


if __name__ == "__main__":
    main()
