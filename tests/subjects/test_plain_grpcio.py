"""A client with none of our code, on the fake: does the fake speak the protocol to somebody who only read it?"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from mockcentral import World
from mockcentral.conformance.verdict import Outcome
from tests.subjects.subject import Subject

pytest.importorskip("grpc_tools", reason="the client makes its classes with grpcio-tools")

CLIENT = [sys.executable, str(Path(__file__).parent / "plain_grpcio" / "client.py")]


@pytest.mark.parametrize("scenario", ["calm", "flaky", "token-expiry"])
def test_a_client_that_only_read_the_protocol_gets_every_event_once_and_in_order(scenario: str) -> None:
    with World(scenario=scenario) as world, Subject(world, CLIENT) as subject:
        subject.wait_applied_everything()
        assert subject.stop() == 0
        assert subject.applied == sorted(set(subject.applied))
        assert len(subject.applied) >= len(subject.owed()) > 0
        assert [verdict for verdict in world.verify() if verdict.outcome is Outcome.FAIL] == []
        streams = [record for record in world.journal() if record["kind"] == "stream.open"]
        assert len(streams) > {"flaky": 12}.get(scenario, 0)


def test_it_says_when_it_has_seen_enough() -> None:
    with World(scenario="calm") as world, Subject(world, CLIENT, MOCKCENTRAL_EXPECT_EVENTS="3") as subject:
        subject.wait_until(lambda: len(subject.applied) == 3)
        assert subject.process.wait(60) == 0
