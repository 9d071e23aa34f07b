"""Where something may be used: the process it was made in, and the event loop it was first used in."""

from __future__ import annotations

import asyncio
import os

from watchmanager.errors import ForkedProcessError, WrongLoopError


class Home:
    """Remembers the process now and the loop at the first `enter`. `what` is for the messages."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._pid = os.getpid()
        self.loop: asyncio.AbstractEventLoop | None = None

    def check_process(self) -> None:
        """Raises ForkedProcessError in a child: threads and connections did not come along."""
        if os.getpid() != self._pid:
            raise ForkedProcessError(
                f"this {self._what} belongs to process {self._pid}, and this is its child {os.getpid()}: "
                "make a new manager after the fork"
            )

    def check(self) -> None:
        """Raises ForkedProcessError, or WrongLoopError in another loop than the first."""
        self.check_process()
        if self.loop is not None and asyncio.get_running_loop() is not self.loop:
            raise WrongLoopError(
                f"this {self._what} was started in another event loop: use it there, make a new manager for this loop, "
                "or use WatchManager from threads"
            )

    def enter(self) -> None:
        """`check`, and stay in this loop from now on."""
        self.check()
        self.loop = asyncio.get_running_loop()
