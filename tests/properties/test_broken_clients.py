"""The properties see a broken client, and what they write down shows the same break again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import Phase, find, settings

from mockcentral.scenario.schema import Scenario
from mockcentral.sim.plan import Plan
from mockcentral.sim.play import load_failure, play, save_failure
from mockcentral.sim.promises import Broken
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


def test_a_failing_storm_becomes_small_is_written_down_and_breaks_again_in_another_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # A window that forgets at once: duplicates of a server look like late events.
    monkeypatch.setattr(Window, "__contains__", lambda self, sequence: sequence <= self.floor)
    run = find(
        storms(),
        lambda run: bool(breaks(run)),
        settings=settings(max_examples=2000, deadline=None, phases=[Phase.generate, Phase.shrink], database=None),
        random=Random(0),
    )
    scenario, plan = run
    assert len(scenario.faults) + len(scenario.attempts) + len(plan.happenings) <= 2
    path, command = save_failure(scenario, plan, tmp_path)
    assert load_failure(path) == (scenario, plan)
    assert breaks(load_failure(path)) == breaks(run)
    monkeypatch.undo()
    assert command == f"python -m mockcentral.sim {path}"
    again = subprocess.run(
        [sys.executable, *command.split()[1:], "--journal"],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    # This client is not broken.
    assert again.returncode == 0, again.stderr
    assert again.stderr.startswith("kept: ")
    assert '"kind": "world.start"' in again.stdout


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["nowhere.yaml"], "No such file"),
        (["calm", "--plan", "{"], "the plan cannot be read"),
        (["calm", "--plan", '{"happenings":[[1,"explode",0]]}'], "'explode'"),
        (["calm", "--plan", '{"until":1,"weather":{"fog":1}}'], "fog"),
    ],
)
def test_a_run_that_cannot_be_read_is_one_line(arguments: list[str], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mockcentral.sim", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 2
    assert complaint in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_plan_survives_being_written_down() -> None:
    for seed in range(200):
        _, plan = storm(Random(seed).randint)
        assert Plan.from_json(plan.to_json()) == plan
