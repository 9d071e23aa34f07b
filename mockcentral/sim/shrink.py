"""Making a failing run smaller: less of everything, as long as the same promise breaks.

Works on the data alone, so it does not matter who made the run: Hypothesis, a person, or a journal. Greedy: the first
smaller run that still fails is the next one to be made smaller, until none is or `most` runs were played.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from mockcentral.scenario.errors import ScenarioError
from mockcentral.scenario.load import parse_scenario
from mockcentral.scenario.schema import Scenario
from mockcentral.scenario.types import CountSpan, Span
from mockcentral.scenario.writer import plain
from mockcentral.sim.plan import Plan

T = TypeVar("T")
Run = tuple[Scenario, Plan]
_KEPT = {"scenario", "about", "seed", "topics", "name", "on", "do", "until"}
"""Fields that say what a run is about, not how big it is."""


def shrink(run: Run, fails: Callable[[Run], bool], *, most: int = 2000) -> tuple[Run, int]:
    """The smallest run found that still fails in the same way, and how many were played to find it.

    `fails` plays a run and tells whether it breaks the promise in question. The given run has to.
    """
    played = 0
    progress = True
    while progress:
        progress = False
        for candidate in smaller(run):
            if played >= most:
                return run, played
            if candidate[0] is not run[0] and not _is_valid(candidate[0]):
                continue
            played += 1
            if fails(candidate):
                run, progress = candidate, True
                break
    return run, played


def smaller(run: Run) -> Iterator[Run]:
    """Runs with a little less in them than this one, the boldest steps first."""
    scenario, plan = run
    for happenings in _without(plan.happenings):
        yield scenario, dataclasses.replace(plan, happenings=happenings)
    for name in ("rules", "faults", "attempts", "traffic", "expect"):
        for less in _without(getattr(scenario, name)):
            yield _replaced(scenario, name, less), plan
    ends = max((happening.at for happening in plan.happenings), default=0.0)
    for until in (ends, round(plan.until / 2, 3), float(round(plan.until))):
        if ends <= until < plan.until:
            yield scenario, dataclasses.replace(plan, until=until)
    for less in _dataclass(scenario):
        yield less, plan
    for weather in _dataclass(plan.weather):
        yield scenario, dataclasses.replace(plan, weather=weather)
    for client in _defaults(plan.client):  # a smaller number there is a stranger client, not a simpler one
        yield scenario, dataclasses.replace(plan, client=client)
    for happenings in _tuple(plan.happenings):
        yield scenario, dataclasses.replace(plan, happenings=happenings)


def size(run: Run) -> str:
    """How much there is in a run, in words."""
    scenario, plan = run
    counts = {
        "event": sum(line.count for line in scenario.traffic),
        "fault": len(scenario.faults),
        "scripted attempt": len(scenario.attempts),
        "happening": len(plan.happenings),
    }
    words = [f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items() if count]
    return ", ".join(words) or "nothing but a client"


def _is_valid(scenario: Scenario) -> bool:
    """Whether a file may say this. Asked first: a pause of nothing is an endless run."""
    try:
        return parse_scenario(plain(scenario)) == scenario
    except ScenarioError:
        return False


# ---------------------------------------------------------------------------------------------- less of a value
def _smaller(value: Any) -> Iterator[Any]:
    if isinstance(value, Span):
        yield from (less for less in (Span(0.0, 0.0), Span(value.low, value.low)) if less != value)
    elif isinstance(value, CountSpan):
        yield from (less for less in (CountSpan(1, 1),) if less != value)
    elif isinstance(value, tuple):
        yield from _tuple(value)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        yield from _dataclass(value)
    elif isinstance(value, bool) or value is None:
        return
    elif type(value) is int:
        yield from (less for less in (1, value // 2, value - 1) if 0 < less < value)
    elif isinstance(value, float):
        kind = type(value)
        whole, half = round(value), round(value / 2, 3)
        yield from (kind(less) for less in dict.fromkeys((0.0, float(whole), half)) if 0 <= less < value)


def _without(values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Without all of it, without half, a quarter, …, one."""
    length = len(values)
    while length:
        for begin in range(0, len(values), length):
            yield values[:begin] + values[begin + length :]
        length //= 2


def _tuple(values: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """With less in it; then with one of them smaller."""
    yield from _without(values)
    for number, value in enumerate(values):
        for less in _smaller(value):
            yield (*values[:number], less, *values[number + 1 :])


def _defaults(value: T) -> Iterator[T]:
    """With one field as it is by default."""
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        if getattr(value, field.name) != field.default:
            yield _replaced(value, field.name, field.default)


def _dataclass(value: Any) -> Iterator[Any]:
    """With one field as it is by default, or smaller."""
    for field in dataclasses.fields(value):
        now = getattr(value, field.name)
        if field.name in _KEPT and not dataclasses.is_dataclass(now):
            continue
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        if now == default:
            continue
        if default is not dataclasses.MISSING:
            yield _replaced(value, field.name, default)
        for less in _smaller(now):
            if less != default:
                yield _replaced(value, field.name, less)


def _replaced(value: T, field: str, by: Any) -> T:
    changes: dict[str, Any] = {field: by}
    found: T = dataclasses.replace(value, **changes)  # type: ignore[type-var]
    return found
