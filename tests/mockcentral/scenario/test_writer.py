"""Scenarios as YAML again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
import yaml
from hypothesis import given, settings

from mockcentral import strategies
from mockcentral._core.events import parse_change
from mockcentral.scenario import catalogue
from mockcentral.scenario.load import dumps, load, loads, parse_fault, parse_scenario, parse_topic
from mockcentral.scenario.schema import Attempt, FaultRule, Scenario, Topic, Traffic


@settings(deadline=None, max_examples=80)
@given(strategies.scenarios())
def test_a_written_scenario_reads_back_to_an_equal_one(scenario: Scenario) -> None:
    assert loads(dumps(scenario)) == scenario


@settings(deadline=None)
@given(strategies.topics())
def test_a_written_topic_reads_back_to_an_equal_one(topic: Topic) -> None:
    assert parse_topic(yaml.safe_load(dumps(topic))) == topic


@settings(deadline=None)
@given(strategies.events())
def test_a_written_event_reads_back_to_an_equal_one(event: Mapping[str, Any]) -> None:
    assert parse_change(yaml.safe_load(dumps(event))) == parse_change(event)


@settings(deadline=None)
@given(strategies.fault_rules())
def test_a_written_fault_reads_back_to_an_equal_one(rule: FaultRule) -> None:
    assert parse_fault(yaml.safe_load(dumps(rule))) == rule


@settings(deadline=None)
@given(strategies.traffic(), strategies.attempts())
def test_written_traffic_and_attempts_read_back_to_equal_ones(line: Traffic, attempt: Attempt) -> None:
    scenario = parse_scenario(
        yaml.safe_load(f"scenario: x\nabout: y\ntraffic: {_list(line)}attempts: {_list(attempt)}")
    )
    assert (scenario.traffic, scenario.attempts) == ((line,), (attempt,))


def _list(part: Traffic | Attempt) -> str:
    return f"\n- {dumps(part).removesuffix('...' + chr(10)).rstrip().replace(chr(10), chr(10) + '  ')}\n"


@pytest.mark.parametrize("name", catalogue.names())
def test_a_built_in_scenario_survives_being_written(name: str) -> None:
    assert loads(dumps(load(name))) == load(name)


@settings(deadline=None)
@given(strategies.texts().filter(bool))
def test_any_text_survives_being_written(text: str) -> None:
    assert loads(dumps(Scenario(scenario="x", about=text))).about == text


def test_defaults_are_left_out() -> None:
    assert dumps(Scenario(scenario="x", about="y")) == "{scenario: x, about: y}\n"
