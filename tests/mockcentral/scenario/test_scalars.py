"""The words of a scenario: what they mean, how they are written, what is said about wrong ones."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mockcentral import strategies
from mockcentral.scenario import scalars
from mockcentral.scenario.nodes import resolve
from mockcentral.scenario.scalars import Wrong
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, ErrorCode, Span


def _read(reader: Any, text: str) -> Any:
    return reader(text, resolve(text))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("250ms", 0.25), ("5s", 5), ("1.5s", 1.5), ("2m", 120), ("1h", 3600), ("7d", 604800), ("0.1s", 0.1)],
)
def test_durations_carry_their_unit(text: str, seconds: float) -> None:
    assert _read(scalars.read_duration, text) == seconds


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("100", "a duration needs a unit: write 100ms or 100s"),
        ("1.5", "a duration needs a unit: write 1.5ms or 1.5s"),
        ("-5", "cannot be negative"),
        ("-5s", "cannot be negative"),
        ("5 s", "`5 s` is no duration: write 5s"),
        ("5sec", "`5sec` is no duration: write 5s"),
        ("5 Minutes", "write 5m"),
        ("5MS", "write 5ms"),
        (".5s", "write 0.5s"),
        ("5y", "`5y` has an unknown unit: write ms, s, m, h or d"),
        ("1h30m", "is no duration: write a number with its unit, such as 250ms, 5s or 2m"),
        ("soon", "`soon` is no duration"),
        ("~", "nothing is no duration"),
        (".inf", "cannot be negative or endless"),
        ("9" * 400 + "s", "too long to be counted"),
    ],
)
def test_a_wrong_duration_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(Wrong, match=re.escape(says)):
        _read(scalars.read_duration, text)


@given(st.floats(0, 1e12, allow_subnormal=False))
@example(0.1 + 0.2)
@example(1 / 3)
@example(86399.999)
@example(1e-300)
def test_a_written_duration_reads_back_exactly(seconds: float) -> None:
    text = scalars.write_duration(seconds)
    assert _read(scalars.read_duration, text) == seconds
    assert re.fullmatch(scalars.DURATION, text)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0s"), (0.25, "250ms"), (5, "5s"), (90, "90s"), (120, "2m"), (86400, "1d"), (1.5, "1.5s")]
)
def test_durations_are_written_as_people_would(seconds: float, text: str) -> None:
    assert scalars.write_duration(seconds) == text


@given(strategies.spans())
def test_a_written_span_reads_back_exactly(span: Span) -> None:
    text = scalars.write_span(span)
    assert _read(scalars.read_span, text) == span
    assert re.fullmatch(scalars.SPAN, text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("3s..1s", "the range `3s..1s` runs backwards: write 1s..3s"),
        ("1..3s", "a duration needs a unit: write 1ms or 1s"),
        ("1s..", "is no duration"),
        ("1s .. 3s", "`1s .. 3s` is written 1s..3s"),
        ("1s..2s..3s", "is no duration"),
    ],
)
def test_a_wrong_span_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(Wrong, match=re.escape(says)):
        _read(scalars.read_span, text)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_written_count_span_reads_back_exactly(one: int, other: int) -> None:
    span = CountSpan(min(one, other), max(one, other))
    written = scalars.write_count_span(span)
    assert scalars.read_count_span(str(written), written) == span
    assert re.fullmatch(scalars.COUNT_SPAN, str(written))


@pytest.mark.parametrize("text", ["50..1", "a", "1.5", "true", "1..", "-1..3", "1 .. 3", "~"])
def test_a_wrong_count_is_refused(text: str) -> None:
    with pytest.raises(Wrong, match=r"is no count|runs backwards"):
        _read(scalars.read_count_span, text)


@given(strategies.anchors())
def test_a_written_anchor_reads_back_exactly(anchor: Anchor) -> None:
    assert _read(scalars.read_anchor, str(anchor)) == anchor
    assert re.fullmatch(scalars.ANCHOR, str(anchor))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steam_open", "there is no moment `steam_open`: did you mean `stream_open`?"),
        ("stream-open(3)", "did you mean `stream_open`?"),
        ("ping(0)", "`ping(0)` never happens: the first one is ping(1)"),
        ("ping(-1)", "never happens"),
        ("start(2)", "never happens: a world starts once, write start"),
        ("ping( 3 )", "`ping( 3 )` is written ping(3)"),
        ("ping(03)", "is written ping(3)"),
        ("ping()", "is no moment"),
        ("ping(x)", "is no moment"),
        ("(3)", "is no moment"),
        ("3", "`3` is no moment"),
        ("ping(" + "9" * 30 + ")", "will never come"),
    ],
)
def test_a_wrong_anchor_says_what_to_write(text: str, says: str) -> None:
    with pytest.raises(Wrong, match=re.escape(says)):
        _read(scalars.read_anchor, text)


def test_statuses_go_by_name() -> None:
    assert _read(scalars.read_code, "UNAVAILABLE") is Code.UNAVAILABLE
    for text, says in [
        ("14", "UNAVAILABLE instead of 14"),
        ("unavailable", "did you mean `UNAVAILABLE`?"),
        ("UNAUTHORIZED", "did you mean `UNAUTHENTICATED`?"),
        ("99", "is no gRPC status"),
        ("true", "is no gRPC status"),
    ]:
        with pytest.raises(Wrong, match=re.escape(says)):
            _read(scalars.read_code, text)


@given(strategies.error_codes())
def test_a_written_error_code_reads_back_exactly(code: ErrorCode) -> None:
    written = scalars.write_error_code(code)
    assert scalars.read_error_code(str(written), written) == code


@pytest.mark.parametrize(
    ("reader", "text", "says"),
    [
        (scalars.read_text, "5", 'text is needed here: write "5" in quotes'),
        (scalars.read_text, "~", "a text is missing"),
        (scalars.read_int, "5.0", "`5.0` is no whole number"),
        (scalars.read_int, "true", "`true` is no whole number"),
        (scalars.read_float, ".nan", "is no number"),
        (scalars.read_float, "x", "is no number"),
        (scalars.read_bool, "yes", "`yes` is neither true nor false"),
    ],
)
def test_plain_values_are_what_they_look_like(reader: Any, text: str, says: str) -> None:
    with pytest.raises(Wrong, match=re.escape(says)):
        _read(reader, text)


@given(strategies.spans(), st.randoms(use_true_random=False))
def test_a_span_draws_from_within(span: Span, random: Any) -> None:
    assert span.low <= span.pick(random) <= span.high


def test_rounding_does_not_carry_a_span_over_its_end() -> None:
    class Highest:
        def random(self) -> float:
            return 1.0  # hypothesis' may, Python's own may not

    assert Span(1.543, 3.77).pick(Highest()) == 3.77  # type: ignore[arg-type]


@given(st.integers(1, 50), st.integers(0, 50), st.integers(0, 10**9))
def test_a_count_span_draws_from_within(low: int, more: int, seed: int) -> None:
    from random import Random

    assert low <= CountSpan(low, low + more).pick(Random(seed)) <= low + more
    assert Duration(1.0) == 1.0
