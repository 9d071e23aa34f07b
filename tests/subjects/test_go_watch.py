"""The public Go SDK on the fake, in each version that can be had: a real client that never heard of us."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from mockcentral.conformance.verdict import Outcome
from mockcentral.faults.abort import Abort
from mockcentral.faults.base import Fault
from mockcentral.faults.blackhole import Blackhole
from mockcentral.faults.close import Close
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.purge import Purge
from mockcentral.faults.refuse import Refuse
from mockcentral.faults.reset import Reset
from mockcentral.faults.restart import RestartServer
from mockcentral.scenario.expectations import HandlesGone, NoticesDeadPeer, Reconnects, Resumes
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
from tests.subjects.building import TAGS, Builder
from tests.subjects.subject import PATIENCE, Subject

pytestmark = pytest.mark.go

RARE = {"v1.1.104", "v1.1.137"}
"""Versions that run in an environment of their own: each is a build of half a minute."""

BUSY = Scenario(
    scenario="busy",
    about="Short-lived tokens and frequent PINGs; events only when the test publishes them.",
    # The SDK caches a token for 4/5 of its life and cuts that and exp to whole seconds. Where the two meet, below six
    # seconds of life, it sends the old token again and again until it blocks itself or ends the stream.
    world=WorldSettings(token=TokenSettings(life=Duration(6.0)), ping=PingSettings(every=Duration(0.5))),
    topics=(Topic(name="apis", filters=(Filter(kind="APIService"),)),),
)

# The SDK subscribes when history has nothing new, from v1.1.128 on looking every 100 ms: between bursts there is quiet.
IN_BURSTS = Traffic(
    publish=Publish(kind="APIService", scope="Environment/sample-env"),
    on=Anchor("stream_open"),
    count=200,
    burst=8,
    every=Span(0.5, 0.5),
)
BREAKS: tuple[Fault, ...] = (EndStatus(code=Code.UNAVAILABLE), Reset(), Close(), Abort(), EndStatus(code=Code.OK))
BUMPY = Scenario(
    scenario="bumpy",
    about="Ten streams break, each a moment after its subscription.",
    seed=3,
    topics=BUSY.topics,
    traffic=(IN_BURSTS,),
    faults=tuple(
        FaultRule(name=f"break-{nth}", on=Anchor("subscribe", nth), after=Span(0.1, 0.6), do=BREAKS[nth % len(BREAKS)])
        for nth in range(1, 11)
    ),
    expect=(Resumes(), Reconnects(within=Duration(10.0))),
)
LIFELESS = Scenario(
    scenario="lifeless",
    about="A connection goes dead without a sign, and there is more to come on the next.",
    topics=BUSY.topics,
    traffic=(replace(IN_BURSTS, count=40), replace(IN_BURSTS, count=8, on=Anchor("subscribe", 2))),
    faults=(FaultRule(name="cable", on=Anchor("subscribe", 1), after=Span(0.6, 0.6), do=Blackhole()),),
    expect=(Resumes(), NoticesDeadPeer(within=Duration(20.0))),
)
FORGETFUL = Scenario(
    scenario="forgetful",
    about="A stream ends, and the history is gone before the client is back.",
    topics=BUSY.topics,
    traffic=(replace(IN_BURSTS, count=80),),
    faults=(
        FaultRule(name="forget", on=Anchor("event", 21), times=1, do=Purge(keep=0)),
        FaultRule(name="cut", on=Anchor("event", 21), times=1, do=EndStatus(code=Code.UNAVAILABLE)),
    ),
    expect=(HandlesGone(), Reconnects(within=Duration(10.0))),
)
REBOOTED = Scenario(
    scenario="rebooted",
    about="The server dies and comes back with its history.",
    topics=BUSY.topics,
    traffic=(replace(IN_BURSTS, count=80),),
    faults=(FaultRule(name="reboot", on=Anchor("event", 21), times=1, do=RestartServer(down_for=Span(1.0, 1.0))),),
    expect=(Resumes(), Reconnects(within=Duration(10.0))),
)


@pytest.fixture(
    scope="session",
    params=[pytest.param(version, marks=[pytest.mark.go_all] if version in RARE else []) for version in TAGS],
)
def each_watch(request: pytest.FixtureRequest, go: Builder) -> str:
    """The path of the client, on each version of the SDK."""
    return go.watch(request.param)


def _publish(world: World, *names: str, **change: Any) -> list[int]:
    return world.publish(
        [{"kind": "APIService", "name": name, "scope": "Environment/sample-env", **change} for name in names]
    )


def _wait_request(world: World, request: str, **having: Any) -> dict[str, Any]:
    def is_it(record: dict[str, Any]) -> bool:
        wanted = {"kind": "stream.request", "request": request, "accepted": True, **having}
        return all(record.get(key) == value for key, value in wanted.items())

    return dict(world.wait_for(is_it, timeout=PATIENCE))


@pytest.mark.parametrize(
    "scenario",
    ["calm", "token-expiry", BUMPY, LIFELESS, FORGETFUL, REBOOTED],
    ids=lambda scenario: scenario if isinstance(scenario, str) else scenario.scenario,
)
def test_the_sdk_gets_every_event_once_and_in_order(each_watch: str, scenario: str | Scenario) -> None:
    with World(scenario=scenario) as world, Subject(world, [each_watch]) as subject:
        subject.wait_until(lambda: world.traffic_done and subject.due() <= set(subject.applied))
        assert subject.stop() == 0
        assert subject.applied == sorted(set(subject.applied))
        assert len(subject.applied) >= len(subject.due()) > 0
        verdicts = world.verify()
        assert [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL] == []
        if isinstance(scenario, Scenario):
            # What was planned happened, and was felt.
            assert {verdict.outcome for verdict in verdicts} == {Outcome.PASS}, verdicts


def test_the_sdk_tells_the_four_kinds_of_events_apart_and_reads_the_resources(each_watch: str) -> None:
    with World(scenario=BUSY) as world, Subject(world, [each_watch, "-fetch"]) as subject:
        subject.wait_connected()
        life: list[dict[str, Any]] = [{}, {"type": "updated"}, {"type": "updated", "subresource": "status"}]
        sequences = [_publish(world, "petstore", **change)[0] for change in life]
        subject.wait_until(lambda: subject.applied == sequences)
        sequences += _publish(world, "petstore", type="deleted")
        subject.wait_until(lambda: subject.applied == sequences)
        assert [(said["op"], said.get("fetched")) for said in subject.said] == [
            ("CREATED", 200),
            ("UPDATED", 200),
            ("SUBRESOURCEUPDATED", 200),
            ("DELETED", None),
        ]


@pytest.mark.parametrize("keeps", [True, False], ids=["with-store", "without"])
def test_the_sdk_survives_another_process_in_the_fakes_place(each_watch: str, keeps: bool, tmp_path: Path) -> None:
    store = tmp_path / "central.db" if keeps else None
    first = World(scenario=BUSY, store=store).start()
    try:
        with Subject(first, [each_watch]) as subject:
            subject.wait_connected()
            before = _publish(first, *(f"a{n}" for n in range(20)))
            subject.wait_until(lambda: subject.applied == before)
            port = int(first.address.rpartition(":")[2])
            first.close()
            with World(scenario=BUSY, store=store, port=port) as world:
                subject.world = world
                subject.wait_connected()
                # Without a store the numbers begin again, below the client's position: it takes the new ones for seen.
                after = _publish(world, *(f"b{n}" for n in range(30)))
                new = after if keeps else after[20:]
                subject.wait_until(lambda: subject.applied == before + new)
                assert subject.stop() == 0
    finally:
        first.close()


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
