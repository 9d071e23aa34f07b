"""Judging a run: every check a scenario asks for, over one reading of the journal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Record
from mockcentral.conformance.checks.registry import CHECKS, RECEIPTS, by_name, judge_receipts
from mockcentral.conformance.verdict import Verdict
from mockcentral.scenario.expectations import EXPECTATIONS
from mockcentral.scenario.schema import Expectation, Scenario

ALWAYS = ("ordered", "unique", "complete", "filterable")
"""What every watch promises, whatever a scenario expects."""


def expected(scenario: Scenario) -> tuple[str, ...]:
    """The names of the checks a run of this scenario is judged by, in the order of the report; a lab judges nothing."""
    if scenario.lab is not None:
        return ()
    asked = [expectation.name for expectation in _settings(scenario).values()]
    return (*ALWAYS, *(name for name in asked if name not in ALWAYS), RECEIPTS)


def judge(
    journal: Sequence[Record], scenario: Scenario, checks: Iterable[str] | None = None, *, now: float | None = None
) -> list[Verdict]:
    """The verdicts of the named checks; without names those of the scenario, the four of every watch and the receipts.

    Bounds come from the scenario's `expect`, else from the check's defaults. They are real seconds: the client under
    test does not live in the fake's scaled time, so hand in the scenario as it was written. Raises ValueError for an
    unknown name. `now` is the world time of the judgement, for what is overdue though nothing was journaled since.
    """
    names = expected(scenario) if checks is None else _known(checks)
    settings = _settings(scenario)
    defaults = {expectation.name: expectation for expectation in EXPECTATIONS}
    back_within = getattr(settings.get("reconnects"), "within", 0.0)
    times = {rule.name: rule.times for rule in scenario.faults}
    evidence = Evidence(journal, now, back_within=float(back_within), times=times)
    return [
        judge_receipts(evidence, scenario.attempts)
        if name == RECEIPTS
        else by_name(name).judge_evidence(evidence, settings.get(name) or defaults[name]())
        for name in names
    ]


def patience(scenario: Scenario) -> float:
    """The longest time, in seconds, in which the scenario's checks allow the client to show nothing."""
    bounds = (getattr(expectation, "within", 0.0) for expectation in scenario.expect)
    return max((float(bound) for bound in bounds), default=0.0)


def _settings(scenario: Scenario) -> dict[str, Expectation]:
    return {expectation.name: expectation for expectation in scenario.expect}


def _known(names: Iterable[str]) -> tuple[str, ...]:
    all_names = [check.name for check in CHECKS] + [RECEIPTS]
    found = []
    for name in names:
        if name not in all_names:
            near = difflib.get_close_matches(name, all_names, 1)
            hint = f"; did you mean `{near[0]}`?" if near else f"; there are {', '.join(all_names)}"
            raise ValueError(f"there is no check `{name}`{hint}")
        found.append(name)
    return tuple(found)
