"""What a fault rule says of its moments can be, or is a mistake with its file and line."""

from __future__ import annotations

from random import Random

import pytest

from mockcentral.scenario.load import ScenarioError, dumps, loads
from mockcentral.sim.storms import storm

HEAD = "scenario: x\nabout: y\nneeds: [wire]\nfaults:\n"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (
            "on: connect(1), given: [connect(2)]",
            "given: `connect(2)` comes after connect(1): tie the rule to connect(2+)",
        ),
        ("on: start, given: [connect]", "given: `connect` comes after start: tie the rule to a later moment"),
        ("on: start, times: 5", "times: start comes once: leave `times` out"),
        ("on: connect(3), times: 5", "times: connect(3) comes once: leave `times` out, or tie the rule to connect(3+)"),
        ("on: stream_open(2), during: 1", "during: at stream_open(2) the newest watch call is number 2, never 1"),
        (
            "on: stream_open(9+), during: 2..3",
            "during: at stream_open(9+) the newest watch call is number 9 or a later one, never 2..3",
        ),
        (
            "on: subscribe(2), during: 1",
            "during: at subscribe(2) the newest watch call is number 2 or a later one, never 1",
        ),
        (
            "on: preface(1), during: 1",
            "during: at preface(1) there was no watch call yet, so never number 1: leave `during` out",
        ),
    ],
)
def test_what_can_never_come_true_is_a_mistake(rule: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        loads(f"{HEAD}  - {{name: f, {rule}, do: close}}\n", "f.yaml")
    assert str(caught.value) == f"f.yaml:5: {says}"


@pytest.mark.parametrize(
    "rule",
    [
        "on: connect(2), given: [connect(1), connect(2)]",
        "on: connect, given: [connect(2)]",
        "on: connect(1+), given: [connect(2)]",
        "on: event(1), given: [event(2)]",  # of another call
        "on: page(1), given: [page(2)]",
        "on: event(3), times: 5",  # of each call
        "on: ping(3), times: 5",
        "on: page(2), times: 5",
        "on: connect(3), times: 1",
        "on: connect(3+), times: 5",
        "on: stream_open(2), during: 2",
        "on: stream_open(2+), during: 5",
        "on: subscribe(2), during: 5",
        "on: connect(2), during: 1",
        "on: stream_end(1), during: 3",
        "on: stream_open(1), given: [stream_end]",  # a call of another method may end before
    ],
)
def test_what_may_come_true_is_none(rule: str) -> None:
    loads(f"{HEAD}  - {{name: f, {rule}, do: close}}\n", "f.yaml")


@pytest.mark.parametrize(
    ("on", "do", "says"),
    [
        ("harvest", "{http_trickle: {every: 0, pieces: 1}}", "http_trickle: nothing would change: give a pause"),
        ("ping", "{ping_ack: 0}", "ping_ack: nothing would change: give a delay"),
    ],
)
def test_a_fault_that_changes_nothing_is_a_mistake(on: str, do: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        loads(f"{HEAD}  - {{name: f, on: {on}, do: {do}}}\n", "f.yaml")
    assert str(caught.value).startswith(f"f.yaml:5: {says}")


def test_every_storm_may_stand_in_a_file() -> None:
    for seed in range(200):
        scenario, _ = storm(Random(seed).randint)
        assert loads(dumps(scenario)) == scenario
