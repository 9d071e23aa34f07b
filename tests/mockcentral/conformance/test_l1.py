"""What counts as an L1 line, and what is said of one that does not."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockcentral.conformance.l1 import NotL1, parse


@pytest.mark.parametrize(
    ("line", "kind", "fields"),
    [
        ('{"type": "applied", "sequence": 7}', "client.applied", {"sequence": 7, "id": None, "op": None}),
        (
            '{"type": "applied", "sequence": 7, "id": "a", "op": "CREATED", "more": [1]}',
            "client.applied",
            {"sequence": 7, "id": "a", "op": "CREATED"},
        ),
        (
            ' {"type":"applied","sequence":0,"topic":"/t"} ',
            "client.applied",
            {"sequence": 0, "id": None, "op": None, "topic": "/t"},
        ),
        ('{"type": "status", "connected": false}', "client.status", {"connected": False}),
    ],
)
def test_a_line_is_read(line: str, kind: str, fields: dict[str, object]) -> None:
    said = parse(line)
    assert (said.kind, said.fields) == (kind, fields)


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("hello", "it is not JSON"),
        ('{"type": "applied", "sequence": 7', "it is not JSON"),
        ("[" * 100_000, "it is not JSON"),
        ("[1]", "not an object"),
        ("7", "not an object"),
        ('{"sequence": 7}', "no `type`"),
        ('{"type": "event"}', '"event" is not known'),
        ('{"type": {"a": 1}}', "is not known"),
        ('{"type": "applied"}', "`sequence`"),
        ('{"type": "applied", "sequence": "7"}', "`sequence`"),
        ('{"type": "applied", "sequence": true}', "`sequence`"),
        ('{"type": "applied", "sequence": 7.5}', "`sequence`"),
        ('{"type": "applied", "sequence": 7, "id": 1}', "`id`"),
        ('{"type": "applied", "sequence": 7, "topic": 1}', "`topic`"),
        ('{"type": "status"}', "`connected`"),
        ('{"type": "status", "connected": "yes"}', "`connected`"),
    ],
)
def test_any_other_line_is_refused_with_the_reason(line: str, why: str) -> None:
    with pytest.raises(NotL1) as caught:
        parse(line)
    assert why in str(caught.value)


@given(st.text() | st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists).map(json.dumps))
def test_no_line_breaks_the_reader(line: str) -> None:
    try:
        parse(line)
    except NotL1 as error:
        assert str(error)  # noqa: PT017
