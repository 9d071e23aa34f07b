"""The watch stream, asked by stock grpcio over real sockets (protocol 1.1 to 1.7)."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from mockcentral import World
from mockcentral.scenario.schema import PingSettings, Scenario, WorldSettings
from mockcentral.scenario.types import Duration
from tests.mockcentral.clients import PATIENCE, TOPIC, WATCH, Watch, ask, harvest, raw, service, subscribed, topic
from watchmanager._wire import messages


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        world.put_topic(topic())
        yield world


def test_events_arrive_in_order_and_say_what_happened(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        changes = [
            service(),
            service(type="updated", attributes={"a": "b"}),
            service(type="updated", subresource="status"),
            service(type="deleted"),
        ]
        sequences = world.publish(changes)
        created, updated, status, deleted = watch.events(4)
        assert [event.type for event in (created, updated, status, deleted)] == [0, 1, 3, 2]
        assert [event.metadata.sequenceID for event in (created, updated, status, deleted)] == sequences
        assert created.payload.name == "petstore"
        assert created.payload.metadata.scope.name == "sample-env"
        assert created.payload.metadata.selfLink == "/management/v1/environments/sample-env/apiservices/petstore"
        assert dict(updated.payload.attributes) == {"a": "b"}
        assert status.metadata.subresource == "status"
        assert created.metadata.watchTopicSelfLink == TOPIC
        assert created.organization.id == world.tenant


def test_the_stream_and_the_history_tell_the_same(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        world.publish([service(), service(type="updated", subresource="status"), service(type="deleted")])
        streamed = watch.events(3)
    told = harvest(world).json()
    for event, element in zip(streamed, told, strict=True):
        assert (event.id, event.time, event.correlationId) == (element["id"], element["time"], element["correlationId"])
        assert event.metadata.sequenceID == element["metadata"]["sequenceID"]
        assert event.metadata.watchTopicID == element["metadata"]["watchTopicID"]
        assert event.metadata.subresource == (element["metadata"]["subresource"] or "")
        payload = element["payload"]
        assert (event.payload.group, event.payload.kind, event.payload.name) == (
            payload["group"],
            payload["kind"],
            payload["name"],
        )
        assert event.payload.metadata.id == payload["metadata"]["id"]
        assert event.payload.metadata.scope.id == payload["metadata"]["scope"]["id"]


def test_what_was_published_before_the_first_message_is_delivered(world: World) -> None:
    with Watch(world, None) as watch:
        world.wait_for(lambda record: record["kind"] == "stream.open", PATIENCE)
        sequences = world.publish([service("a"), service("b")])
        watch.subscribe()
        assert watch.sequences(2) == sequences


@pytest.mark.parametrize(
    ("how", "code"),
    [
        ({"token": "nonsense"}, "UNAUTHENTICATED"),
        ({"token": ""}, "UNAUTHENTICATED"),
        ({"tenant": "999"}, "PERMISSION_DENIED"),
        ({"link": "/management/v1/watchtopics/nobody"}, "NOT_FOUND"),
        ({"method": "/central.events.v1.watch/publish"}, "UNIMPLEMENTED"),
        ({"method": "/x"}, "UNIMPLEMENTED"),
    ],
)
def test_a_refusal_has_its_status_and_says_why(world: World, how: dict[str, str], code: str) -> None:
    with Watch(world, **how) as watch:  # type: ignore[arg-type]
        found, details = watch.end()
        assert found == code
        assert details


def test_a_message_that_is_no_request_is_an_invalid_argument(world: World) -> None:
    with grpc.insecure_channel(world.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        metadata = (("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant))
        method: Any = channel.stream_stream(WATCH)
        call = method(iter([b"\xff" * 10]), metadata=metadata, timeout=PATIENCE)
        assert call.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_half_closing_ends_the_call_well(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        watch.half_close()
        assert watch.end()[0] == "OK"


def test_a_stream_lives_on_with_a_refreshed_token_and_ends_with_the_last_one(world: World) -> None:
    with Watch(world, token=world.issue_token()) as watch:
        subscribed(world)
        watch.subscribe(token=world.issue_token())
        world.wait_for(lambda record: record.get("request") == "token_refresh", PATIENCE)
        [sequence] = world.publish(service())
        assert watch.sequences(1) == [sequence]
        world.expire_tokens()
        assert watch.end() == ("UNAUTHENTICATED", "the token of this stream has expired")


def test_a_token_ends_its_stream_when_its_time_is_over(world: World) -> None:
    with Watch(world, token=world.issue_token(0.4)) as watch:
        assert watch.end()[0] == "UNAUTHENTICATED"
    opened = world.wait_for(lambda record: record["kind"] == "stream.open")
    ended = world.wait_for(lambda record: record["kind"] == "stream.end")
    assert ended["t"] - opened["t"] >= 0.3


def test_pings_go_to_those_who_can_answer_and_answers_are_recorded() -> None:
    settings = WorldSettings(ping=PingSettings(every=Duration(0.1)))
    with World(Scenario(scenario="pings", about="x", world=settings)) as world:
        world.put_topic(topic())
        with Watch(world) as old, Watch(world, capabilities=("ping",)) as modern:
            subscribed(world, 2)
            first, second = modern.events(2)
            assert (first.type, first.HasField("payload"), first.HasField("metadata")) == (messages.PING, False, False)
            assert first.id != second.id
            modern.send(requestType=messages.PING_RESPONSE, pingResponse=messages.PingResponse(id=first.id))
            world.wait_for(lambda r: r.get("request") == "ping_response" and r["id"] == first.id, PATIENCE)
            old_attempt = 1 if next(r for r in world.journal() if r["kind"] == "stream.event")["attempt"] == 2 else 2
            [sequence] = world.publish(service())
            assert old.sequences(1) == [sequence]  # and no PING before it
            assert not [r for r in world.journal() if r.get("op") == "PING" and r.get("attempt") == old_attempt]


def test_a_status_may_come_before_the_subscription(world: World) -> None:
    with Watch(world, None) as watch:
        status = messages.AgentStatus(state="running", message="up")
        watch.send(requestType=messages.AGENT_STATUS, agentStatus=status)
        watch.subscribe()
        subscribed(world)
        [record] = [record for record in world.journal() if record.get("request") == "agent_status"]
        assert (record["state"], record["message"], record["topic"]) == ("running", "up", "")


def test_many_calls_share_a_connection_and_each_gets_its_own_topic(world: World) -> None:
    world.put_topic(topic("credentials", {"group": "*", "kind": "Credential", "name": "*", "type": ["created"]}))
    with grpc.insecure_channel(world.address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        stub = channel.stream_stream(
            WATCH,
            request_serializer=messages.Request.SerializeToString,
            response_deserializer=messages.Event.FromString,
        )
        metadata = (("authorization", f"Bearer {world.token}"), ("x-axway-tenant-id", world.tenant))
        calls: list[Any] = []
        done = threading.Event()
        for number in range(20):
            link = TOPIC if number % 2 else "/management/v1alpha1/watchtopics/credentials"
            first = messages.Request(selfLink=link, token=f"Bearer {world.token}")

            def requests(first: Any = first) -> Iterator[Any]:
                yield first
                done.wait()

            calls.append(stub(requests(), metadata=metadata, timeout=PATIENCE))
        subscribed(world, 20)
        assert len(world.connections()) == 1
        sequences = world.publish([service(), {"kind": "Credential", "name": "c"}])
        for number, call in enumerate(calls):
            assert next(call).metadata.sequenceID == sequences[0 if number % 2 else 1]
            call.cancel()
        done.set()


def test_a_slow_reader_holds_up_nobody_and_loses_nothing(world: World) -> None:
    count = 3_000
    with Watch(world) as slow, Watch(world) as quick:
        subscribed(world, 2)
        sequences = world.publish([service(f"s{n}") for n in range(count)])
        assert quick.sequences(count) == sequences
        assert slow.sequences(count) == sequences


# ------------------------------------------------------------------------------------------ broken by hand
def test_a_reset_connection_is_felt_as_unavailable(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        world.close_connections()
        assert watch.end()[0] == "UNAVAILABLE"


def test_a_closed_connection_is_felt_as_unavailable(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        [sequence] = world.publish(service())
        assert watch.sequences(1) == [sequence]
        world.close_connections(abort=False)
        assert watch.end()[0] == "UNAVAILABLE"


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
PING = b"\0\0\x08\6\0\0\0\0\0" + b"12345678"


def drain(connection: socket.socket) -> bytes:
    received = b""
    while data := connection.recv(4096):
        received += data
    return received


@pytest.mark.parametrize("abort", [True, False])
def test_on_the_wire_a_close_is_fin_and_an_abort_is_rst(world: World, abort: bool) -> None:
    with raw(world.address) as connection:
        connection.sendall(PREFACE)
        world.wait_for(lambda record: record["kind"] == "conn.open", PATIENCE)
        connection.sendall(PING)
        world.wait_for(lambda record: record["kind"] == "ping.acked", PATIENCE)
        world.close_connections(abort=abort)
        if abort:
            with pytest.raises(ConnectionResetError):
                drain(connection)
            return
        connection.sendall(PING)  # it crosses our FIN: that may not turn into RST and swallow the ack of the first
        assert drain(connection).endswith(b"\0\0\x08\6\1\0\0\0\0" + b"12345678")


def test_after_a_goaway_the_open_stream_goes_on_and_the_next_call_takes_a_new_connection(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        world.goaway()
        [sequence] = world.publish(service())
        assert watch.sequences(1) == [sequence]
        with Watch(world) as other:
            subscribed(world, 2)
            assert len(world.connections()) == 2
            [sequence] = world.publish(service())
            assert watch.sequences(1) == other.sequences(1) == [sequence]


def test_a_goaway_that_excludes_the_stream_ends_it(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        world.goaway(last_stream=0)
        assert watch.end()[0] == "UNAVAILABLE"


def test_a_black_hole_is_noticed_by_keepalive_only(world: World) -> None:
    options = {
        "grpc.keepalive_time_ms": 200,
        "grpc.http2.ping_timeout_ms": 300,
        "grpc.keepalive_permit_without_calls": 1,
        "grpc.http2.max_pings_without_data": 0,
    }
    with Watch(world, options=options) as watch:
        subscribed(world)
        world.wait_for(lambda record: record["kind"] == "ping.acked", PATIENCE)
        world.blackhole()
        world.publish(service())
        assert watch.end()[0] == "UNAVAILABLE"
        ended = world.wait_for(lambda record: record["kind"] == "stream.end", PATIENCE)
        assert (ended["by"], ended["graceful"]) == ("client", False)


def test_a_deleted_topic_ends_its_streams(world: World) -> None:
    with Watch(world) as watch:
        subscribed(world)
        assert ask(world, "DELETE", f"/apis{TOPIC}", topic()).status == 204
        assert watch.end()[0] == "NOT_FOUND"


def test_a_barrier_means_that_everything_sent_before_has_arrived(world: World) -> None:
    assert world.barrier() == 0
    with Watch(world) as first, Watch(world) as second:
        subscribed(world, 2)
        assert world.barrier(PATIENCE) == 2
        world.close_connections(world.connections()[0]["conn"])
        assert world.barrier(PATIENCE) == 1
        assert {first.call.is_active(), second.call.is_active()} <= {True, False}


def test_a_barrier_that_nobody_acks_times_out(world: World) -> None:
    with raw(world.address) as connection:
        connection.sendall(PREFACE)
        world.wait_for(lambda record: record["kind"] == "conn.open", PATIENCE)
        with pytest.raises(TimeoutError, match="1 of 1 connections did not ack a PING"):
            world.barrier(0.05)
