"""Names, links and the shape of resources (protocol 5.1, 6.0)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.resources import (
    VERSIONS,
    ResourceStore,
    in_version,
    kind_of,
    make_link,
    plural,
    unversioned,
    versioned,
)

ENV = "/management/environments/e"
SERVICE = f"{ENV}/apiservices/petstore"


def store() -> ResourceStore:
    ids = iter(range(10**9))
    return ResourceStore(lambda: f"id-{next(ids)}", lambda at: f"time-{at:g}")


@pytest.mark.parametrize(
    ("kind", "collection"),
    [
        ("APIService", "apiservices"),
        ("WatchTopic", "watchtopics"),
        ("IdentityProviderMetadata", "idpmetadatas"),
        ("Environment", "environments"),
    ],
)
def test_a_collection_and_its_kind_know_each_other(kind: str, collection: str) -> None:
    assert plural(kind) == collection
    assert kind_of(collection) == kind
    assert kind_of("somethings") is None


def test_links_name_the_scope_first() -> None:
    assert make_link("management", "WatchTopic", "x") == "/management/watchtopics/x"
    assert make_link("management", "APIService", "petstore", "Environment", "e") == SERVICE


names = st.text("abcxyz019-", min_size=1, max_size=8)


@given(names, names, names, st.sampled_from(VERSIONS))
@settings(deadline=None)
def test_a_link_survives_being_versioned_and_unversioned(group: str, kind: str, name: str, version: str) -> None:
    link = make_link(group, kind, name)
    assert unversioned(versioned(link, version)) == link
    assert unversioned(link) == link


@pytest.mark.parametrize("odd", ["", "/", "x", "/a", "/management/v7/watchtopics/x", "v1", "//v1//"])
def test_unversioning_what_is_no_link_does_no_harm(odd: str) -> None:
    assert isinstance(unversioned(odd), str)


def test_a_resource_has_the_shape_of_protocol_6_0() -> None:
    given_body = {
        "title": "Pet store",
        "attributes": {"a": "b"},
        "tags": ["t"],
        "finalizers": [{"name": "f"}],
        "owner": {"type": "team", "id": "1"},
        "spec": {"x": 1},
        "source": {"type": "y"},
        "metadata": {"id": "stale", "resourceVersion": "77", "references": [{"id": "r"}]},
        "kind": "Wrong",
    }
    resource = store().put(SERVICE, given_body, kind="APIService", now=5.0)
    env_id = resource["metadata"]["scope"]["id"]
    own_id = resource["metadata"]["id"]
    assert own_id not in ("stale", env_id)
    assert resource == {
        "group": "management",
        "apiVersion": "v1",
        "kind": "APIService",
        "name": "petstore",
        "title": "Pet store",
        "metadata": {
            "id": own_id,
            "selfLink": "/management/v1/environments/e/apiservices/petstore",
            "resourceVersion": "2",  # the environment was the first
            "audit": {
                "createTimestamp": "time-5",
                "createUserId": "",
                "modifyTimestamp": "time-5",
                "modifyUserId": "",
            },
            "references": [{"id": "r"}],
            "scope": {"id": env_id, "kind": "Environment", "name": "e", "selfLink": "/management/v1/environments/e"},
        },
        "attributes": {"a": "b"},
        "tags": ["t"],
        "finalizers": [{"name": "f"}],
        "owner": {"type": "team", "id": "1"},
        "spec": {"x": 1},
        "source": {"type": "y"},  # every unknown key is a subresource
    }


def test_a_replacement_keeps_id_and_birth_and_rises_in_version() -> None:
    resources = store()
    first = resources.put(SERVICE, {"spec": {"x": 1}}, kind="APIService", now=1.0)
    second = resources.put(SERVICE, {"spec": {"x": 2}}, kind="APIService", now=2.0)
    assert second["metadata"]["id"] == first["metadata"]["id"]
    assert second["metadata"]["audit"]["createTimestamp"] == "time-1"
    assert second["metadata"]["audit"]["modifyTimestamp"] == "time-2"
    assert int(second["metadata"]["resourceVersion"]) > int(first["metadata"]["resourceVersion"])
    assert second["spec"] == {"x": 2}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(("APIService", "APIServiceInstance", "Gadget")),
            st.sampled_from(("petstore", "orders")),
            st.sampled_from(({}, {"a": "1"}, {"a": "2", "b": "3"})),
            st.sampled_from(("", "source", "details")),
            st.sampled_from(("", "", "", "move", "refer", "mark", "delete", "remove")),
            st.booleans(),
        ),
        min_size=2,
        max_size=8,
    )
)
def test_what_is_touched_is_what_a_put_of_it_would_have_made(
    steps: list[tuple[str, str, dict[str, str], str, str, bool]],
) -> None:
    """Whether somebody looks in between or not."""
    touched, replaced = store(), store()
    for now, (kind, name, attributes, subresource, before, look) in enumerate(steps):
        link = f"{ENV}/{plural(kind)}/{name}"
        for each in (touched, replaced):
            if before == "move":  # its environment is another one of the same name
                each.delete(ENV)
            elif before == "refer":
                each.put(link, {"metadata": {"references": [{"kind": "Other", "name": "x"}]}}, kind=kind, now=now)
            elif before == "mark" and link in each:
                each.mark_deleting(link, now)
            elif before == "delete":
                each.delete(link)
        if before == "remove":
            gone = replaced.delete(link)
            assert touched.remove(link) == (gone and (gone["metadata"]["id"], gone["metadata"]["selfLink"]))
        old = replaced.get(link) or {}
        body = {**old, "attributes": attributes or old.get("attributes", {})}
        if subresource:
            body.setdefault(subresource, {})
        scopes = [each.scope_of("Environment", "e", "management") for each in (touched, replaced)]
        known = touched.touch(link, kind=kind, now=now, scope=scopes[0], attributes=attributes, subresource=subresource)
        metadata = replaced.put(link, body, kind=kind, now=now)["metadata"]
        assert known == (metadata["id"], metadata["selfLink"])
        if look:
            assert touched.get(link) == replaced.get(link)
    for look_at in (
        lambda each: [each.collection(f"{ENV}/{word}") for word in ("apiservices", "apiserviceinstances", "gadgets")],
        lambda each: each.collection("/management/apiservices"),
        lambda each: each.collection("/management/environments"),
        lambda each: each.inside(ENV),
        lambda each: each.locate("management", "environments/e/gadgets"),
        len,
    ):
        assert look_at(touched) == look_at(replaced)


@pytest.mark.parametrize(
    "look",
    [
        lambda each: len(each),
        lambda each: SERVICE in each,
        lambda each: each.get(SERVICE) is not None,
        lambda each: len(each.collection(f"{ENV}/apiservices")),
        lambda each: len(each.inside("/management/environments/e")),
        lambda each: each.put_subresource(SERVICE, "x-agent", {}, 2.0) is not None,
        lambda each: each.mark_deleting(SERVICE, 2.0) is not None,
        lambda each: each.delete(SERVICE) is not None,
    ],
)
def test_what_was_touched_is_there_for_whoever_looks_first(look: Callable[[ResourceStore], object]) -> None:
    resources = store()
    resources.touch(SERVICE, kind="APIService", now=1.0, scope=None, attributes={}, subresource="")
    assert look(resources)


def test_a_put_goes_on_from_what_was_only_touched() -> None:
    resources = store()
    id, _ = resources.touch(SERVICE, kind="APIService", now=1.0, scope=None, attributes={}, subresource="source")
    put = resources.put(SERVICE, {}, kind="APIService", now=2.0)
    assert put["metadata"]["id"] == id
    assert put["source"] == {}
    assert resources.get(SERVICE) is put


def test_a_kind_that_was_only_published_is_known_to_who_asks_for_its_collection() -> None:
    resources = store()
    resources.touch("/management/gadgets/g", kind="Gadget", now=1.0, scope=None, attributes={}, subresource="")
    assert resources.kind("gadgets") == "Gadget"


def test_a_touch_finds_what_was_only_touched_before_it() -> None:
    resources = store()
    instance = f"{ENV}/apiserviceinstances/i"
    resources.put(instance, {"spec": {"apiServiceRevision": "r"}}, kind="APIServiceInstance", now=1.0)
    scope = resources.scope_of("Environment", "e", "management")
    for kind, name in (("APIServiceRevision", "r"), ("APIServiceInstance", "i")):
        link = f"{ENV}/{plural(kind)}/{name}"
        resources.touch(link, kind=kind, now=2.0, scope=scope, attributes={}, subresource="")
    found = resources.get(instance)
    assert found is not None
    assert [each["name"] for each in found["metadata"]["references"]] == ["r"]


def test_whoever_is_told_of_changes_is_told_of_a_touch_at_once() -> None:
    told: list[str] = []
    resources = ResourceStore(lambda: "id", lambda at: "t", lambda link, resource: told.append(link))
    resources.touch(SERVICE, kind="APIService", now=1.0, scope=None, attributes={}, subresource="")
    assert told == [SERVICE]


def test_an_environment_nobody_created_is_made_up_once() -> None:
    resources = store()
    first = resources.put(SERVICE, {}, kind="APIService", now=1.0)
    second = resources.put(f"{ENV}/apiservices/other", {}, kind="APIService", now=2.0)
    assert first["metadata"]["scope"] == second["metadata"]["scope"]
    assert resources.scope_of("Environment", "e", "management") == first["metadata"]["scope"]
    environment = resources.get(ENV)
    assert environment is not None
    assert environment["kind"] == "Environment"


def test_a_body_that_is_only_sketched_is_drawn_as_a_put_would_have_made_it() -> None:
    body = {"kind": "WatchTopic", "name": "t", "title": "A topic", "spec": {"filters": [{"kind": "*"}]}}
    link, put, sketched = "/management/watchtopics/t", store(), store()
    metadata = put.put(link, body, kind="WatchTopic", now=3.0)["metadata"]
    assert sketched.sketch(link, body, "WatchTopic", 3.0) == (metadata["id"], metadata["selfLink"])
    assert sketched.get(link) == put.get(link)
    again = put.put(link, {"spec": {}}, kind="WatchTopic", now=4.0)["metadata"]
    assert sketched.sketch(link, {"spec": {}}, "WatchTopic", 4.0) == (again["id"], again["selfLink"])
    assert sketched.get(link) == put.get(link)


def test_an_environment_nobody_created_is_what_a_put_of_its_name_would_have_made() -> None:
    made, put = store(), store()
    block = made.scope_of("Environment", "e", "management")
    resource = put.put(ENV, {"title": "e"}, kind="Environment", now=0.0)
    assert block == {key: {**resource, **resource["metadata"]}[key] for key in ("id", "kind", "name", "selfLink")}
    assert made.get(ENV) == resource
    assert made.scope_of("Environment", "e", "management") == block


def test_deleting_and_creating_again_gives_a_new_id() -> None:
    resources = store()
    before = resources.put(SERVICE, {}, kind="APIService", now=1.0)["metadata"]["id"]
    assert resources.delete(SERVICE) is not None
    assert resources.delete(SERVICE) is None
    assert SERVICE not in resources
    assert resources.put(SERVICE, {}, kind="APIService", now=1.0)["metadata"]["id"] != before


def test_a_collection_holds_its_members_and_not_theirs() -> None:
    resources = store()
    for name in ("a", "b"):
        resources.put(f"/management/environments/{name}", {}, kind="Environment", now=0.0)
        resources.put(f"/management/environments/{name}/apiservices/s", {}, kind="APIService", now=0.0)
    assert [member["name"] for member in resources.collection("/management/environments")] == ["a", "b"]
    assert [member["name"] for member in resources.collection("/management/environments/a/apiservices/")] == ["s"]
    assert list(resources.collection("/management/nothing")) == []


def test_a_version_is_a_way_to_show_a_resource_and_leaves_it_alone() -> None:
    resources = store()
    stored = resources.put(SERVICE, {"spec": {"x": [1]}}, kind="APIService", now=0.0)
    shown = in_version(stored, "v1alpha1")
    assert shown["apiVersion"] == "v1alpha1"
    assert shown["metadata"]["selfLink"] == "/management/v1alpha1/environments/e/apiservices/petstore"
    assert shown["metadata"]["scope"]["selfLink"] == "/management/v1alpha1/environments/e"
    shown["spec"]["x"].append(2)
    assert stored["spec"] == {"x": [1]}
    assert stored["apiVersion"] == "v1"
    assert in_version(shown, "v1")["metadata"] == stored["metadata"]


def test_references_are_spelled_in_the_version_too_and_what_is_no_link_stays() -> None:
    resources = store()
    stored = resources.put(SERVICE, {}, kind="APIService", now=0.0)
    links = ["/management/v1/environments/e", "/x", "", None, 5]
    given = {
        **stored,
        "metadata": {**stored["metadata"], "references": [*({"selfLink": link} for link in links), "odd"]},
    }
    shown = in_version(given, "v1alpha1")["metadata"]["references"]
    assert [each["selfLink"] for each in shown[:-1]] == ["/management/v1alpha1/environments/e", *links[1:]]
    assert shown[-1] == "odd"


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({"attributes": 5}, "attributes"),
        ({"attributes": "abc"}, "attributes"),
        ({"attributes": [1]}, "attributes"),
        ({"tags": 5}, "tags"),
        ({"tags": "abc"}, "tags"),
        ({"finalizers": {"a": 1}}, "finalizers"),
        ({"finalizers": True}, "finalizers"),
    ],
)
def test_a_body_of_the_wrong_shape_is_refused_and_changes_nothing(body: dict[str, Any], word: str) -> None:
    resources = store()
    with pytest.raises(ValueError, match=f"{word} must be"):
        resources.put("/management/watchtopics/x", body, kind="WatchTopic", now=0.0)
    assert len(resources) == 0


def test_null_is_as_good_as_nothing() -> None:
    body = {"attributes": None, "tags": None, "finalizers": None, "metadata": None, "spec": None, "title": None}
    resource = store().put("/management/watchtopics/x", body, kind="WatchTopic", now=0.0)
    assert (resource["attributes"], resource["tags"], resource["spec"], resource["title"]) == ({}, [], {}, "x")
