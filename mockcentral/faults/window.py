"""The server hardly lets the client send."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, ShrinkWindow
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Window(Fault):
    """Give the client a window of so many bytes on each stream, renewed byte by byte; 0 never gives it another.

    The client should feel writes that do not get through, such as its token refresh, and go on reading meanwhile.

    It stands for a server that does not read any more: a stuck handler, or the "data dribble" of CVE-2019-9511.
    """

    name: ClassVar[str] = "window"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "size"
    needs_wire: ClassVar[bool] = True

    size: int = doc("how many bytes it may send before it waits", 0, minimum=0, maximum=65535)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ShrinkWindow(moment.connection, self.size),)
