"""Hostile clients at the front door: they are shown out, and everybody else's events come as if they were not there."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterable, Iterator

import pytest

from mockcentral import World
from tests.mockcentral.clients import PATIENCE, Watch, raw, read_all, service, subscribed, topic
from tests.mockcentral.floods import FLOODS, HELLO, goaway_code


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
