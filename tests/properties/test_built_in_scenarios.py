"""Our client in built-in scenarios, over sockets: whatever breaks, every event once and in order, and no check fails.

The fault reached the wire each time: a scenario that breaks nothing tells nothing. What needs no wire is compared with
the simulator in test_sim_agrees_with_sockets as well.
"""

from __future__ import annotations

import asyncio

import pytest

import mockcentral
import watchmanager as wm
from mockcentral.conformance.verdict import Outcome
from mockcentral.scenario.load import load
from tests.watchmanager.worlds import FAST, missing, watching

PATIENCE = 60.0
SCENARIOS = (
    *("rolling-update", "too-many-pings", "stalled-window", "bad-proxy", "one-way", "ill-history", "gone-halfway"),
    *("strange-events", "bad-tokens", "pinned-token", "clock-skew"),
)


@pytest.mark.parametrize("name", SCENARIOS)
def test_our_client_passes(name: str) -> None:
    asyncio.run(passes(name))


async def passes(name: str) -> None:
    # Tokens are judged by a clock that is not scaled, and to whole seconds.
    scale = 2.0 if load(name).world.token.life > 60 else 1.0
    with mockcentral.World(scenario=name, time_scale=scale) as world:
        token = wm.ClientCredentials(world.auth_url, "our-client")
        async with watching(world, token=token, keepalive=FAST, watch={"on_gone": "skip"}) as watch:
            collected: list[int] = []

            async def collect() -> None:
                async for item in watch:
                    if isinstance(item, wm.Event):
                        collected.append(item.sequence)
                        world.record("client.applied", sequence=item.sequence, id=item.id, op=item.type.name)

            task = asyncio.ensure_future(collect())
            until = asyncio.get_running_loop().time() + PATIENCE
            while not over(world, collected):
                assert not task.done(), task
                assert asyncio.get_running_loop().time() < until, (name, watch.status)
                await asyncio.sleep(0.05)
            task.cancel()
        undecided = [verdict for verdict in world.verify() if verdict.outcome is not Outcome.PASS]
    assert undecided == []


def over(world: mockcentral.World, collected: list[int]) -> bool:
    """Whether all was published, every fault has struck, and the client is there and has all that it can have."""
    if not world.traffic_done or any(rule["state"] == "armed" and not rule["triggered"] for rule in world.faults()):
        return False
    journal = world.journal()
    streams = [record for record in journal if record["kind"] in ("stream.open", "stream.end")]
    if streams[-1]["kind"] == "stream.end":
        return False
    return not missing(journal, collected)
