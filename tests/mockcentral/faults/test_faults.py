"""What each fault asks for at its moment, and which settings it will not take."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from mockcentral import faults
from mockcentral._core.actions import (
    Action,
    AnswerCall,
    AnswerEvent,
    AnswerHttp,
    AnswerPing,
    AnswerToken,
    BlackHole,
    CloseConnection,
    CutCall,
    DropTopic,
    EndCall,
    ExpireTokens,
    GoAway,
    GuardPings,
    HalfClose,
    HoldAccept,
    Later,
    PurgeLog,
    Quiet,
    Reframe,
    RefuseConnections,
    ResetCall,
    ResetSequence,
    RespondCall,
    Restart,
    SendBytes,
    SendFrames,
    ShapeBytes,
    ShrinkWindow,
    SkewClock,
    SpoilHandshake,
)
from mockcentral._core.events import Alteration
from mockcentral.faults.base import LEVELS, Fault, Moment
from mockcentral.faults.registry import FAULTS, by_name
from mockcentral.scenario.load import ScenarioError, load, loads, parse_fault
from mockcentral.scenario.reader import is_required
from mockcentral.scenario.types import ANCHORS


def _fault(do: object, on: str = "start") -> Fault:
    return parse_fault({"name": "x", "on": on, "do": do}).do


def _actions(do: object, on: str = "start") -> list[Action]:
    moment = Moment(on, 1, connection=3, call=7)
    return list(_fault(do, on).actions(moment, Random(0)))


@pytest.mark.parametrize(
    ("do", "on", "expected"),
    [
        ("noop", "start", []),
        ("end_status", "event", [EndCall(7, 14)]),
        ({"end_status": "INTERNAL"}, "event", [EndCall(7, 13)]),
        ({"end_status": {"code": "OK", "message": "bye"}}, "event", [EndCall(7, 0, "bye")]),
        ("refuse", "stream_open", [AnswerCall(14)]),
        ({"refuse": {"code": "UNAUTHENTICATED", "message": "no"}}, "subscribe", [AnswerCall(16, "no")]),
        ("reset", "event", [ResetCall(7, 2)]),
        ({"reset": "CANCEL"}, "event", [ResetCall(7, 8)]),
        ({"reset": 4294967295}, "event", [ResetCall(7, 4294967295)]),
        ("no_trailers", "event", [EndCall(7, 2, "no trailers", bare=True)]),
        ({"late_trailers": "2s"}, "event", [Quiet(7, receipt=True), Later(2.0, (EndCall(7, 14),), receipt=False)]),
        ("headers_only", "subscribe", [RespondCall(7)]),
        ({"headers_only": {"end": False}}, "subscribe", [RespondCall(7, end=False), Quiet(7)]),
        ("wrong_content_type", "stream_open", [RespondCall(7, 200, "text/html", end=False)]),
        (
            {"wrong_content_type": {"content_type": "text/plain", "status": 502, "body": "no"}},
            "stream_open",
            [RespondCall(7, 502, "text/plain", b"no")],
        ),
        ({"bad_length": {"length": 258, "bytes": 2}}, "event", [SendBytes(7, b"\0\0\0\1\2\0\0")]),
        ({"bad_length": {"bytes": 0, "end": True}}, "event", [SendBytes(7, b"\0\xff\xff\xff\xff"), EndCall(7, 0)]),
        ({"compressed": 3}, "event", [SendBytes(7, b"\3\0\0\0\4\x1f\x8b\x08\0")]),
        ({"cut": 9}, "subscribe", [CutCall(7, ResetCall(7, 2), after_bytes=9)]),
        ({"cut": {"after": 2, "of": "events", "then": "silence"}}, "subscribe", [CutCall(7, None, after_events=2)]),
        ({"cut": {"after": 2, "then": "abort"}}, "subscribe", [CutCall(7, CloseConnection(3, True), after_bytes=2)]),
        ("window", "connect", [ShrinkWindow(3, 0)]),
        ({"settings_storm": 2}, "event", [SendFrames(3, bytes.fromhex("0000060400000000000003000003e8") * 2, True)]),
        ({"ping_flood": 1}, "event", [SendFrames(3, bytes.fromhex("0000080600000000000000000000000001"), True)]),
        ("too_many_pings", "connect", [GuardPings(3, 300.0, 2)]),
        ("reframe", "stream_open", [Reframe(3, 16, 10)]),
        ({"reframe": {"write_bytes": None, "empty": True}}, "stream_open", [Reframe(3, 16, None, True)]),
        ("coalesce", "stream_open", [ShapeBytes(3, "to_client", gather=0.2)]),
        ({"garbage": "data_on_stream_0"}, "event", [SendFrames(3, b"\0\0\7\0\0\0\0\0\0garbage")]),
        ("half_close", "event", [HalfClose(3)]),
        ({"blackhole": "to_client"}, "event", [BlackHole(3, "to_client")]),
        ({"tcp_refuse": "2s"}, "publish", [RefuseConnections(2.0)]),
        ({"slow_accept": "2s"}, "connect", [HoldAccept(3, 2.0)]),
        ({"bandwidth": 100}, "connect", [ShapeBytes(3, rate=100)]),
        ("tls_expired", "connect", [SpoilHandshake(3, "expired")]),
        ("tls_not_yet_valid", "connect", [SpoilHandshake(3, "not_yet_valid")]),
        ("tls_wrong_name", "connect", [SpoilHandshake(3, "wrong_name")]),
        ("tls_unknown_ca", "connect", [SpoilHandshake(3, "unknown_ca")]),
        ("tls_old_protocol", "connect", [SpoilHandshake(3, "old_protocol")]),
        ("tls_no_alpn", "connect", [SpoilHandshake(3, "no_alpn")]),
        ("tls_stall", "connect", [SpoilHandshake(3, "stall", 0)]),
        ({"tls_cut": 7}, "connect", [SpoilHandshake(3, "cut", 7)]),
        ("goaway", "event", [GoAway(3, 0, None)]),
        ({"goaway": {"manner": "abrupt", "debug": "x"}}, "event", [GoAway(3, 0, None, b"x"), CloseConnection(3)]),
        (
            {"goaway": {"manner": "graceful", "drain": "5s"}},
            "event",
            [GoAway(3, 0, 2**31 - 1), Later(5.0, (GoAway(3, 0, None), CloseConnection(3)))],
        ),
        ({"ping_ack": "double"}, "ping", [AnswerPing(0.0, copies=2)]),
        ({"goaway": {"error_code": "ENHANCE_YOUR_CALM", "last_stream": 0}}, "event", [GoAway(3, 11, 0)]),
        ("close", "event", [CloseConnection(3)]),
        ("abort", "event", [CloseConnection(3, abort=True)]),
        ("blackhole", "event", [BlackHole(3)]),
        ({"ping_ack": "withhold"}, "ping", [AnswerPing(None)]),
        ({"ping_ack": "12s"}, "ping", [AnswerPing(12.0)]),
        ({"ping_ack": {"delay": "250ms"}}, "ping", [AnswerPing(0.25)]),
        ("lose", "event", [AnswerEvent(0)]),
        ("duplicate", "event", [AnswerEvent(2)]),
        ({"duplicate": 3}, "event", [AnswerEvent(3)]),
        ("http_error", "harvest", [AnswerHttp(503)]),
        (
            {"http_error": {"status": 429, "retry_after": "1500ms", "body": "later"}},
            "http",
            [AnswerHttp(429, headers=(("Retry-After", "2"),), body="later")],
        ),
        ({"http_delay": "2s"}, "token", [AnswerHttp(delay=2.0)]),
        ({"gap": 4}, "event", [AnswerEvent(0, run=4)]),
        ("lost_delete", "event", [AnswerEvent(0)]),
        ({"reorder": 2}, "event", [AnswerEvent(hold=2)]),
        ({"corrupt": "scope"}, "event", [AnswerEvent(change=Alteration((("scope", ""),)))]),
        ({"corrupt": "sequence"}, "event", [AnswerEvent(change=Alteration((("sequence", 0),)))]),
        ("unknown_type", "event", [AnswerEvent(change=Alteration((("type", 99),)))]),
        ({"oversize": 10}, "event", [AnswerEvent(change=Alteration(padding=10))]),
        ({"wrong_topic": "/a/b"}, "event", [AnswerEvent(change=Alteration((("topic", "/a/b"),)))]),
        ("http_truncate", "harvest", [AnswerHttp(cut=0.5)]),
        ({"http_trickle": {"every": "1s", "pieces": 3}}, "page", [AnswerHttp(trickle=(3, 1.0))]),
        ({"http_wrong_json": "half"}, "token", [AnswerHttp(shape="half")]),
        ({"http_page_size": 2}, "harvest", [AnswerHttp(page_size=2)]),
        ("http_gone", "page", [AnswerHttp(gone="with header")]),
        ({"http_gone": False}, "page", [AnswerHttp(gone="bare")]),
        ("wrong_audience", "token", [AnswerToken(claims=(("aud", "somebody-else"),))]),
        ({"bad_exp": "text"}, "token", [AnswerToken(exp="text")]),
        ("pinned_token", "token", [AnswerToken(pin=True)]),
        ("revoke_tokens", "publish", [ExpireTokens(revoke=True)]),
        ({"clock_skew": {"ahead": "5m"}}, "start", [SkewClock(300.0)]),
        ({"clock_skew": {"behind": "5m"}}, "start", [SkewClock(-300.0)]),
        ({"reset_sequence": 7}, "publish", [ResetSequence(7)]),
        ("delete_topic", "event", [DropTopic(None, 7, None)]),
        ({"delete_topic": "1s"}, "event", [DropTopic(None, 7, 1.0)]),
        ({"delete_topic": {"topic": "a"}}, "event", [DropTopic("a", 7, None)]),
        ("purge", "stream_end", [PurgeLog(0)]),
        ({"purge": 5}, "stream_end", [PurgeLog(5)]),
        ("expire_tokens", "publish", [ExpireTokens()]),
        ({"restart": "2s"}, "publish", [Restart(2.0)]),
        ({"restart": {"down_for": "1s", "forget": True}}, "publish", [Restart(1.0, forget=True)]),
    ],
)
def test_a_fault_asks_for_what_it_is_named_after(do: object, on: str, expected: list[Action]) -> None:
    assert _actions(do, on) == expected


@pytest.mark.parametrize("do", [{"http_delay": "1s..3s"}, {"restart": "1s..3s"}])
def test_a_range_is_drawn_from_the_given_random(do: object) -> None:
    on = "harvest" if "http_delay" in str(do) else "publish"
    fault, moment = _fault(do, on), Moment(on, 1)
    draws = [list(fault.actions(moment, Random(seed))) for seed in range(20)]
    assert draws == [list(fault.actions(moment, Random(seed))) for seed in range(20)]
    (seconds,) = {getattr(action, "delay", getattr(action, "down_for", None)) for action in draws[0]}
    assert seconds is not None
    assert 1 <= seconds <= 3
    assert len({str(draw) for draw in draws}) > 10


@pytest.mark.parametrize(
    ("do", "on", "says"),
    [
        ({"end_status": 14}, "event", "end_status: a gRPC status is written by its name: UNAVAILABLE instead of 14"),
        ({"reset": "INTERNAL"}, "event", "did you mean `INTERNAL_ERROR`?"),
        ({"reset": 2**32}, "event", "must fit in 32 bits"),
        ({"goaway": {"last_stream": -1}}, "event", "last_stream: `-1` is too small: at least 0"),
        ({"close": {"abort": True}}, "event", "the fault close has no settings: write close alone"),
        ({"ping_ack": {"delay": 12}}, "ping", "delay: a duration needs a unit: write 12ms or 12s"),
        ({"duplicate": 1}, "event", "duplicate: `1` is too small: at least 2"),
        ({"http_error": 301}, "http", "status 301 is no error: write 400 to 599, or 200 with a body"),
        ({"http_error": 600}, "http", "`600` is too large: at most 599"),
        ("http_delay", "http", "the fault http_delay needs `delay`"),
        ({"purge": -1}, "stream_end", "`-1` is too small"),
        ("restart", "publish", "the fault restart needs `down_for`"),
        ({"restart": {"down_for": "-1s"}}, "publish", "cannot be negative"),
        ({"gap": 0}, "event", "gap: `0` is too small: at least 1"),
        ({"reorder": 1001}, "event", "reorder: `1001` is too large: at most 1000"),
        ({"corrupt": "colour"}, "event", "`colour` is not known: write id, time"),
        ({"corrupt": {"field": "id", "how": "badly"}}, "event", "how: `badly` is not known"),
        ({"unknown_type": 5}, "event", "unknown_type: `5` is too small: at least 6"),
        ({"oversize": 2**30}, "event", "is too large: at most 33554432"),
        ({"wrong_topic": ""}, "event", "the text is empty"),
        ({"http_truncate": 1.5}, "http", "http_truncate: `1.5` is too large: at most 0.99"),
        ({"http_trickle": {"pieces": 0}}, "http", "pieces: `0` is too small: at least 1"),
        ({"http_wrong_json": "xml"}, "http", "`xml` is not known: write half, html"),
        ({"http_page_size": 0}, "harvest", "size: `0` is too small"),
        ({"http_gone": "yes"}, "harvest", "`yes` is neither true nor false"),
        ({"bad_exp": "long"}, "token", "`long` is not known: write missing, text or past"),
        ({"wrong_audience": ""}, "token", "the text is empty"),
        ("clock_skew", "start", "say either `ahead` or `behind`, such as {ahead: 5m}"),
        ({"clock_skew": {"ahead": "5m", "behind": "1s"}}, "start", "say either `ahead` or `behind`"),
        ({"reset_sequence": 0}, "publish", "reset_sequence: `0` is too small: at least 1"),
        ({"delete_topic": {"topic": "a/b"}}, "publish", "will not do: write something like sample-watch-topic"),
        ({"http_truncate": 0.1}, "event", "on: http_truncate cannot act at event"),
        ("noop", "barrier", "say barrier(1), or how many `times`"),
        ("noop", "barrier(2+)", "say barrier(1), or how many `times`"),
        (
            {"end_status": {"reason": "no quota"}},
            "event",
            "reason: `no quota` will not do: write something like QUOTA_",
        ),
        ({"end_status": {"retry_delay": "2d"}}, "event", "retry_delay: `2d` is too large: at most 1d"),
        ({"tcp_refuse": "0s"}, "event", "tcp_refuse: `0s` is too small: at least 1ms"),
        ({"slow_accept": "0s"}, "connect", "slow_accept: `0s` is too small: at least 1ms"),
        ({"latency": "0s"}, "connect", "latency: `0s` is too small: at least 1ms"),
        ({"http_delay": "0s"}, "http", "delay: `0s` is too small: at least 1ms"),
        ({"clock_skew": {"ahead": "0s"}}, "start", "ahead: `0s` is too small: at least 1ms"),
        ({"restart": "2d"}, "event", "`2d` is too large: at most 1d"),
        ({"purge": 10**9}, "publish", "`1000000000` is too large"),
        ({"late_trailers": 5}, "event", "late_trailers: a duration needs a unit: write 5ms or 5s"),
        ("late_trailers", "event", "the fault late_trailers needs `delay`"),
        ({"headers_only": {"end": 1}}, "stream_open", "end: `1` is neither true nor false"),
        ({"wrong_content_type": {"status": 99}}, "stream_open", "status: `99` is too small: at least 200"),
        ({"wrong_content_type": "\u00e4"}, "stream_open", "will not do: write something like text/html"),
        ({"bad_length": 2**32}, "event", "`4294967296` is too large"),
        ({"bad_length": {"bytes": -1}}, "event", "bytes: `-1` is too small: at least 0"),
        ({"compressed": 0}, "event", "compressed: `0` is too small: at least 1"),
        ("cut", "event", "the fault cut needs `after`"),
        ({"cut": {"after": 1, "of": "frames"}}, "event", "of: `frames` is not known"),
        ({"cut": {"after": 1, "then": "rest"}}, "event", "then: `rest` is not known: did you mean `reset`?"),
        ({"goaway": {"manner": "polite"}}, "event", "manner: `polite` is not known"),
        ({"goaway": {"drain": "2d"}}, "event", "drain: `2d` is too large: at most 1d"),
        ({"ping_ack": {"copies": 0}}, "ping", "copies: `0` is too small: at least 1"),
        ({"ping_ack": {"delay": None, "copies": 2}}, "ping", "an ack that is never sent has no copies and no payload"),
        ({"window": 65536}, "event", "window: `65536` is too large: at most 65535"),
        ({"settings_storm": 0}, "event", "settings_storm: `0` is too small: at least 1"),
        ({"ping_flood": 100_001}, "event", "ping_flood: `100001` is too large: at most 100000"),
        ({"too_many_pings": {"strikes": -1}}, "connect", "strikes: `-1` is too small: at least 0"),
        (
            {"reframe": {"frame_bytes": None, "write_bytes": None}},
            "event",
            "reframe: nothing would change: give frame_",
        ),
        ({"reframe": 0}, "event", "reframe: `0` is too small: at least 1"),
        ({"coalesce": 0}, "event", "coalesce: `0` is too small: at least 1ms"),
        ({"garbage": "frame"}, "event", "garbage: `frame` is not known: write random, unknown_frame"),
        ({"garbage": {"bytes": 8}}, "event", "bytes: `8` is too small: at least 9"),
        ({"half_close": 1}, "event", "the fault half_close takes no bare value, it has no settings"),
        ({"blackhole": "up"}, "event", "blackhole: `up` is not known"),
        ("tcp_refuse", "publish", "the fault tcp_refuse needs `down_for`"),
        ({"slow_accept": "3s..1s"}, "connect", "the range `3s..1s` runs backwards"),
        ({"latency": "2h"}, "connect", "latency: `2h` is too large: at most 1h"),
        (
            {"latency": {"delay": "1s", "jitter": "-1s"}},
            "connect",
            "jitter: `-1s` is no duration: it cannot be negative",
        ),
        ({"bandwidth": 0}, "connect", "bandwidth: `0` is too small: at least 1"),
        ({"tls_stall": 65537}, "connect", "tls_stall: `65537` is too large: at most 65536"),
        ({"tls_cut": {"after_bytes": -1}}, "connect", "after_bytes: `-1` is too small: at least 0"),
        ({"tls_expired": {"days": 2}}, "connect", "the fault tls_expired has no settings: write tls_expired alone"),
        ({"end_statis": "OK"}, "event", "there is no fault `end_statis`: did you mean `end_status`?"),
    ],
)
def test_settings_out_of_range_are_refused_with_what_to_write(do: object, on: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        _fault(do, on)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


JUNK: tuple[Any, ...] = (
    -1,
    -(2**63),
    2**64,
    10**30,
    0.5,
    -0.5,
    float("nan"),
    float("inf"),
    True,
    None,
    "",
    "-1s",
    "1e400s",
    "9" * 400 + "s",
    "nan",
    "inf",
    "9..1",
    "\x00",
    "x" * 100_000,
    [],
    [1],
    {},
    {"a": 1},
)


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.name)
def test_whatever_a_setting_is_given_is_taken_or_refused_in_lines_with_a_place(kind: type[Fault]) -> None:
    """Of every setting, named and as the bare value: no value ends in anything but a fault or a ScenarioError."""
    anchor = min(kind.anchors) if kind.anchors else "start"
    required = {field.name: "1s" for field in dataclasses.fields(kind) if is_required(field)}
    given: list[Any] = [{**required, field.name: value} for field in dataclasses.fields(kind) for value in JUNK]
    refused = 0
    for settings in (*given, *JUNK):
        scenario = {
            "scenario": "x",
            "about": "y",
            "needs": ["wire"],
            "faults": [{"name": "a", "on": anchor, "do": {kind.name: settings}}],
        }
        try:
            loads(yaml.safe_dump(scenario, allow_unicode=True), "x.yaml")
        except ScenarioError as error:
            refused += 1
            for line in str(error).splitlines():
                assert re.match(r"x\.yaml:\d+: ", line), line
                assert len(line) < 1000
    assert refused > len(JUNK) // 2


def test_what_only_the_wire_can_do_makes_a_scenario_say_so() -> None:
    text = "scenario: x\nabout: y\nfaults:\n- {name: a, on: connect, do: slow_accept}\n"
    text = text.replace("slow_accept", "{slow_accept: 1s}")
    with pytest.raises(ScenarioError) as caught:
        loads(text, "x.yaml")
    assert str(caught.value) == "x.yaml:4: faults: slow_accept cannot happen in the simulator: add `needs: [wire]`"
    assert loads(text + "needs: [wire]\n", "x.yaml").needs == ("wire",)


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind.anchors is not None], ids=lambda kind: kind.name)
def test_a_fault_is_refused_where_it_cannot_act(kind: type[Fault]) -> None:
    assert kind.anchors is not None
    assert kind.anchors <= ANCHORS.keys()
    needs_delay = any(field.name == "delay" and is_required(field) for field in dataclasses.fields(kind))
    do = {kind.name: {"delay": "1s"}} if needs_delay else kind.name
    for anchor in kind.anchors:
        assert _fault(do, anchor).name == kind.name
    with pytest.raises(ScenarioError, match=f"on: {kind.name} cannot act at start: it acts at"):
        _fault(do, "start")


def test_the_registry_lists_every_file_once_and_begins_with_noop() -> None:
    names = [fault.name for fault in FAULTS]
    files = {path.stem for path in Path(faults.__path__[0]).glob("*.py")} - {"__init__", "base", "registry"}
    assert names[0] == "noop"
    assert sorted(names) == sorted(files)
    assert all(by_name(fault.name) is fault for fault in FAULTS)
    assert by_name("nope") is None


def test_only_the_faults_that_a_scenario_names_are_imported() -> None:
    program = """
import sys
from mockcentral.scenario.load import load
load("flaky")
prefix = "mockcentral.faults."
print(*sorted(name.removeprefix(prefix) for name in sys.modules if name.startswith(prefix)))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    named = {rule.do.name for rule in load("flaky").faults}
    assert set(done.stdout.split()) == {"base", "registry"} | named


@pytest.mark.parametrize("kind", FAULTS, ids=lambda kind: kind.name)
def test_a_fault_is_a_frozen_dataclass_that_says_what_a_client_should_feel(kind: type[Fault]) -> None:
    assert kind.__module__ == f"mockcentral.faults.{kind.name}"
    assert dataclasses.is_dataclass(kind)
    what, feel, stands_for = inspect.cleandoc(kind.__doc__ or "").split("\n\n")
    assert what.endswith(".")
    assert feel.startswith("The client should feel ")
    assert stands_for.startswith("It stands for ")
    assert kind.level in LEVELS
    fields = {field.name for field in dataclasses.fields(kind)}
    assert kind.shorthand is None or kind.shorthand in fields
    assert all(set(settings) <= fields for settings in kind.words.values())
    if not any(field.default is dataclasses.MISSING for field in dataclasses.fields(kind)):
        fault = kind()
        assert fault == kind()
        for field in fields:
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(fault, field, 1)
