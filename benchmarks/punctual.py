"""How far from its time a planned fault is on the wire.

    python benchmarks/punctual.py [--faults 500]

Needs Go, for a client that does nothing but hold streams open: each is ended at a time of its own, drawn from five
seconds, by one fault rule. The journal says by how much each was late (`late` in `fault.on_wire`), the moment its bytes
were handed to the socket. The peer is as many timers of an asyncio loop that does nothing else, in a process of its own
at the same time. A machine that is not idle shows in both.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import mockcentral
from mockcentral.scenario.load import load, parse_fault
from watchmanager._wire import codec

GO = Path(__file__).parent / "go_streams"
TIMERS = """
import asyncio, json, random, sys
async def main():
    loop = asyncio.get_running_loop()
    late = []
    start = loop.time()
    for _ in range(int(sys.argv[1])):
        at = start + random.uniform(0.5, 5.5)
        loop.call_at(at, lambda at=at: late.append(loop.time() - at))
    await asyncio.sleep(6)
    print(json.dumps(late))
asyncio.run(main())
"""


def show(name: str, late: list[float]) -> None:
    late = sorted(late)
    percentile = late[math.ceil(len(late) * 0.99) - 1]
    print(
        f"{name:<24} {statistics.median(late) * 1000:.2f} ms late at the median, {percentile * 1000:.2f} ms at the"
        f" 99th percentile, {late[-1] * 1000:.2f} ms at the most  ({len(late)} of them)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=500, help="faults, each planned for a time (default: 500)")
    arguments = parser.parse_args()
    if shutil.which("go") is None:
        raise SystemExit("Go is not installed, and the client is written in Go")
    rule = parse_fault({"name": "end", "on": "stream_open", "after": "0.5s..5.5s", "do": {"end_status": "UNAVAILABLE"}})
    scenario = replace(load("calm"), traffic=(), faults=(rule,), expect=())
    with tempfile.TemporaryDirectory() as directory, mockcentral.World(scenario) as world:
        program = str(Path(directory) / "streams")
        subprocess.run(["go", "build", "-o", program, "."], cwd=GO, check=True)
        hello = base64.b64encode(codec.subscribe(world.topics[0], world.token)).decode()
        command = [program, "watch", world.address, str(arguments.faults), "5", hello, world.token, world.tenant]
        client = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        peer = subprocess.Popen(
            [sys.executable, "-c", TIMERS, str(arguments.faults)], stdout=subprocess.PIPE, text=True
        )
        try:
            timers = json.loads(peer.communicate()[0])
            late: list[float] = []
            while len(late) < arguments.faults:
                time.sleep(0.1)
                late = [line["late"] for line in world.journal() if "late" in line]
        finally:
            client.kill()
            client.wait()
    show("timers of an idle loop", timers)
    show("planned faults", late)


if __name__ == "__main__":
    main()
