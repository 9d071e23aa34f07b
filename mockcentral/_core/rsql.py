"""Queries over resources, the subset of RSQL that agents and people send (protocol 6.0).

    name==petstore
    metadata.references.id==8a2e;information.hash==77
    tags=in=(a,b),attributes.team!="core team"

`;` is and, `,` is or and binds less, parentheses group. A path goes through objects by key and through lists by trying
each item, so `metadata.references.id==X` is true when one reference has that id. Values are compared as text, unless
both sides are numbers; `*` in a value of == and != stands for any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Predicate = Callable[[Mapping[str, Any]], bool]

MAX_LENGTH = 4096
MAX_DEPTH = 32

_TOKEN = re.compile(
    r"""\s*(?:
        (?P<operator>==|!=|=[a-z]+=|>=|<=|>|<)
      | (?P<sign>[();,])
      | "(?P<double>(?:[^"\\]|\\.)*)"
      | '(?P<single>(?:[^'\\]|\\.)*)'
      | (?P<word>[^\s"'();,=!<>]+)
    )\s*""",
    re.VERBOSE,
)
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    ">": lambda have, want: bool(have > want),
    ">=": lambda have, want: bool(have >= want),
    "<": lambda have, want: bool(have < want),
    "<=": lambda have, want: bool(have <= want),
}
_WORDS = {"=gt=": ">", "=ge=": ">=", "=lt=": "<", "=le=": "<=", "=eq=": "==", "=ne=": "!="}
OPERATORS = ("==", "!=", *_COMPARE, *_WORDS, "=in=", "=out=")


def parse(text: str) -> Predicate:
    """What decides whether a resource is asked for. Raises ValueError with the place and what may stand there."""
    if len(text) > MAX_LENGTH:
        raise ValueError(f"query has {len(text)} characters: at most {MAX_LENGTH} are read")
    return _Parser(text).whole()


def values(resource: Any, path: str) -> Iterator[Any]:
    """Everything at a dotted path; a list stands for its items. A key that itself holds dots is found, too."""
    if isinstance(resource, list):
        for item in resource:
            yield from values(item, path)
        return
    if not path:
        yield resource
        return
    if not isinstance(resource, Mapping):
        return
    if path in resource:
        yield from values(resource[path], "")
        return
    head, dot, rest = path.partition(".")
    if dot and head in resource:
        yield from values(resource[head], rest)


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens: list[tuple[str, str, int]] = []
        at = 0
        while at < len(text):
            found = _TOKEN.match(text, at)
            if found is None:
                raise self._wrong(at, "a quote has no end" if text[at] in "\"'" else "this cannot stand here")
            kind = found.lastgroup or ""
            value = found[kind]
            if kind in ("double", "single"):
                kind, value = "text", re.sub(r"\\(.)", r"\1", value)
            self._tokens.append((kind, value, found.start(found.lastgroup or 0)))
            at = found.end()
        self._next = 0
        self._depth = 0

    def whole(self) -> Predicate:
        found = self._either()
        if self._next < len(self._tokens):
            raise self._wrong(self._tokens[self._next][2], "write ; for and, or , for or")
        return found

    def _either(self) -> Predicate:
        options = [self._all()]
        while self._take("sign", ","):
            options.append(self._all())
        return options[0] if len(options) == 1 else lambda resource: any(each(resource) for each in options)

    def _all(self) -> Predicate:
        conditions = [self._one()]
        while self._take("sign", ";"):
            conditions.append(self._one())
        return conditions[0] if len(conditions) == 1 else lambda resource: all(each(resource) for each in conditions)

    def _one(self) -> Predicate:
        if self._take("sign", "("):
            self._depth += 1
            if self._depth > MAX_DEPTH:
                raise ValueError(f"query nests deeper than {MAX_DEPTH} parentheses")
            inner = self._either()
            self._expect(")")
            self._depth -= 1
            return inner
        path = self._value("the name of a field")
        at = self._place()
        kind, operator, _ = self._tokens[self._next] if self._next < len(self._tokens) else ("", "", 0)
        if kind != "operator" or operator not in OPERATORS:
            raise self._wrong(at, f"after {path} write one of {' '.join(OPERATORS)}")
        self._next += 1
        operator = _WORDS.get(operator, operator)
        if operator in ("=in=", "=out="):
            self._expect("(")
            options = [self._value("a value")]
            while self._take("sign", ","):
                options.append(self._value("a value"))
            self._expect(")")
            wanted = operator == "=in="
            return lambda resource: any(_text(have) in options for have in values(resource, path)) is wanted
        want = self._value("a value")
        if operator in ("==", "!="):
            equal = _equal_to(want)
            wanted = operator == "=="
            return lambda resource: any(equal(have) for have in values(resource, path)) is wanted
        compare = _COMPARE[operator]
        return lambda resource: any(_ordered(compare, have, want) for have in values(resource, path))

    def _value(self, what: str) -> str:
        if self._next < len(self._tokens) and self._tokens[self._next][0] in ("word", "text"):
            self._next += 1
            return self._tokens[self._next - 1][1]
        raise self._wrong(self._place(), f"{what} is missing")

    def _take(self, kind: str, value: str) -> bool:
        if self._next < len(self._tokens) and self._tokens[self._next][:2] == (kind, value):
            self._next += 1
            return True
        return False

    def _expect(self, sign: str) -> None:
        if not self._take("sign", sign):
            raise self._wrong(self._place(), f"{sign} is missing")

    def _place(self) -> int:
        return self._tokens[self._next][2] if self._next < len(self._tokens) else len(self._text)

    def _wrong(self, at: int, what: str) -> ValueError:
        rest = self._text[at : at + 40]
        where = f"at {rest!r}" if rest else "at its end"
        return ValueError(f"query cannot be read {where}: {what}")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _equal_to(want: str) -> Callable[[Any], bool]:
    if "*" not in want:
        return lambda have: _text(have) == want
    first, *middle, last = want.split("*")

    def equal(have: Any) -> bool:
        # Not a regular expression: one with many stars takes ages over a text that nearly fits.
        text = _text(have)
        if len(text) < len(first) + len(last) or not text.startswith(first):
            return False
        at, end = len(first), len(text) - len(last)
        for part in middle:
            found = text.find(part, at, end)
            if found < 0:
                return False
            at = found + len(part)
        return text.endswith(last)

    return equal


def _ordered(compare: Callable[[Any, Any], bool], have: Any, want: str) -> bool:
    if isinstance(have, (int, float)) and not isinstance(have, bool):
        try:
            return compare(have, float(want))
        except ValueError:
            return False
    return compare(_text(have), want)
