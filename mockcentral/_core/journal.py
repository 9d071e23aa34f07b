"""The journal: everything observed or done, one record after the other (design/interfaces "Journal").

Records are plain dicts so that they are JSON as they stand. The journal knows nothing of what they mean; it numbers
them, keeps a bounded tail in memory and tells listeners (a file writer, a waiting test) about each one as it is added.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

Record = dict[str, Any]

VERSION = 1


class Journal:
    """An append-only list of records, the newest `keep` of them in memory."""

    def __init__(self, world: str, keep: int = 200_000) -> None:
        self.world = world
        self._records: deque[Record] = deque(maxlen=keep)
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
        self._records.append(record)
        for listener in tuple(self._listeners):  # one may end itself
            listener(record)
        return record

    def since(self, n: int = 0) -> list[Record]:
        """The records after number `n` that are still in memory."""
        skip = max(0, n - (self._added - len(self._records)))
        return list(islice(self._records, skip, None))

    def __iter__(self) -> Iterator[Record]:
        return iter(self.since())

    def __len__(self) -> int:
        return self._added

    def restart(self) -> None:
        """Forget every record and count from 1 again; listeners stay."""
        self._records.clear()
        self._added = 0
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
