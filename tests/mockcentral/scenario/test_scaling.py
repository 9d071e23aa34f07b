"""The same scenario on another clock."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral import strategies
from mockcentral.faults.ping_ack import PingAck
from mockcentral.faults.restart import RestartServer
from mockcentral.scenario.load import loads, scaled
from mockcentral.scenario.schema import Scenario
from mockcentral.scenario.types import Duration, Span

TEXT = """
scenario: x
about: y
world:
  token: {life: 30s}
  log: {keep_for: 1h, keep: 500, step: 2..4}
  ping: {every: 10s}
traffic:
  - {every: 100ms..200ms, after: 1s, count: 10, publish: {kind: X}}
faults:
  - {name: a, on: ping, ttl: 1m, do: {ping_ack: {delay: 12s}}}
  - {name: b, on: event, after: 2s, times: 2, probability: 0.5, do: {restart: 2s}}
attempts: [ok, {abort_after: {events: 4, time: 1s..2s}}]
expect: [{reconnects: {within: 10s}}]
"""


def test_every_duration_of_the_fake_is_divided_and_nothing_else() -> None:
    scenario = loads(TEXT)
    fast = scaled(scenario, 10)
    assert (fast.world.token.life, fast.world.ping.every, fast.world.log.keep_for) == (3.0, 1.0, 360.0)
    assert fast.world.log == loads(TEXT.replace("1h", "6m")).world.log
    (line,) = fast.traffic
    assert (line.every, line.after, line.count) == (Span(0.01, 0.02), Span(0.1, 0.1), 10)
    ping, restart = fast.faults
    assert (ping.ttl, ping.do) == (6.0, PingAck(delay=Duration(1.2)))
    assert (restart.after, restart.times, restart.probability) == (Span(0.2, 0.2), 2, 0.5)
    assert restart.do == RestartServer(down_for=Span(0.2, 0.2))
    abort = fast.attempts[1].abort_after
    assert abort is not None
    assert (abort.events, abort.time) == (4, Span(0.1, 0.2))


def test_what_is_expected_of_the_client_is_left_alone() -> None:
    scenario = loads(TEXT)
    assert scaled(scenario, 10).expect == scenario.expect


@settings(deadline=None, max_examples=50)
@given(strategies.scenarios())
def test_scaling_by_one_changes_nothing_and_by_two_and_back_neither(scenario: Scenario) -> None:
    assert scaled(scenario, 1.0) == scenario
    assert scaled(scaled(scenario, 2.0), 0.5) == scenario


@given(st.sampled_from([0.0, -1.0, float("nan"), float("inf")]))
def test_a_scale_that_is_no_scale_is_refused(factor: float) -> None:
    with pytest.raises(ValueError, match="a time scale is a number above 0"):
        scaled(Scenario(scenario="x", about="y"), factor)
