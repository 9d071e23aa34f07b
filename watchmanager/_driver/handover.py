"""Items on their way from the loop's thread to a thread that iterates.

A thread with nothing left asks and parks on a lock; the loop's thread moves what waits in the engine into a deque both
can see, and lets the other go on. No coroutine and no `concurrent.futures`: a hand-over by those costs as much as three
events cost to read, and in a burst there are hundreds of hand-overs a second.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque

from watchmanager._driver.engine import Engine
from watchmanager.events import Item

BATCH = 256
SHARE = 8
"""No more than this part of `Buffer` crosses at a time: what has crossed waits there and makes room here."""
HOLD = 0.003
"""Seconds that items of a burst are held back, so that fewer and larger batches cross. A lone item crosses at once."""
HOLD_MOST = 0.012
"""What that may grow to while batches stay large: switching threads then costs next to nothing."""
LONGEST_NAP = 0.5
"""Seconds a waiting thread sleeps before it looks whether a signal came."""
MANY = 8
"""Items that make a batch worth a longer hold."""


class Request:
    """One thread waits for items. Answered once, by the loop's thread."""

    __slots__ = ("_lock", "closed", "error")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()
        self.closed = False
        self.error: BaseException | None = None

    def wait(self, timeout: float | None) -> bool:
        """Park until answered; False after `timeout`. A signal (Ctrl-C) interrupts it."""
        if timeout is not None:
            return self._lock.acquire(timeout=min(max(0.0, timeout), threading.TIMEOUT_MAX))
        # A signal in the instant before the thread sleeps is seen when it wakes only, so it does not sleep for ever.
        while not self._lock.acquire(timeout=LONGEST_NAP):
            pass
        return True

    def answer(self) -> None:
        self._lock.release()


class Handover:
    """From one engine to one thread at a time. `items` may be emptied by any thread, only the loop's fills it."""

    def __init__(self, engine: Engine) -> None:
        self.items: deque[tuple[Item, int]] = deque()
        self._engine = engine
        engine.handed = self.items
        buffer = engine.machine.buffer
        self._most_items = max(1, min(BATCH, buffer.max_events // SHARE))
        self._most_bytes = buffer.max_bytes // SHARE
        self._request: Request | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._hold = HOLD
        self._handed_at = 0.0

    # The rest is for the loop's thread only.
    def ask(self, request: Request, processed: int) -> None:
        """Answer as soon as there are items, or never will be. `processed`: ticket of an item the thread is done with,
        0 for none.
        """
        self._request = request
        try:
            self._engine.start()
            if processed:
                self._engine.processed(processed)
            self._look()
        except Exception as error:
            self._fail(error)

    def withdraw(self, request: Request) -> None:
        """Nobody waits for the answer any more. What was moved already stays in `items`."""
        if self._request is request:
            self._request = None
            self._engine.forget_call()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _look(self) -> None:
        if not self._move():
            if self._engine.over():
                self._answer(closed=True)
            else:
                self._engine.call_when_woken(self._woken)
            return
        loop = asyncio.get_running_loop()
        if len(self.items) < self._most_items and loop.time() - self._handed_at < 2 * self._hold:
            self._timer = loop.call_later(self._hold, self._hand_over)
        else:
            self._hand_over()

    def _woken(self) -> None:
        if self._request is not None:
            try:
                self._look()
            except Exception as error:
                self._fail(error)

    def _hand_over(self) -> None:
        self._timer = None
        self._move()
        self._hold = min(2 * self._hold, HOLD_MOST) if len(self.items) >= MANY else HOLD
        self._handed_at = asyncio.get_running_loop().time()
        self._answer()

    def _move(self) -> bool:
        """What the engine has, up to a batch; whether there is anything."""
        items, take, most = self.items, self._engine.take, self._most_bytes
        size = sum([item.size for item, _ in tuple(items)])
        while len(items) < self._most_items and size < most:
            found = take()
            if found is None:
                break
            items.append(found)
            size += found[0].size
        return bool(items)

    def _fail(self, error: BaseException) -> None:
        if self._request is not None:
            self._request.error = error
            self._answer()

    def _answer(self, closed: bool = False) -> None:
        request, self._request = self._request, None
        if request is not None:
            request.closed = closed
            request.answer()
