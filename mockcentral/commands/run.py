"""Run a client against scenarios and judge it."""

from __future__ import annotations

import argparse
import re
import signal
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from mockcentral.cli import TERMINATED
from mockcentral.commands.serve import add_world_arguments, world_options
from mockcentral.signals import EXIT_CODES, TWICE

if TYPE_CHECKING:
    from mockcentral.conformance.known_failing import Known
    from mockcentral.conformance.results import Case, Run
    from mockcentral.conformance.runner import Plan, Runner
    from mockcentral.scenario.schema import Scenario

REPORTS = {"junit": "junit.xml", "json": "report.json", "card": "card.md"}
"""Report kinds and the file each gets when no path is given. A card is what a lab measured, in JSON for `.json`,
Markdown for `.md`, else as text.
"""
UNASKED = ("junit", "json")
"""What --report-dir alone writes."""
TIMEOUT, LAB_TIMEOUT = 180.0, 900.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of design/interfaces for `run`."""
    parser.usage = "mockcentral run --scenario NAME [--scenario …] [options] -- CLIENT [ARGUMENT …]"
    add_world_arguments(parser)
    parser.add_argument(
        "--run",
        action="append",
        default=[],
        metavar="PAT",
        dest="patterns",
        help="only checks matching scenario::check (or all of a scenario); @FILE has one a line",
    )
    parser.add_argument("--skip", action="append", default=[], metavar="PAT", help="not the checks matching this")
    parser.add_argument(
        "--known-failing", metavar="FILE", help="cases that may fail: `scenario::check  # reason` a line"
    )
    parser.add_argument(
        "--report",
        action="append",
        default=[],
        metavar="KIND[=PATH]",
        help=f"write a report besides the one here: {', '.join(REPORTS)} (what a lab measured: .json, .md or text)",
    )
    parser.add_argument("--report-dir", metavar="DIR", help="where reports without a path go; also gets every journal")
    parser.add_argument("-n", "--parallel", type=_count, default=1, metavar="N", help="how many runs at once")
    parser.add_argument(
        "--repeat", type=_count, default=1, metavar="K", help="run each scenario K times, with seeds one apart"
    )
    parser.add_argument(
        "--require", type=_count, default=None, metavar="M", help="how many of the K have to pass (default: all)"
    )
    parser.add_argument(
        "--timeout",
        type=_duration,
        default=None,
        metavar="D",
        help="longest time for one run, such as 90s (default 3m, for a lab 15m)",
    )
    parser.add_argument(
        "client",
        nargs=argparse.REMAINDER,
        metavar="-- CLIENT …",
        help="the client under test; {address}, {topic}, {token} and the like are filled in",
    )


def run(arguments: argparse.Namespace) -> int:
    """Check everything that was given, run, report. Nothing is started before all of it makes sense."""
    from mockcentral.conformance.reports import terminal
    from mockcentral.conformance.results import cases_of, exit_code
    from mockcentral.conformance.runner import Runner, check_startable

    command = tuple(arguments.client[1:] if arguments.client[:1] == ["--"] else arguments.client)
    check_startable(command)
    targets = _reports(arguments)
    scenarios = _scenarios(arguments)
    known = _known(arguments, scenarios)
    plans = _plans(arguments, scenarios, command)
    if not plans:
        print("mockcentral: the patterns select no check", file=sys.stderr)
        return exit_code(())
    _prepare(targets, plans)

    from mockcentral.world import World

    lock = threading.Lock()

    def say(line: str) -> None:
        with lock:
            print(line, file=sys.stderr, flush=True)

    def done(one: Run) -> None:
        outcomes = [verdict.outcome.value for verdict in one.verdicts]
        counts = ", ".join(f"{outcomes.count(word)} {word}" for word in dict.fromkeys(outcomes)) or "error"
        say(f"{one.scenario}: seed {one.seed}: {counts} ({one.seconds:.1f} s)")

    runner = Runner(World, say=say)
    runs = _interruptible(runner, plans, arguments.parallel, done)
    if runs is None:
        return TERMINATED
    cases = cases_of(runs, require=arguments.require or arguments.repeat, known=known)
    for kind, path in targets:
        _write(kind, path, cases, runs)
    print(terminal.render(cases, runs), flush=True)
    return exit_code(cases, runs)


def _interruptible(runner: Runner, plans: Sequence[Plan], parallel: int, done: Any) -> list[Run] | None:
    """All runs; None after a SIGTERM or SIGHUP. A Ctrl-C is raised once every client is gone; a second one lets no
    client take its time. A signal that somebody has chosen to ignore stays ignored.
    """
    first: tuple[int, float] | None = None

    def on_signal(number: int, _frame: FrameType | None) -> None:
        nonlocal first
        if first is None:
            first = number, time.monotonic()
            raise KeyboardInterrupt
        # Raised, it would interrupt those who wait for the clients to be gone, and they would be left behind.
        if time.monotonic() - first[1] > TWICE:
            runner.hurry.set()

    main = threading.current_thread() is threading.main_thread()
    numbers = [number for number in EXIT_CODES if main and signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        return runner.run_all(plans, parallel, done)
    except KeyboardInterrupt:
        if first is not None and first[0] != signal.SIGINT:
            return None
        raise
    finally:
        for number, handler in before.items():  # called off, nothing is left to wait for: one more ends it all
            signal.signal(number, handler if first is None else signal.SIG_DFL)


# ---------------------------------------------------------------------------------------------- what was given
def _scenarios(arguments: argparse.Namespace) -> list[tuple[str, Scenario]]:
    """What the user called each scenario, and the scenario."""
    from mockcentral.conformance.errors import UsageError
    from mockcentral.conformance.selection import matches
    from mockcentral.scenario.catalogue import names
    from mockcentral.scenario.load import load

    given = list(arguments.scenario)
    if not given:
        patterns = _patterns(arguments.patterns)
        if not patterns:
            raise UsageError("which scenario? --scenario NAME (see `mockcentral list`) or --run PATTERN")
        from mockcentral.conformance.runner import case_names

        loaded = [(name, load(name)) for name in names()]
        found = [
            (name, scenario)
            for name, scenario in loaded
            if any(matches(pattern, f"{name}::{check}") for pattern in patterns for check in case_names(scenario))
        ]
        if not found:
            raise UsageError(f"--run {patterns[0]}: matches no check of any built-in scenario")
        return found
    scenarios = [(name, load(name)) for name in given]
    seen: set[str] = set()
    for _, scenario in scenarios:
        if scenario.scenario in seen:
            raise UsageError(f"scenario {scenario.scenario} is given twice; to run it more than once say --repeat")
        seen.add(scenario.scenario)
    return scenarios


def _plans(
    arguments: argparse.Namespace, scenarios: Sequence[tuple[str, Scenario]], command: tuple[str, ...]
) -> list[Plan]:
    from mockcentral.conformance.checks.registry import RECEIPTS
    from mockcentral.conformance.errors import UsageError
    from mockcentral.conformance.runner import Plan, case_names
    from mockcentral.conformance.selection import case_id, select
    from mockcentral.world import refuse_tls_faults

    if arguments.require is not None and arguments.require > arguments.repeat:
        raise UsageError(f"--require {arguments.require} is more than --repeat {arguments.repeat}")
    if arguments.port and arguments.parallel > 1:
        raise UsageError("--port is for one run at a time: leave it out or say -n 1")
    options = world_options(arguments)
    seed, time_scale, journal = options.pop("seed"), options.pop("time_scale"), options.pop("journal")
    everything = [case_id(scenario.scenario, check) for _, scenario in scenarios for check in case_names(scenario)]
    chosen = set(select(everything, _patterns(arguments.patterns), _patterns(arguments.skip)))
    plans: list[Plan] = []
    for argument, scenario in scenarios:
        checks = tuple(check for check in case_names(scenario) if case_id(scenario.scenario, check) in chosen)
        if not checks:
            continue
        if not (arguments.tls or arguments.cert):
            refuse_tls_faults(scenario, argument)
        # A run whose fault never reached the wire is never a pass; a lab says on its card what it did not see.
        if scenario.faults and scenario.lab is None and RECEIPTS not in checks:
            checks = (*checks, RECEIPTS)
        for number in range(arguments.repeat):
            plans.append(
                Plan(
                    scenario=scenario,
                    argument=argument,
                    command=command,
                    seed=(scenario.seed if seed is None else seed) + number,
                    time_scale=time_scale,
                    timeout=arguments.timeout or (LAB_TIMEOUT if scenario.lab is not None else TIMEOUT),
                    checks=checks,
                    replay_flags=_replay_flags(arguments),
                    world_options=options,
                )
            )
    return [replace(plan, journal=path) for plan, path in _journals(arguments, plans, journal)]


def _journals(
    arguments: argparse.Namespace, plans: Sequence[Plan], journal: str | None
) -> list[tuple[Plan, Path | None]]:
    """Each plan with the file of its journal: the one asked for when there is one plan, else one a run beside it."""
    found: list[tuple[Plan, Path | None]] = []
    for plan in plans:
        path: Path | None = None
        name = f"{plan.scenario.scenario}-{plan.seed}"
        if journal is not None:
            base = Path(journal)
            path = base if len(plans) == 1 else base.with_name(f"{base.stem}-{name}{base.suffix}")
        elif arguments.report_dir is not None:
            path = Path(arguments.report_dir) / f"{name}.ndjson"
        found.append((plan, path))
    return found


def _replay_flags(arguments: argparse.Namespace) -> tuple[str, ...]:
    flags: list[str] = []
    for path in arguments.topic_file:
        flags += ["--topic-file", path]
    if arguments.tls:
        flags.append("--tls")
    if arguments.cert:
        flags += ["--cert", arguments.cert, "--key", arguments.key]
    for client in arguments.public_key:
        flags += ["--public-key", client]
    return tuple(flags)


def _patterns(given: Sequence[str]) -> list[str]:
    from mockcentral.conformance.selection import patterns_of

    found: list[str] = []
    for pattern in given:
        found += patterns_of(_read(pattern[1:])) if pattern.startswith("@") else [pattern]
    return found


def _known(arguments: argparse.Namespace, scenarios: Sequence[tuple[str, Scenario]]) -> tuple[Known, ...]:
    from mockcentral.conformance.known_failing import check_patterns, read
    from mockcentral.conformance.runner import case_names
    from mockcentral.conformance.selection import case_id
    from mockcentral.scenario.catalogue import names
    from mockcentral.scenario.load import load

    file = arguments.known_failing
    if file is None:
        return ()
    entries = read(_read(file), file)
    # One file serves all runs of a project: an entry may be about a scenario that is not run this time.
    there = [scenario for _, scenario in scenarios] + [load(name) for name in names()]
    check_patterns(entries, (case_id(one.scenario, check) for one in there for check in case_names(one)), file)
    return entries


def _read(path: str) -> str:
    from mockcentral.conformance.errors import UsageError

    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text") from None


# ---------------------------------------------------------------------------------------------- reports
def _reports(arguments: argparse.Namespace) -> list[tuple[str, Path]]:
    from mockcentral.conformance.errors import UsageError
    from mockcentral.scenario.errors import one_of

    directory = Path(arguments.report_dir) if arguments.report_dir is not None else Path()
    found: list[tuple[str, Path]] = []
    for given in arguments.report:
        kind, separator, path = given.partition("=")
        if kind not in REPORTS:
            raise UsageError(f"--report {given}: there is no report {kind!r}: write {one_of(REPORTS)}")
        if separator and not path:
            raise UsageError(f"--report {given}: write {kind}=PATH, or {kind} alone for {REPORTS[kind]}")
        found.append((kind, Path(path) if path else directory / REPORTS[kind]))
    if arguments.report_dir is not None and not arguments.report:
        found = [(kind, directory / REPORTS[kind]) for kind in UNASKED]
    return found


def _prepare(targets: Sequence[tuple[str, Path]], plans: Sequence[Plan]) -> None:
    """Make the directories: a run of ten minutes must not end with "no such directory"."""
    from mockcentral.conformance.errors import UsageError

    for path in [path for _, path in targets] + [plan.journal for plan in plans if plan.journal is not None]:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("a"):
                pass
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from None


def _write(kind: str, path: Path, cases: Sequence[Case], runs: Sequence[Run]) -> None:
    from mockcentral.conformance.reports import card, json_report, junit

    cards = card.FORMS.get(path.suffix.lower(), card.render_text)
    render = {"junit": junit.render, "json": json_report.render, "card": cards}[kind]
    path.write_text(render(cases, runs), encoding="utf-8")


# ---------------------------------------------------------------------------------------------- argument types
def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write a whole number from 1 to 10000")
    return int(text)


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def _duration(text: str) -> float:
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write a number with its unit, such as 90s or 3m")
    seconds = float(found[1]) * _UNITS[found[2]]
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f"{text!r} leaves no time at all")
    return seconds
