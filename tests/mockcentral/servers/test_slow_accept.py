"""A connection that is left alone for a while after accept: nothing it does is heard before that is over."""

from __future__ import annotations

import socket

from mockcentral import World
from mockcentral.scenario.load import parse_fault
from tests.mockcentral.clients import PATIENCE, raw


def test_an_end_that_comes_at_once_is_not_heard_before_a_slow_accept_is_over() -> None:
    with World() as world:
        world.arm(parse_fault({"name": "slow", "on": "connect", "do": {"slow_accept": "60ms"}, "times": 1}))
        with raw(world.address) as connection:
            connection.shutdown(socket.SHUT_WR)
            closed = world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
        [struck] = [record for record in world.journal() if record["kind"] == "fault.triggered"]
        assert closed["t"] - struck["t"] >= 0.059
        assert (closed["by"], closed["reason"]) == ("client", "closed")
        assert world.faults()[0]["on_wire"] == 1
