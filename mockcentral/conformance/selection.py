"""Which checks of which scenarios are meant: patterns over `scenario::check`.

`*`, `?` and `[…]` as in a shell; a pattern without `::` means all checks of the scenarios it matches.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from mockcentral.conformance.errors import UsageError


def case_id(scenario: str, check: str) -> str:
    """How a case is called everywhere: on the command line, in reports, in a known-failing file."""
    return f"{scenario}::{check}"


def matches(pattern: str, case: str) -> bool:
    """Whether a pattern means a case."""
    return fnmatchcase(case, pattern if "::" in pattern else f"{pattern}::*")


def select(cases: Sequence[str], run: Iterable[str] = (), skip: Iterable[str] = ()) -> list[str]:
    """The cases that match a `run` pattern (all without any) and no `skip` pattern, in their order.

    Raises UsageError for a pattern that matches nothing at all: it was meant to.
    """
    run, skip = list(run), list(skip)
    for flag, patterns in (("--run", run), ("--skip", skip)):
        for pattern in patterns:
            if not any(matches(pattern, case) for case in cases):
                raise UsageError(f"{flag} {pattern}: matches no check of {_scenarios(cases)}")
    return [
        case
        for case in cases
        if (not run or any(matches(pattern, case) for pattern in run))
        and not any(matches(pattern, case) for pattern in skip)
    ]


def _scenarios(cases: Sequence[str]) -> str:
    names = list(dict.fromkeys(case.partition("::")[0] for case in cases))
    return ", ".join(names) or "any scenario"


def patterns_of(text: str) -> list[str]:
    """The patterns of an `@file`: one a line, `#` begins a comment."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
