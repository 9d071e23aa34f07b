"""The Go agent's provisioner in the scenario `marketplace`: over the stream, and by polling (protocol 4.9, 4.10)."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockcentral import World
from mockcentral.conformance import key_files
from mockcentral.scenario import catalogue, nodes
from mockcentral.scenario.load import loads
from mockcentral.scenario.schema import Scenario
from tests.mockcentral.clients import ask
from tests.subjects.agent import ENVIRONMENT, Agent
from tests.subjects.building import NEWEST, Builder
from tests.subjects.subject import Subject

pytestmark = pytest.mark.go

ALL = [
    ("provisioned", "ManagedApplication"),
    ("provisioned", "AccessRequest"),
    ("provisioned", "Credential"),
    ("deprovisioned", "Credential"),
    ("deprovisioned", "AccessRequest"),
    ("deprovisioned", "ManagedApplication"),
]


@pytest.fixture(scope="session", params=["v1.1.121", NEWEST])
def go_agent(request: pytest.FixtureRequest, go: Builder) -> str:
    """The path of the agent, on each version of the SDK."""
    return go.agent(request.param)


def marketplace(begins: str) -> Scenario:
    """The scenario, with another beginning."""
    return loads(nodes.read_text(catalogue.find("marketplace")).replace("on: subscribe(1)", f"on: {begins}"))


def did(agent: Subject) -> list[tuple[str, str]]:
    return [(said["step"], said["kind"]) for said in agent.progress if said["step"] in ("provisioned", "deprovisioned")]


def gone(world: World, kind: str) -> bool:
    return not ask(world, "GET", f"/apis/management/v1/environments/{ENVIRONMENT}/{kind.lower()}s").json()


def told_by_rest(world: World) -> list[int]:
    """How the requests were answered with which an agent told its status."""
    path = f"/environments/{ENVIRONMENT}/discoveryagents/{ENVIRONMENT}-da/status"
    return [
        record["status"]
        for record in world.journal()
        if record["kind"] == "http.request" and record["method"] == "PUT" and record["path"].endswith(path)
    ]


def test_the_sdk_provisions_what_is_pending_and_takes_back_what_is_to_go(go_agent: str, tmp_path: Path) -> None:
    with World("marketplace") as world, Agent(world, go_agent, tmp_path) as agent:
        agent.wait_until(lambda: did(agent) == ALL and gone(world, "ManagedApplication"))
        assert not any(record["kind"] == "rule.failed" for record in world.journal())
        assert gone(world, "AccessRequest")
        assert gone(world, "Credential")
        assert told_by_rest(world) == []  # with a stream it would tell it there
        assert agent.stop() == 0


def test_an_agent_without_grpc_polls_and_tells_its_status_by_rest(go_agent: str, tmp_path: Path) -> None:
    scenario = marketplace("harvest(3)")
    # The SDK polls every 30 s at most often, but for this variable of its own tests.
    often = {"CENTRAL_POLLINTERVAL": "500ms", "QA_ENFORCE_DURATION_LOWER_LIMIT": "false"}
    with World(scenario) as world, Agent(world, go_agent, tmp_path, CENTRAL_GRPC_ENABLED="false", **often) as agent:
        agent.wait_until(lambda: did(agent) == ALL and gone(world, "ManagedApplication"))
        assert not any(record["kind"] == "stream.open" for record in world.journal())
        agent.wait_until(lambda: bool(told_by_rest(world)))
        assert set(told_by_rest(world)) == {200}
        (resource,) = ask(world, "GET", f"/apis/management/v1/environments/{ENVIRONMENT}/discoveryagents").json()
        assert resource["status"]["state"] == "running"
        assert agent.stop() == 0


def test_an_agent_whose_key_is_registered_gets_in_and_another_does_not(go_agent: str, tmp_path: Path) -> None:
    keys = key_files.new_keys()
    key_files.write_keys(str(tmp_path), keys)
    with World("calm", public_keys={"mockcentral-client": keys[1]}) as world, Agent(world, go_agent, tmp_path) as agent:
        agent.wait_progress("running")
        assert not any(record["kind"] == "token.refused" for record in world.journal())
        assert agent.stop() == 0
    other = tmp_path / "other"
    other.mkdir()
    with World("calm", public_keys={"mockcentral-client": keys[1]}) as world, Agent(world, go_agent, other):
        refused = world.wait_for(lambda record: record["kind"] == "token.refused", timeout=60.0)
        assert refused["reason"].startswith("kid ")
