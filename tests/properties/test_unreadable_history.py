"""Events that history cannot show, even without a number, among others: nothing readable is lost or comes twice, and
what is missing lies in a gap.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.watchmanager.lab import Lab, event, numberless
from watchmanager import errors
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.inputs import Poison
from watchmanager._core.status import State
from watchmanager.events import Event, Gap
from watchmanager.policy import Buffer, History

STEP = 10
IN_HISTORY = st.sampled_from(["whole"] * 6 + ["nameless", "unreadable"])
ON_STREAM = st.sampled_from(["whole"] * 4 + ["left out", "nameless", "unreadable"])
HAPPENING = st.one_of(
    st.tuples(st.just("publish"), IN_HISTORY, ON_STREAM),
    st.tuples(st.sampled_from(["cut", "ping", "wait", "audit"]), st.none(), st.none()),
)


class Damaged(Lab):
    """A server some of whose events are damaged, in history and on the stream each in its own way."""

    def __init__(self, **changes: Any) -> None:
        super().__init__(**changes)
        self.nameless: set[int] = set()
        self.unreadable: set[int] = set()
        self.on_stream: dict[int, str] = {}

    def add(self, in_history: str, on_stream: str = "whole") -> int:
        """A new event; returns its number."""
        number = STEP * (1 + len(self.on_stream))
        self.on_stream[number] = on_stream
        if in_history == "nameless":
            self.nameless.add(number)
        elif in_history == "unreadable":
            self.unreadable.add(number)
        return number

    def _answer_history(self, effect: do.FetchHistory) -> None:
        visible = sorted(each for each in self.log if effect.after is None or each > effect.after)
        page = visible[-1:] if effect.newest else visible[: effect.page_size]
        named = [each for each in page if each not in self.nameless]
        poison = [Poison(each, errors.DecodeError("odd")) for each in named if each in self.unreadable]
        lost = [each for each in page if each in self.nameless]
        poison += [numberless(each, named, errors.DecodeError("nameless")) for each in lost]
        whole = [event(each) for each in named if each not in self.unreadable]
        self.feed(happened.HistoryFetched(effect.request, whole, poison))

    def push(self, sequence: int, delay: float = 0.001) -> None:
        attempt, how = self.stream, self.on_stream[sequence]
        assert attempt is not None

        def break_it() -> None:
            self.feed(happened.StreamBroken(attempt, errors.DecodeError("odd")))

        if how == "unreadable":
            self.later(delay, break_it)
        elif how != "left out":
            number = 0 if how == "nameless" else sequence
            self.later(delay, lambda: self.deliver(attempt, event(number, f"id-{sequence}")))


@given(
    before=st.lists(IN_HISTORY, max_size=10),
    steps=st.lists(HAPPENING, max_size=20),
    page_size=st.integers(1, 5),
    earliest=st.booleans(),
    most=st.sampled_from([2, 3, 4, 8, 100]),
    seed=st.integers(0, 3),
)
def test_whatever_history_cannot_show_costs_a_gap_and_nothing_else(
    before: list[str],
    steps: list[tuple[str, Any, Any]],
    page_size: int,
    earliest: bool,
    most: int,
    seed: int,
) -> None:
    lab = Damaged(
        history=History(page_size=page_size, audit_interval=20.0),
        on_poison="skip",
        seed=seed,
        buffer=Buffer(max_events=most),
    )
    lab.log.extend(lab.add(each) for each in before)
    lab.start(None if earliest else 5, earliest=earliest).run(1)
    for what, in_history, on_stream in steps:
        if what == "publish":
            lab.publish(lab.add(in_history, on_stream))
        elif what == "cut" and lab.stream is not None:
            lab.cut(14, "gone")
        elif what == "ping" and lab.stream is not None:
            lab.ping()
        lab.run({"audit": 25.0, "wait": 3.0}.get(what, 0.1))
    lab.publish(lab.add("whole"))
    for _ in range(8):
        if lab.stream is not None:
            lab.ping()
        lab.run(60)
    asked = len(lab.did(do.FetchHistory))
    lab.run(100)
    assert lab.is_in(State.LIVE)
    assert len(lab.did(do.FetchHistory)) < asked + 60  # audits, and no questions that go round
    events = [each for each in lab.taken if isinstance(each, Event)]
    gaps = [each for each in lab.taken if isinstance(each, Gap)]
    numbers = [each.sequence for each in events]
    damaged = lab.nameless | lab.unreadable
    assert not [each for each in lab.log if each not in damaged and each not in numbers]
    assert len(set(numbers)) == len(numbers)
    highest = 0
    for one in events:
        assert one.recovered or one.sequence > highest
        highest = max(highest, one.sequence)
    assert len(gaps) <= len(damaged)
    for each in damaged.difference(numbers):
        # The last of all has no neighbour behind it: its gap is no more than a sign.
        assert any(gap.after < each and (each <= gap.through or gap.through == gap.after + 1) for gap in gaps)
