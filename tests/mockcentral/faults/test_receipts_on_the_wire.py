"""What a fault did to an event has its receipt when it has left, over real sockets: past a client that gives little
window, a slow line, and a socket that nobody reads; and never where it was lost there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mockcentral import World
from mockcentral.scenario.load import parse_fault
from tests.mockcentral.clients import PATIENCE, Watch, service, subscribed, topic
from tests.mockcentral.reader import Reader

HUGE = 24 * 1024 * 1024
"""More than the kernel takes of a connection whose client does not read."""

EVENTS: list[object] = ["duplicate", {"corrupt": "name"}, "unknown_type", "wrong_topic", "lose", {"gap": 1}]


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_topic(topic())
        yield world


def line(record: Any, kind: str, fault: str) -> bool:
    return bool(record["kind"] == kind and record.get("fault") == fault)


def arm(world: World, *rules: tuple[str, str, object]) -> None:
    for name, on, do in rules:
        world.arm(parse_fault({"name": name, "on": on, "do": do, "times": 1}))


def receipt(world: World, name: str = "it") -> tuple[int, int]:
    [shown] = [one for one in world.faults() if one["name"] == name]
    return shown["triggered"], shown["on_wire"]


def publish(world: World, count: int) -> None:
    world.publish([service(f"s{number}") for number in range(count)])


# ------------------------------------------------------------------------------------------ a stalled window
@pytest.mark.parametrize("do", EVENTS, ids=str)
def test_an_event_waits_for_a_stalled_window(world: World, do: object) -> None:
    arm(world, ("it", "event(2)", do))
    with Reader(world, window=1) as reader:
        publish(world, 3)
        assert receipt(world) == (1, 0)
        reader.allow(100_000)
        world.wait_for(lambda record: line(record, "fault.on_wire", "it"), PATIENCE)
        assert receipt(world) == (1, 1)


@pytest.mark.parametrize("do", EVENTS, ids=str)
def test_an_event_that_a_client_never_lets_out_was_not_on_the_wire(world: World, do: object) -> None:
    arm(world, ("it", "event(2)", do))
    with Reader(world, window=1) as reader:
        publish(world, 3)
        reader.h2.reset_stream(1)
        reader.say()
        world.wait_for(lambda record: record["kind"] == "stream.end", PATIENCE)
        assert receipt(world) == (1, 0)
        [verdict] = world.verify(["faults_reached_the_wire"])
    assert verdict.outcome.value == "inconclusive"


def test_how_long_a_message_is_shows_before_the_rest_of_it(world: World) -> None:
    arm(world, ("it", "event(1)", {"oversize": 5_000_000}))
    with Reader(world, window=4) as reader:
        publish(world, 1)
        assert receipt(world) == (1, 0)
        reader.allow(1)
        world.wait_for(lambda record: line(record, "fault.on_wire", "it"), PATIENCE)


# ------------------------------------------------------------------------------------------ a slow line
@pytest.mark.parametrize("slow", [{"latency": "50ms"}, {"bandwidth": 10_000}, {"coalesce": "50ms"}], ids=str)
@pytest.mark.parametrize("do", EVENTS, ids=str)
def test_an_event_waits_on_a_slow_line(world: World, do: object, slow: object) -> None:
    arm(world, ("slow", "event(1)", slow), ("it", "event(2)", do))
    with Watch(world) as watch:
        subscribed(world)
        publish(world, 3)
        assert watch.events(1)
        there = world.wait_for(lambda record: line(record, "fault.on_wire", "it"), PATIENCE)
        [struck] = [record for record in world.journal() if line(record, "fault.triggered", "it")]
        assert there["t"] - struck["t"] > 0.01


@pytest.mark.parametrize("end", ["abort", "blackhole", {"blackhole": "to_client"}], ids=str)
@pytest.mark.parametrize("slow", [{"latency": "1h"}, {"bandwidth": 1}, {"coalesce": "1m"}], ids=str)
@pytest.mark.parametrize("do", ["duplicate", "lose"])
def test_an_event_that_a_slow_line_loses_was_not_on_the_wire(
    world: World, do: object, slow: object, end: object
) -> None:
    arm(world, ("slow", "event(1)", slow), ("it", "event(2)", do), ("end", "event(3)", end))
    with Reader(world):
        publish(world, 2)
        assert receipt(world) == (1, 0)
        publish(world, 1)
        world.wait_for(lambda record: line(record, "fault.on_wire", "end"), PATIENCE)
        assert receipt(world) == (1, 0)
    world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
    assert receipt(world) == (1, 0)


# ------------------------------------------------------------------------------------------ a socket nobody reads
@pytest.mark.parametrize("do", EVENTS, ids=str)
def test_an_event_waits_in_a_socket_that_nobody_reads(world: World, do: object) -> None:
    arm(world, ("big", "event(1)", {"oversize": HUGE}), ("it", "event(2)", do))
    with Reader(world) as reader:
        publish(world, 3)
        assert receipt(world, "big") == (1, 1)
        assert receipt(world) == (1, 0)
        reader.read_until(world, lambda record: line(record, "fault.on_wire", "it"))
        assert receipt(world) == (1, 1)


@pytest.mark.parametrize("end", ["the client leaves", "abort", "blackhole", {"blackhole": "to_client"}], ids=str)
@pytest.mark.parametrize("do", EVENTS, ids=str)
def test_an_event_that_nobody_has_read_before_the_end_was_not_on_the_wire(
    world: World, do: object, end: object
) -> None:
    arm(world, ("big", "event(1)", {"oversize": HUGE}), ("it", "event(2)", do))
    if end != "the client leaves":
        arm(world, ("end", "event(3)", end))
    with Reader(world) as reader:
        publish(world, 3)
        if end == "the client leaves":
            reader.leave()
        else:
            world.wait_for(lambda record: line(record, "fault.on_wire", "end"), PATIENCE)
            assert receipt(world) == (1, 0)
    world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
    assert receipt(world) == (1, 0)


def test_the_receipt_comes_before_the_sign_that_the_event_was_read(world: World) -> None:
    arm(world, ("big", "event(1)", {"oversize": HUGE}), ("it", "event(2)", "duplicate"))
    with Reader(world) as reader:
        publish(world, 3)
        reader.read_until(world, lambda record: line(record, "fault.on_wire", "it"))
        world.record("client.applied", sequence=world.stats()["sequence"])
        kinds = [record["kind"] for record in world.journal() if record.get("fault") == "it"]
    assert kinds == ["fault.armed", "fault.triggered", "fault.on_wire", "fault.observed"]


def test_a_client_that_reads_on_observes_what_waited(world: World) -> None:
    """grpcio reads as fast as it can, and its ack of the barrier's PING comes behind all of it."""
    arm(world, ("big", "event(1)", {"oversize": 3_000_000}), ("it", "event(2)", "duplicate"))
    with Watch(world) as watch:
        subscribed(world)
        publish(world, 3)
        world.barrier(PATIENCE)
        assert len(watch.events(4)) == 4
        world.barrier(PATIENCE)
        shown = {one["name"]: (one["on_wire"], one["observed"]) for one in world.faults()}
    assert shown == {"big": (1, 1), "it": (1, 1)}


# ------------------------------------------------------------------------------------------ TLS
def below_tls(world: World) -> int:
    """Bytes that asyncio's TLS has written and the socket below it has not taken."""
    [link] = world._live_host().links.values()
    transport: Any = link._transport
    return world._act(lambda central, now: int(transport._ssl_protocol._transport.get_write_buffer_size()))


@pytest.mark.parametrize("reads", [True, False])
def test_what_waits_below_tls_has_not_left_either(reads: bool) -> None:
    """TLS hands on what it has as long as there is little in the socket's own buffer, and has nothing left itself."""
    with World(tls=True) as world:
        world.put_topic(topic())
        with Reader(world) as reader:
            while not below_tls(world):
                world.publish(service(attributes={"large": "x" * 10_000}))
            arm(world, ("it", "event(1+)", "duplicate"))
            world.publish(service())
            assert receipt(world) == (1, 0)
            if reads:
                reader.read_until(world, lambda record: line(record, "fault.on_wire", "it"))
            else:
                reader.leave()
                world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
                assert receipt(world) == (1, 0)
