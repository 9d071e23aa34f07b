"""The same seed and the same calls make the same journal, whatever Python's hash seed is."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

STORY = """
import json
from mockcentral._core.actions import AnswerEvent, EndCall
from mockcentral.scenario.schema import LogSettings, Publish, Scenario, Traffic, WorldSettings
from mockcentral.scenario.types import CountSpan, Span
from tests.mockcentral._core.rig import ALL, NONE, TOPIC, OTHER, Rig, rule

scenario = Scenario(
    scenario="story",
    about="everything that draws",
    world=WorldSettings(log=LogSettings(step=CountSpan(1, 7))),
    topics=(ALL, NONE),
    traffic=tuple(
        Traffic(publish=Publish(kind=kind, scope="Environment/e"), count=40, every=Span(0.01, 0.5), burst=2)
        for kind in ("APIService", "Nothing", "Credential")
    ),
    faults=(
        rule("drop", "stream_open", EndCall(0, 14), after=Span(0.5, 3.0), probability=0.7),
        rule("lose", "event", AnswerEvent(0), probability=0.1),
        rule("twice", "event", AnswerEvent(2), probability=0.1),
    ),
)
rig = Rig(scenario, seed=11)
for step in range(20):
    rig.watch(TOPIC, capabilities=("ping",))
    rig.watch(OTHER)
    rig.at(float(step))
print(json.dumps(rig.journal.since()))
"""


def journal(hash_seed: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", STORY],
        cwd=Path(__file__).parents[3],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_two_processes_with_different_hash_seeds_write_the_same_journal() -> None:
    first, second = journal("1"), journal("2")
    assert first == second
    for kind in ("fault.triggered", "stream.event", "event.published", "stream.end"):
        assert first.count(kind) > 10  # the story tells enough to be worth comparing
