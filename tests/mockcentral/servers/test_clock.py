"""The clock of a world on sockets: scaled, advanced, frozen, from Python and over the control API; stalls are seen."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from mockcentral import World
from mockcentral.scenario.load import parse_fault
from mockcentral.servers import stalls
from mockcentral.servers.host import Host
from mockcentral.servers.listener import Listener
from mockcentral.servers.stalls import StallMeter, read_steal
from tests.mockcentral.clients import PATIENCE, Watch, control, service, subscribed, topic

W = "/v1/worlds/default"


@pytest.fixture
def world() -> Iterator[World]:
    with World(control=True) as world:
        world.put_topic(topic())
        yield world


def arm(world: World, **rule: Any) -> None:
    world.arm(parse_fault({"name": "it", **rule}))


def test_advancing_makes_what_is_due_happen_at_once_and_tokens_expire(world: World) -> None:
    old = world.issue_token(life=3600.0)
    arm(world, on="publish", after="1h", do="expire_tokens")
    world.publish(service())
    assert world.clock(advance=3599.0)["now"] >= 3599.0
    assert world.faults()[0]["triggered"] == 0
    with Watch(world, token=old):
        subscribed(world)
    world.clock(advance=1.5)
    assert world.faults()[0]["triggered"] == 1
    with Watch(world, token=old) as watch:
        assert watch.end()[0] == "UNAUTHENTICATED"
    assert max(record["t"] for record in world.journal()) < 600  # the journal tells real seconds


def test_a_frozen_world_answers_and_does_nothing_by_itself(world: World) -> None:
    arm(world, on="publish", after="1ms", do={"end_status": "ABORTED"})
    world.clock(freeze=True)
    with Watch(world) as watch:
        subscribed(world)
        world.publish(service())
        assert watch.events(1)[0].payload.name == "petstore"
        world.barrier(PATIENCE)
        assert world.faults()[0]["triggered"] == 0
        assert world.clock() == {"now": world.clock()["now"], "scale": 1.0, "frozen": True}
        world.clock(freeze=False)
        assert watch.end()[0] == "ABORTED"


def test_a_faster_world_has_shorter_lives_and_rules_armed_later_are_scaled_too(world: World) -> None:
    world.clock(scale=3600.0)
    arm(world, on="publish", after="2m", times=1, do={"end_status": "ABORTED"})  # 33 ms
    with Watch(world) as watch:
        subscribed(world)
        world.publish(service())
        watch.events(1)
        assert watch.end()[0] == "ABORTED"
    issued = [record["life"] for record in world.journal() if record["kind"] == "token.issued"]
    assert issued[-1] == 1.0


def test_the_clock_over_the_control_api(world: World) -> None:
    answer = control(world, "POST", f"{W}/clock", {"scale": 60, "advance": "1h", "freeze": True})
    assert answer.status == 200
    shown = answer.json()
    assert (shown["scale"], shown["frozen"], 3600 <= shown["now"] < 4200) == (60, True, True)
    assert control(world, "POST", f"{W}/clock").json() == shown
    assert control(world, "POST", f"{W}/clock", {"freeze": False}).json()["frozen"] is False


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"speed": 2}, "a clock has no 'speed': scale, advance, freeze"),
        ({"scale": 0}, "scale must be from 1e-06 to 1e+06, not 0"),
        ({"scale": "fast"}, "scale must be a number"),
        ({"scale": True}, "scale must be a number"),
        ({"advance": 10}, "advance: a duration needs a unit: write 10ms or 10s"),
        ({"advance": "-1s"}, "advance: `-1s` is no duration: it cannot be negative"),
        ({"advance": "400d"}, "advance must be seconds from 0 to"),
        ({"freeze": "yes"}, "freeze must be true or false"),
    ],
)
def test_a_clock_that_makes_no_sense_is_refused(world: World, body: object, words: str) -> None:
    answer = control(world, "POST", f"{W}/clock", body)
    assert answer.status == 400
    assert words in answer.json()["detail"]


def test_the_scenario_is_in_place_before_the_door_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[str, ...]] = []

    def start(listener: Listener) -> None:
        if isinstance(world._host, Host) and listener is world._host._listener:
            seen.append(tuple(rule.name for rule in world._host.central.rules))
        original(listener)

    original = Listener.start
    monkeypatch.setattr(Listener, "start", start)
    world = World("refuse")
    with world:
        assert seen == [tuple(rule.name for rule in world.scenario.faults)]
        assert seen[0]


# ------------------------------------------------------------------------------------------ stalls
def test_a_loop_that_was_busy_is_in_the_journal_and_in_the_metrics(world: World) -> None:
    world._act(lambda central, now: time.sleep(stalls.PERIOD + 3 * stalls.STALL))
    line = world.wait_for(lambda record: record["kind"] == "clock.stall", PATIENCE)
    assert (line["cause"], line["lost"] >= stalls.STALL) == ("lag", True)
    text = control(world, "GET", "/metrics").body.decode()
    assert 'mockcentral_stalls_total{world="default"} 0' not in text


def test_steal_is_told_by_its_share_and_a_meter_nobody_listens_to_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stalls, "PERIOD", 0.001)
    monkeypatch.setattr(stalls, "STEAL_WINDOW", 0.0)
    monkeypatch.setattr(stalls, "STALL", 3600.0)
    readings = iter([(0, 100), (10, 200), (60, 300)])  # 10 %, then 50 %

    async def measured() -> list[tuple[str, bool]]:
        told: list[tuple[str, bool]] = []
        over = asyncio.Event()
        meter = StallMeter(asyncio.get_running_loop(), lambda: next(readings, None))

        def report(cause: str, lost: float, since: float) -> None:
            told.append((cause, lost == pytest.approx(since / 2)))
            over.set()

        stop = meter.listen(report)
        await asyncio.wait_for(over.wait(), PATIENCE)
        stop()
        stop()
        assert meter._timer is None
        return told

    assert asyncio.run(measured()) == [("steal", True)]


def test_steal_is_read_from_the_kernel_where_there_is_one() -> None:
    found = read_steal()
    assert found is None or 0 <= found[0] <= found[1]
