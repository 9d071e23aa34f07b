"""A journal that keeps almost nothing, for runs by the thousand: only what was published, and what clients applied."""

from __future__ import annotations

from typing import Any

from mockcentral._core.journal import Journal, Record

_NOTHING: Record = {}


class Ledger(Journal):
    """Counts records, keeps the sequences of published events with the topics they matched; everything else is gone."""

    def __init__(self, world: str) -> None:
        super().__init__(world, keep=1)
        self.published: list[tuple[int, list[str]]] = []

    def add(self, now: float, kind: str, **fields: Any) -> Record:
        self._added += 1
        if kind == "event.published":
            self.published.append((fields["sequence"], fields["topics"]))
        return _NOTHING
