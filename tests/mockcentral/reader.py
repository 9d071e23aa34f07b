"""A client over bare HTTP/2 that reads no more than a test wants."""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from mockcentral import World
from mockcentral.wire.grpc import encode_message
from tests.mockcentral.clients import PATIENCE, TOPIC, WATCH, subscribed
from watchmanager._wire import messages

WIDE = 2**31 - 1


class Reader:
    """A watch whose client takes only what a test lets it: of HTTP/2 by its window, of the socket by reading."""

    def __init__(self, world: World, window: int = WIDE) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(PATIENCE)
        host, _, port = world.address.rpartition(":")
        self.socket.connect((host, int(port)))
        if world.ca_file is not None:
            context = ssl.create_default_context(cafile=world.ca_file)
            context.set_alpn_protocols(["h2"])
            self.socket = context.wrap_socket(self.socket, server_hostname="localhost")
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.local_settings = h2.settings.Settings(
            initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: window}
        )
        self.h2.initiate_connection()
        self.h2.increment_flow_control_window(WIDE - 65_535)
        about = [(":method", "POST"), (":scheme", "http"), (":authority", "x"), (":path", WATCH)]
        about += [("content-type", "application/grpc"), ("te", "trailers")]
        about += [("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant)]
        self.h2.send_headers(1, about)
        subscribe = messages.Request(selfLink=TOPIC, token=f"Bearer {world.token}")
        self.h2.send_data(1, encode_message(subscribe.SerializeToString()))
        self.say()
        subscribed(world)

    def say(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def allow(self, size: int) -> None:
        """Let the server send so many bytes more."""
        self.h2.increment_flow_control_window(size, 1)
        self.say()

    def leave(self) -> None:
        """RST, with whatever was not read."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def read_until(self, world: World, satisfied: Callable[[Any], bool]) -> None:
        """Read until the journal has a line that satisfies."""
        seen = world.listen(lambda record: found.append(1) if satisfied(record) else None)
        found: list[int] = [1 for record in world.journal() if satisfied(record)]
        while not found:
            assert self.socket.recv(1 << 20)
        seen()

    def read_to_the_end(self) -> None:
        """Read until the call has ended."""
        while data := self.socket.recv(65_536):
            events = self.h2.receive_data(data)
            self.say()
            if any(isinstance(event, h2.events.StreamEnded) for event in events):
                return

    def __enter__(self) -> Reader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()
