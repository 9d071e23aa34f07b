"""The journal numbers, keeps a tail and tells."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.journal import Journal, Record


def test_records_are_numbered_and_carry_their_world_and_time() -> None:
    journal = Journal("w")
    record = journal.add(1.23456789, "conn.open", conn=1)
    assert record == {"v": 1, "n": 1, "t": 1.234568, "world": "w", "kind": "conn.open", "conn": 1}
    assert journal.add(2.0, "conn.close")["n"] == 2
    assert json.loads(json.dumps(record)) == record


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
    journal.restart()
    assert (len(journal), journal.since()) == (0, [])
    assert journal.add(0.0, "b")["n"] == 1
    assert [record["kind"] for record in heard] == ["a", "b"]


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
