"""Positions in a database, and in the same transaction as what an event caused."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sqlite3
import subprocess
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

import mockcentral
import watchmanager as wm
from tests.watchmanager.api.quiet import owner_of, quiet
from tests.watchmanager.worlds import change, sequences, take
from watchmanager._core.watermark import Watermark
from watchmanager.sql import paramstyle_of

ROOT = Path(__file__).parents[3]
POINTS = ("in the block", "before the commit", "after the commit")


class Database:
    """A file, a table for what events caused, and a store in it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "app.db"
        self._open: list[sqlite3.Connection] = []
        with self.connect() as connection:
            connection.execute("CREATE TABLE seen (sequence INTEGER)")

    def connect(self, **more: Any) -> sqlite3.Connection:
        # Closed at the test's end, whatever thread it was made in: Python 3.13 warns of one that is only forgotten.
        connection: sqlite3.Connection = sqlite3.connect(self.path, timeout=30, check_same_thread=False, **more)
        self._open.append(connection)
        return connection

    def close(self) -> None:
        for connection in self._open:
            connection.close()

    def store(self, **more: Any) -> wm.SqlCheckpoints:
        return wm.SqlCheckpoints(self.connect, **more)

    def all(self, statement: str) -> list[Any]:
        connection = self.connect()
        try:
            return connection.execute(statement).fetchall()
        finally:
            connection.close()

    @property
    def seen(self) -> list[int]:
        return [row[0] for row in self.all("SELECT sequence FROM seen ORDER BY rowid")]

    @property
    def position(self) -> int | None:
        [[found]] = self.all("SELECT last_sequence FROM watch_checkpoints")
        return None if found is None else int(found)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path)
    yield database
    database.close()


def keep(watch: Any, event: wm.Item, connection: Any) -> None:
    with watch.transaction(event, connection) as cursor:
        cursor.execute("INSERT INTO seen VALUES (?)", (event.sequence,))


# ---------------------------------------------------------------- as a store
def test_positions_are_kept_by_consumer_and_topic(database: Database) -> None:
    mine, other = database.store(consumer="a"), database.store(consumer="b")
    assert mine.load("t") is None
    mine.save("t", 5)
    mine.save("u", 6)
    assert other.load("t") is None
    assert database.store(consumer="a").load("t") == 5
    assert database.store(consumer="a").load("u") == 6


def test_a_watch_goes_on_where_the_one_before_stopped(database: Database) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(6)])
            for part in (numbers[:3], numbers[2:]):  # what was not confirmed comes again
                async with owner_of(world, checkpoints=database.store()) as owner:
                    watch = owner.watch(world.topics[0], fallback="earliest")
                    assert sequences(await take(watch, len(part))) == part

    asyncio.run(main())
    assert database.position is not None


def test_of_two_that_share_a_row_the_later_one_goes_on(database: Database) -> None:
    first, second = database.store(), database.store()
    first.load("t")
    first.save("t", 5)
    assert second.load("t") == 5
    with pytest.raises(wm.CheckpointLocked, match="another watch"):
        first.save("t", 6)
    second.save("t", 7)
    assert database.position == 7


def test_a_store_that_cannot_be_reached_says_so() -> None:
    def refuse() -> Any:
        raise OSError("no database here")

    store = wm.SqlCheckpoints(refuse)
    with pytest.raises(wm.CheckpointError, match=r"cannot be loaded: OSError: no database here"):
        store.load("t")
    with pytest.raises(wm.CheckpointWriteFailed, match=r"cannot be saved: OSError"):
        store.save("t", 1)


def test_what_is_no_position_is_not_taken_for_one(database: Database) -> None:
    store = database.store()
    store.load("t")
    with database.connect() as connection:
        connection.execute("UPDATE watch_checkpoints SET last_sequence = -3")
    with pytest.raises(wm.CheckpointCorrupt):
        database.store().load("t")


@pytest.mark.parametrize(
    "arguments", [{"table": "a b"}, {"table": "x;drop"}, {"paramstyle": "colon"}, {"connect": "app.db"}]
)
def test_settings_that_cannot_be_meant_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(wm.ConfigError):
        wm.SqlCheckpoints(**{"connect": lambda: None, **arguments})


# ---------------------------------------------------------------- parameter styles
class Translating:
    """sqlite3 behind another way to write parameters."""

    def __init__(self, real: sqlite3.Connection, back: Callable[[str], str]) -> None:
        self.real = real
        self.back = back

    def cursor(self) -> Any:
        return _Cursor(self.real.cursor(), self.back)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


class _Cursor:
    def __init__(self, real: sqlite3.Cursor, back: Callable[[str], str]) -> None:
        self.real = real
        self.back = back

    def execute(self, statement: str, values: Any = ()) -> Any:
        assert "?" not in statement
        return self.real.execute(self.back(statement), values)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


def _nameless(text: str) -> str:
    """`:1, :2` as `?, ?`: from Python 3.12 on, sqlite3 warns of numbered places filled from a sequence."""
    numbers = re.findall(r":(\d+)", text)
    assert numbers == [str(number) for number in range(1, len(numbers) + 1)]
    return re.sub(r":\d+", "?", text)


@pytest.mark.parametrize(
    ("style", "back"),
    [
        ("format", lambda text: text.replace("%s", "?")),
        ("pyformat", lambda text: text.replace("%(", ":").replace(")s", "")),
        ("named", lambda text: text),
        ("numeric", lambda text: _nameless(text)),
    ],
)
def test_every_paramstyle_is_written_and_found_by_the_module_of_the_connection(
    style: Any, back: Callable[[str], str], database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = types.ModuleType("odd_driver")
    driver.paramstyle = style  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "odd_driver", driver)
    kind = type("Connection", (Translating,), {"__module__": "odd_driver.parts.connection"})
    for store in (
        wm.SqlCheckpoints(lambda: kind(database.connect(), back)),
        wm.SqlCheckpoints(lambda: Translating(database.connect(), back), paramstyle=style),
    ):
        position = store.load("t")
        store.save("t", (position or 0) + 3)
    assert database.position == 6


def test_a_paramstyle_that_cannot_be_found_is_asked_for() -> None:
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        assert paramstyle_of(connection) == "qmark"
    with pytest.raises(wm.ConfigError, match="paramstyle='qmark'"):
        paramstyle_of(object())


# ---------------------------------------------------------------- transactions
@pytest.mark.parametrize("commit", ["on_next", "manual"])
@pytest.mark.parametrize("isolation", ["", None])
def test_what_an_event_caused_and_its_position_are_committed_together(
    database: Database, commit: Any, isolation: Any
) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(5)])
            connection = database.connect(isolation_level=isolation)
            async with owner_of(world, checkpoints=database.store()) as owner:
                watch = owner.watch(world.topics[0], start="earliest", commit=commit)
                async for event in watch:
                    with watch.transaction(event, connection) as cursor:
                        cursor.execute("INSERT INTO seen VALUES (?)", (event.sequence,))
                        assert database.seen == numbers[: numbers.index(event.sequence)]
                        assert database.position != event.sequence
                    assert database.seen[-1] == database.position == watch.status.committed == event.sequence
                    if event.sequence == numbers[-1]:
                        break
            connection.close()
            assert database.seen == numbers
            assert database.position == numbers[-1]

    asyncio.run(main())


@pytest.mark.parametrize("commit", ["on_next", "manual"])
def test_a_block_that_raises_leaves_nothing_behind_and_gets_its_event_again(database: Database, commit: Any) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(3)])
            connection = database.connect()
            tries: list[int] = []
            async with owner_of(world, checkpoints=database.store()) as owner:
                watch = owner.watch(world.topics[0], start="earliest", commit=commit)
                async for event in watch:
                    tries.append(event.sequence)
                    try:
                        with watch.transaction(event, connection) as cursor:
                            cursor.execute("INSERT INTO seen VALUES (?)", (event.sequence,))
                            if len(tries) in (2, 3):
                                raise KeyError
                    except KeyError:
                        assert database.seen == numbers[:1]
                        assert database.position == numbers[0]
                        continue
                    if event.sequence == numbers[-1]:
                        break
            connection.close()
            assert tries == [numbers[0], numbers[1], numbers[1], numbers[1], numbers[2]]
            assert database.seen == numbers

    asyncio.run(main())


def test_the_blocking_watch_gets_a_rolled_back_event_again_too(database: Database) -> None:
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(4)])
        connection = database.connect()
        with wm.WatchManager(
            world.http_url, tenant_id=world.tenant, token=world.issue_token, checkpoints=database.store()
        ) as manager:
            watch = manager.watch(world.topics[0], start="earliest")
            tries = []
            for event in watch:
                tries.append(event.sequence)
                if len(tries) == 2:
                    with pytest.raises(KeyError), watch.transaction(event, connection):
                        raise KeyError
                    continue
                keep(watch, event, connection)
                if event.sequence == numbers[-1]:
                    break
        connection.close()
        assert tries == [numbers[0], numbers[1], numbers[1], numbers[2], numbers[3]]
        assert database.seen == numbers
        assert database.position == numbers[-1]


def test_a_watch_that_was_replaced_can_commit_nothing_more(database: Database) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(4)])
            connection = database.connect()
            async with (
                owner_of(world, checkpoints=database.store()) as old,
                owner_of(world, checkpoints=database.store()) as new,
            ):
                late = old.watch(world.topics[0], start="earliest")
                [event] = await take(late, 1)
                keep(late, event, connection)
                [event] = await take(late, 1)
                successor = new.watch(world.topics[0])
                await successor.ready(30)
                with pytest.raises(wm.CheckpointLocked):
                    keep(late, event, connection)
                assert database.seen == numbers[:1]
                with pytest.raises(wm.CheckpointLocked):
                    await late.__anext__()
                for event in await take(successor, 1):
                    keep(successor, event, connection)
            connection.close()
            assert database.seen == numbers[:2]

    asyncio.run(main())


class Failing:
    """A connection whose commit fails, before or after it was done."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self.real = real
        self.fails = ""

    def commit(self) -> None:
        if self.fails == "before":
            self.fails = ""
            raise ConnectionError("gone")
        self.real.commit()
        if self.fails == "after":
            self.fails = ""
            raise ConnectionError("gone")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.real, name)


@pytest.mark.parametrize("fails", ["before", "after"])
def test_a_commit_that_fails_is_looked_up(database: Database, fails: str) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(3)])
            connection = Failing(database.connect())
            async with owner_of(world, checkpoints=database.store(paramstyle="qmark")) as owner:
                watch = owner.watch(world.topics[0], start="earliest")
                [event] = await take(watch, 1)
                connection.fails = fails
                with pytest.raises(wm.CheckpointWriteFailed, match=f"sequence {numbers[0]} failed: ConnectionError"):
                    keep(watch, event, connection)
                assert database.seen == ([] if fails == "before" else numbers[:1])
                while database.seen != numbers:
                    [event] = await take(watch, 1)
                    keep(watch, event, connection)
            connection.close()

    asyncio.run(main())
    assert database.position == database.seen[-1]
    assert len(set(database.seen)) == len(database.seen)


def test_a_commit_that_nobody_knows_the_end_of_ends_the_watch(database: Database) -> None:
    reachable = True

    def connect() -> sqlite3.Connection:
        if not reachable:
            raise ConnectionError("still gone")
        return database.connect()

    async def main() -> None:
        nonlocal reachable
        with quiet() as world:
            world.publish([change(each) for each in range(3)])
            connection = Failing(database.connect())
            async with owner_of(world, checkpoints=wm.SqlCheckpoints(connect, paramstyle="qmark")) as owner:
                watch = owner.watch(world.topics[0], start="earliest")
                [event] = await take(watch, 1)
                connection.fails, reachable = "after", False
                with pytest.raises(wm.CheckpointWriteFailed):
                    keep(watch, event, connection)
                with pytest.raises(wm.CheckpointWriteFailed):
                    await watch.__anext__()  # a new watch asks the database where it is
            reachable = True
            connection.close()

    asyncio.run(main())


def test_a_transaction_is_refused_where_it_cannot_hold(database: Database) -> None:
    async def main() -> None:
        with quiet() as world:
            world.publish([change(each) for each in range(3)])
            async with owner_of(world, checkpoints={}) as owner:
                watch = owner.watch(world.topics[0], start="earliest")
                [event] = await take(watch, 1)
                with pytest.raises(wm.ConfigError, match="SqlCheckpoints"):
                    watch.transaction(event, database.connect())
            confirming = wm.History(confirm=True)
            async with owner_of(world, checkpoints=database.store(), history=confirming) as owner:
                watch = owner.watch(world.topics[0], start="earliest")
                [event] = await take(watch, 1)
                with pytest.raises(wm.ConfigError, match="confirm"):
                    watch.transaction(event, database.connect())
            async with owner_of(world, checkpoints=database.store()) as owner:
                watch = owner.watch(world.topics[0], start="earliest")
                old, event = await take(watch, 2)
                with pytest.raises(wm.LifecycleError, match="last"):
                    watch.transaction(old, database.connect())
                commits_by_itself = types.SimpleNamespace(autocommit=True)
                with pytest.raises(wm.ConfigError, match="autocommit"), watch.transaction(event, commits_by_itself):
                    raise AssertionError

    asyncio.run(main())


def test_the_position_of_a_transaction_stays_below_a_late_event() -> None:
    mark = Watermark()
    for ticket, sequence in enumerate((5, 6, 9), 1):
        mark.begin(ticket, sequence)
    mark.expect_late(7)
    assert [mark.after(ticket) for ticket in (1, 2, 3)] == [5, 6, 6]
    mark.begin(4, 7)
    assert mark.after(4) == 9
    mark.through(3)
    assert mark.value == 6
    assert mark.after(4) == 9


def test_killed_twenty_times_around_a_commit_every_event_is_kept_exactly_once(database: Database) -> None:
    random = Random(20)
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(40)])

        def live(die_at: int, where: str) -> int:
            arguments = [database.path, world.http_url, world.tenant, world.token, world.topics[0], die_at, where]
            done = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("transact.py")), *map(str, arguments)],
                cwd=ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                capture_output=True,
                text=True,
                timeout=120,
                check=False,
            )
            assert done.returncode in (0, -9), done.stderr
            return done.returncode

        os.unlink(database.path)
        for number in range(20):
            assert live(random.randint(1, 3), POINTS[number % 3]) == -9
            numbers += world.publish([change(100 + 2 * number), change(101 + 2 * number)])
        assert live(0, "") == 0
        assert database.seen == numbers
        assert database.position == numbers[-1]
        assert isinstance(world, mockcentral.World)
