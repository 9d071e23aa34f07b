"""When faults strike: counted, drawn and paused, each rule for itself."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.actions import Action, BlackHole, PurgeLog
from mockcentral._core.director import Director
from mockcentral.faults.base import Moment
from mockcentral.scenario.schema import FaultRule
from mockcentral.scenario.types import Anchor, CountSpan, Duration, Span
from tests.mockcentral._core.rig import Do, rule


def struck(director: Director, count: int, *, anchor: str = "ping", pace: float = 0.0) -> list[int]:
    """The occurrences, out of so many, at which something struck at once."""
    return [n for n in range(1, count + 1) if director.observe(anchor, n, n * pace)]


def armed(*rules: FaultRule, seed: int = 1) -> Director:
    director = Director(seed)
    for one in rules:
        director.arm(one, 0.0)
    return director


@pytest.mark.parametrize(
    ("nth", "onwards", "expected"), [(None, False, [1, 2, 3, 4]), (3, False, [3]), (3, True, [3, 4])]
)
def test_an_anchor_means_each_one_one_of_them_or_all_from_one_on(
    nth: int | None, onwards: bool, expected: list[int]
) -> None:
    assert struck(armed(rule("r", "ping", nth=nth, onwards=onwards)), 4) == expected


def test_a_rule_does_not_strike_at_other_anchors() -> None:
    director = armed(rule("r", "ping"))
    assert struck(director, 3, anchor="connect") == []
    assert "ping" in director.anchors
    assert "connect" not in director.anchors


def test_times_bounds_how_often_it_strikes() -> None:
    director = armed(rule("r", "ping", times=2))
    assert struck(director, 5) == [1, 2]
    assert director.fired("r") == 2


def test_a_ttl_disarms_it_after_a_while() -> None:
    assert struck(armed(rule("r", "ping", ttl=Duration(2.5))), 5, pace=1.0) == [1, 2]


def test_a_rule_may_be_for_some_watch_calls_only() -> None:
    director = armed(rule("r", "ping", during=CountSpan(2, 3)))
    assert [n for n in range(6) if director.observe("ping", 1, 0.0, attempt=n)] == [2, 3]


def test_a_strike_tells_its_rule_its_moment_and_its_actions() -> None:
    director = armed(rule("r", "ping", BlackHole(3)))
    [strike] = director.observe("ping", 1, 0.0, connection=3, call=4)
    assert strike.rule.name == "r"
    assert strike.moment == Moment("ping", 1, 3, 4)
    assert strike.actions == (BlackHole(3),)


def test_a_pause_plans_the_strike_and_the_deadline_says_when() -> None:
    director = armed(rule("late", "ping", after=Span(5.0, 5.0)), rule("soon", "ping", after=Span(2.0, 2.0)))
    assert director.deadline() is None
    assert director.observe("ping", 1, 10.0) == []
    assert director.deadline() == 12.0
    assert list(director.due(11.9)) == []
    assert [(strike.rule.name, strike.planned) for strike in director.due(20.0)] == [("soon", 12.0), ("late", 15.0)]
    assert director.deadline() is None


def test_planned_strikes_of_the_same_moment_keep_their_order() -> None:
    rules = [rule(f"r{n}", "ping", after=Span(1.0, 1.0)) for n in range(20)]
    director = armed(*rules)
    director.observe("ping", 1, 0.0)
    assert [strike.rule.name for strike in director.due(1.0)] == [one.name for one in rules]


def test_disarming_takes_back_what_was_planned_and_says_whether_there_was_a_rule() -> None:
    director = armed(rule("a", "ping", after=Span(1.0, 1.0)), rule("b", "ping", after=Span(1.0, 1.0)))
    director.observe("ping", 1, 0.0)
    assert director.disarm("a")
    assert not director.disarm("a")
    assert [strike.rule.name for strike in director.due(9.0)] == ["b"]
    assert struck(director, 1, anchor="ping") == []  # b plans again, nothing at once
    assert [one.name for one in director.rules] == ["b"]


def test_arming_a_name_again_replaces_the_rule_and_starts_its_count_afresh() -> None:
    director = armed(rule("r", "ping", times=1))
    assert struck(director, 3) == [1]
    director.arm(rule("r", "connect", times=1), 5.0)
    assert struck(director, 3) == []
    assert struck(director, 3, anchor="connect") == [1]
    assert "ping" not in director.anchors


def test_a_strike_that_hit_nothing_may_happen_once_more() -> None:
    director = armed(rule("r", "ping", times=1))
    [strike] = director.observe("ping", 1, 0.0)
    director.missed(strike)
    assert director.fired("r") == 0
    assert struck(director, 2) == [1]
    director.disarm("r")
    director.missed(strike)  # of a rule that is gone: nothing happens


def draws(moment: Moment, random: Random) -> list[Action]:
    return [PurgeLog(int(random.random() * 10**9))]


def run(director: Director, count: int = 60) -> dict[str, list[Any]]:
    """Everything each rule did: when it struck and what it drew."""
    told: dict[str, list[Any]] = {one.name: [] for one in director.rules}
    for nth in range(1, count + 1):
        for strike in [*director.observe("event", nth, float(nth)), *director.due(float(nth))]:
            told[strike.rule.name].append((nth, strike.moment.nth, strike.actions))
    return told


def random_rules(count: int) -> list[FaultRule]:
    return [
        FaultRule(
            name=f"r{n}",
            on=Anchor("event"),
            do=Do(what=draws),
            probability=0.4,
            after=Span(0.0, 3.0) if n % 2 else Span(0, 0),
        )
        for n in range(count)
    ]


def test_the_same_seed_strikes_at_the_same_moments_with_the_same_draws() -> None:
    rules = random_rules(4)
    assert run(armed(*rules, seed=5)) == run(armed(*rules, seed=5))
    assert run(armed(*rules, seed=5)) != run(armed(*rules, seed=6))


def test_a_probability_strikes_about_that_often() -> None:
    director = armed(rule("r", "ping", probability=0.25))
    assert 400 < len(struck(director, 2000)) < 600
    assert struck(armed(rule("r", "ping", probability=0.0)), 100) == []
    assert len(struck(armed(rule("r", "ping", probability=1.0)), 100)) == 100


@given(st.integers(0, 2**63 - 1), st.integers(0, 4), st.integers(1, 5))
@settings(deadline=None, max_examples=30)
def test_adding_a_rule_shifts_nothing_for_the_others(seed: int, position: int, count: int) -> None:
    rules = random_rules(count)
    extra = FaultRule(name="extra", on=Anchor("event"), do=Do(what=draws), probability=0.5)
    more = [*rules[:position], extra, *rules[position:]]
    with_extra = run(armed(*more, seed=seed))
    with_extra.pop("extra")
    assert with_extra == run(armed(*rules, seed=seed))
