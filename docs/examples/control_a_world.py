"""Break a world by hand and see what a client would see. `python docs/examples/control_a_world.py`"""

from __future__ import annotations

import json
import urllib.request

import mockcentral
from mockcentral.scenario.load import load_topic

TOPIC = "docs/examples/sample-watch-topic.yaml"


def newest(world: mockcentral.World) -> list[dict[str, object]]:
    """The newest event of the topic's history, as an agent asks for it."""
    url = f"{world.http_url}/events{world.topics[0]}?pageSize=1&sort=sequenceID%2CDESC"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {world.token}"})
    with urllib.request.urlopen(request, timeout=10) as response:
        events: list[dict[str, object]] = json.load(response)
    return events


def main() -> None:
    with mockcentral.World(topics=load_topic(TOPIC)) as world:
        assert newest(world) == []
        matching = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env"}
        foreign = {"kind": "APIService", "name": "petstore", "scope": "Environment/another-env"}
        [sequence, _] = world.publish([matching, foreign])
        [event] = newest(world)
        print(f"published {sequence}, history has", event["type"], event["metadata"])
        print("kinds of journal records so far:", sorted({record["kind"] for record in world.journal()}))


if __name__ == "__main__":
    main()
