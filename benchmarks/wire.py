"""How much the wire costs beside bare h2: one event to many idle connections, and one backlog through one stream.

    python benchmarks/wire.py [--rounds 10]

In memory, no sockets. The peer of each figure is h2 alone, which sends the same bytes without a queue, a splitter or
gRPC; of the backlog it makes a frame of each event.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
import tracemalloc
from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from mockcentral.wire.grpc import ServerConnection, encode_message

CONNECTIONS = 1000
BACKLOG = 100_000
MESSAGE = encode_message(b"x" * 295)

CALL = [
    (":method", "POST"),
    (":scheme", "http"),
    (":path", "/central.events.v1.watch/subscribe"),
    (":authority", "fake"),
    ("content-type", "application/grpc"),
    ("authorization", "Bearer " + "x" * 800),
]


def opening(window: int = 2**31 - 1, calls: int = 1) -> bytes:
    """What a client with wide open windows sends to open so many calls."""
    client = H2Connection(H2Configuration(client_side=True))
    client.local_settings = type(client.local_settings)(
        client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: window}
    )
    client.initiate_connection()
    client.increment_flow_control_window(2**31 - 1 - 65_535)
    for _ in range(calls):
        client.send_headers(client.get_next_available_stream_id(), CALL)
    data: bytes = client.data_to_send()
    return data


def ours(data: bytes) -> ServerConnection:
    wire = ServerConnection()
    wire.receive(data)
    wire.data_to_send()
    return wire


def bare(data: bytes) -> H2Connection:
    wire = H2Connection(H2Configuration(client_side=False))
    wire.initiate_connection()
    wire.receive_data(data)
    wire.send_headers(1, [(":status", "200"), ("content-type", "application/grpc")])
    wire.data_to_send()
    return wire


def memory(make: Callable[[bytes], object], data: bytes, count: int = 50) -> float:
    """KiB for one of what `make` returns."""
    make(data)
    tracemalloc.start()
    kept = [make(data) for _ in range(count)]
    gc.collect()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return size / len(kept) / 1024


def live(wires: list[ServerConnection]) -> float:
    """Writes a second of one event to each of the connections."""
    frames = (MESSAGE,)
    start = time.perf_counter()
    for wire in wires:
        wire.send_messages(1, frames)
        wire.data_to_send()
    return len(wires) / (time.perf_counter() - start)


def bare_live(h2s: list[H2Connection]) -> float:
    start = time.perf_counter()
    for h2 in h2s:
        h2.send_data(1, MESSAGE)
        h2.data_to_send()
    return len(h2s) / (time.perf_counter() - start)


def backlog(data: bytes) -> float:
    """Events a second of many to one stream."""
    wire = ours(data)
    messages = [MESSAGE] * BACKLOG
    start = time.perf_counter()
    wire.send_messages(1, messages)
    while wire.data_to_send(262_144):
        pass
    return BACKLOG / (time.perf_counter() - start)


def bare_backlog(data: bytes) -> float:
    h2 = bare(data)
    start = time.perf_counter()
    for _ in range(BACKLOG):
        h2.send_data(1, MESSAGE)
    h2.data_to_send()
    return BACKLOG / (time.perf_counter() - start)


def compare(name: str, rounds: int, work: Callable[[], float], peer: Callable[[], float]) -> None:
    """Both in turn; the first turn warms up."""
    found = [(work(), peer()) for _ in range(rounds + 1)][1:]
    mine, theirs = ([each[side] for each in found] for side in (0, 1))
    ratio = statistics.median(ours / bare for ours, bare in found)
    print(
        f"{name}: {statistics.median(mine):,.0f} a second ({min(mine):,.0f} to {max(mine):,.0f}), bare h2 "
        f"{statistics.median(theirs):,.0f} ({min(theirs):,.0f} to {max(theirs):,.0f}): {ratio:.2f} of it"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=10, help="times each speed is taken (default: 10)")
    rounds = parser.parse_args().rounds
    data = opening()
    print(
        f"an idle connection with one call: {memory(ours, data):.1f} KiB, bare h2 {memory(bare, data):.1f};"
        f" one more call on it: {memory(ours, opening(calls=101)) / 100 - memory(ours, data) / 100:.1f} KiB"
    )
    wires = [ours(data) for _ in range(CONNECTIONS)]
    h2s = [bare(data) for _ in range(CONNECTIONS)]
    compare("live writes", rounds, lambda: live(wires), lambda: bare_live(h2s))
    compare("a backlog", rounds, lambda: backlog(data), lambda: bare_backlog(data))


if __name__ == "__main__":
    main()
