"""Play a run again in virtual time, and tell whether every promise is kept."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mockcentral.arguments import seed
from mockcentral.cli import Refused

if TYPE_CHECKING:
    from mockcentral.scenario.schema import Scenario
    from mockcentral.sim.plan import Plan
    from mockcentral.sim.play import Check, MakeHandler, Played, Stage

KEPT, BROKEN = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Play a run again in virtual time, with watchmanager's rules as the client: a file that a failing test wrote, "
        "any scenario, or the run a journal is of. The same seed gives the same run, byte for byte."
    )
    parser.add_argument("run", metavar="FILE|NAME|JOURNAL", help="what to play")
    parser.add_argument("--seed", type=seed, metavar="N", help="another one than the run was written with")
    add_function_arguments(parser)
    parser.add_argument("--journal", metavar="PATH", help="write the journal to this file (NDJSON); - for stdout")


def add_function_arguments(parser: argparse.ArgumentParser) -> None:
    """The user's own code, for `replay` and `shrink`."""
    parser.add_argument(
        "--handler", metavar="MODULE:NAME", help="what makes the handler under test; FILE.py:NAME is fine, too"
    )
    parser.add_argument("--check", metavar="MODULE:NAME", help="what checks the handler's work at the end")


def run(arguments: argparse.Namespace) -> int:
    """0 every promise is kept, 1 one is broken (or a journal came out different), 2 the run cannot be read."""
    from mockcentral.sim.play import Stage, perform
    from mockcentral.sim.promises import Broken
    from mockcentral.sim.world import Runaway

    scenario, plan, lines = run_of(arguments.run)
    if arguments.seed is not None:
        plan, lines = replace(plan, seed=arguments.seed), None
    make_handler, check = functions_of(arguments)
    stage: Stage | None = None  # None when the client's first life did not even begin: then there is no journal
    error: Exception | None = None
    try:
        stage = Stage(scenario, plan, lean=False, make_handler=make_handler)
        played = perform(stage, check)
    except (Broken, Runaway) as caught:
        error = caught
    if arguments.journal is not None and stage is not None:
        _write(arguments.journal, stage)
    if error is not None:
        if error.__cause__ is not None:  # the user's own code raised: they want to see where
            traceback.print_exception(error.__cause__)
        print(f"broken: {error}", file=sys.stderr)
    else:
        print(f"kept: {_summary(played)}", file=sys.stderr)
    same = lines is None or stage is None or _is_same(arguments.run, lines, stage)
    return KEPT if error is None and same else BROKEN


# ---------------------------------------------------------------------------------------------- what was given
def run_of(word: str) -> tuple[Scenario, Plan, Sequence[str] | None]:
    """Scenario and plan of what the user named; for a simulator's journal also its lines, which have to come out the
    same.
    """
    from mockcentral.conformance import stored
    from mockcentral.conformance.subjects.watchmanager_core import make_settings
    from mockcentral.scenario import catalogue
    from mockcentral.sim.failures import load_run

    lines = None
    if catalogue.is_path(word) and stored.is_journal(Path(word)):
        scenario, plan, lines = _run_of_journal(Path(word))
    else:
        try:
            scenario, plan = load_run(word)
        except ValueError as error:
            raise Refused(str(error)) from None
    if not scenario.topics:
        raise Refused(f"{word}: the scenario has no topic to watch")
    try:
        make_settings(plan.client)
    except (ValueError, TypeError) as error:
        raise Refused(f"{word}: the plan's client cannot be set up: {error}") from None
    return scenario, plan, lines


def _run_of_journal(path: Path) -> tuple[Scenario, Plan, Sequence[str] | None]:
    from mockcentral.conformance import stored
    from mockcentral.sim.failures import ordinary
    from mockcentral.sim.plan import Plan

    records = stored.read(path)
    worlds = stored.by_world(records)
    if len(worlds) > 1:
        raise Refused(f"{path}: is of {len(worlds)} worlds ({', '.join(worlds)}), and replay plays one")
    start = stored.start_of(records, path)
    scenario = stored.scenario_of(start, path)
    if "plan" not in start:
        return *ordinary(scenario, start.get("seed")), None
    try:
        return scenario, Plan.from_json(start["plan"]), path.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise Refused(f"{path}: {error}") from None


def functions_of(arguments: argparse.Namespace) -> tuple[MakeHandler | None, Check | None]:
    """The user's functions that were named."""
    from mockcentral.sim import handlers

    found: list[Any] = []
    for flag, spec in (("--handler", arguments.handler), ("--check", arguments.check)):
        try:
            found.append(handlers.find(spec) if spec is not None else None)
        except ValueError as error:
            raise Refused(f"{flag} {error}") from None
    return found[0], found[1]


# ---------------------------------------------------------------------------------------------- what came of it
def _summary(played: Played) -> str:
    client = played.client
    after = f"well {played.live_after:.3f} s after all faults (allowed: {played.bound:.0f} s)"
    if played.live_after is None:
        after = "gave up, as it was told to when history is gone"
    return f"{len(client.events)} events, {len(client.gaps)} gaps, {client.machine.attempt} attempts; {after}"


def _is_same(word: str, lines: Sequence[str], stage: Stage) -> bool:
    """Whether the journal came out as it was stored; says where it did not."""
    again = stage.world.dump().splitlines()
    for number, (before, now) in enumerate(zip(lines, again, strict=False), 1):
        if before != now:
            print(f"{word}:{number}: comes out different now:\n  then: {before}\n  now:  {now}", file=sys.stderr)
            return False
    if len(again) != len(lines):
        print(f"{word}: has {len(lines)} lines, and now there are {len(again)}", file=sys.stderr)
        return False
    print(f"the same journal as {word}, byte for byte", file=sys.stderr)
    return True


def _write(target: str, stage: Stage) -> None:
    if target == "-":
        sys.stdout.write(stage.world.dump())
        return
    try:
        Path(target).write_text(stage.world.dump(), encoding="utf-8")
    except OSError as error:
        raise Refused(f"--journal {target}: cannot be written: {error.strerror}") from None
