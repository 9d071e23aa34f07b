"""What can be done about an error, as values that your functions return. Knows no I/O.

`on_error` answers with `Retry`, `Raise` or `Stop`; `on_handler_error` with those or `Skip`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from watchmanager.errors import ConfigError
from watchmanager.policy import Backoff


@dataclass(frozen=True, slots=True)
class Retry:
    """Try again after `delay` seconds; None: after what the backoff would have waited."""

    delay: float | None = None

    def __post_init__(self) -> None:
        delay = self.delay
        if delay is None:
            return
        if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not math.isfinite(delay) or delay < 0:
            raise ConfigError(f"Retry.delay is {delay!r}: it must be a number of seconds from 0, or None")


@dataclass(frozen=True, slots=True)
class Raise:
    """Give up: the error is raised to whoever iterates or runs the watch."""


@dataclass(frozen=True, slots=True)
class Stop:
    """Give up quietly: the watch closes as if you had closed it, and saves its position."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Handlers only: count the event as processed and go on with the next."""


Decision: TypeAlias = Retry | Raise | Stop
HandlerDecision: TypeAlias = Retry | Raise | Stop | Skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HandlerRetry:
    """Call a handler that failed again, `attempts` times in all, then "stop" or "skip".

    Events with another key go on meanwhile; those with the same wait, so their order holds.
    """

    attempts: int = 5
    backoff: Backoff = field(default_factory=lambda: Backoff(initial=0.5, maximum=30.0))
    then: Literal["stop", "skip"] = "stop"

    def __post_init__(self) -> None:
        if isinstance(self.attempts, bool) or not isinstance(self.attempts, int) or self.attempts < 1:
            raise ConfigError(f"HandlerRetry.attempts is {self.attempts!r}: it must be a whole number from 1")
        if self.then not in ("stop", "skip"):
            raise ConfigError(f"HandlerRetry.then is {self.then!r}: write 'stop' or 'skip'")
