"""Small things every HTTP request here has in common."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from watchmanager._core.token import Skew

if TYPE_CHECKING:
    from watchmanager._driver.route import Route

LONGEST_WAIT = 24 * 3600.0
"""Whoever asks for more patience than this does not get it."""


def parse_date(text: str) -> datetime:
    """An HTTP date. ValueError or TypeError for what is none."""
    from email.utils import parsedate_to_datetime  # rarely needed, and dear to import

    return parsedate_to_datetime(text)


def learn_clock(skew: Skew, headers: Mapping[str, str], began: float, ended: float) -> None:
    """What the Date of an answer tells about the server's clock; an answer out of a cache tells nothing."""
    date = headers.get("Date")
    if date and "Age" not in headers:
        try:
            skew.learn(parse_date(date).timestamp(), began, ended)
        except (ValueError, TypeError, OverflowError):
            return


async def ask_clock(route: Route, skew: Skew) -> None:
    """Ask the server what time it is, by a request that says nothing about us: any answer will do."""
    import httpx

    scheme = "https" if route.target.tls else "http"
    async with route.http_client(timeout=route.connect_timeout) as client:
        began = time.time()
        with suppress(httpx.HTTPError, OSError):
            response = await client.head(f"{scheme}://{route.target}/")
            learn_clock(skew, response.headers, began, time.time())


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds from a Retry-After header, which holds seconds or a date; None when it says nothing usable."""
    if not value:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(min(int(text[:10]), LONGEST_WAIT))
    try:
        return min(max(0.0, parse_date(text).timestamp() - wall), LONGEST_WAIT)
    except (ValueError, TypeError, OverflowError):
        return None
