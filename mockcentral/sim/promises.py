"""What a watch promises, checked while a simulated client runs and when it is over.

Safety, at any moment: what the application gets rises (late events are marked), nothing comes twice within a life,
nothing comes that was not published, and the checkpoint is never ahead of what was processed. Completeness: in the
end everything published after the position the client began at was processed, or lies in a gap the application was
told of.

Knows a client by what it shows; how it keeps its promises is not looked at.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from mockcentral.sim.world import SimWorld


class Item(Protocol):
    """What an application is given: an event, or a gap with `after` and `through`."""

    @property
    def sequence(self) -> int: ...


class AppliedItem(Protocol):
    """An item the application was done with, and in which life of the client."""

    @property
    def life(self) -> int: ...
    @property
    def item(self) -> Any: ...


class Watched(Protocol):
    """What a client shows."""

    name: str
    topic: str
    on_saved: Callable[[int], None] | None
    first_checkpoint: int | None

    @property
    def applied(self) -> Sequence[AppliedItem]: ...


class Broken(AssertionError):
    """A promise was broken; the message says where, and what it looks like. `promise` names it:

    published (nothing comes that was not), once, in order, checkpoint (never ahead of what was processed), complete,
    live (well again within the bound), goes on (a client does not give up), handler and check (the user's own code does
    not raise).
    """

    def __init__(self, promise: str, message: str) -> None:
        super().__init__(message)
        self.promise = promise


class Promises:
    """Watches over one client from its beginning. `began_at` is its start position when the test gave one.

    `holes`: the server leaves events out of streams that go on. Nobody can know of a hole before history shows it, so
    then a checkpoint may pass one that is not found yet, unless it waits for history (`confirming`). `silent`: streams
    may also fall silent without a sign. What was lost in either way and is purged from history before anybody looked is
    beyond every promise.
    """

    def __init__(
        self,
        world: SimWorld,
        client: Watched,
        *,
        began_at: int | None = None,
        holes: bool = False,
        silent: bool = False,
        confirming: bool = False,
    ) -> None:
        self._world = world
        self._holes = holes
        self._confirming = confirming
        self._silent = silent
        self._client = client
        self._began_at = began_at
        self._owed: list[int] = []
        self._read = 0
        self._judged = 0
        self._seen: set[int] = set()
        self._seen_in_life: set[int] = set()
        self._highest = 0
        self._life = 0
        self._gaps: list[tuple[int, int]] = []
        client.on_saved = self._saved

    @property
    def hidden(self) -> bool:
        """Whether events may be lost on a stream without a sign, so that only an audit finds them."""
        return self._holes or self._silent

    def _published(self) -> list[int]:
        """Sequences of everything published for the client's topic."""
        published = self._world.published
        if self._read < len(published):
            topic = self._client.topic
            self._owed += [sequence for sequence, topics in published[self._read :] if topic in topics]
            self._read = len(published)
        return self._owed

    def _saved(self, checkpoint: int) -> None:
        """The store was told that everything up to `checkpoint` is processed."""
        self.check()
        missing = self.missing(checkpoint)
        if missing and (self._confirming or not self._holes):
            raise Broken(
                "checkpoint",
                f"{self._client.name}: the checkpoint {checkpoint} was saved before {_some(missing)} was processed",
            )

    def check(self) -> None:
        """Safety of what was applied since the last check. Raises `Broken`."""
        applied = self._client.applied
        if self._judged == len(applied):
            return
        owed = self._published()
        while self._judged < len(applied):
            one = applied[self._judged]
            self._judged += 1
            if one.life != self._life:
                self._life, self._highest = one.life, 0
                self._seen_in_life.clear()
            item = one.item
            if hasattr(item, "through"):
                self._gaps.append((item.after, item.through))
                self._highest = max(self._highest, item.through)
                continue
            self._check_event(item.sequence, bool(item.recovered), owed)

    def _check_event(self, sequence: int, recovered: bool, owed: list[int]) -> None:
        it = f"{self._client.name}: sequence {sequence} was applied"
        place = bisect_left(owed, sequence)
        if place == len(owed) or owed[place] != sequence:
            raise Broken("published", f"{it}, but never published for {self._client.topic}")
        if sequence in self._seen_in_life:
            raise Broken("once", f"{it} twice in life {self._life}")
        if sequence < self._highest and not recovered:
            raise Broken("in order", f"{it} after {self._highest} and not marked as recovered")
        self._seen_in_life.add(sequence)
        self._seen.add(sequence)
        if sequence > self._highest:
            self._highest = sequence

    def missing(self, through: int | None = None) -> list[int]:
        """What was published after the position the client began at (up to a sequence), is in no gap, and was never
        applied.
        """
        baseline = self._began_at if self._began_at is not None else self._client.first_checkpoint
        if baseline is None:  # the client has not named one yet
            return []
        owed = self._published()
        low = bisect_right(owed, baseline)
        high = len(owed) if through is None else bisect_right(owed, through)
        seen = self._seen
        if self._silent or self._holes:
            low = max(low, bisect_right(owed, self._world.central.log.purged_through))
        missing = [sequence for sequence in owed[low:high] if sequence not in seen]
        if missing and self._gaps:
            return [each for each in missing if not any(after < each <= to for after, to in self._gaps)]
        return missing

    def check_complete(self) -> None:
        """Everything owed is there. Raises `Broken`."""
        self.check()
        if missing := self.missing():
            raise Broken(
                "complete",
                f"{self._client.name}: {len(missing)} of {len(self._published())} events were never applied: "
                f"{_some(missing)}",
            )


def _some(sequences: list[int]) -> str:
    shown = ", ".join(map(str, sequences[:5]))
    return shown if len(sequences) <= 5 else f"{shown} and {len(sequences) - 5} more"
