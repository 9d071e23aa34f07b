"""What waits for the consumer, in order and without duplicates. Bounded by whoever fills it: it says how full it is.

An event enters once. A sequence above everything before is in order; a lower one that was not seen is late and enters
marked `recovered`; one that was seen is counted and dropped. Events without a sequence (0) cannot be judged and always
enter.
"""

from __future__ import annotations

from collections import deque

from watchmanager._core.resume import Window
from watchmanager._core.watermark import Watermark
from watchmanager.events import Event, Gap, Item


class Outbox:
    """Items on their way to the consumer, and the memory of what entered."""

    __slots__ = ("_watermark", "bytes", "duplicates", "entered", "highest", "items", "recovered", "window")

    def __init__(self, recent: int, watermark: Watermark) -> None:
        self._watermark = watermark
        self.items: deque[Item] = deque()
        self.bytes = 0
        self.window = Window(recent, 0)
        self.highest = 0
        self.entered = 0
        self.duplicates = 0
        self.recovered = 0

    def begin_after(self, sequence: int) -> None:
        """Everything up to `sequence` counts as seen from now on, nothing above it does."""
        self.window = Window(self.window.size, sequence)
        self.highest = sequence

    def accept(self, event: Event) -> bool:
        """Take an event in; False when it was seen before. The caller counts duplicates: a re-read page is none."""
        sequence = event.sequence
        if sequence > self.highest:
            self.append(event, sequence)
            return True
        if sequence > 0:
            if sequence in self.window:
                return False
            event = event.late()
            self.recovered += 1
            self._watermark.expect_late(sequence)
            self.window.add(sequence)
        self.items.append(event)
        self.bytes += event.size
        self.entered += 1
        return True

    def append(self, event: Event, sequence: int) -> None:
        """Take in one that is in order."""
        self.highest = sequence
        self.window.add(sequence)
        self.items.append(event)
        self.bytes += event.size
        self.entered += 1

    def put_back(self, item: Item) -> None:
        """It was taken and is to be taken again."""
        self.items.appendleft(item)
        self.bytes += item.size

    def clear(self) -> None:
        """Nothing of what waits is wanted any more."""
        self.items.clear()
        self.bytes = 0

    def pass_over(self, sequence: int) -> None:
        """This sequence will not come, and counts as seen."""
        self.highest = max(self.highest, sequence)
        self.window.add(sequence)

    def put(self, gap: Gap) -> None:
        """A gap goes in line with the events."""
        self.items.append(gap)

    def pop(self) -> Item:
        """The next item; IndexError when there is none."""
        item = self.items.popleft()
        self.bytes -= item.size
        return item
