"""The journal: everything observed or done, one record after the other (design/interfaces "Journal").

Records are plain dicts so that they are JSON as they stand. The journal knows nothing of what they mean; it numbers
them, keeps a bounded tail in memory and tells listeners (a file writer, a waiting test) about each one as it is added.

A backlog is thousands of records that differ in little. They come in one piece (`add_each`), and a piece becomes
records when somebody wants to see them: whoever reads or listens cannot tell how a record came.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Record = dict[str, Any]

Part = Sequence[Mapping[str, Any]]
"""Some fields of each of several records."""

VERSION = 1


def unheard(facts: Record) -> None:
    """What the line of an HTTP answer says when nobody waited for all of it: nobody can have got its events either."""
    facts["unheard"] = True
    if "sequences" in facts:
        facts["sequences"] = []


def spoiled(facts: Record) -> None:
    """What the line of an answer of history says when a fault put something else in its place, or cut it: nobody can
    have got its events.
    """
    if "sequences" in facts:
        facts["spoiled"] = True
        facts["sequences"] = []


class _Piece:
    """Records that were added together and that nobody has looked at yet."""

    __slots__ = ("_head", "_parts", "_records")

    def __init__(self, head: Record, parts: tuple[Part, ...]) -> None:
        """`head` is what the first record begins with."""
        self._head = head
        self._parts = parts
        self._records: list[Record] = []

    def __len__(self) -> int:
        return len(self._records) or len(self._parts[0])

    def records(self) -> list[Record]:
        """The same objects each time."""
        if not self._records:
            for n, fields in enumerate(zip(*self._parts, strict=True), self._head["n"]):
                record = {**self._head, "n": n}
                for some in fields:
                    record.update(some)
                self._records.append(record)
            self._parts = ()
        return self._records


class Journal:
    """An append-only list of records, the newest `keep` of them in memory."""

    keeps = True
    """Whether records are kept: False for a journal that only counts them."""

    def __init__(self, world: str, keep: int = 200_000) -> None:
        self.world = world
        self._keep = keep
        self._entries: deque[Record | _Piece] = deque()
        self._held = 0
        """Records in `_entries`. The oldest piece stays until none of it is among the newest `keep`."""
        self._added = 0
        self._listeners: list[Callable[[Record], None]] = []
        self.real: Callable[[], float] | None = None
        """Real seconds since the start, once the world's own clock was stopped or moved: bounds for a client are
        measured by `t`, and the client's clock is real.
        """

    def add(self, now: float, kind: str, **fields: Any) -> Record:
        """Append a record and tell every listener. `now` is world time, seconds."""
        self._added += 1
        record: Record = {
            "v": VERSION,
            "n": self._added,
            "t": round(now if self.real is None else self.real(), 6),
            "world": self.world,
            "kind": kind,
            **fields,
        }
        self._put(record, 1)
        for listener in tuple(self._listeners):  # one may end itself
            listener(record)
        return record

    def add_each(self, now: float, kind: str, *parts: Part) -> None:
        """Append as many records as each of the `parts` is long: the first has the fields of the first of each part, in
        this order. Nothing in them may change afterwards.
        """
        count = len(parts[0])
        if not count:
            return
        if count == 1 or self._listeners:
            for fields in zip(*parts, strict=True):
                self.add(now, kind, **{name: value for some in fields for name, value in some.items()})
            return
        at = round(now if self.real is None else self.real(), 6)
        head = {"v": VERSION, "n": self._added + 1, "t": at, "world": self.world, "kind": kind}
        self._added += count
        self._put(_Piece(head, parts), count)

    def _put(self, entry: Record | _Piece, count: int) -> None:
        self._entries.append(entry)
        self._held += count
        while self._held > self._keep:
            oldest = self._entries[0]
            size = len(oldest) if isinstance(oldest, _Piece) else 1
            if self._held - size < self._keep:
                break
            self._entries.popleft()
            self._held -= size

    def since(self, n: int = 0) -> list[Record]:
        """The records after number `n` that are still in memory."""
        wanted = min(self._added - max(n, 0), self._keep)
        found: list[Record] = []
        for entry in reversed(self._entries):  # who asks mostly has the older ones
            if wanted <= len(found):
                break
            if isinstance(entry, _Piece):
                found += reversed(entry.records())
            else:
                found.append(entry)
        del found[max(wanted, 0) :]
        found.reverse()
        return found

    def __iter__(self) -> Iterator[Record]:
        return iter(self.since())

    def __len__(self) -> int:
        return self._added

    def restart(self) -> None:
        """Forget every record and count from 1 again; listeners stay."""
        self._entries.clear()
        self._held = self._added = 0
        self.real = None

    def listen(self, listener: Callable[[Record], None]) -> Callable[[], None]:
        """Call `listener` with each record from now on; the returned function ends that (calling it twice is
        harmless).
        """
        self._listeners.append(listener)

        def stop() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return stop
