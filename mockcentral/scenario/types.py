"""The scalar types of a scenario: what a YAML word means before any rule looks at it.

Seconds are plain floats everywhere inside; only the reader knows about `250ms`. Counts are plain ints.
"""

from __future__ import annotations

import enum
from random import Random
from typing import Any, NewType

from mockcentral._core.frozen import strict_dataclass

Duration = NewType("Duration", float)
"""Seconds. In YAML: a number with its unit, `250ms`, `5s`, `2m`, `1h`, `7d`; never a bare number (except 0)."""

JsonValue = NewType("JsonValue", object)
"""Whatever JSON can say, kept as it stands in the file: part of a resource."""

JsonObject = NewType("JsonObject", dict[str, Any])
"""As `JsonValue`, and an object."""


@strict_dataclass(frozen=True, slots=True)
class Span:
    """A duration or a range of durations, seconds. In YAML `2s` or `1s..3s`."""

    low: float
    high: float

    def pick(self, random: Random) -> float:
        """A value of the range. It draws even when both ends are equal, so editing one number shifts nothing else."""
        drawn = self.low + (self.high - self.low) * random.random()
        return drawn if drawn < self.high else self.high  # rounding may carry it over


@strict_dataclass(frozen=True, slots=True)
class CountSpan:
    """A whole number or a range of them. In YAML `3` or `1..50`."""

    low: int
    high: int

    def pick(self, random: Random) -> int:
        """A value of the range, both ends possible."""
        return self.low + int((self.high - self.low + 1) * random.random())


class Code(enum.IntEnum):
    """gRPC status codes by their names. In YAML the name: `UNAVAILABLE`."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


ErrorCode = NewType("ErrorCode", int)
"""An HTTP/2 error code (RFC 9113, section 7). In YAML its name, `INTERNAL_ERROR`, or any 32-bit number."""

ERROR_CODES: dict[str, ErrorCode] = {
    name: ErrorCode(number)
    for number, name in enumerate(
        (
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        )
    )
}


ANCHORS: dict[str, str] = {
    "start": "the world has started; happens once",
    "connect": "a TCP connection was accepted (n counts connections of the world)",
    "preface": "a connection began to speak HTTP/2 and got no answer yet (n counts such connections of the world)",
    "stream_open": "a watch call was opened (n counts watch calls of the world, that is connection attempts)",
    "subscribe": "the first message of a watch call was accepted (n counts calls of the world)",
    "token_refresh": "a later message with a token was accepted (n counts within its call)",
    "event": "an event is about to be sent on a stream (n counts within its call)",
    "ping": "a client's HTTP/2 PING arrived (n counts within its connection)",
    "ping_acked": "our ack of such a PING is on its way (n counts within its connection)",
    "stream_end": "a watch call ended, whoever ended it (n counts calls of the world)",
    "harvest": "a harvester request is about to be answered (n counts within the world)",
    "page": "a harvester request is about to be answered (n is the page it asks for)",
    "token": "a token request is about to be answered (n counts within the world)",
    "http": "any HTTP request is about to be answered (n counts within the world)",
    "publish": "an event was published (n counts within the world)",
    "barrier": "every open connection acked a PING sent after the last action (n counts within the world)",
}
"""Every anchor with its meaning; the reader, `explain` and the JSON Schema all read this table."""


@strict_dataclass(frozen=True, slots=True)
class Anchor:
    """A moment of the run. In YAML `ping` (each one), `ping(3)` (the third), `ping(3+)` (the third and all later)."""

    name: str
    nth: int | None = None
    onwards: bool = False

    def matches(self, nth: int) -> bool:
        """Whether the nth occurrence, counted from 1, is meant."""
        if self.nth is None:
            return True
        return nth >= self.nth if self.onwards else nth == self.nth

    def __str__(self) -> str:
        if self.nth is None:
            return self.name
        return f"{self.name}({self.nth}{'+' if self.onwards else ''})"
