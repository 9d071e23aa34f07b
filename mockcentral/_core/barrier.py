"""A barrier: who has not yet acked a PING that was sent after everything else.

An HTTP/2 connection is read in order, so an ack proves that the client's transport has read all that was sent before
the PING. Knows connections by number; when it is over is up to whoever began it.
"""

from __future__ import annotations

from collections.abc import Callable


class Barrier:
    """`asked` connections were sent a PING, `waiting` of them still owe the ack; `done` is called once, at the end."""

    __slots__ = ("asked", "done", "waiting")

    def __init__(self, connections: set[int], done: Callable[[float], None]) -> None:
        self.waiting = connections
        self.asked = len(connections)
        self.done = done

    def heard(self, connection: int, now: float) -> bool:
        """A connection acked, or is gone; True when that was the last one."""
        if connection not in self.waiting:
            return False
        self.waiting.discard(connection)
        if self.waiting:
            return False
        self.done(now)
        return True
