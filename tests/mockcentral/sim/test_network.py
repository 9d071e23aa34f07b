"""The network of the simulator, with a client that only says what it is told to."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import pytest

from mockcentral._core.actions import BlackHole, GoAway
from mockcentral._core.events import parse_change
from mockcentral._core.harvester import Query
from mockcentral.scenario.schema import HarvesterSettings
from mockcentral.scenario.types import Span
from mockcentral.sim.weather import Weather
from mockcentral.sim.world import SimWorld
from tests.mockcentral.sim.parties import TOPIC, Puppet, change, scenario

EXACT = Span(0.1, 0.1)


def world_with(puppet: Puppet, extra: str = "", *, watching: bool = True, **options: object) -> SimWorld:
    """A world in which everything takes a tenth of a second, and the puppet has a token and (by default) a stream."""
    options.setdefault("latency", EXACT)
    world = SimWorld(scenario(extra), clients=[puppet], approximate=True, **options)  # type: ignore[arg-type]
    puppet.port.fetch_token(100)
    world.run(until=1.0)
    while not puppet.token:
        world.step()
    if watching:
        puppet.watch()
        world.run(until=max(2.0, world.now + 1.0))
        puppet.news.clear()
    return world


def kinds(world: SimWorld) -> list[str]:
    return [record["kind"] for record in world.records()]


def test_opening_a_stream_takes_a_round_trip_and_its_first_message_half_of_one_more() -> None:
    puppet = Puppet()
    world = world_with(puppet, watching=False)
    puppet.watch()
    world.run(until=2.0)
    assert puppet.heard("opened") == [("opened", 1, pytest.approx(1.2))]
    (opened,) = [record for record in world.records() if record["kind"] == "stream.open"]
    assert opened["t"] == 1.3


def test_a_published_event_arrives_after_the_delay() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish(change())
    world.run(until=3.0)
    assert puppet.heard("received") == [("received", 1, [1], 2.1)]


def test_the_tail_of_a_stream_arrives_after_the_client_gave_it_up() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish(change())
    puppet.port.cancel(1)
    world.run(until=3.0)
    assert puppet.heard("received") == [("received", 1, [1], 2.1)]
    assert [record["by"] for record in world.records() if record["kind"] == "stream.end"] == ["client"]


def test_nothing_overtakes_within_a_connection_however_different_the_delays() -> None:
    puppet = Puppet()
    world = world_with(puppet, latency=Span(0.0, 0.5))
    for number in range(30):
        world.publish(change(f"x{number}"))
        world.run(until=world.now + 0.01)
    world.run(until=10.0)
    assert [event[2] for event in puppet.heard("received")] == [[number] for number in range(1, 31)]


def test_events_sent_before_the_end_arrive_before_it() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish([change("x"), change("y")])
    world.end_streams(14, "enough")
    world.run(until=3.0)
    assert [each[0] for each in puppet.news] == ["received", "received", "ended"]
    assert puppet.news[-1][2:4] == (14, "enough")


def test_a_server_that_is_down_refuses_and_is_back_later() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.restart(1.0)
    world.run(until=2.5)
    assert puppet.heard("ended")[0][2:4] == (14, "Connection reset by peer")
    puppet.watch(2)
    world.run(until=2.8)
    assert "Connection refused" in puppet.heard("ended")[1][3]
    world.run(until=3.1)
    puppet.watch(3)
    world.run(until=4.0)
    assert puppet.heard("opened")[-1][1] == 3
    world.publish(change())
    world.run(until=5.0)
    assert puppet.heard("received")[-1][1:3] == (3, [1])


def test_a_black_hole_swallows_everything_and_tells_nobody() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.blackhole()
    world.publish(change())
    world.run(until=60.0)
    assert puppet.news == []
    assert "stream.end" not in kinds(world)


def test_what_was_in_flight_when_the_hole_opened_still_arrives_at_the_client() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish(change())
    world.blackhole()
    world.run(until=60.0)
    assert [each[0] for each in puppet.news] == ["received"]


def test_pings_notice_a_black_hole_within_interval_and_timeout_and_the_server_sees_the_client_leave() -> None:
    puppet = Puppet()
    puppet.keepalive = (5.0, 2.0)
    world = world_with(puppet)
    world.blackhole()
    world.run(until=60.0)
    ((_, stream, code, details, at),) = puppet.heard("ended")
    assert (stream, code, details) == (1, 14, "ping timeout")
    assert at <= 2.0 + 5.0 + 2.0 + 0.2
    assert [record["by"] for record in world.records() if record["kind"] == "conn.close"] == ["client"]


def test_a_lean_world_notices_a_black_hole_within_the_same_bound_without_sending_pings() -> None:
    puppet = Puppet()
    puppet.keepalive = (5.0, 2.0)
    world = world_with(puppet, lean=True)
    world.run(until=100.0)
    assert world.clock.steps < 30
    world.blackhole()
    world.run(until=200.0)
    assert 102.0 <= puppet.heard("ended")[0][4] <= 107.0


def test_answered_pings_keep_a_connection_and_are_journaled() -> None:
    puppet = Puppet()
    puppet.keepalive = (5.0, 2.0)
    world = world_with(puppet)
    world.run(until=60.0)
    assert puppet.heard("ended") == []
    assert kinds(world).count("ping.received") == kinds(world).count("ping.acked") == 11


def test_a_withheld_ack_costs_the_connection() -> None:
    puppet = Puppet()
    puppet.keepalive = (5.0, 2.0)
    world = world_with(puppet, "faults: [{name: deaf, on: ping(2), do: {ping_ack: withhold}}]")
    world.run(until=60.0)
    assert puppet.heard("ended")[0][3] == "ping timeout"
    assert "ping.withheld" in kinds(world)


def test_a_lost_end_leaves_the_client_talking_into_nothing() -> None:
    puppet = Puppet()
    world = world_with(puppet, weather=Weather(up=EXACT, down=EXACT, lost_ends=1.0))
    world.close_connections()
    world.run(until=60.0)
    assert puppet.news == []
    assert kinds(world).count("conn.close") == 2  # the stream's and the one of the token


def test_a_zombie_is_a_stream_that_only_the_server_knows_to_be_over() -> None:
    puppet = Puppet()
    puppet.keepalive = (5.0, 2.0)
    world = world_with(puppet, weather=Weather(up=EXACT, down=EXACT, zombies=1.0))
    world.end_streams(14)
    world.run(until=60.0)
    assert puppet.news == []
    assert kinds(world)[-1] == "ping.acked"


def test_an_unplugged_client_hears_nothing_and_cannot_dial() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.unplug(puppet)
    world.publish(change())
    puppet.port.renew()
    puppet.watch(2)
    world.run(until=60.0)
    assert puppet.news == []
    world.plug(puppet)
    puppet.port.renew()
    puppet.watch(3)
    world.run(until=61.0)
    assert puppet.heard("opened")[-1][1] == 3


def test_after_a_goaway_the_stream_goes_on_and_the_next_one_gets_a_new_connection() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.central.command(GoAway(0), world.now)
    world.network.flush()
    world.publish(change())
    world.run(until=3.0)
    assert [each[0] for each in puppet.news] == ["received"]
    puppet.watch(2)
    puppet.port.cancel(1)
    world.run(until=4.0)
    opened = [record["conn"] for record in world.records() if record["kind"] == "stream.open"]
    assert opened[0] != opened[1]
    assert [record["conn"] for record in world.records() if record["kind"] == "conn.close"][-1] == opened[0]


def test_streams_the_server_disowns_in_a_goaway_end_at_once() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.central.command(GoAway(0, error_code=11, last_stream=0, debug=b"too_many_pings"), world.now)
    world.network.flush()
    world.run(until=3.0)
    assert "too_many_pings" in puppet.heard("ended")[0][3]


def test_a_goaway_is_nothing_to_a_connection_that_speaks_http_1() -> None:
    """It was hung up, and then nobody heard that the server had reset it: the question was never answered."""
    puppet = Puppet()
    world = world_with(puppet, watching=False)
    puppet.port.fetch_token(7)
    world.run(until=world.now + 0.05)  # the question is on its way
    world.central.command(GoAway(0), world.now)
    world.network.flush()
    world.close_connections(abort=True)
    world.run(until=world.now + 10.0)
    assert [request for _, request, _, _ in puppet.heard("answered")][-1] == 7


def test_history_is_asked_and_answered_and_journaled_as_over_sockets() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish([change(f"x{number}") for number in range(5)])
    puppet.port.history(7, TOPIC, Query(2, page_size=2, asked_after=2), puppet.token)
    world.run(until=3.0)
    ((_, request, answer, _),) = puppet.heard("answered")
    assert request == 7
    assert [entry.event.sequence for entry in answer.events] == [3, 4]
    line = world.records()[-1]
    assert line["path"] == f"/events{TOPIC}"
    assert line["query"] == "page=1&pageSize=2&sort=sequenceID%2CASC&query=sequenceID%3E2"
    assert (line["status"], line["after"], line["page"], line["page_size"]) == (200, 2, 1, 2)
    assert line["sequences"] == [3, 4]


def test_a_page_is_never_larger_than_the_server_serves() -> None:
    puppet = Puppet()
    served = replace(scenario().world, harvester=HarvesterSettings(page_size=2))
    world = SimWorld(replace(scenario(), world=served), clients=[puppet], latency=EXACT)
    puppet.port.fetch_token(1)
    world.run(until=1.0)
    world.publish([change(f"x{number}") for number in range(5)])
    puppet.port.history(2, TOPIC, Query(0, page_size=100, asked_after=0), puppet.token)
    world.run(until=3.0)
    assert len(puppet.heard("answered")[-1][2].events) == 2


def test_history_from_before_a_purge_is_gone_and_says_where_the_server_is() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish([change(f"x{number}") for number in range(5)])
    world.purge(keep=1)
    puppet.port.history(7, TOPIC, Query(2, asked_after=2), puppet.token)
    world.run(until=3.0)
    answer = puppet.heard("answered")[0][2]
    assert (answer.status, answer.headers) == (410, {"x-axway-max-sequence-id": "5"})
    assert world.records()[-1]["max_sequence"] == 5


def test_history_refuses_a_token_that_is_not_good_and_does_not_know_every_topic() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    puppet.port.history(7, TOPIC, Query(), "nonsense")
    puppet.port.history(8, "/management/v1/watchtopics/other", Query(), puppet.token)
    world.run(until=3.0)
    assert sorted(answer[2].status for answer in puppet.heard("answered")) == [401, 404]


def test_a_request_without_an_answer_ends_at_its_timeout() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    puppet.port.history(7, TOPIC, Query(), puppet.token)
    world.blackhole()
    world.run(until=60.0)
    ((_, request, answer, at),) = puppet.heard("answered")
    assert (request, answer.status, answer.text, at) == (7, 0, "timed out", 7.0)


def test_faults_answer_late_and_wrong_over_http() -> None:
    puppet = Puppet()
    world = world_with(
        puppet,
        """
faults:
  - {name: slow, on: harvest(1), do: {http_delay: 2s}}
  - {name: busy, on: harvest(2), do: {http_error: {status: 503, retry_after: 3s}}}
""",
    )
    puppet.port.history(7, TOPIC, Query(), puppet.token)
    world.run(until=5.0)
    puppet.port.history(8, TOPIC, Query(), puppet.token)
    world.run(until=6.0)
    first, second = puppet.heard("answered")
    assert (first[2].status, first[3]) == (200, pytest.approx(4.2))
    assert (second[2].status, second[2].headers) == (503, {"retry-after": "3"})
    assert [record["status"] for record in world.records() if record["kind"] == "http.request"] == [200, 200, 503]


@pytest.mark.parametrize("leaves", [False, True])
def test_who_leaves_before_a_late_answer_has_not_got_it(leaves: bool) -> None:
    puppet = Puppet()
    world = world_with(puppet, "faults: [{name: slow, on: harvest(1), do: {http_delay: 2s}}]")
    world.publish(change())
    puppet.port.history(7, TOPIC, Query(), puppet.token)
    world.run(until=3.0)
    if leaves:
        puppet.port.renew_history()
    world.run(until=6.0)
    (line,) = [record for record in world.records() if record.get("topic") and record["kind"] == "http.request"]
    assert (line["sequences"], line.get("unheard", False)) == (([], True) if leaves else ([1], False))


def test_questions_to_history_are_forgotten_with_their_connections_and_tokens_are_not() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    puppet.port.history(7, TOPIC, Query(), puppet.token)
    puppet.port.fetch_token(8)
    puppet.port.renew_history()
    world.run(until=10.0)
    assert [each[1] for each in puppet.heard("answered")] == [8]


def test_a_crashed_client_hears_no_more_and_its_connections_are_closed() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish(change())
    world.crash(puppet)
    world.run(until=5.0)
    assert puppet.news == [("lost", 2.0)]
    assert kinds(world).count("conn.close") == 2
    assert [record["signal"] for record in world.records() if record["kind"] == "client.exit"] == ["SIGKILL"]


def test_a_client_that_vanishes_leaves_the_server_with_its_stream() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.crash(puppet, vanish=True)
    world.run(until=60.0)
    assert "conn.close" not in kinds(world)
    assert len(world.central.calls) == 1


def test_a_second_life_does_not_hear_what_was_sent_to_the_first() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.publish(change())
    world.crash(puppet)
    world.join(puppet)
    world.run(until=5.0)
    assert puppet.heard("received") == []


def test_a_deadline_wakes_the_party_once_and_at_its_time() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    puppet.wake_at = 7.5
    world.poke(puppet)
    world.run(until=20.0)
    assert puppet.heard("due") == [("due", 7.5)]


def test_several_clients_have_connections_and_streams_of_their_own() -> None:
    one, two = Puppet("one"), Puppet("two")
    world = SimWorld(scenario(), clients=[one, two], latency=EXACT)
    for puppet in (one, two):
        puppet.port.fetch_token(100)
    world.run(until=1.0)
    one.watch()
    two.watch()
    world.run(until=2.0)
    world.publish(change())
    world.crash(one)
    world.publish(change("y"))
    world.run(until=3.0)
    assert one.heard("received") == []
    assert [event[2] for event in two.heard("received")] == [[1], [2]]


def test_the_order_of_a_command_is_carried_out_on_every_connection() -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.central.command(BlackHole(0), world.now)
    world.network.flush()
    assert all(wire.holed for wire in world.wires)


@pytest.mark.parametrize(("direction", "heard"), [("to_client", False), ("from_client", True)])
def test_a_black_hole_with_a_direction_swallows_only_that(
    direction: Literal["to_client", "from_client"], heard: bool
) -> None:
    puppet = Puppet()
    world = world_with(puppet)
    world.central.command(BlackHole(0, direction), world.now)
    world.network.flush()
    world.publish(change())
    puppet.port.cancel(1)
    world.run(until=3.0)
    assert bool(puppet.heard("received")) is heard
    assert ("stream.end" in kinds(world)) is not heard  # it hung up, and that was heard or not


def test_a_port_that_refuses_keeps_the_streams_it_has() -> None:
    puppet, late = Puppet(), Puppet("late")
    world = world_with(puppet)
    world.central.refuse_connections(60.0, world.now)
    world.network.flush()
    world.join(late)
    late.token = puppet.token
    late.watch()
    world.publish(change())
    world.run(until=4.0)
    assert puppet.heard("received")
    assert late.heard("ended")[0][2] == 14


def test_an_order_the_simulator_does_not_know_has_no_receipt() -> None:
    puppet = Puppet()
    extra = (
        "needs: [wire]\nfaults: [{name: f, on: publish, do: settings_storm}, {name: g, on: publish, do: end_status}]"
    )
    world = world_with(puppet, extra)
    world.publish(change())
    world.run(until=3.0)
    assert [record["fault"] for record in world.records() if record["kind"] == "fault.on_wire"] == ["g"]


@pytest.mark.parametrize("hole", ["blackhole", "{blackhole: to_client}"])
@pytest.mark.parametrize("do", ["end_status", "goaway", "{reset: CANCEL}", "duplicate", "{blackhole: to_client}"])
def test_nothing_is_on_the_wire_behind_a_black_hole_but_what_was_ordered_before_it_is(hole: str, do: str) -> None:
    struck = ((1, "before", "goaway"), (1, "hole", hole), (2, "behind", do))
    faults = [f"{{name: {name}, on: event({nth}), times: 1, do: {what}}}" for nth, name, what in struck]
    world = world_with(puppet := Puppet(), f"faults: [{', '.join(faults)}]")
    world.publish(change())
    world.publish(change())
    shown = {one.rule.name: (one.triggered, one.on_wire) for one in world.central.receipts}
    assert shown == {"before": (1, 1), "hole": (1, 1), "behind": (1, 0)}
    world.run(until=3.0)
    assert not puppet.heard("received")


EVENT_FAULTS = ["duplicate", "{corrupt: name}", "unknown_type", "wrong_topic", "{oversize: 10}", "lose", "{gap: 1}"]


@pytest.mark.parametrize("do", EVENT_FAULTS)
def test_what_a_fault_did_to_an_event_that_can_reach_nobody_has_no_receipt(do: str) -> None:
    """The line is cut without a word, as a pulled plug does it: the server does not know."""
    world = world_with(puppet := Puppet(), f"faults: [{{name: it, on: event(1+), times: 2, do: {do}}}]")
    world.publish(change())
    assert [(one.triggered, one.on_wire) for one in world.central.receipts] == [(1, 1)]
    world.unplug(puppet)
    world.publish(change())
    assert [(one.triggered, one.on_wire) for one in world.central.receipts] == [(2, 1)]


@pytest.mark.parametrize("end", ["abort", "close", "blackhole", "{blackhole: to_client}", "{reset: CANCEL}", "goaway"])
@pytest.mark.parametrize("do", EVENT_FAULTS)
def test_an_event_before_the_end_is_on_the_wire_before_it(do: str, end: str) -> None:
    struck = ((1, "it", do), (2, "end", end))
    faults = [f"{{name: {name}, on: event({nth}), times: 1, do: {what}}}" for nth, name, what in struck]
    world = world_with(Puppet(), f"faults: [{', '.join(faults)}]")
    world.publish([change(), change()])
    assert [record["fault"] for record in world.records() if record["kind"] == "fault.on_wire"] == ["it", "end"]


def test_who_acks_a_ping_behind_an_event_has_read_it_in_virtual_time_too() -> None:
    world = world_with(Puppet(), "faults: [{name: it, on: event(1), times: 1, do: duplicate}]")
    world.central.publish(parse_change(change()), world.now)
    world.central.begin_barrier(world.now, lambda later: None)  # before anything was carried out
    world.network.flush()
    assert [one.on_wire for one in world.central.receipts] == [1]
    world.run(until=5.0)
    assert [record["by"] for record in world.records() if record["kind"] == "fault.observed"] == ["read on"]
