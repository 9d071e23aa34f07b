"""YAML (and so JSON) text as a tree that remembers where everything stood.

Values are those of YAML 1.2's core schema, as editors and JSON see them: `on` and `yes` are text, only `true` and
`false` are truth. What no scenario needs is refused with a reason instead of read: tags, merge keys, keys that are not
text, duplicate keys, an alias inside its own anchor. Size, depth and the number of nodes, counted with aliases written
out, are bounded, so no file costs more than its size; the tree is built from the parser's events, so depth costs no
stack.

Nothing here knows what a scenario is.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import yaml

from mockcentral._core.frozen import strict_dataclass
from mockcentral.scenario.errors import Problem, ScenarioError, shown

MAX_BYTES = 1 << 20
MAX_DEPTH = 40
MAX_NODES = 200_000
MAX_DOCUMENTS = 1000

Value: TypeAlias = str | int | float | bool | None

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_NULL = re.compile(r"~|null|Null|NULL|")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_ESCAPE = re.compile(r"\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)", re.DOTALL)
"""One escape of a JSON text, or two that make one character; an escaped backslash is an escape of its own."""
_MAX_NUMBER = 100
"""Longer texts are no numbers anybody meant, and turning them into one takes time that grows with the square."""


@strict_dataclass(frozen=True, slots=True)
class Scalar:
    """One value; `text` is what was written."""

    line: int
    column: int
    text: str
    value: Value
    size: int = 1


@strict_dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    line: int
    column: int
    items: tuple[Node, ...]
    size: int = 1


@strict_dataclass(frozen=True, slots=True)
class Entries:
    """A mapping: keys are text and differ."""

    line: int
    column: int
    entries: tuple[tuple[Scalar, Node], ...]
    size: int = 1

    def get(self, key: str) -> Node | None:
        """The value of a key, None when there is no such key."""
        return next((value for name, value in self.entries if name.text == key), None)


Node: TypeAlias = Scalar | Items | Entries


def read_text(path: Path) -> str:
    """The text of a file. Raises ScenarioError when it cannot be had: no such file, too large, not UTF-8."""
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except IsADirectoryError:
        raise _error(str(path), "this is a directory, not a file") from None
    except OSError as error:
        raise _error(str(path), (error.strerror or "it cannot be read").lower()) from None
    except ValueError:  # a NUL in the name
        raise _error(shown(str(path)), "this is no file name") from None
    if len(data) > MAX_BYTES:
        raise _error(str(path), "the file is larger than 1 MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _error(str(path), "the file is not UTF-8", line) from None


def documents(text: str, file: str) -> list[Node]:
    """The documents of a text, at least one. Raises ScenarioError."""
    if len(text) > MAX_BYTES:
        raise _error(file, "the text is larger than 1 MiB")
    try:
        text.encode("utf-8")
        found = list(_Composer(file).documents(yaml.parse(_paired(text), Loader=_LOADER)))
    except UnicodeEncodeError as error:
        raise _error(
            file, "the text is not Unicode: half a surrogate pair", text.count("\n", 0, error.start) + 1
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        # What is missing at the end is missing in the last line that says something.
        last = text.rstrip().count("\n") + 1
        line, column = (min(mark.line + 1, last), mark.column + 1) if mark else (1, 1)
        raise _error(file, _yaml_message(error, text), line, column) from None
    except yaml.YAMLError as error:  # a character that YAML forbids
        position = getattr(error, "position", 0)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
        raise _error(
            file, "a character that YAML does not allow: write it as an escape in double quotes", line
        ) from None
    except RecursionError:
        raise _error(file, f"nested deeper than {MAX_DEPTH}") from None
    if not found:
        raise _error(file, "the file is empty", 1)
    return found


def from_data(data: object) -> Node:
    """Plain data, from JSON or built in Python, as a tree without places. Raises ScenarioError when it is not plain."""
    return _from_data(data, 0)


def _from_data(data: object, depth: int) -> Node:
    if depth > MAX_DEPTH:
        raise _error("", f"nested deeper than {MAX_DEPTH}")
    if data is None or isinstance(data, (str, bool, int, float)):
        return Scalar(0, 0, data if isinstance(data, str) else json.dumps(data), data)
    if isinstance(data, (list, tuple)):
        return Items(0, 0, tuple(_from_data(item, depth + 1) for item in data))
    if isinstance(data, Mapping):
        for key in data:
            if not isinstance(key, str):
                raise _error("", f"a key must be text, not {shown(repr(key))}")
        return Entries(0, 0, tuple((Scalar(0, 0, key, key), _from_data(data[key], depth + 1)) for key in data))
    raise _error("", f"this is not plain data: {shown(type(data).__name__)}")


def plain(node: Node) -> object:
    """The tree as plain data: what a JSON Schema judges."""
    if isinstance(node, Scalar):
        return node.value
    if isinstance(node, Items):
        return [plain(item) for item in node.items]
    return {key.text: plain(value) for key, value in node.entries}


def locate(node: Node, path: Sequence[str | int]) -> Node:
    """The node at a path of keys and positions, or the nearest one above it."""
    for step in path:
        if isinstance(node, Entries) and isinstance(step, str):
            below = node.get(step)
        elif isinstance(node, Items) and isinstance(step, int) and step < len(node.items):
            below = node.items[step]
        else:
            below = None
        if below is None:
            break
        node = below
    return node


def resolve(text: str) -> Value:
    """What an unquoted text means in YAML 1.2's core schema."""
    if _NULL.fullmatch(text):
        return None
    if _BOOL.fullmatch(text):
        return text[0] in "tT"
    if len(text) <= _MAX_NUMBER:
        if _INT.fullmatch(text):
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text[2:] if base != 10 else text, base)
        if _FLOAT.fullmatch(text):
            lower = text.lower()
            return math.nan if lower == ".nan" else float(lower.replace(".inf", "inf"))
    return text


class _Open:
    """A list or mapping whose end has not come yet."""

    __slots__ = ("anchor", "children", "column", "is_mapping", "keys", "line")

    def __init__(self, line: int, column: int, is_mapping: bool, anchor: str | None) -> None:
        self.line = line
        self.column = column
        self.is_mapping = is_mapping
        self.anchor = anchor
        self.children: list[Node] = []
        self.keys: dict[str, int] = {}


class _Composer:
    """Builds trees from the events of PyYAML's parser."""

    def __init__(self, file: str) -> None:
        self._file = file

    def documents(self, events: Iterator[yaml.Event]) -> Iterator[Node]:
        count = 0
        for event in events:
            if isinstance(event, yaml.DocumentStartEvent):
                count += 1
                if count > MAX_DOCUMENTS:
                    raise self._wrong(event, f"more than {MAX_DOCUMENTS} documents")
                yield self._document(events)

    def _document(self, events: Iterator[yaml.Event]) -> Node:
        anchors: dict[str, Node] = {}
        stack: list[_Open] = []
        for event in events:
            if isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                self._check_tag(event)
                if len(stack) >= MAX_DEPTH:
                    raise self._wrong(event, f"nested deeper than {MAX_DEPTH}")
                stack.append(_Open(*_place(event), isinstance(event, yaml.MappingStartEvent), event.anchor))
                continue
            if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                done = stack.pop()
                node = self._close(done, event)
                if done.anchor:
                    anchors[done.anchor] = node
            elif isinstance(event, yaml.ScalarEvent):
                node = self._scalar(event)
                if event.anchor:
                    anchors[event.anchor] = node
            elif isinstance(event, yaml.AliasEvent):
                node = self._alias(event, anchors, stack)
            else:  # pragma: no cover  (a document start is never nested)
                continue
            if not stack:
                return node
            self._add(stack[-1], node, event)
        raise AssertionError("the parser ended inside a document")

    def _add(self, parent: _Open, node: Node, event: yaml.Event) -> None:
        if parent.is_mapping and len(parent.children) % 2 == 0:
            if not isinstance(node, Scalar):
                raise self._wrong(event, "a key must be a word")
            if node.text == "<<":
                raise self._wrong(event, "merge keys (<<) are not read: write the keys out")
            if node.text in parent.keys:
                raise self._wrong(
                    event, f"the key {shown(node.text)} stands twice, first in line {parent.keys[node.text]}"
                )
            parent.keys[node.text] = _place(event)[0]
        parent.children.append(node)

    def _close(self, done: _Open, event: yaml.Event) -> Node:
        size = 1 + sum(child.size for child in done.children)
        if size > MAX_NODES:
            raise self._wrong(event, f"more than {MAX_NODES} values, counting what aliases stand for")
        if not done.is_mapping:
            return Items(done.line, done.column, tuple(done.children), size)
        keys, values = done.children[::2], done.children[1::2]
        pairs = tuple((key, value) for key, value in zip(keys, values, strict=True) if isinstance(key, Scalar))
        return Entries(done.line, done.column, pairs, size)

    def _scalar(self, event: yaml.ScalarEvent) -> Scalar:
        self._check_tag(event)
        # implicit[0]: written without quotes and without a tag.
        value = resolve(event.value) if event.implicit[0] and event.style in (None, "") else event.value
        if event.tag == "!":
            value = event.value
        return Scalar(*_place(event), event.value, value)

    def _alias(self, event: yaml.AliasEvent, anchors: Mapping[str, Node], stack: Sequence[_Open]) -> Node:
        name = event.anchor or ""
        if any(parent.anchor == name for parent in stack):
            raise self._wrong(event, f"the alias *{name} stands inside what it refers to")
        if name not in anchors:
            raise self._wrong(
                event, f"there is no anchor &{name} for the alias *{name}; a text with a star needs quotes: '*{name}'"
            )
        return anchors[name]

    def _check_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            raise self._wrong(event, f"tags are not read: leave out {shown(str(event.tag))}")

    def _wrong(self, event: yaml.Event, message: str) -> ScenarioError:
        return _error(self._file, message, *_place(event))


def _place(event: yaml.Event) -> tuple[int, int]:
    mark = event.start_mark
    assert mark is not None  # only events that nobody parsed have none
    return mark.line + 1, mark.column + 1


def _paired(text: str) -> str:
    """JSON writes a character past the 16-bit ones as two escapes, which YAML does not know: put it there itself."""
    if not text.lstrip().startswith(("{", "[", '"')):
        return text
    return _ESCAPE.sub(lambda found: json.loads(f'"{found[0]}"') if len(found[1]) > 1 else found[0], text)


def _yaml_message(error: yaml.MarkedYAMLError, text: str) -> str:
    problem, mark = error.problem or "", error.problem_mark
    lines = text.split("\n")
    line = lines[mark.line] if mark and mark.line < len(lines) else ""
    if "cannot start any token" in problem and mark:
        letter = line[mark.column : mark.column + 1]
        if letter == "\t":
            return "a tab cannot indent YAML: use spaces"
        return f"a word cannot begin with {letter}: put it in quotes" if letter else "a word is missing its quotes"
    if line.lstrip(" ").startswith("\t"):
        return "a tab cannot indent YAML: use spaces"
    if "nesting depth" in problem:
        return f"nested deeper than {MAX_DEPTH}"
    if "anchor" in (error.context or "") or "alias" in (error.context or ""):
        return "a star or an ampersand at the start of a word needs quotes: '*'"
    begun = error.context_mark
    where = f" begun in line {begun.line + 1}" if begun and mark and begun.line != mark.line else ""
    context = f" ({error.context}{where})" if error.context else ""
    return f"this is not YAML: {problem}{context}"


def _error(file: str, message: str, line: int = 0, column: int = 0) -> ScenarioError:
    return ScenarioError([Problem(file, line, column, message)])
