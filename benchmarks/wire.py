"""How much the wire costs beside bare h2: one event to many idle connections, and one backlog through one stream.

    python benchmarks/wire.py

About ten seconds. In memory, no sockets. The peer of each figure is h2 alone, which
sends the same bytes without a queue, a splitter or gRPC.
"""

from __future__ import annotations

import argparse
import gc
import time
import tracemalloc
from collections.abc import Callable

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.settings import SettingCodes

from mockcentral.wire.grpc import ServerConnection, encode_message

CONNECTIONS = 1000
ROUNDS = 20
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
    data = opening()
    print(
        f"an idle connection with one call: {memory(ours, data):.1f} KiB, bare h2 {memory(bare, data):.1f};"
        f" one more call on it: {memory(ours, opening(calls=101)) / 100 - memory(ours, data) / 100:.1f} KiB"
    )
    wires = [ours(data) for _ in range(CONNECTIONS)]
    h2s = [bare(data) for _ in range(CONNECTIONS)]
    for name, times in (("warm-up", 2), ("measured", ROUNDS)):
        start = time.perf_counter()
        for _ in range(times):
            for h2 in h2s:
                h2.send_data(1, MESSAGE)
                h2.data_to_send()
        peer = time.perf_counter() - start
        start = time.perf_counter()
        for _ in range(times):
            frames = (MESSAGE,)
            for wire in wires:
                wire.send_messages(1, frames)
                wire.data_to_send()
        spent = time.perf_counter() - start
        if name == "measured":
            count = times * CONNECTIONS
            print(f"live: {count / spent:,.0f} writes/s, bare h2 {count / peer:,.0f} ({peer / spent:.2f} of it)")

    backlog = [MESSAGE] * BACKLOG
    h2 = bare(data)
    start = time.perf_counter()
    for message in backlog:
        h2.send_data(1, message)
    h2.data_to_send()
    peer = time.perf_counter() - start
    wire = ours(data)
    start = time.perf_counter()
    wire.send_messages(1, backlog)
    while wire.data_to_send(262_144):
        pass
    spent = time.perf_counter() - start
    print(f"backlog: {BACKLOG / spent:,.0f} events/s, bare h2 one frame each {BACKLOG / peer:,.0f}")


if __name__ == "__main__":
    main()
