"""Waiting for Ctrl-C and SIGTERM (or a terminal that closes) without missing one."""

from __future__ import annotations

import contextlib
import signal
import socket
import time

from mockcentral.cli import INTERRUPTED, TERMINATED

EXIT_CODES = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}
if hasattr(signal, "SIGHUP"):
    EXIT_CODES[signal.SIGHUP] = TERMINATED
TWICE = 0.2
"""Seconds within which a second signal is the first one again: timeout(1) sends it to the process and to its group."""


def caught() -> list[signal.Signals]:
    """The signals that end a command; a SIGHUP that somebody has chosen to ignore, as nohup does, is none."""
    return [each for each in EXIT_CODES if each.name != "SIGHUP" or signal.getsignal(each) is not signal.SIG_IGN]


class Signals:
    """All of them are caught from now on, also while everything starts; `wait` finds those that came before it.

    A handler that puts into a queue is not enough: Python runs handlers between two instructions of the main thread,
    and one that comes just before the thread begins to wait is run when the wait is over, which is never. The
    interpreter's C code, though, writes the number of the signal to a socket at once, whichever thread got it.

    The first is caught, the second ends the process as if nobody caught it.
    """

    def __init__(self) -> None:
        self._code: int | None = None
        self._came: float | None = None
        self._reader, self._writer = socket.socketpair()
        self._writer.setblocking(False)
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        for number in caught():
            signal.signal(number, self._caught)

    def _caught(self, number: int, frame: object) -> None:
        now = time.monotonic()
        if self._came is None:
            self._came = now
        elif now - self._came > TWICE:
            # This one does not ask: what is going on may be stuck, in a pipe that nobody writes to, say.
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

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
        """Nobody waits any more: the next Ctrl-C does not wait for the clean-up. Twice is once."""
        if self._reader.fileno() < 0:
            return
        signal.set_wakeup_fd(-1)
        if self._came is None:  # else the second of them ends the process
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        self._reader.close()
        self._writer.close()

    def __enter__(self) -> Signals:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()
