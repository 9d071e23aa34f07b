"""Hypothesis strategies for scenarios and their parts: valid objects of the schema, small enough to run.

    from hypothesis import given
    from mockcentral import strategies

    @given(strategies.scenarios())
    def test_something(scenario): ...

They build what scenario files are read into, and `mockcentral.scenario.load.dumps` writes it, or any part of it, as
YAML again. Whole runs, with a client, a network and an end at which all must be well, are in `mockcentral.sim.storms`.

All durations are whole milliseconds. It imports hypothesis, as `mockcentral.sim.machine` does and nothing else does
before it is asked for it: `pip install 'watchmanager[test]'`.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from mockcentral.faults import registry
from mockcentral.faults.base import Fault
from mockcentral.scenario import expectations as checks
from mockcentral.scenario.possible import impossible
from mockcentral.scenario.schema import (
    ALL_TYPES,
    AbortAfter,
    Attempt,
    EventType,
    Expectation,
    FaultRule,
    Filter,
    FilterScope,
    HarvesterSettings,
    LogSettings,
    PingSettings,
    Publish,
    RestSettings,
    Rule,
    Scenario,
    StatusSettings,
    Step,
    Target,
    TokenSettings,
    Topic,
    Traffic,
    When,
    WorldSettings,
)
from mockcentral.scenario.steps import Create, Delete, Set, Update
from mockcentral.scenario.types import (
    ANCHORS,
    ERROR_CODES,
    Anchor,
    Code,
    CountSpan,
    Duration,
    ErrorCode,
    JsonObject,
    JsonValue,
    Span,
)

KINDS = ("APIService", "APIServiceInstance", "AccessRequest", "Environment")
SCOPES = ("Environment/sample-env", "Environment/other-env", "IdentityProvider/idp")
GROUPS = ("management", "catalog")


# ------------------------------------------------------------------------------------------------ small parts
def words() -> st.SearchStrategy[str]:
    """Names that can stand in a link."""
    return st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=8)


def texts() -> st.SearchStrategy[str]:
    """Free text, with all that YAML finds hard."""
    hard = st.sampled_from(
        ["yes", "on", "0x10", "1e5", "null", "~", "- a", "a: b", "# no", "<<", " x ", "a\nb", "12:30", "*"]
    )
    return st.one_of(
        hard, st.text(st.characters(exclude_categories=("Cs", "Cc"), include_characters="\n\t"), max_size=40)
    )


def durations(low: float = 0.0, high: float = 10.0) -> st.SearchStrategy[Duration]:
    """Durations in seconds, whole milliseconds."""
    return st.integers(round(low * 1000), round(high * 1000)).map(lambda millis: Duration(millis / 1000))


def spans(low: float = 0.0, high: float = 5.0) -> st.SearchStrategy[Span]:
    """Ranges of durations."""
    return st.tuples(durations(low, high), durations(low, high)).map(lambda ends: Span(min(ends), max(ends)))


def codes() -> st.SearchStrategy[Code]:
    """gRPC statuses."""
    return st.sampled_from(Code)


def error_codes() -> st.SearchStrategy[ErrorCode]:
    """HTTP/2 error codes, named ones first."""
    return st.one_of(st.sampled_from(list(ERROR_CODES.values())), st.integers(0, 2**32 - 1).map(ErrorCode))


def anchors(names: frozenset[str] | None = None) -> st.SearchStrategy[Anchor]:
    """Moments of a run, of these names."""
    numbered = st.builds(
        Anchor,
        st.sampled_from(sorted((names or ANCHORS.keys()) - {"start"}) or ["start"]),
        st.integers(1, 20),
        st.booleans(),
    )
    return st.one_of(st.sampled_from(sorted(names or ANCHORS)).map(Anchor), numbered)


def event_types() -> st.SearchStrategy[tuple[EventType, ...]]:
    """At least one event type, each once."""
    return st.lists(st.sampled_from(ALL_TYPES), min_size=1, unique=True).map(tuple)


# ------------------------------------------------------------------------------------------------ topics and events
def filters() -> st.SearchStrategy[Filter]:
    """Filters over a small world of kinds and scopes, so that they match now and then."""
    names = st.one_of(st.just("*"), words())
    scopes = st.sampled_from(SCOPES).map(lambda scope: FilterScope(kind=scope.split("/")[0], name=scope.split("/")[1]))
    wild = st.sampled_from([FilterScope(kind="*"), FilterScope(kind="Environment")])
    return st.builds(
        Filter,
        group=st.sampled_from((*GROUPS, "*")),
        kind=st.sampled_from((*KINDS, "*")),
        name=names,
        type=event_types(),
        scope=st.one_of(st.none(), scopes, wild),
    )


def topics() -> st.SearchStrategy[Topic]:
    """WatchTopics with up to four filters."""
    return st.builds(
        Topic,
        name=words(),
        filters=st.lists(filters(), min_size=1, max_size=4).map(tuple),
        title=st.one_of(st.none(), texts()),
        description=texts(),
    )


def events() -> st.SearchStrategy[Mapping[str, Any]]:
    """Resource changes as `World.publish` and the control API take them."""
    return st.fixed_dictionaries(
        {"kind": st.sampled_from(KINDS), "name": words(), "type": st.sampled_from(ALL_TYPES)},
        optional={
            "group": st.sampled_from(GROUPS),
            "scope": st.sampled_from(SCOPES),
            "subresource": st.sampled_from(("status", "x-agent-details")),
        },
    )


def traffic(max_count: int = 50) -> st.SearchStrategy[Traffic]:
    """Traffic lines of at most `max_count` events."""
    publish = st.builds(
        Publish,
        group=st.sampled_from(GROUPS),
        kind=st.sampled_from(KINDS),
        scope=st.one_of(st.none(), st.sampled_from(SCOPES)),
        name=st.one_of(st.none(), words()),
        type=event_types(),
        subresource=st.one_of(st.none(), st.sampled_from(("status", "x-agent-details"))),
    )
    return st.builds(
        Traffic,
        publish=publish,
        count=st.integers(1, max_count),
        every=spans(),
        burst=st.integers(1, 20),
        on=anchors(),
        after=spans(),
    )


# ------------------------------------------------------------------------------------------------ rules
def json_values() -> st.SearchStrategy[Any]:
    """Values a resource may hold."""
    leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e6, 1e6), texts())
    return st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words(), inner, max_size=2), max_leaves=4
    )


def _objects() -> st.SearchStrategy[JsonObject]:
    return st.dictionaries(words(), json_values(), max_size=2).map(JsonObject)


def targets() -> st.SearchStrategy[Target]:
    """Resources that rules speak of."""
    return st.builds(
        Target,
        group=st.sampled_from(GROUPS),
        kind=st.sampled_from(KINDS),
        name=words(),
        scope=st.one_of(st.none(), st.sampled_from(SCOPES)),
    )


def steps() -> st.SearchStrategy[Step]:
    """What rules do."""
    names = st.lists(words(), max_size=2).map(tuple)
    titles = st.one_of(st.none(), texts())
    subresources = st.dictionaries(words().map("x-{}".format), json_values(), max_size=2).map(JsonObject)
    create = st.builds(
        Create,
        resource=targets(),
        title=titles,
        attributes=_objects(),
        tags=names,
        finalizers=names,
        spec=_objects(),
        subresources=subresources,
    )
    update = st.builds(
        Update, title=titles, attributes=_objects(), spec=_objects(), add_finalizers=names, remove_finalizers=names
    )
    return st.one_of(
        create,
        st.builds(Set, subresource=st.sampled_from(("status", "x-agent-details")), value=json_values().map(JsonValue)),
        update.filter(lambda step: step != Update()),
        st.just(Delete()),
    )


def rules() -> st.SearchStrategy[Rule]:
    """What Central does by itself, at a change or a moment."""
    watched = filters().flatmap(
        lambda found: st.builds(
            When,
            group=st.just(found.group),
            kind=st.just(found.kind),
            name=st.just(found.name),
            type=st.just(found.type),
            scope=st.just(found.scope),
            subresource=st.one_of(st.none(), st.just("status")) if "updated" in found.type else st.none(),
            query=st.sampled_from(("", "status.level==Pending", "metadata.state!=DELETING;name==*")),
        )
    )
    common = {"name": words(), "after": spans(), "times": st.integers(1, 5)}
    then = st.lists(steps(), min_size=1, max_size=3).map(tuple)
    changes = st.builds(Rule, when=watched, resource=st.one_of(st.none(), targets()), then=then, **common)
    moments = st.builds(Rule, on=anchors(), resource=targets(), then=then, **common)
    return st.one_of(changes, moments).filter(lambda rule: rule.when is not None or "$(" not in repr(rule))


# ------------------------------------------------------------------------------------------------ faults
def faults() -> st.SearchStrategy[Fault]:
    """Faults of every kind with any settings."""
    return st.sampled_from(registry.FAULTS).flatmap(_fault).filter(lambda fault: fault.problem() is None)


def _fault(kind: type[Fault]) -> st.SearchStrategy[Fault]:
    if kind.name == "clock_skew":
        return st.one_of(st.builds(kind, ahead=durations(0.001)), st.builds(kind, behind=durations(0.001)))
    return st.builds(kind, **_SETTINGS.get(kind.name, {}))


_DIRECTIONS = st.sampled_from(("both", "to_client", "from_client"))

_SETTINGS: Mapping[str, Mapping[str, st.SearchStrategy[Any]]] = {
    "end_status": {"code": codes(), "message": texts()},
    "refuse": {"code": codes(), "message": texts()},
    "reset": {"error_code": error_codes()},
    "goaway": {
        "error_code": error_codes(),
        "last_stream": st.one_of(st.none(), st.integers(0, 2**31 - 1)),
        "debug": texts(),
        "manner": st.sampled_from(("plain", "graceful", "abrupt")),
        "drain": durations(),
    },
    "ping_ack": {"delay": st.one_of(st.none(), durations())},
    "late_trailers": {"delay": spans(), "code": codes()},
    "bad_length": {"length": st.integers(0, 2**32 - 1), "bytes": st.integers(0, 100), "end": st.booleans()},
    "compressed": {"flag": st.integers(1, 255)},
    "cut": {"after": st.integers(0, 1000), "of": st.sampled_from(("bytes", "events"))},
    "window": {"size": st.integers(0, 65535)},
    "too_many_pings": {"min_interval": durations(), "strikes": st.integers(0, 5)},
    "reframe": {"frame_bytes": st.integers(1, 100), "write_bytes": st.one_of(st.none(), st.integers(1, 100))},
    "blackhole": {"direction": _DIRECTIONS},
    "tcp_refuse": {"down_for": spans(0.001)},
    "slow_accept": {"delay": spans(0.001)},
    "latency": {"delay": durations(0.001), "jitter": durations(), "direction": _DIRECTIONS},
    "bandwidth": {"rate": st.integers(1, 10**9), "direction": _DIRECTIONS},
    "tls_stall": {"after_bytes": st.integers(0, 65536)},
    "duplicate": {"copies": st.integers(2, 5)},
    "http_error": {
        "status": st.one_of(st.just(200), st.integers(400, 599)),
        "retry_after": st.one_of(st.none(), durations()),
        "body": texts(),
    },
    "http_delay": {"delay": spans(0.001)},
    "gap": {"events": st.integers(1, 20)},
    "reorder": {"by": st.integers(1, 5)},
    "corrupt": {
        "field": st.sampled_from(("id", "time", "sequence", "organization", "group", "kind", "name", "self_link")),
        "how": st.sampled_from(("empty", "garbage")),
    },
    "unknown_type": {"number": st.integers(6, 2**31 - 1)},
    "oversize": {"size": st.integers(1, 100_000)},
    "wrong_topic": {"topic": texts().filter(bool)},
    "http_truncate": {"keep": st.floats(0.0, 0.99)},
    "http_trickle": {"every": spans(), "pieces": st.integers(1, 20)},
    "http_wrong_json": {"shape": st.sampled_from(("half", "html", "object", "null", "empty", "strings"))},
    "http_page_size": {"size": st.integers(1, 200)},
    "http_gone": {"header": st.booleans()},
    "wrong_audience": {"audience": texts().filter(bool)},
    "bad_exp": {"how": st.sampled_from(("missing", "text", "past"))},
    "reset_sequence": {"to": st.integers(1, 2**62)},
    "delete_topic": {"topic": st.one_of(st.none(), words()), "back_after": st.one_of(st.none(), spans())},
    "purge": {"keep": st.integers(0, 100)},
    "restart": {"down_for": spans(), "forget": st.booleans()},
}
"""Settings by fault; one that is missing here has none, or only its defaults."""


def counts() -> st.SearchStrategy[CountSpan]:
    """Counts and ranges of them, up to 50."""
    return st.tuples(st.integers(1, 50), st.integers(1, 50)).map(lambda ends: CountSpan(min(ends), max(ends)))


def fault_rules() -> st.SearchStrategy[FaultRule]:
    """Fault rules that a scenario may hold: the fault can act where the rule is tied to."""
    return faults().flatmap(
        lambda fault: st.builds(
            FaultRule,
            name=words(),
            on=anchors(fault.anchors),
            given=st.lists(anchors(), max_size=2).map(tuple),
            after=st.just(Span(0.0, 0.0)) if fault.answers or fault.at_once else spans(),
            times=st.one_of(st.none(), st.integers(1, 5)),
            probability=st.one_of(st.just(1.0), st.floats(0.0, 1.0)),
            ttl=st.one_of(st.none(), durations(0.01)),
            during=st.one_of(st.none(), counts()),
            do=st.just(fault),
        ).map(_possible)
    )


def _possible(rule: FaultRule) -> FaultRule:
    """Without what cannot be. What happens at a barrier is followed by the next barrier: such a rule says how often."""
    wrong = {key for key, _ in impossible(rule.on, rule.given, rule.times, rule.during)}
    times = None if "times" in wrong else rule.times
    return replace(
        rule,
        given=() if "given" in wrong else rule.given,
        times=times or 1 if rule.on.name == "barrier" else times,
        during=None if "during" in wrong else rule.during,
    )


def attempts() -> st.SearchStrategy[Attempt]:
    """What happens to one watch call."""
    aborts = st.one_of(
        st.builds(AbortAfter, events=st.integers(0, 50), code=codes()),
        st.builds(AbortAfter, events=st.one_of(st.none(), st.integers(0, 50)), time=spans(), code=codes()),
    )
    return st.one_of(st.just(Attempt()), st.builds(Attempt, refuse=codes()), st.builds(Attempt, abort_after=aborts))


# ------------------------------------------------------------------------------------------------ whole scenarios
def world_settings() -> st.SearchStrategy[WorldSettings]:
    """The fake before anything happens."""
    return st.builds(
        WorldSettings,
        tenant=words(),
        delivery=st.sampled_from(("stream_open", "first_request")),
        token=st.builds(
            TokenSettings,
            life=durations(0.05, 3600.0),
            accept=st.sampled_from(("issued", "expired", "any")),
            on_expiry=st.sampled_from(("end", "ignore")),
            first_message=st.sampled_from(("any", "same")),
        ),
        log=st.builds(
            LogSettings,
            first_sequence=st.integers(1, 2**62),
            step=counts(),
            keep=st.integers(1, 10_000),
            keep_for=durations(0.01, 86400.0),
        ),
        ping=st.builds(
            PingSettings,
            every=st.one_of(st.none(), durations(0.05, 60.0)),
            unanswered=st.one_of(st.none(), st.integers(1, 1000)),
        ),
        status=st.builds(
            StatusSettings,
            bad_token=codes(),
            expired_token=codes(),
            unknown_topic=codes(),
            foreign_tenant=codes(),
            unanswered_pings=codes(),
            replaced=codes(),
        ),
        same_topic=st.sampled_from(("both", "newest")),
        agent_status=st.sampled_from(("store", "ignore")),
        rest=st.builds(RestSettings, unknown_parameters=st.sampled_from(("ignore", "refuse"))),
        harvester=st.builds(HarvesterSettings, page_size=st.integers(1, 200)),
    )


def expectations() -> st.SearchStrategy[Expectation]:
    """Checks with any settings."""
    within = durations(0.05, 100.0)
    return st.one_of(
        st.sampled_from([kind() for kind in checks.EXPECTATIONS]),
        st.builds(checks.Reconnects, within=within),
        st.builds(checks.AnswersPings, within=within),
        st.builds(checks.NoticesDeadPeer, within=within),
        st.builds(checks.BacksOff, at_most=st.integers(1, 50), within=within),
    )


def scenarios(*, max_events: int = 50) -> st.SearchStrategy[Scenario]:
    """Whole scenarios: up to two topics, three traffic lines of at most `max_events`, two rules,
    three fault rules, three attempts.
    """
    made = st.builds(
        Scenario,
        scenario=words(),
        about=texts().filter(bool),
        seed=st.integers(0, 2**63 - 1),
        world=world_settings(),
        topics=st.lists(topics(), max_size=2, unique_by=lambda topic: topic.name).map(tuple),
        traffic=st.lists(traffic(max_events), max_size=3).map(tuple),
        rules=st.lists(rules(), max_size=2, unique_by=lambda rule: rule.name).map(tuple),
        faults=st.lists(fault_rules(), max_size=3, unique_by=lambda rule: rule.name).map(tuple),
        attempts=st.lists(attempts(), max_size=3).map(tuple),
        expect=st.lists(expectations(), max_size=4, unique_by=lambda check: check.name).map(tuple),
        level=st.sampled_from(("core", "extended")),
        needs=st.sampled_from(((), ("wire",))),
    )
    return made.map(_with_needs)


def _with_needs(scenario: Scenario) -> Scenario:
    """What only the wire can do is said."""
    wire = any(rule.do.needs_wire for rule in scenario.faults)
    return replace(scenario, needs=("wire",)) if wire else scenario
