"""Says which handler is slow and where it is. A thread of its own: a slow handler may be holding up the loop."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from types import FrameType
from typing import Any

from watchmanager._driver.workers import Job
from watchmanager.events import Event

log = logging.getLogger("watchmanager.handler")


class Call:
    """A handler at work on an event: as a coroutine in the loop's thread, or as a job in a worker's."""

    __slots__ = ("began", "coroutine", "event", "job", "name", "warn_at")

    def __init__(self, name: str, event: Event, warn_after: float) -> None:
        self.name = name
        self.event = event
        self.began = time.monotonic()
        self.warn_at = self.began + warn_after
        self.coroutine: Any = None
        self.job: Job | None = None


class Watchdog:
    """Looks at the calls under way; warns after `slow_after` seconds, then each time the wait has doubled."""

    def __init__(self, topic: str, slow_after: float) -> None:
        self._topic = topic
        self._slow_after = slow_after
        self._loop_thread = threading.get_ident()
        self._calls: dict[int, Call] = {}
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def begin(self, name: str, event: Event) -> Call:
        call = Call(name, event, self._slow_after)
        self._calls[id(call)] = call
        if self._thread is None:
            self._thread = threading.Thread(target=self._main, name="watchmanager-watchdog", daemon=True)
            self._thread.start()
        return call

    def end(self, call: Call) -> None:
        del self._calls[id(call)]

    def stop(self) -> None:
        self._stopped.set()

    def _main(self) -> None:
        while not self._stopped.wait(self._slow_after / 4):
            now = time.monotonic()
            for call in list(self._calls.values()):
                if now >= call.warn_at and id(call) in self._calls:
                    elapsed = now - call.began
                    call.warn_at = call.began + 2 * elapsed
                    self._warn(call, elapsed)

    def _warn(self, call: Call, elapsed: float) -> None:
        event = call.event
        log.warning(
            "%s: handler %s has been working on sequence %d (event %s) for %.1f s; it is at:\n%s",
            self._topic,
            call.name,
            event.sequence,
            event.id,
            elapsed,
            stack_of(call, self._loop_thread),
            extra={
                "topic": self._topic,
                "handler": call.name,
                "sequence": event.sequence,
                "event_id": event.id,
                "elapsed": elapsed,
            },
        )


def stack_of(call: Call, loop_thread: int) -> str:
    """Where a call is right now, as a traceback writes it. A snapshot: by the time it is read it may be over."""
    frames: list[tuple[FrameType, int]] = []
    if call.job is not None:
        top = sys._current_frames().get(call.job.thread or -1)
        frames = _below(top)
    else:
        waiting = call.coroutine
        while waiting is not None:
            if getattr(waiting, "cr_running", False):
                # Not waiting but computing: it holds up the loop.
                frames = _below(sys._current_frames().get(loop_thread))
                break
            frame = getattr(waiting, "cr_frame", None) or getattr(waiting, "gi_frame", None)
            if frame is not None:
                frames.append((frame, frame.f_lineno))
            waiting = getattr(waiting, "cr_await", None) or getattr(waiting, "gi_yieldfrom", None)
    return "".join(traceback.StackSummary.extract(iter(frames)).format()).rstrip() or "  (just ended)"


def _below(frame: FrameType | None) -> list[tuple[FrameType, int]]:
    """The frames of a thread from the handler inwards: our own above it tell nothing."""
    frames: list[tuple[FrameType, int]] = []
    while frame is not None and frame.f_globals.get("__name__") not in _OURS:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return frames[::-1]


_OURS = frozenset({"watchmanager._driver.workers", "watchmanager._driver.runner"})
