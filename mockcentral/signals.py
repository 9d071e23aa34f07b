"""Waiting for Ctrl-C and SIGTERM without missing one."""

from __future__ import annotations

import contextlib
import signal
import socket

from mockcentral.cli import INTERRUPTED, TERMINATED

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


class Signals:
    """Both signals are caught from now on, also while everything starts; `wait` finds those that came before it.

    A handler that puts into a queue is not enough: Python runs handlers between two instructions of the main thread,
    and one that comes just before the thread begins to wait is run when the wait is over, which is never. The
    interpreter's C code, though, writes the number of the signal to a socket at once, whichever thread got it.

    The first of each is caught, the second ends the process as if nobody caught it.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in EXIT_CODES:
            signal.signal(number, self._caught)

    @staticmethod
    def _caught(number: int, frame: object) -> None:
        # The next one does not ask: what is going on may be stuck, in a pipe that nobody writes to, say.
        signal.signal(number, signal.SIG_DFL)

    def give_up(self, code: int) -> None:
        """Let `wait` end with this exit code, from any thread: there is nothing to wait for any more."""
        self._code = code
        with contextlib.suppress(OSError):  # it is over already
            self._writer.send(b"\0")

    def wait(self) -> int:
        """Until one of them has come; the exit code that tells which."""
        while True:
            for number in self._reader.recv(64):
                if number == 0 and self._code is not None:
                    return self._code
                if number in EXIT_CODES:
                    return EXIT_CODES[signal.Signals(number)]

    def close(self) -> None:
        """Ctrl-C is no longer caught: a second one during the clean-up does not wait for it. Twice is once."""
        if self._reader.fileno() < 0:
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._reader.close()
        self._writer.close()

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()
