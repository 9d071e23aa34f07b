"""From the dataclasses of the schema back to YAML: the text reads back to an equal object. Defaults are left out."""

from __future__ import annotations

import dataclasses
import typing
from collections.abc import Callable, Mapping
from typing import Any

import yaml

from mockcentral.faults.base import Fault
from mockcentral.scenario import nodes, scalars
from mockcentral.scenario.fields import hints_of
from mockcentral.scenario.schema import Attempt, Expectation, Step
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, ErrorCode, Span

_WRITERS: Mapping[Any, Callable[[Any], object]] = {
    Duration: scalars.write_duration,
    ErrorCode: scalars.write_error_code,
}
"""Types that are plain numbers inside: only the annotation tells what they are."""


def dumps(value: Any) -> str:
    """A scenario, or any part of one, as YAML."""
    return yaml.dump(
        plain(value), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=None
    )


def plain(value: Any, annotation: Any = None) -> Any:
    """A value of the schema as plain data, spelled as in a file."""
    for inner in (annotation, *typing.get_args(annotation)):
        if inner in _WRITERS and value is not None and not isinstance(value, tuple):
            return _WRITERS[inner](value)
    if isinstance(value, Attempt) and value == Attempt():
        return "ok"
    if isinstance(value, (Fault, Expectation, Step)):
        settings = _settings(value)
        return {value.name: settings} if settings else value.name
    if isinstance(value, Span):
        return scalars.write_span(value)
    if isinstance(value, CountSpan):
        return scalars.write_count_span(value)
    if isinstance(value, Anchor):
        return str(value)
    if isinstance(value, Code):
        return value.name
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    if dataclasses.is_dataclass(value):
        return _settings(value)
    return value


def _settings(value: Any) -> dict[str, Any]:
    hints = hints_of(type(value))
    written: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        found = getattr(value, field.name)
        if field.default is not dataclasses.MISSING and found == field.default:
            continue
        if field.default_factory is not dataclasses.MISSING and found == field.default_factory():
            continue
        written[field.name] = plain(found, hints[field.name])
    return written


class _Dumper(yaml.SafeDumper):
    """Quotes exactly what `nodes.resolve` would not read as text, and what YAML 1.1 readers would not either."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = None if isinstance(nodes.resolve(text), str) and text != "<<" else '"'
    if style is None and len(text) > 80 and text.isprintable() and "  " not in text and text == text.strip():
        style = ">"
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)
