"""What a scenario may expect of a client: one frozen dataclass of settings a check, listed in `EXPECTATIONS`.

The docstring of a class is the sentence people see when the expectation is broken. How it is judged from a journal is
known to `mockcentral.conformance.checks`, not here.
"""

from __future__ import annotations

from typing import ClassVar

from mockcentral._core.frozen import strict_dataclass
from mockcentral.scenario.fields import doc
from mockcentral.scenario.schema import Expectation
from mockcentral.scenario.types import Duration


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Ordered(Expectation):
    """Events are delivered in the order of their sequence ids."""

    name: ClassVar[str] = "ordered"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Unique(Expectation):
    """No event is delivered twice within one life of the client."""

    name: ClassVar[str] = "unique"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Complete(Expectation):
    """Every event of the watched topic that was published since the client began to watch is delivered."""

    name: ClassVar[str] = "complete"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Filterable(Expectation):
    """Only events that match the watched topic are delivered."""

    name: ClassVar[str] = "filterable"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Reconnects(Expectation):
    """After a stream has ended, the client opens the next one within the allowed time."""

    name: ClassVar[str] = "reconnects"

    within: Duration = doc("allowed time from the end of a stream to the next attempt", Duration(10.0), minimum=0.05)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class RefreshesToken(Expectation):
    """Before a token expires, a newer one is sent on the same stream."""

    name: ClassVar[str] = "refreshes_token"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class AnswersPings(Expectation):
    """Every PING event is answered with its own id within the allowed time."""

    name: ClassVar[str] = "answers_pings"

    within: Duration = doc("allowed time from a PING event to its answer", Duration(5.0), minimum=0.05)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class FirstMessage(Expectation):
    """The first message of a stream names the topic and carries a token, and no request type."""

    name: ClassVar[str] = "first_message"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class NoticesDeadPeer(Expectation):
    """A connection on which nothing moves any more is given up within the allowed time."""

    name: ClassVar[str] = "notices_dead_peer"

    within: Duration = doc("allowed time from the silence to the next attempt", Duration(65.0), minimum=0.05)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Resumes(Expectation):
    """After a reconnect the client asks the history from its last event on, or has everything by other means."""

    name: ClassVar[str] = "resumes"


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class BacksOff(Expectation):
    """A server that refuses is not hammered: attempts within any window of time are bounded."""

    name: ClassVar[str] = "backs_off"

    at_most: int = doc("allowed number of stream attempts within any window", 10, minimum=1)
    within: Duration = doc("length of the window", Duration(1.0), minimum=0.05)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class HandlesGone(Expectation):
    """After a 410 the client never asks for the same forgotten sequence again."""

    name: ClassVar[str] = "handles_gone"


EXPECTATIONS: tuple[type[Expectation], ...] = (
    Ordered,
    Unique,
    Complete,
    Filterable,
    Reconnects,
    RefreshesToken,
    AnswersPings,
    FirstMessage,
    NoticesDeadPeer,
    Resumes,
    BacksOff,
    HandlesGone,
)
"""Every expectation, in the order reports show them."""


def by_name(name: str) -> type[Expectation] | None:
    """The expectation a scenario calls `name`."""
    return next((kind for kind in EXPECTATIONS if kind.name == name), None)
