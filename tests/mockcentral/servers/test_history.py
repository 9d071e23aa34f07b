"""The harvester over HTTP, exactly as protocol section 3 has it."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from mockcentral import World
from mockcentral.scenario.schema import HarvesterSettings, LogSettings, Scenario, WorldSettings
from tests.mockcentral.clients import TOPIC, Answer, ask, harvest, raw, read_all, request, service, topic

SIZE = 5


@pytest.fixture
def world() -> Iterator[World]:
    settings = WorldSettings(harvester=HarvesterSettings(page_size=SIZE), log=LogSettings(first_sequence=284734))
    with World(Scenario(scenario="history", about="x", world=settings)) as world:
        world.put_topic(topic())
        yield world


def sequences(answer: Answer) -> list[int]:
    assert answer.status == 200
    return [element["metadata"]["sequenceID"] for element in answer.json()]


def test_a_page_is_an_array_with_the_names_and_types_of_protocol_3_2(world: World) -> None:
    [sequence] = world.publish(service(attributes={"a": "b"}))
    answer = harvest(world)
    assert answer.headers["content-type"] == "application/json"
    [element] = answer.json()
    assert set(element) == {
        "id",
        "time",
        "version",
        "product",
        "correlationId",
        "organization",
        "type",
        "payload",
        "metadata",
    }
    assert element["type"] == "ResourceCreated"
    assert element["organization"] == {"id": world.tenant}
    assert element["metadata"]["watchTopicSelfLink"] == TOPIC
    assert element["metadata"]["sequenceID"] == sequence
    assert isinstance(element["metadata"]["sequenceID"], int)
    assert element["metadata"]["subresource"] is None
    payload = element["payload"]
    assert (payload["group"], payload["kind"], payload["name"]) == ("management", "APIService", "petstore")
    assert payload["attributes"] == {"a": "b"}
    assert set(payload["metadata"]["scope"]) == {"id", "kind", "name", "selfLink"}
    assert payload["metadata"]["references"] == []


def test_an_empty_history_is_an_empty_array_and_never_null(world: World) -> None:
    assert harvest(world).body == b"[]"
    assert harvest(world, query="sequenceID>0", page=1, pageSize=5, sort="sequenceID,ASC").body == b"[]"


def test_the_pages_of_a_go_client_hold_everything_once(world: World) -> None:
    published = world.publish([service(f"s{n}") for n in range(2 * SIZE)])
    pages = [
        sequences(
            harvest(world, page=page, pageSize=SIZE, query=f"sequenceID>{published[0] - 1}", sort="sequenceID,ASC")
        )
        for page in (1, 2, 3)
    ]
    assert pages == [published[:SIZE], published[SIZE:], []]


def test_sequence_zero_asks_for_the_newest_event(world: World) -> None:
    published = world.publish([service(f"s{n}") for n in range(3)])
    assert sequences(harvest(world, pageSize=1, sort="sequenceID,DESC")) == [published[-1]]


def test_a_page_larger_than_allowed_is_cut_to_the_largest(world: World) -> None:
    published = world.publish([service(f"s{n}") for n in range(2 * SIZE)])
    assert len(sequences(harvest(world, pageSize=100))) == SIZE
    assert len(sequences(harvest(world, sort="sequenceID"))) == SIZE
    assert sequences(harvest(world)) == published  # no parameters at all: all events (protocol 3.1)


def test_history_that_is_gone_is_410_with_the_newest_sequence(world: World) -> None:
    published = world.publish([service(f"s{n}") for n in range(4)])
    world.purge(through=published[1])
    answer = harvest(world, query=f"sequenceID>{published[0]}", page=1, pageSize=5, sort="sequenceID,ASC")
    assert answer.status == 410
    assert answer.headers["x-axway-max-sequence-id"] == str(published[-1])
    assert answer.json()["errors"][0]["status"] == 410
    assert sequences(harvest(world, query=f"sequenceID>{published[1]}")) == published[2:]
    records = [record for record in world.journal() if record["kind"] == "http.request"]
    assert (records[0]["status"], records[0]["max_sequence"]) == (410, published[-1])


def test_both_versions_of_the_link_read_the_same_history(world: World) -> None:
    published = world.publish(service())
    assert sequences(harvest(world, TOPIC.replace("v1", "v1alpha1"))) == published


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"page": "0"}, "page is '0'"),
        ({"pageSize": "many"}, "pageSize is 'many'"),
        ({"query": "name==x"}, "only comparisons such as sequenceID>100"),
        ({"sort": "time,ASC"}, "only sequenceID,ASC and sequenceID,DESC"),
    ],
)
def test_parameters_not_understood_are_400_and_say_what_to_write(
    world: World, parameters: dict[str, str], words: str
) -> None:
    answer = harvest(world, **parameters)
    assert answer.status == 400
    assert words in answer.json()["errors"][0]["detail"]


def test_without_a_good_token_it_is_401(world: World) -> None:
    for value in ("", "Bearer nonsense", "Basic dXNlcjpwYXNz"):
        answer = ask(world, "GET", f"/events{TOPIC}", Authorization=value)
        assert answer.status == 401
        assert answer.json()["errors"][0]["status"] == 401
    stale = world.token
    world.expire_tokens()
    assert ask(world, "GET", f"/events{TOPIC}", Authorization=f"Bearer {stale}").status == 401


def test_a_foreign_tenant_is_403_and_a_missing_one_is_fine(world: World) -> None:
    assert ask(world, "GET", f"/events{TOPIC}", X_Axway_Tenant_Id="999").status == 403
    assert ask(world, "GET", f"/events{TOPIC}", X_Axway_Tenant_Id="").status == 200


@pytest.mark.parametrize("link", ["/management/v1/watchtopics/nobody", "/x", "/management/v1/watchtopics/sample/x"])
def test_an_unknown_topic_is_404(world: World, link: str) -> None:
    answer = harvest(world, link)
    assert answer.status == 404
    assert "404" in answer.body.decode()  # agents look for the number in the text (protocol 6.0)


def test_the_journal_tells_what_was_asked_and_what_was_given(world: World) -> None:
    published = world.publish([service("a"), service("b")])
    harvest(world, query="sequenceID>7", page=1, pageSize=2, sort="sequenceID,ASC")
    record = [record for record in world.journal() if record["kind"] == "http.request"][-1]
    assert record["method"] == "GET"
    assert record["path"] == f"/events{TOPIC}"
    assert (record["topic"], record["after"], record["page"], record["page_size"]) == (TOPIC, 7, 1, 2)
    assert (record["status"], record["sequences"]) == (200, published)


def test_many_requests_share_one_connection_even_unasked_for(world: World) -> None:
    world.publish(service())
    line = f"GET /events{TOPIC} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.token}\r\n"
    with raw(world.address) as connection:
        connection.sendall((line + "\r\n").encode() * 20 + (line + "Connection: close\r\n\r\n").encode())
        received = read_all(connection)
    assert received.count(b"HTTP/1.1 200 OK") == 21
    connections = {record["conn"] for record in world.journal() if record["kind"] == "http.request"}
    assert len(connections) == 1


@pytest.mark.parametrize(
    "target", ["//[", "//[x/events", "/events/%zz", "/events//", "/%00", "http://[", "*", "/events/" + "x" * 3000]
)
def test_odd_targets_are_answered_and_the_next_request_too(world: World, target: str) -> None:
    with raw(world.address) as connection:
        connection.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        received = read_all(connection)
    assert received.startswith(b"HTTP/1.1 4")
    assert harvest(world).status == 200


def test_a_head_request_has_the_headers_and_no_body(world: World) -> None:
    world.publish(service())
    head = ask(world, "HEAD", f"/events{TOPIC}")
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) == len(harvest(world).body)


def test_a_wrong_method_or_path_is_a_json_error(world: World) -> None:
    assert ask(world, "POST", f"/events{TOPIC}", {}).status == 405
    answer = request(world.address, "GET", "/nowhere")
    assert answer.status == 404
    assert json.loads(answer.body)["errors"][0]["title"] == "Not Found"
