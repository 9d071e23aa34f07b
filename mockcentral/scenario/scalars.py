"""The words of a scenario and what they mean: durations, ranges, anchors, codes. Each is read and written here.

`read_*` takes what stood in the file (as text, and as the value YAML made of it) and raises `Wrong` with the sentence
that follows the name of the key: what it is, and what to write instead. `write_*` gives what reads back to the same.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from mockcentral.scenario.errors import nearest, one_of, shown
from mockcentral.scenario.nodes import Value
from mockcentral.scenario.types import ANCHORS, ERROR_CODES, Anchor, Code, CountSpan, Duration, ErrorCode, Span

UNITS: dict[str, float] = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
DURATION = rf"{_NUMBER}(?:ms|s|m|h|d)"
SPAN = rf"(?:0|{DURATION})(?:\.\.(?:0|{DURATION}))?"
COUNT_SPAN = r"[0-9]+(?:\.\.[0-9]+)?"
ANCHOR = rf"(?:start(?:\(1\+?\))?|(?:{'|'.join(name for name in ANCHORS if name != 'start')})(?:\([1-9][0-9]*\+?\))?)"
MAX_COUNT = 2**63 - 1

_DURATION = re.compile(rf"({_NUMBER})(ms|s|m|h|d)")
_LIKE_DURATION = re.compile(rf"(-?)({_NUMBER}|\.[0-9]+)\s*([A-Za-zµ]*)")
_ANCHOR = re.compile(r"\s*([A-Za-z_0-9 -]*?)\s*(?:\(\s*(-?[0-9]+)\s*(\+?)\s*\))?\s*")


class Wrong(Exception):
    """A word does not mean anything here; `str()` is the sentence."""


# ------------------------------------------------------------------------------------------------ durations
def read_duration(text: str, value: Value) -> Duration:
    """`250ms`, `5s`, `2m`, `1h`, `7d`, or 0."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        if value == 0:
            return Duration(0.0)
        if value < 0 or not math.isfinite(value):
            raise Wrong(f"{shown(text)} is no duration: it cannot be negative or endless")
        raise Wrong(f"a duration needs a unit: write {text}ms or {text}s")
    if isinstance(value, str):
        found = _DURATION.fullmatch(value)
        if found is not None:
            # Divided, not multiplied: 250 / 1000 is the float nearest to 0.25, 250 * 0.001 need not be.
            number, unit = float(found[1]), found[2]
            seconds = number / 1000 if unit == "ms" else number * UNITS[unit]
            if not math.isfinite(seconds):
                raise Wrong("this duration is too long to be counted")
            return Duration(seconds)
        like = _LIKE_DURATION.fullmatch(value)
        if like is not None:
            sign, digits, unit = like[1], like[2], like[3]
            if sign:
                raise Wrong(f"{shown(text)} is no duration: it cannot be negative")
            if not unit:
                raise Wrong(f"a duration needs a unit: write {digits}ms or {digits}s")
            known = unit if unit in UNITS else _UNIT_WORDS.get(unit.lower())
            if known:
                digits = f"0{digits}" if digits.startswith(".") else digits
                raise Wrong(f"{shown(text)} is no duration: write {digits}{known}")
            raise Wrong(f"{shown(text)} has an unknown unit: write {one_of(UNITS)}")
    raise Wrong(f"{_shown_value(text, value)} is no duration: write a number with its unit, such as 250ms, 5s or 2m")


_UNIT_WORDS = {
    word: unit
    for unit, words in {
        "ms": "msec msecs millis millisecond milliseconds",
        "s": "sec secs second seconds",
        "m": "min mins minute minutes",
        "h": "hr hrs hour hours",
        "d": "day days",
    }.items()
    for word in (unit, *words.split())
}


def write_duration(seconds: float) -> str:
    """The shortest text that reads back to exactly these seconds."""
    if seconds == 0:
        return "0s"
    for unit in ("d", "h", "m"):
        number = seconds / UNITS[unit]
        if number.is_integer() and number < 1e6 and number * UNITS[unit] == seconds:
            return f"{int(number)}{unit}"
    if seconds < 1:
        number = float(round(seconds * 1000))
        if number and number / 1000 == seconds:
            return f"{int(number)}ms"
    text = format(Decimal(repr(float(seconds))), "f")
    return f"{text[:-2] if text.endswith('.0') else text}s"


def read_span(text: str, value: Value) -> Span:
    """`2s`, or a range `1s..3s`."""
    if isinstance(value, str) and ".." in value:
        tight = re.sub(r"\s+", "", value)
        if tight != value:
            raise Wrong(f"{shown(text)} is written {tight}")
        low_text, _, high_text = value.partition("..")
        low, high = (read_duration(part, 0 if part == "0" else part) for part in (low_text, high_text))
        if low > high:
            raise Wrong(f"the range {shown(text)} runs backwards: write {high_text}..{low_text}")
        return Span(low, high)
    only = read_duration(text, value)
    return Span(only, only)


def write_span(span: Span) -> str:
    if span.low == span.high:
        return write_duration(span.low)
    return f"{write_duration(span.low)}..{write_duration(span.high)}"


def read_count_span(text: str, value: Value) -> CountSpan:
    """`3`, or a range `1..50`."""
    if isinstance(value, str):
        found = re.fullmatch(r"([0-9]{1,19})(?:\.\.([0-9]{1,19}))?", value)
        if found is not None:
            low, high = int(found[1]), int(found[2] or found[1])
            if low > high:
                raise Wrong(f"the range {shown(text)} runs backwards: write {high}..{low}")
            return CountSpan(low, high)
    elif isinstance(value, int) and not isinstance(value, bool):
        return CountSpan(value, value)
    raise Wrong(f"{_shown_value(text, value)} is no count: write a whole number or a range such as 1..50")


def write_count_span(span: CountSpan) -> int | str:
    return span.low if span.low == span.high else f"{span.low}..{span.high}"


# ------------------------------------------------------------------------------------------------ anchors and codes
def read_anchor(text: str, value: Value) -> Anchor:
    """`ping`, `ping(3)`, `ping(3+)`."""
    found = _ANCHOR.fullmatch(value) if isinstance(value, str) else None
    if found is None or not found[1]:
        raise Wrong(f"{_shown_value(text, value)} is no moment: write one such as stream_open, ping(3) or event(10+)")
    name, number, onwards = found[1], found[2], bool(found[3])
    if name not in ANCHORS:
        raise Wrong(f"there is no moment {shown(name)}{nearest(name, ANCHORS)}")
    if number is None:
        if name != value:
            raise Wrong(f"{shown(text)} is written {name}")
        return Anchor(name)
    if len(number) > 18:
        raise Wrong(f"{shown(text)} will never come: the number is too large")
    nth = int(number)
    if nth < 1:
        raise Wrong(f"{shown(text)} never happens: the first one is {name}(1)")
    if name == "start" and nth > 1:
        raise Wrong(f"{shown(text)} never happens: a world starts once, write start")
    anchor = Anchor(name, nth, onwards)
    if str(anchor) != value:
        raise Wrong(f"{shown(text)} is written {anchor}")
    return anchor


def read_code(text: str, value: Value) -> Code:
    """A gRPC status by its name."""
    if isinstance(value, str) and value in Code.__members__:
        return Code[value]
    if isinstance(value, int) and not isinstance(value, bool) and value in list(Code):
        raise Wrong(f"a gRPC status is written by its name: {Code(value).name} instead of {value}")
    name = value if isinstance(value, str) else text
    raise Wrong(f"{_shown_value(text, value)} is no gRPC status{nearest(name, Code.__members__)}")


def read_error_code(text: str, value: Value) -> ErrorCode:
    """An HTTP/2 error code by its name or number."""
    if isinstance(value, str) and value in ERROR_CODES:
        return ERROR_CODES[value]
    if isinstance(value, int) and not isinstance(value, bool):
        if 0 <= value < 2**32:
            return ErrorCode(value)
        raise Wrong(f"{shown(text)} is no HTTP/2 error code: a number must fit in 32 bits")
    name = value if isinstance(value, str) else text
    raise Wrong(f"{_shown_value(text, value)} is no HTTP/2 error code{nearest(name, ERROR_CODES)}")


def write_error_code(code: ErrorCode) -> int | str:
    return next((name for name, number in ERROR_CODES.items() if number == code), code)


# ------------------------------------------------------------------------------------------------ plain values
def read_text(text: str, value: Value) -> str:
    if isinstance(value, str):
        return value
    if value is None:
        raise Wrong("a text is missing")
    raise Wrong(f'text is needed here: write "{text[:60]}" in quotes')


def read_int(text: str, value: Value) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise Wrong(f"{_shown_value(text, value)} is no whole number")


def read_float(text: str, value: Value) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
        return float(value)
    raise Wrong(f"{_shown_value(text, value)} is no number")


def read_bool(text: str, value: Value) -> bool:
    if isinstance(value, bool):
        return value
    raise Wrong(f"{_shown_value(text, value)} is neither true nor false")


def _shown_value(text: str, value: Value) -> str:
    return "nothing" if value is None else shown(text) if text else "an empty text"
