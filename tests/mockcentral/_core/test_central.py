"""Central's rules, one by one: who may watch, what is delivered from when, how a call ends, what is remembered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.actions import (
    AckPing,
    AnswerCall,
    AnswerEvent,
    AnswerHttp,
    AnswerPing,
    BlackHole,
    CloseConnection,
    EndCall,
    ExpireTokens,
    GoAway,
    PurgeLog,
    ResetCall,
    Restart,
    SendEvents,
    SendPing,
    StartListening,
    StopListening,
)
from mockcentral._core.calls import AGENT_STATUS, PING_RESPONSE, TOKEN_REFRESH, WATCH_PATH, WatchRequest
from mockcentral._core.central import Page
from mockcentral._core.dates import event_time
from mockcentral._core.events import Op
from mockcentral._core.log import MAX_SEQUENCE, Gone
from mockcentral.scenario.schema import (
    AbortAfter,
    Attempt,
    Filter,
    FilterScope,
    LogSettings,
    PingSettings,
    Publish,
    Scenario,
    StatusSettings,
    TokenSettings,
    Topic,
    Traffic,
)
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, Span
from tests.mockcentral._core.rig import ALL, NONE, OTHER, TENANT, TOPIC, WALL, Rig, change, rule, sign

V1ALPHA1 = TOPIC.replace("/v1/", "/v1alpha1/")


def scenario(**more: Any) -> Scenario:
    return Scenario(scenario="test", about="a test", **more)


# ------------------------------------------------------------------------------------------ opening a call (1.4)
def test_a_good_client_is_let_in_and_hears_nothing_until_something_happens() -> None:
    rig = Rig()
    call = rig.watch()
    assert rig.take() == []
    [opened] = rig.records("stream.open")
    assert (opened["attempt"], opened["path"], opened["tenant"]) == (call, WATCH_PATH, TENANT)
    assert rig.last("stream.request")["accepted"] is True


@pytest.mark.parametrize(
    ("token", "reason"),
    [("", "no token"), ("abc", "not a JWT"), (sign({"exp": WALL + 60}), "not issued by this world")],
)
def test_a_call_without_a_good_token_is_unauthenticated(token: str, reason: str) -> None:
    rig = Rig()
    call = rig.open(token=token)
    assert rig.take() == [EndCall(call, 16, f"token refused: {reason}")]
    assert rig.end(call) == ("UNAUTHENTICATED", "server")


def test_a_call_without_the_header_is_unauthenticated() -> None:
    rig = Rig()
    call = rig.central.call_opened(rig.connect(), 1, WATCH_PATH, {"x-axway-tenant-id": TENANT}, 0.0)
    assert rig.take() == [EndCall(call or 0, 16, "token refused: no token")]


def test_an_expired_token_is_refused_at_the_header_and_at_the_first_message() -> None:
    rig = Rig()
    token = rig.token(5.0)
    late = rig.open(token=rig.token(60.0))
    rig.now = 5.0
    assert rig.end(rig.open(token=token)) == ("UNAUTHENTICATED", "server")
    rig.ask(late, token=token)
    assert rig.end(late) == ("UNAUTHENTICATED", "server")
    assert rig.last("stream.request")["accepted"] is False


def test_any_jwt_with_a_future_exp_will_do_when_the_world_says_so() -> None:
    rig = Rig(token=TokenSettings(accept="any"))
    call = rig.watch(token=sign({"exp": WALL + 9}))
    rig.publish()
    assert rig.sent(call) == [100001]
    assert rig.at(8.9) == []
    assert rig.at(9.1) == [EndCall(call, 16, "the token of this stream has expired")]


@pytest.mark.parametrize("tenant", ["", "999", TENANT + " "])
def test_a_foreign_tenant_is_denied(tenant: str) -> None:
    rig = Rig()
    call = rig.open(x_axway_tenant_id=tenant)
    assert rig.end(call) == ("PERMISSION_DENIED", "server")


def test_an_unknown_topic_is_not_found() -> None:
    rig = Rig()
    call = rig.watch("/management/v1/watchtopics/nobody")
    assert rig.end(call) == ("NOT_FOUND", "server")
    assert rig.last("stream.request")["accepted"] is False


def test_an_unknown_method_is_unimplemented_and_counts_as_no_attempt() -> None:
    rig = Rig(scenario(attempts=(Attempt(refuse=Code.UNAVAILABLE),)))
    stray = rig.central.call_opened(rig.connect(), 1, "/central.events.v1.Watch/Subscribe", {}, 0.0)
    assert stray is not None
    assert rig.end(stray) == ("UNIMPLEMENTED", "server")
    first = rig.open()
    assert first == 1
    assert rig.end(first) == ("UNAVAILABLE", "server")


def test_every_refusal_has_the_status_the_scenario_wants() -> None:
    statuses = StatusSettings(
        bad_token=Code.UNKNOWN,
        expired_token=Code.ABORTED,
        unknown_topic=Code.INTERNAL,
        foreign_tenant=Code.DATA_LOSS,
    )
    rig = Rig(status=statuses)
    token = rig.token(5.0)
    assert rig.end(rig.open(token="x"))[0] == "UNKNOWN"
    assert rig.end(rig.open(x_axway_tenant_id="x"))[0] == "DATA_LOSS"
    assert rig.end(rig.watch("/nowhere"))[0] == "INTERNAL"
    rig.now = 6.0
    assert rig.end(rig.open(token=token))[0] == "ABORTED"


def test_a_call_on_a_connection_that_is_gone_is_no_call() -> None:
    rig = Rig()
    connection = rig.connect()
    rig.central.connection_closed(connection, 0.0, by="client", reason="x")
    assert rig.central.call_opened(connection, 1, WATCH_PATH, {}, 0.0) is None
    assert rig.records("stream.open") == []


# ------------------------------------------------------------------------------------------ messages (1.5)
def test_both_versions_of_a_link_name_the_same_topic() -> None:
    rig = Rig()
    first, second = rig.watch(TOPIC), rig.watch(V1ALPHA1)
    sequence = rig.publish()
    assert rig.sent(first) == rig.sent(second) == [sequence]


def test_a_subscription_may_say_token_refresh_explicitly_and_offer_unknown_capabilities() -> None:
    rig = Rig()
    call = rig.watch(request_type=TOKEN_REFRESH, capabilities=("telepathy",))
    record = rig.last("stream.request")
    assert (record["request"], record["capabilities"], record["request_type"]) == ("subscribe", ["telepathy"], 0)
    assert call in rig.central.calls


@pytest.mark.parametrize("link", ["", TOPIC])
def test_an_agent_status_may_come_first_with_or_without_a_link(link: str) -> None:
    rig = Rig()
    call = rig.open()
    status = WatchRequest(self_link=link, request_type=AGENT_STATUS, state="running", message="hello")
    rig.central.request_received(call, status, 0.0)
    record = rig.last("stream.request")
    assert (record["request"], record["state"], record["message"]) == ("agent_status", "running", "hello")
    rig.ask(call)
    rig.publish()
    assert rig.sent(call) == [100001]


AGENT = Filter(kind="DiscoveryAgent", name="d", scope=FilterScope(kind="Environment", name="e"))
STATUS = "/management/environments/e/discoveryagents/d"


def reporting(**world: Any) -> tuple[Rig, int]:
    """An agent on its own topic."""
    rig = Rig(Scenario(scenario="x", about="y", topics=(Topic(name="all", filters=(AGENT,)),)), **world)
    rig.publish("d", kind="DiscoveryAgent")
    return rig, rig.watch()


def report(rig: Rig, call: int, state: str) -> Any:
    said = WatchRequest(self_link=TOPIC, request_type=AGENT_STATUS, state=state, message=f"is {state}")
    rig.central.request_received(call, said, rig.now)
    stored = rig.central.resources.get(STATUS)
    assert stored is not None
    return stored.get("status")


def test_what_an_agent_says_on_its_stream_becomes_its_status_and_an_event() -> None:
    rig, call = reporting()
    assert report(rig, call, "unhealthy")["state"] == "unhealthy"
    status = report(rig, call, "running")
    assert (status["state"], status["previousState"], status["message"]) == ("running", "unhealthy", "is running")
    assert status["lastActivityTime"] == rig.central.timestamp(rig.now)
    assert [record["op"] for record in rig.records("stream.event")] == ["SUBRESOURCEUPDATED"] * 2


@pytest.mark.parametrize("scope", [AGENT.scope, None, FilterScope(kind="*"), FilterScope(kind="Environment")])
def test_a_topic_that_names_no_agent_is_about_the_only_one_of_its_kind(scope: FilterScope | None) -> None:
    """As the topics are that agents make for themselves."""
    topic = Topic(name="all", filters=(replace(AGENT, name="*", scope=scope),))
    rig = Rig(Scenario(scenario="x", about="y", topics=(topic,)))
    rig.publish("d", kind="DiscoveryAgent")
    assert report(rig, rig.watch(), "running")["state"] == "running"


def test_whose_status_it_is_cannot_be_told_of_two_agents_on_one_topic() -> None:
    rig, call = reporting()
    agents = {"group": "management", "kind": "DiscoveryAgent", "name": "*", "type": ["updated"]}
    rig.central.put_topic("all", {"spec": {"filters": [agents]}}, rig.now)
    rig.publish("other", kind="DiscoveryAgent")
    assert report(rig, call, "running") is None


def test_a_status_may_be_for_the_journal_alone() -> None:
    rig, call = reporting(agent_status="ignore")
    assert report(rig, call, "running") is None
    assert rig.last("stream.request")["state"] == "running"


def test_a_status_of_an_agent_that_is_not_there_changes_nothing() -> None:
    rig, call = reporting()
    rig.central.resources.delete(STATUS)
    said = WatchRequest(self_link=TOPIC, request_type=AGENT_STATUS, state="running")
    rig.central.request_received(call, said, rig.now)
    assert STATUS not in rig.central.resources
    assert call in rig.central.calls


# ------------------------------------------------------------------------- where the real service is unknown
def test_the_first_message_may_have_to_bring_the_token_of_the_call() -> None:
    rig = Rig(token=TokenSettings(first_message="same"))
    token = rig.token()
    assert rig.watch(token=token) in rig.central.calls
    call = rig.open(token=token)
    rig.ask(call, token=rig.token())
    assert rig.take() == [EndCall(call, 16, "the first message has another token than the call's metadata")]
    assert not rig.last("stream.request")["accepted"]
    assert not rig.records("subscribe")


def test_a_second_stream_on_a_topic_may_end_the_first() -> None:
    rig = Rig(same_topic="newest")
    first, elsewhere = rig.watch(), rig.watch(OTHER)
    second = rig.watch()
    assert rig.take() == [EndCall(first, 10, f"stream {second} watches the topic now")]
    assert {second, elsewhere} <= rig.central.calls.keys()


def test_a_client_that_does_not_answer_pings_may_lose_its_stream() -> None:
    rig = Rig(ping=PingSettings(every=Duration(10.0), unanswered=2), token=TokenSettings(life=Duration(1e6)))
    call = rig.watch(capabilities=("ping",))
    for at in (10.0, 20.0):
        pings = [order for order in rig.at(at) if isinstance(order, SendEvents)]
        assert len(pings) == 1
    answer = WatchRequest(request_type=PING_RESPONSE, ping_id=pings[0].events[0].event.id)
    rig.central.request_received(call, answer, rig.now)
    assert len(rig.at(40.0)) == 2
    assert rig.at(50.0) == [EndCall(call, 14, "2 PINGs without an answer")]


def test_a_ping_response_is_recorded_with_its_id_whenever_it_comes() -> None:
    rig = Rig()
    call = rig.open()
    rig.central.request_received(call, WatchRequest(request_type=PING_RESPONSE, ping_id="abc"), 0.0)
    record = rig.last("stream.request")
    assert (record["request"], record["id"], record["topic"]) == ("ping_response", "abc", "")
    assert call in rig.central.calls


def test_a_message_that_is_none_ends_the_call() -> None:
    rig = Rig()
    call = rig.open()
    rig.central.bad_request(call, "no Request", 0.0)
    assert rig.take() == [EndCall(call, 3, "no Request")]


def test_half_closing_completes_the_call() -> None:
    rig = Rig()
    for call in (rig.open(), rig.watch()):
        rig.central.call_half_closed(call, 0.0)
        assert rig.end(call) == ("OK", "server")


def test_a_client_that_resets_its_call_hears_no_more_and_gets_no_answer() -> None:
    rig = Rig()
    call = rig.watch()
    rig.central.call_closed(call, 0.0)
    rig.publish()
    assert rig.take() == []
    assert rig.end(call) == ("CANCELLED", "client")
    assert rig.last("stream.end")["graceful"] is True


def test_news_of_things_that_are_gone_is_ignored() -> None:
    rig = Rig()
    connection = rig.connect()
    call = rig.open(connection=connection)
    rig.central.connection_closed(connection, 0.0, by="client", reason="closed")
    before = len(rig.journal)
    rig.central.request_received(call, WatchRequest(), 0.0)
    rig.central.call_closed(call, 0.0)
    rig.central.call_half_closed(call, 0.0)
    rig.central.bad_request(call, "x", 0.0)
    rig.central.ping_received(connection, b"12345678", 0.0)
    rig.central.connection_speaks(connection, "h2", 0.0)
    rig.central.connection_closed(connection, 0.0, by="client", reason="again")
    for order in (EndCall(call, 14), ResetCall(call, 8), GoAway(connection), BlackHole(connection)):
        rig.central.command(order, 0.0)
    rig.central.command(CloseConnection(connection), 0.0)
    assert len(rig.journal) == before
    assert rig.take() == []


def test_a_connection_may_be_broken_before_it_got_an_answer() -> None:
    rig = Rig(Scenario(scenario="x", about="y", faults=(rule("down", "preface", CloseConnection(0), nth=2),)))
    first, _ = rig.connect(), rig.connect()
    assert [record["conn"] for record in rig.journal if record["kind"] == "conn.close"] == [first, first + 1]
    assert rig.central.call_opened(first + 1, 1, "/x", {}, 0.0) is None


# ------------------------------------------------------------------------------------------ delivery (1.7, 5.4)
def test_events_published_between_headers_and_first_message_are_delivered_from_stream_open() -> None:
    rig = Rig()
    rig.publish("before")
    call = rig.open()
    between = [rig.publish("b1"), rig.publish("b2")]
    assert rig.sent(call) == []  # the topic is not known yet
    rig.ask(call)
    assert rig.sent(call) == between
    after = rig.publish("a1")
    assert rig.sent(call) == [*between, after]


def test_with_delivery_first_request_they_are_not() -> None:
    rig = Rig(delivery="first_request")
    call = rig.open()
    rig.publish("between")
    rig.ask(call)
    after = rig.publish("after")
    assert rig.sent(call) == [after]


def test_what_was_purged_between_headers_and_first_message_is_gone() -> None:
    rig = Rig()
    call = rig.open()
    rig.publish("b1")
    rig.publish("b2")
    rig.central.purge(0.0, keep=1)
    rig.ask(call)
    assert rig.sent(call) == [100002]


def test_what_a_full_log_dropped_meanwhile_is_gone_too() -> None:
    rig = Rig(log=LogSettings(keep=2))
    call = rig.open()
    rig.publish("b1", kind="Nothing")
    rig.publish("x")
    rig.publish("y")
    rig.ask(call, OTHER)
    assert rig.sent(call) == []


def test_a_stream_gets_what_its_topic_matches_and_nothing_else() -> None:
    environment = Topic(name="all", filters=(Filter(kind="APIService", type=("created",)),))
    rig = Rig(scenario(topics=(environment, NONE)))
    mine, other = rig.watch(TOPIC), rig.watch(OTHER)
    wanted = rig.publish("x")
    rig.publish("x", op=Op.UPDATED)
    rig.publish("x", kind="Credential")
    assert rig.sent(mine) == [wanted]
    assert rig.sent(other) == []
    assert [record["topics"] for record in rig.records("event.published")] == [[TOPIC], [], []]


def test_all_subscribers_of_a_topic_share_one_event_object_so_it_is_encoded_once() -> None:
    rig = Rig()
    calls = [rig.watch(), rig.watch(V1ALPHA1)]
    rig.publish()
    sends = [order for order in rig.take() if isinstance(order, SendEvents)]
    assert sorted(order.call for order in sends) == calls
    assert sends[0].events[0] is sends[1].events[0]
    page = rig.central.harvest(TOPIC, {}, 0.0)
    assert isinstance(page, Page)
    assert page.events[0] is sends[0].events[0]


def test_the_payload_names_id_link_and_scope_and_they_stay_the_same_for_a_resource() -> None:
    rig = Rig()
    events = [rig.central.publish(change(op=op), 0.0) for op in (Op.CREATED, Op.UPDATED, Op.DELETED, Op.CREATED)]
    created, updated, deleted, again = (event.change for event in events)
    assert created.resource_id == updated.resource_id == deleted.resource_id != again.resource_id
    assert created.self_link == "/management/v1/environments/e/apiservices/petstore"
    assert created.scope is not None
    assert created.scope.self_link == "/management/v1/environments/e"
    assert created.scope == again.scope
    assert rig.central.resources.get("/management/environments/e/apiservices/petstore") is not None


def test_a_subresource_update_leaves_its_mark_on_the_resource() -> None:
    rig = Rig()
    rig.publish()
    event = rig.central.publish(replace(change(op=Op.SUBRESOURCEUPDATED), subresource="status"), 0.0)
    stored = rig.central.resources.get("/management/environments/e/apiservices/petstore")
    assert stored is not None
    assert "status" in stored
    assert event.change.subresource == "status"


def test_sequences_are_the_worlds_and_have_holes_when_told_so() -> None:
    rig = Rig(log=LogSettings(first_sequence=5, step=CountSpan(1, 9)))
    sequences = [rig.publish(f"s{n}") for n in range(50)]
    steps = {later - sooner for sooner, later in pairwise(sequences)}
    assert sequences[0] == 5
    assert len(steps) > 3
    assert steps <= set(range(1, 10))


def test_publishing_when_int64_is_used_up_changes_nothing() -> None:
    rig = Rig(log=LogSettings(first_sequence=2**62, step=CountSpan(2**62 - 1, 2**62 - 1)))
    rig.publish("a")
    assert rig.publish("b") == MAX_SEQUENCE
    before = len(rig.journal)
    with pytest.raises(OverflowError):
        rig.publish("c")
    assert len(rig.journal) == before
    assert "/management/environments/e/apiservices/c" not in rig.central.resources


# ------------------------------------------------------------------------------------------ application PINGs (1.7)
def test_only_streams_that_offered_the_capability_are_pinged() -> None:
    rig = Rig(ping=PingSettings(every=Duration(30.0)))
    modern = rig.watch(capabilities=("x", "ping"), token=rig.token(999.0))
    rig.watch(token=rig.token(999.0))
    rig.open(token=rig.token(999.0))
    orders = rig.at(95.0)
    sends = [order for order in orders if isinstance(order, SendEvents)]
    assert [(order.call, order.events[0].event.op) for order in sends] == [(modern, Op.PING)] * 3
    assert len({order.events[0].event.id for order in sends}) == 3
    assert [record["t"] for record in rig.records("stream.event")] == [30.0, 60.0, 90.0]
    assert orders == sends


def test_pings_end_with_the_stream_and_may_be_switched_off() -> None:
    rig = Rig()
    call = rig.watch(capabilities=("ping",))
    rig.central.call_closed(call, 0.0)
    assert rig.at(100.0) == []
    quiet = Rig(ping=PingSettings(every=None))
    quiet.watch(capabilities=("ping",))
    assert quiet.at(1000.0) == []


# ------------------------------------------------------------------------------------------ tokens on the stream
def test_a_refresh_moves_the_end_of_the_stream() -> None:
    rig = Rig()
    call = rig.watch(token=rig.token(20.0))
    rig.at(15.0)
    rig.ask(call, token=rig.token(20.0))
    record = rig.last("stream.request")
    assert (record["request"], record["accepted"], record["request_type"]) == ("token_refresh", True, None)
    assert record["token_expires_in"] == pytest.approx(20.0)
    assert rig.at(34.9) == []
    assert rig.at(35.1) == [EndCall(call, 16, "the token of this stream has expired")]


def test_the_same_token_again_is_a_good_refresh_that_moves_nothing() -> None:
    rig = Rig()
    token = rig.token(20.0)
    call = rig.watch(token=token)
    rig.at(16.0)
    rig.ask(call, token=token)
    assert call in rig.central.calls
    assert rig.at(20.0) == [EndCall(call, 16, "the token of this stream has expired")]


def test_a_shorter_token_brings_the_end_forward() -> None:
    rig = Rig()
    call = rig.watch(token=rig.token(100.0))
    rig.ask(call, token=rig.token(10.0))
    assert rig.at(10.0) == [EndCall(call, 16, "the token of this stream has expired")]


def test_a_refresh_with_a_bad_or_expired_token_ends_the_stream() -> None:
    rig = Rig()
    stale = rig.token(5.0)
    first, second = rig.watch(), rig.watch()
    rig.now = 6.0
    rig.ask(first, token=stale)
    rig.ask(second, token="nonsense")
    assert rig.end(first) == rig.end(second) == ("UNAUTHENTICATED", "server")
    assert [record["accepted"] for record in rig.records("stream.request", request="token_refresh")] == [False, False]


def test_a_refresh_that_names_another_topic_ends_the_stream() -> None:
    rig = Rig()
    call = rig.watch(TOPIC)
    rig.ask(call, OTHER)
    assert rig.end(call) == ("INVALID_ARGUMENT", "server")


def test_a_refresh_in_the_other_version_of_the_link_is_the_same_topic() -> None:
    rig = Rig()
    call = rig.watch(TOPIC)
    rig.ask(call, V1ALPHA1)
    assert call in rig.central.calls


def test_a_token_that_expires_before_the_first_message_ends_the_call() -> None:
    rig = Rig()
    call = rig.open(token=rig.token(10.0))
    assert rig.at(10.0) == [EndCall(call, 16, "the token of this stream has expired")]


def test_with_on_expiry_ignore_nothing_ends() -> None:
    rig = Rig(token=TokenSettings(on_expiry="ignore"), ping=PingSettings(every=None))
    call = rig.watch(token=rig.token(10.0))
    assert rig.at(50.0) == []
    rig.central.expire_tokens(rig.now)
    assert rig.take() == []
    rig.publish()
    assert rig.sent(call) == [100001]


def test_expiring_all_tokens_ends_every_stream_and_refuses_them_from_then_on() -> None:
    rig = Rig()
    token = rig.token()
    calls = [rig.watch(token=token), rig.open(token=token)]
    assert rig.central.expire_tokens(0.0) == 1
    assert [rig.end(call) for call in calls] == [("UNAUTHENTICATED", "server")] * 2
    assert rig.end(rig.open(token=token)) == ("UNAUTHENTICATED", "server")
    assert rig.watch() in rig.central.calls  # with a token issued afterwards


def test_expiring_one_token_ends_the_streams_that_live_on_it() -> None:
    rig = Rig()
    one, two = rig.token(), rig.token()
    first, second = rig.watch(token=one), rig.watch(token=two)
    mark = rig.records("token.issued")[0]["token"]
    assert rig.central.expire_tokens(0.0, mark) == 1
    assert first not in rig.central.calls
    assert second in rig.central.calls


def test_a_stream_that_refreshed_outlives_its_first_token() -> None:
    rig = Rig()
    call = rig.watch(token=rig.token())
    rig.ask(call, token=rig.token())
    first = rig.records("token.issued")[0]["token"]
    rig.central.expire_tokens(0.0, first)
    assert call in rig.central.calls


# ------------------------------------------------------------------------------------------ connections, PINGs
def test_a_ping_is_acked_at_once_and_counted_per_connection() -> None:
    rig = Rig()
    first, second = rig.connect(), rig.connect()
    for connection, payload in ((first, b"a" * 8), (first, b"b" * 8), (second, b"c" * 8)):
        rig.central.ping_received(connection, payload, 0.0)
    assert rig.take() == [AckPing(first, b"a" * 8), AckPing(first, b"b" * 8), AckPing(second, b"c" * 8)]
    assert [(r["conn"], r["nth"]) for r in rig.records("ping.acked")] == [(first, 1), (first, 2), (second, 1)]


def test_a_ping_may_be_acked_late_or_never() -> None:
    faults = (
        rule("never", "ping", AnswerPing(None), nth=1),
        rule("late", "ping", AnswerPing(12.0), nth=2),
    )
    rig = Rig(scenario(faults=faults))
    connection = rig.connect()
    rig.central.ping_received(connection, b"1" * 8, 0.0)
    rig.central.ping_received(connection, b"2" * 8, 0.0)
    assert rig.at(11.9) == []
    assert rig.at(12.0) == [AckPing(connection, b"2" * 8)]
    assert rig.last("ping.withheld")["nth"] == 1
    assert (rig.last("ping.acked")["nth"], rig.last("ping.acked")["delay"]) == (2, 12.0)
    assert [record["fault"] for record in rig.records("fault.on_wire")] == ["never", "late"]


def test_a_late_ack_is_on_the_wire_from_the_moment_it_is_missing_and_only_once() -> None:
    rig = Rig(scenario(faults=(rule("late", "ping", AnswerPing(12.0)),)))
    connection = rig.connect()
    rig.central.ping_received(connection, b"1" * 8, 0.0)
    assert rig.last("fault.on_wire")["fault"] == "late"
    rig.at(12.0)
    assert len(rig.records("fault.on_wire")) == 1


def test_a_late_ack_for_a_connection_that_went_or_was_silenced_is_not_sent() -> None:
    rig = Rig(scenario(faults=(rule("late", "ping", AnswerPing(12.0)),)))
    gone, silent = rig.connect(), rig.connect()
    for connection in (gone, silent):
        rig.central.ping_received(connection, b"1" * 8, 0.0)
    rig.central.connection_closed(gone, 1.0, by="client", reason="closed")
    rig.central.command(BlackHole(silent), 1.0)
    rig.take()
    assert rig.at(20.0) == []
    assert rig.records("ping.acked") == []


def test_when_a_connection_goes_its_calls_go_with_it() -> None:
    rig = Rig()
    connection = rig.connect()
    calls = [rig.open(connection=connection), rig.open(connection=connection)]
    rig.central.connection_closed(connection, 0.0, by="client", reason="closed")
    assert [rig.end(call) for call in calls] == [("CANCELLED", "client")] * 2
    assert rig.last("conn.close")["by"] == "client"
    assert (rig.central.calls, rig.central.connections) == ({}, {})


@pytest.mark.parametrize(
    ("silent", "end", "reset"),
    [
        (False, lambda rig: rig.central.command(CloseConnection(0, abort=True), 0.0), True),
        (False, lambda rig: rig.central.restart(1.0, 0.0), True),
        (False, lambda rig: rig.central.command(CloseConnection(0), 0.0), None),
        (True, lambda rig: rig.central.command(CloseConnection(0), 0.0), True),
    ],
)
def test_the_journal_tells_a_reset_from_a_close(silent: bool, end: Callable[[Rig], None], reset: bool | None) -> None:
    rig = Rig()
    rig.watch()
    if silent:
        rig.central.command(BlackHole(0), 0.0)
    end(rig)
    assert rig.last("conn.close").get("reset") is reset


def test_a_black_hole_tells_nobody_and_its_end_is_not_graceful() -> None:
    rig = Rig()
    call = rig.watch()
    [connection] = rig.central.connections
    rig.central.command(BlackHole(0), 0.0)
    assert rig.take() == [BlackHole(connection)]
    assert call in rig.central.calls
    rig.central.connection_closed(connection, 0.0, by="client", reason="closed")
    assert rig.last("stream.end")["graceful"] is False


def test_a_status_sent_into_a_black_hole_is_no_graceful_end() -> None:
    rig = Rig()
    call = rig.watch()
    rig.central.command(BlackHole(0), 0.0)
    rig.central.expire_tokens(0.0)
    assert rig.end(call) == ("UNAUTHENTICATED", "server")
    assert rig.last("stream.end")["graceful"] is False


def test_a_connection_that_said_nothing_is_journaled_when_it_goes() -> None:
    rig = Rig()
    connection = rig.central.connection_opened("peer", 0.0)
    rig.central.connection_closed(connection, 1.0, by="client", reason="closed")
    assert rig.last("conn.open")["protocol"] == "unknown"


@pytest.mark.parametrize("abort", [True, False])
def test_closing_all_connections_closes_each_one(abort: bool) -> None:
    rig = Rig()
    calls = [rig.watch(), rig.watch()]
    connections = list(rig.central.connections)
    rig.central.close_connections(0.0, abort=abort)
    assert rig.take() == [CloseConnection(connection, abort) for connection in connections]
    assert [rig.end(call) for call in calls] == [("UNAVAILABLE", "server")] * 2
    assert {record["graceful"] for record in rig.records("stream.end")} == {False}


def test_a_barrier_ping_goes_out_as_it_is() -> None:
    rig = Rig()
    rig.central.send_ping(3, b"12345678")
    assert rig.take() == [SendPing(3, b"12345678")]


# ------------------------------------------------------------------------------------------ attempts
def test_attempts_follow_their_script_and_are_fine_after_it() -> None:
    script = (Attempt(refuse=Code.UNAVAILABLE), Attempt(), Attempt(refuse=Code.RESOURCE_EXHAUSTED))
    rig = Rig(scenario(attempts=script))
    calls = [rig.watch() if n in (1, 3) else rig.open() for n in range(4)]
    assert [rig.end(calls[0]), rig.end(calls[2])] == [("UNAVAILABLE", "server"), ("RESOURCE_EXHAUSTED", "server")]
    assert calls[1] in rig.central.calls
    assert calls[3] in rig.central.calls


def test_an_attempt_is_cut_after_so_many_events() -> None:
    cut = Attempt(abort_after=AbortAfter(events=2, code=Code.INTERNAL))
    rig = Rig(scenario(attempts=(cut,)))
    call = rig.watch()
    sequences = [rig.publish(f"s{n}") for n in range(4)]
    assert rig.sent(call) == sequences[:2]
    assert rig.end(call) == ("INTERNAL", "server")
    orders = [order for order, _ in rig.issues]
    assert isinstance(orders[-1], EndCall)  # after the events, not before them


def test_a_backlog_counts_towards_the_cut() -> None:
    rig = Rig(scenario(attempts=(Attempt(abort_after=AbortAfter(events=2)),)))
    call = rig.open()
    sequences = [rig.publish(f"s{n}") for n in range(5)]
    rig.ask(call)
    assert rig.sent(call) == sequences[:2]
    assert rig.end(call)[0] == "UNAVAILABLE"


def test_a_cut_after_no_events_sends_none_not_even_of_the_backlog() -> None:
    rig = Rig(scenario(attempts=(Attempt(abort_after=AbortAfter(events=0)),)))
    call = rig.open()
    rig.publish()
    rig.ask(call)
    assert rig.sent(call) == []
    assert rig.end(call)[0] == "UNAVAILABLE"
    assert rig.records("stream.event") == []


def test_an_attempt_is_cut_after_some_time_whatever_it_is_doing() -> None:
    rig = Rig(scenario(attempts=(Attempt(abort_after=AbortAfter(time=Span(5.0, 5.0))),) * 2))
    first, second = rig.watch(), rig.open()
    assert rig.at(4.9) == []
    assert {type(order) for order in rig.at(5.0)} == {EndCall}
    assert rig.end(first) == rig.end(second) == ("UNAVAILABLE", "server")


def test_whichever_limit_comes_first_cuts_and_only_once() -> None:
    rig = Rig(scenario(attempts=(Attempt(abort_after=AbortAfter(events=1, time=Span(5.0, 5.0))),)))
    call = rig.watch()
    rig.publish()
    rig.at(60.0)
    assert rig.end(call)[0] == "UNAVAILABLE"


def test_scripting_attempts_shifts_no_sequence_ids() -> None:
    def sequences(*attempts: Attempt) -> list[int]:
        rig = Rig(scenario(attempts=attempts), log=LogSettings(step=CountSpan(1, 100)))
        rig.watch()
        return [rig.publish(f"s{n}") for n in range(10)]

    assert sequences() == sequences(Attempt(abort_after=AbortAfter(time=Span(1.0, 2.0))))


# ------------------------------------------------------------------------------------------ faults
def test_a_fault_may_refuse_the_call_or_the_first_message() -> None:
    faults = (
        rule("at-open", "stream_open", AnswerCall(14, "no"), nth=1),
        rule("at-subscribe", "subscribe", AnswerCall(8, "busy"), nth=1),
    )
    rig = Rig(scenario(faults=faults))
    first, second, third = rig.open(), rig.watch(), rig.watch()
    assert rig.end(first) == ("UNAVAILABLE", "server")
    assert rig.end(second) == ("RESOURCE_EXHAUSTED", "server")
    assert third in rig.central.calls
    rig.take()
    assert [(record["fault"], record["attempt"]) for record in rig.records("fault.on_wire")] == [
        ("at-open", first),
        ("at-subscribe", second),
    ]
    # What the journal calls accepted is what a client may count on: nothing is owed to the second one.
    assert [(one["attempt"], one["accepted"]) for one in rig.records("stream.request")] == [
        (second, False),
        (third, True),
    ]
    told = [one["kind"] for one in rig.journal.since() if one.get("attempt") == second]
    assert told == ["stream.open", "stream.request", "fault.triggered", "stream.end", "fault.on_wire"]


def test_a_fault_with_a_pause_strikes_the_call_it_was_tied_to() -> None:
    rig = Rig(scenario(faults=(rule("drop", "stream_open", EndCall(1, 14), nth=1, after=Span(2.0, 2.0)),)))
    first, second = rig.watch(), rig.watch()
    assert rig.at(1.9) == []
    rig.at(2.0)
    assert rig.end(first) == ("UNAVAILABLE", "server")
    assert second in rig.central.calls
    assert rig.last("fault.triggered")["attempt"] == first


def test_a_planned_strike_whose_call_is_gone_did_not_happen_and_may_happen_again() -> None:
    rig = Rig(scenario(faults=(rule("drop", "stream_open", EndCall(0, 14), times=1, after=Span(2.0, 2.0)),)))
    rig.central.call_closed(rig.open(), 0.0)
    rig.at(5.0)
    assert rig.records("fault.triggered") == []
    second = rig.watch()
    rig.at(10.0)
    assert rig.end(second) == ("UNAVAILABLE", "server")


def test_an_order_for_id_zero_means_every_open_one() -> None:
    rig = Rig(scenario(faults=(rule("all", "publish", EndCall(0, 14), nth=1),)))
    calls = [rig.watch(), rig.open()]
    rig.publish()
    assert [rig.end(call) for call in calls] == [("UNAVAILABLE", "server")] * 2
    assert rig.sent(calls[0]) == [100001]  # it was sent before the end


@pytest.mark.parametrize(
    ("number", "code"),
    [(7, "UNAVAILABLE"), (8, "CANCELLED"), (2, "INTERNAL"), (11, "RESOURCE_EXHAUSTED"), (12, "PERMISSION_DENIED")],
)
def test_a_reset_ends_a_call_without_grace_under_the_code_a_client_sees(number: int, code: str) -> None:
    rig = Rig()
    call = rig.watch()
    rig.central.command(ResetCall(call, number), 0.0)
    assert rig.take() == [ResetCall(call, number)]
    assert rig.end(call) == (code, "server")
    assert rig.last("stream.end")["graceful"] is False


def test_an_event_may_be_lost_or_doubled_on_a_stream_while_history_has_it_once() -> None:
    faults = (rule("lose", "event", AnswerEvent(0), nth=2), rule("twice", "event", AnswerEvent(2), nth=3))
    rig = Rig(scenario(faults=faults))
    call = rig.watch()
    sequences = [rig.publish(f"s{n}") for n in range(4)]
    assert rig.sent(call) == [sequences[0], sequences[2], sequences[2], sequences[3]]
    page = rig.central.harvest(TOPIC, {}, 0.0)
    assert isinstance(page, Page)
    assert page.sequences == sequences
    assert [record["sequence"] for record in rig.records("stream.event")] == rig.sent(call)


def test_a_fault_within_a_backlog_comes_after_the_events_before_it() -> None:
    rig = Rig(scenario(faults=(rule("cut", "event", EndCall(1, 14), nth=3),)))
    call = rig.open()
    sequences = [rig.publish(f"s{n}") for n in range(5)]
    rig.ask(call)
    assert rig.sent(call) == sequences[:2]
    assert [type(order) for order, _ in rig.issues] == [SendEvents, EndCall]
    assert rig.end(call) == ("UNAVAILABLE", "server")


def test_http_faults_answer_delay_or_let_pass() -> None:
    faults = (
        rule("error", "harvest", AnswerHttp(503, headers=(("retry-after", "1"),), body="x"), nth=2),
        rule("slow", "http", AnswerHttp(None, delay=3.0), nth=2),
    )
    rig = Rig(scenario(faults=faults))
    conn = rig.connect()
    assert rig.central.http_request(["http", "harvest"], conn, 0.0) == AnswerHttp()
    both = AnswerHttp(503, 3.0, (("retry-after", "1"),), "x")
    decision = rig.central.http_request(["http", "harvest"], conn, 0.0)
    assert decision == both
    decision = rig.central.http_made(decision, (), 1, conn, 0.0)
    assert [record["fault"] for record in rig.records("fault.on_wire")] == ["slow"]  # the silence begins
    rig.central.http_answered(decision, conn, 3.0)
    assert [record["fault"] for record in rig.records("fault.on_wire")] == ["slow", "error"]
    assert rig.central.http_request(["http", "token"], conn, 0.0) == AnswerHttp()


def test_faults_on_history_and_tokens_change_central_itself() -> None:
    faults = (rule("purge", "publish", PurgeLog(1), nth=3), rule("expire", "publish", ExpireTokens(), nth=3))
    rig = Rig(scenario(faults=faults))
    call = rig.watch()
    for number in range(3):
        rig.publish(f"s{number}")
    assert rig.central.harvest(TOPIC, {"query": "sequenceID>100001"}, 0.0) == Gone(100003)
    assert rig.end(call) == ("UNAUTHENTICATED", "server")
    assert (rig.central.on_wire("purge"), rig.central.on_wire("expire")) == (1, 1)


def test_a_fault_that_restarts_the_server_has_a_receipt_for_going_down() -> None:
    rig = Rig(scenario(faults=(rule("crash", "publish", Restart(2.0), nth=1),)))
    call = rig.watch()
    rig.publish()
    assert StopListening() in rig.take()
    assert rig.end(call) == ("UNAVAILABLE", "server")
    assert rig.at(2.0) == [StartListening()]
    assert rig.last("fault.on_wire")["fault"] == "crash"


def test_a_rule_can_be_armed_and_disarmed_while_the_world_runs() -> None:
    rig = Rig()
    rig.central.arm(rule("refuse", "stream_open", AnswerCall(14)), 0.0)
    assert rig.end(rig.open())[0] == "UNAVAILABLE"
    assert [one.name for one in rig.central.rules] == ["refuse"]
    assert (rig.central.fired("refuse"), rig.central.disarm("refuse"), rig.central.disarm("refuse")) == (1, True, False)
    assert rig.open() in rig.central.calls
    assert rig.records("fault.armed")[0]["anchor"] == "stream_open"


# ------------------------------------------------------------------------------------------ restart
def test_a_restart_drops_everybody_stops_listening_and_comes_back_with_its_history() -> None:
    rig = Rig()
    call = rig.watch()
    rig.publish()
    rig.take()
    rig.central.restart(3.0, 0.0)
    assert rig.take() == [StopListening()]
    assert rig.end(call) == ("UNAVAILABLE", "server")
    assert not rig.central.listening
    assert rig.at(2.9) == []
    assert rig.at(3.0) == [StartListening()]
    assert rig.central.listening
    assert rig.publish() == 100002
    page = rig.central.harvest(TOPIC, {}, 3.0)
    assert isinstance(page, Page)
    assert page.sequences == [100001, 100002]
    assert rig.watch(token=rig.token()) in rig.central.calls


def test_a_restart_that_forgets_begins_to_count_again() -> None:
    rig = Rig()
    rig.publish()
    rig.central.restart(1.0, 0.0, forget=True)
    rig.at(1.0)
    page = rig.central.harvest(TOPIC, {}, 1.0)
    assert isinstance(page, Page)
    assert page.sequences == []
    assert rig.publish() == 100001


def test_restarting_what_is_down_changes_nothing() -> None:
    rig = Rig()
    rig.central.restart(1.0, 0.0)
    rig.central.restart(9.0, 0.5)
    rig.take()
    assert rig.at(20.0) == [StartListening()]


# ------------------------------------------------------------------------------------------ history and topics
def test_a_purge_is_journaled_with_how_far_it_went() -> None:
    rig = Rig()
    for number in range(5):
        rig.publish(f"s{number}")
    assert rig.central.purge(0.0, through=100002) == 2
    assert rig.central.purge(0.0, keep=1) == 2
    assert [(r["through"], r["count"]) for r in rig.records("event.purged")] == [(100002, 2), (100004, 2)]


def test_what_a_topic_holds_stays_bounded_though_nobody_reads_it() -> None:
    rig = Rig(log=LogSettings(keep=10))
    for number in range(200):
        rig.publish(f"s{number % 5}")
    entry = rig.central.topic(TOPIC)
    assert entry is not None
    assert len(entry.log) <= 11


def test_deleting_a_topic_ends_its_streams_and_forgets_its_history() -> None:
    rig = Rig()
    call, other = rig.watch(TOPIC), rig.watch(OTHER)
    rig.publish()
    assert rig.central.delete_topic("all", 0.0) is not None
    assert rig.end(call) == ("NOT_FOUND", "server")
    assert other in rig.central.calls
    assert rig.central.harvest(TOPIC, {}, 0.0) is None
    assert rig.central.delete_topic("all", 0.0) is None


def test_a_topic_that_is_deleted_and_created_again_has_a_new_id_and_no_past() -> None:
    rig = Rig()
    rig.publish()
    before = rig.central.delete_topic("all", 0.0)
    body = {"spec": {"filters": [{"group": "*", "kind": "*", "name": "*", "type": ["created"]}]}}
    after = rig.central.put_topic("all", body, 0.0)
    assert before is not None
    assert after["metadata"]["id"] != before["metadata"]["id"]
    page = rig.central.harvest(TOPIC, {}, 0.0)
    assert isinstance(page, Page)
    assert page.sequences == []


def test_replacing_a_topic_under_a_stream_changes_what_it_gets_from_then_on() -> None:
    rig = Rig()
    call = rig.watch()
    rig.publish("a")
    body = {"spec": {"filters": [{"group": "*", "kind": "Credential", "name": "*", "type": ["created"]}]}}
    resource = rig.central.put_topic("all", body, 0.0)
    rig.publish("b")
    wanted = rig.publish("c", kind="Credential")
    assert rig.sent(call) == [100001, wanted]
    entry = rig.central.topic(TOPIC)
    assert entry is not None
    assert entry.topic.id == resource["metadata"]["id"]


def test_a_bad_topic_is_refused_and_the_old_one_stays() -> None:
    rig = Rig()
    with pytest.raises(ValueError, match=r"spec\.filters"):
        rig.central.put_topic("all", {"spec": {"filters": []}}, 0.0)
    filters = [{"group": "*", "kind": "X", "name": "*", "type": ["created"]}]
    with pytest.raises(ValueError, match="attributes"):
        rig.central.put_topic("all", {"spec": {"filters": filters}, "attributes": 5}, 0.0)
    call = rig.watch()
    rig.publish()
    assert rig.sent(call) == [100001]


# ------------------------------------------------------------------------------------------ time
def test_traffic_is_published_on_its_deadlines_and_done_when_all_is_out() -> None:
    lines = (
        Traffic(publish=Publish(kind="A"), count=3, every=Span(1.0, 1.0)),
        Traffic(publish=Publish(kind="B"), on=Anchor("subscribe"), count=2, every=Span(0.0, 0.0)),
    )
    rig = Rig(scenario(traffic=lines))
    rig.at(2.0)
    assert [record["t"] for record in rig.records("event.published")] == [0.0, 1.0, 2.0]
    assert not rig.central.traffic_done
    call = rig.watch()
    rig.at(2.0)
    assert rig.sent(call) == [100004, 100005]
    assert rig.central.traffic_done


def test_ticking_early_or_late_is_harmless() -> None:
    rig = Rig(scenario(traffic=(Traffic(publish=Publish(kind="A"), count=5, every=Span(1.0, 1.0)),)))
    for _ in range(3):
        rig.central.tick(0.0)
    assert len(rig.records("event.published")) == 1
    rig.central.tick(100.0)
    assert len(rig.records("event.published")) == 5


def test_a_tick_with_a_budget_leaves_the_rest_due() -> None:
    lines = (Traffic(publish=Publish(kind="A"), count=10, burst=10), Traffic(publish=Publish(kind="B"), count=1))
    rig = Rig(scenario(traffic=lines))
    rig.central.tick(0.0, 4)
    assert (len(rig.records("event.published")), rig.central.deadline()) == (4, 0.0)
    rig.watch(), rig.watch()
    rig.central.tick(0.0, 4)  # one event and two deliveries of it, twice
    assert len(rig.records("event.published")) == 6
    while not rig.central.traffic_done:
        rig.central.tick(0.0, 1)
    assert [record["resource_kind"] for record in rig.records("event.published")] == ["A"] * 10 + ["B"]


@given(
    lines=st.lists(
        st.builds(
            Traffic,
            publish=st.builds(Publish, kind=st.sampled_from("ABC")),
            count=st.integers(1, 12),
            burst=st.integers(1, 5),
            every=st.sampled_from((Span(0.0, 0.0), Span(1.0, 1.0), Span(0.5, 2.5))),
            after=st.sampled_from((Span(0.0, 0.0), Span(1.0, 3.0))),
        ),
        min_size=1,
        max_size=4,
    ),
    ticks=st.lists(st.tuples(st.floats(0.0, 20.0), st.integers(1, 9)), max_size=12),
)
@settings(deadline=None, max_examples=60)
def test_what_is_published_after_what_does_not_depend_on_when_somebody_comes_to_look(
    lines: list[Traffic], ticks: list[tuple[float, int]]
) -> None:
    punctual, late = Rig(scenario(traffic=tuple(lines))), Rig(scenario(traffic=tuple(lines)))
    punctual.at(100.0)
    for now, budget in sorted(ticks):
        late.central.tick(now, budget)
    while not late.central.traffic_done:
        late.central.tick(100.0, 3)

    def story(rig: Rig) -> list[tuple[str, str, str]]:
        return [(one["resource_kind"], one["name"], one["op"]) for one in rig.records("event.published")]

    assert story(late) == story(punctual)


def test_a_quiet_world_needs_no_clock() -> None:
    assert Rig().central.deadline() is None


def test_times_are_spelled_as_the_clients_read_them() -> None:
    central = Rig().central
    assert event_time(central.wall(0.689148)) == "2023-11-14 22:13:20.689148"
    assert central.timestamp(0.689) == "2023-11-14T22:13:20.689+0000"


def test_the_stats_count() -> None:
    rig = Rig()
    rig.watch()
    rig.publish()
    stats = rig.central.stats()
    assert stats["events_published_total"] == stats["events_kept"] == 1
    assert (stats["sequence"], stats["topics"], stats["streams"]) == (100001, 2, 1)
    assert (stats["attempts_total"], stats["connections"]) == (1, 1)


# ------------------------------------------------------------------------------------------ the journal
def test_no_token_is_ever_journaled() -> None:
    rig = Rig()
    tokens = [rig.token(), "gArb.AgE-nOt-A-jWt.hErE", sign({"exp": 1})]
    for token in tokens:
        call = rig.open(token=token)
        rig.ask(call, token=token)
        rig.ask(call, token=token)
    text = str(rig.journal.since())
    for token in tokens:
        assert token not in text
        assert token.split(".")[1] not in text


def test_topics_of_the_scenario_are_named_at_the_start() -> None:
    rig = Rig(scenario(topics=(ALL, NONE)))
    [start] = rig.records("world.start")
    assert start["topics"] == [TOPIC, OTHER]
    assert (start["tenant"], start["seed"], start["scenario"]) == (TENANT, 7, "test")


def test_a_clock_that_goes_wrong_later_does_not_change_when_a_resource_was_made() -> None:
    rig = Rig()
    rig.publish("petstore")
    stamp = rig.central.timestamp(rig.now)
    rig.central.skew_clock(3600.0, rig.now)
    found = rig.central.resources.get("/management/environments/e/apiservices/petstore")
    assert found is not None
    assert found["metadata"]["audit"]["createTimestamp"] == stamp
