"""Traffic lines: whole lives of resources, at the planned times, from the seed."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.events import Change, Op, Scope
from mockcentral._core.traffic import TrafficLine
from mockcentral.scenario.schema import ALL_TYPES, EventType, Publish, Scenario, Traffic
from mockcentral.scenario.types import Anchor, Span
from tests.mockcentral._core.rig import Rig


def line(seed: int = 1, *, publish: Publish | None = None, **more: Any) -> TrafficLine:
    return TrafficLine(Traffic(publish=publish or Publish(kind="APIService"), **more), Random(seed))


def everything(one: TrafficLine) -> list[Change]:
    one.observe("start", 1, 0.0)
    return due(one, 1e18)


def due(one: TrafficLine, now: float) -> list[Change]:
    """What the line publishes when somebody comes to look at `now`."""
    changes: list[Change] = []
    while one.next_at is not None and one.next_at <= now:
        changes.append(one.next_change())
    return changes


def test_nothing_happens_before_its_anchor() -> None:
    waiting = line(on=Anchor("subscribe", 2), count=1)
    assert waiting.next_at is None
    waiting.observe("start", 1, 0.0)
    waiting.observe("subscribe", 1, 1.0)
    assert (waiting.next_at, due(waiting, 99.0)) == (None, [])
    waiting.observe("subscribe", 2, 2.0)
    assert waiting.next_at == 2.0


def test_only_the_first_match_of_the_anchor_counts() -> None:
    one = line(on=Anchor("connect"), count=2, every=Span(1.0, 1.0))
    one.observe("connect", 1, 0.0)
    due(one, 0.0)
    one.observe("connect", 2, 0.5)
    assert one.next_at == 1.0


def test_bursts_come_at_the_planned_times_and_a_late_call_gets_the_whole_backlog() -> None:
    one = line(count=7, burst=2, every=Span(10.0, 10.0), after=Span(5.0, 5.0))
    one.observe("start", 1, 0.0)
    assert one.next_at == 5.0
    assert due(one, 4.9) == []
    assert len(due(one, 5.0)) == 2
    assert len(due(one, 27.0)) == 4  # those of 15 and 25
    assert one.next_at == 35.0  # from the planned time, not from when somebody came to look
    assert not one.done
    assert len(due(one, 35.0)) == 1
    assert due(one, 1e9) == []
    assert one.next_at is None


def test_a_pause_of_zero_publishes_everything_at_once() -> None:
    one = line(count=1000, every=Span(0.0, 0.0))
    one.observe("start", 1, 3.0)
    assert len(due(one, 3.0)) == 1000


words = st.lists(st.sampled_from(ALL_TYPES), min_size=1, max_size=4).map(tuple)


@given(st.integers(0, 10**6), words, st.integers(1, 80), st.none() | st.just("petstore"))
@settings(deadline=None)
def test_a_resource_is_created_before_it_is_updated_and_not_touched_after_it_is_deleted(
    seed: int, types: tuple[EventType, ...], count: int, name: str | None
) -> None:
    publish = Publish(kind="K", scope="Environment/e", type=types, name=name)
    changes = everything(line(seed, publish=publish, count=count, burst=3))
    assert len(changes) == count
    allowed = {"created": Op.CREATED, "updated": Op.UPDATED, "deleted": Op.DELETED}
    assert {change.op for change in changes} <= {allowed[word] for word in types}
    assert {change.scope for change in changes} == {Scope("Environment", "e")}
    if name is not None:
        assert {change.name for change in changes} == {name}
    if "created" not in types:
        return  # then resources exist by themselves
    alive: set[str] = set()
    for change in changes:
        if change.op is Op.CREATED:
            if len(set(types)) > 1 or name is None:
                assert change.name not in alive
            alive.add(change.name)
        else:
            assert change.name in alive
        if change.op is Op.DELETED:
            alive.remove(change.name)


def test_names_made_up_are_all_different() -> None:
    changes = everything(line(count=200, publish=Publish(kind="K", type=("created",))))
    assert len({change.name for change in changes}) == 200


def test_an_update_of_a_subresource_says_so_and_other_changes_do_not() -> None:
    changes = everything(line(count=100, publish=Publish(kind="K", subresource="status")))
    assert {change.op for change in changes} == {Op.CREATED, Op.SUBRESOURCEUPDATED, Op.DELETED}
    for change in changes:
        assert change.subresource == ("status" if change.op is Op.SUBRESOURCEUPDATED else "")


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_same_seed_makes_the_same_traffic(seed: int) -> None:
    spec: dict[str, Any] = {"count": 50, "every": Span(0.1, 2.0), "burst": 2}
    assert everything(line(seed, **spec)) == everything(line(seed, **spec))
    assert everything(line(seed, **spec)) != everything(line(seed + 1, **spec))


@pytest.mark.parametrize("anchor", ["event", "ping"])
def test_traffic_may_begin_with_a_moment_that_no_fault_waits_for(anchor: str) -> None:
    spec = Traffic(publish=Publish(kind="Credential"), on=Anchor(anchor, 1), count=3, burst=3)
    rig = Rig(Scenario(scenario="x", about="y", traffic=(spec,)))
    rig.watch()
    rig.publish()
    rig.central.ping_received(1, b"12345678", rig.now)
    rig.at(1.0)
    assert len(rig.records("event.published")) == 4
