"""A client under test as a child process: started, listened to, stopped, always reaped with everything it started.

The child leads a process group of its own, so a Ctrl-C in the terminal reaches only us, and whatever the child starts
can be ended with it. Its exit is seen without reaping it: as long as it is a zombie nobody else gets its process id, so
the group can be signalled without hitting a stranger.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import IO

from mockcentral.conformance.errors import UsageError

LONGEST_LINE = 1 << 20
"""Bytes; a longer line is cut: it is no line of ours, and a client that never writes a newline must not fill memory."""
KEPT_LINES = 20
POLL = 0.02


class Child:
    """A running client. `on_line` gets each line of stdout, `on_error_line` each of stderr, on threads of their own."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        *,
        on_line: Callable[[str], None],
        on_error_line: Callable[[str], None],
    ) -> None:
        """Start it. Raises UsageError when there is no such program."""
        try:
            self._process = subprocess.Popen(
                list(arguments),
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise UsageError(f"{arguments[0]}: cannot be started: {reason}") from None
        self.pid = self._process.pid
        self.last_error_lines: deque[str] = deque(maxlen=KEPT_LINES)
        assert self._process.stdout is not None
        assert self._process.stderr is not None

        def keep(line: str) -> None:
            self.last_error_lines.append(line)
            on_error_line(line)

        self._readers = [
            threading.Thread(target=_read, args=(self._process.stdout, on_line), daemon=True),
            threading.Thread(target=_read, args=(self._process.stderr, keep), daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    @property
    def exited(self) -> bool:
        """Whether the child itself has exited (what it started may still run)."""
        if self._process.returncode is not None:
            return True
        waitid = getattr(os, "waitid", None)  # not on every Unix
        if waitid is None:
            return self._process.poll() is not None
        return waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None

    def terminate(self) -> None:
        """Ask the whole group to go."""
        self._signal(signal.SIGTERM)

    def wait_exited(self, timeout: float, hurry: threading.Event | None = None) -> bool:
        """Wait until the child has exited; False when it has not in time, or somebody is in a hurry."""
        until = time.monotonic() + timeout
        while not self.exited:
            if time.monotonic() >= until or (hurry is not None and hurry.is_set()):
                return False
            time.sleep(POLL)
        return True

    def reap(self) -> tuple[int | None, str | None]:
        """End whatever is left, collect the child; its exit code, or the name of the signal that ended it."""
        self._signal(signal.SIGKILL)
        returncode = self._process.wait()
        # A grandchild that left the group may hold the pipes open: its output is not ours to wait for.
        for reader in self._readers:
            reader.join(timeout=2.0)
        if returncode >= 0:
            return returncode, None
        try:
            return None, signal.Signals(-returncode).name
        except ValueError:
            return None, str(-returncode)

    def drain(self, timeout: float = 2.0) -> None:
        """Once the child has exited: end what it left behind, and wait until all that was written has been read."""
        self._signal(signal.SIGKILL)
        for reader in self._readers:
            reader.join(timeout=timeout)

    def _signal(self, number: int) -> None:
        if self._process.returncode is None:
            # The group is gone, or (on macOS) only zombies are left in it.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)


def _read(pipe: IO[bytes], on_line: Callable[[str], None]) -> None:
    with pipe:
        while line := pipe.readline(LONGEST_LINE):
            text = line.decode("utf-8", "replace").rstrip("\r\n")
            if text.strip():
                on_line(text)
