"""Small things the tests over real sockets share."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from itertools import dropwhile
from typing import Any

import mockcentral
import watchmanager as wm
from mockcentral.scenario.load import load

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
FAST = wm.Keepalive(interval=1.0, timeout=1.0)
"""A dead peer is noticed within two seconds."""
QUICK = wm.Backoff(initial=0.05, maximum=0.5, rotation=0.1, rotation_maximum=0.2)


def plain(**world: Any) -> mockcentral.World:
    """A world with the sample topic in which nothing happens by itself."""
    return mockcentral.World(replace(load("calm"), traffic=(), faults=(), expect=()), **world)


def change(number: int, **more: Any) -> dict[str, Any]:
    """Something the sample topic wants to hear of."""
    return {"kind": "APIService", "name": f"svc-{number}", "scope": "Environment/sample-env", "type": "created", **more}


def manager(world: mockcentral.World, **more: Any) -> wm.AsyncWatchManager:
    settings: dict[str, Any] = {
        "tenant_id": world.tenant,
        "token": world.issue_token,
        "backoff": QUICK,
        "keepalive": FAST,
        "subscribe_grace": 0.2,
    }
    if world.ca_file is not None:
        settings["tls"] = wm.TLS(ca=world.ca_file)
    return wm.AsyncWatchManager(world.http_url, **{**settings, **more})


@contextlib.asynccontextmanager
async def watching(
    world: mockcentral.World, *, watch: dict[str, Any] | None = None, **more: Any
) -> AsyncIterator[wm.AsyncWatch]:
    async with manager(world, **more) as owner, owner.watch(world.topics[0], **(watch or {})) as one:
        yield one


async def take(watch: wm.AsyncWatch, count: int, timeout: float = 60.0) -> list[wm.Item]:
    """So many items."""
    found: list[wm.Item] = []

    async def collect() -> None:
        async for item in watch:
            found.append(item)
            if len(found) == count:
                return

    try:
        await asyncio.wait_for(collect(), timeout)
    except asyncio.TimeoutError:
        raise AssertionError(f"{len(found)} of {count} items; {watch.status}") from None
    return found


def sequences(items: Sequence[wm.Item]) -> list[int]:
    return [item.sequence for item in items]


def published(world: mockcentral.World) -> list[int]:
    """What the first topic was to get, so far."""
    link = world.topics[0]
    return [
        each["sequence"] for each in world.journal() if each["kind"] == "event.published" and link in each["topics"]
    ]


def missing(records: Sequence[dict[str, Any]], applied: Sequence[int]) -> set[int]:
    """What was published for the sample topic since somebody came to watch it, and is not there yet."""
    watched = dropwhile(lambda record: record["kind"] != "stream.open", records)
    owed = {
        record["sequence"] for record in watched if record["kind"] == "event.published" and TOPIC in record["topics"]
    }
    gone = max((record.get("max_sequence") or 0 for record in records if record["kind"] == "http.request"), default=0)
    return {sequence for sequence in owed - set(applied) if sequence > gone}
