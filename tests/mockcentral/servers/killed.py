"""Lives of a fake that is written to as fast as it can, each ended by kill -9: `killed.py STORE TOPIC LIVES`.

Prints JSON: `sequences` that were acknowledged to a publisher, in the order they were, and `resources`: name to what
was last acknowledged over REST of it (the state in its status, None when it was deleted); a name whose last write was
not answered is left out. The lives are forked from one process that has imported everything: a hundred interpreters
would take a minute to start.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any, NoReturn

from mockcentral import World
from mockcentral.scenario.schema import LogSettings, Scenario, WorldSettings
from mockcentral.servers import control_api, http_api
from mockcentral.servers.signer import signer
from tests.mockcentral.clients import ask

KEEPS_ALL = Scenario(scenario="killed", about="a log", world=WorldSettings(log=LogSettings(keep=10_000_000)))


ENVIRONMENTS = "/apis/management/v1/environments"


def live(store: str, topic: dict[str, Any], life: int, output: int) -> NoReturn:
    with World(KEEPS_ALL, store=store) as world, os.fdopen(output, "w") as said:

        def say(*words: Any) -> None:
            print(json.dumps(words), file=said, flush=True)

        def write(method: str, link: str, body: Any, name: str, state: str | None) -> None:
            say("writes", name)
            answer = ask(world, method, link, body)
            assert answer.status in (200, 201, 204), answer
            say("wrote", name, state)

        if not world.topics:
            world.put_topic(topic)
        number = 0
        while True:
            number += 1
            (sequence,) = world.publish({"kind": "APIService", "name": f"s{number % 50}", "type": "updated"})
            say("published", sequence)
            name = f"e{life}-{number}"
            link = f"{ENVIRONMENTS}/{name}"
            write("POST", ENVIRONMENTS, {"name": name}, name, "")
            write("PUT", f"{link}/status", {"status": {"state": f"at {number}"}}, name, f"at {number}")
            if number % 3 == 0:
                write("DELETE", link, None, name, None)


def main(store: str, topic: dict[str, Any], lives: int) -> dict[str, Any]:
    sequences: list[int] = []
    resources: dict[str, str | None] = {}
    http_api.application()
    control_api.application()
    signer()
    for life in range(lives):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            live(store, topic, life, writing)
        os.close(writing)
        with os.fdopen(reading) as said:
            lines = [said.readline() for _ in range(1 + life % 23)]
            os.kill(child, signal.SIGKILL)
            lines += said.readlines()
        os.waitpid(child, 0)
        for line in lines:
            if not line.endswith("\n"):  # cut in the middle
                continue
            word, *about = json.loads(line)
            if word == "published":
                sequences += about
            elif word == "writes":
                resources.pop(about[0], None)
            else:
                resources[about[0]] = about[1]
    return {"sequences": sequences, "resources": resources}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))))
