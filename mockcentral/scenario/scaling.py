"""The same scenario on a faster or slower clock.

What the fake does is scaled: every duration and range of durations of the scenario. What is expected of the client is
not: its clock is the real one, and so is its patience.
"""

from __future__ import annotations

import dataclasses
import math
import typing
from typing import Any

from mockcentral.scenario.fields import hints_of
from mockcentral.scenario.schema import Expectation, FaultRule, Scenario, Traffic
from mockcentral.scenario.types import Duration, Span


def scaled(scenario: Scenario, factor: float) -> Scenario:
    """A scenario with every duration of the fake divided by `factor`. Raises ValueError unless that is above 0."""
    if not (math.isfinite(factor) and factor > 0):
        raise ValueError(f"a time scale is a number above 0, not {factor!r}")
    result: Scenario = _scaled(scenario, None, factor)
    return result


def scaled_rule(rule: FaultRule, factor: float) -> FaultRule:
    """One fault rule with its durations, and those of its fault, divided by `factor`."""
    result: FaultRule = _scaled(rule, None, factor)
    return result


def scaled_traffic(line: Traffic, factor: float) -> Traffic:
    """One line of traffic with its pauses divided by `factor`."""
    result: Traffic = _scaled(line, None, factor)
    return result


def _scaled(value: Any, annotation: Any, factor: float) -> Any:
    if value is None or isinstance(value, Expectation):
        return value
    if annotation is Duration or Duration in typing.get_args(annotation):
        return Duration(value / factor)
    if isinstance(value, Span):
        return Span(value.low / factor, value.high / factor)
    if isinstance(value, tuple):
        return tuple(_scaled(item, None, factor) for item in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        hints = hints_of(type(value))
        changed = {
            field.name: _scaled(getattr(value, field.name), hints[field.name], factor)
            for field in dataclasses.fields(value)
        }
        return dataclasses.replace(value, **changed)
    return value
