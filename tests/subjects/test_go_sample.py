"""The SDK's own sample watch client, built as it is published in the module, on the fake."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from mockcentral.scenario.schema import Filter, Scenario, TokenSettings, Topic, WorldSettings
from mockcentral.scenario.types import Duration
from tests.mockcentral.clients import service
from tests.subjects.building import NEWEST, Builder
from tests.subjects.sample import PLAIN, sample
from tests.subjects.subject import PATIENCE

pytestmark = pytest.mark.go

SERVICES = Scenario(
    scenario="services",
    about="What the test publishes, and tokens that have to be renewed.",
    world=WorldSettings(token=TokenSettings(life=Duration(6.0))),
    topics=(Topic(name="apis", filters=(Filter(kind="APIService"),)),),
)


@pytest.fixture(scope="session", params=["v1.1.121", NEWEST])
def program(request: pytest.FixtureRequest, go: Builder) -> str:
    """The path of the sample, of each version of the SDK."""
    return go.sample(request.param)


def test_the_sample_watches_without_tls_when_it_does_not_read_history(program: str, tmp_path: Path) -> None:
    with (
        World(scenario=SERVICES) as world,
        sample(world, program, tmp_path, *PLAIN) as it,
    ):
        it.wait_for("watch registered successfully")
        changes: list[dict[str, Any]] = [{}, {"type": "updated"}, {"type": "updated", "subresource": "status"}]
        for change in [*changes, {"type": "deleted"}]:
            world.publish([service(**change)])
        # A number, not the word: it logs the enum.
        assert [said["type"] for said in it.wait_for("event received", 4)] == [0, 1, 3, 2]


def test_the_sample_reads_history_and_watches_over_tls_and_outlives_its_token(program: str, tmp_path: Path) -> None:
    with World(scenario=SERVICES, tls=True) as world:
        world.publish([service("before")])
        with sample(world, program, tmp_path) as it:
            it.wait_for("watch registered successfully")
            assert [record["after"] for record in world.journal() if record.get("topic") and "after" in record] != []
            renewed = world.wait_for(lambda record: record.get("request") == "token_refresh", timeout=PATIENCE)
            world.wait_for(lambda record: record["t"] > renewed["t"] + 4.0, timeout=PATIENCE)
            world.publish([service("after")])
            assert [said["name"] for said in it.wait_for("event received")] == ["after"]
