# docs/examples/watch_with_threads.py
"""Follow a topic in a program without asyncio. `python docs/examples/watch_with_threads.py`"""

from __future__ import annotations

import tempfile
from pathlib import Path

import mockcentral
import watchmanager as wm


def follow(address: str, tenant: str, token: wm.TokenLike, topic: str, file: Path, count: int) -> list[int]:
    """So many events after those that a run before this one processed."""
    sequences: list[int] = []
    checkpoints = wm.FileCheckpoints(file)
    manager = wm.WatchManager(address, tenant_id=tenant, token=token, checkpoints=checkpoints)
    # The first time, from the oldest event kept.
    with manager, manager.watch(topic, fallback="earliest") as watch:
        for event in watch:
            sequences.append(event.sequence)
            if len(sequences) == count:
                watch.commit(event)  # done with the last one too: there will be no next step to say so
                break
    return sequences


def main() -> None:
    with mockcentral.World(scenario="calm") as world, tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "position.json"
        arguments = (world.http_url, world.tenant, world.issue_token, world.topics[0], file)
        first = follow(*arguments, count=5)
        second = follow(*arguments, count=5)  # another process, tomorrow
        print(first, "then", second)
        assert first[-1] < second[0]


if __name__ == "__main__":
    main()
