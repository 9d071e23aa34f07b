"""A whole Go agent, as the public SDK starts it, on the fake: by environment variables alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from mockcentral.conformance.verdict import Outcome
from mockcentral.faults.refuse import Refuse
from mockcentral.scenario.schema import FaultRule, Filter, FilterScope, Scenario, TokenSettings, Topic, WorldSettings
from mockcentral.scenario.types import Anchor, Code, Duration
from tests.mockcentral.clients import ask, service
from tests.subjects.agent import ENVIRONMENT, Agent, free_port
from tests.subjects.building import NEWEST, Builder
from tests.subjects.subject import PATIENCE

pytestmark = pytest.mark.go

MOCKCENTRAL = (sys.executable, "-m", "mockcentral")
VERSIONS = ["v1.1.121", NEWEST]
CLOCKED = WorldSettings(token=TokenSettings(life=Duration(6.0)))
"""Tokens that have to be renewed within a test; see test_go_watch for why not shorter."""

QUIET = Scenario(
    scenario="quiet",
    about="Nothing happens that a test or the agent does not do. The topic is nobody's: it makes the environment.",
    topics=(Topic(name="quiet", filters=(Filter(kind="*", scope=FilterScope(kind="Environment", name=ENVIRONMENT)),)),),
)


@pytest.fixture(scope="session", params=VERSIONS)
def go_agent(request: pytest.FixtureRequest, go: Builder) -> str:
    """The path of the agent, on each version of the SDK."""
    return go.agent(request.param)


def _resources(world: World, plural: str) -> list[dict[str, Any]]:
    answer = ask(world, "GET", f"/apis/management/v1/environments/{ENVIRONMENT}/{plural}")
    assert answer.status == 200
    return list(answer.json())


def test_an_agent_starts_fills_its_cache_watches_and_publishes(go_agent: str, tmp_path: Path) -> None:
    with World(scenario=QUIET) as world, Agent(world, go_agent, tmp_path, GO_AGENT_PUBLISH="petstore") as agent:
        agent.wait_progress("published", name="petstore")
        (service,) = _resources(world, "apiservices")
        (revision,) = _resources(world, "apiservicerevisions")
        (instance,) = _resources(world, "apiserviceinstances")
        assert service["title"] == "petstore"
        assert [each["name"] for each in revision["metadata"]["references"]] == [service["name"]]
        assert revision["name"] in [each["name"] for each in instance["metadata"]["references"]]
        # What it published comes back to it as events, and it reads each resource.
        agent.wait_until(lambda: {"APIService", "APIServiceInstance"} <= {said["kind"] for said in agent.said})
        assert agent.owed() >= set(agent.applied)
        assert agent.stop() == 0


def test_an_agent_needs_nothing_but_what_mockcentral_env_prints(go_agent: str, tmp_path: Path) -> None:
    seeds = tmp_path / "seeds.yaml"
    seeds.write_text("{kind: Environment, name: prod}\n", encoding="utf-8")
    ready, journal = tmp_path / "ready.json", tmp_path / "journal.ndjson"
    serve = [*MOCKCENTRAL, "serve", "--seed-file", str(seeds), "--ready-file", str(ready), "--journal", str(journal)]
    env = [*MOCKCENTRAL, "env", "--ready-file", str(ready), "--environment", "prod", "--format", "env-file"]
    with ended(serve, stdout=subprocess.PIPE) as fake:
        assert fake.stdout is not None
        fake.stdout.readline()
        told = subprocess.check_output([*env, "--directory", str(tmp_path)], text=True, timeout=PATIENCE)
        variables = dict(line.split("=", 1) for line in told.splitlines())
        variables |= {"STATUS_PORT": str(free_port()), "GO_AGENT_PROGRESS": "true"}
        with ended([go_agent], env=variables, stdout=subprocess.PIPE) as agent:
            assert agent.stdout is not None
            assert any('"running"' in line for line in agent.stdout)
    records = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    topics = {record["topic"].rpartition("/")[2] for record in records if record.get("request") == "subscribe"}
    assert topics == {"prod-discoveryagents"}


def test_an_agent_hears_of_the_four_kinds_of_events_and_reads_what_each_is_about(go_agent: str, tmp_path: Path) -> None:
    with running(go_agent, tmp_path) as (world, agent):
        link = f"/management/v1/environments/{ENVIRONMENT}/apiservices/petstore"
        for change in ({}, {"type": "updated"}, {"type": "updated", "subresource": "status"}, {"type": "deleted"}):
            (sequence,) = world.publish([service(**change)])
            agent.wait_until(lambda sequence=sequence: sequence in agent.applied)  # type: ignore[misc]
        heard = [said for said in agent.said if said["name"] == "petstore"]
        assert [said["op"] for said in heard] == ["CREATED", "UPDATED", "SUBRESOURCEUPDATED", "DELETED"]
        read = [record for record in world.journal() if record.get("path") == f"/apis{link}"]
        assert [(record["method"], record["status"]) for record in read] == [("GET", 200)] * 3


def test_an_agent_comes_back_after_each_end_of_a_stream(go_agent: str, tmp_path: Path) -> None:
    with running(go_agent, tmp_path) as (world, agent):
        hears_of_something_new(world, agent)
        for nth, abort in enumerate((True, False), 2):
            world.close_connections(abort=abort)
            subscribed(world, attempt=nth)
            hears_of_something_new(world, agent)
        assert {each.outcome for each in world.verify(["ordered", "unique", "reconnects"])} == {Outcome.PASS}


def test_an_agent_outlives_its_tokens_on_one_stream(go_agent: str, tmp_path: Path) -> None:
    with running(go_agent, tmp_path, replace(QUIET, world=CLOCKED)) as (world, agent):
        first = subscribed(world)
        world.wait_for(lambda record: record["t"] > first["t"] + 8.0, timeout=PATIENCE)
        hears_of_something_new(world, agent)
        assert not [record for record in world.journal() if record["kind"] == "stream.end"]


def test_an_agent_goes_on_when_what_it_missed_is_gone_from_the_history(go_agent: str, tmp_path: Path) -> None:
    with running(go_agent, tmp_path) as (world, agent):
        hears_of_something_new(world, agent)
        world.close_connections()
        # It waits five seconds before it comes back.
        world.publish([service(f"missed-{n}") for n in range(3)])
        world.purge(keep=0)
        subscribed(world, attempt=2)
        hears_of_something_new(world, agent)


def test_an_agent_goes_on_with_another_process_in_the_fakes_place_that_has_its_store(
    go_agent: str, tmp_path: Path
) -> None:
    # It keeps a token that was refused for four fifths of that token's life.
    scenario, store = replace(QUIET, world=CLOCKED), tmp_path / "central.db"
    with World(scenario=scenario, store=store) as first, Agent(first, go_agent, tmp_path) as agent:
        agent.wait_progress("running")
        hears_of_something_new(first, agent)
        port = int(first.address.rpartition(":")[2])
        first.close()
        with World(scenario=scenario, store=store, port=port) as world:
            agent.world = world
            subscribed(world)
            hears_of_something_new(world, agent)
            assert agent.stop() == 0


def test_an_agent_provisions_an_application_that_is_pending(go_agent: str, tmp_path: Path) -> None:
    with running(go_agent, tmp_path) as (world, agent):
        place = f"/apis/management/v1/environments/{ENVIRONMENT}/managedapplications"
        assert ask(world, "POST", place, {"name": "shop", "title": "shop", "spec": {}}).status == 201
        asked = ask(world, "PUT", f"{place}/shop/status", {"status": {"level": "Pending"}}).json()
        assert asked["status"] == {"level": "Pending"}
        agent.wait_progress("provisioned", kind="ManagedApplication", name="shop")
        writes = {"kind": "http.request", "method": "PUT", "path": f"{place}/shop/status", "status": 200}
        ours = next(record for record in world.journal() if writes.items() <= record.items())
        world.wait_for(lambda record: writes.items() <= record.items(), timeout=PATIENCE, since=ours["n"])
        done = ask(world, "GET", f"{place}/shop").json()
        assert done["status"]["level"] == "Success"
        assert done["finalizers"] != []


@pytest.mark.go_all
def test_an_agent_that_was_away_tells_over_the_stream_that_it_runs(go: Builder, tmp_path: Path) -> None:
    # v1.1.151 sends the same, but not each time: it may have taken itself for unhealthy since it started.
    with running(go.agent("v1.1.121"), tmp_path) as (world, _):
        # It looks at itself now and then, and cannot say how it is before it is back (protocol 4.8).
        world.arm(FaultRule(name="shut", on=Anchor("stream_open"), times=4, do=Refuse(code=Code.UNAVAILABLE)))
        world.close_connections()
        told = {"kind": "stream.request", "request": "agent_status", "accepted": True, "state": "running"}
        record = world.wait_for(lambda record: told.items() <= record.items(), timeout=3 * PATIENCE)
        event = {"kind": "event.published", "op": "SUBRESOURCEUPDATED", "name": f"{ENVIRONMENT}-da"}
        world.wait_for(lambda record: event.items() <= record.items(), timeout=PATIENCE, since=record["n"])
        link = f"/apis/management/v1/environments/{ENVIRONMENT}/discoveryagents/{ENVIRONMENT}-da"
        assert ask(world, "GET", link).json()["status"]["state"] == "running"


@pytest.mark.go_all
def test_an_agent_notices_by_itself_that_its_connection_is_dead(go_agent: str, tmp_path: Path) -> None:
    # Its keepalive is the SDK's, 50 s and 10 s, and cannot be set.
    with running(go_agent, tmp_path) as (world, agent):
        world.blackhole()
        subscribed(world, attempt=2)
        hears_of_something_new(world, agent)


@contextmanager
def running(program: str, directory: Path, scenario: Scenario = QUIET) -> Iterator[tuple[World, Agent]]:
    """A world, and an agent in it that has started."""
    with World(scenario=scenario) as world, Agent(world, program, directory) as agent:
        agent.wait_progress("running")
        yield world, agent
        assert agent.stop() == 0


@contextmanager
def ended(command: list[str], **more: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that is asked to end in the end."""
    with subprocess.Popen(command, text=True, **more) as process:
        try:
            yield process
        finally:
            process.terminate()


def subscribed(world: World, **having: Any) -> dict[str, Any]:
    """Wait until it subscribed."""
    wanted = {"kind": "stream.request", "request": "subscribe", "accepted": True, **having}
    return dict(world.wait_for(lambda record: wanted.items() <= record.items(), timeout=PATIENCE))


def hears_of_something_new(world: World, agent: Agent) -> None:
    """Create a resource, and wait until the agent has handled that."""
    (sequence,) = world.publish([service(f"new-{len(agent.applied)}")])
    agent.wait_until(lambda: sequence in agent.applied)
