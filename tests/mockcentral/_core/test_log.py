"""The event log and what a topic keeps of it, against lists that do the same without thinking."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from mockcentral._core.log import MAX_SEQUENCE, EventLog, Gone, TopicLog
from tests.mockcentral._core.rig import entry, event

FOREVER = 1e12


def filled(*sequences: int) -> TopicLog:
    log = TopicLog()
    for sequence in sequences:
        log.append(sequence, entry(sequence))
    return log


def numbers(entries: object) -> list[int]:
    assert isinstance(entries, (list, tuple))
    return [item.event.sequence for item in entries]


def test_the_first_sequence_is_the_configured_one_and_the_next_rise_by_the_step() -> None:
    log = EventLog(100, keep=10, keep_for=FOREVER)
    given_out = []
    for step in (5, 1, 3, 0, -2):
        sequence = log.next_sequence(step)
        log.append(event(sequence))
        given_out.append(sequence)
    assert given_out == [100, 101, 104, 105, 106]  # the first has nothing to rise from; nothing ever stands still


def test_asking_for_a_sequence_does_not_take_it() -> None:
    log = EventLog(100, keep=10, keep_for=FOREVER)
    assert log.next_sequence(1) == log.next_sequence(9) == 100


def test_a_sequence_that_does_not_rise_is_refused_and_nothing_changes() -> None:
    log = EventLog(100, keep=10, keep_for=FOREVER)
    log.append(event(100))
    for sequence in (100, 99):
        with pytest.raises(ValueError, match="does not rise above 100"):
            log.append(event(sequence))
    assert (len(log), log.max_sequence) == (1, 100)


def test_int64_has_an_end_and_it_is_said() -> None:
    log = EventLog(MAX_SEQUENCE, keep=10, keep_for=FOREVER)
    log.append(event(log.next_sequence(1)))
    with pytest.raises(OverflowError, match="int64"):
        log.next_sequence(1)
    assert log.max_sequence == MAX_SEQUENCE


def test_a_fresh_log_is_never_gone_whatever_is_asked() -> None:
    log = EventLog(100, keep=10, keep_for=FOREVER)
    for after in (-5, -1, 0, 99, 10**6):
        assert log.check(after) is None


def test_who_asks_from_the_newest_purged_event_has_missed_nothing() -> None:
    log = EventLog(100, keep=10, keep_for=FOREVER)
    for sequence in (100, 101, 102):
        log.append(event(sequence))
    assert log.purge(through=101) == 2
    assert log.check(101) is None
    assert log.check(100) == Gone(102)
    assert log.check(-1) == Gone(102)


def test_purging_beyond_the_newest_event_leaves_future_events_alone() -> None:
    log = EventLog(100, keep=10, keep_for=FOREVER)
    log.append(event(100))
    log.purge(through=10**9)
    log.append(event(101))
    assert (log.purged_through, len(log)) == (100, 1)


def test_topic_pages_are_read_from_both_ends() -> None:
    log = filled(1, 3, 5, 7, 9)
    assert numbers(log.after(3)) == [5, 7, 9]
    assert numbers(log.page(1, 1, 2)) == [5, 7]
    assert numbers(log.page(1, 0, 2, newest_first=True)) == [9, 7]
    assert numbers(log.page(1, 3, 2, newest_first=True)) == [3]
    assert numbers(log.page(1, 4, 2, newest_first=True)) == []
    assert numbers(log.page(9, 0, 2)) == []


@dataclass
class Naive:
    """The log as a list of (sequence, time); everything is counted anew each time."""

    keep: int
    keep_for: float
    events: list[tuple[int, float]] = field(default_factory=list)
    gone: int = 0
    newest: int = 0

    def drop(self, doomed: list[tuple[int, float]]) -> None:
        for sequence, at in doomed:
            self.events.remove((sequence, at))
            self.gone = max(self.gone, sequence)


class LogModel(RuleBasedStateMachine):
    """One world's log with two topics, each of which gets some of the events."""

    @initialize(
        first=st.integers(1, 10**6), keep=st.integers(1, 150), keep_for=st.one_of(st.just(FOREVER), st.floats(1, 50))
    )
    def begin(self, first: int, keep: int, keep_for: float) -> None:
        self.log = EventLog(first, keep, keep_for)
        self.first = first
        self.naive = Naive(keep, keep_for)
        self.topics = {2: TopicLog(), 3: TopicLog()}
        self.mine: dict[int, list[int]] = {2: [], 3: []}
        self.now = 0.0

    @rule(steps=st.lists(st.integers(1, 5), max_size=100), pause=st.floats(0, 5))
    def append(self, steps: list[int], pause: float) -> None:
        for step in steps:
            self.now += pause
            sequence = self.log.next_sequence(step)
            assert sequence == (self.naive.newest + step if self.naive.newest else self.first)
            self.log.append(event(sequence, at=self.now))
            self.naive.events.append((sequence, self.now))
            self.naive.newest = sequence
            self.naive.drop(self.naive.events[: -self.naive.keep])
            self.age()
            for divisor, topic in self.topics.items():
                if sequence % divisor == 0:
                    topic.forget(self.log.purged_through)
                    topic.append(sequence, entry(sequence))
                    self.mine[divisor].append(sequence)

    @rule(pause=st.floats(0, 60))
    def expire(self, pause: float) -> None:
        self.now += pause
        self.age()
        assert self.log.expire(self.now) == self.naive.gone

    def age(self) -> None:
        self.naive.drop([(s, at) for s, at in self.naive.events if self.now - at > self.naive.keep_for])

    @rule(back=st.integers(-20, 200))
    def purge_through(self, back: int) -> None:
        through = self.naive.newest - back
        doomed = [(s, at) for s, at in self.naive.events if s <= through]
        assert self.log.purge(through=through) == len(doomed)
        self.naive.drop(doomed)
        self.naive.gone = max(self.naive.gone, min(through, self.naive.newest))

    @rule(keep=st.integers(0, 50))
    def purge_keep(self, keep: int) -> None:
        doomed = self.naive.events[: max(0, len(self.naive.events) - keep)]
        assert self.log.purge(keep=keep) == len(doomed)
        self.naive.drop(doomed)

    @rule(back=st.integers(-3, 200), offset=st.integers(0, 30), size=st.integers(1, 30), newest_first=st.booleans())
    def read(self, back: int, offset: int, size: int, newest_first: bool) -> None:
        after = self.naive.newest - back
        expected_gone = Gone(self.naive.newest) if max(after, 0) < self.naive.gone else None
        assert self.log.check(after) == expected_gone
        for divisor, topic in self.topics.items():
            topic.forget(self.log.purged_through)
            left = [s for s in self.mine[divisor] if s > self.naive.gone]
            assert len(topic) == len(left)
            beyond = [s for s in left if s > after]
            assert numbers(topic.after(after)) == beyond
            ordered = beyond[::-1] if newest_first else beyond
            assert numbers(topic.page(after, offset, size, newest_first=newest_first)) == ordered[offset:][:size]

    @invariant()
    def holds_the_same(self) -> None:
        if hasattr(self, "log"):
            assert len(self.log) == len(self.naive.events)
            assert self.log.purged_through == self.naive.gone
            assert self.log.max_sequence == self.naive.newest


LogModel.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=25, deadline=None)
TestLogModel = LogModel.TestCase


@given(st.integers(65, 1000), st.integers(1, 1000))
@hypothesis_settings(deadline=None, max_examples=50)
def test_forgetting_a_long_history_moves_each_entry_about_once(count: int, step: int) -> None:
    log = filled(*range(1, count + 1))
    for through in range(0, count + 1, step):
        log.forget(through)
        assert numbers(log.after(0)) == list(range(through + 1, count + 1))
