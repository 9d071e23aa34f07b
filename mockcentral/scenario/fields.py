"""How a dataclass field says what it means: its sentence, its bounds, its form.

Faults, expectations and the scenario schema declare their settings with `doc()`; the reader, the JSON Schema and
`explain` read it back with `FieldDoc.of`. It knows nothing about any of them, so that everybody may use it.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping
from dataclasses import Field, field
from typing import Any

from mockcentral._core.frozen import strict_dataclass


@strict_dataclass(frozen=True, slots=True)
class FieldDoc:
    """What `doc()` was told.

    `minimum` and `maximum` bound a number's value, a text's length, a list's length or, for a range, both of its ends;
    durations in seconds. `pattern` is a regular expression for the whole text and `example` a text that fits it.
    """

    text: str = ""
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    example: str | None = None

    @staticmethod
    def of(field: Field[Any]) -> FieldDoc:
        """The documentation of a dataclass field, empty when it was declared without `doc()`."""
        found = field.metadata.get("doc")
        return found if isinstance(found, FieldDoc) else FieldDoc()


_HINTS: dict[Any, Mapping[str, Any]] = {}


def hints_of(kind: type[Any]) -> Mapping[str, Any]:
    """The annotations of a dataclass, resolved: once for each class, for it takes longer than reading a file."""
    if kind not in _HINTS:
        _HINTS[kind] = typing.get_type_hints(kind)
    return _HINTS[kind]


def doc(
    text: str,
    default: Any = ...,
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    pattern: str | None = None,
    example: str | None = None,
) -> Any:
    """A dataclass field with its documentation and bounds; required when it has no default."""
    metadata = {"doc": FieldDoc(text, minimum, maximum, pattern, example)}
    if default is ...:
        return field(metadata=metadata)
    if callable(default):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)
