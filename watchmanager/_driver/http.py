"""Small things every HTTP request here has in common."""

from __future__ import annotations

import ssl
from email.utils import parsedate_to_datetime

from watchmanager.policy import TLS


def verify(url: str, tls: TLS | None) -> ssl.SSLContext | bool:
    """How httpx checks the server: its own default unless told otherwise. Raises ConfigError for unreadable files."""
    if not url.startswith("https://") or tls is None or (tls.ca is None and tls.cert is None):
        return True
    from watchmanager.errors import ConfigError

    ca = tls.read("ca")
    try:
        context = ssl.create_default_context(cadata=ca.decode("ascii") if ca is not None else None)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ValueError) as error:
        raise ConfigError(f"the TLS files cannot be used: {error}") from None
    return context


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
