"""The published JSON Schema agrees with the reader."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mockcentral import strategies
from mockcentral.scenario import catalogue, json_schema, nodes
from mockcentral.scenario.load import ScenarioError, dumps, load, parse_fault, parse_scenario
from mockcentral.scenario.schema import FaultRule, Scenario
from mockcentral.scenario.writer import plain

SCHEMA = json_schema.schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def test_it_is_a_schema_of_its_draft() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    jsonschema.Draft202012Validator.check_schema(json_schema.fault_schema())


def test_the_published_file_is_the_schema() -> None:
    """`python -m mockcentral schema > scenarios/scenario.schema.json` mends it."""
    assert json.loads((catalogue.directory() / "scenario.schema.json").read_text(encoding="utf-8")) == SCHEMA


@pytest.mark.parametrize("name", catalogue.names())
def test_a_built_in_scenario_is_valid(name: str) -> None:
    (tree,) = nodes.documents(nodes.read_text(catalogue.find(name)), name)
    VALIDATOR.validate(nodes.plain(tree))
    VALIDATOR.validate(plain(load(name)))


@settings(deadline=None, max_examples=60)
@given(strategies.scenarios())
def test_what_the_reader_accepts_the_schema_accepts(scenario: Scenario) -> None:
    (tree,) = nodes.documents(dumps(scenario), "")
    VALIDATOR.validate(nodes.plain(tree))
    VALIDATOR.validate(plain(scenario))


@settings(deadline=None, max_examples=40)
@given(strategies.fault_rules())
def test_the_schema_of_a_fault_rule_is_that_of_the_control_api(rule: FaultRule) -> None:
    data = plain(rule)
    jsonschema.Draft202012Validator(json_schema.fault_schema()).validate(data)
    assert parse_fault(data) == rule


ANYTHING = {"spec", "attributes", "subresources", "value"}
"""Keys of a rule's steps that hold whatever a resource may hold."""


def _places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values below the top that have a shape to keep to."""
    if path[:1] == ("rules",) and path[-1] in ANYTHING:
        return
    if path:
        yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from _places(value, (*path, key))


def _at(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        data = data[step]
    return data


def _refused_by_both(data: Any) -> None:
    with pytest.raises(ScenarioError):
        parse_scenario(data)
    with pytest.raises(jsonschema.ValidationError):
        VALIDATOR.validate(data)


@settings(deadline=None, max_examples=80)
@given(strategies.scenarios(), st.data())
def test_a_value_of_the_wrong_shape_is_refused_by_both(scenario: Scenario, draw: st.DataObject) -> None:
    data = copy.deepcopy(plain(scenario))
    *above, last = draw.draw(st.sampled_from(list(_places(data))))
    _at(data, tuple(above))[last] = draw.draw(st.sampled_from([{"no-such-key": 1}, [["no-such-word"]], -3.5]))
    _refused_by_both(data)


@settings(deadline=None, max_examples=60)
@given(strategies.scenarios(), st.data())
def test_an_unknown_key_is_refused_by_both(scenario: Scenario, draw: st.DataObject) -> None:
    data = copy.deepcopy(plain(scenario))
    mappings = [path for path in [(), *_places(data)] if isinstance(_at(data, path), dict)]
    _at(data, draw.draw(st.sampled_from(mappings)))["no-such-key"] = 1
    _refused_by_both(data)


@settings(deadline=None, max_examples=60)
@given(strategies.scenarios(), st.data())
def test_a_missing_key_is_refused_by_both_or_by_neither(scenario: Scenario, draw: st.DataObject) -> None:
    data = copy.deepcopy(plain(scenario))
    paths = [path for path in _places(data) if isinstance(_at(data, path[:-1]), dict)]
    *above, last = draw.draw(st.sampled_from(paths))
    mapping = _at(data, tuple(above))
    del mapping[last]
    try:
        parse_scenario(data)
    except ScenarioError as error:
        # Only the reader knows that 200 needs no company and 301 does, and what belongs together in a rule.
        only = ("is no error", "waits for one thing", "say with `resource`", "changes nothing", "is only updated")
        assume(not any(words in str(error) for words in only))
        with pytest.raises(jsonschema.ValidationError):
            VALIDATOR.validate(data)
    else:
        VALIDATOR.validate(data)


@pytest.mark.parametrize(
    "change",
    [
        {"seed": 1.5},
        {"seed": -1},
        {"about": ""},
        {"scenario": "No Spaces"},
        {"level": "basic"},
        {"world": {"tenant": 5}},
        {"world": {"token": {"life": 30}}},
        {"world": {"token": {"life": "30"}}},
        {"world": {"log": {"step": "5..x"}}},
        {"topics": [{"name": "a/b", "filters": [{"kind": "X"}]}]},
        {"topics": [{"name": "a", "filters": []}]},
        {"faults": [{"name": "x", "on": "pong", "do": "close"}]},
        {"faults": [{"name": "x", "on": "ping(0)", "do": "close"}]},
        {"faults": [{"name": "x", "on": "start(2)", "do": "close"}]},
        {"faults": [{"name": "x", "on": "start", "do": "restart"}]},
        {"faults": [{"name": "x", "on": "start", "do": {"end_status": 14}}]},
        {"faults": [{"name": "x", "on": "start", "do": {"close": {}, "abort": {}}}]},
        {"rules": [{"name": "x", "on": "start"}]},
        {"rules": [{"name": "x", "on": "start", "then": []}]},
        {"rules": [{"name": "x", "on": "start", "then": ["create"]}]},
        {"rules": [{"name": "x", "on": "start", "then": ["put"]}]},
        {"rules": [{"name": "x", "when": {"kind": "X", "type": ["made"]}, "then": ["delete"]}]},
        {"rules": [{"name": "x", "when": {"kind": "X"}, "then": ["delete"], "times": 0}]},
        {"rules": [{"name": "x", "when": {"kind": "X"}, "then": [{"set": {"subresource": "a"}}]}]},
        {"rules": [{"name": "x", "when": {"kind": "X"}, "then": [{"update": {"spec": []}}]}]},
        {"attempts": ["fine"]},
        {"attempts": [{}]},
        {"attempts": [{"abort_after": {"code": "OK"}}]},
        {"attempts": [{"abort_after": {"events": None}}]},
        {"expect": ["orderd"]},
        {"expect": [{"reconnects": {"within": 5}}]},
    ],
)
def test_a_wrong_value_is_refused_by_both(change: dict[str, Any]) -> None:
    _refused_by_both({"scenario": "x", "about": "y", **change})
