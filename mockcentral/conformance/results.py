"""What a run of runs comes to: cases with a status, and the exit code.

A *run* is one client through one scenario. A *case* is one check of one scenario over all its runs (`--repeat`).
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mockcentral.conformance.known_failing import Known, reason_for
from mockcentral.conformance.selection import case_id
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.lab.card import Card

OK, FAILED, INTERNAL, INCONCLUSIVE, NOTHING = 0, 1, 3, 4, 5


@dataclass(frozen=True, slots=True)
class Run:
    """One client through one scenario. `lines` has the journal lines that verdicts name, by `n`."""

    scenario: str
    seed: int
    time_scale: float
    replay: str
    seconds: float = 0.0
    verdicts: tuple[Verdict, ...] = ()
    notes: tuple[str, ...] = ()
    lines: Mapping[int, Mapping[str, Any]] = field(default_factory=dict)
    error: str | None = None
    """Set when the harness itself failed: then nothing is said about the client."""
    card: Card | None = None
    """What a lab measured."""


class Status(str, enum.Enum):
    """What a case comes to, known failures considered."""

    PASSED = "passed"
    FAILED = "failed"
    INCONCLUSIVE = "inconclusive"
    SKIPPED = "skipped"
    KNOWN = "known failing"
    STALE = "stale"
    """Listed as known failing, but it passes: the entry has to go."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Case:
    """One check of one scenario. `verdict` is the one that decided; `runs` and `passes` tell how often it passed."""

    scenario: str
    check: str
    status: Status
    verdict: Verdict
    run: Run
    reason: str | None
    runs: int
    passes: int
    failures: tuple[tuple[Run, Verdict], ...]

    @property
    def id(self) -> str:
        return case_id(self.scenario, self.check)


def cases_of(runs: Sequence[Run], *, require: int = 1, known: Iterable[Known] = ()) -> list[Case]:
    """The cases of all runs, in their order. `require`: how many of the runs of a scenario have to pass."""
    known = list(known)
    by_id: dict[tuple[str, str], list[tuple[Run, Verdict]]] = {}
    for run in runs:
        for verdict in run.verdicts:
            by_id.setdefault((run.scenario, verdict.check), []).append((run, verdict))
    return [_case(scenario, check, found, require, known) for (scenario, check), found in by_id.items()]


def _case(scenario: str, check: str, found: list[tuple[Run, Verdict]], require: int, known: Sequence[Known]) -> Case:
    counts = Counter(verdict.outcome for _, verdict in found)
    require = min(require, len(found))
    passes = counts[Outcome.PASS]
    fine = passes + counts[Outcome.SKIPPED]
    if fine >= require:
        outcome = Outcome.PASS if passes else Outcome.SKIPPED
    elif fine + counts[Outcome.INCONCLUSIVE] >= require:
        outcome = Outcome.INCONCLUSIVE  # had those been judged, it might have passed
    else:
        outcome = Outcome.FAIL
    reason = reason_for(case_id(scenario, check), known)
    status = _STATUS[outcome]
    if reason is not None and outcome is Outcome.FAIL:
        status = Status.KNOWN
    elif reason is not None and outcome is Outcome.PASS:
        status = Status.STALE
    run, verdict = next(pair for pair in found if pair[1].outcome is outcome)
    failures = tuple(pair for pair in found if pair[1].outcome is Outcome.FAIL)
    return Case(scenario, check, status, verdict, run, reason, len(found), passes, failures)


_STATUS = {
    Outcome.PASS: Status.PASSED,
    Outcome.FAIL: Status.FAILED,
    Outcome.INCONCLUSIVE: Status.INCONCLUSIVE,
    Outcome.SKIPPED: Status.SKIPPED,
}


def exit_code(cases: Sequence[Case], runs: Sequence[Run] = ()) -> int:
    """0 all as expected, 1 a failure or a stale entry, 3 the harness failed, 4 only inconclusive, 5 nothing ran."""
    if any(run.error is not None for run in runs):
        return INTERNAL
    statuses = {case.status for case in cases}
    if not statuses:
        return NOTHING
    if statuses & {Status.FAILED, Status.STALE}:
        return FAILED
    return INCONCLUSIVE if Status.INCONCLUSIVE in statuses else OK
