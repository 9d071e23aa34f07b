"""Judge a stored journal again."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mockcentral._core.journal import Record
    from mockcentral.conformance.results import Run


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Judge a stored journal again: by the checks of the scenario it is of, or by others. Nothing is run."
    )
    parser.add_argument("journals", metavar="JOURNAL", nargs="+", help="a file that --journal or --report-dir wrote")
    parser.add_argument("--scenario", metavar="NAME|FILE", help="judge by this one instead of the journal's own")
    parser.add_argument(
        "--check", action="append", metavar="NAME", help="judge by this check alone (repeatable); see `explain`"
    )


def run(arguments: argparse.Namespace) -> int:
    """The exit codes of `run`: 0 all passed, 1 one failed, 2 a journal cannot be read, 4 only inconclusive."""
    from mockcentral.conformance import stored
    from mockcentral.conformance.reports import terminal
    from mockcentral.conformance.results import cases_of, exit_code

    runs: list[Run] = []
    for word in arguments.journals:
        path = Path(word)
        for records in stored.by_world(stored.read(path)).values():
            runs.append(_judged(records, path, arguments.scenario, arguments.check))
    cases = cases_of(runs, require=len(runs))
    print(terminal.render(cases, runs), flush=True)
    return exit_code(cases, runs)


def _judged(records: Sequence[Record], path: Path, name: str | None, checks: Sequence[str] | None) -> Run:
    import shlex

    from mockcentral.conformance import stored
    from mockcentral.conformance.errors import UsageError
    from mockcentral.conformance.judge import judge
    from mockcentral.conformance.pace import lines_named
    from mockcentral.conformance.results import Run
    from mockcentral.scenario.load import load

    start = stored.start_of(records, path)
    scenario = stored.scenario_of(start, path) if name is None else load(name)
    try:
        verdicts = judge(records, scenario, checks)
    except ValueError as error:
        raise UsageError(f"--check: {error}") from None
    words = ["python", "-m", "mockcentral", "rejudge", str(path)]
    words += ["--scenario", name] if name is not None else []
    return Run(
        scenario=scenario.scenario,
        seed=int(start.get("seed", 0)),
        time_scale=float(start.get("time_scale", 1.0)),
        replay=shlex.join(words),
        seconds=float(records[-1]["t"]),
        verdicts=tuple(verdicts),
        lines=lines_named(verdicts, records),
    )
