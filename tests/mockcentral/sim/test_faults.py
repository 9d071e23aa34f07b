"""Faults that need no wire happen in the simulator as they do on sockets, and their receipts say so."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario.load import loads
from mockcentral.sim.world import SimWorld
from tests.mockcentral.sim.parties import SCENARIO, TOPIC, Puppet, change, scenario
from watchmanager._core.machine import Settings
from watchmanager.errors import TopicNotFound
from watchmanager.events import EventType

TRAFFIC = """
traffic:
  - {on: stream_open, after: 1s, every: 100ms, count: 30, publish: {kind: APIService, scope: Environment/e}}
"""


def run(do: str, on: str, until: float = 60.0, **world: Any) -> tuple[SimWorld, WatchClient]:
    text = SCENARIO.replace("world: {", "world: {token: {life: 20s}, ")
    client = WatchClient(TOPIC)
    world_ = SimWorld(
        loads(f"{text}{TRAFFIC}faults: [{{name: it, on: {on}, times: 1, do: {do}}}]\n"), clients=[client], **world
    )
    world_.run(until=until)
    return world_, client


def receipt(world: SimWorld) -> dict[str, Any]:
    [found] = world.central.receipts
    return found.as_dict()


@pytest.mark.parametrize(
    ("do", "on"),
    [
        ("{gap: 3}", "event(5)"),
        ("lost_delete", "event"),
        ("{reorder: 2}", "event(5)"),
        ("{corrupt: name}", "event(5)"),
        ("{corrupt: {field: id, how: garbage}}", "event(5)"),
        ("unknown_type", "event(5)"),
        ("{oversize: 1000}", "event(5)"),
        ("{http_truncate: 0.5}", "harvest(1)"),
        ("{http_trickle: {every: 100ms, pieces: 5}}", "harvest(1)"),
        ("{http_wrong_json: html}", "harvest(1)"),
        ("{http_page_size: 1}", "harvest(1)"),
        ("{wrong_audience: other}", "token(1)"),
        ("{bad_exp: missing}", "token(1)"),
        ("{bad_exp: past}", "token(1)"),
        ("pinned_token", "token(2)"),
        ("revoke_tokens", "event(5)"),
        ("{clock_skew: {ahead: 1h}}", "event(5)"),
    ],
)
def test_a_fault_strikes_reaches_the_client_and_is_got_over(do: str, on: str) -> None:
    world, client = run(do, on)
    shown = receipt(world)
    assert (shown["triggered"], shown["on_wire"]) == (1, 1)
    assert client.error is None
    assert client.settled
    owed = {sequence for sequence, topics in world.published if TOPIC in topics}
    seen = {applied.item.sequence for applied in client.events}
    first = next((record["sequence"] for record in world.records() if "fault" in record and "sequence" in record), 0)
    lost = {first, first + 1, first + 2} if "gap" in do else {first}
    assert owed - seen <= lost


def test_a_type_without_a_name_is_unknown_to_the_client() -> None:
    _, client = run("unknown_type", "event(5)")
    assert [getattr(applied.item, "type", None) for applied in client.events].count(EventType.UNKNOWN) == 1


def test_a_client_is_told_that_its_topic_is_gone_and_the_topic_comes_back() -> None:
    world, client = run("{delete_topic: 2s}", "event(5)")
    assert isinstance(client.error, TopicNotFound)
    assert [record["kind"] for record in world.records() if record["kind"].startswith("topic.")] == [
        "topic.deleted",
        "topic.created",
    ]
    assert receipt(world)["on_wire"] == 1
    again = WatchClient(TOPIC)
    world.join(again)
    world.run(until=world.now + 10.0)
    assert again.settled


def test_numbers_begin_again() -> None:
    world = SimWorld(scenario("faults: [{name: it, on: publish(2), do: {reset_sequence: 1}}]\n"))
    assert world.publish([change("a"), change("b"), change("c")]) == [1, 2, 1]


def test_a_later_page_is_gone() -> None:
    world = SimWorld(scenario("faults: [{name: it, on: page(2), do: {http_gone: false}}]\n"))
    answer = world.central.http_request(("http", "harvest", "page"), 0, 0.0, 2)
    assert (answer.status, answer.headers) == (410, ())


@pytest.mark.parametrize("header", ["true", "false"])
@pytest.mark.parametrize("size", [1, 100])
def test_whoever_goes_on_where_a_410_sends_it_is_not_blamed_for_what_it_skips(header: str, size: int) -> None:
    faults = f"""
faults:
  - {{name: cut, on: event(5), times: 1, do: {{end_status: UNAVAILABLE}}}}
  - {{name: slow, on: harvest, given: [stream_end], times: 1, do: {{http_delay: 500ms}}}}
  - {{name: word, on: harvest, given: [stream_end], times: 3, do: {{http_gone: {header}}}}}
  - {{name: small, on: harvest, times: 1000, do: {{http_page_size: {size}}}}}
"""
    client = WatchClient(TOPIC, settings=Settings(topic=TOPIC, on_gone="skip"))
    world = SimWorld(scenario(TRAFFIC + faults), clients=[client])
    world.run(until=60.0)
    assert client.gaps
    verdicts = {one.check: one for one in world.verdicts(["complete", "ordered", "handles_gone"])}
    assert {name: one.outcome.value for name, one in verdicts.items()} == dict.fromkeys(verdicts, "pass"), verdicts
    assert "a 410 told it" in verdicts["complete"].message


def test_the_moment_barrier_comes_in_virtual_time_too() -> None:
    world, client = run("{end_status: UNAVAILABLE}", "barrier(1)")
    assert receipt(world)["on_wire"] == 1
    [passed] = [record for record in world.records() if record["kind"] == "barrier.passed"][:1]
    published = next(record for record in world.records() if record["kind"] == "event.published")
    assert passed["t"] > published["t"]
    assert {applied.item.sequence for applied in client.events} == {sequence for sequence, _ in world.published}


def test_a_silenced_client_holds_a_barrier_up_until_its_timeout() -> None:
    puppet = Puppet()
    world = SimWorld(scenario(), clients=[puppet])
    puppet.port.fetch_token(1)
    world.run(until=1.0)
    world.unplug(puppet)
    done: list[float] = []
    world.central.begin_barrier(world.now, done.append)
    assert done == [1.0]  # only HTTP/1 connections: nobody to ask
