"""Two journals side by side: what they tell, without what is different in any two runs."""

from __future__ import annotations

import difflib
import json
from collections.abc import Sequence
from typing import Any

from mockcentral.conformance.checks.finding import Record

ACCIDENTAL = frozenset(
    (
        *("v", "n", "t", "world", "id", "conn", "peer"),
        *("client_id", "token", "token_expires_in", "user_agent", "delay", "late"),
    )
)
"""Fields that say nothing about what happened: they are different in any two runs over sockets."""
OURS = frozenset({"world.start", "client.start", "client.status", "verdict", "client.stop", "client.exit"})
"""Lines about the run itself, not about what client and server did."""


def difference(
    one: Sequence[Record],
    other: Sequence[Record],
    *,
    names: tuple[str, str] = ("one", "other"),
    exact: bool = False,
    kinds: Sequence[str] = (),
) -> list[str]:
    """A unified diff, empty when both tell the same. `exact` compares everything; `kinds` picks lines by their kind's
    beginning.
    """
    left, right = (_told(records, exact, tuple(kinds)) for records in (one, other))
    return list(difflib.unified_diff(left, right, *names, lineterm="", n=3))


def _told(records: Sequence[Record], exact: bool, kinds: tuple[str, ...]) -> list[str]:
    return [
        line_of(record, exact)
        for record in records
        if (record["kind"].startswith(kinds) if kinds else exact or record["kind"] not in OURS)
    ]


def line_of(record: Record, exact: bool = False) -> str:
    """A record as one line; without its accidents unless `exact`."""
    if exact:
        return json.dumps(record, ensure_ascii=False)
    facts: dict[str, Any] = {key: value for key, value in record.items() if key not in ACCIDENTAL and key != "kind"}
    return f"{record['kind']}  {json.dumps(facts, ensure_ascii=False)}"
