"""How times are spelled (protocol 3.4, 6.0)."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

_EPOCH = date(1970, 1, 1).toordinal()


def event_time(wall: float) -> str:
    """`2024-10-28 15:43:02.689148`: a space, microseconds, no zone (protocol 3.4)."""
    day, time = _spelled(wall)
    return f"{day} {time}"


def timestamp(wall: float) -> str:
    """`2024-10-28T15:43:02.689+0000`: the only form Go agents read in resources (protocol 6.0)."""
    day, time = _spelled(wall)
    return f"{day}T{time[:-3]}+0000"


@lru_cache(64)  # one event goes to many topics
def _spelled(wall: float) -> tuple[str, str]:
    """The day, and the time in microseconds. By hand: every resource and every event has times, and `datetime` takes
    longer than the rest of publishing.
    """
    minutes, micros = divmod(int(wall * 1_000_000), 60_000_000)
    day, minute = _minute(minutes)
    digits = f"{micros:08d}"
    return day, f"{minute}{digits[:2]}.{digits[2:]}"


@lru_cache(64)
def _minute(number: int) -> tuple[str, str]:
    days, minutes = divmod(number, 1440)
    return date.fromordinal(_EPOCH + days).isoformat(), f"{minutes // 60:02d}:{minutes % 60:02d}:"
