"""Hostile clients at the front door: they are shown out, and everybody else's events come as if they were not there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import pytest
from hyperframe.frame import ContinuationFrame, DataFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from mockcentral import World
from mockcentral.wire.grpc import encode_message
from tests.mockcentral.auditor import Auditor
from tests.mockcentral.clients import PATIENCE, TOPIC, Watch, raw, read_all, service, subscribed, topic
from tests.mockcentral.floods import CALL, FLOODS, HELLO, goaway_code, headers
from watchmanager._wire import messages


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_topic(topic())
        yield world


def flood(world: World, pieces: Iterable[bytes]) -> int | None:
    """One connection's worth of it: the code of the GOAWAY it ends with."""
    received = bytearray()
    with raw(world.address) as connection:
        connection.sendall(HELLO)

        def read() -> None:
            received.extend(read_all(connection))

        reader = threading.Thread(target=read)
        reader.start()
        with contextlib.suppress(ConnectionError):
            for piece in pieces:
                connection.sendall(piece)
                if not reader.is_alive():
                    break
        reader.join(PATIENCE)
        assert not reader.is_alive()
    return goaway_code(bytes(received))


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_is_shown_out_while_everybody_else_gets_their_events(world: World, name: str) -> None:
    credentials = [("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant)]
    if name != "refused streams":
        credentials.clear()
    codes: list[int | None] = []
    attacker = threading.Thread(target=lambda: codes.append(flood(world, FLOODS[name](*credentials))))
    with Watch(world) as watch:
        subscribed(world)
        attacker.start()
        published: list[int] = []
        received: list[int] = []
        while attacker.is_alive() or not published:
            published += world.publish([service("a"), service("b")])
            received += watch.sequences(2)
        attacker.join(PATIENCE)
        assert received == published
        assert len(world.connections()) == 1
    assert codes == [11]  # ENHANCE_YOUR_CALM


@pytest.mark.parametrize("bound", ["MAX_QUEUED_EVENTS", "MAX_QUEUED_BYTES"])
def test_a_reader_that_reads_nothing_is_reset_and_what_waited_for_it_is_let_go(
    world: World, bound: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(f"mockcentral.servers.host.{bound}", 50 if bound == "MAX_QUEUED_EVENTS" else 20_000)
    credentials = [("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant)]
    subscribe = messages.Request(selfLink=TOPIC, token=f"Bearer {world.token}").SerializeToString()
    with raw(world.address) as connection:
        connection.sendall(HELLO + SettingsFrame(0, settings={4: 0}).serialize() + headers(1, [*CALL, *credentials]))
        connection.sendall(DataFrame(1, encode_message(subscribe)).serialize())
        subscribed(world)
        for _ in range(100):
            world.publish([service()])
        ended = world.wait_for(lambda record: record["kind"] == "stream.end", PATIENCE)
        assert (ended["code"], ended["reason"]) == ("RESOURCE_EXHAUSTED", "the client does not read its events")
        auditor = Auditor()
        while not any(isinstance(frame, RstStreamFrame) for frame in auditor.frames):
            auditor.feed(connection.recv(65_536))
        [reset] = [frame for frame in auditor.frames if isinstance(frame, RstStreamFrame)]
        assert reset.error_code == 11
        [link] = world._live_host().links.values()
        assert link.h2 is not None
        assert link.h2.queued_bytes == 0


def test_the_journal_keeps_no_more_of_a_call_than_tells_what_it_was(world: World) -> None:
    long = "x" * 20_000
    fields = [*CALL[:2], (":path", "/" + long), *CALL[3:], ("user-agent", long), ("x-axway-tenant-id", long)]
    with raw(world.address) as connection:
        connection.sendall(HELLO + split(headers(1, fields)))
        world.wait_for(lambda record: record["kind"] == "stream.end", PATIENCE)
    assert max(len(str(record)) for record in world.journal()) < 2000


def split(frame: bytes) -> bytes:
    """A long HEADERS frame as HEADERS and CONTINUATIONs."""
    pieces = [frame[at : at + 16_384] for at in range(9, len(frame), 16_384)]
    first = HeadersFrame(1, pieces[0]).serialize()
    rest = [ContinuationFrame(1, piece).serialize() for piece in pieces[1:-1]]
    return first + b"".join(rest) + ContinuationFrame(1, pieces[-1], flags=["END_HEADERS"]).serialize()


@pytest.mark.parametrize("heaviest", ["http/1.1", "http/2"])
def test_what_all_began_to_send_is_bounded_and_who_holds_most_has_to_go(
    world: World, heaviest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockcentral.servers.half_read.MAX_HALF_READ", 20_000)
    more, less = (15_000, 7_000) if heaviest == "http/1.1" else (7_000, 15_000)
    credentials = [("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant)]
    with Watch(world) as watch, raw(world.address) as first, raw(world.address) as second:
        subscribed(world)
        first.sendall(f"POST /auth/x HTTP/1.1\r\nhost: x\r\ncontent-length: 30000\r\n\r\n{'x' * more}".encode())
        second.sendall(HELLO + headers(1, [*CALL, *credentials]))
        second.sendall(DataFrame(1, b"\0" + (30_000).to_bytes(4, "big") + bytes(less)).serialize())
        if heaviest == "http/1.1":
            assert read_all(first).startswith(b"HTTP/1.1 503 ")
        else:
            assert goaway_code(read_all(second)) == 11  # ENHANCE_YOUR_CALM
        closed = world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
        assert closed["reason"] == "too much half-sent at once"
        published = world.publish(service())
        assert watch.sequences(1) == published
        assert {link["protocol"] for link in world.connections()} == {"h2", "http/1.1"} - {heaviest} | {"h2"}
        assert sum(world._live_host()._half_read._held.values()) < 20_000


def test_what_ended_is_not_counted_as_half_read(world: World) -> None:
    with raw(world.address) as first, raw(world.address) as second:
        for size in (1, 9_999):
            first.sendall(b"POST /auth/x HTTP/1.1\r\nhost: x\r\ncontent-length: 10000\r\n\r\n" * (size == 1))
            first.sendall(b"x" * size)
        assert first.recv(100).startswith(b"HTTP/1.1 ")
        second.sendall(b"POST /auth/x HTTP/1.1\r\nhost: x\r\ncontent-length: 10000\r\n\r\nxxx")
    for connection in (1, 2):
        closed = {"kind": "conn.close", "conn": connection}
        world.wait_for(lambda record, closed=closed: closed.items() <= record.items(), PATIENCE)  # type: ignore[misc]
    assert world._live_host()._half_read._held == {}
