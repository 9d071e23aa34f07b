"""Lives of a fake that publishes as fast as it can, each ended by kill -9: `killed.py STORE TOPIC LIVES`.

Prints a JSON list of the sequences that were acknowledged, in the order they were. The lives are forked from one
process that has imported everything: a hundred interpreters would take a minute to start.
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

KEEPS_ALL = Scenario(scenario="killed", about="a log", world=WorldSettings(log=LogSettings(keep=10_000_000)))


def live(store: str, topic: dict[str, Any], output: int) -> NoReturn:
    with World(KEEPS_ALL, store=store) as world, os.fdopen(output, "w") as said:
        if not world.topics:
            world.put_topic(topic)
        number = 0
        while True:
            number += 1
            (sequence,) = world.publish({"kind": "APIService", "name": f"s{number % 50}", "type": "updated"})
            print(sequence, file=said, flush=True)


def main(store: str, topic: dict[str, Any], lives: int) -> list[int]:
    acknowledged: list[int] = []
    http_api.application()
    control_api.application()
    signer()
    for life in range(lives):
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            live(store, topic, writing)
        os.close(writing)
        with os.fdopen(reading) as said:
            lines = [said.readline() for _ in range(1 + life % 7)]
            os.kill(child, signal.SIGKILL)
            lines += said.readlines()
        os.waitpid(child, 0)
        # The last line may have been cut in the middle of its number.
        acknowledged += [int(line) for line in lines if line.endswith("\n")]
    return acknowledged


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]), int(sys.argv[3]))))
