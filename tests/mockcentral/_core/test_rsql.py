"""Queries over resources: what they mean, and that anything else is refused in words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockcentral._core import rsql

PETSTORE: dict[str, Any] = {
    "name": "petstore",
    "title": "The pet store",
    "spec": {"tokenEndpoint": "https://idp.test/token?x=1"},
    "metadata": {"references": [{"id": "r1", "name": "first"}, {"id": "r2", "name": "second"}]},
    "information": {"hash": "77"},
    "tags": ["blue", "core team"],
    "count": 12,
    "flag": True,
    "x-agent-details": {"external.id": "e7"},
}


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        ("name==petstore", True),
        ('name=="petstore"', True),
        ("name=='petstore'", True),
        ("name == petstore", True),
        ("name==pet", False),
        ("title=='The pet store'", True),
        ('spec.tokenEndpoint=="https://idp.test/token?x=1"', True),
        ("metadata.references.id==r2", True),
        ("metadata.references.id==r3", False),
        ("metadata.references.id==r1;information.hash==77", True),
        ("metadata.references.id==r1;information.hash==78", False),
        ("metadata.references.name==second;name==petstore", True),
        ("x-agent-details.external.id==e7", True),
        ("name!=petstore", False),
        ("metadata.references.id!=r1", False),
        ("nothing==x", False),
        ("nothing!=x", True),
        ("name==pet*", True),
        ("name==*store", True),
        ("name==p*t*e", True),
        ("name==p*x*e", False),
        ("name==petstore*store", False),
        ("name==*", True),
        ("tags=in=(red,blue)", True),
        ("tags=out=(red,green)", True),
        ("tags=out=(red,blue)", False),
        ("tags=in=('core team')", True),
        ("count>11", True),
        ("count=gt=12", False),
        ("count>=12;count<=12", True),
        ("count=lt=100", True),
        ("count>9", True),  # as numbers, not as texts
        ("count>many", False),
        ("name>a;name<q", True),
        ("flag==true", True),
        ("name==a,name==petstore", True),
        ("name==a,name==b", False),
        ("name==petstore,name==a;name==b", True),  # or binds less
        ("(name==petstore,name==a);name==b", False),
        ("((name==petstore))", True),
        (r'title=="The \"pet\" store"', False),
    ],
)
def test_what_a_query_asks(query: str, answer: bool) -> None:
    assert rsql.parse(query)(PETSTORE) is answer


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("", "at its end: the name of a field is missing"),
        ("name", "after name write one of =="),
        ("name==", "at its end: a value is missing"),
        ("name=petstore", "at '=petstore': this cannot stand here"),
        ("name=like=x", "after name write one of"),
        ("name=='x", "a quote has no end"),
        ("(name==x", r"\) is missing"),
        ("name==x)", r"at '\)': write ; for and"),
        ("name==x;;", "at ';': the name of a field is missing"),
        ("name==x name==y", "at 'name==y': write ; for and"),
        ("name=in=x", r"\( is missing"),
        ("name=in=(x", r"\) is missing"),
        ("(" * 33 + "a==1" + ")" * 33, "deeper than 32"),
        ("a==" + "x" * 4100, "at most 4096"),
    ],
)
def test_what_cannot_be_read_is_refused_with_the_place(query: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        rsql.parse(query)


@given(st.text(alphabet="ab.*=!<>();,'\"\\ -in", max_size=40))
def test_any_text_is_a_query_or_refused(text: str) -> None:
    try:
        asked = rsql.parse(text)
    except ValueError:  # and nothing else
        return
    assert asked(PETSTORE) in (True, False)


words = st.text(alphabet="abxyz 0\"'\\;,*", max_size=6)
fields = st.sampled_from(["name", "kind", "spec.a", "spec.b"])


@st.composite
def questions(draw: st.DrawFn) -> tuple[str, list[list[tuple[str, str, bool]]]]:
    """A query of or-ed groups of and-ed comparisons, and the same as data."""
    groups = draw(
        st.lists(st.lists(st.tuples(fields, words, st.booleans()), min_size=1, max_size=3), min_size=1, max_size=3)
    )
    text = ",".join(
        ";".join(f"{field}{'==' if equal else '!='}{json.dumps(value)}" for field, value, equal in group)
        for group in groups
    )
    return text, groups


def like(have: str, want: str) -> bool:
    """Whether a text fits a pattern with stars, the slow and obvious way."""
    if not want:
        return not have
    if want[0] == "*":
        return any(like(have[cut:], want[1:]) for cut in range(len(have) + 1))
    return bool(have) and have[0] == want[0] and like(have[1:], want[1:])


@given(questions(), words, words, words, words)
def test_queries_agree_with_a_naive_reading(
    question: tuple[str, list[list[tuple[str, str, bool]]]], name: str, kind: str, a: str, b: str
) -> None:
    text, groups = question
    have = {"name": name, "kind": kind, "spec.a": a, "spec.b": b}
    expected = any(all(like(have[field], value) is equal for field, value, equal in group) for group in groups)
    assert rsql.parse(text)({"name": name, "kind": kind, "spec": {"a": a, "b": b}}) is expected
