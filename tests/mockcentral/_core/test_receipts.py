"""What became of a fault: armed, triggered, on the wire, observed; and the barrier that proves what was read."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral._core.actions import (
    AckPing,
    Action,
    AnswerEvent,
    AnswerHttp,
    AnswerToken,
    BlackHole,
    CloseConnection,
    CutCall,
    EndCall,
    ExpireTokens,
    GoAway,
    Later,
    Part,
    PurgeLog,
    SendPing,
)
from mockcentral._core.log import Gone
from mockcentral.scenario.schema import FaultRule, PingSettings, Scenario, WorldSettings
from mockcentral.scenario.types import Anchor, Duration, Span
from tests.mockcentral._core.rig import TOPIC, Rig, rule


def rig_with(*faults: FaultRule, **world: Any) -> Rig:
    return Rig(Scenario(scenario="x", about="y", faults=faults, world=WorldSettings(**world)))


def receipt(rig: Rig, name: str = "it") -> dict[str, Any]:
    return next(one.as_dict() for one in rig.central.receipts if one.rule.name == name)


def ack(rig: Rig) -> int:
    """The client acks every PING it was sent; returns how many."""
    pings = [order for order in rig.take() if isinstance(order, SendPing)]
    for ping in pings:
        rig.central.ping_acked(ping.connection, ping.payload, rig.now)
    return len(pings)


def barrier(rig: Rig) -> list[float]:
    """Begin one; the list has the time at which it was over."""
    done: list[float] = []
    rig.central.begin_barrier(rig.now, done.append)
    return done


# ------------------------------------------------------------------------------------------ receipts
def test_a_receipt_goes_from_armed_to_observed() -> None:
    rig = rig_with(rule("it", "event", AnswerEvent(2), times=1))
    assert (receipt(rig)["state"], receipt(rig)["triggered"]) == ("armed", 0)
    rig.watch()
    rig.publish()
    assert (receipt(rig)["triggered"], receipt(rig)["on_wire"]) == (1, 0)
    rig.take()
    assert {key: receipt(rig)[key] for key in ("state", "triggered", "on_wire", "observed")} == {
        "state": "spent",
        "triggered": 1,
        "on_wire": 1,
        "observed": 0,
    }
    barrier(rig)
    ack(rig)
    assert receipt(rig)["observed"] == 1
    [line] = rig.records("fault.observed")
    assert (line["fault"], line["by"], line["conn"], line["attempt"]) == ("it", "read on", 1, 1)


def test_an_order_that_was_never_carried_out_is_not_on_the_wire() -> None:
    rig = rig_with(rule("it", "event", EndCall(1, 14)))
    rig.watch()
    rig.publish()
    rig.central.orders()  # taken, and lost
    assert (receipt(rig)["triggered"], receipt(rig)["on_wire"]) == (1, 0)


def test_a_ping_sent_before_the_fault_proves_nothing() -> None:
    rig = rig_with(rule("it", "event", AnswerEvent(2)))
    rig.watch()
    done = barrier(rig)
    pings = [order for order in rig.take() if isinstance(order, SendPing)]
    rig.publish()
    rig.central.ping_acked(pings[0].connection, pings[0].payload, 0.0)
    assert done == [0.0]
    assert receipt(rig)["observed"] == 0


@pytest.mark.parametrize(
    ("action", "react", "by"),
    [
        (EndCall(1, 14), lambda rig: rig.open(connection=1), "came back"),
        (AnswerEvent(2), lambda rig: rig.central.call_closed(1, 0.0), "left"),
        (AnswerEvent(2), lambda rig: rig.central.connection_closed(1, 0.0, by="client", reason="x"), "left"),
        (AnswerEvent(2), lambda rig: rig.central.client_said("client.applied", 0.0, sequence=100001), "applied"),
        (ExpireTokens(), lambda rig: rig.open(), "came back"),
    ],
)
def test_what_a_client_does_next_shows_that_it_felt_the_fault(action: Action, react: Any, by: str) -> None:
    rig = rig_with(rule("it", "event", action, times=1))
    rig.watch()
    rig.publish()
    rig.take()
    assert receipt(rig)["on_wire"] == 1
    react(rig)
    assert [line["by"] for line in rig.records("fault.observed")] == [by]


def test_what_it_applied_before_the_faulty_event_shows_nothing() -> None:
    rig = rig_with(rule("it", "event", AnswerEvent(2), nth=2))
    rig.watch()
    rig.publish("a")
    rig.publish("b")
    rig.central.client_said("client.applied", 0.0, sequence=100001)
    assert receipt(rig)["observed"] == 0


def test_a_purge_is_observed_by_a_410_and_by_nothing_else() -> None:
    rig = rig_with(rule("it", "publish", PurgeLog(0), nth=2))
    rig.watch()
    rig.publish("a")
    rig.publish("b")
    rig.open()
    assert receipt(rig)["observed"] == 0
    assert isinstance(rig.central.harvest(TOPIC, {"query": "sequenceID>1"}, 0.0), Gone)
    assert [line["by"] for line in rig.records("fault.observed")] == ["gone"]


def test_an_http_answer_has_its_receipt_when_it_goes_out_and_is_observed_by_the_next_question() -> None:
    rig = rig_with(rule("it", "harvest", AnswerHttp(503), nth=1))
    conn = rig.connect()
    answer = rig.central.http_request(["http", "harvest"], conn, 0.0)
    answer = rig.central.http_made(answer, (), 0, conn, 0.0)
    assert receipt(rig)["on_wire"] == 0
    rig.central.http_answered(answer, conn, 0.0)
    assert (receipt(rig)["on_wire"], receipt(rig)["observed"]) == (1, 0)
    rig.central.http_request(["http", "harvest"], conn, 0.0)
    assert receipt(rig)["observed"] == 1


@pytest.mark.parametrize(
    ("wanted", "parts", "size", "shows"),
    [
        (AnswerHttp(page_size=1), ["page"], 2, True),
        (AnswerHttp(page_size=1), [], 86, False),  # 401, 404, a real 410
        (AnswerToken(claims=(("aud", "x"),)), ["token"], 900, True),
        (AnswerToken(claims=(("aud", "x"),)), [], 76, False),
        (AnswerHttp(cut=0.5), [], 1, True),
        (AnswerHttp(cut=0.5), [], 0, False),
        (AnswerHttp(trickle=(2, 1.0)), [], 1, True),
        (AnswerHttp(trickle=(2, 1.0)), [], 0, False),
        (AnswerHttp(shape="empty"), [], 0, True),
    ],
    ids=str,
)
def test_an_http_fault_has_a_receipt_only_for_what_the_answer_took_of_it(
    wanted: Action, parts: list[Part], size: int, shows: bool
) -> None:
    rig = rig_with(rule("it", "http", wanted))
    conn = rig.connect()
    answer = rig.central.http_request(["http"], conn, 0.0)
    answer = rig.central.http_made(answer, parts, size, conn, 0.0)
    assert (answer.cut, answer.trickle) == (None, None) or size
    rig.central.http_answered(answer, conn, 0.0)
    assert (receipt(rig)["triggered"], receipt(rig)["on_wire"]) == (1, int(shows))


def test_nothing_is_left_of_a_page_in_a_body_of_another_kind() -> None:
    rig = rig_with(rule("size", "http", AnswerHttp(page_size=1)), rule("page", "http", AnswerHttp(shape="html")))
    conn = rig.connect()
    answer = rig.central.http_made(rig.central.http_request(["http"], conn, 0.0), ["page"], 9, conn, 0.0)
    assert answer.rules == ("page",)


def test_the_answer_to_a_ping_event_shows_what_was_read() -> None:
    rig = rig_with(rule("it", "event", AnswerEvent(2)), ping=PingSettings(every=Duration(1.0)))
    call = rig.watch(capabilities=("ping",))
    rig.publish()
    rig.at(1.0)
    ping = rig.records("stream.event", op="PING")[0]["id"]
    rig.ask(call, request_type=2, ping_id=ping)
    assert [line["by"] for line in rig.records("fault.observed")] == ["read on"]


# ------------------------------------------------------------------------------------------ when a rule may strike
def test_a_ttl_disarms_at_its_time_and_takes_back_what_was_planned() -> None:
    rig = rig_with(rule("it", "publish", EndCall(0, 14), after=Span(5.0, 5.0), ttl=Duration(2.0)))
    call = rig.watch()
    rig.publish()
    rig.at(10.0)
    assert call in rig.central.calls
    assert rig.central.rules == ()
    assert (receipt(rig)["state"], receipt(rig)["disarmed_by"]) == ("disarmed", "ttl")
    [line] = rig.records("fault.disarmed")
    assert (line["t"], line["why"]) == (2.0, "ttl")


@pytest.mark.parametrize("how", ["ttl", "asked", "replaced"])
def test_what_a_fault_would_do_later_does_not_happen_once_it_is_disarmed(how: str) -> None:
    ttl = Duration(2.0) if how == "ttl" else None
    it = rule("it", "subscribe", GoAway(1, 0, 2**31 - 1), Later(5.0, (GoAway(1), CloseConnection(1))), ttl=ttl)
    rig = rig_with(it)
    call = rig.watch()
    rig.at(1.0)
    if how == "asked":
        rig.central.disarm("it", 1.0)
    elif how == "replaced":
        rig.central.arm(it, 1.0)
    assert not [order for order in rig.at(10.0) if isinstance(order, (GoAway, CloseConnection))]
    assert call in rig.central.calls
    assert len(rig.records("fault.on_wire")) == 1


def test_a_rule_waits_for_every_moment_it_is_given() -> None:
    given = (Anchor("harvest"), Anchor("stream_open", 2))
    rig = rig_with(rule("it", "event", AnswerEvent(0), given=given))
    call = rig.watch()
    rig.publish("a")
    rig.central.http_request(["harvest"], 1, 0.0)
    rig.publish("b")
    rig.open()
    rig.publish("c")
    assert rig.sent(call) == [100001, 100002]
    assert rig.last("fault.armed")["given"] == ["harvest", "stream_open(2)"]


def test_the_moment_itself_counts_for_what_is_given() -> None:
    rig = rig_with(rule("it", "event", AnswerEvent(0), given=(Anchor("event", 2),)))
    call = rig.watch()
    for name in "abc":
        rig.publish(name)
    assert rig.sent(call) == [100001]


def test_after_our_ack_of_a_ping_comes_its_moment() -> None:
    rig = rig_with(rule("it", "ping_acked", EndCall(0, 14), nth=2))
    call = rig.watch()
    rig.central.ping_received(1, b"12345678", 0.0)
    assert call in rig.central.calls
    rig.central.ping_received(1, b"12345678", 0.0)
    assert rig.end(call) == ("UNAVAILABLE", "server")


def test_a_page_is_counted_by_its_own_number() -> None:
    rig = rig_with(rule("it", "page", AnswerHttp(gone="with header"), nth=2))
    conn = rig.connect()
    rig.publish()
    assert rig.central.http_request(["harvest", "page"], conn, 0.0, 1).status is None
    answer = rig.central.http_request(["harvest", "page"], conn, 0.0, 2)
    assert (answer.status, answer.headers) == (410, (("X-Axway-Max-Sequence-Id", "100001"),))
    assert rig.central.http_request(["harvest", "page"], conn, 0.0, 3).status is None


# ------------------------------------------------------------------------------------------ barriers
def test_a_barrier_is_over_when_the_last_connection_acked_or_left() -> None:
    rig = Rig()
    for _ in range(3):
        rig.watch()
    done = barrier(rig)
    pings = [order for order in rig.take() if isinstance(order, SendPing)]
    assert [ping.connection for ping in pings] == [1, 2, 3]
    rig.central.ping_acked(1, pings[0].payload, 0.0)
    rig.central.ping_acked(1, pings[1].payload, 0.0)  # not its own
    rig.central.connection_closed(3, 0.0, by="client", reason="x")
    assert done == []
    rig.central.ping_acked(2, pings[1].payload, 4.0)
    assert done == [4.0]


def test_without_a_connection_a_barrier_is_over_at_once_and_silenced_ones_are_not_asked() -> None:
    rig = Rig()
    assert barrier(rig) == [0.0]
    rig.watch()
    rig.central.command(BlackHole(0), 0.0)
    assert barrier(rig) == [0.0]


def test_giving_a_barrier_up_names_who_did_not_ack() -> None:
    rig = Rig()
    rig.watch()
    rig.watch()
    found = rig.central.begin_barrier(0.0, lambda now: None)
    ping = next(order for order in rig.take() if isinstance(order, SendPing))
    rig.central.ping_acked(1, ping.payload, 0.0)
    assert rig.central.give_up(found, 0.0) == "1 of 2 connections did not ack a PING: 2 (peer:1)"
    assert rig.last("barrier.timeout")["conns"] == [2]


def test_the_moment_barrier_comes_after_the_last_action_was_read() -> None:
    rig = rig_with(rule("it", "barrier", EndCall(0, 14), nth=2))
    call = rig.watch()
    rig.publish("a")
    [ping] = [order for order in rig.take() if isinstance(order, SendPing)]
    rig.publish("b")  # something was done meanwhile: that ack is not enough
    rig.central.ping_acked(1, ping.payload, 0.0)
    assert rig.records("barrier.passed") == []
    assert ack(rig) == 1
    assert [line["nth"] for line in rig.records("barrier.passed")] == [1]
    rig.publish("c")
    assert ack(rig) == 1
    assert rig.end(call) == ("UNAVAILABLE", "server")
    rig.take()
    orders = [type(order).__name__ for order, _ in rig.issues if not isinstance(order, SendPing)]
    assert orders[-2:] == ["SendEvents", "EndCall"]


def test_a_barrier_nobody_acks_is_given_up_and_the_rule_never_strikes() -> None:
    rig = rig_with(rule("it", "barrier", EndCall(0, 14), nth=1), barrier_timeout=Duration(3.0))
    rig.watch()
    rig.publish()
    rig.at(10.0)
    assert rig.last("barrier.timeout")["t"] == 3.0
    assert receipt(rig)["triggered"] == 0


def test_no_ping_is_sent_where_no_rule_asks_for_a_barrier() -> None:
    rig = Rig()
    rig.watch()
    rig.publish()
    assert not any(isinstance(order, SendPing) for order in rig.take())


def test_a_planned_fault_says_how_late_it_was_on_the_wire() -> None:
    pause = Span(2.0, 2.0)
    rig = rig_with(
        rule("end", "stream_open", EndCall(0, 14), after=pause),
        rule("purge", "start", PurgeLog(keep=0), after=pause),
        rule("now", "stream_open", AckPing(0, b"12345678")),
    )
    rig.watch()
    rig.take()
    rig.central.tick(2.003)
    rig.now = 2.004
    rig.take()
    late = {record["fault"]: record.get("late") for record in rig.records("fault.on_wire")}
    assert late == {"end": 0.004, "purge": 0.003, "now": None}


def test_what_a_line_or_a_window_holds_back_afterwards_is_not_late() -> None:
    rig = rig_with(rule("end", "stream_open", EndCall(0, 14), after=Span(2.0, 2.0)))
    rig.watch()
    rig.take()
    rig.central.tick(2.003)
    [(order, name)] = [(order, name) for order, name in rig.central.orders() if name is not None]
    give = rig.central.carried_out(order, name, 2.004)
    rig.central.tick(3.0)
    assert not rig.records("fault.on_wire")
    give(9.0)
    assert [(record["t"], record.get("late")) for record in rig.records("fault.on_wire")] == [(9.0, 0.004)]


def test_what_a_planned_fault_does_later_is_not_late() -> None:
    cut = CutCall(1, then=EndCall(1, 14), after_events=2)
    rig = rig_with(rule("cut", "start", cut, after=Span(2.0, 2.0)))
    call = rig.watch()
    rig.at(2.0)
    assert rig.central.calls[call].cut is not None
    rig.now = 7.0
    rig.publish()
    rig.publish()
    rig.take()
    assert [record.get("late") for record in rig.records("fault.on_wire")] == [None]
