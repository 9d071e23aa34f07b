"""Say in plain words what a scenario does and what it expects."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scenario", metavar="NAME|FILE", nargs="+", help="a built-in name or a path")


def run(args: argparse.Namespace) -> int:
    from mockcentral.scenario.explain import explain
    from mockcentral.scenario.load import ScenarioError, load

    try:
        texts = [explain(load(name)) for name in args.scenario]
    except ScenarioError as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(texts), end="")
    return 0
