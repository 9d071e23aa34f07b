"""Every fault there is: the list the reader, the JSON Schema and `explain` go by. A new fault adds its line here.

A fault's name is its file's. Files are imported when somebody asks for their fault: to make the classes of them all
takes a fifth of a fake's start, and a scenario has three.
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mockcentral.faults.base import Fault

NAMES = (
    "noop",
    "end_status",
    "refuse",
    "no_trailers",
    "late_trailers",
    "headers_only",
    "wrong_content_type",
    "bad_length",
    "compressed",
    "cut",
    "reset",
    "goaway",
    "ping_ack",
    "window",
    "settings_storm",
    "ping_flood",
    "too_many_pings",
    "reframe",
    "coalesce",
    "garbage",
    "close",
    "half_close",
    "abort",
    "blackhole",
    "tcp_refuse",
    "slow_accept",
    "latency",
    "bandwidth",
    "tls_expired",
    "tls_not_yet_valid",
    "tls_wrong_name",
    "tls_unknown_ca",
    "tls_old_protocol",
    "tls_no_alpn",
    "tls_stall",
    "tls_cut",
    "lose",
    "duplicate",
    "gap",
    "lost_delete",
    "reorder",
    "corrupt",
    "unknown_type",
    "oversize",
    "wrong_topic",
    "http_error",
    "http_delay",
    "http_truncate",
    "http_trickle",
    "http_wrong_json",
    "http_page_size",
    "http_gone",
    "expire_tokens",
    "revoke_tokens",
    "wrong_audience",
    "bad_exp",
    "pinned_token",
    "clock_skew",
    "purge",
    "restart",
    "reset_sequence",
    "delete_topic",
)
"""In the order of the catalogue."""

if TYPE_CHECKING:
    FAULTS: tuple[type[Fault], ...]
    """All of them, imported when somebody asks."""


def by_name(name: str) -> type[Fault] | None:
    """The fault a scenario calls `name`, None when there is none."""
    return _load(name) if name in NAMES else None


@functools.cache
def _load(name: str) -> type[Fault]:
    module = f"mockcentral.faults.{name}"
    members = vars(import_module(module)).values()
    return next(kind for kind in members if isinstance(kind, type) and kind.__module__ == module)


def __getattr__(name: str) -> Any:
    if name == "FAULTS":
        return tuple(map(_load, NAMES))
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
