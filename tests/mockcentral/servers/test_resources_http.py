"""WatchTopics and published resources over REST (protocol 5.1, 5.2, 6.0), under both versions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from mockcentral import World
from tests.mockcentral.clients import ONE_FILTER, TOPIC, ask, service, topic

TOPICS = "/apis/management/v1/watchtopics"
ALPHA = TOPICS.replace("/v1/", "/v1alpha1/")


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


def detail(answer: Any) -> str:
    error = answer.json()["errors"][0]
    assert error["status"] == answer.status
    return str(error["detail"])


def test_a_topic_is_created_read_replaced_and_deleted(world: World) -> None:
    created = ask(world, "POST", TOPICS, topic())
    assert created.status == 201
    metadata = created.json()["metadata"]
    assert metadata["selfLink"] == TOPIC
    assert metadata["id"]
    assert world.topics == (TOPIC,)

    read = ask(world, "GET", f"{TOPICS}/sample")
    assert (read.status, read.json()) == (200, created.json())

    body = topic("sample", {**ONE_FILTER, "kind": "Credential"})
    replaced = ask(world, "PUT", f"{TOPICS}/sample", body)
    assert replaced.status == 200
    assert replaced.json()["metadata"]["id"] == metadata["id"]
    assert replaced.json()["spec"]["filters"][0]["kind"] == "Credential"
    assert ask(world, "GET", f"{TOPICS}/sample").json() == replaced.json()

    deleted = ask(world, "DELETE", f"{TOPICS}/sample", replaced.json())  # agents send the body along
    assert (deleted.status, deleted.body) == (204, b"")
    assert ask(world, "GET", f"{TOPICS}/sample").status == 404
    assert ask(world, "DELETE", f"{TOPICS}/sample").status == 404
    assert not world.topics


def test_each_version_shows_the_same_object_in_its_own_spelling(world: World) -> None:
    created = ask(world, "POST", ALPHA, topic()).json()
    assert created["apiVersion"] == "v1alpha1"
    assert created["metadata"]["selfLink"] == TOPIC.replace("/v1/", "/v1alpha1/")
    read = ask(world, "GET", f"{TOPICS}/sample").json()
    assert read["apiVersion"] == "v1"
    assert read["metadata"]["selfLink"] == TOPIC
    assert read["metadata"]["id"] == created["metadata"]["id"]
    assert ask(world, "DELETE", f"{ALPHA}/sample").status == 204
    assert ask(world, "GET", f"{TOPICS}/sample").status == 404


def test_a_topic_has_the_shape_agents_can_read(world: World) -> None:
    body = topic()
    body["attributes"] = {"a": "b"}
    body["status"] = {"level": "Success"}
    shown = ask(world, "POST", TOPICS, body).json()
    assert {"group", "apiVersion", "kind", "name", "title", "metadata", "attributes", "tags", "owner", "spec"} <= set(
        shown
    )
    assert (shown["kind"], shown["group"], shown["owner"], shown["attributes"]) == (
        "WatchTopic",
        "management",
        None,
        {"a": "b"},
    )
    assert shown["status"] == {"level": "Success"}
    for stamp in (shown["metadata"]["audit"]["createTimestamp"], shown["metadata"]["audit"]["modifyTimestamp"]):
        assert stamp[10] == "T"
        assert stamp[19] == "."
        assert stamp.endswith("+0000")
        assert len(stamp) == len("2024-10-28T15:43:02.689+0000")


def test_the_go_agents_delete_and_post_again_gives_a_new_id(world: World) -> None:
    first = ask(world, "POST", TOPICS, topic()).json()
    world.publish(service())
    assert ask(world, "DELETE", f"/apis{TOPIC}", first).status == 204
    second = ask(world, "POST", TOPICS, first)  # the stale metadata.id is still inside (protocol 5.2)
    assert second.status == 201
    assert second.json()["metadata"]["id"] != first["metadata"]["id"]
    assert ask(world, "GET", f"/events{TOPIC}").json() == []


def test_a_name_that_is_taken_is_a_conflict_and_one_left_out_is_made_up(world: World) -> None:
    assert ask(world, "POST", TOPICS, topic()).status == 201
    again = ask(world, "POST", TOPICS, topic())
    assert again.status == 409
    assert "sample" in detail(again)
    nameless = topic()
    del nameless["name"]
    made = ask(world, "POST", TOPICS, nameless)
    assert made.status == 201
    assert made.json()["name"]
    assert made.json()["metadata"]["selfLink"].endswith(made.json()["name"])


def test_replacing_what_is_not_there_is_404(world: World) -> None:
    assert ask(world, "PUT", f"{TOPICS}/sample", topic()).status == 404


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"spec": None}, "spec is missing"),
        ({"spec": {"filters": []}}, "at least one filter"),
        (
            {"spec": {"filters": [{**ONE_FILTER, "type": ["create"]}]}},
            "'create': it may hold created, updated, deleted",
        ),
        ({"name": "a/b"}, "name must be printable text without a slash"),
        ({"name": 5}, "name must be printable text"),
        ({"name": "x" * 300}, "253 characters"),
        ({"attributes": 5}, "attributes must be an object"),
        ({"tags": "abc"}, "tags must be a list"),
    ],
)
def test_a_topic_that_makes_no_sense_is_400_and_names_the_place(
    world: World, change: dict[str, Any], words: str
) -> None:
    answer = ask(world, "POST", TOPICS, {**topic(), **change})
    assert answer.status == 400
    assert words in detail(answer)
    assert world.topics == ()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff\xfe", b"[" * 100_000])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_body_that_is_no_json_object_is_400(world: World, method: str, body: bytes) -> None:
    ask(world, "POST", TOPICS, topic())
    target = TOPICS if method == "POST" else f"{TOPICS}/sample"
    answer = ask(world, method, target, body, Content_Type="application/json")
    assert answer.status == 400
    assert "must be a JSON object" in detail(answer)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (rb'{"kind": "Environment", "name": "\ud800"}', "half a character"),
        (b'{"kind": "Environment", "name": "\xed\xa0\x80"}', "half a character"),
        (rb'{"kind": "Environment", "attributes": {"\udfff": "x"}}', "half a character"),
        (b'{"kind": "Environment", "spec": {"a": NaN}}', "NaN, which is no JSON"),
        (b'{"kind": "Environment", "spec": {"a": -Infinity}}', "-Infinity, which is no JSON"),
        (b'{"kind": "Environment", "spec": {"a": 1e999}}', "too large"),
    ],
)
def test_what_nobody_could_read_again_is_400(world: World, body: bytes, says: str) -> None:
    answer = ask(world, "POST", "/apis/management/v1/environments", body, Content_Type="application/json")
    assert answer.status == 400
    assert says in detail(answer)


def test_whatever_a_patch_is_the_fake_answers_it_as_a_mistake(world: World) -> None:
    link = "/apis/management/v1/environments/e"
    assert ask(world, "POST", "/apis/management/v1/environments", {"name": "e"}).status == 201
    assert ask(world, "PUT", f"{link}/status", {"status": {"a": 1}}).status == 200
    deep: Any = 1
    for _ in range(400):
        deep = {"x": deep}
    patches: list[Any] = [
        [{"op": "x-build-object-tree", "path": "/status/~9"}],
        [{"op": "x-build-object-tree", "path": "/status" + "/x" * 1000}],
        [{"op": "add", "path": "/status/b", "value": deep}],
        [{"op": "test", "path": "/status", "value": deep}],
        [{"op": "copy", "from": "/status", "path": f"/status/k{number}"} for number in range(1000)],
        [{"op": "copy", "from": "/status/~9", "path": "/status/k"}],
        [{"op": "copy", "path": "/status/k"}],
    ]
    for patch in patches:
        answer = ask(world, "PATCH", f"{link}/status", patch, Content_Type="application/json-patch+json")
        assert (answer.status, bool(detail(answer))) in ((400, True), (409, True))
    assert ask(world, "GET", link).json()["status"] == {"a": 1}


def test_a_kind_that_nobody_has_heard_of_may_be_created_in_a_scope(world: World) -> None:
    ask(world, "POST", "/apis/management/v1/environments", {"name": "e"})
    place = "/apis/management/v1/environments/e"
    assert ask(world, "GET", f"{place}/secrets").json() == []
    assert ask(world, "POST", f"{place}/gadgets", {"name": "g"}).status == 400
    assert ask(world, "POST", f"{place}/gadgets", {"name": "g", "kind": "Gadget"}).status == 201
    assert [each["name"] for each in ask(world, "GET", f"{place}/gadgets").json()] == ["g"]
    assert ask(world, "POST", f"{place}/commandlines", {"name": "c"}).json()["kind"] == "CommandLineInterface"


def test_a_replacement_that_names_another_topic_is_400(world: World) -> None:
    ask(world, "POST", TOPICS, topic())
    assert ask(world, "PUT", f"{TOPICS}/sample", topic("other")).status == 400


def test_topics_live_in_one_place_only(world: World) -> None:
    assert ask(world, "POST", "/apis/catalog/v1/watchtopics", topic()).status == 404
    assert ask(world, "POST", "/apis/management/v2/watchtopics", topic()).status == 404
    assert ask(world, "GET", "/apis/management/v2/watchtopics/x").status == 404


def test_topics_are_listed_in_pages_with_their_number(world: World) -> None:
    for number in range(5):
        ask(world, "POST", TOPICS, topic(f"t{number}"))
    answer = ask(world, "GET", f"{TOPICS}?page=2&pageSize=2")
    assert [one["name"] for one in answer.json()] == ["t2", "t3"]
    assert answer.headers["x-axway-total-count"] == "5"
    head = ask(world, "HEAD", TOPICS)
    assert (head.headers["x-axway-total-count"], head.body) == ("5", b"")
    assert ask(world, "GET", f"{TOPICS}?page=x").status == 400
    assert ask(world, "GET", f"{TOPICS}?page=0&pageSize=0").status == 200


def test_whatever_was_published_can_be_read_by_its_self_link(world: World) -> None:
    ask(world, "POST", TOPICS, topic())
    world.publish([service(attributes={"a": "b"}), service(type="updated", subresource="status")])
    event = ask(world, "GET", f"/events{TOPIC}").json()[0]["payload"]
    for version in ("v1", "v1alpha1"):
        link = event["metadata"]["selfLink"].replace("/v1/", f"/{version}/")
        resource = ask(world, "GET", f"/apis{link}").json()
        assert resource["metadata"]["selfLink"] == link
        assert resource["metadata"]["id"] == event["metadata"]["id"]
        assert resource["metadata"]["scope"]["id"] == event["metadata"]["scope"]["id"]
        assert resource["metadata"]["scope"]["selfLink"] == f"/management/{version}/environments/sample-env"
        assert resource["attributes"] == {"a": "b"}
        assert "status" in resource
    environment = ask(world, "GET", "/apis/management/v1/environments/sample-env")
    assert environment.json()["kind"] == "Environment"
    members = ask(world, "GET", "/apis/management/v1/environments/sample-env/apiservices").json()
    assert [member["name"] for member in members] == ["petstore"]
    world.publish(service(type="deleted"))
    assert ask(world, "GET", f"/apis{event['metadata']['selfLink']}").status == 404


def test_an_unknown_resource_is_404_and_an_unknown_collection_empty(world: World) -> None:
    assert ask(world, "GET", "/apis/management/v1/environments/nobody").status == 404
    assert ask(world, "GET", "/apis/management/v1/environments").body == b"[]"


@pytest.mark.parametrize(("method", "path"), [("GET", TOPICS), ("POST", TOPICS), ("DELETE", f"{TOPICS}/x")])
def test_without_token_401_and_with_a_foreign_tenant_403(world: World, method: str, path: str) -> None:
    assert ask(world, method, path, topic(), Authorization="").status == 401
    assert ask(world, method, path, topic(), X_Axway_Tenant_Id="999").status == 403
    assert world.topics == ()


def test_a_body_bigger_than_any_resource_is_413(world: World) -> None:
    body = json.dumps({**topic(), "x": "y" * 9_000_000}).encode()
    assert ask(world, "POST", TOPICS, body).status == 413
    assert ask(world, "GET", TOPICS).status == 200


def test_everything_answered_is_in_the_journal(world: World) -> None:
    ask(world, "POST", TOPICS, topic())
    ask(world, "DELETE", f"{TOPICS}/other")
    told = [(r["method"], r["path"], r["status"]) for r in world.journal() if r["kind"] == "http.request"]
    assert told == [("POST", TOPICS, 201), ("DELETE", f"{TOPICS}/other", 404)]
