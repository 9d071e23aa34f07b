"""A whole Go agent, as the public SDK starts it, on the fake: by environment variables alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from mockcentral.scenario.schema import Filter, FilterScope, Scenario, Topic
from tests.mockcentral.clients import ask
from tests.subjects.agent import ENVIRONMENT, Agent
from tests.subjects.building import NEWEST, Builder

pytestmark = pytest.mark.go

VERSIONS = ["v1.1.121", NEWEST]

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
