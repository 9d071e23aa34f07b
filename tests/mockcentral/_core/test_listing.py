"""Lists of resources: pages, order, fields, embedded references."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockcentral._core import listing
from mockcentral._core.resources import ResourceStore


def named(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "spec": {"rank": number}} for number, name in enumerate(names)]


def names(resources: list[dict[str, Any]]) -> list[str]:
    return [each["name"] for each in resources]


@given(st.integers(0, 30), st.integers(0, 9), st.integers(0, 9))
def test_pages_put_together_are_the_list_and_the_total_is_of_all(count: int, page: int, size: int) -> None:
    everything = named(*map(str, range(count)))
    asked = listing.parse({"page": str(page), "pageSize": str(size)})
    found, total = listing.select(everything, asked)
    start = (max(page, 1) - 1) * max(size, 1)
    assert (found, total) == (everything[start : start + max(size, 1)], count)


def test_the_total_counts_what_the_query_finds() -> None:
    found, total = listing.select(named("a", "b", "a", "c"), listing.parse({"query": "name==a", "pageSize": "1"}))
    assert (names(found), total) == (["a"], 2)


@pytest.mark.parametrize(
    ("sort", "order"),
    [("", "bac"), ("name", "abc"), ("name,ASC", "abc"), ("name,desc", "cba"), ("spec.rank,DESC", "cab"), ("x", "bac")],
)
def test_the_order_asked_for(sort: str, order: str) -> None:
    found, _ = listing.select(named("b", "a", "c"), listing.parse({"sort": sort}))
    assert "".join(names(found)) == order


def test_what_lacks_the_field_comes_first_and_kinds_of_values_do_not_mix() -> None:
    mixed: list[dict[str, object]] = [
        {"name": "text", "v": "x"},
        {"name": "number", "v": 3},
        {"name": "none"},
        {"name": "object", "v": {}},
    ]
    assert names(listing.select(mixed, listing.parse({"sort": "v"}))[0]) == ["none", "number", "text", "object"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"page": "x"}, "page is 'x'"),
        ({"pageSize": "-1"}, "pageSize is '-1'"),
        ({"pageSize": "9" * 10}, "pageSize is"),
        ({"sort": "name,UP"}, "sort is 'name,UP'"),
        ({"query": "name="}, "query cannot be read"),
        ({"embed": "everything"}, "embed is 'everything'"),
    ],
)
def test_a_parameter_that_cannot_be_read_is_named(parameters: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        listing.parse(parameters)


def test_a_page_has_a_largest_size() -> None:
    assert listing.parse({"pageSize": "100000"}).page_size == listing.MAX_PAGE_SIZE


def stored() -> ResourceStore:
    store = ResourceStore(iter(f"id-{number}" for number in range(100)).__next__, lambda now: f"t{now}")
    environment = "/management/environments/e"
    store.put(f"{environment}/apiservices/s", {"spec": {"a": 1}}, kind="APIService", now=1)
    store.put(
        f"{environment}/apiservicerevisions/r",
        {"spec": {"apiService": "s"}, "information": {"hash": "77"}, "title": "R"},
        kind="APIServiceRevision",
        now=2,
    )
    return store


def test_fields_are_what_was_named_and_what_tells_which_resource_it_is() -> None:
    revision = stored().get("/management/environments/e/apiservicerevisions/r")
    assert revision is not None
    assert listing.project(revision, "") is revision
    always = {"group": "management", "apiVersion": "v1", "kind": "APIServiceRevision", "name": "r"}
    assert listing.project(revision, "information, spec.apiService,metadata.scope.name,nothing.here") == always | {
        "information": {"hash": "77"},
        "spec": {"apiService": "s"},
        "metadata": {"scope": {"name": "e"}},
    }


def test_references_are_embedded_as_the_heads_of_what_is_still_there() -> None:
    store = stored()
    revision = store.get("/management/environments/e/apiservicerevisions/r")
    service = store.get("/management/environments/e/apiservices/s")
    assert revision is not None
    assert service is not None
    (head,) = listing.referred(store, revision, "v1alpha1")
    assert (head["kind"], head["name"], head["apiVersion"]) == ("APIService", "s", "v1alpha1")
    assert head["metadata"]["id"] == service["metadata"]["id"]
    assert "spec" not in head
    store.delete("/management/environments/e/apiservices/s")
    assert listing.referred(store, revision, "v1") == []
