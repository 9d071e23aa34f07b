"""One scenario, once in virtual time and once over sockets: the same deliveries, resume points and state transitions.

What depends on microseconds is not compared: which of two events that are published in the same instant gets the lower
sequence, how far a stream had got when a timer cut it. So events are compared by resource, and a resume point is where
history had confirmed everything up to, in both runs.
"""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby
from random import Random
from typing import Any

import pytest

import mockcentral
import watchmanager as wm
from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario import catalogue
from mockcentral.scenario.load import load, scaled
from mockcentral.sim.world import SimWorld
from tests.watchmanager.worlds import TOPIC, missing
from watchmanager._core.machine import Settings

SEED = 5
BACKOFF = wm.Backoff(initial=0.2, maximum=1.0, rotation=0.1, rotation_maximum=0.2)
GRACE = 0.5
SCALES = (2.0, 2.0, 1.0, 0.5)
"""A stream that is cut a tenth of a second after it opened may have become LIVE on a busy machine, or not: what never
differs is compared every time, the rest has to agree once, and there is ever more time for it.
"""
SIMULATED = [name for name in catalogue.names() if not load(name).needs]
Record = dict[str, Any]
_LETTERS = {"CONNECTING": "N", "CATCHING_UP": "C", "LIVE": "L", "BACKING_OFF": "B", "SPILLING": "S", "FAILED": "F"}


class Run:
    """What is compared of a run."""

    def __init__(self, records: Sequence[Record], applied: Sequence[int], states: Sequence[str]) -> None:
        letters = "".join(_LETTERS[state] for state, _ in groupby(states))
        # How often a server that refuses was tried in vain, and whether the client thought for a moment that the
        # stream stood, is a matter of milliseconds: tries in a row count as one.
        self.states = re.sub("(BN)+", "BN", re.sub("NC(?=B)", "N", letters))
        published = {record["sequence"]: record for record in records if record["kind"] == "event.published"}
        self.deliveries: dict[tuple[str, str], list[str]] = defaultdict(list)
        for sequence in applied:
            line = published[sequence]
            self.deliveries[line["resource_kind"], line["name"]].append(line["op"])
        self.ends = [
            (record["by"], record["code"])
            for record in records
            if record["kind"] == "stream.end" and record["reason"] != "the run is over"
        ]
        self.struck = {record["fault"] for record in records if record["kind"] == "fault.on_wire"}
        self.resumed = 0
        """How often a client asked history after the end of a stream from what history had confirmed last."""
        self.elsewhere: list[tuple[int, int]] = []
        """Where it asked from elsewhere: (asked, confirmed)."""
        self.gone = any(record.get("max_sequence") for record in records if record["kind"] == "http.request")
        """Whether a 410 sent the client on to the newest sequence: what it skipped depends on when it asked."""
        confirmed = 0
        waiting = False
        for record in records:
            if record["kind"] == "stream.end":  # the next question may overtake the stream it is asked for
                waiting = True
            elif record["kind"] == "http.request" and record.get("after") is not None:
                if waiting and confirmed:
                    if record["after"] == confirmed:
                        self.resumed += 1
                    elif record["status"] != 410:
                        self.elsewhere.append((record["after"], confirmed))
                waiting = False
                confirmed = max(confirmed, *record["sequences"], record.get("max_sequence") or 0, 0)


def simulated(name: str, scale: float) -> Run:
    settings = Settings(topic=TOPIC, backoff=BACKOFF, on_gone="skip", subscribe_grace=GRACE)
    client = WatchClient(TOPIC, settings=settings, random=Random(Random(SEED).getrandbits(64)))
    world = SimWorld(scaled(load(name), scale), clients=[client])

    def done() -> bool:
        return world.central.traffic_done and client.settled and not missing(world.records(), client_sequences(client))

    assert world.run(until=300.0, stop=done), f"{name}: {client.machine.status()}"
    return Run(world.records(), client_sequences(client), [state.value for _, state in client.states])


def client_sequences(client: WatchClient) -> list[int]:
    return [each.sequence for each in client.events]


def over_sockets(name: str, scale: float) -> Run:
    return asyncio.run(_over_sockets(name, scale))


async def _over_sockets(name: str, scale: float) -> Run:
    states: list[str] = []
    applied: list[int] = []
    world = mockcentral.World(name, time_scale=scale)
    async with (
        world,
        wm.AsyncWatchManager(
            world.http_url,
            tenant_id=world.tenant,
            token=wm.ClientCredentials(world.auth_url, "our-client"),
            backoff=BACKOFF,
            subscribe_grace=GRACE,
            random=Random(SEED),
        ) as manager,
        manager.watch(TOPIC, on_gone="skip", on_state=lambda state, why: states.append(state.value)) as watch,
    ):
        more = asyncio.Event()

        async def collect() -> None:
            async for item in watch:
                if isinstance(item, wm.Event):
                    applied.append(item.sequence)
                more.set()

        collecting = asyncio.ensure_future(collect())
        await asyncio.to_thread(world.wait_traffic, 200.0)
        while missing(world.journal(), applied):
            more.clear()
            await asyncio.wait_for(more.wait(), 60.0)
        while watch.status.state is not wm.State.LIVE:  # the last event may have come from history
            await asyncio.wait_for(watch._engine.wait_changed(), 60.0)
        records = world.journal()
    await collecting
    return Run(records, applied, [state for state in states if state != "CLOSED"])


@pytest.mark.parametrize("name", SIMULATED)
def test_simulator_and_sockets_tell_the_same_story(name: str) -> None:
    for scale in SCALES:
        here = simulated(name, scale)
        assert here.elsewhere == []
        there = over_sockets(name, scale)
        assert there.elsewhere == []
        assert here.struck == there.struck
        if not there.gone:
            assert here.deliveries == there.deliveries
        if (here.deliveries, here.ends, here.states, bool(here.resumed)) == (
            there.deliveries,
            there.ends,
            there.states,
            bool(there.resumed),
        ):
            return
    assert here.deliveries == there.deliveries
    assert here.ends == there.ends
    assert here.states == there.states
    assert bool(here.resumed) == bool(there.resumed)
