"""What a watch promises, over storms that Hypothesis makes up: safety at every moment, liveness in bounded time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Generator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import run_state_machine_as_test

from mockcentral.scenario.schema import Scenario
from mockcentral.sim import failures
from mockcentral.sim.machine import QUIET, watch_machine
from mockcentral.sim.plan import Happening, Plan
from mockcentral.sim.play import Stage, play
from mockcentral.sim.promises import Broken
from mockcentral.sim.storms import storms
from watchmanager.events import Event, Gap, Item

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@BUSY
@given(storms(), st.booleans())
def test_after_any_storm_a_client_is_live_again_in_bounded_time_and_has_everything_once_and_in_order(
    storm: tuple[Scenario, Plan], confirm: bool
) -> None:
    """With `confirm` a checkpoint does not even pass an event that a stream left out and nobody has found yet."""
    scenario, plan = storm
    plan = replace(plan, client=replace(plan.client, confirm=confirm))
    try:
        played = play(scenario, plan)
    except AssertionError:
        note(str(failures.save(scenario, plan)))
        raise
    assert played.live_after is None or played.live_after <= played.bound
    played.close()


@BUSY
@given(storms(rough=False))
def test_an_ordinary_client_on_a_plain_network_weathers_whatever_the_server_does(storm: tuple[Scenario, Plan]) -> None:
    scenario, plan = storm
    try:
        play(scenario, plan)
    except AssertionError:
        note(str(failures.save(scenario, plan, name="storm-on-a-plain-network")))
        raise


def test_create_publish_purge_disconnect_stall_crash_restart_and_expiry_in_any_order_break_no_promise() -> None:
    run_state_machine_as_test(watch_machine(), settings=settings(BUSY, max_examples=60, stateful_step_count=25))


def test_a_users_handler_meets_repetition_only_after_a_crash_and_loses_nothing() -> None:
    runs = []

    def make_handler(disk: dict[str, Any]) -> Callable[[Item], None]:
        this_life: set[int] = set()
        table: dict[int, str] = disk.setdefault("table", {})

        def handler(item: Item) -> None:
            match item:
                case Gap():
                    pass
                case Event():
                    assert item.sequence not in this_life
                    this_life.add(item.sequence)
                    table[item.sequence] = item.name

        return handler

    def check(stage: Stage) -> None:
        table = stage.disk.get("table", {})
        assert table == {event.sequence: event.name for event in stage.events}
        runs.append(len(table))

    machine = watch_machine(make_handler, check=check)
    run_state_machine_as_test(machine, settings=settings(BUSY, max_examples=20, stateful_step_count=15))
    assert sum(runs) > 0


def test_a_handler_may_be_a_coroutine_function() -> None:
    def make_handler(disk: dict[str, Any]) -> Callable[[Item], Coroutine[Any, Any, None]]:
        async def handler(item: Item) -> None:
            await asyncio.sleep(0)
            disk["seen"] = disk.get("seen", 0) + 1

        return handler

    stage = Stage(QUIET, Plan(until=10.0, happenings=(Happening(1.0, "publish", 3),)), make_handler=make_handler)
    stage.play()
    stage.finish()
    assert stage.disk == {"seen": 3}


def test_a_coroutine_that_waits_for_something_real_is_told_how_to_run() -> None:
    def make_handler(disk: dict[str, Any]) -> Callable[[Item], Coroutine[Any, Any, None]]:
        class Never:
            def __await__(self) -> Generator[str, None, None]:
                yield "a socket"

        async def handler(item: Item) -> None:
            await Never()

        return handler

    stage = Stage(QUIET, Plan(until=10.0, happenings=(Happening(1.0, "publish", 1),)), make_handler=make_handler)
    with pytest.raises(Broken, match=r"waits for 'a socket'.*asyncio\.run\(handler\(event\)\)") as caught:
        stage.play()
    assert caught.value.promise == "handler"
