"""What goes in and out: addresses, topics, settings, protobuf, JSON, tokens, checkpoint files."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import copy
import dataclasses
import gc
import json
import operator
import os
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchmanager as wm
from watchmanager import auth
from watchmanager._core.address import parse_address, topic_link
from watchmanager._core.resume import Window
from watchmanager._core.token import Credential
from watchmanager._driver.http import retry_after
from watchmanager._wire import codec, messages
from watchmanager.events import parse_time


# ---------------------------------------------------------------- addresses and names
@pytest.mark.parametrize(
    ("text", "insecure", "expected"),
    [
        ("apicentral.axway.com", False, ("apicentral.axway.com:443", True)),
        ("apicentral.axway.com:8443", False, ("apicentral.axway.com:8443", True)),
        ("https://apicentral.axway.com", False, ("apicentral.axway.com:443", True)),
        ("https://apicentral.axway.com/", False, ("apicentral.axway.com:443", True)),
        ("http://127.0.0.1:5000", False, ("127.0.0.1:5000", False)),
        ("127.0.0.1:5000", True, ("127.0.0.1:5000", False)),
        ("http://[::1]:5000", False, ("[::1]:5000", False)),
        ("[::1]:5000", True, ("[::1]:5000", False)),
    ],
)
def test_an_address_is_a_host_a_port_and_whether_tls_is_spoken(
    text: str, insecure: bool, expected: tuple[str, bool]
) -> None:
    address = parse_address(text, insecure=insecure)
    assert (address.target, address.secure) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("", "empty"),
        ("ftp://x:1", "write http:// or https://"),
        ("https://x:1/path", "path"),
        ("https://user:secret@x", "token"),
        ("x:0", "1 to 65535"),
        ("x:99999", "1 to 65535"),
        ("x:y", "host:port"),
        ("::1", "host:port"),
    ],
)
def test_a_wrong_address_says_what_to_write(text: str, hint: str) -> None:
    with pytest.raises(wm.ConfigError, match=hint) as caught:
        parse_address(text)
    assert "secret" not in str(caught.value)


def test_a_topic_is_a_name_or_a_self_link() -> None:
    assert topic_link("my-topic") == "/management/v1/watchtopics/my-topic"
    assert topic_link("/management/v1alpha1/watchtopics/x") == "/management/v1alpha1/watchtopics/x"
    for wrong in ("", "/apis/x", "a b", "management/v1/watchtopics/x", "/management/v1/watchtopics/"):
        with pytest.raises(wm.InvalidTopic, match="write my-topic"):
            topic_link(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: wm.Backoff(initial=0),
        lambda: wm.Backoff(initial=5, maximum=1),
        lambda: wm.Backoff(rotation=6, rotation_maximum=5),
        lambda: wm.Backoff(multiplier=0.5),
        lambda: wm.Backoff(maximum=float("nan")),
        lambda: wm.Keepalive(interval=0.5),
        lambda: wm.Keepalive(silence=0),
        lambda: wm.Buffer(max_events=1),
        lambda: wm.Buffer(max_events=2.5),  # type: ignore[arg-type]
        lambda: wm.Buffer(on_overflow="drop"),  # type: ignore[arg-type]
        lambda: wm.History(page_size=0),
        lambda: wm.History(page_size=True),
        lambda: wm.History(url="somewhere"),
        lambda: wm.History(confirm=True, audit_interval=None),
        lambda: wm.History(confirm=1),  # type: ignore[arg-type]
        lambda: wm.TLS(cert="a"),
        lambda: wm.AsyncWatchManager("x", tenant_id="", token=str),
        lambda: wm.AsyncWatchManager("x", tenant_id="t\u00e9", token=str),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=""),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token="no jwt"),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=5),  # type: ignore[arg-type]
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, connect_timeout=0),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, treat_as_transient=["OOPS"]),
        lambda: wm.AsyncWatchManager("http://x", tenant_id="t", token=str, tls=wm.TLS()),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, tls=wm.TLS(ca="/nowhere.pem")),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str).watch("t", start="checkpoint"),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str).watch("t", start=-1),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str).watch("t", on_state=5),  # type: ignore[arg-type]
        lambda: next(wm.WatchManager("x", tenant_id="t", token=str).watch("t").batches(within="x")),  # type: ignore[arg-type]
        lambda: next(wm.WatchManager("x", tenant_id="t", token=str).watch("t").batches(max=0)),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str).watch("t", on_gone="?"),  # type: ignore[arg-type]
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, history=False).watch("t", start="earliest"),
        lambda: wm.ClientCredentials("nowhere", "x"),
        lambda: wm.AsyncWatchManager("user:hidden@x:1", tenant_id="t", token=str),
        lambda: wm.AsyncWatchManager("https://user:hidden@x:1", tenant_id="t", token=str),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, single_entry="user:hidden@x:1"),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, proxy={"url": "http://u:hidden@x:1"}),  # type: ignore[arg-type]
        lambda: wm.History(url="htps://user:hidden@x"),
        lambda: wm.AsyncWatchManager("x", tenant_id="t", token=str, history=wm.History(url="https://user:hidden@x")),
        lambda: wm.ClientCredentials("https://user:hidden@x", "x"),
        lambda: wm.ClientCredentials("htps://user:hidden@x", "x"),
        lambda: wm.ClientCredentials("http://x", ""),
        lambda: wm.ClientCredentials("http://x", "x", private_key="/nowhere.pem"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_opens(wrong: Any) -> None:
    with pytest.raises(wm.ConfigError) as caught:
        wrong()
    assert "hidden" not in str(caught.value)


def test_every_error_is_a_watch_error_and_says_whether_it_is_retried() -> None:
    for name in wm.__all__:
        found = getattr(wm, name)
        if isinstance(found, type) and issubclass(found, Exception):
            assert issubclass(found, wm.WatchError), name
            assert isinstance(found.retryable, bool)


def test_importing_the_package_imports_neither_grpc_nor_httpx() -> None:
    script = (
        "import sys, watchmanager; "
        "assert not {'grpc', 'httpx', 'google.protobuf', 'asyncio'} & set(sys.modules), sorted(sys.modules); "
        "watchmanager.Event, watchmanager.Backoff, watchmanager.WatchError; "
        "assert not {'grpc', 'httpx', 'google.protobuf'} & set(sys.modules)"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(root)})


def test_what_few_programs_need_is_not_imported_before_they_need_it() -> None:
    script = (
        "import sys, grpc.aio; before = set(sys.modules); "
        "from watchmanager import AsyncWatchManager, FileCheckpoints, WatchManager; "
        "WatchManager('http://127.0.0.1:1', tenant_id='1', token=print).close(); "
        "late = {'httpx', 'httpcore', 'anyio', 'certifi', 'cryptography', 'email', 'uuid', 'tempfile', 'sqlite3', "
        "'opentelemetry', 'socksio', 'mockcentral'}; "
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}; "
        "assert not late & new, late & new"
    )
    root = Path(__file__).parents[3]
    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": str(root)})


def test_every_public_name_can_be_had_and_is_listed() -> None:
    assert set(wm.__all__) <= set(dir(wm))
    for name in wm.__all__:
        assert getattr(wm, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        wm.nonsense  # noqa: B018


# ---------------------------------------------------------------- protobuf
def full_event(**more: Any) -> messages.Event:
    return messages.Event(
        id="e1",
        time="2024-10-28 15:43:02.689148",
        version="v1",
        product="AmplifyCentral",
        correlationId="c1",
        organization=messages.Organization(id="o1"),
        type=messages.UPDATED,
        payload=messages.ResourceInstance(
            group="management",
            kind="APIService",
            name="svc",
            attributes={"a": "b"},
            metadata=messages.Metadata(
                id="r1",
                selfLink="/management/v1/environments/e/apiservices/svc",
                scope=messages.ScopeKind(
                    id="s1", kind="Environment", name="e", selfLink="/management/v1/environments/e"
                ),
                references=[messages.Reference(id="x", kind="K", name="n", type=messages.HARD), messages.Reference()],
            ),
        ),
        metadata=messages.EventMeta(watchTopicID="t1", watchTopicSelfLink="/t", sequenceID=2**60, subresource="status"),
        **more,
    )


def test_a_protobuf_event_keeps_every_field() -> None:
    data = full_event().SerializeToString()
    event = codec.decode(data)
    assert (event.id, event.sequence, event.type, event.size) == ("e1", 2**60, wm.UPDATED, len(data))
    assert event.resource == wm.Resource(
        group="management",
        kind="APIService",
        name="svc",
        id="r1",
        self_link="/management/v1/environments/e/apiservices/svc",
        scope=wm.Scope("Environment", "e", "s1", "/management/v1/environments/e"),
        references=(wm.Reference(id="x", kind="K", name="n", type="HARD"), wm.Reference(type="SOFT")),
        attributes={"a": "b"},
    )
    assert (event.subresource, event.topic, event.organization) == ("status", "/t", "o1")
    assert (event.correlation_id, event.product, event.version) == ("c1", "AmplifyCentral", "v1")
    assert event.timestamp == datetime(2024, 10, 28, 15, 43, 2, 689148)


def test_an_event_cannot_be_changed_and_compares_by_what_identifies_it() -> None:
    data = full_event().SerializeToString()
    one, two = codec.decode(data), codec.decode(data)
    assert one == two
    assert len({one, two}) == 1
    assert one != "e1"
    for name in ("type", "sequence", "id", "kind", "resource", "recovered"):
        with pytest.raises(AttributeError):
            setattr(one, name, None)
    with pytest.raises(AttributeError):
        one.brand_new = 1  # type: ignore[attr-defined]


def events_of_both_kinds() -> list[wm.Event]:
    from_stream = codec.decode(full_event().SerializeToString() + b"\xa2\x06\x03new")
    from_history = codec.event_from_json(json.loads(json.dumps(SAMPLE)), size=10)
    return [from_stream, from_history, from_stream.late(), from_history.late()]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_an_event_can_be_copied_and_sent_to_another_process(again: Callable[[wm.Event], wm.Event]) -> None:
    for event in events_of_both_kinds():
        twin = again(event)
        assert twin == event
        assert twin.details == event.details
        assert (twin.raw, twin.recovered, twin.size) == (event.raw, event.recovered, event.size)


def test_an_event_is_a_dataclass_to_whoever_looks() -> None:
    for event in events_of_both_kinds():
        assert dataclasses.is_dataclass(event)
        assert not hasattr(event, "__dict__")
        shown = dataclasses.asdict(event)
        assert list(shown) == [each.name for each in dataclasses.fields(wm.Event)]
        assert shown["sequence"] == event.sequence
        assert shown["recovered"] is event.recovered
        assert wm.Resource(**{**shown["resource"], "scope": event.scope, "references": ()}).name == event.name
        assert not any(each.init for each in dataclasses.fields(event))  # servers make events
    assert {each.name: each.type for each in dataclasses.fields(wm.Event)}["resource"] == "Resource"


def test_attributes_are_a_dict_that_cannot_be_changed() -> None:
    resource = events_of_both_kinds()[0].resource
    assert resource.attributes == {"a": "b"}
    assert json.loads(json.dumps(dataclasses.asdict(resource)))["attributes"] == {"a": "b"}
    assert hash(resource) == hash(copy.deepcopy(resource))
    attributes: Any = resource.attributes
    for change in (
        lambda: attributes.update(a="c"),
        lambda: operator.setitem(attributes, "a", "c"),
        lambda: attributes.pop("a"),
        lambda: attributes.clear(),
    ):
        with pytest.raises(TypeError, match="cannot be changed"):
            change()
    assert resource.attributes == {"a": "b"}


def test_every_error_survives_the_way_from_another_process() -> None:
    def below(kind: type[wm.WatchError]) -> list[type[wm.WatchError]]:
        return [kind, *(each for one in kind.__subclasses__() for each in below(one))]

    for kind in below(wm.WatchError):
        error = (
            kind(5, 9)
            if issubclass(kind, wm.SequenceExpired)
            else kind("words", events_of_both_kinds()[0])
            if issubclass(kind, wm.HandlerError)
            else kind("words")
        )
        error.topic = "/t"
        twin = pickle.loads(pickle.dumps(error))
        assert (type(twin), str(twin), vars(twin)) == (kind, str(error), vars(error))


def test_what_a_newer_server_adds_passes_through() -> None:
    data = full_event().SerializeToString() + b"\xa2\x06\x03new"  # field 100
    event = codec.decode(data)
    assert isinstance(event.raw, bytes)
    assert b"new" in event.raw
    strange = messages.Event(id="x", metadata=messages.EventMeta(sequenceID=1))
    strange.MergeFromString(b"\x38\x63")  # type 99
    event = codec.decode(strange.SerializeToString())
    assert event.type is wm.EventType.UNKNOWN
    assert event.type_name == "99"


def test_an_empty_scope_is_no_scope_whichever_way_it_came() -> None:
    event = full_event()
    event.payload.metadata.scope.Clear()
    event.payload.metadata.scope.SetInParent()
    assert codec.decode(event.SerializeToString()).scope is None
    for empty in ({"id": "", "kind": "", "name": "", "selfLink": ""}, {}, None):
        shown = copy.deepcopy(SAMPLE)
        shown["payload"]["metadata"]["scope"] = empty
        assert codec.event_from_json(shown, size=10).scope is None


def test_an_event_with_hardly_anything_in_it_is_no_error() -> None:
    event = codec.decode(messages.Event(metadata=messages.EventMeta(sequenceID=1)).SerializeToString())
    assert (event.id, event.sequence, event.type, event.kind, event.scope) == ("", 1, wm.CREATED, "", None)
    assert "Event(" in repr(event)


@pytest.mark.parametrize("data", [b"", messages.Event(id="x").SerializeToString()])
def test_a_message_without_metadata_is_no_event(data: bytes) -> None:
    with pytest.raises(wm.DecodeError, match=f"a message of {len(data)} bytes .* without metadata"):
        codec.decode(data)
    ping = messages.Event(id="x", type=messages.PING)
    assert codec.decode(ping.SerializeToString()).type is wm.EventType.PING


def test_action_details_are_kept_undecoded() -> None:
    event = full_event()
    event.metadata.actionDetails.type_url = "type/x"  # type: ignore[attr-defined]
    event.metadata.actionDetails.value = b"\x01"  # type: ignore[attr-defined]
    event.type = messages.TRIGGERACTION
    decoded = codec.decode(event.SerializeToString())
    assert decoded.type is wm.TRIGGERACTION
    assert decoded.action == ("type/x", b"\x01")


@given(st.binary(max_size=200))
def test_random_bytes_are_an_event_or_a_decode_error(data: bytes) -> None:
    with contextlib.suppress(wm.DecodeError):
        repr(codec.decode(data))


def test_requests_look_as_the_protocol_says() -> None:
    first = messages.Request.FromString(codec.subscribe("/t", "abc"))
    assert (first.selfLink, first.token, list(first.capabilities)) == ("/t", "Bearer abc", ["ping"])
    assert not first.HasField("requestType")
    again = messages.Request.FromString(codec.refresh("/t", "abc"))
    assert (again.selfLink, again.token, list(again.capabilities)) == ("/t", "Bearer abc", [])
    assert not again.HasField("requestType")
    pong = messages.Request.FromString(codec.pong("p1"))
    assert (pong.requestType, pong.pingResponse.id, pong.selfLink, pong.token) == (2, "p1", "", "")
    status = messages.Request.FromString(codec.agent_status("/t", "failed", "why"))
    assert (status.requestType, status.selfLink, status.token) == (1, "/t", "")
    assert (status.agentStatus.state, status.agentStatus.message) == ("failed", "why")


# ---------------------------------------------------------------- history's JSON
SAMPLE: dict[str, Any] = {
    "id": "e1",
    "time": "2024-10-28 15:43:02.689148",
    "version": "v1",
    "product": "AmplifyCentral",
    "correlationId": "c1",
    "organization": {"id": "o1"},
    "type": "ResourceCreated",
    "payload": {
        "group": "management",
        "kind": "Credential",
        "name": "cred",
        "finalizers": None,
        "tags": [],
        "attributes": {},
        "metadata": {
            "id": "r1",
            "selfLink": "/x",
            "scope": {"id": "s", "kind": "Environment", "name": "e", "selfLink": "/e"},
            "references": [{"id": "a", "group": "g", "title": None, "scopeName": None, "type": "HARD"}],
        },
    },
    "metadata": {"watchTopicID": "t", "watchTopicSelfLink": "/t", "sequenceID": 284734, "subresource": None},
}


def sample(**changes: Any) -> dict[str, Any]:
    return {**json.loads(json.dumps(SAMPLE)), **changes}


def test_the_documented_sample_is_read_field_by_field() -> None:
    [event] = codec.decode_history(json.dumps([SAMPLE]).encode())
    assert (event.id, event.sequence, event.type) == ("e1", 284734, wm.CREATED)
    assert (event.organization, event.correlation_id, event.product, event.version) == (
        "o1",
        "c1",
        "AmplifyCentral",
        "v1",
    )
    assert event.topic == "/t"
    resource = event.resource
    assert (resource.group, resource.kind, resource.name) == ("management", "Credential", "cred")
    assert (resource.id, resource.self_link) == ("r1", "/x")
    assert event.scope == wm.Scope("Environment", "e", "s", "/e")
    assert event.resource.references == (wm.Reference(id="a", type="HARD"),)
    assert event.subresource == ""
    assert event.raw == SAMPLE


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("ResourceCreated", "CREATED"),
        ("ResourceUpdated", "UPDATED"),
        ("ResourceDeleted", "DELETED"),
        ("SubResourceUpdated", "SUBRESOURCEUPDATED"),
        ("TriggerAction", "TRIGGERACTION"),
        ("created", "CREATED"),
        ("SomethingNew", "UNKNOWN"),
        (None, "UNKNOWN"),
    ],
)
def test_type_words_become_types_and_unknown_ones_never_something_else(word: str | None, expected: str) -> None:
    [event] = codec.decode_history(json.dumps([sample(type=word)]).encode())
    assert event.type.value == expected
    assert event.type_name == (word or "")


@pytest.mark.parametrize(("given_", "expected"), [(5, 5), ("5", 5), (5.0, 5), (None, 0), (2**63 - 1, 2**63 - 1)])
def test_a_sequence_is_a_whole_number_or_its_digits(given_: Any, expected: int) -> None:
    [event] = codec.decode_history(json.dumps([sample(metadata={"sequenceID": given_})]).encode())
    assert event.sequence == expected


@pytest.mark.parametrize("wrong", [True, 5.5, "5.5", "x", [5], {}, 2**63, 2.0**53 + 2, 1e300, "9" * 30, "\u0665"])
def test_a_sequence_that_is_something_else_is_an_error_with_its_place(wrong: Any) -> None:
    with pytest.raises(wm.DecodeError, match=r"event 0.metadata.sequenceID"):
        codec.decode_history(json.dumps([sample(metadata={"sequenceID": wrong})]).encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"3",
        b'"x"',
        b"[3]",
        b"[[]]",
        b'[{"metadata": 3}]',
        b'[{"payload": []}]',
        b'[{"id": 3}]',
        b'[{"payload": {"attributes": {"a": 1}}}]',
        b'[{"payload": {"metadata": {"references": {}}}}]',
        b'[{"payload": {"metadata": {"scope": []}}}]',
        b"[NaN]",
        b"\xff",
        b"[" * 100_000,
    ],
)
def test_a_history_that_is_no_list_of_events_is_an_error(body: bytes) -> None:
    with pytest.raises(wm.DecodeError):
        codec.decode_history(body)


def test_null_and_missing_parts_of_history_are_empty_parts() -> None:
    assert codec.decode_history(b"null") == []
    assert codec.decode_history(b"[]") == []
    for given_ in ({}, {"metadata": None, "payload": None}, {"payload": {"metadata": None}}):
        [event] = codec.decode_history(json.dumps([given_]).encode())
        assert event.sequence == 0
        assert event.kind == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-10-28 15:43:02.689148", datetime(2024, 10, 28, 15, 43, 2, 689148)),
        ("2024-10-28T15:43:02Z", datetime(2024, 10, 28, 15, 43, 2, tzinfo=timezone.utc)),
        ("2024-10-28T15:43:02.689+0000", datetime(2024, 10, 28, 15, 43, 2, 689000, tzinfo=timezone.utc)),
        ("2024-10-28T15:43:02.6891481+00:00", datetime(2024, 10, 28, 15, 43, 2, 689148, tzinfo=timezone.utc)),
        ("yesterday", None),
        ("", None),
    ],
)
def test_times_are_read_in_the_forms_servers_write(text: str, expected: datetime | None) -> None:
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("7", 7.0), (None, None), ("soon", None), ("-5", None), ("99999999999", 86_400.0), ("", None)],
)
def test_retry_after_is_read_or_ignored(text: str | None, expected: float | None) -> None:
    assert retry_after(text, 0.0) == expected


def test_retry_after_may_be_a_date() -> None:
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 20.0) == 40.0
    assert retry_after("Thu, 01 Jan 1970 00:01:00 GMT", 100.0) == 0.0


# ---------------------------------------------------------------- duplicates
@given(st.lists(st.integers(1, 60), max_size=200), st.integers(1, 20))
def test_the_window_never_forgets_what_it_should_know_and_never_invents(found: list[int], size: int) -> None:
    window = Window(size, 0)
    seen: set[int] = set()
    for sequence in found:
        if sequence in window:
            assert sequence in seen or sequence <= window.floor
        else:
            assert sequence not in seen
            window.add(sequence)
            seen.add(sequence)
    assert len(window) <= size
    assert all(sequence in window for sequence in seen)


# ---------------------------------------------------------------- tokens
def jwt(claims: dict[str, Any], header: dict[str, Any] | None = None) -> str:
    def part(value: Any) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'RS256'} if header is None else header)}.{part(claims)}.c2ln"


def test_the_expiry_of_a_jwt_is_its_numeric_exp() -> None:
    assert auth.jwt_expiry(jwt({"exp": 9999999999})) == 9999999999
    assert auth.jwt_expiry(jwt({"exp": 5.5})) == 5.5


@pytest.mark.parametrize(
    "text",
    [
        "not.a.jwt",
        "a.b",
        "",
        "...",
        jwt({}),
        jwt({"exp": "9999999999"}),
        jwt({"exp": True}),
        jwt({"exp": 10**400}),
        jwt({"exp": None}),
        jwt({"exp": 1}, header={}),
        jwt({"exp": 1}).replace(".", "", 1),
    ],
)
def test_a_token_that_does_not_say_when_it_ends_is_an_error_that_does_not_show_it(text: str) -> None:
    with pytest.raises(wm.TokenProviderError) as caught:
        auth.jwt_expiry(text)
    assert not text or text not in str(caught.value)


def test_a_token_hides_its_text() -> None:
    assert "secret" not in repr(wm.Token("secret", 5.0))


def source(provider: Any, **more: Any) -> auth.TokenSource:
    return auth.TokenSource(provider, **more)


def test_providers_may_be_texts_functions_coroutines_and_objects() -> None:
    good = jwt({"exp": time.time() + 1000})

    async def coroutine() -> str:
        return good

    class Object:
        async def fetch(self, fresh: bool) -> wm.Token:
            return wm.Token(good, time.time() + 1000)

    class Callable_:
        async def __call__(self) -> str:
            return "Bearer " + good

    async def main() -> None:
        providers = (good, wm.Token(good), lambda: good, lambda: coroutine(), coroutine, Object(), Callable_())
        for provider in providers:
            credential, life = await source(provider).get(None)
            assert credential.reveal() == good
            assert life is None or 990 < life <= 1000

    asyncio.run(main())


def test_one_request_serves_all_who_wait() -> None:
    async def main() -> None:
        asked = 0

        async def slow() -> str:
            nonlocal asked
            asked += 1
            await asyncio.sleep(0.01)
            return jwt({"exp": time.time() + 1000, "n": asked})

        tokens = source(slow)
        found = await asyncio.gather(*(tokens.get(None) for _ in range(10)))
        assert asked == 1
        assert len({each[0] for each in found}) == 1
        await tokens.get(None)
        assert asked == 1
        fresh, _ = await tokens.get(found[0][0])
        assert asked == 2
        assert fresh != found[0][0]
        again, _ = await tokens.get(found[0][0])  # another watch, with the old one
        assert (again, asked) == (fresh, 2)

    asyncio.run(main())


def test_one_who_goes_away_does_not_take_the_token_from_the_others() -> None:
    async def main() -> None:
        gate = asyncio.Event()

        async def slow() -> str:
            await gate.wait()
            return jwt({"exp": time.time() + 1000})

        tokens = source(slow)
        first = asyncio.ensure_future(tokens.get(None))
        second = asyncio.ensure_future(tokens.get(None))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(0)
        gate.set()
        assert (await second)[1] is not None

    asyncio.run(main())


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        (lambda: 1 / 0, "ZeroDivisionError"),
        (lambda: None, "NoneType"),
        (lambda: "", "empty"),
        (lambda: "nonsense", "no JWT"),
        (lambda: wm.Token("a b", None), "no header"),
        (lambda: wm.Token("x" * 9000, None), "9000 characters"),
    ],
)
def test_what_a_provider_does_wrong_is_one_kind_of_error(provider: Any, text: str) -> None:
    async def main() -> None:
        with pytest.raises(wm.TokenProviderError, match=text):
            await source(provider).get(None)

    asyncio.run(main())


def test_a_provider_that_hangs_is_given_up() -> None:
    async def main() -> None:
        async def hang() -> str:
            await asyncio.Event().wait()
            return ""

        with pytest.raises(wm.TokenProviderError, match=r"within 0\.01 s"):
            await source(hang, timeout=0.01).get(None)

    asyncio.run(main())


def test_an_ended_fixed_token_is_fatal_and_an_ended_fetched_one_is_not() -> None:
    async def main() -> None:
        old = jwt({"exp": time.time() - 10})
        with pytest.raises(wm.TokenExpired) as fixed:
            await source(old).get(None)
        assert not fixed.value.retryable
        with pytest.raises(wm.TokenExpired) as fetched:
            await source(lambda: old).get(None)
        assert fetched.value.retryable

    asyncio.run(main())


def test_a_token_is_cached_for_four_fifths_of_its_life() -> None:
    async def main() -> None:
        now = 1000.0
        asked = 0

        def provider() -> wm.Token:
            nonlocal asked
            asked += 1
            return wm.Token(f"t{asked}", now + 100)

        tokens = source(provider, wall=lambda: now, clock=lambda: now)
        for at, expected in ((1000.0, 1), (1079.0, 1), (1081.0, 2), (1160.0, 2), (1162.0, 3)):
            now = at
            await tokens.get(None)
            assert asked == expected, at

    asyncio.run(main())


def test_a_provider_that_fails_when_nobody_waits_any_more_is_no_news_for_the_loop() -> None:
    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        busy, go_on = asyncio.Event(), asyncio.Event()

        async def provider() -> str:
            busy.set()
            await go_on.wait()
            raise OSError("too late")

        tokens = source(provider)
        asking = asyncio.ensure_future(tokens.get(None))
        await busy.wait()
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        go_on.set()
        task = tokens._task
        assert task is not None
        await asyncio.wait([task])
        del task
        tokens._task = None
        gc.collect()
        assert told == []

    asyncio.run(main())


def test_a_wall_clock_that_is_set_changes_nothing_about_a_token_that_is_here() -> None:
    async def main() -> None:
        wall, steady = 1000.0, 50.0
        tokens = source(lambda: wm.Token("t", 1100.0), wall=lambda: wall, clock=lambda: steady)
        _, left = await tokens.get(None)
        assert left == 100.0
        wall -= 3600.0
        steady += 10.0
        _, left = await tokens.get(None)
        assert left == 90.0
        tokens.skew.seconds = 30.0  # what we learn of the server's clock does count
        _, left = await tokens.get(None)
        assert left == 60.0

    asyncio.run(main())


def test_the_assertion_is_what_the_token_endpoint_wants() -> None:
    cryptography = pytest.importorskip("cryptography")
    assert cryptography
    import jwt as pyjwt
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    provider = wm.ClientCredentials("http://h/auth/", "me", private_key=pem, wall=lambda: 1000.9)
    text = provider.assertion()
    claims = pyjwt.decode(
        text,
        key.public_key(),
        algorithms=["RS256"],
        audience="http://h/auth/realms/Broker",
        options={"verify_exp": False, "verify_iat": False},
    )
    assert claims["sub"] == "me"
    assert claims["iss"] == "urn:ietf:params:oauth:client-assertion-type:jwt-bearer:me"
    assert claims["aud"] == ["http://h/auth/realms/Broker"]
    assert (claims["iat"], claims["exp"]) == (1000, 1060)
    assert pyjwt.get_unverified_header(text)["kid"]
    assert provider.assertion() != text
    assert "PRIVATE" not in repr(provider)


@pytest.mark.parametrize("content", ["", "-----BEGIN PRIVATE KEY-----\nnonsense\n-----END PRIVATE KEY-----\n"])
def test_an_unreadable_key_is_named(content: str, tmp_path: Path) -> None:
    path = tmp_path / "key.pem"
    path.write_text(content)
    with pytest.raises(wm.ConfigError, match=r"key\.pem"):
        wm.ClientCredentials("http://h", "me", private_key=path)


def test_an_unreachable_token_endpoint_is_a_provider_error() -> None:
    async def main() -> None:
        with pytest.raises(wm.TokenProviderError, match="cannot be reached"):
            await wm.ClientCredentials("http://127.0.0.1:1", "me").fetch(False)

    asyncio.run(main())


def test_credentials_compare_without_showing() -> None:
    assert Credential("a") == Credential("a")
    assert Credential("a") != Credential("b")
    assert Credential("a") != "a"
    assert hash(Credential("a")) == hash(Credential("a"))


# ---------------------------------------------------------------- checkpoint files
def test_a_checkpoint_file_keeps_a_number_per_topic(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "positions.json"
    store = wm.FileCheckpoints(path)
    assert store.load("a") is None
    store.save("a", 5)
    store.save("b", 2**62)
    store.close()
    again = wm.FileCheckpoints(path)
    assert (again.load("a"), again.load("b")) == (5, 2**62)
    again.close()
    assert sorted(each.name for each in path.parent.iterdir()) == [
        "positions.json",
        "positions.json.bak",
        "positions.json.lock",
    ]


@pytest.mark.parametrize("damage", [b"", b"{}", b"\x00" * 20, b'{"v": 1, "checkpoints": {"a": 9}, "crc": 1}', None])
def test_a_damaged_file_is_replaced_by_the_one_before_it(damage: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "p"
    store = wm.FileCheckpoints(path)
    store.save("a", 5)
    store.save("a", 6)
    store.close()
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage)
    again = wm.FileCheckpoints(path)
    assert again.load("a") == 5
    again.close()


def test_a_crash_while_a_damaged_file_is_replaced_leaves_the_one_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "p"
    store = wm.FileCheckpoints(path)
    store.save("a", 5)
    store.save("a", 6)
    store.close()
    path.write_bytes(b"damage")
    again = wm.FileCheckpoints(path)
    assert again.load("a") == 5
    replaced = os.replace

    def replace_and_die(source: Path, target: Path) -> None:
        if target == path:
            raise KeyboardInterrupt
        replaced(source, target)

    monkeypatch.setattr(os, "replace", replace_and_die)
    with pytest.raises(KeyboardInterrupt):
        again.save("a", 7)
    monkeypatch.undo()
    again.close()
    third = wm.FileCheckpoints(path)
    assert third.load("a") == 5
    third.save("a", 8)
    third.save("a", 9)
    third.close()
    path.unlink()
    fourth = wm.FileCheckpoints(path)
    assert fourth.load("a") == 8
    fourth.close()


def test_a_number_below_zero_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "p"
    store = wm.FileCheckpoints(path)
    store.save("a", -5)
    store.close()
    again = wm.FileCheckpoints(path)
    with pytest.raises(wm.CheckpointCorrupt):
        again.load("a")
    again.close()


FORKED = """
import os, sys
import watchmanager as wm

store = wm.FileCheckpoints(sys.argv[1])
store.save("a", 5)
mine, childs = os.pipe(), os.pipe()
child = os.fork()
if child == 0:
    try:
        store.save("a", 100)
    except wm.CheckpointLocked as error:
        os.write(childs[1], f"locked by {'parent' if error.pid == os.getppid() else error.pid}".encode())
    os.close(childs[1])
    os.read(mine[0], 1)
    os._exit(0)
os.close(childs[1])
print(os.read(childs[0], 100).decode())
store.save("b", 1)
store.close()
again = wm.FileCheckpoints(sys.argv[1])
print(again.topics())
os.write(mine[1], b"x")
os.waitpid(child, 0)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_neither_moves_its_parents_positions_nor_keeps_the_lock(tmp_path: Path) -> None:
    root = Path(__file__).parents[3]
    ran = subprocess.run(
        [sys.executable, "-c", FORKED, str(tmp_path / "p")],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
        timeout=60,
    )
    assert ran.stdout.splitlines() == ["locked by parent", "{'a': 5, 'b': 1}"], ran.stderr


def test_a_damaged_file_without_a_spare_is_an_error_not_a_fresh_start(tmp_path: Path) -> None:
    path = tmp_path / "p"
    path.write_bytes(b"oops")
    store = wm.FileCheckpoints(path)
    with pytest.raises(wm.CheckpointCorrupt, match="remove it"):
        store.load("a")
    store.close()


def test_a_half_written_file_is_never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p"
    store = wm.FileCheckpoints(path)
    store.save("a", 5)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(wm.CheckpointWriteFailed, match="No space left"):
        store.save("a", 6)
    monkeypatch.undo()
    assert store.load("a") == 5
    store.save("a", 7)
    store.close()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["p", "p.bak", "p.lock"]


def test_a_second_user_of_a_file_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    path = tmp_path / "p"
    first, second = wm.FileCheckpoints(path), wm.FileCheckpoints(path)
    first.load("a")
    with pytest.raises(wm.CheckpointLocked) as caught:
        second.load("a")
    assert caught.value.pid == os.getpid()
    first.close()
    assert second.load("a") is None
    second.close()


def test_looking_into_a_file_writes_nothing_and_is_refused_while_it_is_in_use(tmp_path: Path) -> None:
    path, lock = tmp_path / "p", tmp_path / "p.lock"
    first, looking = wm.FileCheckpoints(path), wm.FileCheckpoints(path)
    first.save("a", 5)
    with pytest.raises(wm.CheckpointLocked) as caught:
        looking.topics()
    assert caught.value.pid == os.getpid()
    first.close()
    held = lock.read_text()
    assert looking.topics() == {"a": 5}
    first.save("a", 6)  # who looks holds nothing, and remembers nothing
    first.close()
    assert looking.topics() == {"a": 6}
    assert lock.read_text() == held
    lock.unlink()
    assert looking.topics() == {"a": 6}
    assert not lock.exists()
    assert looking.load("a") == 6  # who loads means to move it
    with pytest.raises(wm.CheckpointLocked):
        first.load("a")
    looking.close()


def test_several_threads_may_save_at_the_same_time(tmp_path: Path) -> None:
    path = tmp_path / "p"
    store = wm.FileCheckpoints(path)
    problems: list[BaseException] = []

    def save(topic: str) -> None:
        try:
            for sequence in range(1, 31):
                store.save(topic, sequence)
        except BaseException as error:
            problems.append(error)

    threads = [threading.Thread(target=save, args=(f"topic-{each}",)) for each in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.close()
    assert not problems
    again = wm.FileCheckpoints(path)
    assert again.topics() == {f"topic-{each}": 30 for each in range(6)}
    again.close()


def test_a_directory_is_no_checkpoint_file(tmp_path: Path) -> None:
    with pytest.raises(wm.ConfigError, match="is a directory"):
        wm.FileCheckpoints(tmp_path)


def test_a_mapping_with_something_else_in_it_is_an_error() -> None:
    for wrong in ("5", -1, True, 5.0):
        with pytest.raises(wm.CheckpointCorrupt):
            wm.MappingCheckpoints({"a": wrong}).load("a")  # type: ignore[dict-item]
