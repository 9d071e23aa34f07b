"""The event log: sequence ids, retention, and what each topic's history holds (protocol 3.3).

Sequence ids belong to the world, not to a topic: one int64 counter that only rises, with holes when told so. Each topic
keeps its own matching events, so a page of history costs what the page holds. Whoever asks from before what was purged
has missed something and is told so (`Gone`), even when none of the purged events was his: that is what the real
service can know, too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterable, Sequence

from mockcentral._core.events import Event, TopicEvent
from mockcentral._core.frozen import dataclass

MAX_SEQUENCE = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Gone:
    """History does not reach back that far; `max_sequence` is the newest id Central ever gave out."""

    max_sequence: int


class TopicLog:
    """The events of one topic that are still kept, oldest first."""

    __slots__ = ("_entries", "_sequences", "_start")

    def __init__(self) -> None:
        self._sequences: list[int] = []
        self._entries: list[TopicEvent] = []
        self._start = 0

    def append(self, sequence: int, entry: TopicEvent) -> None:
        self._sequences.append(sequence)
        self._entries.append(entry)

    def forget(self, through: int) -> None:
        """Drop what has a sequence up to `through`."""
        self._start = bisect_right(self._sequences, through, self._start)
        # Deleting from the front of a list moves the rest: do it rarely enough that each entry is moved once on
        # average.
        if self._start > 64 and self._start * 2 > len(self._entries):
            del self._sequences[: self._start]
            del self._entries[: self._start]
            self._start = 0

    def after(self, sequence: int) -> Sequence[TopicEvent]:
        """The kept events with a higher sequence, oldest first."""
        return self._entries[bisect_right(self._sequences, sequence, self._start) :]

    def page(self, after: int, offset: int, size: int, *, newest_first: bool = False) -> Sequence[TopicEvent]:
        """`size` events beyond `after`, skipping `offset` of them, in the order asked for."""
        low = bisect_right(self._sequences, after, self._start)
        if newest_first:
            high = max(low, len(self._entries) - offset)
            return self._entries[max(low, high - size) : high][::-1]
        return self._entries[low + offset : low + offset + size]

    def __len__(self) -> int:
        return len(self._entries) - self._start


class EventLog:
    """The numbering and the retention of all events of a world."""

    def __init__(self, first_sequence: int, keep: int, keep_for: float) -> None:
        self.max_sequence = 0
        self.purged_through = 0
        self._next = first_sequence
        self._keep = keep
        self.keep_for = keep_for
        self._kept: deque[tuple[int, float]] = deque()

    def next_sequence(self, step: int) -> int:
        """The id for the next event, `step` above the last one.

        Raises OverflowError when int64 has no room left.
        """
        sequence = self._next if not self.max_sequence else self.max_sequence + (step if step > 1 else 1)
        if sequence > MAX_SEQUENCE:
            raise OverflowError("sequence ids are int64 and the last one was given out")
        return sequence

    @property
    def numbers(self) -> tuple[int, int, int]:
        """The newest sequence, the first one, and how far history is purged: what a log is apart from its events."""
        return self.max_sequence, self._next, self.purged_through

    def restore(self, numbers: tuple[int, int, int], kept: Iterable[tuple[int, float]]) -> None:
        """Go on where an earlier log was: its `numbers`, and the events it kept as sequence and time."""
        self.max_sequence, self._next, self.purged_through = numbers
        self._kept.extend(each for each in kept if each[0] > self.purged_through)
        while len(self._kept) > self._keep:
            self.purged_through = self._kept.popleft()[0]

    def append(self, event: Event) -> int:
        """Keep an event; returns how far history is purged now (see `expire`)."""
        if event.sequence <= self.max_sequence:
            raise ValueError(f"sequence {event.sequence} does not rise above {self.max_sequence}")
        self.max_sequence = event.sequence
        self._kept.append((event.sequence, event.at))
        while len(self._kept) > self._keep:
            self.purged_through = self._kept.popleft()[0]
        return self.expire(event.at)

    def expire(self, now: float) -> int:
        """Forget what is too old at `now`; returns the highest sequence that is gone, 0 when none is."""
        while self._kept and now - self._kept[0][1] > self.keep_for:
            self.purged_through = self._kept.popleft()[0]
        return self.purged_through

    def purge(self, *, through: int | None = None, keep: int | None = None) -> int:
        """Forget events up to a sequence, or all but the newest `keep`; returns how many went."""
        before = len(self._kept)
        if keep is not None:
            while len(self._kept) > keep:
                self.purged_through = self._kept.popleft()[0]
        if through is not None:
            while self._kept and self._kept[0][0] <= through:
                self._kept.popleft()
            self.purged_through = max(self.purged_through, min(through, self.max_sequence))
        return before - len(self._kept)

    def check(self, after: int) -> Gone | None:
        """Whether history can still answer "everything after this sequence" (410 otherwise, protocol 3.2)."""
        # No event has a sequence below 1: `sequenceID>=0` (after -1) asks for no more than 0 does.
        return Gone(self.max_sequence) if after < self.purged_through > 0 else None

    def __len__(self) -> int:
        return len(self._kept)
