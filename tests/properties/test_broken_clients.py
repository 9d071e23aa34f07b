"""The properties see a broken client, and what they write down shows the same break again."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, find, settings

from mockcentral.scenario.load import loads
from mockcentral.scenario.schema import Scenario
from mockcentral.scenario.writer import dumps
from mockcentral.sim import failures
from mockcentral.sim.plan import Plan
from mockcentral.sim.play import Stage, play
from mockcentral.sim.promises import Broken
from mockcentral.sim.shrink import shrink
from mockcentral.sim.storms import storm, storms
from watchmanager._core import machine
from watchmanager._core.outbox import Outbox
from watchmanager._core.resume import Window
from watchmanager._core.watermark import Watermark
from watchmanager.events import Event


def breaks(run: tuple[Scenario, Plan]) -> str:
    try:
        play(*run)
    except Broken as error:
        return str(error)
    return ""


def first_break(count: int = 400) -> tuple[tuple[Scenario, Plan], str]:
    for seed in range(count):
        run = storm(Random(seed).randint)
        if said := breaks(run):
            return run, said
    raise AssertionError(f"{count} storms and nobody noticed")


def test_a_client_that_remembers_no_sequence_is_caught_applying_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def accept(self: Outbox, event: Event) -> bool:
        self.items.append(event)
        self.highest = max(self.highest, event.sequence)
        return True

    monkeypatch.setattr(Outbox, "accept", accept)
    _, said = first_break()
    assert "applied twice" in said or "not marked" in said


def test_a_client_that_saves_before_it_processed_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(self: Watermark, ticket: int, sequence: int) -> None:
        self._mark = max(self._mark or 0, sequence)

    monkeypatch.setattr(Watermark, "begin", begin)
    monkeypatch.setattr(Watermark, "through", lambda self, ticket: True)
    _, said = first_break()
    assert "was saved before" in said or "never applied" in said


def test_a_client_that_never_comes_back_is_caught_at_its_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.Machine, "_back_off", lambda self, delay, error, now: None)
    _, said = first_break()
    assert "not well" in said


def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window that forgets at once: duplicates of a server look like late events."""
    monkeypatch.setattr(Window, "__contains__", lambda self, sequence: sequence <= self.floor)


def test_hypothesis_makes_a_failing_storm_small_and_its_file_breaks_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    forgetful(monkeypatch)
    run = find(
        storms(),
        lambda run: bool(breaks(run)),
        settings=settings(max_examples=2000, deadline=None, phases=[Phase.generate, Phase.shrink], database=None),
        random=Random(0),
    )
    scenario, plan = run
    assert len(scenario.faults) + len(scenario.attempts) + len(plan.happenings) <= 2
    saved = failures.save(scenario, plan, folder=tmp_path)
    assert saved.command == f"python -m mockcentral replay {tmp_path / 'storm.yaml'}"
    assert failures.load_run(saved.path) == (scenario, plan)
    assert breaks(failures.load_run(saved.path)) == breaks(run)


def test_shrink_makes_any_failing_run_small_without_hypothesis(monkeypatch: pytest.MonkeyPatch) -> None:
    forgetful(monkeypatch)
    run, said = first_break()
    small, played = shrink(run, lambda one: breaks(one)[:40] == said[:40])
    assert 0 < played <= 2000
    assert breaks(small)[:40] == said[:40]
    scenario, plan = small
    assert len(scenario.faults) + len(scenario.attempts) + len(plan.happenings) <= 2
    assert sum(line.count for line in scenario.traffic) <= 15
    assert loads(dumps(scenario)) == scenario


def test_a_run_breaks_in_the_same_way_with_a_journal_and_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests keep no journal, `replay` does: what it shows has to be what they saw."""
    forgetful(monkeypatch)
    broken = 0
    for seed in range(120):
        scenario, plan = storm(Random(seed).randint)
        ends = []
        for lean in (True, False):
            stage = Stage(scenario, plan, lean=lean)
            try:
                stage.play()
                ends.append(str(stage.finish().live_after))
            except Broken as error:
                ends.append(str(error))
                broken += 1
        assert ends[0] == ends[1], seed
    assert broken > 2


def test_a_plan_survives_being_written_down() -> None:
    for seed in range(200):
        _, plan = storm(Random(seed).randint)
        assert Plan.from_json(plan.to_json()) == plan
