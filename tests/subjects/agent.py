"""The Go discovery agent of the tests, as a client under test: what it is told, and its topic."""

from __future__ import annotations

import socket
from pathlib import Path

from mockcentral import World
from mockcentral.conformance import key_files
from mockcentral.conformance.environment import environment
from tests.subjects.subject import Subject

ENVIRONMENT = "sample-env"


class Agent(Subject):
    """`program` on `world`, with a cache and keys in `directory`; `variables` overrule what `mockcentral env` says."""

    def __init__(self, world: World, program: str, directory: Path, **variables: str) -> None:
        paths = (str(directory / key_files.PRIVATE), str(directory / key_files.PUBLIC))
        if not Path(paths[0]).exists():
            paths = key_files.write_keys(str(directory), key_files.new_keys())
        told = environment(
            {}, world.context, str(directory), environment_name=ENVIRONMENT, key_files=paths, status_port=free_port()
        )
        super().__init__(
            world,
            [program],
            topic=f"/management/v1/watchtopics/{ENVIRONMENT}-discoveryagents",
            **told | {"GO_AGENT_PROGRESS": "true"} | variables,
        )


def free_port() -> int:
    """A port that nobody listens on, for the agent's health page: the default is one for all agents of a machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
