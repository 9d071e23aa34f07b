"""The file in which a fake says where it is: written when it is ready, and taken away when it ends.

A fake that is killed takes nothing away, so whoever reads the file asks `is_gone`, and the next fake removes what is
left before it starts. What was there before and is no regular file (a FIFO, a device, /dev/stdout) is written into, not
replaced, and stays.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import sys
import tempfile
import threading
import urllib.parse
from pathlib import Path
from typing import Any

from mockcentral.cli import Refused

PATIENCE = 1.0
"""Seconds for a connection to a fake that says it is there; on its own machine the answer comes at once."""


class ReadyFile:
    """The ready file of a fake in this process; None as a path is one that nobody asked for."""

    def __init__(self, path: str | None) -> None:
        # Through symbolic links: what they point to is written atomically, and the links stay.
        self._path = None if path is None else Path(path if _is_special(Path(path)) else os.path.realpath(path))
        self._replaced = False

    def clear(self) -> None:
        """Remove what a fake that was killed has left: who waits for this one's file must not believe that one's."""
        if self._path is None or not self._path.is_file():
            return
        with contextlib.suppress(OSError, ValueError, RecursionError):
            left = json.loads(self._path.read_text(encoding="utf-8"))
            if isinstance(left, dict) and "http_url" in left and "pid" in left and is_gone(left):
                self._path.unlink()

    def write(self, ready: dict[str, Any]) -> None:
        """Say where the fake is. Raises Refused."""
        if self._path is None:
            return
        text = json.dumps(ready) + "\n"
        if not _is_special(self._path):
            write_atomically(self._path, text)
            self._replaced = True
        elif self._path.is_fifo():  # opening it waits for a reader, and the fake is for others, too
            threading.Thread(target=self._write_or_say, args=(text,), name="mockcentral-ready", daemon=True).start()
        else:
            self._write_into(text)

    def _write_or_say(self, text: str) -> None:
        try:
            self._write_into(text)
        except Refused as error:
            print(f"mockcentral: {error}", file=sys.stderr)

    def _write_into(self, text: str) -> None:
        assert self._path is not None
        try:
            with self._path.open("w", encoding="utf-8") as file:
                file.write(text)
        except OSError as error:
            raise Refused(f"{self._path}: cannot be written: {error.strerror}") from None

    def withdraw(self) -> None:
        """Take the file away, if it is still this fake's: who waits for the next one's must not find this one's."""
        if self._path is None or not self._replaced:
            return
        with contextlib.suppress(OSError, ValueError):
            if json.loads(self._path.read_text(encoding="utf-8"))["pid"] == os.getpid():
                self._path.unlink()


def is_gone(ready: dict[str, Any]) -> bool:
    """Whether the fake that wrote this has ended without taking it away.

    A fake's control API answers as long as it lives, whatever its scenario breaks; an edge, and a world without one, is
    known by the number of its process. The number alone would not do: another container counts for itself, and numbers
    are used again.
    """
    control, pid = ready.get("control_url"), ready.get("pid")
    if isinstance(control, str):
        return not _listens(control)
    return isinstance(pid, int) and not _runs(pid)


def _listens(url: str) -> bool:
    try:
        parts = urllib.parse.urlsplit(url)
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=PATIENCE).close()
    except (OSError, ValueError):
        return False
    return True


def _runs(pid: int) -> bool:
    if os.name != "posix":  # elsewhere os.kill ends what it asks about
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # somebody else's
        return True
    return pid > 0


def _is_special(path: Path) -> bool:
    """Whether it is there and neither a file nor a folder, links followed."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def write_atomically(path: Path, text: str) -> None:
    """Readers see the whole file or none. It holds a token, so it is the owner's only. Raises Refused."""
    name = None
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(name, path)
    except OSError as error:
        if name is not None:
            os.unlink(name)
        raise Refused(f"{path}: cannot be written: {error.strerror}") from None
