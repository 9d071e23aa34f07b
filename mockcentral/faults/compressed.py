"""A message claims to be compressed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, SendBytes
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class Compressed(Fault):
    """Send a message with this flag byte in its prefix, though no compression was agreed on.

    The client should feel an INTERNAL or UNIMPLEMENTED error of its own, and not take the bytes for an event. With a
    reserved flag grpcio 1.85 falls silent instead.

    It stands for a server that was built with compression on, behind a proxy that strips the header grpc-encoding, and
    for the Dart server that set the flag under grpc-encoding identity (grpc/grpc-dart#669).
    """

    name: ClassVar[str] = "compressed"
    level: ClassVar[str] = "grpc"
    shorthand: ClassVar[str | None] = "flag"
    needs_wire: ClassVar[bool] = True

    flag: int = doc("the first byte of the prefix; 1 is compressed, above it is reserved", 1, minimum=1, maximum=255)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (SendBytes(moment.call, bytes((self.flag, 0, 0, 0, 4)) + b"\x1f\x8b\x08\x00"),)
