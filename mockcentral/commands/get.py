"""Show resources of a running fake."""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Iterator
from typing import Any

from mockcentral import remote

PAGE = 1000
"""The most that a list answers with."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to show, and how."""
    parser.add_argument("kind", metavar="KIND", help="such as watchtopic or apiservices")
    parser.add_argument("name", metavar="NAME", nargs="?", help="one resource; without it all of the kind")
    parser.add_argument("-o", "--output", choices=["table", "yaml", "json"], default="table")
    parser.add_argument("--group", default="management")
    parser.add_argument("--scope", metavar="KIND/NAME", help="such as Environment/sample-env")
    remote.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Fetch and print; a resource that does not exist is exit code 1."""
    fake = remote.Remote(arguments)
    path = remote.path_of(arguments.kind, arguments.name, group=arguments.group, scope=arguments.scope)
    if arguments.name is not None:
        answer = fake.call("GET", path)
        if answer.status == 404:
            import sys

            print(f"mockcentral: {remote.failure(answer)}", file=sys.stderr)
            return 1
        found = [fake.resource(answer)]
    else:
        found = list(_all(fake, path))
    if arguments.output == "json":
        print(json.dumps(found if arguments.name is None else found[0], indent=2))
    elif arguments.output == "yaml":
        import yaml

        print(yaml.safe_dump_all(found, sort_keys=False, allow_unicode=True), end="")
    else:
        _table(found)
    return 0


def _all(fake: remote.Remote, path: str) -> Iterator[dict[str, Any]]:
    """The resources of a collection, whatever number of pages they fill."""
    for page in itertools.count(1):
        resources = fake.resources(fake.call("GET", f"{path}?pageSize={PAGE}&page={page}"))
        yield from resources
        if len(resources) < PAGE:
            return


def _table(resources: list[dict[str, Any]]) -> None:
    rows = [("NAME", "KIND", "SELFLINK")]
    rows += [(resource["name"], resource["kind"], resource["metadata"]["selfLink"]) for resource in resources]
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    for row in rows:
        print(f"{row[0]:<{widths[0]}}  {row[1]:<{widths[1]}}  {row[2]}")
