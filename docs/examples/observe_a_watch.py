# docs/examples/observe_a_watch.py
"""What a watch tells about itself: state, numbers, logs. `python docs/examples/observe_a_watch.py`"""

from __future__ import annotations

import asyncio
import logging

import mockcentral
import watchmanager as wm


async def main() -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s %(message)s")
    logging.getLogger("watchmanager.stream").setLevel(logging.INFO)  # every change of state, with its reason

    async with mockcentral.World(scenario="calm") as world:
        manager = wm.AsyncWatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token)
        async with manager:
            watch = manager.watch(world.topics[0], on_state=lambda state, why: print(state.value, "-", why))
            async with watch:
                await watch.ready(timeout=30)
                await watch.until(lambda item: isinstance(item, wm.Event), timeout=30)
                status = watch.status
                print(f"{status.state.value}: {status.why}")
                print("healthy:", status.healthy, "waiting for us:", status.lag)
                print(f"a dead peer is noticed within {status.dead_peer_bound:g} s")
            for topic, numbers in manager.metrics_by_topic().items():
                print(topic, {name: value for name, value in numbers.items() if name.startswith("events_")})


if __name__ == "__main__":
    asyncio.run(main())
