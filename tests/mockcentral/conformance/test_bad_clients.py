"""Clients that do one thing wrong, in the scenario that is there to catch them."""

from __future__ import annotations

from mockcentral import World
from mockcentral.conformance.verdict import Outcome
from tests.mockcentral.clients import Watch


def test_a_client_that_tries_again_at_once_is_caught_by_an_overloaded_server() -> None:
    with World("overload") as world:
        for _ in range(11):
            with Watch(world, world.topics[0]) as watch:
                assert watch.end()[0] == "RESOURCE_EXHAUSTED"
        [verdict] = world.verify(["backs_off"])
        assert verdict.outcome is Outcome.FAIL
