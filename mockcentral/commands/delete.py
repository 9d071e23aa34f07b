"""Delete a resource of a running fake."""

from __future__ import annotations

import argparse
import sys

from mockcentral import remote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What to delete."""
    parser.add_argument("kind", metavar="KIND", help="such as watchtopic")
    parser.add_argument("name", metavar="NAME")
    parser.add_argument("--group", default="management")
    parser.add_argument("--scope", metavar="KIND/NAME", help="such as Environment/sample-env")
    remote.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Delete it; one that does not exist is exit code 1."""
    path = remote.path_of(arguments.kind, arguments.name, group=arguments.group, scope=arguments.scope)
    fake = remote.Remote(arguments)
    answer = fake.call("DELETE", path)
    if answer.status == 404:
        print(f"mockcentral: {remote.failure(answer)}", file=sys.stderr)
        return 1
    if answer.status != 204:
        fake.resource(answer)
    print(f"{remote.collection(arguments.kind).removesuffix('s')}/{arguments.name} deleted")
    return 0
