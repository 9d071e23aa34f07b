"""A client that keeps each event in a table, in one transaction with its position, and dies where it is told to.

`python transact.py DATABASE URL TENANT TOKEN TOPIC DIE_AT WHERE`: killed (-9) at the DIE_ATth event it handles, "in the
block", "before the commit" or "after the commit"; 0 never: then it ends when it has caught up.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from typing import Any

import watchmanager as wm


class Dying:
    """A connection that kills its process around a commit."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.die = ""

    def commit(self) -> None:
        if self.die == "before the commit":
            os.kill(os.getpid(), signal.SIGKILL)
        self.real.commit()
        if self.die == "after the commit":
            os.kill(os.getpid(), signal.SIGKILL)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def main(database: str, url: str, tenant: str, token: str, topic: str, die_at: str, where: str) -> None:
    connection = Dying(sqlite3.connect(database))
    connection.real.execute("CREATE TABLE IF NOT EXISTS seen (sequence INTEGER, name TEXT)")
    connection.commit()
    store = wm.SqlCheckpoints(lambda: sqlite3.connect(database), paramstyle="qmark")
    with wm.WatchManager(url, tenant_id=tenant, token=token, checkpoints=store, subscribe_grace=0.1) as manager:
        watch = manager.watch(topic, fallback="earliest")
        for count, event in enumerate(watch.catch_up(), 1):
            assert isinstance(event, wm.Event)
            dies = count == int(die_at)
            connection.die = where if dies else ""
            with watch.transaction(event, connection) as cursor:
                cursor.execute("INSERT INTO seen VALUES (?, ?)", (event.sequence, event.name))
                if dies and where == "in the block":
                    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
