"""What only a run shows: rules whose mutants the client's own tests would let live."""

from __future__ import annotations

from random import Random
from typing import Any

from mockcentral.scenario.load import loads
from mockcentral.scenario.types import Span
from mockcentral.sim.plan import ClientPlan, Plan
from mockcentral.sim.play import Stage
from mockcentral.sim.weather import Weather
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.machine import Machine, Settings
from watchmanager._core.resume import Window
from watchmanager._core.status import State
from watchmanager._core.token import Credential
from watchmanager.events import Event, EventType, Gap

TOPIC = "/management/v1/watchtopics/t"
SCENARIO = """
scenario: plain
about: Nothing happens by itself.
world: {ping: {every: null}, log: {first_sequence: 1}}
topics: [{name: t, filters: [{kind: APIService, scope: {kind: Environment, name: e}}]}]
"""


def stage(extra: str = "", *, zombies: float = 0.0, **client: Any) -> Stage:
    """A client on a network on which everything takes a hundredth of a second."""
    delay = Span(0.01, 0.01)
    weather = Weather(up=delay, down=delay, zombies=zombies)
    plan = Plan(until=0.0, weather=weather, client=ClientPlan(start=0, audit_interval=10.0, **client))
    return Stage(loads(SCENARIO + extra), plan, lean=False)


def test_what_a_dead_stream_brought_is_not_merged_into_the_next_one() -> None:
    one = stage("faults: [{name: slow, on: harvest, do: {http_delay: 5s}}]")
    one.advance(1.0)
    one.happen("publish", 3)
    one.advance(2.0)
    assert one.client.machine.status().buffered_bytes > 0
    one.happen("end_streams", 14)
    one.advance(2.1)
    assert one.client.machine.status().buffered_bytes == 0
    one.finish()


def test_memory_of_what_history_has_brought_is_given_back() -> None:
    one = stage("faults: [{name: slow, on: harvest(2+), do: {http_delay: 3s}}]")
    one.advance(0.2)
    one.happen("publish", 3)
    one.advance(3.5)
    assert [each.sequence for each in one.client.events] == [1, 2, 3]
    assert one.client.machine.state is State.CATCHING_UP
    assert one.client.machine.status().lag == 0
    one.finish()


def test_what_a_stream_lost_long_ago_is_found_after_a_rejoin_from_the_newest_event() -> None:
    one = stage("faults: [{name: lost, on: event(3), times: 1, do: lose}]", overlap=3)
    one.advance(2.0)
    one.happen("publish", 1)  # the server's first word, and the audit after it
    one.advance(3.0)
    one.happen("publish", 8)
    one.advance(3.5)
    assert one.promises.missing() == [3]
    one.happen("end_streams", 14)
    one.happen("publish", 2)
    one.advance(30.0)
    assert one.promises.missing() == []


def test_the_memory_of_sequences_is_bounded() -> None:
    window = Window(5, 0)
    for sequence in range(1, 101):
        window.add(sequence)
    assert len(window) == 5
    assert all(sequence in window for sequence in range(1, 101))
    assert 101 not in window


def test_after_an_overflow_a_stream_is_opened_again() -> None:
    one = stage(max_events=4, processing=0.5)
    one.advance(2.0)
    one.happen("publish", 30)
    one.advance(60.0)
    assert [each.sequence for each in one.client.events] == list(range(1, 31))
    assert State.SPILLING in {state for _, state in one.client.states}
    assert one.client.machine.state is State.LIVE
    assert len(one.world.central.calls) == 1


def dead_without_a_sign(until: float) -> Stage:
    """A client that is LIVE on a stream the server has ended: three events passed by, two of them are gone. The audit
    at 11 s is told that its place is gone, the one after it comes at 21 s; a stream that owes an event has 10 s."""
    one = stage(zombies=1.0)
    one.advance(2.0)
    one.happen("publish", 1)
    one.advance(3.0)
    one.happen("end_streams", 14)
    one.happen("publish", 3)
    one.happen("purge", 1)
    one.advance(until)
    return one


def test_a_stream_that_died_without_a_sign_is_noticed_even_if_part_of_history_is_gone() -> None:
    one = dead_without_a_sign(until=25.0)  # an answer of the first audit, not of the second
    assert one.client.machine.attempt == 2
    assert one.client.machine.state is State.LIVE


def test_events_that_went_with_a_dead_stream_and_history_are_told_as_a_gap() -> None:
    one = dead_without_a_sign(until=60.0)
    assert [each.sequence for each in one.client.events] == [1]
    assert one.client.gaps == [Gap(1, 4)]


class _Nothing:
    def details(self, raw: Any) -> Any:
        raise NotImplementedError

    def raw(self, raw: Any) -> bytes:
        return b""


def test_a_skip_that_meets_the_stream_goes_on_from_the_servers_newest() -> None:
    machine = Machine(Settings(topic=TOPIC, on_gone="skip"), Random(0))
    machine.handle(happened.Start(10), 0.0)
    machine.handle(happened.TokenFetched(Credential("x"), None), 0.0)
    (asked,) = [each for each in machine.handle(happened.StreamOpened(1), 0.0) if isinstance(each, do.FetchHistory)]
    for sequence in (11, 12, 30):
        event = Event(EventType.CREATED, str(sequence), sequence, 1, None, _Nothing())
        machine.handle(happened.EventReceived(1, event), 0.1)
    (again,) = [
        each
        for each in machine.handle(happened.HistoryGone(asked.request, 20), 0.2)
        if isinstance(each, do.FetchHistory)
    ]
    assert again.after == 20
    machine.handle(happened.HistoryFetched(again.request, []), 0.3)
    items = [machine.take()[0] for _ in range(len(machine.outbox.items))]
    assert [item.sequence for item in items if isinstance(item, Event)][:2] == [11, 12]
    assert [item for item in items if isinstance(item, Gap)] == [Gap(10, 20)]
