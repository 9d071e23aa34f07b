"""A background event loop that synchronous code can reach into.

All worlds of a process share one loop in one daemon thread, started with the first world and stopped with the last. A
test may block as it likes: the fake goes on answering.
"""

from __future__ import annotations

import asyncio
import importlib
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeVar

from mockcentral.servers.stalls import StallMeter

T = TypeVar("T")


class Portal:
    """One loop in one thread."""

    def __init__(self) -> None:
        # On Windows the default loop cannot tell when a socket is readable, and worlds accept connections themselves.
        self.loop = asyncio.SelectorEventLoop()
        self.stalls = StallMeter(self.loop)
        self._thread = threading.Thread(target=self._run, name="mockcentral", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_forever()
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.close()

    def run(self, work: Coroutine[Any, Any, T], timeout: float | None = None) -> T:
        """Run a coroutine on the loop and wait for its result. Not from the loop's own thread."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result(timeout)
        except BaseException:
            future.cancel()
            raise

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the loop and wait for its result; from the loop's own thread it is simply called."""
        if threading.current_thread() is self._thread:
            return function()
        done: Future[T] = Future()

        def work() -> None:
            try:
                done.set_result(function())
            except BaseException as error:  # the caller's to see, whatever it is
                done.set_exception(error)

        self.loop.call_soon_threadsafe(work)
        return done.result()

    def stop(self) -> None:
        """Stop the loop and wait for its thread."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()


class _Shared:
    """The process's portal with a count of who uses it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal: Portal | None = None
        self._users = 0

    def acquire(self) -> Portal:
        with self._lock:
            if self._portal is None:
                self._portal = Portal()
            self._users += 1
            return self._portal

    def release(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0 and self._portal is not None:
                portal, self._portal = self._portal, None
                portal.stop()


shared = _Shared()


class _Ahead:
    """What is to be imported before anybody needs it, by a thread of its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: list[str] | None = None

    def begin(self, module: str) -> None:
        with self._lock:
            if self._held is not None:
                self._held.append(module)
                return
        # No daemon, although who asks may be one: a process that ends under a thread that makes a key, in Rust and
        # OpenSSL, is aborted.
        threading.Thread(target=_import, args=(module,), name="mockcentral-import", daemon=False).start()

    @contextmanager
    def later(self) -> Iterator[None]:
        with self._lock:
            self._held = []
        try:
            yield
        finally:
            with self._lock:
                held, self._held = self._held, None
            for module in held:
                self.begin(module)


_ahead = _Ahead()


def import_ahead(module: str) -> None:
    """Import a module before the first client needs it, on nobody's time, and let it make ready what it can
    (`warm_up`, where it has one).

    Under pytest here and now: its import hook parses with `ast`, and two threads that do that at once, this one and
    Hypothesis's for instance, end in a SystemError on Python 3.11 (CPython gh-106905).
    """
    if "_pytest.assertion.rewrite" in sys.modules:
        _import(module)
    else:
        _ahead.begin(module)


def import_later() -> AbstractContextManager[None]:
    """Nothing is imported ahead in this block, but after it: who starts a fake waits for all that happens in it."""
    return _ahead.later()


def _import(module: str) -> None:
    getattr(importlib.import_module(module), "warm_up", _nothing)()


def _nothing() -> None:
    pass
