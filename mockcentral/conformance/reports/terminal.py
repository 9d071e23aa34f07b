"""The report a person reads in a terminal: one line a check, the proof under a red one, the command that replays it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from mockcentral.conformance.results import Case, Run, Status
from mockcentral.lab.card import text as card_text

MARKS = {
    Status.PASSED: "ok",
    Status.FAILED: "FAILED",
    Status.INCONCLUSIVE: "inconclusive",
    Status.SKIPPED: "skipped",
    Status.KNOWN: "known failing",
    Status.STALE: "STALE",
}
PROOF = 5
"""Journal lines shown under a failure; the others are in the journal."""


def render(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """The whole report, without a newline at its end."""
    names = list(dict.fromkeys(run.scenario for run in runs))
    lines: list[str] = []
    for name in names:
        own = [run for run in runs if run.scenario == name]
        lines += _scenario([case for case in cases if case.scenario == name], own)
        lines.append("")
    lines.append(summary(cases, runs))
    return "\n".join(lines)


def summary(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """One line: how much of everything."""
    counts = Counter(case.status for case in cases)
    parts = [f"{counts[status]} {status}" for status in Status if counts[status]]
    errors = sum(run.error is not None for run in runs)
    if errors:
        parts.append(f"{errors} not run: error of the harness")
    scenarios = len({run.scenario for run in runs})
    return f"{_many(scenarios, 'scenario')}, {_many(len(cases), 'check')}: {', '.join(parts) or 'nothing to judge'}"


def _scenario(cases: Sequence[Case], runs: Sequence[Run]) -> list[str]:
    seeds = f"seed {runs[0].seed}" if len(runs) == 1 else f"seeds {runs[0].seed} to {runs[-1].seed}"
    scale = f", time scale {runs[0].time_scale:g}" if runs[0].time_scale != 1 else ""
    lines = [f"{runs[0].scenario}  ({seeds}{scale}, {sum(run.seconds for run in runs):.1f} s)"]
    for run in runs:
        which = f"seed {run.seed}: " if len(runs) > 1 else ""
        lines += [f"  note: {which}{line}" for note in run.notes for line in note.splitlines()]
        if run.error is not None:
            lines += [f"  ERROR {which}{line}" for line in run.error.splitlines()]
    width = max((len(case.check) for case in cases), default=0)
    marks = max((len(MARKS[case.status]) for case in cases), default=0)
    for case in cases:
        first, *more = _message(case).splitlines()
        lines.append(f"  {MARKS[case.status]:<{marks}}  {case.check:<{width}}  {first}")
        lines += [f"      {line}" for line in more]
        if case.status in (Status.FAILED, Status.INCONCLUSIVE):
            lines += [f"      {line}" for line in proof(case.verdict.evidence, case.run.lines)]
    for run in runs:
        if run.card is not None:
            lines += [f"  {line}" for line in card_text(run.card).splitlines()]
    replays = [case.run for case in cases if case.status in (Status.FAILED, Status.INCONCLUSIVE)]
    replays += [run for run in runs if run.error is not None]
    lines += [f"  replay: {replay}" for replay in dict.fromkeys(run.replay for run in replays)]
    return lines


def _message(case: Case) -> str:
    message = case.verdict.message
    often = f" ({case.passes} of {case.runs} runs passed)" if case.runs > 1 else ""
    if case.status is Status.KNOWN:
        return f"{message}{often} Known: {case.reason}"
    if case.status is Status.STALE:
        return f"passes, but is listed as known failing ({case.reason}): remove the entry{often}"
    return message + often


def proof(evidence: Sequence[int], lines: Mapping[int, Mapping[str, Any]]) -> list[str]:
    """The journal lines that prove a verdict, the first few."""
    shown = [line_text(lines[n]) for n in evidence[:PROOF] if n in lines]
    if len(evidence) > PROOF:
        shown.append(f"… and lines {', '.join(map(str, evidence[PROOF:]))} of the journal")
    return shown


def line_text(line: Mapping[str, Any]) -> str:
    """A journal line on one line: number, time, kind, then the rest as JSON."""
    rest = {key: value for key, value in line.items() if key not in ("v", "n", "t", "world", "kind")}
    return f"{line['n']:>5}  {line['t']:9.3f} s  {line['kind']}  {json.dumps(rest, ensure_ascii=False)}"


def _many(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
