"""A relay between clients and the fake that keeps what the fake wrote on each HTTP/2 connection."""

from __future__ import annotations

import contextlib
import socket
import threading
from types import TracebackType

from mockcentral.wire.frames import PREFACE
from tests.mockcentral.auditor import Auditor
from tests.mockcentral.clients import PATIENCE


class _Relayed:
    """One connection: two threads that copy bytes."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.sent = bytearray()
        self.written = bytearray()
        self.sockets = (client, server)
        self.threads = [
            threading.Thread(target=self._copy, args=(client, server, self.sent)),
            threading.Thread(target=self._copy, args=(server, client, self.written)),
        ]
        for thread in self.threads:
            thread.start()

    def _copy(self, source: socket.socket, target: socket.socket, kept: bytearray) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65_536):
                kept += data
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Tap:
    """Listens at `address` for clients of the fake at `upstream` until exit. Then `audited` looks at what went by."""

    def __init__(self, upstream: str) -> None:
        host, _, port = upstream.rpartition(":")
        self._upstream = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._relayed: list[_Relayed] = []
        self._thread = threading.Thread(target=self._accept)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._relayed.append(_Relayed(client, socket.create_connection(self._upstream, timeout=PATIENCE)))

    def audited(self, *, grpc: bool = True) -> list[Auditor]:
        """What was written on each HTTP/2 connection, every frame of it found in order; after exit."""
        auditors = []
        for relayed in self._relayed:
            if relayed.sent.startswith(PREFACE):
                auditor = Auditor(2**24, grpc=grpc)  # clients of many kinds allow frames of many lengths
                auditor.feed(bytes(relayed.written))
                auditors.append(auditor)
        return auditors

    def __enter__(self) -> Tap:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(PATIENCE)
        for relayed in self._relayed:
            for one in relayed.sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
        for relayed in self._relayed:
            for thread in relayed.threads:
                thread.join(PATIENCE)
            for one in relayed.sockets:
                one.close()
