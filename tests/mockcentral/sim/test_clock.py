"""The clock: what is due happens in order, at its own time."""

from __future__ import annotations

from mockcentral.sim.clock import NEVER, Clock


def test_actions_happen_at_their_time_and_those_of_one_time_in_the_order_they_were_planned() -> None:
    clock = Clock()
    seen: list[tuple[float, str]] = []
    for when, name in ((2.0, "late"), (1.0, "first"), (1.0, "second")):
        clock.at(when, lambda name=name: seen.append((clock.now, name)))
    while clock.step():
        pass
    assert seen == [(1.0, "first"), (1.0, "second"), (2.0, "late")]
    assert clock.next_at == NEVER


def test_an_action_planned_in_the_past_happens_now_and_time_never_falls() -> None:
    clock = Clock()
    seen: list[float] = []
    clock.at(5.0, lambda: clock.at(1.0, lambda: seen.append(clock.now)))
    while clock.step():
        pass
    assert seen == [5.0]


def test_running_stops_at_the_given_time_inclusive_and_at_the_given_number_of_steps() -> None:
    clock = Clock()
    seen: list[int] = []
    for number in range(5):
        clock.at(float(number), seen.append, number)
    assert clock.run(2.0, 100) == 97
    assert seen == [0, 1, 2]
    assert clock.run(NEVER, 1) == 0
    assert seen == [0, 1, 2, 3]
