"""The public Go SDK on the fake: a real client that never heard of us."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral import World
from mockcentral.conformance.verdict import Outcome
from mockcentral.faults.abort import Abort
from mockcentral.faults.base import Fault
from mockcentral.faults.close import Close
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.refuse import Refuse
from mockcentral.faults.reset import Reset
from mockcentral.scenario.expectations import Reconnects, Resumes
from mockcentral.scenario.schema import (
    FaultRule,
    Filter,
    PingSettings,
    Publish,
    Scenario,
    TokenSettings,
    Topic,
    Traffic,
    WorldSettings,
)
from mockcentral.scenario.types import Anchor, Code, Duration, Span
from tests.subjects.subject import PATIENCE, Subject

pytestmark = pytest.mark.go

BUSY = Scenario(
    scenario="busy",
    about="Short-lived tokens and frequent PINGs; events only when the test publishes them.",
    # The SDK caches a token for 4/5 of its life and cuts that and exp to whole seconds. Where the two meet, below six
    # seconds of life, it sends the old token again and again until it blocks itself or ends the stream.
    world=WorldSettings(token=TokenSettings(life=Duration(6.0)), ping=PingSettings(every=Duration(0.5))),
    topics=(Topic(name="apis", filters=(Filter(kind="APIService"),)),),
)

BREAKS: tuple[Fault, ...] = (EndStatus(code=Code.UNAVAILABLE), Reset(), Close(), Abort(), EndStatus(code=Code.OK))
BUMPY = Scenario(
    scenario="bumpy",
    about="Ten streams break, each a moment after its subscription; the events come in bursts with quiet between them.",
    seed=3,
    topics=BUSY.topics,
    traffic=(
        Traffic(
            publish=Publish(kind="APIService", scope="Environment/sample-env"),
            on=Anchor("stream_open"),
            count=200,
            burst=8,
            every=Span(0.5, 0.5),
        ),
    ),
    faults=tuple(
        FaultRule(name=f"break-{nth}", on=Anchor("subscribe", nth), after=Span(0.1, 0.6), do=BREAKS[nth % len(BREAKS)])
        for nth in range(1, 11)
    ),
    expect=(Resumes(), Reconnects(within=Duration(10.0))),
)


def _publish(world: World, *names: str) -> list[int]:
    return world.publish([{"kind": "APIService", "name": name, "scope": "Environment/sample-env"} for name in names])


def _wait_request(world: World, request: str, **having: Any) -> dict[str, Any]:
    def is_it(record: dict[str, Any]) -> bool:
        wanted = {"kind": "stream.request", "request": request, "accepted": True, **having}
        return all(record.get(key) == value for key, value in wanted.items())

    return dict(world.wait_for(is_it, timeout=PATIENCE))


@pytest.mark.parametrize("scenario", ["calm", "token-expiry", BUMPY], ids=["calm", "token-expiry", "bumpy"])
def test_the_sdk_gets_every_event_once_and_in_order(go_watch: str, scenario: str | Scenario) -> None:
    with World(scenario=scenario) as world, Subject(world, [go_watch]) as subject:
        subject.wait_applied_everything()
        assert subject.stop() == 0
        assert subject.applied == sorted(set(subject.applied))
        assert len(subject.applied) >= len(subject.owed()) > 0
        assert [verdict for verdict in world.verify() if verdict.outcome is Outcome.FAIL] == []
        if scenario is BUMPY:
            # As many streams broke as were meant to, after the subscription, and one more is open.
            subscribed = [record for record in world.journal() if record.get("request") == "subscribe"]
            assert len(subscribed) >= len(BUMPY.faults) + 1


def test_the_sdk_gets_every_event_of_a_topic_too_busy_to_subscribe_to(go_watch: str) -> None:
    # It subscribes when history has nothing new, looking every 100 ms. `flaky` publishes every 30 ms: the SDK gets all
    # of it as history while its streams open and break behind its back (protocol 1.6, 2.3).
    with World(scenario="flaky") as world, Subject(world, [go_watch]) as subject:
        subject.wait_applied_everything()
        assert subject.stop() == 0
        assert subject.applied == sorted(set(subject.applied))
        assert len(subject.applied) >= len(subject.owed()) > 0


def test_the_sdk_registers_and_receives(go_watch: str) -> None:
    with World(scenario=BUSY) as world, Subject(world, [go_watch]) as subject:
        subscribed = _wait_request(world, "subscribe", topic=world.topics[0])
        assert subscribed["capabilities"] == ["ping"]
        opened = world.wait_for(lambda record: record["kind"] == "stream.open")
        assert opened["tenant"] == world.tenant
        assert opened["user_agent"].startswith("GoWatch/1.0 (sdkVer:")
        sequences = _publish(world, "a", "b", "c")
        subject.wait_until(lambda: subject.applied == sequences)


def test_the_sdk_catches_up_on_what_it_missed(go_watch: str) -> None:
    with World(scenario=BUSY) as world, Subject(world, [go_watch]) as subject:
        subject.wait_connected()
        before = _publish(world, "seen")
        subject.wait_until(lambda: subject.applied == before)
        # Nobody gets in while the next ones happen.
        world.arm(FaultRule(name="shut", on=Anchor("stream_open"), do=Refuse(code=Code.UNAVAILABLE)))
        world.close_connections()
        world.wait_for(lambda record: record["kind"] == "stream.end")
        missed = _publish(world, *(f"missed-{number}" for number in range(150)))
        world.disarm("shut")
        subject.wait_until(lambda: subject.applied == before + missed)
        pages = [
            record["sequences"]
            for record in world.journal()
            if record["kind"] == "http.request" and record.get("after") == before[-1]
        ]
        # The last harvests of that position: a full page and the rest.
        assert [sequence for page in pages[-2:] for sequence in page] == missed


def test_the_sdk_refreshes_its_token_on_the_stream(go_watch: str) -> None:
    with World(scenario=BUSY) as world, Subject(world, [go_watch]) as subject:
        first = _wait_request(world, "subscribe")
        renewed = world.wait_for(
            lambda record: (
                record.get("request") == "token_refresh" and record["accepted"] and record["token"] != first["token"]
            ),
            timeout=PATIENCE,
        )
        assert renewed["attempt"] == first["attempt"] == 1
        # It outlives its first token by far, on the same stream.
        world.wait_for(lambda record: record["t"] > first["t"] + 8.0, timeout=PATIENCE)
        sequences = _publish(world, "late")
        subject.wait_until(lambda: subject.applied == sequences)
        assert not [record for record in world.journal() if record["kind"] == "stream.end"]


def test_the_sdk_answers_each_ping_with_its_id(go_watch: str) -> None:
    with World(scenario=BUSY) as world, Subject(world, [go_watch]) as subject:
        subject.wait_connected()
        sent = world.wait_for(
            lambda record: record["kind"] == "stream.event" and record["op"] == "PING", timeout=PATIENCE
        )
        _wait_request(world, "ping_response", id=sent["id"])
        assert subject.applied == []


def test_the_sdk_trusts_the_fakes_own_ca(go_watch: str) -> None:
    with World(scenario=BUSY, tls=True) as world, Subject(world, [go_watch]) as subject:
        subject.wait_connected()
        sequences = _publish(world, "private")
        subject.wait_until(lambda: subject.applied == sequences)
