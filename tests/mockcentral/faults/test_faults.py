"""What each fault asks for at its moment, and which settings it will not take."""

from __future__ import annotations

import dataclasses
import inspect
from pathlib import Path
from random import Random

import pytest

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
    DropTopic,
    EndCall,
    ExpireTokens,
    GoAway,
    PurgeLog,
    ResetCall,
    ResetSequence,
    Restart,
    SkewClock,
)
from mockcentral._core.events import Alteration
from mockcentral.faults.base import LEVELS, Fault, Moment
from mockcentral.faults.registry import FAULTS, by_name
from mockcentral.scenario.load import ScenarioError, parse_fault
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
        ("goaway", "event", [GoAway(3, 0, None)]),
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
        ({"end_statis": "OK"}, "event", "there is no fault `end_statis`: did you mean `end_status`?"),
    ],
)
def test_settings_out_of_range_are_refused_with_what_to_write(do: object, on: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        _fault(do, on)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [kind for kind in FAULTS if kind.anchors is not None], ids=lambda kind: kind.name)
def test_a_fault_is_refused_where_it_cannot_act(kind: type[Fault]) -> None:
    assert kind.anchors is not None
    assert kind.anchors <= ANCHORS.keys()
    do = {kind.name: {"delay": "1s"}} if kind.name == "http_delay" else kind.name
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
