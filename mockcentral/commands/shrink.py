"""Make a failing run smaller, as long as the same promise breaks."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mockcentral.cli import Refused
from mockcentral.commands.replay import add_function_arguments, functions_of, run_of

if TYPE_CHECKING:
    from mockcentral.sim.shrink import Run

OK, NOTHING = 0, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make a failing run smaller: fewer events, faults and happenings, as long as the same promise breaks. "
        "Writes a scenario file and prints the command that plays it."
    )
    parser.add_argument("run", metavar="FILE|NAME|JOURNAL", help="a run that `replay` shows to be broken")
    add_function_arguments(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="where to write it (default: FILE-small.yaml)")
    parser.add_argument("--most", type=_count, default=2000, metavar="N", help="runs to play at most (default 2000)")


def run(arguments: argparse.Namespace) -> int:
    """0 a smaller (or equal) run that fails was written, 2 it cannot be read, 5 it does not fail."""
    from mockcentral.sim import failures, shrink
    from mockcentral.sim.play import Stage, perform
    from mockcentral.sim.promises import Broken
    from mockcentral.sim.world import Runaway

    scenario, plan, _ = run_of(arguments.run)
    make_handler, check = functions_of(arguments)

    def broken(one: Run) -> tuple[str, str] | None:
        """The promise that breaks and what kind of error showed it, for those of the user's own code."""
        try:
            perform(Stage(*one, make_handler=make_handler), check)
        except Broken as error:
            return error.promise, type(error.__cause__).__name__
        except Runaway:
            return "runaway", ""
        return None

    before = (scenario, plan)
    wanted = broken(before)
    if wanted is None:
        print(f"{arguments.run}: keeps every promise, so there is nothing to make smaller", file=sys.stderr)
        return NOTHING
    after, played = shrink.shrink(before, lambda one: broken(one) == wanted, most=arguments.most)
    path = _target(arguments)
    try:
        path.write_text(failures.text_of(*after), encoding="utf-8")
    except OSError as error:
        raise Refused(f"{path}: cannot be written: {error.strerror}") from None
    print(f"broken: {wanted[0]}", file=sys.stderr)
    print(f"before: {shrink.size(before)}", file=sys.stderr)
    print(f"after:  {shrink.size(after)} ({played} runs played)", file=sys.stderr)
    print(failures.command_for(path, handler=arguments.handler, check=arguments.check))
    return OK


def _target(arguments: argparse.Namespace) -> Path:
    if arguments.output is not None:
        return Path(arguments.output)
    given = Path(arguments.run)
    if given.suffix in (".yaml", ".yml"):
        return given.with_name(f"{given.stem}-small.yaml")
    return Path(f"{given.stem}-small.yaml")


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"{text!r} is no count: write a whole number from 1")
    return int(text)
