# docs/examples/keep_a_position.py
"""Positions in a file, and in the same transaction as what you write. `python docs/examples/keep_a_position.py`"""

from __future__ import annotations

import asyncio
import sqlite3
import tempfile
from pathlib import Path

import mockcentral
import watchmanager as wm


async def with_a_file(world: mockcentral.World, file: Path, count: int) -> list[int]:
    """Handle so many events; the next run goes on after them."""
    seen: list[int] = []
    checkpoints = wm.FileCheckpoints(file)
    manager = wm.AsyncWatchManager(
        world.http_url, tenant_id=world.tenant, token=world.issue_token, checkpoints=checkpoints
    )
    async with manager, manager.watch(world.topics[0], fallback="earliest", commit="manual") as watch:
        async for event in watch:
            seen.append(event.sequence)  # your work
            watch.commit(event)  # only now is it done
            if len(seen) == count:
                break
    return seen


def with_a_database(world: mockcentral.World, file: Path, count: int) -> list[int]:
    """What an event causes and the position are committed together: exactly once, whenever the process dies."""
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE IF NOT EXISTS services (name TEXT, sequence INTEGER)")
    connection.commit()
    checkpoints = wm.SqlCheckpoints(lambda: sqlite3.connect(file), consumer="my-agent")
    manager = wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token, checkpoints=checkpoints)
    with manager, manager.watch(world.topics[0], fallback="earliest") as watch:
        for event in watch:
            with watch.transaction(event, connection) as cursor:
                if isinstance(event, wm.Event):
                    cursor.execute("INSERT INTO services VALUES (?, ?)", (event.name, event.sequence))
            count -= 1
            if count == 0:
                break
    found = [sequence for (sequence,) in connection.execute("SELECT sequence FROM services ORDER BY sequence")]
    connection.close()
    return found


def main() -> None:
    with mockcentral.World(scenario="calm") as world, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "position.json"
        print("file:", asyncio.run(with_a_file(world, file, 3)), "then", asyncio.run(with_a_file(world, file, 3)))
        database = Path(folder) / "agent.db"
        print("database:", with_a_database(world, database, 3), "then", with_a_database(world, database, 3))


if __name__ == "__main__":
    main()
