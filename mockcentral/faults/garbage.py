"""The server says something that is not HTTP/2."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, SendFrames
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.wire.frames import frame


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage(Fault):
    """Put bytes of this kind between two frames: `random` ones; an `unknown_frame`, which must be ignored; a frame
    header that announces 16 MiB (`oversize_frame`); DATA on stream 0; header compression that means nothing
    (`bad_hpack`); an HTTP/1.1 error page (`http1`).

    The client should feel a connection it has to give up, with a reason it can name; an unknown frame it should not
    feel. grpcio 1.85 passes over DATA on stream 0 as well.

    It stands for a load balancer that answers in HTTP/1.1 in the middle of a connection, a faulty network card behind
    TLS offload, and every bug in somebody's HTTP/2: behind HAProxy a frame announced a hundred times what is allowed
    (grpc/grpc-java#4065).
    """

    name: ClassVar[str] = "garbage"
    level: ClassVar[str] = "http2"
    shorthand: ClassVar[str | None] = "kind"
    needs_wire: ClassVar[bool] = True

    kind: Literal["random", "unknown_frame", "oversize_frame", "data_on_stream_0", "bad_hpack", "http1"] = doc(
        "what it is", "random"
    )
    bytes: int = doc("how many, where they are random", 64, minimum=9, maximum=16384)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        noise = random.randbytes(self.bytes)
        data = {
            "random": noise,
            "unknown_frame": frame(0xFA, 0, 0, noise),
            "oversize_frame": b"\xff\xff\xff" + frame(0x0, 0, 1, b"")[3:],
            "data_on_stream_0": frame(0x0, 0, 0, b"garbage"),
            "bad_hpack": frame(0x1, 0x4, 1, b"\xff" * 12),
            "http1": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        }[self.kind]
        return (SendFrames(moment.connection, data, harmless=self.kind == "unknown_frame"),)
