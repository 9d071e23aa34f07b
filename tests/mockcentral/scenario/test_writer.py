"""Scenarios as YAML again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mockcentral import strategies
from mockcentral.scenario import catalogue
from mockcentral.scenario.load import dumps, load, loads
from mockcentral.scenario.schema import Scenario


@settings(deadline=None, max_examples=80)
@given(strategies.scenarios())
def test_a_written_scenario_reads_back_to_an_equal_one(scenario: Scenario) -> None:
    assert loads(dumps(scenario)) == scenario


@pytest.mark.parametrize("name", catalogue.names())
def test_a_built_in_scenario_survives_being_written(name: str) -> None:
    assert loads(dumps(load(name))) == load(name)


@settings(deadline=None)
@given(strategies.texts().filter(bool))
def test_any_text_survives_being_written(text: str) -> None:
    assert loads(dumps(Scenario(scenario="x", about=text))).about == text


def test_defaults_are_left_out() -> None:
    assert dumps(Scenario(scenario="x", about="y")) == "{scenario: x, about: y}\n"
