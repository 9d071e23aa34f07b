"""Streams of the fake beside grpc-go's server and grpc.aio.server, all read by the same Go client (grpc-go).

    python benchmarks/streams.py [--rounds 5] [--events 100000]

Needs Go. Every server runs in a process of its own and sends the same bytes:

* a backlog through one stream, and a hundredth of it through each of 100 streams of one connection: events a second,
  from the dial to the last event. The fake keeps its journal of each event meanwhile.

Messages are raw bytes for the client and for both peers, as large as the fake's, so nobody pays for protobuf.
GripMock, a possible third peer, is not here: the Go module proxy refuses its module (403).
"""

from __future__ import annotations

import argparse
import base64
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from watchmanager._wire import codec

SIZE = 390
"""Bytes of a message; one of the fake's here has about as many."""
GO = Path(__file__).parent / "go_streams"
FAKE = """
import json, sys, mockcentral
from dataclasses import replace
from mockcentral.scenario.load import load
count = int(sys.argv[1])
calm = load("calm")
settings = replace(calm.world, log=replace(calm.world.log, keep=max(count, 1)))
with mockcentral.World(replace(calm, traffic=(), faults=(), expect=(), world=settings)) as world:
    change = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"}
    for first in range(0, count, 1000):
        world.publish([change] * min(1000, count - first))

    def everything(central, now):  # each stream gets all there is, as if it had been open before
        opened = type(central).call_opened

        def call_opened(central, *arguments):
            number = opened(central, *arguments)
            central.calls[number].opened_after = 0
            return number

        type(central).call_opened = call_opened

    world._act(everything)
    print(json.dumps(world.context), flush=True)
    sys.stdin.read()
"""
AIO = """
import asyncio, sys, grpc.aio
count, size = int(sys.argv[1]), int(sys.argv[2])
message = bytes(size)
async def stream(request_iterator, context):
    async for hello in request_iterator:
        break
    for _ in range(count):
        await context.write(message)
    await asyncio.Event().wait()
class Everything(grpc.GenericRpcHandler):
    def service(self, details):
        return grpc.stream_stream_rpc_method_handler(stream)
async def main():
    server = grpc.aio.server(handlers=[Everything()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()
asyncio.run(main())
"""


@contextmanager
def process(*command: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server and the first line it prints."""
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
    try:
        assert server.stdout is not None
        yield server, server.stdout.readline().strip()
    finally:
        server.kill()
        server.communicate()


def measure(program: str, rounds: int, streams: int, events: int) -> None:
    with ExitStack() as stack:
        _, first = stack.enter_context(process(sys.executable, "-c", FAKE, str(events)))
        context: dict[str, Any] = json.loads(first)
        hello = base64.b64encode(codec.subscribe(context["topics"][0], context["token"])).decode()
        _, go = stack.enter_context(process(program, "serve", str(events), str(SIZE)))
        _, aio = stack.enter_context(process(sys.executable, "-c", AIO, str(events), str(SIZE)))
        servers = {"grpc-go": go, "grpc.aio": aio, "mockcentral": context["address"]}
        seen: dict[str, list[float]] = {name: [] for name in servers}
        for _ in range(rounds):
            for name, address in servers.items():
                command = [program, "read", address, str(streams), str(events), hello]
                done = subprocess.run(
                    [*command, context["token"], context["tenant"]], capture_output=True, text=True, check=True
                )
                seen[name].append(streams * events / float(done.stdout))
    for name, rates in seen.items():
        ratios = ", ".join(
            f"{statistics.median(ours / peer for ours, peer in zip(rates, seen[other], strict=True)):.2f} of {other}"
            for other in ("grpc-go", "grpc.aio")
            if other != name
        )
        print(
            f"{streams:>3} streams, {name:<11} {statistics.median(rates):>9,.0f} events/s  "
            f"({min(rates):,.0f} to {max(rates):,.0f})  {ratios}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times each figure is taken (default: 5)")
    parser.add_argument("--events", type=int, default=100_000, help="events through one stream (default: 100000)")
    arguments = parser.parse_args()
    if shutil.which("go") is None:
        raise SystemExit("Go is not installed, and the client is written in Go")
    with tempfile.TemporaryDirectory() as directory:
        program = str(Path(directory) / "streams")
        subprocess.run(["go", "build", "-o", program, "."], cwd=GO, check=True)
        for streams, events in ((1, arguments.events), (100, arguments.events // 100)):
            measure(program, arguments.rounds, streams, events)


if __name__ == "__main__":
    main()
