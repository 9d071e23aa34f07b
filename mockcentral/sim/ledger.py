"""A journal that keeps nothing, for runs by the thousand: it tells of what was published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mockcentral._core.journal import Journal, Part, Record

_NOTHING: Record = {}


class Ledger(Journal):
    """See the module. `on_published` gets the sequence and the topics of each published event."""

    keeps = False

    def __init__(self, world: str) -> None:
        super().__init__(world, keep=1)
        self.on_published: Callable[[int, list[str]], None] | None = None

    def add(self, now: float, kind: str, **fields: Any) -> Record:
        if kind == "event.published" and self.on_published is not None:
            self.on_published(fields["sequence"], fields["topics"])
        return _NOTHING

    def add_each(self, now: float, kind: str, *parts: Part) -> None:
        pass
