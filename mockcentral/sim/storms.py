"""Storms: runs made up at random in which much goes wrong and, in the end, everything is well again.

A storm is a scenario and a plan. Its server may refuse, cut, lose, repeat, forget and die; its network may swallow
ends; its client may crash and be slow: but no fault lasts for ever and every status is one that a client may retry.
So a client has no excuse: after a storm it has to be LIVE and complete in bounded time.

The generator only asks for whole numbers, so a seed makes storms by the thousand (`storm(Random(7).randint)`), and
Hypothesis makes them too and makes them small (`storms()`; needs `pip install 'watchmanager[test]'`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from mockcentral.faults.abort import Abort
from mockcentral.faults.base import Fault
from mockcentral.faults.blackhole import Blackhole
from mockcentral.faults.close import Close
from mockcentral.faults.duplicate import Duplicate
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.expire_tokens import ExpireAllTokens
from mockcentral.faults.goaway import Goaway
from mockcentral.faults.http_delay import HttpDelay
from mockcentral.faults.http_error import HttpError
from mockcentral.faults.lose import Lose
from mockcentral.faults.ping_ack import PingAck
from mockcentral.faults.purge import Purge
from mockcentral.faults.refuse import Refuse
from mockcentral.faults.reset import Reset
from mockcentral.faults.restart import RestartServer
from mockcentral.scenario.possible import impossible
from mockcentral.scenario.schema import (
    ALL_TYPES,
    AbortAfter,
    Attempt,
    FaultRule,
    Filter,
    FilterScope,
    HarvesterSettings,
    LogSettings,
    PingSettings,
    Publish,
    Scenario,
    TokenSettings,
    Topic,
    Traffic,
    WorldSettings,
)
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, ErrorCode, Span
from mockcentral.sim.plan import ClientPlan, Happening, Plan
from mockcentral.sim.weather import Weather

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

T = TypeVar("T")
Pick = Callable[[int, int], int]
"""A whole number between two, both possible."""

TOPIC = Topic(
    name="storm",
    filters=(
        Filter(kind="APIService", scope=FilterScope(kind="Environment", name="e")),
        Filter(kind="APIServiceInstance", type=("created", "deleted")),
    ),
)
PASSING = (Code.UNAVAILABLE, Code.INTERNAL, Code.UNKNOWN, Code.OK, Code.RESOURCE_EXHAUSTED, Code.UNAUTHENTICATED)
HTTP_ERRORS = (503, 500, 429, 502, 401, 200)


def one_of(pick: Pick, things: Sequence[T]) -> T:
    return things[pick(0, len(things) - 1)]


def _span(pick: Pick, most_ms: int, least_ms: int = 0) -> Span:
    low = pick(least_ms, most_ms)
    return Span(low / 1000, (low + pick(0, most_ms)) / 1000)


def storm(pick: Pick, *, rough: bool = True) -> tuple[Scenario, Plan]:
    """A storm out of whole numbers. The smallest numbers make the calmest storm. Without `rough` the network is plain
    and the client ordinary: only the server misbehaves.
    """
    until = pick(5, 60)
    scenario = Scenario(
        scenario="storm",
        about="Made up at random: much goes wrong for a while, then nothing does.",
        world=_world(pick),
        topics=(TOPIC,),
        traffic=tuple(_traffic(pick) for _ in range(pick(1, 2))),
        faults=tuple(_rule(pick, f"fault-{number}") for number in range(1, 1 + pick(0, 4))),
        attempts=tuple(_attempt(pick) for _ in range(pick(0, 3))),
        needs=(),
    )
    # A hole in a stream that a checkpoint has passed is found by the life that saw the stream, or not at all.
    loses = any(rule.do.name == "lose" for rule in scenario.faults)
    plan = Plan(
        until=float(until),
        seed=pick(0, 2**32),
        weather=_weather(pick) if rough else Weather(),
        client=_client(pick) if rough else ClientPlan(),
        happenings=_happenings(pick, until, lives=not loses) if rough else (),
    )
    return scenario, plan


def _world(pick: Pick) -> WorldSettings:
    step = pick(1, 50)
    return WorldSettings(
        delivery=one_of(pick, ("stream_open", "first_request")),
        token=TokenSettings(
            life=Duration(float(one_of(pick, (3600, 30, 5)))), on_expiry=one_of(pick, ("end", "ignore"))
        ),
        log=LogSettings(first_sequence=one_of(pick, (1, 100_001)), step=CountSpan(1, step)),
        ping=PingSettings(every=one_of(pick, (Duration(30.0), None, Duration(2.0)))),
        harvester=HarvesterSettings(page_size=one_of(pick, (100, 1, 2, 7))),
    )


def _traffic(pick: Pick) -> Traffic:
    kind, scope = one_of(
        pick, (("APIService", "Environment/e"), ("APIServiceInstance", None), ("APIService", "Environment/other"))
    )
    return Traffic(
        publish=Publish(kind=kind, scope=scope, type=ALL_TYPES),
        count=pick(1, 12),
        every=_span(pick, 2000),
        burst=pick(1, 5),
        on=one_of(pick, (Anchor("start"), Anchor("stream_open"), Anchor("subscribe", 2), Anchor("harvest", 2))),
        after=_span(pick, 1000),
    )


def _fault(pick: Pick) -> tuple[Fault, tuple[str, ...]]:
    """A fault and the anchors it may be tied to."""
    anywhere = ("stream_open", "subscribe", "event", "harvest", "publish", "token")
    kind = pick(0, 15)
    if kind == 0:
        return EndStatus(code=one_of(pick, PASSING)), anywhere
    if kind == 1:
        return Close(), anywhere
    if kind == 2:
        return Abort(), anywhere
    if kind == 3:
        return Reset(error_code=ErrorCode(one_of(pick, (2, 7, 8, 11)))), anywhere
    if kind == 4:
        return Refuse(code=one_of(pick, PASSING)), ("stream_open", "subscribe")
    if kind == 5:
        return Goaway(), anywhere
    if kind == 6:
        return Duplicate(copies=pick(2, 3)), ("event",)
    if kind == 7:
        return Lose(), ("event",)
    if kind == 8:
        status = one_of(pick, HTTP_ERRORS)
        retry_after = one_of(pick, (None, Duration(2.0)))
        return HttpError(status=status, retry_after=retry_after, body="?"), ("harvest", "token", "http")
    if kind == 9:
        return HttpDelay(delay=_span(pick, 3000, 1)), ("harvest", "token", "http")
    if kind == 10:
        return ExpireAllTokens(), anywhere
    if kind == 11:
        return RestartServer(down_for=_span(pick, 5000)), anywhere
    if kind == 12:
        return Blackhole(), anywhere
    if kind == 13:
        return Purge(keep=pick(0, 3)), anywhere
    if kind == 14:
        return PingAck(delay=one_of(pick, (None, Duration(3.0), Duration(12.0)))), ("ping",)
    return EndStatus(code=Code.DEADLINE_EXCEEDED), anywhere


def _rule(pick: Pick, name: str) -> FaultRule:
    fault, anchors = _fault(pick)
    anchor = one_of(pick, anchors)
    nth = pick(0, 5)
    on = Anchor(anchor) if nth == 0 else Anchor(anchor, nth, onwards=bool(pick(0, 1)))
    after = Span(0.0, 0.0) if fault.answers else _span(pick, 3000)
    times = pick(1, 4)
    if any(impossible(on, (), times, None)):  # the moment comes once
        times = 1
    return FaultRule(name=name, on=on, after=after, times=times, do=fault)


def _attempt(pick: Pick) -> Attempt:
    kind = pick(0, 3)
    if kind == 0:
        return Attempt()
    if kind == 1:
        return Attempt(refuse=one_of(pick, PASSING))
    if kind == 2:
        return Attempt(abort_after=AbortAfter(events=pick(0, 5), code=one_of(pick, PASSING)))
    return Attempt(abort_after=AbortAfter(time=_span(pick, 3000), code=one_of(pick, PASSING)))


def _weather(pick: Pick) -> Weather:
    return Weather(
        up=_span(pick, 200),
        down=_span(pick, 200),
        lost_ends=one_of(pick, (0.0, 0.0, 0.5)),
        zombies=one_of(pick, (0.0, 0.0, 0.3)),
    )


def _client(pick: Pick) -> ClientPlan:
    return ClientPlan(
        start=("latest", "earliest", 0)[pick(0, 2)],
        on_gone=one_of(pick, ("skip", "earliest", "raise")),
        page_size=one_of(pick, (100, 1, 3)),
        max_events=one_of(pick, (10_000, 2, 5)),
        overlap=one_of(pick, (1000, 0, 3)),
        processing=one_of(pick, (0.0, 0.05, 0.5)),
        save_time=one_of(pick, (0.0, 0.2)),
        checkpoint_interval=one_of(pick, (1.0, 0.0, 0.1)),
        checkpoint_every=one_of(pick, (100, 1, 3)),
        audit_interval=float(one_of(pick, (300, 10))),
        keepalive=float(one_of(pick, (50, 5))),
        keepalive_timeout=float(one_of(pick, (10, 2))),
        http_timeout=float(one_of(pick, (60, 5))),
        backoff=float(one_of(pick, (60, 5))),
    )


def _happenings(pick: Pick, until: int, *, lives: bool) -> tuple[Happening, ...]:
    several = [_happening(pick, until) for _ in range(pick(0, 4))]
    kept = [each for each in several if lives or each.do not in ("crash", "vanish")]
    return tuple(sorted(kept, key=lambda each: each.at))


def _happening(pick: Pick, until: int) -> Happening:
    at = pick(0, until * 1000) / 1000
    do, value = one_of(
        pick,
        (
            ("publish", pick(1, 5)),
            ("crash", pick(0, 3000) / 1000),
            ("end_streams", one_of(pick, (14, 0, 16))),
            ("abort", 0),
            ("blackhole", 0),
            ("unplug", pick(0, 20_000) / 1000),
            ("vanish", pick(0, 3000) / 1000),
            ("restart", pick(0, 5000) / 1000),
            ("purge", pick(0, 3)),
            ("expire_tokens", 0),
        ),
    )
    return Happening(at, do, value)


def breeze(pick: Pick) -> tuple[Scenario, Plan]:
    """A small run: an ordinary client, up to six events, up to two faults, at most one scripted attempt."""
    scenario = Scenario(
        scenario="breeze",
        about="Made up at random: a little goes wrong.",
        world=WorldSettings(ping=PingSettings(every=None)),
        topics=(TOPIC,),
        traffic=(replace(_traffic(pick), count=pick(1, 6)),),
        faults=tuple(_rule(pick, f"fault-{number}") for number in range(1, 1 + pick(0, 2))),
        attempts=tuple(_attempt(pick) for _ in range(pick(0, 1))),
    )
    return scenario, Plan(until=10.0, seed=pick(0, 2**32))


def storms(*, rough: bool = True) -> SearchStrategy[tuple[Scenario, Plan]]:
    """Storms as a Hypothesis strategy: a failing one becomes small."""
    from hypothesis import strategies as st

    @st.composite
    def build(draw: st.DrawFn) -> tuple[Scenario, Plan]:
        return storm(lambda low, high: draw(st.integers(low, high)), rough=rough)

    return build()
