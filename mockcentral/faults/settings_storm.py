"""The server changes its mind without end."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SendFrames
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.wire.frames import settings_frame


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsStorm(Fault):
    """Send many SETTINGS frames at once; HTTP/2 wants an answer to each.

    The client should feel nothing, and answer them all.

    It stands for the settings flood of CVE-2019-9515, or a proxy that announces its limits anew for each stream.
    """

    name: ClassVar[str] = "settings_storm"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "count"
    needs_wire: ClassVar[bool] = True

    count: int = doc("how many frames", 1000, minimum=1, maximum=100_000)

    _MAX_CONCURRENT_STREAMS: ClassVar[int] = 3

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        frames = settings_frame({self._MAX_CONCURRENT_STREAMS: 1000}) * self.count
        return (SendFrames(moment.connection, frames, harmless=True),)
