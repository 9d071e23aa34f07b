"""A day of faults leaves nothing behind. How fast it passes is measured in benchmarks/simulator.py."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import replace

from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario.load import load
from mockcentral.sim.world import SimWorld
from watchmanager._core.machine import Settings
from watchmanager.policy import Buffer

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
EVERY = 600.0


def test_a_day_of_faults_leaves_nothing_behind_in_its_last_quarter() -> None:
    world = SimWorld(replace(load("calm"), traffic=(), faults=(), expect=()), lean=True)
    client = WatchClient(
        TOPIC, start="earliest", settings=Settings(topic=TOPIC, checkpointing=True, buffer=Buffer(recent=20))
    )
    world.join(client)
    change = {"kind": "APIService", "name": "petstore", "scope": "Environment/sample-env", "type": "updated"}
    faults: tuple[Callable[[], object], ...] = (
        lambda: world.end_streams(14),
        world.close_connections,
        world.blackhole,
    )
    counts = []
    applied = 0
    for number in range(144):
        world.publish([change] * 3)
        world.run(until=number * EVERY + 1.0)
        faults[number % 3]()
        world.run(until=(number + 1) * EVERY)
        if number % 36 == 35:
            applied += len(client.applied)
            # What the harness itself keeps for those who ask.
            for kept in (client.applied, client.states, client.positions, world.published):
                kept.clear()
            world.purge(keep=10)
            gc.collect()
            counts.append(len(gc.get_objects()))
    assert applied == 144 * 3
    assert len(world.wires) <= 2
    # A connection, a stream or an event that stays costs an object or more, for 36 faults and 108 events a quarter.
    # Earlier quarters still fill what is bounded: tokens that live on, positions that are remembered.
    assert counts[-1] - counts[-2] < 36, counts
