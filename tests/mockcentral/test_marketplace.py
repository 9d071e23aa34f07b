"""The scenario `marketplace`, with an agent that provisions: over the stream, and by polling."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mockcentral import World
from mockcentral.scenario import catalogue, nodes
from mockcentral.scenario.load import loads
from tests.mockcentral.clients import ask
from tests.mockcentral.provisioner import KINDS, TOPIC, Provisioner

ALL = [
    ("provision", "ManagedApplication", "sample-app"),
    ("provision", "AccessRequest", "sample-request"),
    ("provision", "Credential", "sample-credential"),
    ("deprovision", "Credential", "sample-credential"),
    ("deprovision", "AccessRequest", "sample-request"),
    ("deprovision", "ManagedApplication", "sample-app"),
]
APPLICATION = ("ManagedApplication", "sample-app")


@pytest.fixture
def world() -> Iterator[World]:
    with World("marketplace", time_scale=10) as world:
        yield world


def lives(world: World) -> dict[str, list[str]]:
    """What happened to each resource of the marketplace, by its name."""
    found: dict[str, list[str]] = {}
    for record in world.journal():
        if record["kind"] == "event.published" and record["resource_kind"] in KINDS:
            assert TOPIC in record["topics"]
            found.setdefault(record["name"], []).append(record["op"])
    return found


def left(world: World) -> list[str]:
    """The marketplace's resources that are still there."""
    answers = [
        ask(world, "GET", f"/apis/management/v1/environments/sample-env/{kind.lower()}s").json() for kind in KINDS
    ]
    return [resource["name"] for answer in answers for resource in answer]


def test_what_is_bought_is_provisioned_and_taken_back_in_the_opposite_order(world: World) -> None:
    with Provisioner(world) as agent:
        agent.watch(APPLICATION)
    assert agent.done == ALL
    assert left(world) == []
    assert [record for record in world.journal() if record["kind"] == "rule.failed"] == []
    # Created, Pending, finalizer, details, (data), Success, DELETING, finalizer gone, gone.
    for name, ops in lives(world).items():
        data = ["SUBRESOURCEUPDATED"] if name == "sample-credential" else []
        assert ops == [
            *("CREATED", "SUBRESOURCEUPDATED", "UPDATED", "SUBRESOURCEUPDATED"),
            *data,
            *("SUBRESOURCEUPDATED", "UPDATED", "UPDATED", "DELETED"),
        ]


@pytest.mark.parametrize("refused", KINDS)
def test_what_the_agent_refuses_is_taken_back_and_nothing_follows_it(world: World, refused: str) -> None:
    last = {"ManagedApplication": "sample-app", "AccessRequest": "sample-request", "Credential": "sample-credential"}
    with Provisioner(world, refuses=[refused]) as agent:
        agent.watch((refused, last[refused]))
    assert agent.done[: KINDS.index(refused) + 1] == ALL[: KINDS.index(refused) + 1]
    assert last[refused] not in left(world)


def test_an_agent_that_polls_provisions_without_a_stream() -> None:
    text = nodes.read_text(catalogue.find("marketplace")).replace("on: subscribe(1)", "on: harvest(2)")
    with World(loads(text), time_scale=10) as world, Provisioner(world) as agent:
        agent.poll(APPLICATION)
        assert agent.done == ALL
        assert left(world) == []
        assert not any(record["kind"] == "stream.open" for record in world.journal())
