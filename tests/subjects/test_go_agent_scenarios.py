"""A whole Go agent under the built-in scenarios as they are: it starts in the middle of them, and is alive afterwards.

What it gets wrong on the way is a finding each, with the journal of such a run. None is worked around: the same
scenarios are what our own client has to pass (tests/watchmanager/driver/test_over_sockets.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from mockcentral import World
from mockcentral._core.journal import Record
from mockcentral.conformance.judge import judge
from tests.mockcentral.clients import service
from tests.subjects.agent import Agent
from tests.subjects.building import NEWEST, Builder
from tests.subjects.test_findings import failing, found, picked

pytestmark = pytest.mark.go

OLDER = "v1.1.121"
WHOLE_FLAKY = 420.0
"""Seconds for twelve broken streams: from break to break the SDK's pauses grow, to 40 s."""
NO_PAUSE = 60.0
"""Seconds without a stream that are no pause any more: 40 s is the longest in `flaky`."""

# What is created and deleted while an agent is away cannot be read any more (`deleted-before-read`), and v1.1.151 lists
# what is there instead of reading what happened (`no-replay`): so neither has every event of a scenario that goes on
# while a stream is down.
FAILS: dict[tuple[str, str], set[str]] = {
    ("token-expiry", OLDER): set(),
    ("token-expiry", NEWEST): set(),
    ("purged", OLDER): set(),
    ("purged", NEWEST): {"complete"},
    ("restart", OLDER): {"complete"},
    ("restart", NEWEST): {"complete", "resumes"},
    ("silent", OLDER): {"complete"},
    ("silent", NEWEST): {"complete", "resumes"},
    ("flaky", OLDER): {"complete", "resumes", "reconnects", "unique"},
}
"""Built-in scenario and version of the SDK, to the checks that fail."""


@pytest.mark.parametrize(
    ("scenario", "version"),
    [pytest.param(*case, marks=[pytest.mark.go_all] if case[0] == "flaky" else []) for case in FAILS],
)
def test_an_agent_lives_through_a_scenario(scenario: str, version: str, go: Builder, tmp_path: Path) -> None:
    with World(scenario=scenario) as world, Agent(world, go.agent(version), tmp_path) as agent:
        agent.wait_until(lambda: over(world), patience=WHOLE_FLAKY)
        agent.wait_progress("running")
        (sequence,) = world.publish([service("afterwards")])
        agent.wait_until(lambda: sequence in agent.applied)
        journal, played = world.journal(), world.scenario
        assert agent.stop() == 0

    def lived_on(journal: Sequence[Record]) -> bool:
        (afterwards,) = picked(journal, kind="event.published", name="afterwards")
        return picked(journal, kind="client.applied", sequence=afterwards["sequence"]) != []

    fails = FAILS[scenario, version]
    if fails:
        found(f"under-{scenario}-{version}", journal, played, fails=fails, proof=lived_on)
    else:
        assert failing(judge(journal, played)) == set()


@pytest.mark.go_all
def test_the_newest_agent_may_wait_for_minutes_while_streams_break_as_it_starts(go: Builder, tmp_path: Path) -> None:
    """Which of the twelve breaks meets it between two questions is chance: sooner or later the last event it has to
    catch up on is about a resource that is gone (`endless-catch-up`). If that never happened, it came through.
    """
    with World(scenario="flaky") as world, Agent(world, go.agent(), tmp_path) as agent:
        agent.wait_until(lambda: stands_still(world.journal()) or over(world), patience=WHOLE_FLAKY)
        journal, played = world.journal(), world.scenario
    if stands_still(journal):
        found(f"under-flaky-{NEWEST}", journal, played, fails={"complete", "reconnects"}, proof=stands_still)
    else:
        assert failing(judge(journal, played)) == {"complete", "resumes", "reconnects"}


def over(world: World) -> bool:
    """Whether all of the scenario has happened, and the client has subscribed after it."""
    if not world.traffic_done or any(not receipt["triggered"] for receipt in world.faults()):
        return False
    journal = world.journal()
    ends = picked(journal, kind="stream.end")
    subscribed = picked(journal, kind="stream.request", request="subscribe", accepted=True)
    return bool(subscribed) and subscribed[-1]["n"] > (ends[-1]["n"] if ends else 0)


def stands_still(journal: Sequence[Record]) -> bool:
    """Whether a stream has ended, and for longer than any pause none followed."""
    streams = [record for record in journal if record["kind"] in ("stream.open", "stream.end")]
    return bool(streams) and streams[-1]["kind"] == "stream.end" and journal[-1]["t"] > streams[-1]["t"] + NO_PAUSE
