"""Writes docs/faults.md, the catalogue of faults, from the dataclasses in `mockcentral.faults`.

python tools/fault_catalogue.py            write it
python tools/fault_catalogue.py --check    only compare; exit 1 when the page is not what it would write
"""

from __future__ import annotations

import argparse
import dataclasses
import inspect
import sys
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mockcentral.faults.base import LEVELS, Fault
from mockcentral.faults.registry import FAULTS
from mockcentral.scenario import scalars
from mockcentral.scenario.fields import FieldDoc
from mockcentral.scenario.reader import is_required
from mockcentral.scenario.types import Code, CountSpan, Duration, ErrorCode, Span
from mockcentral.scenario.writer import plain

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"

HEAD = """\
# The faults

<!-- Written by tools/fault_catalogue.py from mockcentral/faults: change the docstrings there, then run it. -->

What can break, by where it breaks. Each has what happens, what a client should feel, the incident it stands for, its
settings, and the moments it can be tied to. [scenarios/README.md](../scenarios/README.md#faults) says how to write a
rule, [write-a-fault.md](write-a-fault.md) how to add a fault.

The setting marked *bare* may stand alone: `end_status: INTERNAL` is `end_status: {code: INTERNAL}`. *Wire* means that
the simulator cannot do it: a scenario with it says `needs: [wire]`.
"""

_TYPES: dict[Any, str] = {
    Duration: "duration",
    Span: "duration or range",
    CountSpan: "count or range",
    Code: "gRPC status",
    ErrorCode: "HTTP/2 error code",
    str: "text",
    int: "whole number",
    float: "number",
    bool: "true or false",
}


def page() -> str:
    """The whole catalogue."""
    lines = [HEAD, "| | faults |", "|---|---|"]
    by_level = {level: [fault for fault in FAULTS if fault.level == level] for level in LEVELS}
    for level, faults in by_level.items():
        if faults:
            lines.append(f"| {LEVELS[level]} | {', '.join(f'[`{kind.name}`](#{kind.name})' for kind in faults)} |")
    for level, faults in by_level.items():
        if faults:
            lines += ["", f"## {LEVELS[level]}"]
            for kind in faults:
                lines += ["", *_entry(kind)]
    return "\n".join(lines) + "\n"


def _entry(kind: type[Fault]) -> Iterator[str]:
    yield f"### `{kind.name}`"
    for paragraph in inspect.cleandoc(kind.__doc__ or "").split("\n\n"):
        yield ""
        yield " ".join(paragraph.split())
    yield ""
    where = "anywhere" if kind.anchors is None else ", ".join(f"`{name}`" for name in sorted(kind.anchors))
    yield f"On: {where}." + (" Wire." if kind.needs_wire else "")
    fields = dataclasses.fields(kind)
    if fields:
        yield ""
        yield "| setting | what it is | values | default |"
        yield "|---|---|---|---|"
        hints = typing.get_type_hints(kind)
        for field in sorted(fields, key=lambda field: field.name != kind.shorthand):
            yield _row(field, hints[field.name], bare=field.name == kind.shorthand)
    for word, settings in kind.words.items():
        meaning = ", ".join(f"{name} {'null' if value is None else value}" for name, value in settings.items())
        yield ""
        yield f"`{kind.name}: {word}` means {meaning}."


def _row(field: dataclasses.Field[Any], hint: Any, *, bare: bool) -> str:
    about = FieldDoc.of(field)
    default = "required" if is_required(field) else _shown(plain(field.default, hint))
    name = f"`{field.name}`" + (", *bare*" if bare else "")
    return f"| {name} | {about.text} | {_values(hint, about)} | {default} |".replace("\n", " ")


def _values(hint: Any, about: FieldDoc) -> str:
    inner = [one for one in typing.get_args(hint) if one is not type(None)]
    if typing.get_origin(hint) is typing.Literal:
        return ", ".join(f"`{word}`" for word in inner)
    if type(None) in typing.get_args(hint):
        return f"{_values(inner[0], about)}, or null"
    if typing.get_origin(hint) is tuple:
        return f"list of {_values(inner[0], FieldDoc())}"
    say = scalars.write_duration if hint in (Duration, Span) else _number
    if hint is str:
        bounds = "" if about.maximum is None else f", at most {about.maximum:g} characters"
    elif about.minimum is not None and about.maximum is not None:
        bounds = f", {say(about.minimum)} to {say(about.maximum)}"
    elif about.minimum is not None:
        bounds = f", at least {say(about.minimum)}"
    else:
        bounds = "" if about.maximum is None else f", at most {say(about.maximum)}"
    return _TYPES[hint] + bounds


def _number(number: float) -> str:
    return f"{number:,g}" if abs(number) < 1e6 or number != int(number) else f"{int(number):,}"


def _shown(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return "empty" if value in ("", []) else f"`{value}`"


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Write docs/faults.md from the dataclasses.")
    parser.add_argument("--check", action="store_true", help="only compare")
    if not parser.parse_args(argv).check:
        PAGE.write_text(page(), encoding="utf-8")
    elif PAGE.read_text(encoding="utf-8") != page():
        print("docs/faults.md is not what the faults say: run python tools/fault_catalogue.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
