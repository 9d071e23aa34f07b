"""The journal numbers, keeps a tail and tells."""

from __future__ import annotations

import gc
import json
import weakref

from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.journal import Journal, Record


def test_records_are_numbered_and_carry_their_world_and_time() -> None:
    journal = Journal("w")
    record = journal.add(1.23456789, "conn.open", conn=1)
    assert record == {"v": 1, "n": 1, "t": 1.234568, "world": "w", "kind": "conn.open", "conn": 1}
    assert journal.add(2.0, "conn.close")["n"] == 2
    assert json.loads(json.dumps(record)) == record


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 70)), max_size=20),
    st.integers(-5, 70),
)
@settings(deadline=None)
def test_nobody_can_tell_whether_records_came_one_by_one_or_in_one_piece(
    keep: int, pieces: list[tuple[int, bool, int]], since: int
) -> None:
    one, other = Journal("w", keep=keep), Journal("w", keep=keep)
    heard: list[Record] = []
    for at, (count, listening, look) in enumerate(pieces):
        stop = other.listen(heard.append) if listening else lambda: None
        for number in range(count):
            one.add(at, "x", attempt=1, sequence=number)
        other.add_each(at, "x", [{"attempt": 1}] * count, [{"sequence": number} for number in range(count)])
        stop()
        assert other.since(look) == one.since(look)
    assert json.dumps(other.since(since)) == json.dumps(one.since(since))
    assert len(other) == len(one)
    assert len(heard) == sum(count for count, listening, _ in pieces if listening)
    assert all(first is second for first, second in zip(other, other, strict=True))


def test_pieces_that_nobody_can_ask_for_any_more_are_given_up() -> None:
    class Fields(dict[str, int]):
        pass

    journal = Journal("w", keep=10)
    old, new = Fields(a=1), Fields(a=2)
    gone, left = weakref.ref(old), weakref.ref(new)
    journal.add_each(0.0, "x", [old] * 8)
    journal.add_each(0.0, "x", [new] * 8)
    del old, new
    gc.collect()
    assert gone() is not None  # two of the first piece are among the newest ten
    journal.add(0.0, "y")
    journal.add(0.0, "y")
    gc.collect()
    assert (gone(), left() is None) == (None, False)
    assert [record["n"] for record in journal] == list(range(9, 19))


@given(st.integers(1, 20), st.integers(0, 60), st.integers(-5, 70))
@settings(deadline=None)
def test_a_tail_is_kept_and_since_gives_what_is_left_beyond_a_number(keep: int, count: int, since: int) -> None:
    journal = Journal("w", keep=keep)
    for _ in range(count):
        journal.add(0.0, "x")
    kept = range(max(1, count - keep + 1), count + 1)
    assert [record["n"] for record in journal.since(since)] == [n for n in kept if n > since]
    assert len(journal) == count
    assert [record["n"] for record in journal] == list(kept)


def test_a_listener_hears_what_comes_until_it_is_stopped_once_or_twice() -> None:
    journal = Journal("w")
    journal.add(0.0, "before")
    heard: list[Record] = []
    stop = journal.listen(heard.append)
    journal.add(0.0, "during")
    stop()
    stop()
    journal.add(0.0, "after")
    assert [record["kind"] for record in heard] == ["during"]


def test_a_restart_counts_from_one_and_keeps_the_listeners() -> None:
    journal = Journal("w")
    heard: list[Record] = []
    journal.listen(heard.append)
    journal.add(0.0, "a")
    journal.add_each(0.0, "a", [{"i": 1}] * 1)
    journal.restart()
    assert (len(journal), journal.since()) == (0, [])
    assert journal.add(0.0, "b")["n"] == 1
    assert [record["kind"] for record in heard] == ["a", "a", "b"]


def test_stopping_a_listener_from_within_does_not_skip_the_others() -> None:
    journal = Journal("w")
    heard: list[str] = []

    def once(record: Record) -> None:
        heard.append("once")
        stop()

    stop = journal.listen(once)
    journal.listen(lambda record: heard.append("other"))
    journal.add(0.0, "a")
    assert heard == ["once", "other"]
