"""A slow line: nothing is lost, nothing overtakes, and every delay is the one that was asked for."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral.wire.shaper import Shape, Shaper


def arrivals(shaper: Shaper) -> list[tuple[float, bytes]]:
    found = []
    while (due := shaper.deadline()) is not None:
        found.append((due, shaper.take(due)))
    return found


def test_latency_puts_off_every_byte() -> None:
    shaper = Shaper(Random(1), Shape(latency=2.0))
    shaper.put(b"a", 10.0)
    shaper.put(b"b", 11.0)
    assert shaper.take(11.9) == b""
    assert shaper.size == 2
    assert arrivals(shaper) == [(12.0, b"a"), (13.0, b"b")]
    assert shaper.size == 0


def test_jitter_stays_in_its_bounds_and_the_seed_decides() -> None:
    def run(seed: int) -> list[float]:
        shaper = Shaper(Random(seed), Shape(latency=1.0, jitter=0.5))
        for number in range(50):
            shaper.put(b"x", 10.0 * number)
        return [due - 10.0 * number for number, (due, _) in enumerate(arrivals(shaper))]

    delays = run(1)
    assert min(delays) >= 0.5
    assert max(delays) <= 1.5
    assert len({round(delay, 6) for delay in delays}) > 40
    assert run(1) == delays
    assert run(2) != delays


def test_bandwidth_spreads_bytes_over_time() -> None:
    shaper = Shaper(Random(1), Shape(rate=1000))
    shaper.put(b"x" * 500, 0.0)
    shaper.put(b"y" * 500, 0.0)
    found = arrivals(shaper)
    assert found[-1][0] == pytest.approx(1.0)
    assert max(len(data) for _, data in found) <= 20
    assert b"".join(data for _, data in found) == b"x" * 500 + b"y" * 500


def test_an_idle_line_saves_no_bandwidth_up() -> None:
    shaper = Shaper(Random(1), Shape(rate=1000))
    shaper.put(b"x" * 100, 0.0)
    arrivals(shaper)
    shaper.put(b"x" * 100, 50.0)
    assert arrivals(shaper)[-1][0] == pytest.approx(50.1)


def test_gathering_lets_a_window_leave_together() -> None:
    shaper = Shaper(Random(1), Shape(gather=0.5))
    for at, data in ((0.0, b"a"), (0.2, b"b"), (0.49, b"c"), (0.6, b"d")):
        shaper.put(data, at)
    assert arrivals(shaper) == [(0.5, b"abc"), (pytest.approx(1.1), b"d")]


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        Shape,
        latency=st.floats(0, 5),
        jitter=st.floats(0, 10),
        rate=st.one_of(st.none(), st.integers(1, 10_000)),
        gather=st.floats(0, 1),
    ),
    st.lists(st.tuples(st.floats(0, 3), st.binary(max_size=50)), max_size=20),
    st.integers(),
)
def test_no_byte_is_lost_overtakes_or_comes_early(shape: Shape, puts: list[tuple[float, bytes]], seed: int) -> None:
    shaper, now, whole = Shaper(Random(seed), shape), 0.0, b""
    for pause, data in puts:
        now += pause
        shaper.put(data, now)
        whole += data
    found = arrivals(shaper)
    assert b"".join(data for _, data in found) == whole
    assert [due for due, _ in found] == sorted(due for due, _ in found)
    assert all(due >= 0 for due, _ in found)
    assert shaper.size == 0


def test_a_line_that_gets_better_lets_nobody_overtake() -> None:
    shaper = Shaper(Random(1), Shape(latency=5.0))
    shaper.put(b"a", 0.0)
    shaper.shape = Shape()
    shaper.put(b"b", 1.0)
    assert shaper.take(4.9) == b""
    assert shaper.take(5.0) == b"ab"
