"""What handlers did, in numbers; kept where nothing runs handlers, too."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Tally:
    """What the handlers of a manager did so far."""

    calls: int = 0
    errors: int = 0
    retries: int = 0
    skipped: int = 0
    unhandled: int = 0
    running: int = 0
    queued: int = 0
    seconds: float = 0.0
