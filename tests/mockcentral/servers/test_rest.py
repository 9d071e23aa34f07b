"""The REST API an agent needs (protocol section 6), over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mockcentral import World
from mockcentral.scenario.schema import RestSettings, Scenario, WorldSettings
from tests.mockcentral.clients import ONE_FILTER, TOPIC, ask, harvest, request, topic

ENV = "/apis/management/v1/environments/e"


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        ask(world, "POST", "/apis/management/v1/watchtopics", topic("sample", {**ONE_FILTER, "kind": "*"}))
        assert ask(world, "POST", "/apis/management/v1/environments", {"name": "e", "title": "E"}).status == 201
        yield world


def error(answer: Any) -> str:
    (only,) = answer.json()["errors"]
    assert only["status"] == answer.status
    return str(only["detail"])


def test_an_api_is_published_as_the_go_sdk_does_it(world: World) -> None:
    service = ask(world, "POST", f"{ENV}/apiservices", {"title": "Pets", "spec": {}}).json()
    link = service["metadata"]["selfLink"]
    details = ask(world, "PUT", f"/apis{link}/x-agent-details", {"x-agent-details": {"externalAPIID": "7"}})
    assert (details.status, details.json()["x-agent-details"]) == (200, {"externalAPIID": "7"})

    query = f"metadata.references.id=={service['metadata']['id']};information.hash==77"
    search = f"{ENV}/apiservicerevisions?fields=name,information&page=1&pageSize=50&query={query}"
    search += "&sort=metadata.audit.createTimestamp,DESC"
    none = ask(world, "GET", search)
    assert (none.json(), none.headers["x-axway-total-count"]) == ([], "0")

    body = {"name": "r1", "spec": {"apiService": service["name"]}}
    assert ask(world, "POST", f"{ENV}/apiservicerevisions", body).status == 201
    ask(world, "PUT", f"{ENV}/apiservicerevisions/r1/information", {"information": {"hash": "77"}})
    one = ask(world, "GET", search)
    assert one.headers["x-axway-total-count"] == "1"
    assert one.json()[0]["information"] == {"hash": "77"}
    assert "spec" not in one.json()[0]

    ask(world, "POST", f"{ENV}/apiserviceinstances", {"name": "i1", "spec": {"apiServiceRevision": "r1"}})
    found = ask(world, "GET", f"{ENV}/apiserviceinstances?query=metadata.references.name==r1").json()
    assert [each["name"] for each in found] == ["i1"]

    events = harvest(world, TOPIC).json()
    assert [(event["type"], event["payload"]["kind"], event["metadata"]["subresource"]) for event in events] == [
        ("ResourceCreated", "WatchTopic", None),
        ("ResourceCreated", "Environment", None),
        ("ResourceCreated", "APIService", None),
        ("SubResourceUpdated", "APIService", "x-agent-details"),
        ("ResourceCreated", "APIServiceRevision", None),
        ("SubResourceUpdated", "APIServiceRevision", "information"),
        ("ResourceCreated", "APIServiceInstance", None),
    ]


def test_a_topic_an_agent_makes_is_a_resource_like_any_other(world: World) -> None:
    assert ask(world, "GET", "/apis/management/v1alpha1/watchtopics/sample").json()["kind"] == "WatchTopic"
    assert ask(world, "DELETE", "/apis/management/v1alpha1/watchtopics/sample", {"any": "body"}).status == 204
    assert not world.topics


def test_head_tells_how_many_there_are(world: World) -> None:
    for name in ("a", "b", "c"):
        ask(world, "POST", f"{ENV}/credentials", {"name": name})
    head = ask(world, "HEAD", f"{ENV}/credentials")
    assert (head.status, head.headers["x-axway-total-count"], head.body) == (200, "3", b"")
    assert ask(world, "HEAD", f"{ENV}/credentials/a").status == 200
    assert ask(world, "HEAD", f"{ENV}/credentials/z").status == 404


def test_a_collection_without_its_scope_holds_those_of_all(world: World) -> None:
    ask(world, "POST", "/apis/management/v1/environments", {"name": "e2"})
    for env in ("e", "e2"):
        ask(world, "POST", f"/apis/management/v1/environments/{env}/apiservices", {"name": f"in-{env}"})
    found = ask(world, "GET", "/apis/management/v1/apiservices").json()
    assert [each["name"] for each in found] == ["in-e", "in-e2"]


def test_embedded_references_are_whole_heads(world: World) -> None:
    ask(world, "POST", f"{ENV}/managedapplications", {"name": "app", "title": "App"})
    ask(world, "POST", f"{ENV}/accessrequests", {"name": "ar", "spec": {"managedApplication": "app"}})
    (found,) = ask(world, "GET", f"{ENV}/accessrequests?embed=metadata.references").json()
    (head,) = found["_embedded"]["metadata.references"]["references"]
    assert (head["kind"], head["name"], head["title"]) == ("ManagedApplication", "app", "App")
    assert "_embedded" not in ask(world, "GET", f"{ENV}/accessrequests").json()[0]


def test_a_subresource_is_read_alone(world: World) -> None:
    ask(world, "POST", f"{ENV}/apiservices", {"name": "s", "status": {"level": "Success"}})
    assert ask(world, "GET", f"{ENV}/apiservices/s/status").json() == {"status": {"level": "Success"}}
    assert ask(world, "GET", f"{ENV}/apiservices/s/details").status == 404
    assert ask(world, "GET", f"{ENV}/apiservices/s/spec").status == 404


def test_a_json_patch_changes_a_subresource(world: World) -> None:
    ask(world, "POST", f"{ENV}/apiservices", {"name": "s"})
    patch = [
        {"op": "x-build-object-tree", "path": "/details"},
        {"op": "add", "path": "/details/colour", "value": "blue"},
    ]
    where = f"{ENV}/apiservices/s/details"
    patched = ask(world, "PATCH", where, patch, Content_Type="application/json-patch+json")
    assert (patched.status, patched.json()["details"]) == (200, {"colour": "blue"})
    assert ask(world, "PATCH", where, patch).status == 415


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", f"{ENV}/apiservices", "GET, HEAD, POST"),
        ("POST", f"{ENV}/apiservices/s", "DELETE, GET, HEAD, PUT"),
        ("PATCH", f"{ENV}/apiservices/s", "DELETE, GET, HEAD, PUT"),
        ("DELETE", f"{ENV}/apiservices/s/status", "GET, HEAD, PATCH, PUT"),
    ],
)
def test_a_method_that_is_not_for_this_place_says_which_are(world: World, method: str, path: str, allowed: str) -> None:
    answer = ask(world, method, path, {})
    assert (answer.status, answer.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("rest", ["a/b/c/d/e/f", "environments//x", "environments/e/apiservices/s/status/more"])
def test_an_address_that_names_nothing_is_404(world: World, rest: str) -> None:
    assert "no resource's address" in error(ask(world, "GET", f"/apis/management/v1/{rest}"))


def test_errors_are_in_centrals_form_with_the_number_in_the_text(world: World) -> None:
    answer = ask(world, "GET", f"{ENV}/discoveryagents/e-da")
    assert answer.status == 404
    assert b"404" in answer.body  # agents look for it there
    assert "resourceVersion" in error(ask(world, "PUT", ENV, {"metadata": {"resourceVersion": "99"}}))
    assert "query cannot be read" in error(ask(world, "GET", f"{ENV}/apiservices?query=name="))
    assert "JSON object" in error(ask(world, "POST", f"{ENV}/apiservices", [1]))


def test_the_platform_has_a_team_and_takes_usage(world: World) -> None:
    (team,) = ask(world, "GET", "/api/v1/platformTeams").json()
    assert team["default"] is True
    assert ask(world, "GET", f"/api/v1/platformTeams?query=name=={team['name'].replace(' ', '%20')!r}").json() == [team]
    assert ask(world, "GET", "/api/v1/platformTeams?query=name==nobody").json() == []
    assert ask(world, "GET", "/api/v1/platformTeams?query=name").status == 400
    org = ask(world, "GET", "/api/v1/org/77?fields[]=entitlements").json()
    assert (org["success"], org["result"]["entitlements"]) == (True, {})
    assert ask(world, "POST", "/api/v1/usage", {}).status == 202


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/api/v1/platformTeams"), ("GET", "/api/v1/org/7"), ("POST", "/api/v1/usage"), ("GET", ENV)],
)
def test_nothing_is_told_without_a_good_token(world: World, method: str, path: str) -> None:
    assert ask(world, method, path, Authorization="Bearer nonsense").status == 401


def test_the_front_door_describes_itself_to_anybody(world: World) -> None:
    document = request(world.address, "GET", "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert document["servers"] == [{"url": world.http_url}]
    operations = [
        operation["operationId"]
        for path in document["paths"].values()
        for method, operation in path.items()
        if method != "parameters"
    ]
    assert len(set(operations)) == len(operations) > 15
    trace = ask(world, "TRACE", ENV)
    assert (trace.status, trace.headers["allow"]) == (405, "DELETE, GET, HEAD, PATCH, POST, PUT")


def test_a_parameter_nobody_knows_is_passed_over_or_refused() -> None:
    strict = Scenario(scenario="x", about="y", world=WorldSettings(rest=RestSettings(unknown_parameters="refuse")))
    for scenario, status in ((None, 200), (strict, 400)):
        with World(scenario) as world:
            assert ask(world, "POST", "/apis/management/v1/environments", {"name": "e"}).status == 201
            for path in ("environments?colour=red", "environments/e?page=1"):
                answer = ask(world, "GET", f"/apis/management/v1/{path}")
                assert answer.status == status
            if status == 400:
                assert error(answer) == "there is no parameter 'page': write fields"
            known = "environments?fields=name&query=name==e&page=1&pageSize=5&sort=name,ASC&embed=metadata.references"
            for path in (known, "environments/e?fields=name"):
                assert ask(world, "GET", f"/apis/management/v1/{path}").status == 200
