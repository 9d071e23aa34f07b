"""The shape of a scenario file, as typed data: one truth for the reader, the JSON Schema, `explain` and the rules.

Everything here is frozen, comparable and free of behaviour. Field names are the YAML keys, annotations are the types
the reader converts to, defaults are the documented defaults, and `doc()` is the sentence the JSON Schema and `explain`
show.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from mockcentral._core.frozen import strict_dataclass
from mockcentral.faults.base import Fault
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Anchor, Code, CountSpan, Duration, Span

EventType = Literal["created", "updated", "deleted"]
ALL_TYPES: tuple[EventType, ...] = ("created", "updated", "deleted")

NAME = r"[^/\s*]+"
"""A name that can stand in a link: no slash, no space, no star."""
SCOPE = r"[^/\s*]+/[^/\s*]+"


# ------------------------------------------------------------------------------------------------ world
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """How tokens are issued and judged."""

    life: Duration = doc("how long an issued token is valid", Duration(3600.0), minimum=0.05)
    accept: Literal["issued", "expired", "any"] = doc(
        "`expired` takes issued tokens past their exp, too; `any` every JWT whose exp lies in the future", "issued"
    )
    on_expiry: Literal["end", "ignore"] = doc("whether a stream ends when the last token seen on it expires", "end")
    first_message: Literal["any", "same"] = doc(
        "whether the token of a stream's first message may be any good one, or has to be that of the call's metadata",
        "any",
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """The event log: numbering and retention."""

    first_sequence: int = doc("the first sequence id", 100001, minimum=1, maximum=2**62)
    step: CountSpan = doc(
        "how far ids rise from one event to the next; above 1 leaves holes", CountSpan(1, 1), minimum=1, maximum=10**9
    )
    keep: int = doc("how many events are kept", 10000, minimum=1, maximum=10_000_000)
    keep_for: Duration = doc("how long an event is kept", Duration(7 * 86400.0), minimum=0.01)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class PingSettings:
    """Application-level PING events; only streams that offered the capability get them."""

    every: Duration | None = doc("pause between PING events on a stream; null sends none", Duration(30.0), minimum=0.05)
    unanswered: int | None = doc(
        "a stream ends after so many PING events in a row without an answer; null: it never does",
        None,
        minimum=1,
        maximum=1000,
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class StatusSettings:
    """Which gRPC status refuses what: the real server's choice is not known (protocol 7.3)."""

    bad_token: Code = doc("unparsable, unknown, missing or revoked token", Code.UNAUTHENTICATED)
    expired_token: Code = doc("token past its exp, at subscribe and on the stream", Code.UNAUTHENTICATED)
    unknown_topic: Code = doc("the first message names a topic that does not exist", Code.NOT_FOUND)
    foreign_tenant: Code = doc("x-axway-tenant-id is not the world's tenant", Code.PERMISSION_DENIED)
    unanswered_pings: Code = doc("the client left `ping.unanswered` PING events without an answer", Code.UNAVAILABLE)
    replaced: Code = doc("with `same_topic: newest`, a newer stream watches the topic", Code.ABORTED)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class HarvesterSettings:
    """The history service."""

    page_size: int = doc(
        "page size when a request names none, and the largest one served; without any parameter it is all",
        100,
        minimum=1,
        maximum=10_000,
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class RestSettings:
    """The REST API."""

    unknown_parameters: Literal["ignore", "refuse"] = doc(
        "a parameter of a list or a read that is not known is passed over, or answered with 400", "ignore"
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class WorldSettings:
    """The fake Central before anything happens."""

    tenant: str = doc("the organization id clients must name", "1234567890", minimum=1)
    delivery: Literal["stream_open", "first_request"] = doc(
        "from when on a stream receives events: everything published since the call was opened, or its first message",
        "stream_open",
    )
    same_topic: Literal["both", "newest"] = doc(
        "what two streams on one topic come to: both get every event, or the newest ends the others", "both"
    )
    token: TokenSettings = doc("tokens", TokenSettings)
    log: LogSettings = doc("event log", LogSettings)
    ping: PingSettings = doc("PING events", PingSettings)
    status: StatusSettings = doc("gRPC statuses of refusals", StatusSettings)
    harvester: HarvesterSettings = doc("history", HarvesterSettings)
    rest: RestSettings = doc("REST API", RestSettings)
    agent_status: Literal["store", "ignore"] = doc(
        "whether a status an agent reports on its stream becomes the `status` of the agent its topic is about", "store"
    )
    barrier_timeout: Duration = doc(
        "how long the moment `barrier` is waited for after each action", Duration(10.0), minimum=0.01
    )


# ------------------------------------------------------------------------------------------------ topics
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class FilterScope:
    """The scope a filter asks for."""

    kind: str = doc("scope kind, `*` for any", minimum=1)
    name: str = doc("scope name, `*` for any", "*", minimum=1)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """An event matches when every given field matches (protocol 5.4)."""

    group: str = doc("API group, `*` for any", "management", minimum=1)
    kind: str = doc("resource kind, `*` for any", minimum=1)
    name: str = doc("resource name, `*` for any", "*", minimum=1)
    type: tuple[EventType, ...] = doc("event types; updated includes subresource updates", ALL_TYPES, minimum=1)
    scope: FilterScope | None = doc("absent: any scope or none", None)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """A WatchTopic that exists from the start."""

    name: str = doc("resource name", pattern=NAME, example="sample-watch-topic")
    filters: tuple[Filter, ...] = doc("an event matches when any filter matches", minimum=1)
    title: str | None = doc("defaults to the name", None)
    description: str = doc("free text", "")


# ------------------------------------------------------------------------------------------------ traffic
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Publish:
    """Which resource changes a traffic line makes: lives of resources, created before updated before deleted."""

    group: str = doc("API group", "management", pattern=NAME, example="management")
    kind: str = doc("resource kind", pattern=NAME, example="APIService")
    scope: str | None = doc(
        "`Kind/name` of the scope, absent for an unscoped kind", None, pattern=SCOPE, example="Environment/sample-env"
    )
    name: str | None = doc("resource name; absent: names are made up", None, pattern=NAME, example="petstore")
    type: tuple[EventType, ...] = doc("which changes happen, drawn from the seed", ALL_TYPES, minimum=1)
    subresource: str | None = doc(
        "an update changes this subresource, so the event is SubResourceUpdated", None, pattern=NAME, example="status"
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """A source of events."""

    publish: Publish = doc("what happens")
    count: int = doc("how many events in all", 1, minimum=1, maximum=10_000_000)
    every: Span = doc("pause between two bursts", Span(0.1, 0.1))
    burst: int = doc("how many events at once", 1, minimum=1, maximum=1_000_000)
    on: Anchor = doc("what starts it; only the first match counts", Anchor("start"))
    after: Span = doc("pause between that and the first event", Span(0.0, 0.0))


# ------------------------------------------------------------------------------------------------ faults
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class FaultRule:
    """One fault and when it strikes."""

    name: str = doc("a name for the journal and the control API", pattern=NAME, example="drop")
    on: Anchor = doc("the moment it is tied to")
    given: tuple[Anchor, ...] = doc("moments of the run that must have come since it was armed, all of them", ())
    after: Span = doc("pause between that moment and the strike; only for faults that give orders", Span(0.0, 0.0))
    times: int | None = doc("how often it strikes at most; null: as often as the anchor happens", None, minimum=1)
    probability: float = doc("the chance to strike at each match, drawn from the seed", 1.0, minimum=0.0, maximum=1.0)
    ttl: Duration | None = doc("disarmed that long after it was armed", None, minimum=0.01)
    during: CountSpan | None = doc("only while the newest watch call has this number, or one of these", None, minimum=1)
    do: Fault = doc("what happens: one key, the fault's name, with its settings")


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class AbortAfter:
    """Cut one attempt short, after so many events or so long after it was opened (whatever comes first)."""

    events: int | None = doc("events sent on the stream before it ends", None, minimum=0)
    time: Span | None = doc("time since the call was opened", None)
    code: Code = doc("the gRPC status it ends with", Code.UNAVAILABLE)


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What happens to the n-th watch call; `ok` in YAML means none of these. Attempts past the list are ok."""

    refuse: Code | None = doc("refuse the call with this status before reading a message", None)
    abort_after: AbortAfter | None = doc("let it start, then cut it", None)


# ------------------------------------------------------------------------------------------------ rules
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class When(Filter):
    """A change of a resource, found as a topic's filter finds it, and then looked at more closely."""

    subresource: str | None = doc("only updates of this subresource", None, pattern=NAME, example="status")
    query: str = doc(
        "RSQL that the resource must fit once it is changed; of a deleted one only the head is left", "", maximum=4096
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One resource. `$(path)` in its names is what stands there in the resource of `when`."""

    group: str = doc("API group", "management", pattern=NAME, example="management")
    kind: str = doc("resource kind", pattern=NAME, example="ManagedApplication")
    name: str = doc("resource name", pattern=NAME, example="$(spec.managedApplication)")
    scope: str | None = doc(
        "`Kind/name` of the scope, absent for an unscoped kind", None, pattern=SCOPE, example="Environment/sample-env"
    )


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Base of what a rule does; one dataclass a step, in `mockcentral.scenario.steps`."""

    name: ClassVar[str]
    """The word in `then:`."""

    def problem(self) -> str | None:
        """What is wrong with the settings, as one sentence, where a field's type and bounds cannot say it."""
        return None


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What Central does by itself: steps it takes when a resource changes, or at a moment of the run."""

    name: str = doc("a name for the journal", pattern=NAME, example="pending")
    when: When | None = doc("the change it waits for; this or `on`", None)
    on: Anchor | None = doc("the moment it waits for; this or `when`", None)
    after: Span = doc("pause between that and the first step", Span(0.0, 0.0))
    times: int = doc(
        "how often it fires at most: for each resource of `when`, in all with `on`", 1, minimum=1, maximum=10_000_000
    )
    resource: Target | None = doc("what the steps are about; absent: the resource of `when`", None)
    then: tuple[Step, ...] = doc("what happens, one step after the other", minimum=1)


# ------------------------------------------------------------------------------------------------ expectations
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Base of what a run must show; one dataclass a check, in `mockcentral.scenario.expectations`."""

    name: ClassVar[str]
    """The word in `expect:`, and the id of the check that judges it."""


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Lab:
    """A run that measures the client instead of judging it, and ends with a card of what was seen."""

    over: str = doc("the fault rule whose first strike ends the run", pattern=NAME, example="done")


# ------------------------------------------------------------------------------------------------ the file
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A whole scenario."""

    scenario: str = doc(
        "its name: lower-case words with hyphens", pattern=r"[a-z0-9]+(-[a-z0-9]+)*", example="slow-ack"
    )
    about: str = doc("the story: who, what breaks, what must still be true", minimum=1)
    seed: int = doc("decides every random choice of the fake", 0, minimum=0, maximum=2**63 - 1)
    world: WorldSettings = doc("the fake before anything happens", WorldSettings)
    topics: tuple[Topic, ...] = doc("topics that exist from the start", ())
    traffic: tuple[Traffic, ...] = doc("what is published, and when", ())
    rules: tuple[Rule, ...] = doc("what Central does by itself, and when", ())
    faults: tuple[FaultRule, ...] = doc("what breaks, and when", ())
    attempts: tuple[Attempt, ...] = doc("a script per connection attempt", ())
    expect: tuple[Expectation, ...] = doc("what must hold; checks by name", ())
    lab: Lab | None = doc("measure the client instead of judging it", None)
    level: Literal["core", "extended"] = doc("core scenarios every client should pass", "core")
    needs: tuple[Literal["wire"], ...] = doc("`wire`: cannot run in the simulator", ())
