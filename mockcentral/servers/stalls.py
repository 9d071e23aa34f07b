"""How well this machine keeps time: measured all the while, so that a verdict about time can be told from a bad moment.

Two things are watched. *Lag*: a timer of the loop rings late, because the loop, this process or the whole machine was
busy elsewhere. *Steal*: a hypervisor gave this machine's processors to somebody else (Linux, `/proc/stat`).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

PERIOD = 0.1
"""Seconds between two looks: 10 wake-ups a second cost nothing, and a stall of a fifth of a second is seen whole."""
STALL = 0.1
"""A look that comes later than this is a stall. Timers of an idle loop are late by less than a millisecond; 50 ms are
an ordinary garbage collection, or a test that does its own work.
"""
STEAL_WINDOW = 1.0
STEAL = 0.15
"""Share of the processors that was taken in a window. /proc/stat counts hundredths of a second: shorter windows lie."""

Report = Callable[[str, float, float], None]
"""`cause` (lag or steal), seconds lost, seconds since they began to be lost."""


class StallMeter:
    """Watches one loop for everybody who asked to be told; all methods on that loop."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, read: Callable[[], tuple[int, int] | None] | None = None
    ) -> None:
        self._loop = loop
        self._read = read or read_steal
        self._listeners: list[Report] = []
        self._timer: asyncio.TimerHandle | None = None
        self._planned = 0.0
        self._window = 0.0
        self._ticks: tuple[int, int] | None = None

    def listen(self, report: Report) -> Callable[[], None]:
        """Tell of every stall from now on; the returned function ends that."""
        self._listeners.append(report)
        if self._timer is None:
            self._window, self._ticks = time.monotonic(), self._read()
            self._plan()

        def stop() -> None:
            if report in self._listeners:
                self._listeners.remove(report)
            if not self._listeners and self._timer is not None:
                self._timer.cancel()
                self._timer = None

        return stop

    def _plan(self) -> None:
        self._planned = time.monotonic() + PERIOD
        self._timer = self._loop.call_later(PERIOD, self._look)

    def _look(self) -> None:
        now = time.monotonic()
        lag = now - self._planned
        if lag >= STALL:
            self._tell("lag", lag, lag)
        if now - self._window >= STEAL_WINDOW:
            self._look_at_steal(now)
        self._plan()

    def _look_at_steal(self, now: float) -> None:
        before, self._ticks = self._ticks, self._read()
        length, self._window = now - self._window, now
        if before is None or self._ticks is None or self._ticks[1] <= before[1]:
            return
        share = (self._ticks[0] - before[0]) / (self._ticks[1] - before[1])
        if share >= STEAL:
            self._tell("steal", share * length, length)

    def _tell(self, cause: str, lost: float, since: float) -> None:
        for listener in tuple(self._listeners):
            listener(cause, lost, since)


def read_steal() -> tuple[int, int] | None:
    """Stolen and all processor ticks since the machine began; None where nobody counts them."""
    try:
        words = Path("/proc/stat").read_text(encoding="ascii").split("\n", 1)[0].split()
    except OSError:
        return None
    if len(words) < 9 or words[0] != "cpu":
        return None
    ticks = [int(word) for word in words[1:9]]  # guest time, behind these, is counted in user time already
    return ticks[7], sum(ticks)
