"""Our client on a server that is not ours: grpc-go with the published proto, and a small history beside it."""

from __future__ import annotations

import json
import queue
import subprocess
import threading
import time
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import jwt
import pytest

import watchmanager as wm
from tests.subjects.building import Builder
from tests.subjects.subject import PATIENCE

pytestmark = pytest.mark.go

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
FIRST = 100001
QUICK = wm.Backoff(initial=0.05, maximum=0.5)


class GoServer:
    """The server as a child process: commands in, what it says out."""

    def __init__(self, program: str) -> None:
        self.said: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        ready = self.wait("ready")
        self.address, self.history = f"http://{ready['address']}", f"http://{ready['history']}"

    def __enter__(self) -> GoServer:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join(PATIENCE)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line)

    def do(self, what: str, **more: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self._process.stdin.flush()

    def wait(self, what: str, times: int = 1) -> dict[str, Any]:
        """Until it has said this so often since it lives; what it said the last time."""
        until = time.monotonic() + PATIENCE
        while len(found := [said for said in self.said if said["say"] == what]) < times:
            self.said.append(json.loads(self._lines.get(timeout=max(0.0, until - time.monotonic()))))
        return found[-1]

    def publish(self, count: int) -> None:
        self.do("publish", count=count)


@pytest.fixture(scope="session")
def program(go: Builder) -> str:
    return go.module("go_server")


@pytest.fixture
def server(program: str) -> Iterator[GoServer]:
    with GoServer(program) as server:
        yield server


def manager(server: GoServer, life: float = 600.0, tenant_id: str = "1234567890", **more: Any) -> wm.WatchManager:
    def token() -> str:
        now = time.time()
        return jwt.encode({"sub": "us", "iat": now, "exp": now + life}, "a secret that nobody asks for, long enough")

    return wm.WatchManager(
        server.address,
        tenant_id=tenant_id,
        token=token,
        history=wm.History(url=server.history, page_size=7),
        backoff=QUICK,
        subscribe_grace=0.2,
        **more,
    )


def take(watch: wm.Watch, count: int) -> list[wm.Item]:
    """The next so many items."""
    found: list[wm.Item] = []
    for item in watch:
        found.append(item)
        if len(found) == count:
            break
    return found


def sequences(items: list[wm.Item]) -> list[int]:
    return [item.sequence for item in items if isinstance(item, wm.Event)]


def test_events_of_a_go_server_arrive_as_it_sent_them(server: GoServer) -> None:
    with manager(server, user_agent="Sample/1") as owner, owner.watch(TOPIC) as watch:
        watch.ready(timeout=PATIENCE)
        said = server.wait("subscribed")
        assert said["typed"] is False  # no requestType, as the SDK does it (protocol 1.5)
        assert said["capabilities"] == ["ping"]
        assert said["agent"].startswith("Sample/1 watchmanager-python/")
        server.publish(3)
        events = take(watch, 3)
    assert sequences(events) == [FIRST, FIRST + 1, FIRST + 2]
    first = events[0]
    assert isinstance(first, wm.Event)
    assert (first.type, first.kind, first.name) == (wm.EventType.CREATED, "APIService", f"svc-{FIRST}")
    assert first.self_link == f"/management/v1/environments/sample-env/apiservices/svc-{FIRST}"
    server.wait("left")


def test_a_go_servers_ping_is_answered(server: GoServer) -> None:
    with manager(server) as owner, owner.watch(TOPIC) as watch:
        watch.ready(timeout=PATIENCE)
        for times in (1, 2, 3):
            server.do("ping")
            assert server.wait("pong", times)["id"] == "ping-1"
        server.publish(1)
        assert sequences(take(watch, 1)) == [FIRST]  # nobody is shown a PING


def test_a_token_is_renewed_on_the_stream_before_a_go_server_ends_it(server: GoServer) -> None:
    with manager(server, life=3.0) as owner, owner.watch(TOPIC) as watch:
        watch.ready(timeout=PATIENCE)
        assert server.wait("refreshed", 3)["same_topic"] is True
        server.publish(1)
        assert sequences(take(watch, 1)) == [FIRST]
        assert [said for said in server.said if said["say"] == "left"] == []


def test_what_a_stream_did_not_bring_is_caught_up_page_by_page(server: GoServer) -> None:
    server.publish(20)
    server.wait("published")
    with manager(server) as owner, owner.watch(TOPIC, start="earliest") as watch:
        assert sequences(take(watch, 20)) == list(range(FIRST, FIRST + 20))
        server.wait("asked", 3)
        assert [said["answered"] for said in server.said if said["say"] == "asked"][:3] == [7, 7, 6]
        for times, code in enumerate((14, 16, 13), 1):  # UNAVAILABLE, UNAUTHENTICATED, INTERNAL
            server.do("drop", code=code)
            server.publish(10)  # what of it is lost with the stream, nobody knows
            server.wait("left", times)
            server.publish(10)
            server.wait("subscribed", times + 1)
        assert sequences(take(watch, 60)) == list(range(FIRST + 20, FIRST + 80))


def test_a_history_that_is_gone_is_told_as_a_gap_and_life_goes_on(server: GoServer) -> None:
    checkpoints: dict[str, int] = {}
    with manager(server, checkpoints=checkpoints) as owner, owner.watch(TOPIC) as watch:
        watch.ready(timeout=PATIENCE)
        server.publish(2)
        *_, last = take(watch, 2)
        assert isinstance(last, wm.Event)
        watch.commit(last)
    server.wait("left")
    server.publish(5)
    server.do("purge")
    server.wait("purged")
    with manager(server, checkpoints=checkpoints) as owner, owner.watch(TOPIC, on_gone="skip") as watch:
        (gap,) = take(watch, 1)
        assert isinstance(gap, wm.Gap)
        assert (gap.after, gap.through, gap.reason) == (FIRST + 1, FIRST + 6, wm.GapReason.EXPIRED)
        watch.ready(timeout=PATIENCE)
        server.publish(1)
        assert sequences(take(watch, 1)) == [FIRST + 7]


def test_a_go_server_that_stops_gracefully_loses_nobody_anything(server: GoServer) -> None:
    with manager(server) as owner, owner.watch(TOPIC) as watch:
        watch.ready(timeout=PATIENCE)
        server.do("goaway")
        server.wait("took over")
        server.publish(3)  # on the old connection, which has heard GOAWAY, or on the next
        assert sequences(take(watch, 3)) == [FIRST, FIRST + 1, FIRST + 2]
        server.do("drop", code=14)
        server.wait("subscribed", 2)
        server.publish(3)
        assert sequences(take(watch, 3)) == [FIRST + 3, FIRST + 4, FIRST + 5]


@pytest.mark.parametrize(
    ("tenant", "topic", "error", "words"),
    [
        ("another", TOPIC, wm.PermissionDenied, "another tenant"),
        ("1234567890", "/management/v1/watchtopics/no-such", wm.TopicNotFound, "no topic"),
    ],
)
def test_a_refusal_of_a_go_server_is_an_error_with_its_words(
    server: GoServer, tenant: str, topic: str, error: type[wm.WatchError], words: str
) -> None:
    with manager(server, tenant_id=tenant) as owner, owner.watch(topic) as watch:
        with pytest.raises(error) as refused:
            watch.ready(timeout=PATIENCE)
        assert words in str(refused.value)
