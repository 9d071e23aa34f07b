"""The bytes of one TCP connection as a bad line treats them: late, slowly, in one direction only, cut up otherwise.

A thin shell around `wire.shaper` and `wire.mangler`: it owns the timers and the transport, they decide. It knows
nothing of calls or worlds, so the front door and any relay may put one in front of a transport.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from random import Random

from mockcentral._core.actions import Direction
from mockcentral.wire.mangler import Mangler
from mockcentral.wire.shaper import Shape, Shaper

MAX_HELD = 64 * 1024
"""Bytes on a slow line above which the sender has to wait, as for a full socket."""


class Pipe:
    """The line between a transport and who speaks over it.

    `deliver` gets what the peer sends, `wrote` is called when held bytes went out (there may be room again), `choke`
    when `choked` has changed: then nothing more is to be read from the transport, or again.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        *,
        deliver: Callable[[bytes], None],
        wrote: Callable[[], None],
        choke: Callable[[], None],
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._deliver = deliver
        self._wrote = wrote
        self._choke = choke
        self._out: Shaper | None = None
        self._in: Shaper | None = None
        self._timers: dict[bool, asyncio.TimerHandle] = {}
        self._last: Callable[[], None] | None = None
        self._end: Callable[[], None] | None = None
        self._over = False
        self._undrained = False
        self._lost = False
        """Something that was under way to the client vanished."""
        self.passed = 0
        """Bytes that went on to the transport."""
        self.mangler: Mangler | None = None
        """Cuts up what goes out; made by whoever needs it."""
        self.mute = False
        """Nothing goes out any more."""
        self.deaf = False
        """Nothing comes in any more."""

    # ------------------------------------------------------------------------------------------ orders
    def silence(self, direction: Direction) -> bool:
        """From now on bytes vanish in a direction, those under way too. False when they did so already."""
        before = self.mute, self.deaf
        self.mute = self.mute or direction != "from_client"
        self.deaf = self.deaf or direction != "to_client"
        return before != (self.mute, self.deaf)

    def shape(self, direction: Direction, shape: Shape, seed: int) -> None:
        """How slow the line is from now on."""
        if direction != "from_client":
            self._out = self._out or Shaper(Random(f"{seed}:to_client"))
            self._out.shape = shape
            self._undrained = True
        if direction != "to_client":
            self._in = self._in or Shaper(Random(f"{seed}:from_client"))
            self._in.shape = shape

    def shape_of(self, direction: Direction) -> Shape:
        """How slow the line is in a direction; of both the way to the client."""
        shaper = self._in if direction == "from_client" else self._out
        return Shape() if shaper is None else shaper.shape

    # ------------------------------------------------------------------------------------------ bytes
    @property
    def full(self) -> bool:
        """Whether so much is under way to the client that more had better wait."""
        return self._out is not None and self._out.size >= MAX_HELD

    @property
    def choked(self) -> bool:
        """Whether so much is under way from the client that no more should be read."""
        return self._in is not None and self._in.size >= MAX_HELD

    @property
    def handed_on(self) -> int:
        """Bytes for the client that were taken, and not lost at once."""
        return self.passed + (0 if self._out is None else self._out.size)

    def write(self, data: bytes) -> None:
        """Bytes for the client; they are cut up, held back or lost as ordered."""
        for piece in (data,) if self.mangler is None else self.mangler.feed(data):
            self.send(piece)

    def send(self, data: bytes) -> None:
        """Bytes for the client that nobody cuts up."""
        if self.mute or self._over:
            return
        if self._out is None:
            self._pass_on(data)
        else:
            self._out.put(data, self._loop.time())
            self._undrained = True
            self._plan(self._out)

    def received(self, data: bytes) -> None:
        """Bytes from the client."""
        if self.deaf or self._over:
            return
        if self._in is None:
            self._deliver(data)
        else:
            self._in.put(data, self._loop.time())
            self._plan(self._in)
            if self.choked:
                self._choke()

    def take_drained(self) -> bool:
        """Whether nothing is under way to the client on a slow line any more, once each time that comes true. Never
        again when something of it was lost.
        """
        if not self._undrained or self._out is None or self._out.size or self.mute or self._lost:
            return False
        self._undrained = False
        return True

    def after(self, last: Callable[[], None]) -> None:
        """Do this when all that was written has gone out, at once when nothing waits."""
        if self._out is None or not self._out.size or self.mute:
            last()
        else:
            self._last = last

    def ended(self, end: Callable[[], None]) -> bool:
        """The client will send no more: do this when nothing is under way in either direction. False when nothing is
        now, and it is not done.
        """
        if self._still:
            return False
        self._end = end
        return True

    @property
    def _still(self) -> bool:
        return not any(shaper is not None and shaper.size for shaper in (self._in, self._out))

    def close(self) -> None:
        """Nothing comes or goes any more; what is under way is lost."""
        self._over = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()

    # ------------------------------------------------------------------------------------------ inside
    def _plan(self, shaper: Shaper) -> None:
        key = shaper is self._out
        due = shaper.deadline()
        if due is not None and key not in self._timers and not self._over:
            self._timers[key] = self._loop.call_at(due, self._arrive, shaper)

    def _arrive(self, shaper: Shaper) -> None:
        outward = shaper is self._out
        del self._timers[outward]
        # A timer may be a little early by the clock that is asked here; what it was for is due all the same.
        now = max(self._loop.time(), shaper.deadline() or 0.0)
        data = shaper.take(now)
        self._plan(shaper)
        if not outward:
            self._choke()
            if data and not self.deaf:
                self._deliver(data)
            self._end_if_still()
            return
        if self.mute or self._transport.is_closing():
            self._lost = self._lost or bool(data)
        elif data:
            self._pass_on(data)
        if not shaper.size and self._last is not None:
            last, self._last = self._last, None
            last()
        self._wrote()
        self._end_if_still()

    def _pass_on(self, data: bytes) -> None:
        self.passed += len(data)
        self._transport.write(data)

    def _end_if_still(self) -> None:
        if self._end is not None and self._still:
            end, self._end = self._end, None
            end()


def half_close(transport: asyncio.Transport) -> None:
    """FIN after what was written, under TLS too: the record layer is not told."""
    if transport.can_write_eof():
        transport.write_eof()
    elif (raw := transport.get_extra_info("socket")) is not None:
        with contextlib.suppress(OSError):  # it is gone
            raw.shutdown(socket.SHUT_WR)


def reset(raw: socket.socket) -> None:
    """Let the next close of a socket be a RST."""
    with contextlib.suppress(OSError):
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
