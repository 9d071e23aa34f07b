"""Small things every HTTP request here has in common."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from watchmanager._core.token import Skew

if TYPE_CHECKING:
    import httpx

    from watchmanager._driver.route import Route

LONGEST_WAIT = 24 * 3600.0
"""Whoever asks for more patience than this does not get it."""
MAX_WORDS = 1024 * 1024
"""Bytes of an answer that is no page of events."""


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


class BrokenOff(Exception):
    """An answer began and did not come to its end."""


class TooLarge(Exception):
    """An answer is larger than it may be."""


async def whole_answer(
    client: httpx.AsyncClient, request: httpx.Request, *, seconds: float, most: int
) -> tuple[httpx.Response, bytes]:
    """The answer and its body, of at most `most` bytes, which has `seconds` for all of it: httpx's own timeout is for
    each piece, and pieces may come for ever.

    Raises TimeUp, BrokenOff, TooLarge, and what httpx raises while there is no answer.
    """
    import httpx

    from watchmanager._driver.dial import Deadline

    async with Deadline(seconds):
        response = await client.send(request, stream=True)
        parts, size = [], 0
        try:
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > most:
                    raise TooLarge(f"it is larger than {most} bytes")
        except httpx.TimeoutException:
            raise
        except (httpx.HTTPError, OSError) as error:
            raise BrokenOff(f"{type(error).__name__}: {error}".removesuffix(": ")) from error
        finally:
            await response.aclose()
    return response, b"".join(parts)


async def ask_clock(route: Route, skew: Skew) -> None:
    """Ask the server what time it is, by a request that says nothing about us: any answer will do."""
    import httpx

    from watchmanager._driver.dial import TimeUp

    scheme = "https" if route.target.tls else "http"
    async with route.http_client(timeout=route.connect_timeout) as client:
        began = time.time()
        with suppress(httpx.HTTPError, OSError, BrokenOff, TooLarge, TimeUp):
            request = client.build_request("HEAD", f"{scheme}://{route.target}/")
            response, _ = await whole_answer(client, request, seconds=route.connect_timeout, most=MAX_WORDS)
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
