"""What a world writes to clients in other languages, read by them and once more by an independent decoder."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame

from mockcentral import World
from tests.mockcentral.tap import Tap
from tests.subjects.subject import Subject

pytestmark = pytest.mark.go


def _service(name: str) -> dict[str, str]:
    return {"kind": "APIService", "name": name, "scope": "Environment/sample-env"}


def test_every_frame_that_the_agent_sdk_gets_is_good(go_watch: str) -> None:
    with (
        World(scenario="calm") as world,
        Tap(world.address) as tap,
        Subject(world, [go_watch], MOCKCENTRAL_ADDRESS=tap.address) as subject,
    ):
        subject.wait_connected()
        sequences = world.publish([_service(f"n{n}") for n in range(2000)])
        subject.wait_until(lambda: sequences[-1] in subject.applied)
        assert world.barrier() >= 1
        assert subject.stop() == 0
    watched = [auditor for auditor in tap.audited() if any(response.body for response in auditor.responses.values())]
    assert watched
    assert any({DataFrame, PingFrame} <= {type(frame) for frame in auditor.frames} for auditor in watched)


@pytest.mark.parametrize("client", ["grpc_go", "grpc_js"])
def test_every_frame_that_a_bare_client_gets_is_good(client: str, request: pytest.FixtureRequest) -> None:
    built: str | tuple[str, ...] = request.getfixturevalue(client)
    command = [built] if isinstance(built, str) else list(built)
    with (
        World(scenario="calm") as world,
        Tap(world.address) as tap,
        Subject(world, command, MOCKCENTRAL_ADDRESS=tap.address) as subject,
    ):
        subject.wait_connected()
        world.publish([_service(f"n{n}") for n in range(2000)])
        world.publish([_service("live")])
        # It acks a PING behind all of that, on the same connection: it could read everything.
        assert world.barrier() == 1
        assert [record for record in world.journal() if record["kind"] == "stream.end"] == []
        world.goaway()
        assert world.barrier() >= 1
    first = tap.audited()[0]
    assert {DataFrame, PingFrame, GoAwayFrame} <= {type(frame) for frame in first.frames}
    assert sum(len(response.body) for response in first.responses.values()) > 100_000
