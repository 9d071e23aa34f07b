"""Real clients, stock grpcio and http.client, feel the faults that need no wire of their own; the receipts say so."""

from __future__ import annotations

import http.client
import json
import socket
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlencode

import grpc
import h2.config
import h2.connection
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from mockcentral import World
from mockcentral.scenario.load import parse_fault
from tests.mockcentral.clients import PATIENCE, TOPIC, Answer, Watch, harvest, request, service, subscribed, topic


@pytest.fixture
def world() -> Iterator[World]:
    with World(seed=7) as world:
        world.put_topic(topic())
        yield world


def arm(world: World, do: object, on: str, **more: Any) -> None:
    world.arm(parse_fault({"name": "it", "on": on, "do": do, **more}))


def receipt(world: World) -> tuple[int, int, int]:
    """How often it triggered, was on the wire, and was observed."""
    [shown] = world.faults()
    return shown["triggered"], shown["on_wire"], shown["observed"]


# ------------------------------------------------------------------------------------------ events
def watched(world: World, do: object, names: str, got: int, **more: Any) -> list[Any]:
    """Publish a service for each letter, with the fault at the second; `got` events a client reads of that."""
    arm(world, do, more.pop("on", "event(2)"), **more)
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(name) for name in names])
        events = watch.events(got)
        world.barrier(PATIENCE)
    return events


def test_a_gap_is_a_run_of_events_that_only_history_has(world: World) -> None:
    events = watched(world, {"gap": 3}, "abcdefg", 4)
    assert [event.payload.name for event in events] == ["a", "e", "f", "g"]
    assert len(harvest(world).json()) == 7
    assert receipt(world) == (1, 1, 1)


def test_only_the_news_of_a_deletion_is_lost(world: World) -> None:
    arm(world, "lost_delete", "event", times=1)
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service("a"), service("b"), service("a", type="deleted"), service("b", type="deleted")])
        assert [(event.payload.name, event.type) for event in watch.events(3)] == [("a", 0), ("b", 0), ("b", 2)]
        world.barrier(PATIENCE)
    assert receipt(world) == (1, 1, 1)


def test_an_event_is_overtaken_by_as_many_later_ones(world: World) -> None:
    events = watched(world, {"reorder": 2}, "abcde", 5)
    assert [event.payload.name for event in events] == ["a", "c", "d", "b", "e"]
    assert receipt(world) == (1, 1, 1)


def test_an_event_that_nothing_overtook_was_not_reordered(world: World) -> None:
    assert [event.payload.name for event in watched(world, {"reorder": 2}, "ab", 1)] == ["a"]
    assert receipt(world) == (1, 0, 0)


def test_an_event_that_was_overtaken_and_never_came_was_on_the_wire_all_the_same(world: World) -> None:
    assert [event.payload.name for event in watched(world, {"reorder": 2}, "abc", 2)] == ["a", "c"]
    assert receipt(world) == (1, 1, 1)


@pytest.mark.parametrize(
    ("first", "second", "names", "on_wire"),
    [
        ("lose", {"duplicate": 2}, ["a", "b", "b", "c", "d"], (0, 1)),
        ({"duplicate": 2}, "lose", ["a", "c", "d"], (0, 1)),
        ({"reorder": 1}, "lose", ["a", "c", "d"], (0, 1)),
        ({"corrupt": "name"}, "unknown_type", ["a", "b", "c", "d"], (0, 1)),
        ("lose", {"corrupt": "name"}, ["a", "c", "d"], (1, 0)),
        ({"corrupt": "name"}, {"duplicate": 2}, ["a", "", "", "c", "d"], (1, 1)),
        ({"corrupt": "name"}, {"reorder": 1}, ["a", "c", "", "d"], (1, 1)),
        ({"reorder": 1}, {"reorder": 2}, ["a", "c", "d", "b"], (0, 1)),
    ],
)
def test_of_two_faults_at_one_event_only_what_shows_has_a_receipt(
    world: World, first: object, second: object, names: list[str], on_wire: tuple[int, int]
) -> None:
    for name, do in (("first", first), ("second", second)):
        world.arm(parse_fault({"name": name, "on": "event(2)", "do": do}))
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(name) for name in "abcd"])
        assert [event.payload.name for event in watch.events(len(names))] == names
        world.barrier(PATIENCE)
    assert tuple(shown["on_wire"] for shown in world.faults()) == on_wire
    assert [shown["triggered"] for shown in world.faults()] == [1, 1]


def test_what_a_gap_leaves_out_is_not_corrupted_too(world: World) -> None:
    world.arm(parse_fault({"name": "hole", "on": "event(2)", "do": {"gap": 2}}))
    world.arm(parse_fault({"name": "wrong", "on": "event(3)", "do": {"corrupt": "name"}}))
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(name) for name in "abcd"])
        assert [event.payload.name for event in watch.events(2)] == ["a", "d"]
        world.barrier(PATIENCE)
    assert [(shown["triggered"], shown["on_wire"]) for shown in world.faults()] == [(1, 1), (1, 0)]


@pytest.mark.parametrize(
    ("first", "second", "status", "on_wire"),
    [
        ({"http_error": 503}, {"http_gone": True}, 503, (1, 0)),
        ({"http_error": 503}, {"http_wrong_json": "html"}, 503, (1, 0)),
        ({"http_error": 503}, {"http_error": 500}, 500, (0, 1)),
        ({"http_error": 503}, {"http_delay": "1ms"}, 503, (1, 1)),
        ({"http_wrong_json": "html"}, {"http_wrong_json": "null"}, 200, (0, 1)),
    ],
)
def test_of_two_faults_at_one_answer_only_what_shows_has_a_receipt(
    world: World, first: object, second: object, status: int, on_wire: tuple[int, int]
) -> None:
    for name, do in (("first", first), ("second", second)):
        world.arm(parse_fault({"name": name, "on": "harvest", "do": do}))
    assert harvest(world).status == status
    assert tuple(shown["on_wire"] for shown in world.faults()) == on_wire


def test_a_topic_that_is_not_there_cannot_be_deleted(world: World) -> None:
    arm(world, {"delete_topic": {"topic": "no-such"}}, "publish")
    world.publish(service("a"))
    [shown] = world.faults()
    assert (shown["triggered"], shown["on_wire"]) == (1, 0)


def test_the_silence_before_late_trailers_is_on_the_wire_when_it_begins(world: World) -> None:
    arm(world, {"late_trailers": "1h"}, "event(1)")
    with Watch(world):
        subscribed(world)
        world.publish(service("a"))
        [shown] = world.faults()
        assert (shown["triggered"], shown["on_wire"]) == (1, 1)


@pytest.mark.parametrize(
    ("field", "read"),
    [
        ("name", lambda event: event.payload.name),
        ("scope", lambda event: event.payload.metadata.scope.name),
        ("time", lambda event: event.time),
        ("sequence", lambda event: event.metadata.sequenceID),
    ],
)
def test_one_field_is_empty_or_made_up_and_the_rest_is_as_it_was(world: World, field: str, read: Any) -> None:
    first, second, third = watched(world, {"corrupt": {"field": field, "how": "empty"}}, "abc", 3)
    assert not read(second)
    assert read(first)
    assert read(third)
    assert second.metadata.watchTopicSelfLink == TOPIC
    assert harvest(world).json()[1]["payload"]["name"] == "b"
    assert receipt(world) == (1, 1, 1)


def test_garbage_comes_from_the_seed() -> None:
    def garbage() -> str:
        with World(seed=3) as world:
            world.put_topic(topic())
            return str(watched(world, {"corrupt": {"field": "id", "how": "garbage"}}, "ab", 2)[1].id)

    assert garbage() == garbage() != ""


def test_a_type_without_a_name_reaches_the_client_as_its_number(world: World) -> None:
    assert [event.type for event in watched(world, {"unknown_type": 77}, "abc", 3)] == [0, 77, 0]
    assert receipt(world) == (1, 1, 1)


def test_an_event_that_is_too_large_ends_the_stream_in_the_clients_library(world: World) -> None:
    arm(world, {"oversize": 4 * 1024 * 1024}, "event(2)")
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service("a"), service("b")])
        assert watch.events(1)[0].payload.name == "a"
        with pytest.raises(grpc.RpcError) as caught:
            watch.events(1)
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        world.wait_for(lambda record: record["kind"] == "fault.observed", PATIENCE)
    assert receipt(world) == (1, 1, 1)


def test_an_event_may_name_somebody_elses_topic(world: World) -> None:
    events = watched(world, "wrong_topic", "abc", 3)
    assert [event.metadata.watchTopicSelfLink == TOPIC for event in events] == [True, False, True]
    assert events[1].metadata.watchTopicID != events[0].metadata.watchTopicID
    assert receipt(world) == (1, 1, 1)


def test_the_journal_has_the_event_as_it_is_and_says_that_it_was_altered(world: World) -> None:
    watched(world, "corrupt", "abc", 3)
    lines = [record for record in world.journal() if record["kind"] == "stream.event"]
    assert [line.get("altered", False) for line in lines] == [False, True, False]


# ------------------------------------------------------------------------------------------ HTTP
class Asker:
    """A client that asks history on one connection."""

    def __init__(self, world: World) -> None:
        host, _, port = world.address.rpartition(":")
        self.world = world
        self.connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)

    def ask(self, **parameters: object) -> http.client.HTTPResponse:
        self.say(**parameters)
        return self.connection.getresponse()

    def say(self, **parameters: object) -> None:
        """Ask, and do not listen yet."""
        headers = {"Authorization": f"Bearer {self.world.token}", "X-Axway-Tenant-Id": self.world.tenant}
        self.connection.request("GET", f"/events{TOPIC}?{urlencode(parameters)}", headers=headers)


@pytest.fixture
def asker(world: World) -> Iterator[Asker]:
    world.publish([service(name) for name in "abcdef"])
    asker = Asker(world)
    yield asker
    asker.connection.close()


def numbers(answer: http.client.HTTPResponse) -> list[int]:
    assert answer.status == 200
    return [element["metadata"]["sequenceID"] - 100000 for element in json.loads(answer.read())]


def test_an_answer_breaks_off_and_the_client_asks_again(world: World, asker: Asker) -> None:
    arm(world, {"http_truncate": 0.5}, "harvest(1)")
    broken = asker.ask()
    with pytest.raises(http.client.IncompleteRead) as caught:
        broken.read()
    assert 0 < len(caught.value.partial) < int(broken.headers["content-length"])
    asker.connection.close()
    assert numbers(asker.ask()) == [1, 2, 3, 4, 5, 6]
    assert receipt(world) == (1, 1, 1)
    lines = [record for record in world.journal() if record["kind"] == "http.request"]
    assert [bool(line["sequences"]) for line in lines] == [False, True]  # nobody had the broken page


def test_an_answer_in_drops_is_whole_in_the_end_and_the_connection_goes_on(world: World, asker: Asker) -> None:
    arm(world, {"http_trickle": {"every": "2ms", "pieces": 7}}, "harvest(1)")
    assert numbers(asker.ask()) == [1, 2, 3, 4, 5, 6]
    assert numbers(asker.ask()) == [1, 2, 3, 4, 5, 6]
    assert receipt(world) == (1, 1, 1)


def test_who_leaves_in_the_middle_of_the_drops_has_not_got_the_page(world: World, asker: Asker) -> None:
    arm(world, {"http_trickle": {"every": "5ms", "pieces": 1000}}, "harvest(1)")
    assert asker.ask().read(1) == b"["
    asker.connection.close()
    line = world.wait_for(lambda record: record["kind"] == "http.request", PATIENCE)
    assert line["sequences"] == []


def test_who_leaves_before_the_last_drops_has_not_got_the_page(world: World, asker: Asker) -> None:
    arm(world, {"http_trickle": {"every": "1m", "pieces": 3}}, "harvest(1)")
    answer = asker.ask()
    world.clock(advance=60.0)
    assert answer.read(1) == b"["
    asker.connection.close()
    answer.close()
    world.clock(advance=60.0)  # the kernel answers this drop with RST,
    world.clock(advance=60.0)  # which the last one meets
    line = world.wait_for(lambda record: record["kind"] == "http.request", PATIENCE)
    assert (line["sequences"], line["unheard"]) == ([], True)


@pytest.mark.parametrize(
    ("do", "protocol"),
    [
        ({"http_delay": "1m"}, "HTTP/1.1"),
        ({"http_delay": "1m"}, "HTTP/2"),
        ({"http_trickle": {"every": "1m", "pieces": 2}}, "HTTP/2"),
    ],
    ids=str,
)
def test_who_leaves_before_the_answer_has_not_got_it(world: World, do: object, protocol: str) -> None:
    world.publish(service())
    arm(world, do, "harvest(1)")
    host, _, port = world.address.rpartition(":")
    with closing(socket.create_connection((host, int(port)), timeout=PATIENCE)) as raw:
        left = _leaves_http1(world, raw) if protocol == "HTTP/1.1" else _leaves_http2(world, raw)
        world.wait_for(lambda record: record["kind"] == left, PATIENCE)
        world.clock(advance=60.0)
        line = world.wait_for(lambda record: record["kind"] == "http.request", PATIENCE)
    assert (line["status"], line["sequences"], line["unheard"]) == (200, [], True)


def _leaves_http1(world: World, raw: socket.socket) -> str:
    """Ask for history and leave; the kind of line that says that it is gone."""
    about = f"Authorization: Bearer {world.token}\r\nX-Axway-Tenant-Id: {world.tenant}"
    raw.sendall(f"GET /events{TOPIC} HTTP/1.1\r\nHost: x\r\n{about}\r\n\r\n".encode())
    world.wait_for(lambda record: record["kind"] == "fault.triggered", PATIENCE)
    raw.close()
    return "conn.close"


def _leaves_http2(world: World, raw: socket.socket) -> str:
    """The same, but only the request is given up and the connection stays; a PING follows."""
    connection = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    connection.initiate_connection()
    about = [(":method", "GET"), (":scheme", "http"), (":authority", "x"), (":path", f"/events{TOPIC}")]
    about += [("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant)]
    connection.send_headers(1, about, end_stream=True)
    connection.reset_stream(1)
    connection.ping(b"12345678")
    raw.sendall(connection.data_to_send())
    return "ping.received"


@pytest.mark.parametrize(
    ("shape", "body"), [("html", b"<!doctype"), ("half", b'[{"id"'), ("object", b'{"items":['), ("null", b"null")]
)
def test_a_200_with_another_body(world: World, asker: Asker, shape: str, body: bytes) -> None:
    arm(world, {"http_wrong_json": shape}, "harvest(1)")
    answer = asker.ask()
    said = answer.read()
    assert (answer.status, said[: len(body)]) == (200, body)
    assert answer.headers["content-type"].startswith("text/html" if shape == "html" else "application/json")
    assert numbers(asker.ask()) == [1, 2, 3, 4, 5, 6]
    assert receipt(world) == (1, 1, 1)


def test_numbers_as_texts(world: World, asker: Asker) -> None:
    arm(world, {"http_wrong_json": "strings"}, "harvest(1)")
    assert json.loads(asker.ask().read())[0]["metadata"]["sequenceID"] == "100001"


def test_pages_of_a_size_nobody_asked_for(world: World, asker: Asker) -> None:
    arm(world, {"http_page_size": 4}, "page")
    assert numbers(asker.ask(pageSize=2)) == [1, 2, 3, 4]
    assert numbers(asker.ask(pageSize=100, page=2)) == [5, 6]
    assert receipt(world) == (2, 2, 1)  # nobody knows yet whether the second was read


@pytest.mark.parametrize("header", [True, False])
def test_a_later_page_is_gone_with_and_without_the_header(world: World, asker: Asker, header: bool) -> None:
    arm(world, {"http_gone": header}, "page(2)")
    assert numbers(asker.ask(pageSize=3, page=1)) == [1, 2, 3]
    answer = asker.ask(pageSize=3, page=2)
    assert (answer.status, json.loads(answer.read())["errors"][0]["status"]) == (410, 410)
    assert answer.headers["X-Axway-Max-Sequence-Id"] == ("100006" if header else None)
    assert numbers(asker.ask(pageSize=3, page=1)) == [1, 2, 3]
    assert receipt(world) == (1, 1, 1)


@pytest.mark.parametrize("on", ["http", "harvest", "page"])
@pytest.mark.parametrize("do", ["blackhole", {"blackhole": "to_client"}, "abort", "close", {"restart": "1h"}], ids=str)
def test_what_breaks_the_line_when_a_request_is_about_to_be_answered_leaves_it_without_an_answer(
    world: World, asker: Asker, on: str, do: object
) -> None:
    arm(world, do, f"{on}(1)")
    asker.say()
    world.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE)
    assert receipt(world)[:2] == (1, 1)
    asker.connection.sock.settimeout(0.1 if "blackhole" in str(do) else PATIENCE)
    with pytest.raises((ConnectionError, TimeoutError)):
        asker.connection.getresponse()


@pytest.mark.parametrize(
    "do", [{"latency": {"delay": "50ms", "direction": "to_client"}}, {"bandwidth": {"rate": 50_000}}], ids=str
)
def test_a_line_that_is_slow_from_a_request_on_is_slow_for_its_answer(world: World, asker: Asker, do: object) -> None:
    arm(world, do, "harvest(1)")
    began = time.monotonic()
    assert numbers(asker.ask()) == [1, 2, 3, 4, 5, 6]
    assert time.monotonic() - began >= 0.05
    assert receipt(world)[:2] == (1, 1)


@pytest.mark.parametrize(
    ("do", "status", "on_wire"), [({"http_page_size": 1}, 401, 0), ({"http_wrong_json": "object"}, 200, 1)], ids=str
)
def test_a_request_without_a_good_token_has_its_own_answer(world: World, do: object, status: int, on_wire: int) -> None:
    arm(world, do, "harvest(1)")
    answer = request(world.address, "GET", f"/events{TOPIC}", headers={"Authorization": "Bearer x"})
    assert answer.status == status
    assert receipt(world)[:2] == (1, on_wire)


def test_a_page_of_what_is_gone_has_no_size(world: World, asker: Asker) -> None:
    world._live_host().central.purge(0.0, keep=0)
    arm(world, {"http_page_size": 1}, "harvest(1)")
    assert asker.ask(query="sequenceID>1").status == 410
    assert receipt(world)[:2] == (1, 0)


@pytest.mark.parametrize("do", [{"http_truncate": 0.5}, {"http_trickle": {"every": "1ms", "pieces": 3}}], ids=str)
def test_an_answer_without_a_body_cannot_break_off_or_come_in_pieces(world: World, asker: Asker, do: object) -> None:
    world.arm(parse_fault({"name": "it", "on": "http(1)", "do": do}))
    world.arm(parse_fault({"name": "error", "on": "http(1)", "do": {"http_error": 503}}))
    assert asker.ask().read() == b""
    assert asker.ask().status == 200  # on the same connection
    assert [(shown["triggered"], shown["on_wire"]) for shown in world.faults()] == [(1, 0), (1, 1)]


# ------------------------------------------------------------------------------------------ credentials
KEY = ec.generate_private_key(ec.SECP256R1())


def fetch(world: World) -> Answer:
    """A token, asked for as an agent does."""
    claims = {"iss": "c", "sub": "c", "aud": f"{world.auth_url}/realms/Broker", "exp": 2**31, "jti": str(uuid.uuid4())}
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": jwt.encode(claims, KEY, "ES256"),
    }
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/auth/realms/Broker/protocol/openid-connect/token"
    return request(world.address, "POST", path, urlencode(form).encode(), headers)


def granted(world: World) -> str:
    answer = fetch(world)
    assert answer.status == 200
    token: str = answer.json()["access_token"]
    return token


def claims_of(token: str) -> dict[str, Any]:
    return dict(jwt.decode(token, options={"verify_signature": False}))


@pytest.mark.parametrize(
    ("do", "claim"),
    [
        ("wrong_audience", ("aud", "somebody-else")),
        ({"bad_exp": "missing"}, ("exp", None)),
        ({"bad_exp": "text"}, ("exp", str)),
        ({"bad_exp": "past"}, ("exp", int)),
    ],
)
def test_a_bad_token_is_refused_and_the_next_one_is_good(world: World, do: object, claim: tuple[str, Any]) -> None:
    arm(world, do, "token(1)")
    bad, name = granted(world), claim[0]
    found = (
        claims_of(bad).get(name)
        if name == "aud"
        else json.loads(jwt.utils.base64url_decode(bad.split(".")[1])).get(name)
    )
    assert isinstance(found, claim[1]) if isinstance(claim[1], type) else found == claim[1]
    with Watch(world, token=bad) as watch:
        assert watch.end()[0] == "UNAUTHENTICATED"
    with Watch(world, token=granted(world)):
        subscribed(world)
    assert receipt(world) == (1, 1, 1)


def test_the_same_token_is_handed_out_again(world: World) -> None:
    first = granted(world)
    arm(world, "pinned_token", "token", times=2)
    assert [granted(world) == first for _ in range(3)] == [True, True, False]
    assert receipt(world)[:2] == (2, 2)


def test_revoked_tokens_end_their_streams_and_fresh_ones_are_good(world: World) -> None:
    arm(world, "revoke_tokens", "publish(1)")
    with Watch(world) as watch:
        subscribed(world)
        world.publish(service())
        watch.events(1)
        assert watch.end() == ("UNAUTHENTICATED", "the token of this stream was revoked")
        old = watch.token
    with Watch(world, token=old) as watch:
        assert watch.end() == ("UNAUTHENTICATED", "token refused: revoked")
    with Watch(world):
        subscribed(world, 2)
    assert receipt(world) == (1, 1, 1)


def test_a_clock_ahead_takes_tokens_for_expired_and_one_behind_issues_them_old(world: World) -> None:
    before = world.issue_token()
    arm(world, {"clock_skew": {"ahead": "2h"}}, "publish(1)")
    with Watch(world, token=before) as watch:
        subscribed(world)
        world.publish(service())
        watch.events(1)
        assert watch.end() == ("UNAUTHENTICATED", "the token of this stream has expired")
    ahead = claims_of(granted(world))["iat"]
    arm(world, {"clock_skew": {"behind": "2h"}}, "publish(2)")
    world.publish(service())
    with pytest.raises(jwt.ExpiredSignatureError):
        jwt.decode(granted(world), options={"verify_signature": False, "verify_exp": True})
    assert ahead > 0
    assert receipt(world)[:2] == (1, 1)


# ------------------------------------------------------------------------------------------ the server's life
def test_numbers_begin_again_under_an_open_stream(world: World) -> None:
    arm(world, {"reset_sequence": 5}, "publish(2)")
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(name) for name in "abcd"])
        assert watch.sequences(4) == [100001, 100002, 5, 6]
    assert [element["metadata"]["sequenceID"] for element in harvest(world).json()] == [5, 6]
    assert receipt(world) == (1, 1, 1)


def test_a_topic_deleted_under_its_stream_comes_back_with_a_new_id_and_no_history(world: World) -> None:
    arm(world, {"delete_topic": "20ms"}, "event(2)")
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service("a"), service("b")])
        [first] = watch.events(1)
        assert watch.end() == ("NOT_FOUND", "watch topic sample was deleted")
    world.wait_for(lambda record: record["kind"] == "topic.created", PATIENCE)
    with Watch(world) as watch:
        subscribed(world, 2)
        world.publish(service("c"))
        [again] = watch.events(1)
    assert again.metadata.watchTopicID != first.metadata.watchTopicID
    assert len(harvest(world).json()) == 1
    assert receipt(world) == (1, 1, 1)


def test_a_topic_that_does_not_come_back_is_unknown(world: World) -> None:
    arm(world, {"delete_topic": {"topic": "sample"}}, "publish(1)")
    world.publish(service())
    with Watch(world) as watch:
        assert watch.end()[0] == "NOT_FOUND"
    assert receipt(world) == (1, 1, 1)


@pytest.mark.parametrize("do", [{"wrong_audience": "x"}, {"bad_exp": "past"}, "pinned_token"], ids=str)
def test_a_refused_request_for_a_token_shows_nothing_of_what_its_token_was_to_be(world: World, do: object) -> None:
    arm(world, do, "token(1)")
    path = "/auth/realms/Broker/protocol/openid-connect/token"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    assert request(world.address, "POST", path, b"grant_type=nonsense", headers).status == 401
    assert receipt(world) == (1, 0, 0)


def test_a_first_token_cannot_be_one_that_was_there_before(world: World) -> None:
    arm(world, "pinned_token", "token(1+)")
    first = granted(world)
    assert receipt(world) == (1, 0, 0)
    assert granted(world) == first
    assert receipt(world)[:2] == (2, 1)
