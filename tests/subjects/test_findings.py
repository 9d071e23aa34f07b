"""What the public Go SDK cannot do: each finding of docs/findings.md, seen again, and its stored journal judged again.

With MOCKCENTRAL_WRITE_FINDINGS=1 the journals of this run are stored.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mockcentral import World
from mockcentral._core.journal import Record
from mockcentral.conformance import stored
from mockcentral.conformance.judge import judge
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.faults.end_status import EndStatus
from mockcentral.faults.http_delay import HttpDelay
from mockcentral.scenario.expectations import Reconnects, Resumes
from mockcentral.scenario.schema import (
    FaultRule,
    Filter,
    FilterScope,
    Publish,
    Scenario,
    TokenSettings,
    Topic,
    Traffic,
    WorldSettings,
)
from mockcentral.scenario.types import Anchor, Code, Duration, Span
from tests.mockcentral.clients import service
from tests.subjects.agent import ENVIRONMENT, Agent
from tests.subjects.building import NEWEST, Builder
from tests.subjects.sample import PLAIN, sample
from tests.subjects.subject import PATIENCE, Subject

pytestmark = pytest.mark.go

JOURNALS = Path(__file__).parents[2] / "docs" / "findings"
SERVICES = Scenario(
    scenario="services",
    about="What the test publishes, for a topic of services.",
    topics=(Topic(name="apis", filters=(Filter(kind="APIService"),)),),
    expect=(Reconnects(within=Duration(10.0)),),
)
AGENTS = Scenario(
    scenario="agents",
    about="What the test publishes, for a topic that the agent makes; the one here makes the environment.",
    topics=(Topic(name="quiet", filters=(Filter(kind="*", scope=FilterScope(kind="Environment", name=ENVIRONMENT)),)),),
    expect=(Resumes(),),
)
CROWDED = replace(
    SERVICES,
    scenario="crowded",
    about="A stream ends while there is an event each 30 ms; when that is over there are more.",
    traffic=(
        Traffic(publish=Publish(kind="APIService"), on=Anchor("stream_open"), count=120, every=Span(0.03, 0.03)),
        Traffic(publish=Publish(kind="APIService"), on=Anchor("subscribe"), count=10, after=Span(0.5, 0.5)),
    ),
    faults=(
        FaultRule(name="end", on=Anchor("stream_open", 1), after=Span(0.5, 0.5), do=EndStatus(code=Code.UNAVAILABLE)),
    ),
    expect=(Reconnects(within=Duration(1.0)),),
)

CLOCKED = replace(SERVICES, world=WorldSettings(token=TokenSettings(life=Duration(6.0))))

BOTH = ("v1.1.121", NEWEST)
RUNS = 5
"""As many as a test may take that measures time."""

Proof = Callable[[Sequence[Record]], bool]


def found(name: str, journal: list[Record], scenario: Scenario, *, fails: set[str], proof: Proof) -> None:
    """The journal at hand proves the finding, and so does the stored one."""
    path = JOURNALS / f"{name}.ndjson"
    verdicts = judge(journal, scenario)
    assert failing(verdicts) == fails, verdicts
    assert proof(journal)
    if os.environ.get("MOCKCENTRAL_WRITE_FINDINGS"):
        path.write_text("".join(json.dumps(record) + "\n" for record in journal), encoding="utf-8")
    kept = stored.read(path)
    assert failing(judge(kept, stored.scenario_of(stored.start_of(kept, path), path))) == fails
    assert proof(kept)


def conclusive(run: Callable[[], list[Record]], scenario: Scenario) -> list[Record]:
    """The journal of the first run that says something of the client: one in which the machine was busy elsewhere may
    say no more than that.
    """
    for _ in range(RUNS):
        journal = run()
        open_ = [verdict for verdict in judge(journal, scenario) if verdict.outcome is Outcome.INCONCLUSIVE]
        if not open_:
            return journal
    raise AssertionError(f"{RUNS} runs, and none was conclusive, the last for: {open_}")


def failing(verdicts: Sequence[Verdict]) -> set[str]:
    return {verdict.check for verdict in verdicts if verdict.outcome is Outcome.FAIL}


def picked(journal: Sequence[Record], **having: object) -> list[Record]:
    return [record for record in journal if having.items() <= record.items()]


@pytest.mark.parametrize("version", [pytest.param("v1.1.137", marks=pytest.mark.go_all), NEWEST])
def test_a_watch_on_a_crowded_topic_does_not_subscribe_and_does_not_see_its_stream_end(
    go: Builder, version: str
) -> None:
    def run() -> list[Record]:
        with World(scenario=CROWDED) as world, Subject(world, [go.watch(version)]) as subject:
            subject.wait_applied_everything()
            return world.journal()

    journal = conclusive(run, CROWDED)

    def never_subscribed(journal: Sequence[Record]) -> bool:
        (ended,) = picked(journal, kind="stream.end", attempt=1, by="server")
        asked = [record for record in picked(journal, kind="http.request") if record["n"] > ended["n"]]
        return not picked(journal, request="subscribe", attempt=1) and len(asked) > 10

    found(f"crowded-topic-{version}", journal, CROWDED, fails={"reconnects"}, proof=never_subscribed)


@pytest.mark.parametrize("version", BOTH)
def test_a_watch_asks_with_a_refused_token_until_four_fifths_of_its_life_are_over(go: Builder, version: str) -> None:
    with World(scenario=CLOCKED) as world, Subject(world, [go.watch(version)]) as subject:
        subject.wait_connected()
        world.expire_tokens()
        world.close_connections()
        world.wait_for(subscribed(2), timeout=PATIENCE)
        journal = world.journal()

    def asked_with_it_again(journal: Sequence[Record]) -> bool:
        refused = picked(journal, kind="stream.end", code="UNAUTHENTICATED")
        attempts = {record["attempt"] for record in refused}
        tokens = {record["token"] for record in picked(journal, kind="stream.open") if record["attempt"] in attempts}
        return len(attempts) > 2 and len(tokens) == 1

    found(f"refused-token-{version}", journal, CLOCKED, fails=set(), proof=asked_with_it_again)


@pytest.mark.parametrize("version", BOTH)
def test_an_agent_does_not_hear_of_an_event_whose_resource_is_gone_when_it_reads_it(
    go: Builder, version: str, tmp_path: Path
) -> None:
    with World(scenario=AGENTS) as world, Agent(world, go.agent(version), tmp_path) as agent:
        settled(world, agent)
        created, deleted = world.publish([service("brief"), service("brief", type="deleted")])
        agent.wait_until(lambda: deleted in agent.applied)
        assert created not in agent.applied
        journal = world.journal()

    def read_nothing(journal: Sequence[Record]) -> bool:
        link = f"/apis/management/v1/environments/{ENVIRONMENT}/apiservices/brief"
        return [record["status"] for record in picked(journal, path=link, method="GET")] == [404]

    found(f"deleted-before-read-{version}", journal, AGENTS, fails={"complete"}, proof=read_nothing)


@pytest.mark.parametrize("version", BOTH)
def test_an_agent_waits_for_ever_when_the_last_event_of_its_history_cannot_be_read(
    go: Builder, version: str, tmp_path: Path
) -> None:
    """Its topic has no deletions of access requests: the last it hears of this one is that it was created."""
    request = {"kind": "AccessRequest", "name": "brief", "scope": f"Environment/{ENVIRONMENT}"}
    with World(scenario=AGENTS) as world, Agent(world, go.agent(version), tmp_path) as agent:
        settled(world, agent)
        line = world.journal()[-1]["n"]
        # From v1.1.146 on it asks for the newest event first, and only what comes after that is read as history.
        world.arm(
            FaultRule(name="slow", on=Anchor("http"), given=(Anchor("harvest"),), do=HttpDelay(delay=Span(0.5, 0.5)))
        )
        world.close_connections()
        if version == NEWEST:
            world.wait_for(lambda record: str(record.get("path")).startswith("/events/"), timeout=PATIENCE, since=line)
        world.publish([request, {**request, "type": "deleted"}])
        world.wait_for(lambda record: record["kind"] == "stream.open" and record["attempt"] == 2, timeout=PATIENCE)
        world.disarm("slow")
        read = world.wait_for(
            lambda record: str(record.get("path")).endswith("/accessrequests/brief"), timeout=PATIENCE, since=line
        )
        with pytest.raises(TimeoutError):
            world.wait_for(goes_on, timeout=6.0, since=read["n"])
        world.publish([service("later")])
        journal = world.journal()

    def waits(journal: Sequence[Record]) -> bool:
        (read,) = (record for record in journal if str(record.get("path")).endswith("/accessrequests/brief"))
        (later,) = picked(journal, kind="event.published", name="later")
        after = [record for record in journal if record["n"] > read["n"]]
        return read["status"] == 404 and later["t"] > read["t"] + 5.0 and not any(map(goes_on, after))

    found(f"endless-catch-up-{version}", journal, AGENTS, fails={"complete"}, proof=waits)


def test_an_agent_is_not_told_of_what_it_missed(go: Builder, tmp_path: Path) -> None:
    """From v1.1.146 on it lists all resources instead. A handler hears of them, without an event."""
    with World(scenario=AGENTS) as world, Agent(world, go.agent(), tmp_path) as agent:
        settled(world, agent)
        world.close_connections()
        (missed,) = world.publish([service("missed")])
        world.wait_for(subscribed(2), timeout=PATIENCE)
        (later,) = world.publish([service("later")])
        agent.wait_until(lambda: later in agent.applied)
        assert missed not in agent.applied
        agent.wait_progress("listed", name="missed")
        journal = world.journal()

    def listed(journal: Sequence[Record]) -> bool:
        (ended,) = picked(journal, kind="stream.end", attempt=1)
        (again,) = picked(journal, kind="stream.open", attempt=2)
        link = f"/apis/management/v1/environments/{ENVIRONMENT}/apiservices"
        lists = picked(journal, kind="http.request", method="GET", path=link)
        return any(ended["n"] < record["n"] < again["n"] for record in lists)

    found(f"no-replay-{NEWEST}", journal, AGENTS, fails={"complete", "resumes"}, proof=listed)


@pytest.mark.parametrize("version", BOTH)
def test_an_agent_does_not_make_its_topic_again(go: Builder, version: str, tmp_path: Path) -> None:
    """A fake without --store that was restarted has no topic but its scenario's."""
    scenario = replace(AGENTS, world=WorldSettings(token=TokenSettings(accept="any")))
    with World(scenario=scenario) as first, Agent(first, go.agent(version), tmp_path) as agent:
        settled(first, agent)
        port = int(first.address.rpartition(":")[2])
        first.close()
        with World(scenario=scenario, port=port) as world:
            agent.world = world
            once = world.wait_for(has_no_history, timeout=PATIENCE)
            # It comes back after five seconds, to the same answer.
            world.wait_for(lambda record: has_no_history(record) and record["t"] > once["t"] + 4.0, timeout=PATIENCE)
            journal = world.journal()

    def not_made(journal: Sequence[Record]) -> bool:
        return len(list(filter(has_no_history, journal))) > 1 and not picked(journal, method="POST")

    found(f"lost-topic-{version}", journal, scenario, fails=set(), proof=not_made)


@pytest.mark.parametrize("version", BOTH)
def test_the_sample_ends_with_its_first_stream(go: Builder, version: str, tmp_path: Path) -> None:
    with World(scenario=SERVICES) as world, sample(world, go.sample(version), tmp_path, *PLAIN) as it:
        it.wait_for("watch registered successfully")  # which it says before its call has got here
        world.wait_for(lambda record: record.get("request") == "subscribe", timeout=PATIENCE)
        world.close_connections()
        assert it.process.wait(PATIENCE) == 0
        world.record("client.exit", code=0, signal=None)
        journal = world.journal()

    def came_once(journal: Sequence[Record]) -> bool:
        return len(picked(journal, kind="stream.open")) == 1 and picked(journal, kind="client.exit", code=0) != []

    found(f"sample-ends-{version}", journal, SERVICES, fails={"reconnects"}, proof=came_once)


@pytest.mark.go_all  # failed once in a run of all: its cause is not known
@pytest.mark.parametrize("version", BOTH)
def test_the_sample_hangs_on_the_first_event_that_it_has_to_catch_up_on(
    go: Builder, version: str, tmp_path: Path
) -> None:
    # Published with the opening itself: its history is asked for so soon after it that a thread may come too late.
    meanwhile = Traffic(publish=Publish(kind="APIService", name="meanwhile"), on=Anchor("stream_open"))
    with World(scenario=replace(SERVICES, traffic=(meanwhile,)), tls=True) as world:
        world.publish([service("before")])
        world.arm(
            FaultRule(
                name="slow", on=Anchor("harvest"), given=(Anchor("stream_open"),), do=HttpDelay(delay=Span(1.0, 1.0))
            )
        )
        with sample(world, go.sample(version), tmp_path) as it:
            page = world.wait_for(lambda record: record.get("sequences") == [100002], timeout=PATIENCE)
            with pytest.raises(TimeoutError):
                world.wait_for(lambda record: record.get("request") == "subscribe", timeout=3.0, since=page["n"])
            assert it.process.poll() is None
            journal = world.journal()

    def got_it_and_did_not_go_on(journal: Sequence[Record]) -> bool:
        return bool(picked(journal, sequences=[100002])) and not picked(journal, kind="stream.request")

    found(f"sample-hangs-{version}", journal, SERVICES, fails=set(), proof=got_it_and_did_not_go_on)


def goes_on(record: Record) -> bool:
    """Whether a client asks for more history, or subscribes."""
    return record.get("request") == "subscribe" or str(record.get("path")).startswith("/events/")


def has_no_history(record: Record) -> bool:
    """Whether a topic's history was asked for, and there is no such topic."""
    return str(record.get("path")).startswith("/events/") and record["status"] == 404


def settled(world: World, agent: Agent) -> None:
    """Wait until the agent runs and has handled what it made itself."""
    agent.wait_progress("running")
    (sequence,) = world.publish([service("settled")])
    agent.wait_until(lambda: sequence in agent.applied)


def subscribed(attempt: int) -> Callable[[Record], bool]:
    """Whether a record says that a subscription, of that attempt or a later one, was accepted."""
    return lambda record: record.get("request") == "subscribe" and record["accepted"] and record["attempt"] >= attempt
