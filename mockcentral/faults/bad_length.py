"""A message announces another length than it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, EndCall, SendBytes
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class BadLength(Fault):
    """Send a message whose prefix says `length` and which has `bytes`; what follows is taken for the rest of it, unless
    `end` sends the trailers (OK) at once.

    The client should feel a stream it cannot follow: RESOURCE_EXHAUSTED where the length is beyond its limit, INTERNAL
    where the end comes first (grpcio 1.85 says OK), and silence otherwise.

    It stands for a proxy or a bug that lost or doubled some bytes in the middle of a stream, as in grpc/grpc-go#6710,
    where five bytes of text were read as a prefix and a length of 1.5 GB.
    """

    name: ClassVar[str] = "bad_length"
    level: ClassVar[str] = "grpc"
    shorthand: ClassVar[str | None] = "length"
    needs_wire: ClassVar[bool] = True

    length: int = doc("the length in the prefix", 2**32 - 1, minimum=0, maximum=2**32 - 1)
    bytes: int = doc("how many bytes follow, all zero", 16, minimum=0, maximum=65536)
    end: bool = doc("whether the trailers follow at once", False)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        broken = SendBytes(moment.call, b"\0" + self.length.to_bytes(4, "big") + b"\0" * self.bytes)
        return (broken, EndCall(moment.call, 0)) if self.end else (broken,)
