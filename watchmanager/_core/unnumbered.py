"""Events of history whose number cannot be read: the way over them, and their place among the others.

History is asked by number (`sequence > last`), so a page that is full of such events names nothing to go on from. It is
asked for again, twice as large, until there is something with a number on it, or nothing is behind it. Each takes its
place between its neighbours, and is told of once, though the next page may show it again.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Iterable, Sequence
from typing import TypeGuard

from watchmanager._core.inputs import Poison
from watchmanager.events import Event

WIDEST = 100_000
"""Of what is asked for at a time, or looked through."""


class Way(enum.Enum):
    """How to go on from a page with events that have no number."""

    ON = "take the page"
    AGAIN = "ask for it again: `width` events this time"
    LOOK = "ask for the newest event there is, whether anything is behind them"
    NONE = "there is something behind them, and the server does not show it"


class Unnumbered:
    """What a client remembers of them from page to page."""

    __slots__ = ("_more_behind", "_put_off", "_told", "width")

    def __init__(self) -> None:
        self.width = 0
        """How many events to ask for instead of a page; 0: a page is enough."""
        self._more_behind = False
        self._put_off: list[Poison] = []  # what ended the last page
        self._told: deque[str] = deque(maxlen=1000)

    # ------------------------------------------------------------ the way over them
    def way(self, events: Sequence[Event | Poison], lost: Sequence[Poison], floor: int, page_size: int) -> Way:
        """The way on from the page of `events` and `lost` that was asked for after `floor`."""
        size, width = len(events) + len(lost), self.width or page_size
        if any(event.sequence > floor for event in events):
            return Way.ON
        if size >= width and width < WIDEST:
            self.width = 2 * width
            return Way.AGAIN
        if size < width and (not self.width or size > width // 2):
            return Way.ON  # there is nothing behind them
        # As many as before: they are the last ones, or the server shows no more at a time.
        if not self._more_behind:
            return Way.LOOK
        self.over()
        return Way.NONE

    def is_behind(self, newest: int | None, floor: int) -> bool:
        """What came of `Way.LOOK`: whether there is something behind them."""
        # Maybe since a moment ago: then the same question brings it.
        self._more_behind = newest is not None and newest > floor
        if not self._more_behind:
            self.over()
        return self._more_behind

    def over(self) -> None:
        """A page was taken, or given up: the next one is of ordinary size."""
        self.width, self._more_behind = 0, False

    # ------------------------------------------------------------ their place
    def put_in_place(self, fresh: list[Event | Poison], lost: Iterable[Poison], floor: int) -> None:
        """Add to the rising events of a page asked for after `floor` what is lost on it, where it stands, in one piece
        for each place. What ends a page waits for the next one.
        """
        put_off, self._put_off = self._put_off, []
        # It comes again at the head of the next page, with its neighbour behind it; or not, from a server that leaves
        # out what has no number to compare.
        again = {each.key for each in lost}
        before = fresh[0].sequence if fresh else -1
        missed = [each for each in put_off if each.sequence == floor and each.key not in again]
        places: dict[tuple[int, int | None], list[Poison]] = {}
        for each in (*(Poison(floor, each.error, before, each.key) for each in missed), *lost):
            if fresh and each.before == -1:
                self._put_off.append(Poison(fresh[-1].sequence, each.error, -1, each.key))
            else:
                places.setdefault((max(each.sequence, floor), each.before), []).append(each)
        for (after, end), some in places.items():
            if new := [each.key for each in some if each.key not in self._told]:
                fresh.append(Poison(after, some[0].error, end, " ".join(new), len(some)))
        fresh.sort(key=lambda each: (each.sequence, is_unnumbered(each)))

    def told(self, place: Poison) -> None:
        """Of what stands there, and is not told of again."""
        self._told += place.key.split()

    @property
    def waiting(self) -> bool:
        """Whether something that ended a page waits for the next one."""
        return bool(self._put_off)


def is_unnumbered(item: Event | Poison) -> TypeGuard[Poison]:
    """Whether not even the number of an event of history can be read."""
    return isinstance(item, Poison) and item.before is not None


def last_number(page: Sequence[Event | Poison]) -> int | None:
    """Of an ordered page: the number to ask on from; None when there is none on it."""
    return next((each.sequence for each in reversed(page) if not is_unnumbered(each)), None)
