"""What a watch promises, over storms that Hypothesis makes up: safety at every moment, liveness in bounded time."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import HealthCheck, given, note, settings
from hypothesis.stateful import run_state_machine_as_test

from mockcentral.scenario.schema import Scenario
from mockcentral.sim.machine import watch_machine
from mockcentral.sim.plan import Plan
from mockcentral.sim.play import play, save_failure
from mockcentral.sim.storms import storms
from watchmanager.events import Event, Gap, Item

BUSY = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@BUSY
@given(storms())
def test_after_any_storm_a_client_is_live_again_in_bounded_time_and_has_everything_once_and_in_order(
    storm: tuple[Scenario, Plan],
) -> None:
    scenario, plan = storm
    try:
        played = play(scenario, plan)
    except AssertionError:
        note("play it again with: {1}".format(*save_failure(scenario, plan)))
        raise
    assert played.live_after is None or played.live_after <= played.bound


@BUSY
@given(storms(rough=False))
def test_an_ordinary_client_on_a_plain_network_weathers_whatever_the_server_does(storm: tuple[Scenario, Plan]) -> None:
    scenario, plan = storm
    try:
        play(scenario, plan)
    except AssertionError:
        note("play it again with: {1}".format(*save_failure(scenario, plan)))
        raise


def test_create_publish_purge_disconnect_stall_crash_restart_and_expiry_in_any_order_break_no_promise() -> None:
    run_state_machine_as_test(watch_machine(), settings=settings(BUSY, max_examples=60, stateful_step_count=25))


def test_a_users_handler_meets_repetition_only_after_a_crash_and_loses_nothing() -> None:
    table: dict[int, str] = {}

    def make_handler() -> Callable[[Item], None]:
        this_life: set[int] = set()

        def handler(item: Item) -> None:
            match item:
                case Gap():
                    pass
                case Event():
                    assert item.sequence not in this_life
                    this_life.add(item.sequence)
                    table[item.sequence] = item.name

        return handler

    machine = watch_machine(make_handler)
    run_state_machine_as_test(machine, settings=settings(BUSY, max_examples=20, stateful_step_count=15))
    assert table
