"""What Central does about the verbs of faults on the wire: targets, receipts, time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mockcentral._core.actions import (
    AckPing,
    AnswerEvent,
    AnswerHttp,
    AnswerPing,
    BlackHole,
    CloseConnection,
    CutCall,
    Direction,
    EndCall,
    GoAway,
    GuardPings,
    HalfClose,
    Later,
    Order,
    Quiet,
    Reframe,
    RefuseConnections,
    ResetCall,
    RespondCall,
    Restart,
    SendBytes,
    SendEvents,
    SendFrames,
    ShapeBytes,
    StartListening,
    StopListening,
)
from mockcentral._core.events import Alteration
from mockcentral.scenario.schema import Scenario
from tests.mockcentral._core.rig import Rig, rule


def rig(*rules: object) -> Rig:
    return Rig(replace(Scenario(scenario="x", about="y"), faults=rules))  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------------ calls
def test_an_order_on_every_call_is_one_for_each() -> None:
    world = Rig()
    calls = [world.watch(), world.watch()]
    world.central.command(SendBytes(0, b"x"), 0.0)
    assert [order for order in world.take() if isinstance(order, SendBytes)] == [
        SendBytes(call, b"x") for call in calls
    ]


@pytest.mark.parametrize("end", [True, False])
def test_an_answer_with_headers_of_its_own_ends_the_call_when_it_says_so(end: bool) -> None:
    world = Rig()
    call = world.open()
    world.central.command(RespondCall(call, 502, "text/html", b"no", end), 0.0)
    assert world.take() == [RespondCall(call, 502, "text/html", b"no", end)]
    assert (call in world.central.calls) is not end


def test_an_end_without_trailers_is_not_graceful() -> None:
    world = Rig()
    call = world.watch()
    world.take()
    world.central.command(EndCall(call, 2, bare=True), 0.0)
    assert world.take() == [EndCall(call, 2, bare=True)]
    assert world.last("stream.end")["graceful"] is False


CALL, CONNECTION = {"conn": 1, "attempt": 1}, {"conn": 1}


@pytest.mark.parametrize(
    ("order", "where"),
    [
        (CutCall(0, None, after_bytes=9), CALL),
        (CutCall(0, None, after_events=9), None),  # what it lets through is whole
        (SendBytes(0, b"x"), CALL),
        (RespondCall(0, end=False), CALL),
        (GoAway(0, 0, last_stream=0), CALL),
        (GoAway(0, 0, last_stream=1), None),
        (GoAway(0), None),
        (BlackHole(0), CONNECTION),
        (BlackHole(0, "from_client"), CONNECTION),
        (HalfClose(0), CONNECTION),
        (SendFrames(0, b"x"), CONNECTION),
        (SendFrames(0, b"x", harmless=True), None),
        (ShapeBytes(0, latency=(1.0, 0.0)), None),
        (Reframe(0, 10), None),
    ],
)
def test_the_journal_says_from_where_on_nobody_knows_what_a_client_reads(
    order: Order, where: dict[str, int] | None
) -> None:
    world = Rig()
    call = world.watch()
    for _ in range(2):
        world.central.command(order, 0.0)
    told = [{key: line[key] for key in ("conn", "attempt") if key in line} for line in world.records("conn.unsure")]
    assert told == ([] if where is None else [where])
    world.central.expire_tokens(0.0)
    assert world.end(call) == ("UNAUTHENTICATED", "server")
    assert world.last("stream.end")["graceful"] is (where is None)


@pytest.mark.parametrize(
    ("order", "graceful"),
    [
        (HalfClose(0), False),
        (SendBytes(0, b"x"), False),
        (SendFrames(0, b"x", harmless=True), False),
        (ShapeBytes(0, "from_client", latency=(1.0, 0.0)), False),
        (Reframe(0, 10), False),
        (GoAway(0), True),
        (AckPing(0, b"12345678"), True),
    ],
)
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_leaves_after_a_fault_on_its_line_may_have_left_because_of_it(
    order: Order, graceful: bool, how: str
) -> None:
    world = Rig()
    call = world.watch()
    world.central.command(order, 0.0)
    if how == "reset":
        world.central.call_closed(call, 0.0)
    else:
        world.central.connection_closed(1, 0.0, by="client", reason="closed")
    assert world.end(call) == ("CANCELLED", "client")
    assert world.last("stream.end")["graceful"] is graceful


def test_a_client_that_leaves_after_a_spoiled_event_may_have_left_because_of_it() -> None:
    world = rig(rule("big", "event", AnswerEvent(change=Alteration(padding=10)), nth=2))
    call = world.watch()
    world.publish()
    world.publish()
    world.central.call_closed(call, 0.0)
    assert world.last("stream.end")["graceful"] is False


@pytest.mark.parametrize(("direction", "slow"), [("both", 1), ("to_client", 1), ("from_client", 0)])
def test_the_journal_says_once_from_where_on_a_client_hears_late(direction: Direction, slow: int) -> None:
    world = Rig()
    world.watch()
    for _ in range(2):
        world.central.command(ShapeBytes(0, direction, rate=1.0), 0.0)
    assert [line["conn"] for line in world.records("conn.slow")] == [1] * slow


def test_a_cut_of_bytes_is_the_wires_and_its_receipt_is_due_when_it_is_reached() -> None:
    world = rig(rule("f", "subscribe", CutCall(1, ResetCall(1, 2), after_bytes=100)))
    call = world.watch()
    assert [order for order in world.take() if isinstance(order, CutCall)] == [
        CutCall(call, ResetCall(1, 2), after_bytes=100)
    ]
    assert world.central.on_wire("f") == 0
    world.central.call_cut(call, 0.0)
    assert world.take() == [ResetCall(call, 2)]
    assert world.central.on_wire("f") == 1
    assert world.end(call) == ("INTERNAL", "server")
    world.central.call_cut(call, 0.0)  # said twice: it is gone
    assert world.take() == []


def test_a_cut_of_events_lets_just_so_many_through() -> None:
    world = rig(rule("f", "subscribe", CutCall(1, EndCall(1, 14), after_events=2), times=1))
    call = world.watch()
    sequences = [world.publish(f"s{number}") for number in range(4)]
    assert world.sent(call) == sequences[:2]
    assert world.end(call) == ("UNAVAILABLE", "server")
    assert world.central.on_wire("f") == 1


def test_a_cut_may_end_in_silence() -> None:
    world = rig(rule("f", "subscribe", CutCall(1, None, after_events=1)))
    call = world.watch(capabilities=("ping",))
    first = world.publish("a")
    world.publish("b")
    world.at(100.0)
    assert world.sent(call) == [first]  # and no PING event either
    assert call in world.central.calls
    assert world.central.on_wire("f") == 1


def test_a_cut_on_the_connection_of_its_call() -> None:
    world = rig(rule("f", "event", CutCall(0, CloseConnection(0, abort=True), after_events=0)))
    call = world.watch()
    connection = world.central.calls[call].connection.id
    world.publish()
    assert CloseConnection(connection, abort=True) in world.take()
    assert world.central.connections == {}


def test_a_quiet_call_gets_nothing_and_ends_later() -> None:
    world = rig(rule("f", "subscribe", Quiet(1), Later(5.0, (EndCall(1, 10),))))
    call = world.watch()
    world.publish()
    assert world.at(4.9) == []
    assert world.at(5.0) == [EndCall(call, 10)]
    assert world.sent(call) == []
    assert world.central.on_wire("f") == 1


def test_what_comes_later_finds_its_target_gone() -> None:
    world = rig(rule("f", "subscribe", Later(5.0, (EndCall(1, 10), GoAway(1)))))
    call = world.watch()
    world.central.connection_closed(world.central.calls[call].connection.id, 1.0, by="client", reason="x")
    assert world.at(6.0) == []
    assert world.central.on_wire("f") == 0


# ------------------------------------------------------------------------------------------ PINGs
def test_a_ping_is_acked_as_often_and_with_what_the_answer_says() -> None:
    world = rig(rule("f", "ping", AnswerPing(0.0, copies=3, payload=b"nonsense"), nth=2))
    connection = world.connect()
    world.central.ping_received(connection, b"question", 0.0)
    assert world.take() == [AckPing(connection, b"question")]
    world.central.ping_received(connection, b"question", 0.0)
    assert world.take() == [AckPing(connection, b"nonsense")] * 3
    assert world.central.on_wire("f") == 1


def guarded(strikes: int) -> tuple[Rig, int]:
    world = rig(rule("f", "connect", GuardPings(0, 10.0, strikes)))
    return world, world.connect()


@pytest.mark.parametrize("strikes", [0, 2])
def test_pings_that_come_too_fast_are_counted_and_end_the_connection(strikes: int) -> None:
    world, connection = guarded(strikes)
    for _ in range(strikes + 1):
        world.central.ping_received(connection, b"question", 0.0)
        assert world.take() == [AckPing(connection, b"question")]
    assert world.central.on_wire("f") == 0
    world.central.ping_received(connection, b"question", 9.9)
    assert world.take() == [GoAway(connection, 11, None, b"too_many_pings"), CloseConnection(connection)]
    assert world.central.on_wire("f") == 1
    assert world.last("conn.close")["reason"] == "too many PINGs"


def test_pings_at_their_pace_are_never_too_many() -> None:
    world, connection = guarded(0)
    for number in range(20):
        world.central.ping_received(connection, b"question", 10.0 * number)
        assert world.take() == [AckPing(connection, b"question")]


def test_an_event_forgives_pings() -> None:
    world = rig(rule("f", "connect", GuardPings(0, 10.0, 0)))
    call = world.watch()
    connection = world.central.calls[call].connection.id
    for number in range(5):
        world.central.ping_received(connection, b"question", 0.1 * number)
        world.publish(f"s{number}")
        orders = world.take()
        assert [type(order) for order in orders] == [AckPing, SendEvents]


# ------------------------------------------------------------------------------------------ connections
@pytest.mark.parametrize(
    ("order", "reachable"),
    [
        (BlackHole(0), False),
        (BlackHole(0, "to_client"), False),
        (BlackHole(0, "from_client"), False),
        (HalfClose(0), False),
        (SendFrames(0, b"x"), True),
    ],
)
def test_a_barrier_does_not_wait_for_who_cannot_answer(
    order: BlackHole | HalfClose | SendFrames, reachable: bool
) -> None:
    world = Rig()
    connection = world.connect()
    world.central.command(order, 0.0)
    assert world.take() == [replace(order, connection=connection)]
    passed: list[float] = []
    assert world.central.begin_barrier(0.0, passed.append).asked == reachable
    assert bool(passed) is not reachable


@pytest.mark.parametrize(("direction", "acked"), [("from_client", True), ("to_client", False), ("both", False)])
def test_what_the_wire_swallows_is_not_said(direction: str, acked: bool) -> None:
    world = Rig()
    connection = world.connect()
    world.central.command(BlackHole(connection, direction), 0.0)  # type: ignore[arg-type]
    world.take()
    world.central.ping_received(connection, b"on its w", 0.0)
    assert (world.take() == [AckPing(connection, b"on its w")]) is acked


@pytest.mark.parametrize("silence", [BlackHole(0), BlackHole(0, "to_client"), HalfClose(0)])
@pytest.mark.parametrize(
    ("anchor", "answer"),
    [
        ("event", AnswerEvent(copies=2)),
        ("event", AnswerEvent(change=Alteration((("name", "x"),)))),
        ("event", Quiet(0, receipt=True)),
        ("ping", AnswerPing(delay=None)),
        ("ping", AnswerPing(delay=5.0)),
        ("http", AnswerHttp(503)),
    ],
)
def test_what_a_fault_does_on_a_silent_connection_has_no_receipt(
    silence: BlackHole | HalfClose, anchor: str, answer: Any
) -> None:
    world = rig(rule("f", anchor, answer))
    world.watch()
    [connection] = world.central.connections
    world.central.command(silence, 0.0)
    world.publish()
    world.central.ping_received(connection, b"question", 0.0)
    decision = world.central.http_request(["http"], connection, 0.0)
    decision = world.central.http_made(decision, (), 1, connection, 0.0)
    world.central.http_answered(decision, connection, 0.0)
    world.take()
    assert world.central.fired("f") == 1
    assert world.central.on_wire("f") == 0


def test_a_port_that_refuses_keeps_its_connections_and_opens_again() -> None:
    world = rig(rule("f", "publish", RefuseConnections(5.0)))
    call = world.watch()
    world.publish()
    assert StopListening(keep=True) in world.take()
    assert not world.central.listening
    assert call in world.central.calls
    world.publish()  # it refuses already
    assert not [order for order in world.take() if isinstance(order, StopListening)]
    assert world.at(5.0) == [StartListening()]
    assert world.central.listening
    assert world.central.on_wire("f") == 1


def test_a_server_that_refuses_can_die_and_is_back_when_both_are_over() -> None:
    world = rig(rule("f", "publish", RefuseConnections(5.0)), rule("g", "publish", Restart(2.0), nth=2))
    call = world.watch()
    world.publish()
    world.take()
    world.publish()
    assert StopListening() in world.take()
    assert call not in world.central.calls
    assert (world.central.on_wire("f"), world.central.on_wire("g")) == (1, 1)
    assert world.at(2.0) == []
    assert not world.central.listening
    assert world.at(5.0) == [StartListening()]
    assert world.central.listening


def test_orders_that_could_not_be_carried_out_come_again() -> None:
    world = Rig()
    world.central.again([(SendFrames(1, b"x"), "f")])
    assert world.central.has_orders
    assert world.central.orders() == [(SendFrames(1, b"x"), "f")]
    assert not world.central.has_orders
