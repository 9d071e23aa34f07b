"""From a tree of nodes to the dataclasses of the schema, by their annotations.

One rule a type; a dataclass field needs nothing but its annotation and its `doc()`. All that is wrong with a tree is
collected, one `Problem` each, so that a file is mended in one go. Three things are written otherwise than their fields:
what has a choice of kinds (faults, expectations) is a word or one key with settings, and an attempt may be `ok`.
"""

from __future__ import annotations

import dataclasses
import math
import re
import types
import typing
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from mockcentral._core import rsql
from mockcentral._core.placeholders import PLACEHOLDER
from mockcentral.faults import registry
from mockcentral.faults.base import Fault
from mockcentral.scenario import scalars
from mockcentral.scenario.errors import Problem, ScenarioError, nearest, one_of, shown
from mockcentral.scenario.expectations import EXPECTATIONS
from mockcentral.scenario.fields import FieldDoc, hints_of
from mockcentral.scenario.nodes import Entries, Items, Node, Scalar, Value, plain
from mockcentral.scenario.possible import impossible
from mockcentral.scenario.scalars import Wrong
from mockcentral.scenario.schema import AbortAfter, Attempt, Expectation, FaultRule, Lab, Rule, Scenario, Step, When
from mockcentral.scenario.steps import STEPS, Create
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, ErrorCode, JsonObject, JsonValue, Span

T = TypeVar("T")

SCALARS: Mapping[Any, Callable[[str, Value], Any]] = {
    Duration: scalars.read_duration,
    Span: scalars.read_span,
    CountSpan: scalars.read_count_span,
    Anchor: scalars.read_anchor,
    Code: scalars.read_code,
    ErrorCode: scalars.read_error_code,
    str: scalars.read_text,
    int: scalars.read_int,
    float: scalars.read_float,
    bool: scalars.read_bool,
}

_CHECKS: Mapping[str, type[Expectation]] = {kind.name: kind for kind in EXPECTATIONS}
_STEPS: Mapping[str, type[Step]] = {kind.name: kind for kind in STEPS}

CHOICES: Mapping[Any, tuple[str, Collection[str], Callable[[str], type[Any] | None]]] = {
    Fault: ("fault", registry.NAMES, registry.by_name),
    Expectation: ("check", _CHECKS, _CHECKS.get),
    Step: ("step", _STEPS, _STEPS.get),
}
"""Bases that stand for a choice of kinds: what one of them is called, their names, and the kind of a name."""

_WRITTEN = (*SCALARS, *CHOICES, Attempt, JsonObject, JsonValue)
"""Types that are written otherwise than a mapping of their fields."""


def read(node: Node, kind: type[T], file: str, *, what: str, ignored: Collection[str] = ()) -> T:
    """A tree as an object of the schema. `what` names it in messages; `ignored` keys may stand at its top.

    Raises ScenarioError with all that is wrong.
    """
    if isinstance(node, Entries):
        node = dataclasses.replace(node, entries=tuple(entry for entry in node.entries if entry[0].text not in ignored))
    reader = _Reader(file)
    try:
        result: T = reader.convert(node, kind, what, FieldDoc())
    except Wrong:
        raise ScenarioError(reader.problems) from None
    if reader.problems:
        raise ScenarioError(reader.problems)
    return result


class _Reader:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []

    def wrong(self, node: Node, message: str) -> Wrong:
        """Note a problem; the caller raises it, or goes on to find more."""
        self.problems.append(Problem(self.file, node.line, node.column, message))
        return Wrong(message)

    def convert(self, node: Node, annotation: Any, what: str, about: FieldDoc) -> Any:
        """A node as the type of an annotation.

        Raises Wrong after noting what is wrong; a list leaves out what is wrong in it, which is noted as well.
        """
        origin = typing.get_origin(annotation)
        if origin in (typing.Union, types.UnionType):
            if isinstance(node, Scalar) and node.value is None:
                return None
            (inner,) = (other for other in typing.get_args(annotation) if other is not type(None))
            return self.convert(node, inner, what, about)
        if origin is tuple:
            return self._items(node, typing.get_args(annotation)[0], what, about)
        if origin is typing.Literal:
            return self._literal(node, typing.get_args(annotation), what)
        if annotation in CHOICES:
            return self._choice(node, annotation, what)
        if annotation is Attempt:
            return self._attempt(node, what)
        if annotation in (JsonObject, JsonValue):
            return self._json(node, annotation, what)
        if annotation in SCALARS:
            return self._scalar(node, annotation, what, about)
        return self._dataclass(node, annotation, what)

    # ------------------------------------------------------------------------------------------ leaves
    def _scalar(self, node: Node, annotation: Any, what: str, about: FieldDoc) -> Any:
        if not isinstance(node, Scalar):
            raise self.wrong(node, f"{what}: one value is needed here, not a {_name(node)}")
        try:
            value = SCALARS[annotation](node.text, node.value)
            _check_bounds(value, annotation, about, node.text)
        except Wrong as error:
            raise self.wrong(node, f"{what}: {error}") from None
        return value

    def _json(self, node: Node, annotation: Any, what: str) -> Any:
        if annotation is JsonObject and not isinstance(node, Entries):
            raise self.wrong(node, f"{what}: a mapping is needed here, not a {_name(node)}")
        for leaf in _leaves(node):
            if isinstance(leaf.value, float) and not math.isfinite(leaf.value):
                raise self.wrong(leaf, f"{what}: {shown(leaf.text)} is no number that JSON knows")
        return plain(node)

    def _literal(self, node: Node, words: tuple[Any, ...], what: str) -> Any:
        if isinstance(node, Scalar) and isinstance(node.value, str) and node.value in words:
            return node.value
        if not isinstance(node, Scalar):
            raise self.wrong(node, f"{what}: one word is needed here, not a {_name(node)}: write {one_of(words)}")
        raise self.wrong(node, f"{what}: {shown(node.text)} is not known{nearest(node.text, words)}")

    # ------------------------------------------------------------------------------------------ collections
    def _items(self, node: Node, annotation: Any, what: str, about: FieldDoc) -> tuple[Any, ...]:
        if not isinstance(node, Items):
            hint = f": write [{node.text}]" if isinstance(node, Scalar) and node.text else ""
            raise self.wrong(node, f"{what}: a list is needed here{hint}")
        one = f"an entry of `{what}`" if dataclasses.is_dataclass(annotation) and annotation not in _WRITTEN else what
        found = [
            item for item in (self._attempted(child, annotation, one) for child in node.items) if item is not _NONE
        ]
        if about.minimum is not None and len(node.items) < about.minimum:
            raise self.wrong(node, f"{what}: the list needs at least {about.minimum:g}")
        return tuple(found)

    def _attempted(self, node: Node, annotation: Any, what: str, about: FieldDoc | None = None) -> Any:
        """The converted node, or `_NONE` when something about it was wrong (and was noted)."""
        try:
            return self.convert(node, annotation, what, about or FieldDoc())
        except Wrong:
            return _NONE

    def _dataclass(self, node: Node, kind: type[Any], what: str) -> Any:
        if not isinstance(node, Entries):
            keys = one_of([f"{field.name}" for field in dataclasses.fields(kind)])
            raise self.wrong(node, f"{what}: a mapping is needed here, with {keys}")
        before = len(self.problems)
        hints = hints_of(kind)
        fields = {field.name: field for field in dataclasses.fields(kind)}
        values: dict[str, Any] = {}
        for key, value in node.entries:
            name = key.text
            if name in fields:
                converted = self._attempted(value, hints[name], name, FieldDoc.of(fields[name]))
                if converted is not _NONE:
                    values[name] = converted
            else:
                self.wrong(key, f"{what} has no key {shown(name)}{nearest(name, fields)}")
        given = {key.text for key, _ in node.entries}
        for name, field in fields.items():
            if name not in given and is_required(field):
                self.wrong(node, f"{what} needs `{name}`: {FieldDoc.of(field).text}")
        self._check_together(node, kind, values)
        if len(self.problems) > before:
            raise Wrong
        return kind(**values)

    # ------------------------------------------------------------------------------------------ other spellings
    def _choice(self, node: Node, base: Any, what: str) -> Any:
        """A word, or one key with settings: `close`, `{end_status: UNAVAILABLE}`, `{reconnects: {within: 5s}}`."""
        noun, names, by_name = CHOICES[base]
        if isinstance(node, Scalar) and isinstance(node.value, str):
            key: Scalar = node
            settings: Node | None = None
        elif isinstance(node, Entries) and len(node.entries) == 1:
            key, settings = node.entries[0]
        elif isinstance(node, Entries) and len(node.entries) > 1:
            keys = one_of([shown(key.text) for key, _ in node.entries[:4]])
            raise self.wrong(
                node, f"{what}: one {noun} is needed here, not {keys} together: give each an entry of its own"
            )
        else:
            raise self.wrong(node, f"{what}: a {noun} is needed here: its name, or its name with settings")
        kind = by_name(key.text)
        if kind is None:
            raise self.wrong(key, f"{what}: there is no {noun} {shown(key.text)}{nearest(key.text, names)}")
        if settings is None or (isinstance(settings, Scalar) and settings.value is None):
            settings = Entries(key.line, key.column, ())
        chosen = self._settings(settings, kind, noun)
        problem = chosen.problem() if isinstance(chosen, (Fault, Step)) else None
        if problem is not None:
            raise self.wrong(settings, f"{key.text}: {problem}")
        return chosen

    def _settings(self, node: Node, kind: type[Any], noun: str) -> Any:
        shorthand = getattr(kind, "shorthand", None)
        words = getattr(kind, "words", {})
        if isinstance(node, Scalar):
            if isinstance(node.value, str) and node.value in words:
                return kind(**words[node.value])
            if shorthand is not None:
                field = next(field for field in dataclasses.fields(kind) if field.name == shorthand)
                hint = hints_of(kind)[shorthand]
                value = self.convert(node, hint, kind.name, FieldDoc.of(field))
                return kind(**{shorthand: value})
            names = [field.name for field in dataclasses.fields(kind)]
            wanted = f"settings go by name: {one_of(names)}" if names else "it has no settings"
            raise self.wrong(node, f"the {noun} {kind.name} takes no bare value, {wanted}")
        if not dataclasses.fields(kind) and (not isinstance(node, Entries) or node.entries):
            raise self.wrong(node, f"the {noun} {kind.name} has no settings: write {kind.name} alone")
        return self._dataclass(node, kind, f"the {noun} {kind.name}")

    def _attempt(self, node: Node, what: str) -> Attempt:
        if isinstance(node, Scalar) and node.value == "ok":
            return Attempt()
        if isinstance(node, Entries) and len(node.entries) == 1:
            attempt = self._dataclass(node, Attempt, "an attempt")
            if isinstance(attempt, Attempt) and attempt != Attempt():
                return attempt
        raise self.wrong(node, f"{what}: write ok, {{refuse: UNAVAILABLE}} or {{abort_after: {{events: 2}}}}")

    # ------------------------------------------------------------------------------------------ what must fit together
    def _check_together(self, node: Entries, kind: type[Any], values: Mapping[str, Any]) -> None:
        if kind is FaultRule:
            self._check_fault_rule(node, values)
        elif kind is Rule:
            self._check_rule(node, values)
        elif kind is When:
            self._check_when(node, values)
        elif kind is AbortAfter:
            given = [values.get(key) for key in ("events", "time") if node.get(key) is None or key in values]
            if given == [None, None]:
                self.wrong(node, "abort_after: say after how many `events` or after which `time`")
        elif kind is Scenario:
            self._check_names(node.get("topics"), "a topic")
            self._check_names(node.get("rules"), "a rule")
            self._check_names(node.get("faults"), "a fault rule")
            self._check_repeats(node.get("expect"))
            self._check_needs(node, values)
            self._check_lab(node, values)

    def _check_lab(self, node: Entries, values: Mapping[str, Any]) -> None:
        lab, faults = values.get("lab"), values.get("faults", ())
        names = [rule.name for rule in faults if isinstance(rule, FaultRule)]
        if isinstance(lab, Lab) and isinstance(faults, tuple) and lab.over not in names:
            place = node.get("lab") or node
            self.wrong(place, f"over: there is no fault rule {shown(lab.over)}{nearest(lab.over, names)}")

    def _check_when(self, node: Entries, values: Mapping[str, Any]) -> None:
        query = values.get("query")
        if isinstance(query, str) and query.strip():
            try:
                rsql.parse(query)
            except ValueError as error:
                self.wrong(node.get("query") or node, str(error))
        if values.get("subresource") and "updated" not in values.get("type", ("updated",)):
            self.wrong(node.get("type") or node, "type: a subresource is only updated: write [updated]")

    def _check_rule(self, node: Entries, values: Mapping[str, Any]) -> None:
        given = [key for key in ("when", "on") if node.get(key) is not None]
        if len(given) != 1:
            what = "both `when` and `on`" if given else "neither `when` nor `on`"
            self.wrong(node, f"a rule waits for one thing, and this one says {what}")
        elif given == ["on"]:
            if node.get("resource") is None and any(not isinstance(step, Create) for step in values.get("then", ())):
                self.wrong(node, "a moment has no resource: say with `resource` which one the steps are about")
            for leaf in _leaves(node):
                if PLACEHOLDER.search(leaf.text):
                    self.wrong(leaf, f"{shown(leaf.text)}: a moment has no resource to take that from")

    def _check_fault_rule(self, node: Entries, values: Mapping[str, Any]) -> None:
        fault, anchor, after = values.get("do"), values.get("on"), values.get("after")
        if not isinstance(fault, Fault):
            return
        if isinstance(anchor, Anchor) and fault.anchors is not None and anchor.name not in fault.anchors:
            places = one_of(sorted(fault.anchors))
            self.wrong(node.get("on") or node, f"on: {fault.name} cannot act at {anchor.name}: it acts at {places}")
        if isinstance(anchor, Anchor):
            given, times, during = (values.get(key) for key in ("given", "times", "during"))
            for key, why in impossible(anchor, given or (), times, during):
                self.wrong(node.get(key) or node, why)
        endless = isinstance(anchor, Anchor) and anchor.name == "barrier" and (anchor.nth is None or anchor.onwards)
        if endless and not values.get("times"):
            self.wrong(
                node.get("on") or node,
                "on: after what happens at a barrier comes the next barrier: say barrier(1), or how many `times`",
            )
        if fault.answers and isinstance(after, Span) and after.high > 0:
            self.wrong(
                node.get("after") or node,
                f"after: {fault.name} answers the moment itself, so it cannot come later: leave `after` out",
            )
        if fault.at_once and isinstance(after, Span) and after.high > 0:
            self.wrong(
                node.get("after") or node,
                f"after: {fault.name} spoils how something begins, and later it has begun: leave `after` out",
            )

    def _check_needs(self, node: Entries, values: Mapping[str, Any]) -> None:
        if "wire" in values.get("needs", ()):
            return
        for rule in values.get("faults", ()):
            if rule.do.needs_wire:
                place = node.get("faults") or node
                self.wrong(place, f"faults: {rule.do.name} cannot happen in the simulator: add `needs: [wire]`")
                return

    def _check_names(self, node: Node | None, what: str) -> None:
        seen: dict[str, int] = {}
        for item in node.items if isinstance(node, Items) else ():
            name = item.get("name") if isinstance(item, Entries) else None
            if not isinstance(name, Scalar):
                continue
            if name.text in seen:
                self.wrong(name, f"name: {what} is called {shown(name.text)} already, in line {seen[name.text]}")
            seen.setdefault(name.text, name.line)

    def _check_repeats(self, node: Node | None) -> None:
        seen: dict[str, int] = {}
        for item in node.items if isinstance(node, Items) else ():
            key = item.entries[0][0] if isinstance(item, Entries) and item.entries else item
            if not isinstance(key, Scalar):
                continue
            if key.text in seen:
                self.wrong(key, f"expect: {shown(key.text)} stands twice, first in line {seen[key.text]}")
            seen.setdefault(key.text, key.line)


class _None:
    """Nothing could be made of a node; None itself is a value."""


_NONE = _None()


def is_required(field: dataclasses.Field[Any]) -> bool:
    """Whether a file must give this field."""
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _leaves(node: Node) -> Iterator[Scalar]:
    if isinstance(node, Scalar):
        yield node
    for child in node.items if isinstance(node, Items) else ():
        yield from _leaves(child)
    for _, child in node.entries if isinstance(node, Entries) else ():
        yield from _leaves(child)


def _name(node: Node) -> str:
    return "list" if isinstance(node, Items) else "mapping" if isinstance(node, Entries) else "value"


def _check_bounds(value: Any, annotation: Any, about: FieldDoc, text: str) -> None:
    """Raises Wrong when a value is out of the bounds its field documents."""
    if annotation is str:
        if about.pattern is not None and not re.fullmatch(about.pattern, value):
            raise Wrong(
                f"{shown(value) if value else 'an empty text'} will not do: write something like {about.example}"
            )
        if about.minimum is not None and len(value) < about.minimum:
            raise Wrong("the text is empty")
        if about.maximum is not None and len(value) > about.maximum:
            raise Wrong(f"the text is longer than {about.maximum:g} characters")
        return
    low = value.low if annotation in (Span, CountSpan) else value
    high = value.high if annotation in (Span, CountSpan) else value
    if annotation is CountSpan and high > scalars.MAX_COUNT:
        raise Wrong(f"{shown(text)} is too large")
    if annotation not in (int, float, Duration, Span, CountSpan):
        return
    say = scalars.write_duration if annotation in (Duration, Span) else str
    if about.minimum is not None and low < about.minimum:
        raise Wrong(f"{shown(text)} is too small: at least {say(about.minimum)}")
    if about.maximum is not None and high > about.maximum:
        raise Wrong(f"{shown(text)} is too large: at most {say(about.maximum)}")
