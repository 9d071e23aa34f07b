"""`SimWorld`: decided by scenario and seed alone, with the journal of a real run."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path
from random import Random

import pytest

from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario import catalogue
from mockcentral.scenario.load import load
from mockcentral.scenario.types import Span
from mockcentral.sim.network import Network
from mockcentral.sim.play import Stage
from mockcentral.sim.storms import storm
from mockcentral.sim.weather import Weather
from mockcentral.sim.world import Runaway, SimWorld
from tests.mockcentral.sim.parties import Puppet, change, scenario

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
ROOT = Path(__file__).parents[3]

DIGESTS = """
from random import Random
from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario import catalogue
from mockcentral.scenario.load import load
from mockcentral.sim.play import Stage
from mockcentral.sim.storms import storm
from mockcentral.sim.world import SimWorld
for name in catalogue.names():
    scenario = load(name)
    topic = f"/management/v1/watchtopics/{scenario.topics[0].name}"
    world = SimWorld(scenario, seed=3, clients=[WatchClient(topic)], approximate=True)
    world.run(until=60.0)
    print(world.digest())
for seed in range(20):
    scenario, plan = storm(Random(seed).randint)
    stage = Stage(scenario, plan, lean=False)
    stage.play()
    stage.finish()
    print(stage.world.digest())
"""


def test_the_same_seed_gives_the_same_journal_byte_for_byte_whatever_the_hash_seed() -> None:
    runs = [
        subprocess.run(
            [sys.executable, "-c", DIGESTS],
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for hash_seed in ("1", "4242")
    ]
    assert runs[0] == runs[1]
    assert len(set(runs[0].split())) == len(catalogue.names()) + 20


def test_another_seed_gives_another_run() -> None:
    digests = set()
    for seed in (1, 2):
        world = SimWorld(load("flaky"), seed=seed, clients=[WatchClient(TOPIC)])
        world.run(until=30.0)
        digests.add(world.digest())
    assert len(digests) == 2


SIMULATED = [name for name in catalogue.names() if not load(name).needs]


@pytest.mark.parametrize("name", SIMULATED)
def test_the_checks_judge_a_simulated_run_as_they_judge_a_real_one(name: str) -> None:
    world = SimWorld(load(name), clients=[_client(name)])
    world.run(until=60.0)
    wrong = [f"{verdict.check}: {verdict.message}" for verdict in world.verdicts() if verdict.outcome.value == "fail"]
    assert wrong == []


def _client(name: str) -> WatchClient:
    from mockcentral.conformance.subjects.watchmanager_core import make_settings
    from mockcentral.sim.plan import ClientPlan

    return WatchClient(TOPIC, settings=make_settings(ClientPlan(on_gone="skip")))


def test_a_scenario_that_needs_the_wire_is_refused_unless_an_approximation_will_do() -> None:
    with pytest.raises(ValueError, match="silent needs the wire"):
        SimWorld(load("silent"))
    world = SimWorld(load("silent"), clients=[_client("silent")], approximate=True)
    world.run(until=120.0)
    assert [verdict.check for verdict in world.verdicts() if verdict.outcome.value != "pass"] == []


def test_records_have_the_fields_every_journal_record_has() -> None:
    world = SimWorld(load("calm"), clients=[WatchClient(TOPIC)])
    world.run(until=20.0)
    records = world.records()
    assert [record["n"] for record in records] == list(range(1, len(records) + 1))
    assert all(record["v"] == 1 and record["world"] == "sim" and record["t"] >= 0 for record in records)
    assert [record["t"] for record in records] == sorted(record["t"] for record in records)


def test_no_token_is_in_the_journal() -> None:
    world = SimWorld(load("token-expiry"), clients=[WatchClient(TOPIC)])
    world.run(until=20.0)
    issued = list(world.central.tokens._issued)
    assert len(issued) > 2
    dump = world.dump()
    assert not any(token in dump for token in issued)


def test_a_run_that_gets_nowhere_is_stopped_and_shows_its_last_lines() -> None:
    world = SimWorld(scenario(), clients=[Puppet()])

    def again() -> None:
        world.clock.at(world.now, again)

    world.clock.at(1.0, again)
    with pytest.raises(Runaway, match=r"1000 steps and only at 1\.000 s"):
        world.run(until=2.0, limit_events=1000)


def test_a_run_ends_when_its_condition_holds_and_says_so() -> None:
    world = SimWorld(scenario())
    world.at(3.0, lambda: world.publish(change()))
    assert world.run(until=10.0, stop=lambda: bool(world.published))
    assert world.now == 3.0
    assert not world.run(until=10.0, stop=lambda: False)
    assert world.now == 10.0


def test_a_lean_world_goes_the_same_way_as_one_with_a_journal() -> None:
    for name in SIMULATED:
        applied = []
        for lean in (False, True):
            client = _client(name)
            client.keepalive = None
            world = SimWorld(load(name), clients=[client], lean=lean)
            world.run(until=60.0)
            applied.append([(each.at, each.sequence) for each in client.applied])
        assert applied[0] == applied[1], name


def test_what_has_more_than_30_attributes_has_slots() -> None:
    """Python 3.11 is slow with a dict of an object's own, and it gets one with the 31st attribute."""
    client = WatchClient(TOPIC)
    world = SimWorld(load("calm"), clients=[client], lean=True)
    world.run(until=5.0)
    for each in (world, world.central, world.network, client, client.machine):
        assert len(getattr(each, "__dict__", ())) <= 30


def test_bad_weather_settings_are_named() -> None:
    with pytest.raises(ValueError, match=r"weather\.up goes from 2"):
        SimWorld(scenario(), latency=Span(2.0, 1.0))
    with pytest.raises(ValueError, match=r"weather\.zombies is 1\.5"):
        SimWorld(scenario(), weather=Weather(zombies=1.5))


def test_idle_time_is_skimmed_over_and_everything_after_it_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    def run() -> tuple[object, ...]:
        client = WatchClient(TOPIC, start="earliest")
        world = SimWorld(load("flaky"), clients=[client], lean=True)
        for until in (100.0, 3_000.0, 7_000.5, 7_001.0, 20_000.0):
            world.run(until=until)
            world.publish({"kind": "APIService", "name": "late", "scope": "Environment/sample-env", "type": "updated"})
        world.blackhole()
        world.run(until=30_000.0)
        steps, random = world.clock.steps, world.network._up_delay()
        return [each.at for each in client.applied], client.states, str(client.machine.status()), random, steps

    *skimmed, few = run()
    monkeypatch.setattr(Network, "_skim", lambda self: None)
    *stepped, many = run()
    assert skimmed == stepped
    assert few < many / 1.5  # type: ignore[operator]


def test_what_is_skimmed_over_leaves_the_same_journal_and_the_same_client_as_one_step_after_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(seed: int, lean: bool) -> tuple[object, ...]:
        stage = Stage(*storm(Random(seed).randint), lean=lean)
        stage.play()
        stage.finish()
        stage.advance(stage.world.now + 500.0)
        machine, network, central = stage.client.machine, stage.world.network, stage.world.central
        draws = network._up_delay(), network._down_delay(), central.new_id(), stage.client._random.random()
        told = [(each.life, each.at, each.sequence) for each in stage.client.applied], stage.client.states
        # `deadline` alone would not show a timer of the client's that is off and not the next.
        client = str(machine.status()), list(machine._ping_gaps), dict(machine._timers._due)
        return told, client, draws, stage.world.dump(), stage.world.clock.steps

    steps = 0
    for seed in range(25):
        with monkeypatch.context() as patch:
            patch.setattr(Network, "_skim", lambda self: None)
            *stepped, many = run(seed, lean=False)
        *skimmed, few = run(seed, lean=False)
        assert skimmed == stepped, seed
        *lean, _, _ = run(seed, lean=True)
        assert lean == skimmed[:-1], seed
        steps += many - few  # type: ignore[operator]
    assert steps > 2_000


def test_a_closed_world_needs_no_garbage_collector_and_nothing_happens_in_it() -> None:
    collects = gc.isenabled()
    gc.disable()
    try:
        client = WatchClient(TOPIC, start="earliest")
        world = SimWorld(load("calm"), clients=[client], lean=True)
        world.run(until=60.0)
        steps, applied = world.clock.steps, len(client.applied)
        assert applied
        world.close()
        world.run(until=3600.0)
        assert (world.clock.steps, len(client.applied)) == (steps, applied)
        network, topics = weakref.ref(world.network), weakref.ref(world.central.topics)
        del world
        assert network() is None
        assert topics() is None
    finally:
        if collects:
            gc.enable()
