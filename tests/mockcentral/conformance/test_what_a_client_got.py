"""What the judge believes that a client got, over real sockets: only what had left, and what nothing swept away."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest

from mockcentral import World
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.scenario.load import parse_fault
from tests.mockcentral.clients import PATIENCE, TOPIC, raw, service, topic
from tests.mockcentral.reader import Reader


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_topic(topic())
        yield world


def complete(world: World) -> Verdict:
    [verdict] = world.verify(["complete"])
    return verdict


def line(world: World, kind: str) -> dict[str, Any]:
    return world.wait_for(lambda record: record["kind"] == kind, PATIENCE)


def ended(world: World) -> None:
    """An event and the end of its call are ordered in one go: nobody knows of a window before."""
    world.arm(parse_fault({"name": "over", "on": "publish", "times": 1, "do": {"end_status": "OK"}}))
    world.publish(service("a"))
    assert line(world, "stream.end")["graceful"]


def test_an_end_that_waits_for_the_window_when_the_line_goes_dead_was_not_received(world: World) -> None:
    with Reader(world, window=10) as slow:
        ended(world)
        line(world, "conn.held")
        world.blackhole()
        slow.allow(60_000)
        assert complete(world).outcome is Outcome.INCONCLUSIVE


def test_an_end_that_waits_for_the_window_of_a_client_that_leaves_was_not_received(world: World) -> None:
    with Reader(world, window=10):
        ended(world)
        line(world, "conn.held")
    line(world, "conn.close")
    assert complete(world).outcome is Outcome.INCONCLUSIVE


def test_an_end_that_got_past_the_window_in_time_was_received(world: World) -> None:
    with Reader(world, window=10) as slow:
        ended(world)
        line(world, "conn.held")
        slow.allow(60_000)
        line(world, "conn.let_out")
        slow.read_to_the_end()
        world.blackhole()
        assert complete(world).outcome is Outcome.PASS


def test_events_that_a_client_never_lets_come_were_not_received(world: World) -> None:
    with Reader(world, window=10) as slow:
        world.publish(service("a"))
        assert line(world, "conn.held")["waiting"] == 1
        assert complete(world).outcome is Outcome.INCONCLUSIVE
        slow.allow(60_000)
        line(world, "conn.let_out")
        assert complete(world).outcome is Outcome.PASS


def ask(world: World, connection: socket.socket) -> None:
    query = urlencode({"query": "sequenceID>1", "sort": "sequenceID,ASC"})
    connection.sendall(
        f"GET /events{TOPIC}?{query} HTTP/1.1\r\nHost: fake\r\nAuthorization: Bearer {world.token}\r\n"
        f"X-Axway-Tenant-Id: {world.tenant}\r\n\r\n".encode()
    )


def missed(world: World) -> None:
    """A watch breaks, and an event comes that only history has."""
    with Reader(world, window=60_000):
        pass
    line(world, "stream.end")
    world.publish(service("late"))


@pytest.mark.parametrize("abort", [True, False])
def test_a_page_on_a_connection_that_is_reset_may_not_have_come(world: World, abort: bool) -> None:
    missed(world)
    with raw(world.address) as connection:
        ask(world, connection)
        assert line(world, "http.request")["sequences"]
        world.close_connections(abort=abort)
        assert complete(world).outcome is (Outcome.INCONCLUSIVE if abort else Outcome.PASS)


def test_a_page_before_another_question_on_its_connection_has_come(world: World) -> None:
    missed(world)
    with raw(world.address) as connection:
        for _ in range(2):
            ask(world, connection)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        world.close_connections()
        assert complete(world).outcome is Outcome.PASS


def test_history_that_is_ill_to_the_end_is_not_the_fault_of_a_client_that_goes_on_asking(world: World) -> None:
    world.arm(parse_fault({"name": "ill", "on": "harvest", "do": {"http_error": {"status": 503}}}))
    missed(world)
    with raw(world.address) as connection:
        assert complete(world).outcome is Outcome.FAIL
        for _ in range(3):
            ask(world, connection)
            assert connection.recv(65_536).startswith(b"HTTP/1.1 503")
        verdict = complete(world)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert "history" in verdict.message
        world.disarm("ill")
        ask(world, connection)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200")
        assert complete(world).outcome is Outcome.PASS
