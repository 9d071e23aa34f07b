"""Threads for handlers: as many as there is work for, up to the limit, and never one fewer."""

from __future__ import annotations

import asyncio
import queue
import threading
from typing import Any

from watchmanager._driver.workers import Workers

PATIENCE = 20.0


class Slow(queue.SimpleQueue[Any]):
    """Keeps whoever has taken a job from getting on with it until the test says so."""

    def __init__(self) -> None:
        self.taken = threading.Semaphore(0)
        self.go = threading.Event()

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        job = super().get(block, timeout)
        self.taken.release()
        assert self.go.wait(PATIENCE)
        return job


def test_a_thread_that_has_just_taken_a_job_is_not_there_for_the_next_one() -> None:
    async def main() -> None:
        workers = Workers(2, "test")
        jobs = workers._jobs = Slow()
        together = threading.Barrier(2)
        first = workers.start(together.wait, PATIENCE)
        assert await asyncio.to_thread(jobs.taken.acquire, timeout=PATIENCE)
        second = workers.start(together.wait, PATIENCE)
        jobs.go.set()
        assert {(await first.done)[0], (await second.done)[0]} == {0, 1}  # each waited for the other
        workers.stop()

    asyncio.run(main())


def test_a_thread_that_is_done_is_used_again_and_there_are_never_more_than_the_limit() -> None:
    async def main() -> None:
        workers = Workers(3, "test")
        names = [(await workers.start(lambda: threading.current_thread().name).done)[0] for _ in range(20)]
        assert set(names) <= {"test-1", "test-2", "test-3"}
        hold = threading.Event()
        jobs = [workers.start(hold.wait, PATIENCE) for _ in range(10)]
        assert sum(thread.name.startswith("test-") for thread in threading.enumerate()) == 3
        hold.set()
        assert [(await job.done)[0] for job in jobs] == [True] * 10
        workers.stop()

    asyncio.run(main())
