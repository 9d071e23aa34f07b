"""Known failures: cases that are allowed to fail, each with its reason, and none that passes.

    flaky::complete      # loses the last event of a reset stream, issue 12
    silent::*            # no keepalive yet

An entry is a pattern over `scenario::check`. It still runs; the day it passes the entry is stale and the run fails. A
pattern that matches no case there could be is an error: it protects nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mockcentral.conformance.errors import UsageError
from mockcentral.conformance.selection import matches


@dataclass(frozen=True, slots=True)
class Known:
    """One entry of the file."""

    pattern: str
    reason: str
    line: int


def read(text: str, file: str) -> tuple[Known, ...]:
    """The entries of a file. Raises UsageError with `file:line`."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        pattern, _, reason = (part.strip() for part in line.partition("#"))
        if not pattern:
            continue
        if "::" not in pattern or any(letter.isspace() for letter in pattern):
            raise UsageError(f"{file}:{number}: {pattern!r} is no case: write scenario::check  # reason")
        if not reason:
            raise UsageError(f"{file}:{number}: {pattern} needs a reason: write {pattern}  # why it fails")
        found.append(Known(pattern, reason, number))
    return tuple(found)


def check_patterns(known: Iterable[Known], universe: Iterable[str], file: str) -> None:
    """Raise UsageError for an entry that matches no case there could be."""
    cases = list(universe)
    for entry in known:
        if not any(matches(entry.pattern, case) for case in cases):
            raise UsageError(f"{file}:{entry.line}: {entry.pattern} matches no check of any scenario")


def reason_for(case: str, known: Iterable[Known]) -> str | None:
    """Why a case is known to fail, None when it is not."""
    return next((entry.reason for entry in known if matches(entry.pattern, case)), None)
