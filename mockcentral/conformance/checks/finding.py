"""What a check found, before it is given the check's name, level and reference."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from mockcentral.conformance.verdict import Outcome

Record = Mapping[str, Any]

MOST_EVIDENCE = 20
"""Lines named as proof: enough to see the pattern, few enough to read."""


@dataclass(frozen=True, slots=True)
class Finding:
    """An outcome, what happened in words, and the journal lines that show it."""

    outcome: Outcome
    message: str
    evidence: tuple[int, ...] = ()


def passed(message: str, *lines: Record) -> Finding:
    return Finding(Outcome.PASS, message, numbers(lines))


def failed(message: str, lines: Iterable[Record]) -> Finding:
    return Finding(Outcome.FAIL, message, numbers(lines))


def unknown(message: str, lines: Iterable[Record] = ()) -> Finding:
    """The run does not tell; another one may."""
    return Finding(Outcome.INCONCLUSIVE, message, numbers(lines))


def not_applicable(message: str) -> Finding:
    """No run of this client can tell."""
    return Finding(Outcome.SKIPPED, message)


def numbers(lines: Iterable[Record]) -> tuple[int, ...]:
    """The `n` of the lines, in order, each once, not too many."""
    return tuple(sorted({line["n"] for line in lines if "n" in line})[:MOST_EVIDENCE])


def several(values: Iterable[object], most: int = 5) -> str:
    """`1, 2, 3, 4, 5 and 7 more`"""
    words = [str(value) for value in values]
    if len(words) <= most:
        return ", ".join(words)
    return f"{', '.join(words[:most])} and {len(words) - most} more"


def seconds(value: float) -> str:
    """A duration for a reader: `250 ms`, `3.2 s`."""
    return f"{value * 1000:.0f} ms" if abs(value) < 1 else f"{value:.4g} s"
