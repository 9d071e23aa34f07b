"""The control API: every verb, every refusal, as a CI job in any language would use it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mockcentral import World
from mockcentral.servers.control_api import METRICS
from mockcentral.servers.control_connection import ControlConnection
from tests.mockcentral.clients import (
    ONE_FILTER,
    PATIENCE,
    TOPIC,
    Answer,
    Watch,
    ask,
    control,
    raw,
    read_all,
    request,
    service,
    subscribed,
    topic,
)

W = "/v1/worlds/default"


@pytest.fixture
def world() -> Iterator[World]:
    with World(control=True) as world:
        world.put_topic(topic())
        yield world


def problem(answer: Answer, status: int) -> str:
    """The detail of a refusal, which is a problem document (RFC 9457)."""
    assert answer.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["status"] == status
    assert document["title"]
    assert document["type"] == "about:blank"
    return str(document["detail"])


# ------------------------------------------------------------------------------------------ the process
def test_health_readiness_metrics_and_the_two_schemas(world: World) -> None:
    assert control(world, "GET", "/healthz").json() == {"status": "ok"}
    assert control(world, "GET", "/readyz").json() == {"ready": True, "down": []}
    world.publish(service())
    metrics = control(world, "GET", "/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=0.0.4")
    lines = metrics.body.decode().splitlines()
    assert 'mockcentral_events_published_total{world="default"} 1' in lines
    for name in METRICS:
        assert f"# TYPE mockcentral_{name} {METRICS[name][0]}" in lines
    assert control(world, "GET", "/v1/schema").json()["$schema"]
    document = control(world, "GET", "/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert "put" in document["paths"]["/v1/worlds/{id}/faults/{name}"]


def test_a_world_that_is_down_is_not_ready(world: World) -> None:
    world.restart(down_for=3600.0)
    answer = control(world, "GET", "/readyz")
    assert (answer.status, answer.json()) == (503, {"ready": False, "down": ["default"]})
    assert control(world, "GET", "/healthz").status == 200


# ------------------------------------------------------------------------------------------ worlds
def test_worlds_are_listed_and_shown_without_their_token(world: World) -> None:
    [shown] = control(world, "GET", "/v1/worlds").json()["worlds"]
    assert shown == control(world, "GET", W).json()
    assert "token" not in shown
    assert world.token not in json.dumps(shown)
    assert (shown["address"], shown["control_url"], shown["topics"]) == (world.address, world.control_url, [TOPIC])


def test_a_world_is_created_once_by_the_same_body_and_conflicts_with_another(world: World) -> None:
    body = {
        "scenario": "calm",
        "seed": 5,
        "time_scale": 2.0,
        "topics": [topic("mine", {**ONE_FILTER, "kind": "Credential"})],
        "faults": {"refuse": {"on": "stream_open(1)", "do": {"refuse": "UNAVAILABLE"}}},
    }
    created = control(world, "PUT", "/v1/worlds/w-1.x", body)
    assert created.status == 201, created.body
    shown = created.json()
    assert (shown["world"], shown["seed"], shown["scenario"]) == ("w-1.x", 5, "calm")
    assert "/management/v1/watchtopics/mine" in shown["topics"]
    assert shown["control_url"] == world.control_url
    assert request(shown["address"], "GET", "/").status == 404

    again = control(world, "PUT", "/v1/worlds/w-1.x", dict(reversed(body.items())))
    assert (again.status, again.json()) == (200, shown)

    conflict = control(world, "PUT", "/v1/worlds/w-1.x", {**body, "seed": 6})
    assert "DELETE it first" in problem(conflict, 409)
    assert "made from something else" in problem(control(world, "PUT", W, {}), 409)

    faults = control(world, "GET", "/v1/worlds/w-1.x/faults").json()["faults"]
    assert [(fault["name"], fault["on"], fault["do"]) for fault in faults] == [("refuse", "stream_open(1)", "refuse")]

    assert control(world, "DELETE", "/v1/worlds/w-1.x").status == 204
    problem(control(world, "DELETE", "/v1/worlds/w-1.x"), 404)
    with pytest.raises(ConnectionRefusedError):
        request(shown["address"], "GET", "/")
    assert control(world, "PUT", "/v1/worlds/w-1.x", {**body, "seed": 6}).status == 201


def test_a_whole_scenario_can_be_put(world: World) -> None:
    scenario = {"scenario": "mine", "about": "one event", "traffic": [{"publish": {"kind": "A"}, "every": "1ms"}]}
    assert control(world, "PUT", "/v1/worlds/x", {"scenario": scenario}).status == 201
    journal = control(world, "GET", "/v1/worlds/x/journal").body.decode()
    assert '"scenario":"mine"' in journal


@pytest.mark.parametrize(
    ("id", "body", "words"),
    [
        ("x", {"scenarios": "calm"}, "no 'scenarios'"),
        ("x", {"scenario": "clam"}, "calm"),
        ("x", {"scenario": "/etc/passwd"}, "/etc/passwd"),
        ("x", {"scenario": {"scenario": "mine"}}, "about"),
        ("x", {"scenario": 5}, "scenario must be"),
        ("x", {"seed": "7"}, "seed must be int"),
        ("x", {"seed": True}, "seed must be int"),
        ("x", {"time_scale": 0}, "time_scale"),
        ("x", {"time_scale": -1.5}, "time_scale"),
        ("x", {"topics": [{"name": "t"}]}, "t"),
        ("x", {"topics": ["t"]}, ""),
        ("x", {"topics": [5]}, ""),
        ("x", {"faults": [{"name": "f", "on": "pong", "do": {"close": {}}}]}, "pong"),
        ("x", {"faults": [5]}, ""),
        ("x", {"faults": {"f": 5}}, ""),
        ("x", {"port": 99999}, "99999"),
        ("x", {"port": -1}, "-1"),
        ("x", {"host": "no such host"}, "cannot listen"),
        ("a b", {}, "a world id is"),
        ("-x", {}, "a world id is"),
        ("x" * 65, {}, "a world id is"),
        ("x", [], "must be a JSON object"),
        ("x", None, "must be a JSON object"),
    ],
)
def test_a_world_that_cannot_be_made_is_refused_by_its_reason(world: World, id: str, body: object, words: str) -> None:
    answer = control(world, "PUT", f"/v1/worlds/{id.replace(' ', '%20')}", body)
    assert words in problem(answer, 400)
    assert [one["world"] for one in control(world, "GET", "/v1/worlds").json()["worlds"]] == ["default"]


def test_a_path_in_a_request_is_not_read(world: World, tmp_path: Any) -> None:
    secret = tmp_path / "secret.yaml"
    secret.write_text("password: hunter2\n")
    for body in ({"scenario": str(secret)}, {"scenario": f"../..{secret}"}):
        assert "hunter2" not in problem(control(world, "PUT", "/v1/worlds/x", body), 400)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("DELETE", ""),
        ("POST", "/events"),
        ("GET", "/faults"),
        ("PUT", "/faults/x"),
        ("DELETE", "/faults/x"),
        ("GET", "/connections"),
        ("POST", "/connections/*/rst"),
        ("POST", "/tokens/expire"),
        ("POST", "/purge"),
        ("GET", "/journal"),
        ("POST", "/verify"),
        ("POST", "/barrier"),
        ("POST", "/reset"),
    ],
)
def test_an_unknown_world_is_404_for_every_verb(world: World, method: str, path: str) -> None:
    detail = problem(control(world, method, f"/v1/worlds/nobody{path}", {} if method != "GET" else None), 404)
    assert detail == "there is no world 'nobody'"


def test_what_is_no_verb_is_refused_as_a_problem_too(world: World) -> None:
    problem(control(world, "GET", "/"), 404)
    problem(control(world, "POST", "/healthz"), 405)
    problem(control(world, "GET", f"{W}/events"), 405)


# ------------------------------------------------------------------------------------------ events
def test_publishing_answers_the_sequences_and_reaches_the_stream(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        one = control(world, "POST", f"{W}/events", service())
        assert one.status == 201
        more = control(world, "POST", f"{W}/events", [service("a"), service("b", type="created")])
        sequences = one.json()["sequences"] + more.json()["sequences"]
        assert len(sequences) == 3
        assert watch.sequences(3) == sequences
    assert control(world, "POST", f"{W}/events", []).json() == {"sequences": []}


def test_every_body_is_json_whatever_a_client_calls_it(world: World) -> None:
    """`curl -d` calls all it sends a form."""
    fault: dict[str, Any] = {"on": "stream_open", "do": {"refuse": "UNAVAILABLE"}}
    for method, path, body in (
        ("POST", f"{W}/events", service()),
        ("PUT", f"{W}/faults/x", fault),
        ("POST", f"{W}/purge", {"keep": 0}),
        ("POST", f"{W}/verify", {"checks": ["ordered"]}),
        ("POST", f"{W}/tokens/expire", {"token": "jwt:12345678"}),
        ("PUT", "/v1/worlds/called-a-form", {"scenario": "calm"}),
    ):
        answer = control(world, method, path, body, Content_Type="application/x-www-form-urlencoded")
        assert answer.status in (200, 201), (path, answer.body)
    assert control(world, "DELETE", "/v1/worlds/called-a-form").status == 204


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (None, "as JSON"),
        (5, "as JSON"),
        ({}, "needs kind"),
        ([service(), {"kind": "A"}], "needs name"),
        ([5], "must be an object"),
        (service(type="made"), "type is 'made'"),
    ],
)
def test_a_bad_change_is_400_and_nothing_is_published(world: World, body: object, words: str) -> None:
    assert words in problem(control(world, "POST", f"{W}/events", body), 400)
    assert world.stats()["events_published_total"] == 0


# ------------------------------------------------------------------------------------------ faults
def test_a_fault_is_armed_struck_counted_and_disarmed(world: World) -> None:
    armed = control(world, "PUT", f"{W}/faults/no", {"on": "stream_open", "times": 1, "do": {"refuse": "ABORTED"}})
    assert armed.status == 200
    with Watch(world) as watch:
        assert watch.end()[0] == "ABORTED"
    [receipt] = control(world, "GET", f"{W}/faults").json()["faults"]
    assert (receipt["name"], receipt["triggered"], receipt["on_wire"], receipt["times"]) == ("no", 1, 1, 1)
    again = control(world, "PUT", f"{W}/faults/no", {"on": "connect", "do": {"close": {}}, "ttl": "5s"})
    assert (again.json()["on"], again.json()["triggered"]) == ("connect", 0)
    assert control(world, "DELETE", f"{W}/faults/no").status == 204
    problem(control(world, "DELETE", f"{W}/faults/no"), 404)
    assert control(world, "GET", f"{W}/faults").json() == {"faults": []}


def test_a_fault_with_a_ttl_disarms_itself_and_its_receipt_stays(world: World) -> None:
    put = control(world, "PUT", f"{W}/faults/brief", {"on": "stream_open", "do": {"refuse": "ABORTED"}, "ttl": "20ms"})
    assert (put.json()["state"], put.json()["observed"]) == ("armed", 0)
    world.wait_for(lambda record: record["kind"] == "fault.disarmed", PATIENCE)
    [receipt] = control(world, "GET", f"{W}/faults").json()["faults"]
    assert (receipt["state"], receipt["disarmed_by"], receipt["triggered"]) == ("disarmed", "ttl", 0)
    with Watch(world):
        subscribed(world)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "on"),
        ({"on": "stream_opened", "do": {"close": {}}}, "stream_open"),
        ({"on": "connect", "do": "tls_expired"}, "tls_expired needs TLS, and this world has none: start it with --tls"),
        ({"on": "stream_open", "do": {"clsoe": {}}}, "close"),
        ({"on": "stream_open", "do": {"refuse": "MAYBE"}}, "MAYBE"),
        ({"on": "stream_open", "do": {"close": {}}, "after": 5}, "after"),
        ({"on": "stream_open", "do": {"close": {}}, "tiems": 5}, "times"),
        ({"name": "other", "on": "stream_open", "do": {"close": {}}}, "the body names 'other'"),
        ([], "must be a JSON object"),
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(world: World, body: object, words: str) -> None:
    assert words in problem(control(world, "PUT", f"{W}/faults/x", body), 400)
    assert world.faults() == []


# ------------------------------------------------------------------------------------------ connections
@pytest.mark.parametrize("verb", ["rst", "close", "goaway", "blackhole"])
def test_connections_are_listed_and_broken(world: World, verb: str) -> None:
    with Watch(world) as watch:
        subscribed(world)
        [shown] = control(world, "GET", f"{W}/connections").json()["connections"]
        assert (shown["protocol"], shown["attempts"]) == ("h2", [1])
        broken = control(world, "POST", f"{W}/connections/{shown['conn']}/{verb}")
        assert broken.json() == {"connections": 1}
        if verb in ("rst", "close"):
            assert watch.end()[0] == "UNAVAILABLE"
    assert control(world, "POST", f"{W}/connections/*/{verb}").status == 200


def test_an_unknown_connection_or_verb_is_404(world: World) -> None:
    assert "write its number or *" in problem(control(world, "POST", f"{W}/connections/99/rst"), 404)
    assert "write its number or *" in problem(control(world, "POST", f"{W}/connections/x/rst"), 404)
    assert "write its number or *" in problem(control(world, "POST", f"{W}/connections/%C2%B2/rst"), 404)
    assert "goaway, rst, close, blackhole" in problem(control(world, "POST", f"{W}/connections/*/kick"), 404)


def test_the_control_api_answers_while_the_world_is_a_black_hole(world: World) -> None:
    with Watch(world):
        subscribed(world)
        control(world, "POST", f"{W}/connections/*/blackhole")
        assert control(world, "GET", "/healthz").status == 200


# ------------------------------------------------------------------------------------------ tokens, purge, barrier
def test_tokens_expire_all_or_one(world: World) -> None:
    first, second = world.issue_token(), world.issue_token()
    assert control(world, "POST", f"{W}/tokens/expire", {"token": first}).json() == {"expired": 1}
    assert ask(world, "GET", f"/events{TOPIC}", Authorization=f"Bearer {first}").status == 401
    assert ask(world, "GET", f"/events{TOPIC}", Authorization=f"Bearer {second}").status == 200
    assert control(world, "POST", f"{W}/tokens/expire").json()["expired"] >= 1
    assert ask(world, "GET", f"/events{TOPIC}", Authorization=f"Bearer {second}").status == 401
    problem(control(world, "POST", f"{W}/tokens/expire", {"token": 5}), 400)
    problem(control(world, "POST", f"{W}/tokens/expire", b"{"), 400)


def test_purge_forgets_up_to_a_sequence_all_but_some_or_everything(world: World) -> None:
    sequences = world.publish([service(f"s{n}") for n in range(6)])
    assert control(world, "POST", f"{W}/purge", {"through": sequences[1]}).json() == {"purged": 2}
    assert control(world, "POST", f"{W}/purge", {"keep": 3}).json() == {"purged": 1}
    assert control(world, "POST", f"{W}/purge").json() == {"purged": 3}
    bodies: list[object] = [{"trough": 1}, {"keep": -1}, {"keep": True}, {"through": "5"}, []]
    for body in bodies:
        problem(control(world, "POST", f"{W}/purge", body), 400)


def test_the_barrier_counts_acks_and_times_out_as_504(world: World) -> None:
    with Watch(world):
        subscribed(world)
        assert control(world, "POST", f"{W}/barrier", {"timeout": 20}).json() == {"acked": 1}
        world.blackhole()
        assert control(world, "POST", f"{W}/barrier").json() == {"acked": 0}  # who hears nothing is not asked
    with raw(world.address) as connection:
        connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
        world.wait_for(lambda r: r["kind"] == "conn.open" and r["conn"] == 2, PATIENCE)
        detail = problem(control(world, "POST", f"{W}/barrier", {"timeout": 0.05}), 504)
        assert "did not ack a PING" in detail
    for timeout in (0, -1, "5", True, 301, None):
        problem(control(world, "POST", f"{W}/barrier", {"timeout": timeout}), 400)


# ------------------------------------------------------------------------------------------ journal, verify, reset
def test_the_journal_is_ndjson_from_any_record_on(world: World) -> None:
    world.publish([service("a"), service("b")])
    answer = control(world, "GET", f"{W}/journal")
    assert answer.headers["content-type"] == "application/x-ndjson"
    records = [json.loads(line) for line in answer.body.splitlines()]
    assert records == world.journal()
    tail = control(world, "GET", f"{W}/journal?since={len(records) - 1}")
    assert [json.loads(line) for line in tail.body.splitlines()] == records[-1:]
    assert control(world, "GET", f"{W}/journal?since={'9' * 30}").body == b""
    for since in ("x", "-1", "", "%C2%B2"):
        assert "since" in problem(control(world, "GET", f"{W}/journal?since={since}"), 400)


def events(stream: Iterator[bytes]) -> Iterator[tuple[int, Any]]:
    """Server-sent events: id and data."""
    for line in stream:
        if line.startswith(b"id: "):
            number = int(line[4:])
        elif line.startswith(b"data: "):
            yield number, json.loads(line[6:])


def test_the_journal_can_be_followed_as_server_sent_events(world: World) -> None:
    assert world.control_url is not None
    with raw(world.control_url.removeprefix("http://")) as connection:
        connection.sendall(f"GET {W}/journal?since=1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
        stream = connection.makefile("rb")
        assert b"200" in stream.readline()
        followed = events(stream)
        world.publish([service("a"), service("b")])
        past = [next(followed) for _ in range(len(world.journal()) - 1)]
        assert past == [(record["n"], record) for record in world.journal(1)]
        world.publish(service("c"))
        number, record = next(followed)
        assert (record["kind"], record["name"], record["n"]) == ("event.published", "c", number)
        stream.close()
    with raw(world.control_url.removeprefix("http://")) as connection:  # a browser's EventSource comes back like this
        again = (
            f"GET {W}/journal?since=1 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nLast-Event-ID: {number - 1}"
        )
        connection.sendall(f"{again}\r\n\r\n".encode())
        with connection.makefile("rb") as stream:
            assert next(events(stream)) == (number, record)
    world.publish([service(f"s{n}") for n in range(50)])  # nobody listens any more, and nobody minds
    assert control(world, "GET", "/healthz").status == 200


def test_a_follower_that_does_not_read_is_cut_off(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world.control_url is not None
    monkeypatch.setattr("mockcentral.servers.control_connection.MAX_BEHIND", 100_000)
    with raw(world.control_url.removeprefix("http://")) as connection:
        connection.sendall(f"GET {W}/journal HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        for _ in range(200):  # what the kernel holds on its own is megabytes
            world.publish([service("x" * 200)] * 200)
            if control(world, "GET", "/healthz") and not world._control.connections:
                break
        assert read_all(connection)
    assert not world._control.connections


@pytest.mark.parametrize(("path", "status"), [("/v1/worlds/nobody/journal", 404), (f"{W}/journal?since=x", 400)])
def test_an_event_stream_of_nothing_is_a_problem(world: World, path: str, status: int) -> None:
    problem(control(world, "GET", path, Accept="text/event-stream"), status)


def test_following_and_creating_worlds_at_once_blocks_neither(world: World) -> None:
    """A follower is served on the loop that a world being created needs."""
    assert world.control_url is not None
    address = world.control_url.removeprefix("http://")
    failed: list[object] = []

    def create(number: int) -> None:
        for turn in range(5):
            path = f"/v1/worlds/w{number}-{turn}"
            for method, status in (("PUT", 201), ("DELETE", 204)):
                if control(world, method, path, {} if method == "PUT" else None).status != status:
                    failed.append((method, path))

    threads = [threading.Thread(target=create, args=(number,), daemon=True) for number in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(40):
        with raw(address) as connection:
            connection.sendall(f"GET {W}/journal HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode())
            assert connection.recv(12) == b"HTTP/1.1 200"
    for thread in threads:
        thread.join(PATIENCE)
    assert not failed
    assert not any(thread.is_alive() for thread in threads)


def test_verify_judges_the_journal_by_named_checks(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        sequences = world.publish([service("a"), service("b")])
        assert watch.sequences(2) == sequences
    verdicts = control(world, "POST", f"{W}/verify", {"checks": ["ordered", "unique"]}).json()["verdicts"]
    assert [verdict["check"] for verdict in verdicts] == ["ordered", "unique"]
    names = [verdict["check"] for verdict in control(world, "POST", f"{W}/verify").json()["verdicts"]]
    assert {"ordered", "unique", "complete", "filterable"} <= set(names)
    assert "orderd" in problem(control(world, "POST", f"{W}/verify", {"checks": ["orderd"]}), 400)
    problem(control(world, "POST", f"{W}/verify", {"checks": "ordered"}), 400)


def test_reset_begins_the_world_anew_on_the_same_address(world: World) -> None:
    world.publish(service())
    before = control(world, "GET", W).json()
    with Watch(world) as watch:
        subscribed(world)
        after = control(world, "POST", f"{W}/reset")
        assert after.status == 200
        assert watch.end()[0] == "UNAVAILABLE"
    assert after.json()["address"] == before["address"]
    assert world.stats()["events_published_total"] == 0
    assert world.journal()[0]["kind"] == "world.start"
    assert world.journal()[0]["n"] == 1
    world.put_topic(topic())
    with Watch(world) as watch:
        world.wait_for(lambda record: record.get("request") == "subscribe", PATIENCE)
        [sequence] = world.publish(service())
        assert watch.sequences(1) == [sequence]


# ------------------------------------------------------------------------------------------ strange clients
@pytest.mark.parametrize(
    ("said", "heard"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"HTTP/1.1 400"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"\x15\x03"),
        (b"\x00\x01\x02\x03garbage", b"HTTP/1.1 400"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", b"HTTP/1.1 400"),
        (b"GET //[ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/event-stream\r\n\r\n", b"HTTP/1.1 404"),
        (b"GET /healthz HTTP/1.0\r\n\r\n", b"HTTP/1.1 200"),
    ],
)
def test_whatever_a_client_says_it_gets_an_answer_and_the_api_goes_on(world: World, said: bytes, heard: bytes) -> None:
    assert world.control_url is not None
    with raw(world.control_url.removeprefix("http://")) as connection:
        connection.sendall(said)
        assert read_all(connection).startswith(heard)
    assert control(world, "GET", "/healthz").status == 200


def test_a_pipeline_of_requests_is_answered_in_order(world: World) -> None:
    assert world.control_url is not None
    with raw(world.control_url.removeprefix("http://")) as connection:
        paths = ["/healthz", "/readyz", "/nowhere", "/healthz"]
        lines = [f"GET {path} HTTP/1.1\r\nHost: x\r\n" for path in paths]
        connection.sendall("\r\n".join([*lines[:-1], lines[-1] + "Connection: close\r\n\r\n"]).encode())
        received = read_all(connection)
    assert [received.find(word) > 0 for word in (b'"ok"', b'"ready"', b"Not Found")] == [True] * 3
    assert received.find(b'"ready"') < received.find(b"Not Found")
    assert received.count(b"HTTP/1.1 ") == 4


# ------------------------------------------------------------------------------------------ hostile clients
def test_a_client_that_does_not_read_its_answers_is_not_answered_further(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    answered: list[int] = []
    respond = ControlConnection._respond

    def counting(self: ControlConnection, response: Any) -> None:
        respond(self, response)
        answered.append(len(response.body))

    monkeypatch.setattr(ControlConnection, "_respond", counting)
    assert world.control_url is not None
    world.record("note", text="x" * 8_000_000)  # more than the buffers of a socket
    with raw(world.control_url.removeprefix("http://")) as connection:
        connection.sendall(f"GET {W}/journal HTTP/1.1\r\nHost: x\r\n\r\n".encode() * 3)
        received = len(connection.recv(1))
        for _ in range(50):  # the time for many an answer
            assert control(world, "GET", "/healthz").status == 200
        assert len([size for size in answered if size > 8_000_000]) == 1
        while received < 24_000_000:  # and it goes on when they are read
            received += len(connection.recv(1_000_000))


def test_half_a_request_is_not_waited_for_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.servers.control_connection.SILENT_LIMIT", 0.05)
    assert world.control_url is not None
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"
    for said in (b"", health[:-1], b"PO", health + health[:-1]):
        with raw(world.control_url.removeprefix("http://")) as connection:
            if said:
                connection.sendall(said)
            assert read_all(connection).startswith(b"HTTP/1.1 200" if len(said) > len(health) else b"")
