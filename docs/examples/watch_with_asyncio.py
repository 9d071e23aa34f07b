# docs/examples/watch_with_asyncio.py
"""Follow a topic with asyncio. `python docs/examples/watch_with_asyncio.py`"""

from __future__ import annotations

import asyncio

import mockcentral
import watchmanager as wm


async def follow(address: str, tenant: str, token: wm.TokenLike, topic: str, count: int) -> list[str]:
    """The names of what changes, until `count` changes were seen."""
    names: list[str] = []
    manager = wm.AsyncWatchManager(address, tenant_id=tenant, token=token)
    async with manager, manager.watch(topic) as watch:
        await watch.ready(timeout=30)  # from here on nothing that is published is missed; raises the cause if not
        print("watching:", watch.status.state.value)
        async for event in watch:  # asking for the next event says that this one is processed
            match event:
                case wm.Event(type=wm.EventType.DELETED, kind="APIService"):
                    names.append(f"-{event.name}")
                case wm.Event(kind="APIService"):
                    names.append(f"+{event.name}")
                case wm.Gap():
                    print("may be missing:", event)  # never without on_gone="skip" or on_poison="skip"
            if len(names) == count:
                break
    return names


async def main() -> None:
    # A Central of your own instead of https://apicentral.axway.com: nothing else differs.
    async with mockcentral.World(scenario="calm") as world:
        found = await follow(world.http_url, world.tenant, world.issue_token, world.topics[0], count=5)
    print(found)


if __name__ == "__main__":
    asyncio.run(main())
