"""What a world writes to stock clients, read once more by an independent decoder."""

from __future__ import annotations

import httpx
import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, HeadersFrame, PingFrame, RstStreamFrame

from mockcentral import World
from tests.mockcentral.auditor import Auditor
from tests.mockcentral.clients import TOPIC, Watch, service, subscribed, topic
from tests.mockcentral.tap import Tap
from watchmanager._wire import messages


def test_every_frame_that_a_grpc_client_gets_is_good() -> None:
    with World() as world, Tap(world.address) as tap:
        world.put_topic(topic())
        with Watch(world, address=tap.address) as watch:
            subscribed(world)
            sequences = world.publish([service(f"s{n}") for n in range(1000)])
            assert watch.sequences(1000) == sequences
            sequences = world.publish([service()])  # the live path
            assert watch.sequences(1) == sequences
            assert world.barrier() == 1
            world.goaway()
            watch.half_close()
            assert watch.end()[0] == "OK"
        with Watch(world, address=tap.address, token="nonsense") as refused:
            assert refused.end()[0] == "UNAUTHENTICATED"
    first, second = tap.audited()
    kinds = {type(frame) for frame in first.frames}
    assert kinds >= {HeadersFrame, DataFrame, PingFrame, GoAwayFrame}
    [response] = first.responses.values()
    assert response.headers is not None
    assert ("grpc-status", "0") in response.headers
    events = []
    while response.body:
        size = int.from_bytes(response.body[1:5], "big")
        events.append(messages.Event.FromString(bytes(response.body[5 : 5 + size])))
        del response.body[: 5 + size]
    assert len(events) == 1001
    assert any(isinstance(frame, RstStreamFrame) for frame in second.frames)
    for auditor in (first, second):
        auditor.done()


def test_every_frame_that_an_http_client_gets_is_good() -> None:
    with World() as world, Tap(world.address) as tap:
        world.put_topic(topic())
        world.publish([service(f"s{n}") for n in range(300)])
        with httpx.Client(http1=False, http2=True, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {world.token}"}
            for path, status in ((f"/events{TOPIC}?pageSize=300", 200), ("/nowhere", 404), ("/events/nowhere", 404)):
                assert client.get(f"http://{tap.address}{path}", headers=headers).status_code == status
            assert client.head(f"http://{tap.address}/events{TOPIC}", headers=headers).status_code == 200
    [auditor] = tap.audited()
    auditor.done()
    assert [dict(response.headers or [])[":status"] for response in auditor.responses.values()] == [
        "200",
        "404",
        "404",
        "200",
    ]
    assert [bool(response.body) for response in auditor.responses.values()] == [True, True, True, False]


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("000000 01 04 00000001", "SETTINGS"),
        ("000000 04 00 00000000 000000 06 00 00000000", None),
        ("000000 04 00 00000000 000001 00 00 00000001 78", "DATA before HEADERS"),
        ("000000 04 00 00000000 000001 01 05 00000001 88 000000 00 01 00000001", "is over"),
        ("000000 04 00 00000000 000001 01 04 00000001 88 000001 01 04 00000001 88", "trailers"),
        ("000000 04 00 00000000 000008 07 00 00000000 0000000100000000 000008 07 00 00000000 0000000300000000", "back"),
        ("000000 04 00 00000000 000000 0a 00 00000000", "frame type"),
        ("000000 04 00 00000000 000000 04 02 00000000", "flags"),
    ],
)
def test_the_decoder_notices(written: str, complaint: str | None) -> None:
    with pytest.raises(Exception, match=complaint):
        Auditor().feed(bytes.fromhex(written))
