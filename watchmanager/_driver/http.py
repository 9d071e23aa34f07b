"""Small things every HTTP request here has in common."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date; None when it says nothing usable."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:10]), 24 * 3600))
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - wall), 24 * 3600.0)
    except (ValueError, TypeError, OverflowError):
        return None
