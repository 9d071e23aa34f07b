"""The control API's door: a port of its own, so that it answers while a world is black-holed.

HTTP/1.x only, loopback by default. Requests run in a worker thread, because creating a world or waiting for a barrier
takes time that the worlds' loop does not have. Server-sent events are `control_connection`'s, everything else is
`control_api`'s.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from mockcentral.servers.listener import Listener, bind, shown
from mockcentral.servers.portal import import_ahead, shared

if TYPE_CHECKING:
    from mockcentral.servers.control_connection import ControlConnection
    from mockcentral.worlds import Worlds

WORKERS = 4
MAX_WAITING = 256
"""Requests waiting for a worker; beyond it they are answered 503."""


class ControlServer:
    """The control API of some worlds, from construction to `close`. Raises PortInUse."""

    def __init__(self, worlds: Worlds, host: str = "127.0.0.1", port: int = 0) -> None:
        self.worlds = worlds
        bound = bind(host, port)
        self.address = shown(bound)
        self.url = f"http://{self.address}"
        self._work: queue.Queue[Callable[[], None] | None] = queue.Queue(MAX_WAITING)
        self._threads = [
            threading.Thread(target=self._serve, name="mockcentral-control", daemon=True) for _ in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()
        self.connections: set[ControlConnection] = set()
        self._portal = shared.acquire()
        self.loop = self._portal.loop
        for module in ("control_connection", "control_api"):
            import_ahead(f"mockcentral.servers.{module}")
        self._listener = Listener(bound, self._new_connection, self.loop)
        self._portal.call(self._listener.start)

    def _new_connection(self) -> ControlConnection:
        from mockcentral.servers.control_connection import ControlConnection  # h11 is not needed before somebody comes

        return ControlConnection(self)

    def submit(self, work: Callable[[], None]) -> bool:
        """Hand work to a worker; False when too much is waiting already."""
        try:
            self._work.put_nowait(work)
        except queue.Full:
            return False
        return True

    def _serve(self) -> None:
        while (work := self._work.get()) is not None:
            work()

    def close(self) -> None:
        """Stop answering; requests under way are cut."""

        async def stop() -> None:
            self._listener.stop()
            await self._listener.wait_stopped()
            for connection in list(self.connections):
                connection.close()

        self._portal.run(stop())
        for _ in self._threads:
            with contextlib.suppress(queue.Full):
                self._work.put_nowait(None)
        shared.release()
