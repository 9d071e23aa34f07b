"""The same storms every time, without Hypothesis: quick, and a column of the kill matrix of tools/mutants.py."""

from __future__ import annotations

from dataclasses import replace
from random import Random

from mockcentral.conformance.judge import judge
from mockcentral.conformance.verdict import Outcome
from mockcentral.scenario.expectations import Complete, Filterable, Ordered, Resumes, Unique
from mockcentral.sim.play import Stage, play
from mockcentral.sim.storms import storm


def test_three_hundred_storms_break_no_promise() -> None:
    for seed in range(300):
        played = play(*storm(Random(seed).randint, rough=seed % 3 > 0))
        assert played.live_after is None or played.live_after <= played.bound, seed
        played.close()


def test_where_streams_lose_events_no_checkpoint_passes_one_if_it_is_to_be_confirmed() -> None:
    storms = (storm(Random(seed).randint) for seed in range(1500))
    losing = [each for each in storms if any(rule.do.name == "lose" for rule in each[0].faults)]
    for scenario, plan in losing:
        play(scenario, replace(plan, client=replace(plan.client, confirm=True))).close()
    assert len(losing) > 100


def test_the_judge_finds_no_fault_with_a_client_that_breaks_no_promise() -> None:
    expect = (Ordered(), Unique(), Complete(), Filterable(), Resumes())
    for seed in range(0, 6000, 30):
        scenario, plan = storm(Random(seed).randint, rough=False)
        stage = Stage(scenario, plan, lean=False)
        stage.play()
        stage.finish()
        verdicts = judge(stage.world.records(), replace(scenario, expect=expect))
        assert [verdict for verdict in verdicts if verdict.outcome is Outcome.FAIL] == [], seed
