"""When a run is over."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from mockcentral.conformance.pace import Pace, awaits, faults_spent, is_news, lab_is_over, long_quiet
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.faults.abort import Abort
from mockcentral.faults.noop import Noop
from mockcentral.scenario.expectations import AnswersPings, Reconnects, RefreshesToken
from mockcentral.scenario.schema import (
    AbortAfter,
    Attempt,
    FaultRule,
    Lab,
    Publish,
    Scenario,
    TokenSettings,
    Traffic,
    WorldSettings,
)
from mockcentral.scenario.types import Anchor, Duration, Span
from tests.mockcentral.conformance.journals import Tape

PLAIN = Scenario(scenario="test", about="test")
PACE = Pace(long_quiet=10.0, timeout=100.0, first_contact=60.0, short_quiet=0.5)
GOOD: dict[str, Any] = {"elapsed": 5.0, "quiet": 0.6, "contact": True, "planned": True, "awaiting": False}


@pytest.mark.parametrize(
    ("change", "over"),
    [
        ({}, True),
        ({"quiet": 0.4}, False),
        ({"planned": False}, False),
        ({"awaiting": True}, False),
        ({"awaiting": True, "quiet": 9.9}, False),
        ({"awaiting": True, "quiet": 10.0}, True),
        ({"planned": False, "quiet": 10.0}, True),
        ({"awaiting": True, "quiet": 0.0, "elapsed": 99.9}, False),
        ({"awaiting": True, "quiet": 0.0, "elapsed": 100.0}, True),
        ({"contact": False, "quiet": 50.0, "elapsed": 50.0}, False),
        ({"contact": False, "quiet": 60.0, "elapsed": 60.0}, True),
    ],
)
def test_a_run_is_over_when_nothing_can_change_or_nothing_happens(change: dict[str, Any], over: bool) -> None:
    why = PACE.over(**{**GOOD, **change})
    assert (why is not None) is over
    assert bool(why) is (over and bool(change)), "only the good end needs no words"


@pytest.mark.parametrize(
    ("tape", "news"),
    [
        (Tape().ping(1, "a"), False),
        (Tape().send(1, 5), True),
        (Tape().subscribe(1), True),
        (Tape().refresh(1), False),
        (Tape().pong(1, "a"), False),
        (Tape().harvest(3), False),
        (Tape().harvest(3, 4), True),
        (Tape().harvest(3, status=410), False),
        (Tape().http2_ping(1, 1, "acked"), False),
        (Tape().close(1), False),
        (Tape().apply(1), True),
        (Tape().end(1), True),
        (Tape().publish(1), True),
    ],
)
def test_only_what_changes_something_is_news(tape: Tape, news: bool) -> None:
    assert is_news(tape.lines[-1]) is news


def test_only_a_verdict_that_may_still_change_is_awaited() -> None:
    def verdict(check: str, outcome: Outcome) -> list[Verdict]:
        return [Verdict(check, outcome, "MUST", "")]

    assert not awaits(verdict("complete", Outcome.PASS))
    assert awaits(verdict("complete", Outcome.FAIL)), "the missing event may still come"
    assert awaits(verdict("complete", Outcome.INCONCLUSIVE))
    assert not awaits(verdict("unique", Outcome.FAIL)), "what was applied twice stays so"
    assert not awaits(verdict("ordered", Outcome.SKIPPED))
    assert not awaits(verdict("faults_reached_the_wire", Outcome.INCONCLUSIVE)), "the faults are watched themselves"


def test_faults_are_spent_when_each_struck_as_often_as_it_may() -> None:
    rule = FaultRule(name="cut", on=Anchor("stream_open"), times=2, do=Abort())
    scenario = replace(PLAIN, faults=(rule,))
    assert faults_spent(PLAIN, [])
    assert not faults_spent(scenario, [])
    once = Tape().fault("cut", "abort", "armed", "triggered", "on_wire")
    assert not faults_spent(scenario, once.lines)
    assert faults_spent(scenario, once.fault("cut", "abort", "triggered").lines)
    assert faults_spent(replace(PLAIN, faults=(replace(rule, times=None),)), once.lines)
    assert not faults_spent(scenario, Tape().fault("cut", "abort", "triggered", "triggered").lines), "never on the wire"


def test_a_noop_is_spent_when_it_struck() -> None:
    scenario = replace(PLAIN, faults=(FaultRule(name="mark", on=Anchor("stream_open"), times=1, do=Noop()),))
    assert not faults_spent(scenario, Tape().fault("mark", "noop", "armed").lines)
    assert faults_spent(scenario, Tape().fault("mark", "noop", "armed", "triggered").lines)


def test_the_long_quiet_is_longer_than_anything_the_scenario_plans() -> None:
    assert 5 < long_quiet(PLAIN, 1.0) < 10
    assert long_quiet(replace(PLAIN, expect=(Reconnects(within=Duration(30.0)),)), 1.0) > 30
    assert long_quiet(replace(PLAIN, expect=(Reconnects(within=Duration(30.0)),)), 10.0) > 30, "clients are not scaled"
    slow = Traffic(publish=Publish(kind="APIService"), every=Span(1.0, 20.0))
    assert long_quiet(replace(PLAIN, traffic=(slow,)), 1.0) > 20
    assert long_quiet(replace(PLAIN, traffic=(slow,)), 10.0) < 10, "the fake is"
    cut = Attempt(abort_after=AbortAfter(time=Span(1.0, 30.0)))
    assert long_quiet(replace(PLAIN, attempts=(Attempt(), Attempt(abort_after=AbortAfter(events=2)), cut)), 1.0) > 30
    life = WorldSettings(token=TokenSettings(life=Duration(40.0)))
    assert long_quiet(replace(PLAIN, world=life), 1.0) < 10
    assert long_quiet(replace(PLAIN, world=life, expect=(RefreshesToken(),)), 1.0) > 40
    assert long_quiet(replace(PLAIN, expect=(AnswersPings(),)), 1.0) > 30


def test_a_lab_is_over_when_its_last_rule_struck_and_waits_longer_than_any_backoff() -> None:
    lab = replace(PLAIN, faults=(FaultRule(name="done", on=Anchor("ping"), do=Noop()),), lab=Lab(over="done"))
    assert not lab_is_over(lab, Tape().fault("other", "noop", "armed", "triggered").lines)
    assert not lab_is_over(lab, Tape().fault("done", "noop", "armed").lines)
    assert lab_is_over(lab, Tape().fault("done", "noop", "armed", "triggered").lines)
    assert not lab_is_over(PLAIN, Tape().fault("done", "noop", "triggered").lines)
    assert long_quiet(lab, 100.0) > 60.0 > long_quiet(PLAIN, 1.0)
