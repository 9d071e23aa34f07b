"""Positions in a database of your own, and in the same transaction as what you write about an event.

Works with every DB-API 2.0 module. One row a topic holds the position, a `fence` that rises with every watch that
begins there, and a `version` that rises with every write. Whoever writes states both: a process that was replaced, or
two that share a row by mistake, find that their fence is not the row's and are refused. So of two processes the one
that began later goes on, and nothing the other writes afterwards is kept.

In a transaction of yours the row is written last and committed with the rest: a crash keeps both or neither, and what
an event caused is in the database exactly once.
"""

from __future__ import annotations

import contextlib
import re
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, TypeAlias

from watchmanager.errors import (
    CheckpointCorrupt,
    CheckpointError,
    CheckpointLocked,
    CheckpointWriteFailed,
    ConfigError,
)
from watchmanager.events import Item

ParamStyle: TypeAlias = Literal["qmark", "numeric", "named", "format", "pyformat"]
Outcome: TypeAlias = Literal["committed", "rolled back", "unknown"]
_STYLES = ("qmark", "numeric", "named", "format", "pyformat")
_MARKS: dict[str, Callable[[int], str]] = {
    "qmark": lambda number: "?",
    "numeric": lambda number: f":{number}",
    "named": lambda number: f":p{number}",
    "format": lambda number: "%s",
    "pyformat": lambda number: f"%(p{number})s",
}


@dataclass(slots=True)
class Claim:
    """One watch's hold on its row."""

    fence: int
    version: int


class SqlCheckpoints:
    """Keeps positions in a table of a database; `watch.transaction` writes them in your own transactions.

    `connect` makes a connection of a DB-API 2.0 module, as `lambda: sqlite3.connect("app.db")` does; it is called from
    a thread of ours, for one short operation at a time. `consumer` tells several agents on one database apart. The
    `table` is made when it is missing, unless `create` is False. `paramstyle` is the module's own where it can be
    found.

    A topic has one watch at a time: one that begins takes the row away from the one before, which then fails with
    CheckpointLocked. Once a topic was written in a transaction, only transactions write it.
    """

    blocking = True

    def __init__(
        self,
        connect: Callable[[], Any],
        *,
        consumer: str = "",
        table: str = "watch_checkpoints",
        paramstyle: ParamStyle | None = None,
        create: bool = True,
    ) -> None:
        if not callable(connect):
            raise ConfigError("SqlCheckpoints needs a function that connects: lambda: sqlite3.connect('app.db')")
        if not re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", table):
            raise ConfigError(f"SqlCheckpoints.table is {table!r}: it must be a plain name, or schema.name")
        if paramstyle is not None and paramstyle not in _STYLES:
            raise ConfigError(f"SqlCheckpoints.paramstyle is {paramstyle!r}: it must be one of {', '.join(_STYLES)}")
        self._connect = connect
        self._consumer = consumer
        self._table = table
        self._paramstyle = paramstyle
        self._create = create
        self._made = False
        self._lock = threading.Lock()
        self._claims: dict[str, Claim] = {}
        self._transacted: set[str] = set()

    # ------------------------------------------------------------ a store like the others
    def load(self, topic: str) -> int | None:
        """The position; the row belongs to the caller from now on."""
        with self._lock, self._session(CheckpointError, f"the checkpoint of {topic} cannot be loaded") as connection:
            return self._claim(connection, topic)

    def save(self, topic: str, sequence: int) -> None:
        """Raises CheckpointLocked when the row was taken over."""
        with self._lock:
            if topic in self._transacted:
                return
            what = f"the checkpoint of {topic} cannot be saved"
            with self._session(CheckpointWriteFailed, what) as connection:
                claim = self._claims.get(topic)
                if claim is None:
                    self._claim(connection, topic)
                    claim = self._claims[topic]
                self.write(connection, topic, claim, sequence)
                connection.commit()
            claim.version += 1

    def close(self) -> None:
        """Nothing is held open."""

    # ------------------------------------------------------------ for transactions
    def claim(self, topic: str) -> Claim:
        """What the last `load` of this topic took hold of."""
        return self._claims[topic]

    def transacted(self, topic: str) -> None:
        """From now on only transactions write this row. Waits for a save that is under way."""
        if topic not in self._transacted:
            with self._lock:
                self._transacted.add(topic)

    def write(self, connection: Any, topic: str, claim: Claim, sequence: int | None) -> None:
        """Write the row without committing. Raises CheckpointLocked when it is not the claim's any more."""
        cursor = connection.cursor()
        self._execute(
            connection,
            cursor,
            f"UPDATE {self._table} SET last_sequence = $, version = version + 1 "
            "WHERE consumer = $ AND topic = $ AND fence = $ AND version = $",
            (sequence, self._consumer, topic, claim.fence, claim.version),
        )
        changed = cursor.rowcount
        cursor.close()
        if changed != 1:
            raise CheckpointLocked(
                f"the checkpoint of {topic} in table {self._table} is not ours any more: "
                "another watch has begun on this topic (tell several agents apart with consumer=...)"
            )

    def outcome(self, topic: str, claim: Claim) -> Outcome:
        """What became of a commit that failed, by a look into the table."""
        try:
            with self._session(CheckpointError, "") as connection:
                found = self._row(connection, topic)
        except CheckpointError:
            return "unknown"
        if found is None or found[1] != claim.fence:
            return "unknown"
        return "rolled back" if found[2] == claim.version else "committed"

    # ------------------------------------------------------------ inside
    def _claim(self, connection: Any, topic: str) -> int | None:
        if self._create and not self._made:
            cursor = connection.cursor()
            cursor.execute(
                f"CREATE TABLE IF NOT EXISTS {self._table} (consumer VARCHAR(190) NOT NULL, "
                "topic VARCHAR(190) NOT NULL, last_sequence BIGINT, fence BIGINT NOT NULL, version BIGINT NOT NULL, "
                "PRIMARY KEY (consumer, topic))"
            )
            cursor.close()
            connection.commit()
            self._made = True
        cursor = connection.cursor()
        key = (self._consumer, topic)
        # Written before it is read, so that the row is locked: of two at the same time one comes second.
        take = f"UPDATE {self._table} SET fence = fence + 1, version = version + 1 WHERE consumer = $ AND topic = $"
        self._execute(connection, cursor, take, key)
        if cursor.rowcount == 0:
            insert = f"INSERT INTO {self._table} (consumer, topic, fence, version) VALUES ($, $, 1, 1)"
            self._execute(connection, cursor, insert, key)
        cursor.close()
        found = self._row(connection, topic)
        connection.commit()
        assert found is not None
        sequence, fence, version = found
        if sequence is not None and (not isinstance(sequence, int) or sequence < 0):
            raise CheckpointCorrupt(f"the checkpoint of {topic} in table {self._table} is {sequence!r}")
        self._claims[topic] = Claim(fence, version)
        self._transacted.discard(topic)
        return sequence

    def _row(self, connection: Any, topic: str) -> tuple[int | None, int, int] | None:
        cursor = connection.cursor()
        self._execute(
            connection,
            cursor,
            f"SELECT last_sequence, fence, version FROM {self._table} WHERE consumer = $ AND topic = $",
            (self._consumer, topic),
        )
        row = cursor.fetchone()
        cursor.close()
        if row is None:
            return None
        sequence, fence, version = row
        return (None if sequence is None else _whole(sequence)), int(fence), int(version)

    def _session(self, kind: type[CheckpointError], what: str) -> _Session:
        return _Session(self._connect, kind, what)

    def _execute(self, connection: Any, cursor: Any, statement: str, values: tuple[Any, ...]) -> None:
        style = self._paramstyle or paramstyle_of(connection)
        mark = _MARKS[style]
        parts = statement.split("$")
        text = parts[0] + "".join(mark(number) + part for number, part in enumerate(parts[1:], 1))
        if style in ("named", "pyformat"):
            cursor.execute(text, {f"p{number}": value for number, value in enumerate(values, 1)})
        else:
            cursor.execute(text, values)


class _Session:
    """A connection for one operation; what goes wrong in it becomes a CheckpointError, and nothing of it is kept."""

    def __init__(self, connect: Callable[[], Any], kind: type[CheckpointError], what: str) -> None:
        self._connect = connect
        self._kind = kind
        self._what = what
        self._connection: Any = None

    def __enter__(self) -> Any:
        try:
            self._connection = self._connect()
        except Exception as error:
            raise self._kind(f"{self._what}: {type(error).__name__}: {error}") from error
        return self._connection

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with contextlib.suppress(Exception):  # the error below says it better
            if error is not None:
                self._connection.rollback()
            self._connection.close()
        if isinstance(error, Exception) and not isinstance(error, CheckpointError | ConfigError):
            raise self._kind(f"{self._what}: {type(error).__name__}: {error}") from error


def transactional(store: object, *, confirming: bool) -> SqlCheckpoints:
    """The store of a watch whose positions can be part of a transaction. Raises ConfigError for any other."""
    if not isinstance(store, SqlCheckpoints):
        raise ConfigError("a transaction needs checkpoints=SqlCheckpoints(...) on the manager")
    if confirming:
        raise ConfigError(
            "a transaction saves the position of what it has done, History(confirm=True) only what history has "
            "confirmed: leave one of them out"
        )
    return store


class Transaction:
    """`with watch.transaction(event, connection) as cursor:`: what the block writes and the position, or neither.

    The block's end commits; an exception rolls back, and the event is handed out again. Do not commit inside.
    """

    def __init__(
        self,
        store: SqlCheckpoints,
        connection: Any,
        topic: str,
        claim: Claim,
        item: Item,
        position: Callable[[], int | None],
        settle: Callable[[Outcome, BaseException | None], None],
    ) -> None:
        self._store = store
        self._connection = connection
        self._topic = topic
        self._claim = claim
        self._item = item
        self._position = position
        self._settle = settle
        self._cursor: Any = None

    def __enter__(self) -> Any:
        connection = self._connection
        autocommit = getattr(connection, "autocommit", False)
        if autocommit is True or (callable(autocommit) and _calls(connection, "get_autocommit") is True):
            raise ConfigError("the connection commits every statement by itself: switch its autocommit off")
        self._store.transacted(self._topic)
        self._cursor = connection.cursor()
        if getattr(connection, "isolation_level", "") is None and getattr(connection, "in_transaction", True) is False:
            self._cursor.execute("BEGIN")  # sqlite3 as it is with isolation_level=None: it would commit at once
        return self._cursor

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, claim = self._connection, self._claim
        if error is not None:
            self._roll_back()
            self._settle("rolled back", None)
            return
        try:
            self._store.write(connection, self._topic, claim, self._position())
        except CheckpointLocked as locked:
            self._roll_back()
            self._settle("unknown", locked)  # another one goes on from here: this watch is over
            raise
        except Exception as failed:
            self._roll_back()
            self._settle("rolled back", None)
            raise self._failed(failed) from failed
        try:
            connection.commit()
        except Exception as failed:
            self._roll_back()
            found = self._store.outcome(self._topic, claim)
            failure = self._failed(failed)
            failure.__cause__ = failed
            if found == "committed":
                claim.version += 1
            self._settle(found, failure)
            raise failure from failed
        claim.version += 1
        self._settle("committed", None)

    def _roll_back(self) -> None:
        with contextlib.suppress(Exception):  # a connection that is gone has rolled back already
            self._connection.rollback()

    def _failed(self, error: Exception) -> CheckpointWriteFailed:
        failure = CheckpointWriteFailed(
            f"the transaction of sequence {self._item.sequence} failed: {type(error).__name__}: {error}"
        )
        failure.topic, failure.sequence = self._topic, self._item.sequence
        return failure


def paramstyle_of(connection: Any) -> str:
    """How its module writes parameters. Raises ConfigError when that cannot be found out."""
    name = type(connection).__module__
    while name:
        style = getattr(sys.modules.get(name), "paramstyle", None)
        if style in _STYLES:
            return str(style)
        name = name.rpartition(".")[0]
    raise ConfigError(
        f"how does a {type(connection).__module__}.{type(connection).__qualname__} write parameters? "
        "give SqlCheckpoints(..., paramstyle='qmark') or whatever its module's paramstyle is"
    )


def _whole(value: Any) -> Any:
    """Some modules give numbers as Decimal."""
    return value if isinstance(value, bool) or int(value) != value else int(value)


def _calls(owner: Any, name: str) -> object:
    method = getattr(owner, name, None)
    return method() if callable(method) else None
