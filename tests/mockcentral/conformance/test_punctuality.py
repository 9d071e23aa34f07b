"""A report says how late the fake's own faults were."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral.conformance.punctuality import note


def on_wire(*late: float) -> list[dict[str, Any]]:
    return [{"kind": "fault.on_wire", "fault": "f", "late": one} for one in late]


def test_nothing_is_said_where_nothing_was_planned_for_a_time() -> None:
    assert note([]) is None
    assert note([{"kind": "fault.on_wire", "fault": "f"}]) is None


def test_one_fault_has_no_percentile() -> None:
    assert note(on_wire(0.0012)) == "faults planned for a time were on the wire 1.2 ms late (median of 1)"


@pytest.mark.parametrize(("most", "more"), [(0.0049, ""), (0.007, ": more than the 5.0 ms of an idle machine")])
def test_the_latest_of_a_hundred_may_be_an_outlier(most: float, more: str) -> None:
    said = note(on_wire(*[0.001] * 98, most, 2.0))
    start = "faults planned for a time were on the wire 1.0 ms late (median of 100)"
    assert said == f"{start}, {most * 1000:.1f} ms at the 99th percentile{more}"


@pytest.mark.parametrize("kind", ["clock.advanced", "clock.frozen"])
def test_nothing_is_said_when_somebody_moved_the_clock(kind: str) -> None:
    assert note([*on_wire(0.001), {"kind": kind}, *on_wire(60.0)]) is None
