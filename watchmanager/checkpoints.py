"""Where the restart point of a watch is kept: in memory, in any mapping, or in a file.

A store keeps one whole number per topic: everything up to it is processed. The engine saves rarely (once a second or
every hundred items) and in rising order; a store only has to be truthful: when `save` returns, it is kept.
"""

from __future__ import annotations

import errno
import json
import os
import threading
import weakref
import zlib
from collections.abc import Awaitable, MutableMapping
from typing import IO, TYPE_CHECKING, Any, Protocol, runtime_checkable

from watchmanager.errors import CheckpointCorrupt, CheckpointError, CheckpointLocked, CheckpointWriteFailed, ConfigError

if TYPE_CHECKING:
    from pathlib import Path


@runtime_checkable
class CheckpointStore(Protocol):
    """What the engine needs. Methods may be coroutines; plain ones that block are called in a thread when `blocking` is
    true.

    `load` answers None for a topic it does not know. Both raise CheckpointError for what went wrong; anything else is
    wrapped.
    """

    def load(self, topic: str) -> int | Awaitable[int | None] | None: ...

    def save(self, topic: str, sequence: int) -> Awaitable[None] | None: ...

    def close(self) -> Awaitable[None] | None: ...


class MemoryCheckpoints:
    """Kept as long as this object is: watches of one process go on where the one before stopped."""

    blocking = False

    def __init__(self) -> None:
        self._kept: dict[str, int] = {}

    def load(self, topic: str) -> int | None:
        return self._kept.get(topic)

    def save(self, topic: str, sequence: int) -> None:
        self._kept[topic] = sequence

    def close(self) -> None:
        """Nothing to do; the numbers stay."""


class MappingCheckpoints:
    """Any mutable mapping from text to int, such as a `shelve`, a dict, or a wrapper around a database."""

    def __init__(self, mapping: MutableMapping[str, int], *, blocking: bool = False) -> None:
        self._mapping = mapping
        self.blocking = blocking

    def load(self, topic: str) -> int | None:
        found = self._mapping.get(topic)
        if found is None:
            return None
        if isinstance(found, bool) or not isinstance(found, int) or found < 0:
            raise CheckpointCorrupt(f"the checkpoint of {topic} is {found!r}: it must be a whole number from 0")
        return found

    def save(self, topic: str, sequence: int) -> None:
        self._mapping[topic] = sequence

    def close(self) -> None:
        """The mapping is yours to close."""


class FileCheckpoints:
    """A small JSON file with one number per topic, written so that a crash at any moment leaves the old or the new one.

    The file is replaced atomically and flushed to the disk; the one before stays beside it as `.bak` and is used when
    the file itself is damaged. `.lock` beside it is held while the store is open, so that two processes cannot take
    turns in moving one position. The lock is taken with the first `load`. A forked child has no part in it: there, the
    store is as if it had not been used.
    """

    blocking = True

    def __init__(self, path: str | os.PathLike[str]) -> None:
        from pathlib import Path

        self._path = Path(path).expanduser()
        if self._path.is_dir():
            raise ConfigError(f"checkpoint file {str(self._path)!r} is a directory: give the name of a file in it")
        self._lock: IO[str] | None = None
        self._kept: dict[str, int] | None = None
        self._sound = True  # the file itself could be read, or there is none
        self._busy = threading.Lock()  # several watches save from several threads

    @property
    def path(self) -> Path:
        return self._path

    def load(self, topic: str) -> int | None:
        with self._busy:
            return self._read().get(topic)

    def topics(self) -> dict[str, int]:
        """Everything in the file. Looking writes nothing and takes no lock; CheckpointLocked while another has it."""
        with self._busy:
            if self._kept is None:
                self._be_free()
                return self._parse(self._path, self._backup)
            return dict(self._kept)

    def save(self, topic: str, sequence: int) -> None:
        with self._busy:
            kept = {**self._read(), topic: sequence}
            self._write(kept)
            self._kept = kept
            self._sound = True

    def close(self) -> None:
        """Give up the lock. The store may be used again."""
        with self._busy:
            lock, self._lock = self._lock, None
            self._kept = None
            if lock is not None:
                lock.close()

    # ---------------------------------------------------------------- inside
    def _read(self) -> dict[str, int]:
        if self._kept is None:
            self._acquire()
            self._kept = self._parse(self._path, self._backup)
        return self._kept

    @property
    def _backup(self) -> Path:
        return self._path.with_name(self._path.name + ".bak")

    @property
    def _lock_path(self) -> Path:
        return self._path.with_name(self._path.name + ".lock")

    def _acquire(self) -> None:
        if self._lock is not None:
            return
        path = self._lock_path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = open(path, "a+", encoding="ascii")  # noqa: SIM115 - held until close()
        except OSError as error:
            raise CheckpointError(f"cannot open {str(path)!r}: {error.strerror}") from error
        self._hold(lock)
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock
        _LOCKED.add(self)

    def _be_free(self) -> None:
        """Raises CheckpointLocked when the store is open elsewhere."""
        try:
            lock = open(self._lock_path, encoding="ascii")  # noqa: SIM115 - closed below, or by _hold
        except FileNotFoundError:
            return  # nobody has ever had it
        except OSError as error:
            raise CheckpointError(f"cannot open {str(self._lock_path)!r}: {error.strerror}") from error
        self._hold(lock, shared=True)
        lock.close()

    def _hold(self, lock: IO[str], *, shared: bool = False) -> None:
        """Lock the file, or close it and raise."""
        try:
            _lock_file(lock, shared=shared)
        except OSError as error:
            lock.seek(0)
            text = lock.read(20).strip()
            lock.close()
            if error.errno not in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise CheckpointError(f"cannot lock {str(self._lock_path)!r}: {error.strerror}") from error
            pid = int(text) if text.isdigit() else None
            who = f"process {pid}" if pid is not None else "another process"
            raise CheckpointLocked(f"checkpoint file {str(self._path)!r} is in use by {who}", pid=pid) from None

    def _forked(self) -> None:
        """The lock is the parent's, but held for as long as any process has it open."""
        if self._lock is not None:
            self._lock.close()
        self._lock = self._kept = None
        self._busy = threading.Lock()

    def _parse(self, path: Path, backup: Path) -> dict[str, int]:
        try:
            return _decode(path.read_bytes(), path)
        except FileNotFoundError:
            if not backup.exists():
                return {}
            problem: Exception = CheckpointCorrupt(f"checkpoint file {str(path)!r} is missing")
        except OSError as error:
            raise CheckpointError(f"cannot read {str(path)!r}: {error.strerror}") from error
        except CheckpointCorrupt as error:
            problem = error
        self._sound = False
        try:
            return _decode(backup.read_bytes(), backup)
        except (OSError, CheckpointCorrupt):
            raise problem from None

    def _write(self, kept: dict[str, int]) -> None:
        path = self._path
        fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with open(fresh, "wb") as file:
                file.write(_encode(kept))
                file.flush()
                os.fsync(file.fileno())
            if self._sound and path.exists():
                spare = path.with_name(f"{path.name}.{os.getpid()}.spare")
                spare.unlink(missing_ok=True)
                try:
                    os.link(path, spare)
                    os.replace(spare, self._backup)
                except OSError:
                    spare.unlink(missing_ok=True)  # no hard links here: go without the second copy
            os.replace(fresh, path)
            _sync_directory(path.parent)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise CheckpointWriteFailed(f"cannot write {str(path)!r}: {error.strerror}") from error


_LOCKED: weakref.WeakSet[FileCheckpoints] = weakref.WeakSet()


def _after_fork() -> None:
    for each in tuple(_LOCKED):
        each._forked()
    _LOCKED.clear()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)


def _encode(kept: dict[str, int]) -> bytes:
    body = json.dumps(kept, sort_keys=True)
    return (
        json.dumps({"v": 1, "checkpoints": kept, "crc": zlib.crc32(body.encode())}, indent=1, sort_keys=True).encode()
        + b"\n"
    )


def _decode(data: bytes, path: Path) -> dict[str, int]:
    try:
        parsed: Any = json.loads(data)
        kept = parsed["checkpoints"]
        good = (
            parsed["v"] == 1
            and all(isinstance(value, int) and not isinstance(value, bool) and value >= 0 for value in kept.values())
            and parsed["crc"] == zlib.crc32(json.dumps(kept, sort_keys=True).encode())
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        good = False
    if not good:
        raise CheckpointCorrupt(f"{str(path)!r} is no checkpoint file, or a damaged one; remove it to begin anew")
    return dict(kept)


def _lock_file(file: IO[str], *, shared: bool = False) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        file.seek(0)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
    else:
        # A file that is open for reading only can be locked exclusively on a local disk, but not on NFS.
        fcntl.flock(file.fileno(), (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


def _sync_directory(path: Path) -> None:
    try:
        handle = os.open(path, os.O_RDONLY)
    except OSError:
        return  # Windows cannot; the replacement itself is still atomic
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
