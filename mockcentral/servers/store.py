"""A SQLite file that a world's log, resources and topics outlive its process in (`--store`).

Rows are committed before anybody hears of what they hold, so what was answered or delivered is in the file whenever the
process dies, by kill -9 too. A crash of the whole machine may cost the newest commits: a fake is no database.
"""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from mockcentral._core.keeping import EventRow, Restored, Rows

APPLICATION = 0x6D6F636B  # "mock"
VERSION = 1
_TABLES = """
    CREATE TABLE events (sequence INTEGER PRIMARY KEY, wall REAL NOT NULL, event TEXT NOT NULL, topics TEXT NOT NULL);
    CREATE TABLE resources (number INTEGER PRIMARY KEY, link TEXT NOT NULL UNIQUE, resource TEXT NOT NULL);
    CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""
_LOG = ("newest", "next", "purged")


class StoreError(ValueError):
    """A store cannot be used; the message says which and why."""


class Store:
    """An open store, this process's alone. Raises StoreError."""

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        if self.path in ("", ":memory:") or self.path.startswith("file:"):
            raise StoreError(f"{self.path!r} is no store: write the path of a file, which outlives the process")
        try:
            # Opened where the world is made, used on its loop: never by two threads at once.
            self._database = sqlite3.connect(self.path, timeout=0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise self.unusable(error) from None
        try:
            self._prepare()
        except sqlite3.Error as error:
            self._database.close()
            raise self.unusable(error) from None
        except StoreError:
            self._database.close()
            raise

    def _prepare(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN IMMEDIATE")
        application, version = run("PRAGMA application_id").fetchone()[0], run("PRAGMA user_version").fetchone()[0]
        if application == 0 and run("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0:
            for statement in _TABLES.split(";"):
                run(statement)
            run(f"PRAGMA application_id = {APPLICATION}")
            run(f"PRAGMA user_version = {VERSION}")
        elif application != APPLICATION:
            raise StoreError(f"{self.path}: a database of another program, not a store of mockcentral")
        elif version != VERSION:
            raise StoreError(f"{self.path}: a store of version {version}; this mockcentral reads version {VERSION}")
        run("COMMIT")

    def unusable(self, error: Exception) -> StoreError:
        """What to raise when SQLite, or whoever reads the rows, cannot make sense of it."""
        if isinstance(error, sqlite3.Error) and "locked" in str(error):
            return StoreError(f"{self.path}: another process uses this store")
        return StoreError(f"{self.path}: not a usable store: {error}")

    def restore(self) -> Restored:
        """What earlier processes wrote down; counts this one. Raises StoreError."""
        run = self._database.execute
        try:
            numbers = dict(run("SELECT name, value FROM numbers").fetchall())
            starts = numbers.get("starts", 0)
            run("INSERT OR REPLACE INTO numbers VALUES ('starts', ?)", (starts + 1,))
            return Restored(
                starts,
                [EventRow(*row) for row in run("SELECT sequence, wall, event, topics FROM events ORDER BY sequence")],
                run("SELECT link, resource FROM resources ORDER BY number").fetchall(),
                (numbers["newest"], numbers["next"], numbers["purged"]) if "newest" in numbers else None,
            )
        except sqlite3.Error as error:
            raise self.unusable(error) from None

    def write(self, rows: Rows) -> None:
        """Commit. Raises StoreError: the disk is full, most likely."""
        run = self._database.execute
        try:
            run("BEGIN")
            if rows.history_lost:
                run("DELETE FROM events")
            self._database.executemany(
                "INSERT OR REPLACE INTO events VALUES (?, ?, ?, ?)",
                [(each.sequence, each.wall, each.event, each.topics) for each in rows.events],
            )
            for link, resource in rows.resources.items():
                if resource is None:
                    run("DELETE FROM resources WHERE link = ?", (link,))
                else:
                    run(
                        "INSERT INTO resources (link, resource) VALUES (?, ?)"
                        " ON CONFLICT (link) DO UPDATE SET resource = excluded.resource",
                        (link, resource),
                    )
            self._database.executemany(
                "INSERT OR REPLACE INTO numbers VALUES (?, ?)", list(zip(_LOG, rows.log, strict=True))
            )
            run("DELETE FROM events WHERE sequence <= ?", (rows.log[2],))
            run("COMMIT")
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                run("ROLLBACK")
            raise StoreError(f"{self.path}: cannot be written: {error}") from None

    def clear(self) -> None:
        """Forget everything."""
        self._database.executescript("BEGIN; DELETE FROM events; DELETE FROM resources; DELETE FROM numbers; COMMIT;")

    def close(self) -> None:
        self._database.close()
