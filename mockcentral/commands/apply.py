"""Create or update resources of a running fake from files."""

from __future__ import annotations

import argparse

from mockcentral import remote


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """`-f FILE`, repeatable, and which fake."""
    parser.add_argument(
        "-f",
        "--file",
        dest="files",
        action="append",
        required=True,
        metavar="FILE",
        help="WatchTopic resources, YAML or JSON; - is stdin",
    )
    remote.add_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Apply every topic of every file; nothing is sent before all files were read."""
    from mockcentral._core.topics import resource_of
    from mockcentral.scenario.load import load_topic

    topics = [topic for file in arguments.files for topic in load_topic(file)]
    fake = remote.Remote(arguments)
    for topic in topics:
        resource = resource_of(topic)
        path = remote.path_of("watchtopic", topic.name)
        there = fake.call("GET", path)
        if there.status == 404:
            answer, done = fake.call("POST", remote.path_of("watchtopic"), resource), "created"
        elif there.status != 200:
            raise remote.failure(there)
        elif there.body.get("spec") == resource["spec"] and there.body.get("title") == resource["title"]:
            answer, done = there, "unchanged"
        else:
            answer, done = fake.call("PUT", path, resource), "updated"
        if answer.status not in (200, 201):
            raise remote.failure(answer)
        print(f"watchtopic/{topic.name} {done}: {answer.body['metadata']['selfLink']}")
    return 0
