"""What users give us to call: plain functions in threads, coroutines in tasks of their own.

The threads are daemons, so that a function that never returns does not keep the process from ending (those of
concurrent.futures are joined at exit).
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import queue
import threading
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from watchmanager.handlers import is_made_as


class Job:
    """One call. `thread` is the ident of the thread that runs it, None before and after."""

    __slots__ = ("_arguments", "_context", "_function", "_loop", "abandoned", "done", "thread")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, function: Callable[..., Any], arguments: tuple[Any, ...]
    ) -> None:
        self._loop = loop
        self._function = function
        self._arguments = arguments
        self._context = contextvars.copy_context()
        self.thread: int | None = None
        self.abandoned = False
        """Nobody waits any more: it is not begun."""
        self.done: asyncio.Future[Outcome] = loop.create_future()

    def run(self) -> None:
        if self.abandoned:
            return
        self.thread = threading.get_ident()
        value, error = None, None
        try:
            value = self._context.run(self._function, *self._arguments)
        except BaseException as raised:  # told to whoever waits, whatever it is
            error = raised
        self.thread = None
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(self._tell, value, error)

    def _tell(self, value: Any, error: BaseException | None) -> None:
        if not self.done.done():
            self.done.set_result((value, error))


class Workers:
    """At most `limit` threads, started when they are needed. Belongs to one event loop."""

    def __init__(self, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._load = 0
        """Jobs that wait or run. Not a count of idle threads: one that has just taken a job would still be in it, and
        the next job would wait for that one to end.
        """
        self._lock = threading.Lock()

    def start(self, function: Callable[..., Any], *arguments: Any) -> Job:
        """Call a function soon, in the present context."""
        job = Job(asyncio.get_running_loop(), function, arguments)
        with self._lock:
            self._load += 1
            if self._load > len(self._threads) and len(self._threads) < self._limit:
                thread = threading.Thread(target=self._main, name=f"{self._name}-{len(self._threads) + 1}", daemon=True)
                self._threads.append(thread)
                thread.start()
            self._jobs.put(job)
        return job

    def _main(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            job.run()
            del job  # its event is not kept until the next one comes
            with self._lock:
                self._load -= 1

    def stop(self) -> None:
        """The threads end when they are done; those that never are stay behind."""
        for _ in self._threads:
            self._jobs.put(None)


Outcome: TypeAlias = "tuple[Any, BaseException | None]"
"""A value and None, or None and what was raised, whatever that is. Not raised, because a CancelledError could not be
told from a cancellation of the caller, and a SystemExit out of a task would end the loop and leave those who wait for
an answer without one.
"""


async def call(function: Callable[..., Any], *arguments: Any, blocks: bool = True) -> Outcome:
    """What comes of a user's function that is called rarely, such as a token provider: a coroutine function here, any
    other in a thread of its own, unless it does not block. Raises CancelledError when the caller is cancelled.
    """
    value: Any
    if not blocks or is_made_as(inspect.iscoroutinefunction, function):
        try:
            value = function(*arguments)
        except (Exception, SystemExit) as error:
            return None, error
    else:
        job = Job(asyncio.get_running_loop(), function, arguments)
        threading.Thread(target=job.run, name="watchmanager-call", daemon=True).start()
        try:
            value, raised = await job.done
        except asyncio.CancelledError:
            job.abandoned = True  # such as a load that would take a lock after its store was closed
            raise
        if raised is not None:
            return None, raised
    return await outcome(value) if inspect.isawaitable(value) else (value, None)


async def outcome(work: Awaitable[Any]) -> Outcome:
    """What comes of a user's awaitable. Raises CancelledError when the caller is cancelled, once the work has ended."""
    task = asyncio.ensure_future(_told(work))
    try:
        await asyncio.wait([task])
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task])
        raise
    return task.result()


async def _told(work: Awaitable[Any]) -> Outcome:
    try:
        return await work, None
    except (Exception, asyncio.CancelledError, SystemExit) as error:
        return None, error
