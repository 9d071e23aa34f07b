"""The server's clock is wrong."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SkewClock
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSkew(Fault):
    """From now on the server's clock is `ahead` or `behind`: `iat`, `exp`, the times of events, and what it takes for
    expired.

    The client should feel tokens that are refused before its own clock says so (ahead), or that look expired when
    they come (behind).

    It stands for a machine without NTP, and for one that came through a leap second as badly as many on 30 June 2012.
    """

    name: ClassVar[str] = "clock_skew"
    level: ClassVar[str] = "token"

    ahead: Duration | None = doc("so much later than the real time", None, minimum=0.001, maximum=366 * 86400.0)
    behind: Duration | None = doc("so much earlier than the real time", None, minimum=0.001, maximum=366 * 86400.0)

    def problem(self) -> str | None:
        if (self.ahead is None) == (self.behind is None):
            return "say either `ahead` or `behind`, such as {ahead: 5m}"
        return None

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SkewClock((self.ahead or 0.0) - (self.behind or 0.0)),)
