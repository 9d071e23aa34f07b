"""Create or update resources of a running fake from files."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING, Any

from mockcentral import remote

if TYPE_CHECKING:
    from mockcentral.scenario.seeds import Seed


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`-f FILE`, repeatable, and which fake."""
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        action="append",
        required=True,
        metavar="FILE",
        help="resources, YAML or JSON, a folder of such files, or - for stdin",
    )
    remote.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply every resource of every file; nothing is sent before all files were read."""
    from mockcentral.scenario.seeds import in_order, load_seeds, loads_seeds

    seeds = in_order(
        seed
        for file in arguments.files
        for seed in (loads_seeds(sys.stdin.read(), "stdin") if file == "-" else load_seeds(file))
    )
    fake = remote.Remote(arguments)
    for seed in seeds:
        done, self_link = _apply(fake, seed)
        print(f"{seed.kind.lower()}/{seed.name} {done}: {self_link}")
    return 0


def _apply(fake: remote.Remote, seed: Seed) -> tuple[str, str]:
    """What was done, and the resource's selfLink."""
    from mockcentral._core.resources import is_subresource
    from mockcentral._core.topics import resource_of

    scope = "/".join(seed.scope) if seed.scope else None
    path = remote.path_of(seed.kind, seed.name, group=seed.group, scope=scope)
    body = resource_of(seed.topic) if seed.topic is not None else seed.body
    there = fake.call("GET", path)
    if there.status == 404:
        made = fake.resource(fake.call("POST", path.rpartition("/")[0], body))
        return "created", made["metadata"]["selfLink"]
    before = fake.resource(there)
    done = "unchanged"
    if any(_differs(before, body, key) for key in body if not is_subresource(key) and key != "metadata"):
        fake.resource(fake.call("PUT", path, {key: value for key, value in body.items() if not is_subresource(key)}))
        done = "updated"
    for key in body:
        if is_subresource(key) and _differs(before, body, key):
            fake.resource(fake.call("PUT", f"{path}/{key}", {key: body[key]}))
            done = "updated"
    return done, before["metadata"]["selfLink"]


def _differs(there: dict[str, Any], body: Any, key: str) -> bool:
    if key == "apiVersion":  # two spellings of the same object
        return False
    return (there.get(key) or None) != (body[key] or None)
