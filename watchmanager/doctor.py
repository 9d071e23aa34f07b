"""Find out which step of connecting fails: `python -m watchmanager doctor [TOPIC]`.

Asks what `tail` would ask and goes the way `tail` would go, one step at a time, and says in one line for each what came
out. It changes nothing and subscribes to nothing, so a refusal that only watch calls get shows in `tail`, not here.
Exit codes: 0 every step works, 1 one fails, 2 usage.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Any

from watchmanager._driver.probe import Diagnosis, Step, diagnose

__all__ = ["Diagnosis", "Step", "diagnose"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command's arguments: the connection's, as for `tail`, and its own."""
    from watchmanager.cli import add_connection_arguments

    parser.add_argument("topic", metavar="TOPIC", nargs="?", help="name or selfLink of a WatchTopic to read")
    add_connection_arguments(parser)
    group = parser.add_argument_group("the examination")
    group.add_argument("--timeout", metavar="SECONDS", type=float, default=10.0, help="for each step (default 10)")
    group.add_argument("--history-url", metavar="URL", help="where history is, if not at the server's address")
    group.add_argument(
        "--explain-proxy", action="store_true", help="only say which way is taken, and why; connect to nothing"
    )
    group.add_argument("-o", "--output", choices=("text", "json"), default="text", help="form of the result")


def run(options: argparse.Namespace) -> int:
    """Examine and print; returns the exit code."""
    from watchmanager.cli import connection, surroundings
    from watchmanager.errors import ConfigError

    if not 0 < options.timeout < 3600:
        raise ConfigError(f"--timeout is {options.timeout!r}: it must be a number of seconds above 0 and below 3600")
    environment = surroundings(options)
    return asyncio.run(_run(options, environment, connection(options, environment)))


async def _run(options: argparse.Namespace, environment: Mapping[str, str], given: dict[str, Any]) -> int:
    from watchmanager._core.address import topic_link
    from watchmanager.aio import AsyncWatchManager
    from watchmanager.policy import History

    history = History(url=options.history_url) if options.history_url else True
    async with AsyncWatchManager(**given, history=history, connect_timeout=options.timeout) as manager:
        if options.explain_proxy:
            way = manager.explain()
            print(json.dumps({"way": way}) if options.output == "json" else way)
            return 0
        topic = options.topic or environment.get("WATCHMANAGER_TOPIC") or environment.get("MOCKCENTRAL_TOPIC")
        found = await manager.diagnose(None if not topic else topic_link(topic))
    print(json.dumps(found.to_dict(), indent=2) if options.output == "json" else found)
    return 0 if found.ok else 1
