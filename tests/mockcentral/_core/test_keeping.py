"""What of a world outlives its process: rows that say everything, and a Central that goes on from them."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mockcentral._core import writes
from mockcentral._core.central import Central
from mockcentral._core.events import Change, Event, Op, Reference, Scope
from mockcentral._core.journal import Journal
from mockcentral._core.keeping import EventRow, Keeper, Restored, event_row, read_event
from mockcentral.scenario.schema import LogSettings, Scenario, WorldSettings
from tests.mockcentral._core.rig import TOPIC, WALL, change, sign

text = st.text(max_size=8)
references = st.builds(Reference, text, text, text, text, text, text, st.sampled_from(["HARD", "SOFT"]))
changes = st.builds(
    Change,
    st.sampled_from([op for op in Op if op is not Op.PING]),
    text,
    text,
    text,
    st.none() | st.builds(Scope, text, text, text, text),
    text,
    text,
    text,
    st.dictionaries(text, text, max_size=3),
    st.lists(
        st.builds(Reference, text, text, text, text, text, text, st.sampled_from(["HARD", "SOFT"])), max_size=2
    ).map(tuple),
)


@given(changes, st.lists(st.tuples(text, text), max_size=3))
def test_an_event_comes_back_from_its_row(about: Change, topics: list[tuple[str, str]]) -> None:
    event = Event(2**62, "id", 5.0, "2024-10-28 15:43:02", about, "org")
    assert read_event(event_row(event, 17.0, topics), 5.0) == (event, topics)


class Process:
    """Central in one process after another, with a dictionary for a disk."""

    def __init__(self, **log: Any) -> None:
        self._log = LogSettings(**log) if log else LogSettings()
        self.events: dict[int, EventRow] = {}
        self.resources: dict[str, str] = {}
        self.numbers: tuple[int, int, int] | None = None
        self.starts = 0
        self.start()

    def start(self, wall: float = WALL) -> None:
        scenario = Scenario(scenario="test", about="a test", world=WorldSettings(log=self._log))
        self.central = Central(
            scenario,
            journal=Journal("test"),
            sign=sign,
            wall_start=wall,
            seed=7,
            keeper=Keeper(),
            restored=Restored(self.starts, list(self.events.values()), list(self.resources.items()), self.numbers),
        )
        self.starts += 1
        self.central.start(0.0)
        self.write()

    def write(self) -> None:
        rows = self.central.changes()
        if rows is None:
            return
        if rows.history_lost:
            self.events.clear()
        self.events |= {row.sequence: row for row in rows.events}
        for link, resource in rows.resources.items():
            if resource is None:
                self.resources.pop(link, None)
            else:
                self.resources[link] = resource
        self.numbers = rows.log
        self.events = {number: row for number, row in self.events.items() if number > rows.log[2]}

    def publish(self, *names: str, now: float = 1.0) -> list[int]:
        return [self.central.publish(change(name), now).sequence for name in names]

    def history(self) -> list[tuple[int, str]]:
        topic = self.central.topic(TOPIC)
        assert topic is not None
        return [(entry.event.sequence, entry.event.change.name) for entry in topic.log.after(0)]


def everything(process: Process) -> None:
    spec = {"filters": [{"group": "*", "kind": "APIService", "name": "*", "type": ["created", "updated", "deleted"]}]}
    process.central.put_topic("all", {"spec": spec}, 0.5)


def test_history_resources_and_topics_go_on_where_they_were() -> None:
    process = Process()
    everything(process)
    first = process.publish("a", "b")
    place = process.central.resources.locate("management", "environments/e/apiservices/a")
    assert place is not None
    writes.delete(process.central, place, 2.0)
    process.write()
    before, resources = process.history(), dict(process.resources)
    topic = process.central.topic(TOPIC)
    process.start()
    assert process.history() == before
    assert process.resources == resources
    assert process.central.topic(TOPIC) is not topic
    assert process.central.resources.get(place.link) is None
    (next_,) = process.publish("c")
    assert next_ > max(first)


def test_what_was_not_written_down_is_gone_and_numbers_are_not_given_out_twice_for_what_was() -> None:
    process = Process()
    everything(process)
    kept = process.publish("kept")
    process.write()
    process.publish("lost")
    process.start()
    assert [sequence for sequence, _ in process.history()] == kept


def test_two_processes_never_give_out_the_same_id() -> None:
    process = Process()
    ids = []
    for _ in range(3):
        ids += [process.central.new_id() for _ in range(5)]
        process.write()
        process.start()
    assert len(set(ids)) == len(ids)


def test_versions_go_on_rising() -> None:
    process = Process()
    process.publish("a")
    process.write()
    old = process.central.resources.get("/management/environments/e/apiservices/a")
    process.start()
    process.publish("a")
    new = process.central.resources.get("/management/environments/e/apiservices/a")
    assert old is not None
    assert new is not None
    assert int(new["metadata"]["resourceVersion"]) > int(old["metadata"]["resourceVersion"])
    assert new["metadata"]["id"] == old["metadata"]["id"]
    assert new["metadata"]["audit"]["createTimestamp"] == old["metadata"]["audit"]["createTimestamp"]


def test_what_was_purged_stays_purged() -> None:
    process = Process()
    everything(process)
    sequences = process.publish("a", "b", "c")
    process.central.purge(2.0, through=sequences[1])
    process.write()
    assert list(process.events) == sequences[2:]
    process.start()
    assert [sequence for sequence, _ in process.history()] == sequences[2:]
    assert process.central.log.check(sequences[0]) is not None
    assert process.central.log.check(sequences[1]) is None


def test_a_store_of_a_longer_memory_is_cut_to_the_scenarios() -> None:
    process = Process()
    everything(process)
    sequences = process.publish(*"abcde")
    process.write()
    process._log = LogSettings(keep=2)
    process.start()
    assert [sequence for sequence, _ in process.history()] == sequences[3:]


def test_age_is_counted_through_the_time_nobody_ran() -> None:
    process = Process(keep_for=100.0)
    everything(process)
    process.publish("old", now=1.0)
    process.write()
    process.start(wall=WALL + 90)
    assert [name for _, name in process.history()] == ["old"]
    process.publish("new", now=20.0)
    assert [name for _, name in process.history()] == ["new"]


def test_a_numbering_that_was_reset_stays_reset() -> None:
    process = Process()
    everything(process)
    process.publish("a")
    process.write()
    process.central.reset_sequence(17, 2.0)
    process.write()
    assert not process.events
    process.start()
    assert process.publish("b") == [17]


def test_events_of_a_topic_that_was_deleted_and_made_again_are_not_its() -> None:
    process = Process()
    everything(process)
    process.publish("a")
    process.central.delete_topic("all", 2.0)
    everything(process)
    process.write()
    process.start()
    assert process.history() == []


def test_nothing_changed_is_nothing_to_write() -> None:
    process = Process()
    assert process.central.changes() is None
    process.publish("a")
    assert process.central.changes() is not None
    assert process.central.changes() is None
