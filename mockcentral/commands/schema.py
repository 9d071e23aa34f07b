"""Print the JSON Schema of scenario files."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--fault-rule", action="store_true", help="the schema of one fault rule, for the control API")


def run(args: argparse.Namespace) -> int:
    from mockcentral.scenario.json_schema import fault_schema, schema

    print(json.dumps(fault_schema() if args.fault_rule else schema(), indent=2, ensure_ascii=False))
    return 0
