"""The lines a client under test prints to say what it does (design/interfaces, level L1).

One JSON object a line on stdout. Knows their shapes, not who reads them:

    {"type": "applied", "sequence": 100017, "id": "…", "op": "CREATED", "topic": "/management/v1/watchtopics/…"}
    {"type": "status", "connected": true}

`id`, `op` and `topic` may be missing; keys not named here are ignored, so that a client may say more than is asked.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any


class NotL1(ValueError):
    """A line that is not one of ours; the text says why."""

    meant = False


class Slip(NotL1):
    """A line that was meant for us: its `type` is one of ours and the rest is wrong."""

    meant = True


@dataclass(frozen=True, slots=True)
class Said:
    """A line as the journal keeps it."""

    kind: str
    fields: dict[str, Any]


def parse(line: str) -> Said:
    """Read one line. Raises NotL1."""
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        raise NotL1("it is not JSON") from None
    if not isinstance(said, dict):
        raise NotL1("it is JSON, but not an object")
    match said.get("type"):
        case "applied":
            return Said("client.applied", _applied(said))
        case "status":
            if not isinstance(said.get("connected"), bool):
                raise Slip("`connected` must be true or false")
            return Said("client.status", {"connected": said["connected"]})
        case None:
            raise NotL1("it has no `type`")
        case other:
            raise NotL1(f"type {json.dumps(other)[:60]} is not known: write applied or status")


def _applied(said: dict[str, Any]) -> dict[str, Any]:
    sequence = said.get("sequence")
    if isinstance(sequence, bool) or not isinstance(sequence, int):
        raise Slip("`sequence` must be a whole number")
    fields: dict[str, Any] = {"sequence": sequence}
    for name in ("id", "op", "topic"):
        value = said.get(name)
        if value is not None and not isinstance(value, str):
            raise Slip(f"`{name}` must be text")
        if value is not None or name != "topic":
            fields[name] = value
    return fields
