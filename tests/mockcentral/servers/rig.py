"""A connection of the front door on a transport without a socket."""

from __future__ import annotations

import asyncio
from typing import Any

from mockcentral._core.journal import Journal
from mockcentral.scenario.schema import Scenario
from mockcentral.servers.front_door import Link
from mockcentral.servers.host import Host
from mockcentral.servers.listener import bind

SCENARIO = Scenario(scenario="empty", about="Nothing happens.")
SLOW: list[object] = [
    {"latency": {"delay": "1s", "direction": "to_client"}},
    {"bandwidth": {"rate": 100, "direction": "to_client"}},
    {"coalesce": "1s"},
]
"""Faults that keep what goes to the client on the line for a while."""


class Transport(asyncio.Transport):
    """What asyncio would do with a socket whose other end is `full` or reads everything at once."""

    def __init__(self) -> None:
        super().__init__({"peername": ("127.0.0.1", 1)})
        self.written = bytearray()
        self.reading = True
        self.full = False
        self.left = 0
        self.ended = self.closed = self.aborted = False
        self.link: Link

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        assert not self.ended
        self.written += data
        if self.full:
            self.left += len(data)
            self.link.pause_writing()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return self.left

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True
        if not self.left and not self.aborted:
            self.link.host.loop.call_soon(self.link.connection_lost, None)

    def abort(self) -> None:
        if not self.aborted:
            self.aborted = self.closed = True
            self.link.host.loop.call_soon(self.link.connection_lost, None)


def make_host() -> Host:
    """A world on the running loop; to be started and stopped."""
    loop = asyncio.get_running_loop()
    return Host(SCENARIO, journal=Journal("default"), seed=1, bound=bind("127.0.0.1", 0), loop=loop)


def connect(host: Host, *, hold: float = 0.0) -> tuple[Link, Transport]:
    """Somebody connects, and is left alone for `hold` seconds."""
    transport, link = Transport(), Link(host)
    transport.link, link.hold = link, hold
    link.connection_made(transport)
    return link, transport
