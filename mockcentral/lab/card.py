"""The card of a client: everything that was measured in one run, as text, JSON or Markdown."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mockcentral.conformance.checks.finding import Record
from mockcentral.lab import goodbyes, keepalive, machine, reconnecting, service
from mockcentral.lab.measurement import Measurement
from mockcentral.lab.sightings import Sightings

VERSION = 1
WIDTH = 110

MEASURES: tuple[Callable[[Sightings], Measurement], ...] = (
    keepalive.interval,
    keepalive.ack_timeout,
    keepalive.dead_peer,
    keepalive.without_streams,
    goodbyes.goaway,
    goodbyes.too_many_pings,
    reconnecting.after_refusal,
    reconnecting.after_broken_connection,
    reconnecting.reset,
    reconnecting.reset_connections,
    service.refresh_point,
    service.page_size,
    machine.lost_time,
)
"""What is measured, in the order of the card."""


@dataclass(frozen=True, slots=True)
class Card:
    """What a run showed of a client. `client` is its command line, `user_agent` what it calls itself."""

    client: tuple[str, ...]
    user_agent: str
    scenario: str
    seed: int
    time_scale: float
    seconds: float
    measurements: tuple[Measurement, ...]

    def __getitem__(self, name: str) -> Measurement:
        """The measurement of that name. Raises KeyError."""
        for one in self.measurements:
            if one.name == name:
                return one
        raise KeyError(name)


def measure(journal: Sequence[Record]) -> Card:
    """The card of a journal. Any journal will do: what its run did not try is unknown, and says so."""
    seen = Sightings(journal)
    world = next((line for line in journal if line["kind"] == "world.start"), {})
    started = next((line for line in journal if line["kind"] == "client.start"), {})
    agents = [call.opened.get("user_agent") for call in seen.attempts]
    return Card(
        client=tuple(started.get("argv", ())),
        user_agent=next((agent.strip() for agent in agents if agent), ""),
        scenario=world.get("scenario", ""),
        seed=world.get("seed", 0),
        time_scale=world.get("time_scale", 1.0),
        seconds=round(seen.end, 1),
        measurements=tuple(one(seen) for one in MEASURES),
    )


def text(card: Card) -> str:
    """For a terminal, without a newline at its end."""
    width = max(len(one.title) for one in card.measurements)
    lines = [f"{shlex.join(card.client) or 'a client'}  ({card.user_agent or 'no user-agent seen'})"]
    for one in card.measurements:
        head = f"  {one.title:<{width}}  "
        lines += textwrap.wrap(
            one.says, WIDTH, initial_indent=head, subsequent_indent=" " * len(head), break_on_hyphens=False
        )
    return "\n".join(lines)


def as_dict(card: Card) -> dict[str, Any]:
    """As JSON says it."""
    return {
        "v": VERSION,
        "client": list(card.client),
        "user_agent": card.user_agent,
        "scenario": card.scenario,
        "seed": card.seed,
        "time_scale": card.time_scale,
        "seconds": card.seconds,
        "measurements": [one.as_dict() for one in card.measurements],
    }


def as_json(card: Card) -> str:
    """The card as a JSON document that ends with a newline."""
    return json.dumps(as_dict(card), indent=2, ensure_ascii=False) + "\n"


def markdown(card: Card) -> str:
    """The card as a Markdown table that ends with a newline."""
    lines = [
        f"**{_cell(shlex.join(card.client) or 'a client')}** ({_cell(card.user_agent or 'no user-agent seen')})",
        "",
    ]
    lines += ["| measured | |", "|---|---|"]
    lines += [f"| {_cell(one.title)} | {_cell(one.says)} |" for one in card.measurements]
    return "\n".join(lines) + "\n"


def side_by_side(cards: Sequence[tuple[str, Card]]) -> str:
    """Several clients in one Markdown table, a column each, without single samples; it ends with a newline."""
    lines = ["| | " + " | ".join(_cell(name) for name, _ in cards) + " |", "|---|" + "---|" * len(cards)]
    for one in cards[0][1].measurements if cards else ():
        said = [
            {other.name: other.says for other in card.measurements}.get(one.name, "not measured") for _, card in cards
        ]
        cells = [_cell(words.partition(" (delays:")[0]) for words in said]
        lines.append(f"| {_cell(one.title)} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _cell(words: str) -> str:
    return " ".join(words.split()).replace("|", "\\|")
