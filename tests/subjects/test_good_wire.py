"""What a world writes to clients in other languages, read by them and once more by an independent decoder."""

from __future__ import annotations

import pytest
from hyperframe.frame import DataFrame, PingFrame

from mockcentral import World
from tests.mockcentral.tap import Tap
from tests.subjects.subject import Subject

pytestmark = pytest.mark.go


def test_every_frame_that_grpc_go_gets_is_good(go_watch: str) -> None:
    with (
        World(scenario="calm") as world,
        Tap(world.address) as tap,
        Subject(world, [go_watch], MOCKCENTRAL_ADDRESS=tap.address) as subject,
    ):
        subject.wait_connected()
        names = [{"kind": "APIService", "name": f"n{n}", "scope": "Environment/sample-env"} for n in range(2000)]
        sequences = world.publish(names)
        subject.wait_until(lambda: sequences[-1] in subject.applied)
        assert world.barrier() >= 1
        assert subject.stop() == 0
    watched = [auditor for auditor in tap.audited() if any(response.body for response in auditor.responses.values())]
    assert watched
    assert any({DataFrame, PingFrame} <= {type(frame) for frame in auditor.frames} for auditor in watched)
