"""How late the fake was itself: faults that were planned for a time, and when they reached the wire."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from math import ceil
from typing import Any

TOLERATED = 0.005
"""Seconds: on an idle machine 99 of 100 faults are on the wire by then."""

_MOVED = ("clock.advanced", "clock.frozen")


def note(journal: Iterable[Mapping[str, Any]]) -> str | None:
    """What a report says of it; None when nothing was planned, or when somebody moved the clock."""
    late: list[float] = []
    for record in journal:
        if record["kind"] in _MOVED:
            return None
        if "late" in record:
            late.append(record["late"])
    if not late:
        return None
    late.sort()
    middle, most = late[(len(late) - 1) // 2], late[ceil(len(late) * 0.99) - 1]
    text = f"faults planned for a time were on the wire {_ms(middle)} late (median of {len(late)})"
    if len(late) > 1:
        text += f", {_ms(most)} at the 99th percentile"
    if most > TOLERATED:
        text += f": more than the {_ms(TOLERATED)} of an idle machine"
    return text


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
