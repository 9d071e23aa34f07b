"""The JSON Schema of scenario files (draft 2020-12), made from the same dataclasses the reader goes by.

It is for editors and for other tools, and says as much as a JSON Schema can: what the reader accepts, it accepts. The
reader knows more (which fault can act where, names that must differ), so the converse does not hold.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from mockcentral.faults.base import Fault
from mockcentral.scenario import scalars
from mockcentral.scenario.fields import FieldDoc
from mockcentral.scenario.reader import CHOICES, is_required
from mockcentral.scenario.schema import AbortAfter, Attempt, FaultRule, Scenario
from mockcentral.scenario.types import (
    ERROR_CODES,
    Anchor,
    Code,
    CountSpan,
    Duration,
    ErrorCode,
    JsonObject,
    JsonValue,
    Span,
)
from mockcentral.scenario.writer import plain

Json: TypeAlias = dict[str, Any]

ID = "https://watchmanager.invalid/mockcentral/scenario.schema.json"


def schema() -> Json:
    """The schema of a scenario file."""
    return _document(Scenario, "A scenario of mockcentral")


def fault_schema() -> Json:
    """The schema of one fault rule, as the control API takes it."""
    return _document(FaultRule, "A fault rule of mockcentral")


def _document(kind: type[Any], title: str) -> Json:
    maker = _Maker()
    top = maker.dataclass(kind)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID if kind is Scenario else ID.replace("scenario.", "fault-rule."),
        "title": title,
        **top,
        "$defs": dict(sorted(maker.definitions.items())),
    }


def _whole(pattern: str) -> str:
    return f"^(?:{pattern})$"


def _number(kind: str) -> Callable[[FieldDoc], Json]:
    def make(about: FieldDoc) -> Json:
        bounds = {"minimum": about.minimum, "maximum": about.maximum}
        return {"type": kind, **{key: bound for key, bound in bounds.items() if bound is not None}}

    return make


def _text(about: FieldDoc) -> Json:
    shape: Json = {"type": "string"}
    if about.minimum is not None:
        shape["minLength"] = int(about.minimum)
    if about.maximum is not None:
        shape["maxLength"] = int(about.maximum)
    if about.pattern is not None:
        shape["pattern"] = _whole(about.pattern)
    return shape


def _or_zero(pattern: str) -> Json:
    return {"anyOf": [{"type": "string", "pattern": _whole(pattern)}, {"const": 0}]}


SHAPES: Mapping[Any, Callable[[FieldDoc], Json]] = {
    Duration: lambda _: {**_or_zero(scalars.DURATION), "examples": ["250ms", "5s", "2m"]},
    Span: lambda _: {**_or_zero(scalars.SPAN), "examples": ["2s", "1s..3s"]},
    CountSpan: lambda about: {
        "anyOf": [_number("integer")(about), {"type": "string", "pattern": _whole(scalars.COUNT_SPAN)}],
        "examples": [3, "1..50"],
    },
    Anchor: lambda _: {
        "type": "string",
        "pattern": _whole(scalars.ANCHOR),
        "examples": ["stream_open", "ping(3)", "event(10+)"],
    },
    Code: lambda _: {"enum": [code.name for code in Code]},
    ErrorCode: lambda _: {
        "anyOf": [{"enum": list(ERROR_CODES)}, {"type": "integer", "minimum": 0, "maximum": 2**32 - 1}]
    },
    JsonObject: lambda _: {"type": "object"},
    JsonValue: lambda _: {},
    str: _text,
    int: _number("integer"),
    float: _number("number"),
    bool: lambda _: {"type": "boolean"},
}


ONE_OF: Mapping[type[Any], tuple[str, ...]] = {AbortAfter: ("events", "time")}
"""Of these fields, each of which may be absent, one has to say something."""


class _Maker:
    """Collects a definition for every dataclass it meets."""

    def __init__(self) -> None:
        self.definitions: dict[str, Json] = {}

    def shape(self, annotation: Any, about: FieldDoc) -> Json:
        """What a value of this annotation looks like in a file."""
        origin = typing.get_origin(annotation)
        if origin in (typing.Union, types.UnionType):
            (inner,) = (other for other in typing.get_args(annotation) if other is not type(None))
            return {"anyOf": [self.shape(inner, about), {"type": "null"}]}
        if origin is tuple:
            items: Json = {"type": "array", "items": self.shape(typing.get_args(annotation)[0], FieldDoc())}
            return items if about.minimum is None else {**items, "minItems": int(about.minimum)}
        if origin is typing.Literal:
            return {"enum": list(typing.get_args(annotation))}
        if annotation in CHOICES:
            return self._define(annotation, self._choice)
        if annotation is Attempt:
            return self._define(annotation, self._attempt)
        if annotation in SHAPES:
            return SHAPES[annotation](about)
        return self._define(annotation, self.dataclass)

    def dataclass(self, kind: type[Any]) -> Json:
        """An object with the fields of a dataclass."""
        hints = typing.get_type_hints(kind)
        properties = {}
        for field in dataclasses.fields(kind):
            about = FieldDoc.of(field)
            shape = {**self.shape(hints[field.name], about), "description": about.text}
            if field.default is not dataclasses.MISSING:
                shape["default"] = plain(field.default, hints[field.name])
            properties[field.name] = shape
        required = [field.name for field in dataclasses.fields(kind) if is_required(field)]
        made: Json = {"type": "object", "description": _sentence(kind), "properties": properties}
        if kind in ONE_OF:
            made["anyOf"] = [
                {"required": [name], "properties": {name: {"not": {"type": "null"}}}} for name in ONE_OF[kind]
            ]
        return {**made, "additionalProperties": False, **({"required": required} if required else {})}

    def _define(self, kind: Any, make: Callable[[Any], Json]) -> Json:
        name = kind.__name__
        if name not in self.definitions:
            self.definitions[name] = {}  # its place, so that a definition may refer to itself
            self.definitions[name] = {"title": name, **make(kind)}
        return {"$ref": f"#/$defs/{name}"}

    def _choice(self, base: Any) -> Json:
        noun, names, by_name = CHOICES[base]
        kinds = [kind for kind in map(by_name, names) if kind is not None]
        alone = [kind.name for kind in kinds if not any(is_required(field) for field in dataclasses.fields(kind))]
        shapes: list[Json] = [{"enum": alone, "description": f"a {noun} with its default settings"}]
        for kind in kinds:
            made = self._settings(kind)
            shapes.append(
                {
                    "type": "object",
                    "description": _sentence(kind),
                    "properties": {kind.name: made},
                    "required": [kind.name],
                    "additionalProperties": False,
                }
            )
        return {"description": _sentence(base), "anyOf": shapes}

    def _settings(self, kind: type[Any]) -> Json:
        shapes = [self._define(kind, self.dataclass)]
        if not any(is_required(field) for field in dataclasses.fields(kind)):
            shapes.append({"type": "null"})
        if issubclass(kind, Fault):
            if kind.words:
                shapes.append({"enum": list(kind.words)})
            for field in dataclasses.fields(kind):
                if field.name == kind.shorthand:
                    shapes.append(self.shape(typing.get_type_hints(kind)[field.name], FieldDoc.of(field)))
        return shapes[0] if len(shapes) == 1 else {"anyOf": shapes}

    def _attempt(self, kind: type[Any]) -> Json:
        made = self.dataclass(kind)
        one = {**made, "minProperties": 1, "maxProperties": 1}
        return {"description": made.pop("description"), "anyOf": [{"const": "ok"}, one]}


def _sentence(kind: type[Any]) -> str:
    """The first paragraph of a class docstring, on one line."""
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
