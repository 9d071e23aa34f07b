"""List the built-in scenarios."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print a JSON array instead of a table")


def run(args: argparse.Namespace) -> int:
    from mockcentral.scenario import catalogue
    from mockcentral.scenario.explain import summary
    from mockcentral.scenario.load import load

    scenarios = {name: load(path) for name, path in catalogue.files().items()}
    if args.json:
        rows = [
            {
                "name": name,
                "level": scenario.level,
                "needs": list(scenario.needs),
                "about": " ".join(scenario.about.split()),
                "file": str(catalogue.files()[name]),
            }
            for name, scenario in scenarios.items()
        ]
        print(json.dumps(rows, indent=2))
        return 0
    table = [("NAME", "LEVEL", "NEEDS", "ABOUT")]
    for name, scenario in scenarios.items():
        table.append((name, scenario.level, ",".join(scenario.needs) or "-", summary(scenario)))
    widths = [max(len(row[column]) for row in table) for column in range(3)]
    for row in table:
        print("  ".join([*(cell.ljust(width) for cell, width in zip(row[:3], widths, strict=True)), row[3]]))
    return 0
