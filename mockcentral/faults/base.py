"""What a fault is: a frozen dataclass of settings with one method that says what to do when its rule fires.

A fault knows settings and one moment; it never knows when it fires (`on`, `after`, `times` belong to the rule that
holds it), what else is broken, a clock or a socket. See `docs/write-a-fault.md`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action

LEVELS: Mapping[str, str] = {
    "noop": "Nothing",
    "event": "Events",
    "grpc": "gRPC: one watch call",
    "http2": "HTTP/2: one connection's frames",
    "tcp": "TCP: one connection's bytes",
    "tls": "TLS: the handshake",
    "http": "HTTP: history, tokens, resources",
    "token": "Credentials",
    "server": "The server's life",
}
"""Where a fault breaks things, with the headings of the catalogue."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Where a rule fired. An id is 0, "every open one", where the anchor has none: a PING belongs to no call.

    `op` is the operation's name at the anchor `event`: CREATED, UPDATED, DELETED, ...
    """

    anchor: str
    nth: int
    connection: int = 0
    call: int = 0
    op: str = ""


@dataclass(frozen=True, slots=True)
class Fault:
    """Base of all faults.

    The class docstring has three paragraphs: what it does; "The client should feel ..."; "It stands for ...", the
    incident that one would meet in the field. The catalogue (`docs/faults.md`) prints them.
    """

    name: ClassVar[str]
    """The word after `do:` in a scenario."""
    level: ClassVar[str]
    """Where it breaks things: a key of `LEVELS`."""
    anchors: ClassVar[frozenset[str] | None] = None
    """The anchors it can act at; None means any."""
    shorthand: ClassVar[str | None] = None
    """The field a bare value sets: `end_status: UNAVAILABLE` sets `code`."""
    words: ClassVar[Mapping[str, Mapping[str, object]]] = {}
    """Bare words that stand for settings: `ping_ack: withhold` means `delay` None."""
    needs_wire: ClassVar[bool] = False
    """It cannot happen in the simulator: a scenario that has it says `needs: [wire]`."""
    answers: ClassVar[bool] = False
    """It answers what is being decided right now, so its rule cannot have a pause (`after`)."""
    at_once: ClassVar[bool] = False
    """It spoils the beginning of something, so a moment later is too late: no pause for its rule, either."""

    def problem(self) -> str | None:
        """What is wrong with the settings, as one sentence, where a field's type and bounds cannot say it."""
        return None

    def wants(self, moment: Moment) -> bool:
        """Whether it can act at this moment; one it passes by is not counted as a strike."""
        return True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        """What happens at `moment`. All randomness comes from `random`."""
        raise NotImplementedError
