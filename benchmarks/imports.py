"""What importing costs, each in a fresh interpreter, in turn with grpcio's own import in the same run.

    python benchmarks/imports.py [--rounds 9]

CPU milliseconds of the import alone, not of starting Python; bytecode is cached (one round goes before the measured
ones). `import watchmanager` imports names when they are first used, so the line that counts is the one that uses
`WatchManager`. Goals: 150 ms, and 50 ms beside what grpcio and protobuf cost by themselves.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile

GRPC = "import asyncio, grpc, grpc.aio"
PROTOBUF = (
    "from google.protobuf import any_pb2, descriptor, descriptor_pool, message, symbol_database, timestamp_pb2; "
    "from google.protobuf.internal import builder"
)
CASES = {
    "grpcio (with asyncio)": ("", GRPC),
    "import watchmanager": ("", "import watchmanager"),
    "watchmanager.WatchManager, all": ("", "from watchmanager import WatchManager"),
    "the same beside grpcio": (GRPC, "from watchmanager import WatchManager"),
    "and beside protobuf": (f"{GRPC}; {PROTOBUF}", "from watchmanager import WatchManager"),
    "httpx, with the first request": (f"{GRPC}; from watchmanager import WatchManager", "import httpx"),
}


def cost(before: str, what: str, cache: str) -> float:
    """Milliseconds of CPU."""
    code = f"import time; {before or 'pass'}; t = time.process_time(); {what}; print((time.process_time() - t) * 1e3)"
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": cache}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=9, help="interpreters a line (default: 9)")
    arguments = parser.parse_args()
    seen: dict[str, list[float]] = {name: [] for name in CASES}
    with tempfile.TemporaryDirectory() as cache:
        for number in range(arguments.rounds + 1):
            for name, (before, what) in CASES.items():
                spent = cost(before, what, cache)
                if number:  # the first round writes the bytecode
                    seen[name].append(spent)
    peer = statistics.median(seen["grpcio (with asyncio)"])
    for name, costs in seen.items():
        middle = statistics.median(costs)
        print(f"{name:<32} {middle:>6.1f} ms  ({min(costs):.1f} to {max(costs):.1f})  ratio {middle / peer:.2f}")


if __name__ == "__main__":
    main()
