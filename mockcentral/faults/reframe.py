"""Frames are cut where nobody would cut them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, Reframe
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class ReframeConnection(Fault):
    """From now on DATA and header blocks go out in frames of at most `frame_bytes`, an `empty` DATA frame before each,
    in TCP segments of at most `write_bytes`: prefixes, headers and messages are torn anywhere.

    The client should feel nothing: HTTP/2 and gRPC are streams of bytes.

    It stands for proxies with tiny buffers, and for clients that parse one read as one message; many empty frames are
    CVE-2019-9518.
    """

    name: ClassVar[str] = "reframe"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "frame_bytes"
    needs_wire: ClassVar[bool] = True

    frame_bytes: int | None = doc("the most payload of a frame; null: as it is", 16, minimum=1, maximum=16384)
    write_bytes: int | None = doc("the most bytes of a segment; null: as it is", 10, minimum=1, maximum=65536)
    empty: bool = doc("whether an empty DATA frame goes before each", False)

    def problem(self) -> str | None:
        if self.frame_bytes is None and self.write_bytes is None and not self.empty:
            return "nothing would change: give frame_bytes, write_bytes or empty"
        return None

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (Reframe(moment.connection, self.frame_bytes, self.write_bytes, self.empty),)
