"""YAML text as a tree with places; everything a file may throw at it."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockcentral.scenario import nodes
from mockcentral.scenario.errors import ScenarioError


def _plain(text: str) -> list[object]:
    return [nodes.plain(node) for node in nodes.documents(text, "f.yaml")]


def _says(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        nodes.documents(text, "f.yaml")
    assert len(caught.value.problems) == 1
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on: yes", {"on": "yes"}),
        ("no: off", {"no": "off"}),
        ("a: true", {"a": True}),
        ("a: 'true'", {"a": "true"}),
        ("a: 0x10", {"a": 16}),
        ("a: 0o17", {"a": 15}),
        ("a: 017", {"a": 17}),
        ("a: 1_000", {"a": "1_000"}),
        ("a: 12:30", {"a": "12:30"}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 1e3", {"a": 1000.0}),
        ("a: ~", {"a": None}),
        ("a:", {"a": None}),
        ("a: !!str 5", {"a": "5"}),
        ("a: ! 5", {"a": "5"}),
        ("a: 1.5s", {"a": "1.5s"}),
        ("a: {b: [1, {c: d}]}", {"a": {"b": [1, {"c": "d"}]}}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: |\n  one\n  two\n", {"a": "one\ntwo\n"}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
    ],
)
def test_values_are_those_of_the_core_schema(text: str, value: object) -> None:
    assert _plain(text) == [value]


def test_a_number_nobody_could_mean_stays_text_and_costs_nothing() -> None:
    assert _plain("a: " + "9" * 100_000) == [{"a": "9" * 100_000}]


def test_several_documents_are_several_trees() -> None:
    assert _plain("---\na: 1\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f.yaml:1: the file is empty"),
        ("# nothing\n", "f.yaml:1: the file is empty"),
        ("a: 1\nb: 2\na: 3\n", "f.yaml:3: the key `a` stands twice, first in line 1"),
        ("a: {b: 1, b: 2}", "the key `b` stands twice"),
        ("a:\n\t- b\n", "f.yaml:2: a tab cannot indent YAML: use spaces"),
        ("\ta: 1\n", "f.yaml:1: a tab cannot indent YAML: use spaces"),
        ("a: *\n", "needs quotes: '*'"),
        ("a: *x\n", "there is no anchor &x for the alias *x; a text with a star needs quotes: '*x'"),
        ("a: &a [*a]\n", "the alias *a stands inside what it refers to"),
        ("a: &a {b: {c: *a}}\n", "the alias *a stands inside what it refers to"),
        ("a: 1\n---\nb: *a\n", "there is no anchor"),
        ("a: [1,\n", "f.yaml:1: this is not YAML"),
        ("a: 1\nb: [1,\n\nc: 2\n", "(while parsing a flow sequence begun in line 2)"),
        ("a: b: c\n", "this is not YAML: mapping values are not allowed"),
        ("a: 'x\n", "this is not YAML: found unexpected end of stream"),
        ("a: @x\n", "a word cannot begin with @: put it in quotes"),
        (
            "a: !!python/object:os.system x\n",
            "tags are not read: leave out `tag:yaml.org,2002:python/object:os.system`",
        ),
        ("a: !mine {b: 1}\n", "tags are not read: leave out `!mine`"),
        ("<<: {a: 1}\n", "merge keys (<<) are not read: write the keys out"),
        ("[1, 2]: 3\n", "a key must be a word"),
        ("a: \x01\n", "a character that YAML does not allow"),
        ("a: \ud800\n", "half a surrogate pair"),
        ("[" * 100_000, "nested deeper than 40"),
        ("- " * 100_000 + "a", "nested deeper than 40"),
        ("x" * (nodes.MAX_BYTES + 1), "f.yaml: the text is larger than 1 MiB"),
        ("---\na\n" * 1001, "more than 1000 documents"),
    ],
)
def test_what_cannot_be_read_is_one_line_with_its_place(text: str, says: str) -> None:
    message = _says(text)
    assert says in message
    assert message.startswith("f.yaml")
    assert "\n" not in message


def test_a_billion_laughs_are_refused_without_telling_them() -> None:
    levels = "abcdefghi"
    text = "a: &a [" + "lol, " * 10 + "lol]\n"
    text += "".join(f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in pairwise(levels))
    assert "more than 200000 values, counting what aliases stand for" in _says(text)


def test_every_node_knows_its_line_and_column() -> None:
    (tree,) = nodes.documents("a:\n  - b: 1\n    c: two\n", "f.yaml")
    found = nodes.locate(tree, ("a", 0, "c"))
    assert (found.line, found.column) == (3, 8)
    nearest = nodes.locate(tree, ("a", 5, "x"))
    assert (nearest.line, nearest.column) == (2, 3)


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(st.characters(codec="utf-8")),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4), st.dictionaries(st.text("abc", min_size=1), inner, max_size=4)
    ),
    max_leaves=20,
)


@given(_JSON)
def test_json_is_read_as_json(data: Any) -> None:
    assert _plain(json.dumps(data)) == [data]
    assert nodes.plain(nodes.from_data(data)) == data


@given(st.text())
def test_no_text_does_anything_but_read_or_fail_cleanly(text: str) -> None:
    message = ""
    try:
        nodes.documents(text, "f.yaml")
    except ScenarioError as error:
        message = str(error)
    assert "\n" not in message


@pytest.mark.parametrize("data", [object(), {1: 2}, {"a": b"x"}, {"a": {1, 2}}])
def test_data_that_is_not_plain_is_refused(data: object) -> None:
    with pytest.raises(ScenarioError, match=r"plain data|key must be text"):
        nodes.from_data(data)


def test_data_that_holds_itself_is_refused() -> None:
    data: list[Any] = []
    data.append(data)
    with pytest.raises(ScenarioError, match="nested deeper than 40"):
        nodes.from_data(data)


def test_files_that_cannot_be_had_say_why(tmp_path: Path) -> None:
    large, latin = tmp_path / "large.yaml", tmp_path / "latin.yaml"
    large.write_bytes(b"# " + b"x" * nodes.MAX_BYTES)
    latin.write_bytes("a: 1\nb: ä\n".encode("latin-1"))
    for path, says in [
        (tmp_path, "this is a directory, not a file"),
        (tmp_path / "no.yaml", "no such file or directory"),
        (large, "the file is larger than 1 MiB"),
        (latin, ":2: the file is not UTF-8"),
        (Path("a\0b"), "this is no file name"),
    ]:
        with pytest.raises(ScenarioError) as caught:
            nodes.read_text(path)
        assert says in str(caught.value)


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    path = tmp_path / "bom.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert nodes.read_text(path) == "a: 1\n"
