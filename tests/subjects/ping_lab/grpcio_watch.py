"""A subject of the PING lab: a bare grpcio stream, with the library's defaults or with the arguments that work.

    python grpcio_watch.py                            no keepalive argument at all
    python grpcio_watch.py --documented 1 0.5         the documented arguments alone: interval and timeout, seconds
    python grpcio_watch.py --right 1 0.5              those that make a dead peer be noticed (client-anchors 5.2)

It subscribes, reads, and on any end waits --retry seconds and subscribes again. Nothing of ours in it.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any

import grpc

METHOD = "/central.events.v1.watch/subscribe"


def options_of(arguments: argparse.Namespace) -> list[tuple[str, Any]]:
    """Channel arguments, by their names in grpcio."""
    given = arguments.right or arguments.documented
    if not given:
        return []
    interval, timeout = (int(1000 * seconds) for seconds in given)
    options = [
        ("grpc.keepalive_time_ms", interval),
        ("grpc.keepalive_timeout_ms", timeout),
        ("grpc.keepalive_permit_without_calls", 1),
    ]
    if arguments.right:
        # The documented timeout is not enforced; this one is. And without the third, a quiet stream stops pinging.
        options += [("grpc.http2.ping_timeout_ms", timeout), ("grpc.http2.max_pings_without_data", 0)]
    return options


def subscription() -> bytes:
    """Request{selfLink = 1, token = 2}, encoded by hand."""
    encoded = b""
    for number, text in ((1, os.environ["MOCKCENTRAL_TOPIC"]), (2, "Bearer " + os.environ["MOCKCENTRAL_TOKEN"])):
        data = text.encode()
        size, length = len(data), b""
        while size > 127:
            length += bytes([size & 127 | 128])
            size >>= 7
        encoded += bytes([number << 3 | 2]) + length + bytes([size]) + data
    return encoded


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documented", nargs=2, type=float, metavar=("INTERVAL", "TIMEOUT"))
    parser.add_argument("--right", nargs=2, type=float, metavar=("INTERVAL", "TIMEOUT"))
    parser.add_argument("--retry", type=float, default=0.25, metavar="SECONDS")
    arguments = parser.parse_args()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    metadata = (
        ("authorization", "Bearer " + os.environ["MOCKCENTRAL_TOKEN"]),
        ("x-axway-tenant-id", os.environ["MOCKCENTRAL_TENANT"]),
    )
    channel = grpc.insecure_channel(os.environ["MOCKCENTRAL_ADDRESS"], options_of(arguments))
    subscribe: Any = channel.stream_stream(METHOD)
    while True:
        over = threading.Event()

        def requests(over: threading.Event = over) -> Iterator[bytes]:
            yield subscription()
            over.wait()

        try:
            # Waits for a connection: the pace of those is the library's.
            for _ in subscribe(requests(), metadata=metadata, wait_for_ready=True):
                pass
        except grpc.RpcError as error:
            print(f"grpcio_watch: {error.code()}", file=sys.stderr, flush=True)
        finally:
            over.set()
        time.sleep(arguments.retry)


if __name__ == "__main__":
    main()
