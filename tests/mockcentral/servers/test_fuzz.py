"""Any bytes at the front door: nothing raises, what is answered is good, and the next one is served."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral.servers.host import Host
from mockcentral.wire.frames import PREFACE, frame
from mockcentral.wire.grpc import encode_message
from tests.mockcentral.auditor import Auditor
from tests.mockcentral.floods import CALL, HELLO, REQUEST, headers
from tests.mockcentral.servers.rig import Transport, connect, make_host

ALERT = b"\x15\x03\x01\x00\x02\x02\x46"
GET = b"GET /events/x HTTP/1.1\r\nHost: x\r\n\r\n"


class FrontDoor:
    """A host on a loop of its own, which keeps what goes wrong there."""

    def __init__(self) -> None:
        self.wrong: list[dict[str, Any]] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda loop, context: self.wrong.append(context))
        self._host = self._loop.run_until_complete(self._start())

    async def _start(self) -> Host:
        host = make_host()
        await host.start()
        return host

    def hear(self, pieces: list[bytes]) -> Transport:
        """What comes of a connection that says this and then leaves."""
        return self._loop.run_until_complete(self._hear(pieces))

    async def _hear(self, pieces: list[bytes]) -> Transport:
        link, transport = connect(self._host)
        for piece in pieces:
            if transport.closed or transport.ended:
                break
            link.data_received(piece)
            while not transport.reading and not transport.closed:
                await asyncio.sleep(0)
        for _ in range(5):  # the answers of a pipeline
            await asyncio.sleep(0)
        if not transport.closed:
            link.eof_received()
            link.connection_lost(None)
        await asyncio.sleep(0)
        assert link.id not in self._host.links
        return transport

    def close(self) -> None:
        self._loop.run_until_complete(self._host.stop())
        self._loop.close()


@pytest.fixture(scope="module")
def front_door() -> Iterator[FrontDoor]:
    front_door = FrontDoor()
    yield front_door
    front_door.close()


words = st.sampled_from(
    [
        PREFACE,
        HELLO,
        headers(1, CALL),
        headers(3, [(":method", "GET"), *REQUEST[1:]], "END_STREAM"),
        frame(0, 0, 1, encode_message(b"\x0a\x02/x")),
        frame(0, 1, 1, b""),
        frame(3, 0, 1, b"\0\0\0\x08"),
        frame(6, 0, 0, b"12345678"),
        frame(7, 0, 0, b"\0" * 8),
        frame(8, 0, 0, b"\0\0\0\1"),
        GET,
        b"POST /auth HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"PUT / HTTP/1.1\r\nContent-Length: 5\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
        b"Host: y\r\n",
        b"\r\n",
        b"\x16\x03\x01\x02\x00\x01",
    ]
)


@st.composite
def spelled(draw: st.DrawFn) -> list[bytes]:
    """A conversation, now and then with a byte that is not as it should be, cut anywhere."""
    said = bytearray(b"".join(draw(st.lists(words | st.binary(max_size=20), min_size=1, max_size=8))))
    for at in draw(st.lists(st.integers(0, len(said)), max_size=2)):
        said[at : at + 1] = draw(st.binary(max_size=2))
    cuts = sorted(draw(st.lists(st.integers(0, len(said)), max_size=4)))
    return [bytes(said[a:b]) for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]


@settings(max_examples=100)
@given(pieces=spelled())
def test_whatever_is_said_the_answer_is_good_and_the_next_one_is_served(
    front_door: FrontDoor, pieces: list[bytes]
) -> None:
    answer = bytes(front_door.hear(pieces).written)
    said = b"".join(pieces)
    if answer == ALERT:
        assert said[0] == 0x16
    elif said.startswith(PREFACE[:14]):
        auditor = Auditor(2**24)
        auditor.feed(answer)
        auditor.done()
    else:
        assert_good_http(answer)
    assert front_door.hear([GET]).written.startswith(b"HTTP/1.1 401 ")
    assert front_door.wrong == []


def assert_good_http(answer: bytes) -> None:
    """A row of responses, read by the client side of h11; the last may be "100 Continue" for a body that never came."""
    while answer:
        told_to_go_on = False
        client = h11.Connection(h11.CLIENT)
        client.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        client.send(h11.EndOfMessage())
        client.receive_data(answer)
        while not isinstance(event := client.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA and told_to_go_on and not client.trailing_data[0]:
                return
            assert event is not h11.NEED_DATA
            told_to_go_on = isinstance(event, h11.InformationalResponse)
            assert not isinstance(event, h11.ConnectionClosed)
        answer = client.trailing_data[0]
