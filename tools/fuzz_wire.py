"""Coverage-guided fuzzing of what reads a client's bytes, with atheris, for as long as it is let.

    pip install atheris                       # has wheels for some Pythons only; not among our dependencies
    python tools/fuzz_wire.py                 # until ^C or a finding, which is written to crash-…
    python tools/fuzz_wire.py crash-…         # that one again
    python tools/fuzz_wire.py -max_total_time=60 corpus/

The flags are libFuzzer's. The tests do the same with Hypothesis, for a moment, on every Python
(tests/mockcentral/wire, tests/mockcentral/servers/test_fuzz.py).
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))


def split(data: bytes) -> None:
    """The frame splitter: all bytes but PINGs and GOAWAYs come out again, in whatever pieces they came."""
    from mockcentral.wire.frames import FrameError, FrameSplitter, GoAway, Ping, goaway_frame, ping_frame

    splitter, out, fed = FrameSplitter(), b"", 0
    for piece in _pieces(data):
        fed += len(piece)
        try:
            items = splitter.feed(piece)
        except FrameError:
            return
        for item in items:
            if isinstance(item, Ping):
                out += ping_frame(item.payload, item.ack)
            elif isinstance(item, GoAway):
                out += goaway_frame(item.error_code, item.last_stream, item.debug)
            else:
                out += item
        assert len(out) + splitter.held == fed


def http2(data: bytes) -> None:
    """The HTTP/2 connection: never raises, and answers in HTTP/2 that an independent decoder reads."""
    from mockcentral.wire.frames import PREFACE
    from mockcentral.wire.grpc import CallOpened, HttpRequest, MessageReceived, PingReceived, ServerConnection
    from tests.mockcentral.auditor import Auditor

    server, auditor = ServerConnection(), Auditor(2**24)
    for piece in _pieces(PREFACE + data):
        for event in server.receive(piece):
            if isinstance(event, CallOpened):
                server.send_messages(event.stream, [b"\0\0\0\0\1x"])
            elif isinstance(event, MessageReceived):
                server.end(event.stream, 3, "no")
            elif isinstance(event, HttpRequest):
                server.respond(event.stream, 200, (), b"yes")
            elif isinstance(event, PingReceived):
                server.ack_ping(event.payload)
        auditor.feed(server.data_to_send())
        if server.broken:
            break
    auditor.done()


def http1(data: bytes) -> None:
    """The HTTP/1 connection: one request or error at a time, never an exception."""
    from mockcentral.wire.http1 import Http1Connection, Http1Error, sniff

    sniff(data[:32])
    connection = Http1Connection()
    for piece in [*_pieces(data), b"", b"", b""]:
        events = connection.receive(piece)
        assert len(events) <= 1
        for event in events:
            if isinstance(event, Http1Error):
                assert connection.close_after
            else:
                assert connection.respond(200, (), b"yes").startswith(b"HTTP/1.1 ")


TARGETS = (split, http2, http1)


def one_input(data: bytes) -> None:
    """The first byte chooses the target."""
    if data:
        TARGETS[data[0] % len(TARGETS)](data[1:])


def _pieces(data: bytes) -> list[bytes]:
    """Cut where the data says so itself: deterministic, and libFuzzer can move the cuts."""
    cuts = sorted({byte * 7 % (len(data) + 1) for byte in data[-3:]})
    return [data[a:b] for a, b in pairwise([0, *cuts, len(data)])]


def main(words: list[str]) -> None:
    """Fuzz with libFuzzer's `words`."""
    try:
        import atheris
    except ImportError:
        sys.exit("fuzz_wire: atheris is not installed: pip install atheris, on a Python it has a wheel for")
    fuzzer: Any = atheris
    with fuzzer.instrument_imports(include=["mockcentral.wire", "h11", "h2", "hpack", "hyperframe"]):
        import mockcentral.wire.grpc
        import mockcentral.wire.http1  # noqa: F401
    fuzzer.Setup([sys.argv[0], *words], one_input)
    fuzzer.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
