"""World time stands still and jumps; durations are scaled while the world runs."""

from __future__ import annotations

import pytest

from mockcentral._core.actions import EndCall
from mockcentral._core.clock import WorldClock
from mockcentral._core.tokens import Worth
from mockcentral.scenario.schema import PingSettings, Publish, Scenario, TokenSettings, Traffic, WorldSettings
from mockcentral.scenario.types import Anchor, Duration, Span
from tests.mockcentral._core.rig import WALL, Rig, rule


def test_a_clock_counts_from_its_start() -> None:
    clock = WorldClock(1000.0)
    assert (clock.now(1000.0), clock.now(1002.5)) == (0.0, 2.5)


def test_a_frozen_clock_stands_still_and_goes_on_from_there() -> None:
    clock = WorldClock(0.0)
    clock.freeze(5.0)
    clock.freeze(6.0)  # twice is once
    assert (clock.now(100.0), clock.frozen, clock.elapsed(100.0)) == (5.0, True, 100.0)
    clock.thaw(100.0)
    clock.thaw(101.0)
    assert (clock.now(103.0), clock.frozen) == (8.0, False)


def test_a_clock_jumps_ahead_running_or_not_and_never_back() -> None:
    clock = WorldClock(0.0)
    clock.advance(10.0)
    assert clock.now(1.0) == 11.0
    clock.freeze(1.0)
    clock.advance(10.0)
    assert clock.now(50.0) == 21.0
    clock.thaw(50.0)
    assert clock.now(51.0) == 22.0
    with pytest.raises(ValueError, match="cannot go back by 1 s"):
        clock.advance(-1.0)


def test_what_is_planned_comes_sooner_when_a_world_gets_faster() -> None:
    rules = (rule("late", "publish", EndCall(0, 14), after=Span(100.0, 100.0), times=1),)
    rig = Rig(Scenario(scenario="x", about="y", faults=rules))
    call = rig.watch()
    rig.publish()
    rig.at(10.0)
    rig.central.rescale(10.0, 10.0)  # 90 s are left: 9 s now
    rig.at(18.9)
    assert call in rig.central.calls
    rig.at(19.0)
    assert call not in rig.central.calls


def test_pauses_of_rules_and_traffic_and_intervals_are_scaled_together() -> None:
    traffic = (Traffic(publish=Publish(kind="APIService"), count=3, every=Span(100.0, 100.0), on=Anchor("start")),)
    faults = (rule("r", "ping", after=Span(50.0, 50.0), ttl=Duration(1000.0)),)
    rig = Rig(
        Scenario(
            scenario="x",
            about="y",
            traffic=traffic,
            faults=faults,
            world=WorldSettings(token=TokenSettings(life=Duration(3600.0)), ping=PingSettings(every=Duration(30.0))),
        )
    )
    rig.watch(capabilities=("ping",))
    rig.at(0.0)
    rig.central.rescale(10.0, 0.0)
    rig.at(21.0)
    assert [record["t"] for record in rig.records("event.published")] == [0.0, 10.0, 20.0]
    assert [record["t"] for record in rig.records("stream.event", op="PING")] == [3.0, 6.0, 9.0, 12.0, 15.0, 18.0, 21.0]
    [armed] = rig.central.rules
    assert (armed.after, armed.ttl) == (Span(5.0, 5.0), 100.0)
    assert rig.central.settings.token.life == 360.0
    rig.at(100.0)
    assert rig.central.rules == ()


def test_a_token_keeps_its_exp_whatever_the_pace() -> None:
    rig = Rig()
    token = rig.token(life=100.0)
    call = rig.watch(token=token)
    rig.central.rescale(10.0, 0.0)
    rig.at(99.0)
    assert call in rig.central.calls
    rig.at(100.0)
    assert call not in rig.central.calls
    assert rig.central.tokens.judge(token, WALL + 99.0).worth is Worth.GOOD


def test_back_to_the_old_pace_is_where_it_began() -> None:
    rig = Rig(Scenario(scenario="x", about="y", world=WorldSettings(token=TokenSettings(life=Duration(77.7)))))
    rig.central.rescale(8.0, 0.0)
    rig.central.rescale(1 / 8.0, 5.0)
    assert rig.central.settings.token.life == pytest.approx(77.7)
