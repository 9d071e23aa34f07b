"""Filters mean what protocol 5.4 says, and the index finds exactly what they mean at a cost that does not grow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core import topics as topics_module
from mockcentral._core.events import Change, Op, Scope
from mockcentral._core.topics import Topic, TopicIndex, filters_of, matches
from mockcentral.scenario.schema import Filter, FilterScope
from tests.mockcentral._core.rig import change, entry

ENV = FilterScope(kind="Environment", name="e")


def topic(link: str, *filters: Filter) -> Topic:
    return Topic(link.rpartition("/")[2], f"id of {link}", link, link, filters)


# ------------------------------------------------------------------------------------------ what a filter means
@pytest.mark.parametrize(
    ("word", "ops"),
    [
        ("created", {Op.CREATED}),
        ("updated", {Op.UPDATED, Op.SUBRESOURCEUPDATED}),
        ("deleted", {Op.DELETED}),
    ],
)
def test_a_type_word_stands_for_its_operations_and_updated_for_subresource_updates_too(word: Any, ops: set[Op]) -> None:
    only = Filter(kind="*", type=(word,))
    assert {op for op in Op if matches(only, change(op=op))} == ops


def test_no_filter_matches_a_ping_or_a_trigger() -> None:
    index = TopicIndex()
    index.add(topic("/t", Filter(group="*", kind="*")))
    for op in (Op.PING, Op.TRIGGERACTION):
        assert not matches(Filter(group="*", kind="*"), change(op=op))
        assert index.matching(change(op=op)) == ()


@pytest.mark.parametrize(
    ("given_filter", "matched"),
    [
        (Filter(kind="APIService"), True),
        (Filter(kind="apiservice"), False),
        (Filter(kind="API*"), False),  # partial wildcards are not documented, so they are plain names
        (Filter(kind="*", name="petstore"), True),
        (Filter(kind="*", name="other"), False),
        (Filter(kind="*", group="*"), True),
        (Filter(kind="*", group="catalog"), False),
        (Filter(kind="*", scope=ENV), True),
        (Filter(kind="*", scope=FilterScope(kind="Environment", name="*")), True),
        (Filter(kind="*", scope=FilterScope(kind="*", name="e")), True),
        (Filter(kind="*", scope=FilterScope(kind="*", name="*")), True),
        (Filter(kind="*", scope=FilterScope(kind="Environment", name="other")), False),
        (Filter(kind="*", scope=FilterScope(kind="IdentityProvider", name="e")), False),
    ],
)
def test_every_given_field_of_a_filter_must_match(given_filter: Filter, matched: bool) -> None:
    assert matches(given_filter, change("petstore")) is matched


@pytest.mark.parametrize(
    ("scope", "matched"),
    [(None, True), (FilterScope(kind="*", name="*"), True), (ENV, False), (FilterScope(kind="*", name="e"), False)],
)
def test_an_unscoped_resource_matches_only_filters_that_do_not_care(scope: FilterScope | None, matched: bool) -> None:
    assert matches(Filter(kind="*", scope=scope), change(env=None)) is matched


def test_a_missing_scope_matches_resources_in_any_scope() -> None:
    assert matches(Filter(kind="*"), change(env="e"))
    assert matches(Filter(kind="*"), change(env=None))


# ------------------------------------------------------------------------------------------ reading them
def test_the_filters_of_a_resource_are_read_with_their_defaults() -> None:
    [first, second, third] = filters_of(
        {
            "filters": [
                {"group": "management", "kind": "APIService", "name": "*", "type": ["created"], "scope": None},
                {"group": "*", "kind": "*", "name": "x", "type": "updated", "scope": {"kind": "", "name": ""}},
                {"group": "*", "kind": "*", "name": "x", "type": ["deleted"], "scope": {"kind": "Environment"}},
            ]
        }
    )
    assert first == Filter(kind="APIService", type=("created",))
    assert second.scope is None  # Go marshals an empty struct
    assert second.type == ("updated",)
    assert third.scope == FilterScope(kind="Environment", name="*")


GOOD = {"group": "management", "kind": "APIService", "name": "*", "type": ["created"]}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (None, "spec is missing"),
        ([], "spec is missing"),
        ({}, "spec.filters must be a list"),
        ({"filters": []}, "at least one filter"),
        ({"filters": {"kind": "x"}}, "spec.filters must be a list"),
        ({"filters": [GOOD, 5]}, r"spec.filters\[1\] must be an object"),
        ({"filters": [{**GOOD, "kind": ""}]}, r"spec.filters\[0\].kind is missing"),
        ({"filters": [{**GOOD, "group": 5}]}, r"spec.filters\[0\].group is missing"),
        ({"filters": [{**GOOD, "name": None}]}, r"spec.filters\[0\].name is missing"),
        ({"filters": [{**GOOD, "type": []}]}, r"\.type must be a list of created, updated, deleted"),
        ({"filters": [{**GOOD, "type": {"created": 1}}]}, r"\.type must be a list"),
        ({"filters": [{**GOOD, "type": ["create"]}]}, "holds 'create'"),
        ({"filters": [{**GOOD, "type": [["created"]]}]}, "holds \\['created'\\]"),
        ({"filters": [{**GOOD, "scope": "Environment/e"}]}, r"\.scope must be an object"),
        ({"filters": [{**GOOD, "scope": {"kind": 5, "name": "e"}}]}, "must be text"),
    ],
)
def test_filters_that_make_no_sense_are_refused_by_place(spec: object, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        filters_of(spec)


# ------------------------------------------------------------------------------------------ the index
names = st.sampled_from(["a", "b", "c"])
patterns = st.sampled_from(["*", "a", "b", "c"])
types = st.lists(st.sampled_from(["created", "updated", "deleted"]), min_size=1, max_size=3, unique=True).map(tuple)
scopes = st.none() | st.builds(FilterScope, kind=patterns, name=patterns)
filters = st.builds(Filter, group=patterns, kind=patterns, name=patterns, type=types, scope=scopes)
topics = st.tuples(st.sampled_from([f"/t{n}" for n in range(6)]), st.lists(filters, min_size=1, max_size=4))
changes = st.builds(
    Change,
    op=st.sampled_from(Op),
    group=names,
    kind=names,
    name=names,
    scope=st.none() | st.builds(Scope, kind=names, name=names),
)


@given(st.lists(topics | st.sampled_from([f"/t{n}" for n in range(6)]), max_size=20), st.lists(changes, max_size=10))
@settings(deadline=None)
def test_the_index_finds_what_trying_every_filter_finds(
    steps: list[tuple[str, list[Filter]] | str], given_changes: list[Change]
) -> None:
    index, naive = TopicIndex(), dict[str, Topic]()
    for step in steps:  # a link with filters is added or replaced, a link alone removed
        if isinstance(step, str):
            removed = index.remove(step)
            assert (removed.topic if removed else None) == naive.pop(step, None)
        else:
            naive[step[0]] = topic(step[0], *step[1])
            assert index.add(naive[step[0]]).topic == naive[step[0]]
        for asked in given_changes:
            found = [entry.topic.link for entry in index.matching(asked)]
            assert len(found) == len(set(found)), "a topic is found once however many of its filters match"
            assert set(found) == {link for link, t in naive.items() if any(matches(f, asked) for f in t.filters)}
    assert len(index) == len(naive)
    assert {entry.topic.link for entry in index} == naive.keys()


def test_two_filters_that_differ_only_in_their_types_match_the_types_of_both() -> None:
    index = TopicIndex()
    index.add(topic("/t", Filter(kind="A", type=("created",)), Filter(kind="A", type=("deleted",))))
    matched = [op for op in Op if index.matching(change(kind="A", op=op))]
    assert matched == [Op.CREATED, Op.DELETED]


def test_removing_every_topic_leaves_nothing_behind() -> None:
    index = TopicIndex()
    for number in range(50):
        index.add(topic(f"/t{number}", Filter(kind="*", name=f"n{number}"), Filter(kind="K", scope=ENV)))
    for number in range(50):
        index.remove(f"/t{number}")
    assert (index._by_key, index._stars, index._by_link) == ({}, {}, {})


def test_a_replaced_topic_keeps_its_history_and_its_watchers() -> None:
    index = TopicIndex()
    before = index.add(topic("/t", Filter(kind="A")))
    before.log.append(5, entry(5))
    before.calls[1] = None
    after = index.add(topic("/t", Filter(kind="B")))
    assert after is before
    assert len(after.log) == 1
    assert after.calls == {1: None}
    assert index.matching(change(kind="A")) == ()
    assert index.matching(change(kind="B")) == (after,)


class Counted(dict[Any, Any]):
    """A dictionary that counts who asks it."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.asked = 0

    def get(self, key: Any, default: Any = None) -> Any:
        self.asked += 1
        return super().get(key, default)

    def __getitem__(self, key: Any) -> Any:
        self.asked += 1
        return super().__getitem__(key)

    def items(self) -> Any:
        raise AssertionError("walked over every topic")

    values = keys = __iter__ = items


def lookups(unrelated: int) -> int:
    """How many look-ups finding the topics of one change takes with so many topics that do not match it."""
    index = TopicIndex()
    index.add(topic("/mine", Filter(kind="APIService", name="*", scope=ENV), Filter(kind="*", name="petstore")))
    for number in range(unrelated):
        elsewhere = FilterScope(kind="Environment", name=f"other-{number}")
        index.add(topic(f"/{number}", Filter(kind="APIService", scope=elsewhere), Filter(kind="*", name=f"n{number}")))
    by_key, by_link = Counted(index._by_key), Counted(index._by_link)
    index._by_key, index._by_link = by_key, by_link
    assert [entry.topic.link for entry in index.matching(change("petstore"))] == ["/mine"]
    return by_key.asked + by_link.asked


def test_publishing_costs_what_matches_and_not_what_is_registered() -> None:
    assert lookups(10) == lookups(10_000) <= 4


def test_what_was_found_for_one_name_is_not_taken_for_another() -> None:
    index = TopicIndex()
    entry = index.add(topic("/t", Filter(kind="APIService", name="petstore")))
    assert index.matching(change("orders")) == ()
    assert index.matching(change("petstore")) == (entry,)
    assert index.matching(change("orders")) == ()


def test_a_topic_that_was_found_and_then_removed_is_found_no_more() -> None:
    index = TopicIndex()
    entry = index.add(topic("/t", Filter(kind="APIService")))
    assert index.matching(change()) == (entry,)
    index.remove("/t")
    assert index.matching(change()) == ()


def test_what_was_found_is_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(topics_module, "MAX_FOUND", 3)
    index = TopicIndex()
    for number in range(20):
        index.matching(change(kind=f"Kind{number}"))
        assert 1 <= len(index._found) <= 3
