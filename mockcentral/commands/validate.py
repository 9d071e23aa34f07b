"""Check scenario and WatchTopic files, one line a mistake."""

from __future__ import annotations

import argparse
import sys


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", metavar="FILE", nargs="+", help="scenario files, WatchTopic files, or built-in names")
    parser.add_argument("-q", "--quiet", action="store_true", help="print mistakes only")


def run(args: argparse.Namespace) -> int:
    """0 when all files are right, 2 when one is not. Mistakes and warnings go to stderr."""
    from mockcentral.scenario.load import ScenarioError

    code = 0
    for file in args.files:
        try:
            verdict, warnings = _check(file)
        except ScenarioError as error:
            print(error, file=sys.stderr)
            code = 2
            continue
        if not args.quiet:
            for warning in warnings:
                print(warning, file=sys.stderr)
            print(f"{file}: {verdict}")
    return code


def _check(file: str) -> tuple[str, list[str]]:
    from pathlib import Path

    from mockcentral.scenario import catalogue, nodes
    from mockcentral.scenario.advice import advice
    from mockcentral.scenario.load import loads, loads_topic

    path = Path(file) if catalogue.is_path(file) else catalogue.find(file)
    text = nodes.read_text(path)
    node = nodes.documents(text, file)[0]
    if isinstance(node, nodes.Entries) and node.get("kind") is not None and node.get("scenario") is None:
        topics = loads_topic(text, file)
        return f"fine, {_count(len(topics), 'topic')}", []
    scenario = loads(text, file)
    warnings = [f"{file}:{nodes.locate(node, place).line}: warning: {message}" for place, message in advice(scenario)]
    parts = [_count(len(scenario.topics), "topic"), _count(sum(line.count for line in scenario.traffic), "event")]
    parts += [_count(len(scenario.rules), "rule")] if scenario.rules else []
    parts += [_count(len(scenario.faults), "fault rule"), _count(len(scenario.expect), "check")]
    return f"fine, scenario {scenario.scenario}: {', '.join(parts)}", warnings


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
