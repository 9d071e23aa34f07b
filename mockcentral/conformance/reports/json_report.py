"""The report as JSON: everything the others show, for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from mockcentral.conformance.results import Case, Run, exit_code
from mockcentral.lab.card import as_dict

VERSION = 1


def render(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """The whole document: `counts` and `exit_code` of all, then each run and each case."""
    report: dict[str, Any] = {
        "v": VERSION,
        "exit_code": exit_code(cases, runs),
        "counts": dict(Counter(case.status.value for case in cases)),
        "runs": [_run(run) for run in runs],
        "cases": [_case(case) for case in cases],
    }
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def _run(run: Run) -> dict[str, Any]:
    return {
        "scenario": run.scenario,
        "seed": run.seed,
        "time_scale": run.time_scale,
        "seconds": round(run.seconds, 3),
        "replay": run.replay,
        "notes": list(run.notes),
        "error": run.error,
        "card": None if run.card is None else as_dict(run.card),
        "verdicts": [verdict.as_dict() for verdict in run.verdicts],
    }


def _case(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "scenario": case.scenario,
        "check": case.check,
        "status": case.status.value,
        "known_failing": case.reason,
        "runs": case.runs,
        "passes": case.passes,
        "seed": case.run.seed,
        **{key: value for key, value in case.verdict.as_dict().items() if key not in ("check", "evidence")},
        "evidence": [dict(case.run.lines[n]) for n in case.verdict.evidence if n in case.run.lines],
    }
