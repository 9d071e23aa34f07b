"""Journals that were written to a file: reading them, and what they say about the run they are of.

Everything here raises `UsageError` with file and line for what cannot be read.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from mockcentral._core.journal import VERSION, Record
from mockcentral.conformance.errors import UsageError
from mockcentral.scenario.load import load, parse_scenario
from mockcentral.scenario.schema import Scenario


def is_journal(path: Path) -> bool:
    """Whether a file looks like a journal, not like a scenario."""
    try:
        with path.open(encoding="utf-8") as file:
            first = file.readline(4096)
    except (OSError, UnicodeDecodeError):
        return False
    return first.startswith("{") and '"kind"' in first and '"n"' in first


def read(path: Path) -> list[Record]:
    """The records of a journal file, in order. Raises UsageError when there are none."""
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{path}: is not UTF-8 text") from None
    records = [_record(line, f"{path}:{number}") for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not records:
        raise UsageError(f"{path}: the journal is empty")
    return records


def _record(line: str, place: str) -> Record:
    try:
        record = json.loads(line)
    except ValueError:
        raise UsageError(f"{place}: is no JSON object: a journal has one on each line") from None
    wrong = [
        key
        for key, kind in (("n", int), ("t", (int, float)), ("kind", str))
        if not isinstance(record, dict) or not isinstance(record.get(key), kind)
    ]
    if wrong:
        raise UsageError(f"{place}: is no line of a journal: it has no `{wrong[0]}`")
    if record.get("v") != VERSION:
        raise UsageError(f"{place}: is of journal version {record.get('v')!r}; this mockcentral reads {VERSION}")
    found: Record = record
    return found


def by_world(records: Sequence[Record]) -> dict[str, list[Record]]:
    """The records of each world, in the order in which the worlds began."""
    worlds: dict[str, list[Record]] = {}
    for record in records:
        worlds.setdefault(str(record.get("world", "")), []).append(record)
    return worlds


def start_of(records: Sequence[Record], path: Path) -> Record:
    """The line that tells what run it was. Raises UsageError when the journal has lost it."""
    for record in records:
        if record["kind"] == "world.start":
            return record
    raise UsageError(f"{path}: has no `world.start` line, so nobody knows what run it is of")


def scenario_of(start: Record, path: Path) -> Scenario:
    """The scenario of a run, as it was when it ran; the built-in of that name for a journal that does not hold it."""
    if "definition" in start:
        return parse_scenario(start["definition"])
    return load(str(start.get("scenario")), builtin_only=True)
