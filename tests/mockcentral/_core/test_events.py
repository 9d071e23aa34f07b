"""Changes as users write them."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral._core.events import FILTER_WORD, Change, Op, Scope, parse_change, parse_scope


def test_a_change_needs_only_a_kind_and_a_name() -> None:
    assert parse_change({"kind": "APIService", "name": "x"}) == Change(Op.CREATED, "management", "APIService", "x")


@pytest.mark.parametrize(
    "half",
    [
        {"name": "\ud800"},
        {"attributes": {"a": "\udfff"}},
        {"attributes": {"\ud800": "a"}},
        {"scope": "Environment/\ud800"},
    ],
)
def test_half_a_character_is_refused_before_it_is_published(half: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"half a character|printable"):
        parse_change({"kind": "APIService", "name": "x"} | half)


def test_a_change_may_say_everything() -> None:
    given = {
        "group": "catalog",
        "kind": "APIService",
        "name": "x",
        "scope": {"kind": "Environment", "name": "e"},
        "type": "updated",
        "subresource": "status",
        "attributes": {"a": "b"},
    }
    change = parse_change(given)
    assert change == Change(
        Op.SUBRESOURCEUPDATED,
        "catalog",
        "APIService",
        "x",
        Scope("Environment", "e"),
        subresource="status",
        attributes={"a": "b"},
    )
    assert FILTER_WORD[change.op] == "updated"


@pytest.mark.parametrize(("word", "op"), [("created", Op.CREATED), ("updated", Op.UPDATED), ("deleted", Op.DELETED)])
def test_a_type_word_is_an_operation(word: str, op: Op) -> None:
    assert parse_change({"kind": "K", "name": "x", "type": word}).op is op


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (5, "must be an object"),
        ({"name": "x"}, "needs kind"),
        ({"kind": "K"}, "needs name"),
        ({"kind": "K", "name": ""}, "needs name"),
        ({"kind": "K", "name": "a/b"}, "without a slash, not 'a/b'"),
        ({"kind": "K", "name": 5}, "needs name"),
        ({"kind": "K", "name": "x", "group": ""}, "group must be text"),
        ({"kind": "K", "name": "x", "group": None}, "group must be text"),
        ({"kind": "K", "name": "x", "type": "create"}, "type is 'create': write created, updated, deleted"),
        ({"kind": "K", "name": "x", "type": ["created"]}, "type is"),
        ({"kind": "K", "name": "x", "type": None}, "type is None"),
        ({"kind": "K", "name": "x", "subresource": 5}, "subresource must be text"),
        ({"kind": "K", "name": "x", "attributes": ["a"]}, "attributes must be"),
        ({"kind": "K", "name": "x", "attributes": {"a": 1}}, "attributes must be"),
        ({"kind": "K", "name": "x", "attributes": {1: "a"}}, "attributes must be"),
        ({"kind": "K", "name": "x", "scope": "Environment"}, "Kind/name"),
        ({"kind": "K", "name": "x", "scop": "E/e"}, "no 'scop': it may hold attributes, group, kind"),
    ],
)
def test_a_change_that_makes_no_sense_is_refused_by_its_key(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse_change(given)


@pytest.mark.parametrize("given", ["", "Environment", "/e", "Environment/", "a/b/c", 5, {"kind": "E"}, {"kind": 1}, []])
def test_a_scope_is_kind_and_name(given: Any) -> None:
    with pytest.raises(ValueError, match="Kind/name, such as Environment/sample-env"):
        parse_scope(given)


def test_no_scope_is_no_scope() -> None:
    assert parse_scope(None) is None
