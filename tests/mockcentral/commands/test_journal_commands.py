"""`replay`, `shrink`, `rejudge` and `diff`: runs and journals that were written down are looked at again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mockcentral.cli import main
from mockcentral.scenario.load import load, loads
from mockcentral.sim import failures
from mockcentral.sim.plan import ClientPlan, Happening, Plan

HANDLERS = """
import sys
from watchmanager import Event

def counting(disk):
    def handler(item):
        if isinstance(item, Event):
            disk["count"] = disk.get("count", 0) + 1
    return handler

def exact(stage):
    assert stage.disk.get("count", 0) == len(stage.events), "counted twice"

def clumsy(disk):
    return lambda item: {}[item.sequence]

def leaving(disk):
    return lambda item: sys.exit(0)

def lazy(disk):
    def handler(item):
        yield item
    return handler

def lazy_and_async(disk):
    async def handler(item):
        yield item
    return handler

def down(disk):
    raise RuntimeError("my database is down")

def forgetful(disk):
    disk["handler"] = print

def unable(disk):
    sys.exit("no configuration")

async def later(stage):
    assert not stage.events, "asked too late"

def looking(stage):
    yield stage

def satisfied(stage):
    sys.exit(0)
"""
CRASHING = Plan(
    until=30.0,
    client=ClientPlan(start=0),
    happenings=(Happening(2.0, "publish", 3), Happening(2.5, "crash", 0.5), Happening(9.0, "end_streams", 14)),
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("handlers.py").write_text(HANDLERS)
    Path("run.yaml").write_text(failures.text_of(load("calm"), CRASHING))
    return tmp_path


# ------------------------------------------------------------------------------------------ replay
@pytest.mark.parametrize("run", ["calm", "gap", "silent", "run.yaml"])
def test_a_scenario_or_a_written_run_is_played(run: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", run]) == 0
    assert capsys.readouterr().err.startswith("kept: ")


def test_a_simulated_journal_comes_out_the_same_byte_for_byte(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "run.yaml", "--journal", "run.ndjson"]) == 0
    assert main(["replay", "run.ndjson"]) == 0
    assert "the same journal as run.ndjson, byte for byte" in capsys.readouterr().err
    lines = Path("run.ndjson").read_text().splitlines()
    Path("run.ndjson").write_text("\n".join([*lines[:-1], lines[-1].replace('"v":1', '"v":1,"x":0')]) + "\n")
    assert main(["replay", "run.ndjson"]) == 1
    assert f"run.ndjson:{len(lines)}: comes out different now" in capsys.readouterr().err


def test_a_handler_that_raises_is_shown_where_it_raised(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["replay", "run.yaml", "--handler", "handlers.py:clumsy"]) == 1
    said = capsys.readouterr().err
    assert "handlers.py" in said
    assert "broken: the handler raised KeyError for event 100001 in life 1" in said


def test_a_check_of_the_users_own_decides_too(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--handler", "handlers.py:counting", "--check", "handlers.py:exact"]
    assert main(["replay", "run.yaml", *words]) == 1
    assert "broken: the check raised AssertionError: counted twice" in capsys.readouterr().err
    assert main(["replay", "calm", *words]) == 0


GENERATOR = "TypeError{}: it is a generator, so nothing in it has run: write a function without yield"


@pytest.mark.parametrize(
    ("words", "broken"),
    [
        ("--handler leaving", "the handler raised SystemExit for event 100001 in life 1: 0"),
        ("--handler lazy", f"the handler raised {GENERATOR.format(' for event 100001 in life 1')}"),
        ("--handler lazy_and_async", f"the handler raised {GENERATOR.format(' for event 100001 in life 1')}"),
        ("--handler down", "make_handler raised RuntimeError in life 1: my database is down"),
        ("--handler forgetful", "make_handler returned None in life 1: it must return a function"),
        ("--handler unable", "make_handler raised SystemExit in life 1: no configuration"),
        ("--check later", "the check raised AssertionError: asked too late"),
        ("--check looking", f"the check raised {GENERATOR.format('')}"),
        ("--check satisfied", "the check raised SystemExit: 0"),
    ],
)
def test_no_function_of_the_users_ends_a_replay_as_if_all_were_well(
    words: str, broken: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flag, name = words.split()
    assert main(["replay", "run.yaml", "--journal", "run.ndjson", flag, f"handlers.py:{name}"]) == 1
    assert f"broken: {broken}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["nowhere.yaml"], "nowhere.yaml"),
        (["calmm"], "did you mean `calm`?"),
        (["calm", "--seed", "x"], "'x' is no seed"),
        (["calm", "--handler", "nothing"], "'nothing' names no function: write MODULE:NAME or FILE.py:NAME"),
        (["calm", "--handler", "nowhere.py:f"], "nowhere.py cannot be imported: FileNotFoundError"),
        (["calm", "--handler", "script.py:f"], "script.py cannot be imported: SystemExit: 0"),
        (["calm", "--check", "handlers.py:wrong"], "handlers.py has no function 'wrong'"),
        (["bad-plan.yaml"], "the plan cannot be read"),
        (["bad-verb.yaml"], "the plan holds 'explode'"),
        (["bad-client.yaml"], "max_events is 1"),
        (["bad-weather.yaml"], "fog"),
        (["empty.ndjson"], "the file is empty"),
        (["broken.ndjson"], "broken.ndjson:2: is no JSON object"),
        (["headless.ndjson"], "has no `world.start` line"),
        (["future.ndjson"], "is of journal version 2"),
    ],
)
def test_what_cannot_be_played_is_one_line(
    words: list[str], complaint: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = failures.text_of(load("calm"), Plan()).partition("\n")[2]
    for name, plan in {
        "plan": "{",
        "verb": '{"happenings":[[1,"explode",0]]}',
        "client": '{"client":{"max_events":1}}',
        "weather": '{"weather":{"fog":1}}',
    }.items():
        Path(f"bad-{name}.yaml").write_text(f"{failures.MARK}{plan}\n{text}")
    line = '{"v":1,"n":1,"t":0.0,"world":"w","kind":"conn.open"}\n'
    Path("script.py").write_text("raise SystemExit(0)")
    Path("empty.ndjson").write_text("")
    Path("headless.ndjson").write_text(line)
    Path("broken.ndjson").write_text(line + "{")
    Path("future.ndjson").write_text(line.replace('"v":1', '"v":2'))
    try:
        code = main(["replay", *words])
    except SystemExit as exited:
        code = exited.code  # type: ignore[assignment]
    said = capsys.readouterr().err
    assert code == 2
    assert complaint in said
    assert said.count("\n") == 1, said


# ------------------------------------------------------------------------------------------ shrink
def test_a_failing_run_is_made_smaller_and_fails_in_the_same_way(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--handler", "handlers.py:counting", "--check", "handlers.py:exact"]
    assert main(["shrink", "run.yaml", *words]) == 0
    said = capsys.readouterr()
    assert said.out == (
        "python -m mockcentral replay run-small.yaml --handler handlers.py:counting --check handlers.py:exact\n"
    )
    scenario, plan = failures.load_run("run-small.yaml")
    assert {each.do for each in plan.happenings} == {"crash"}
    assert sum(line.count for line in scenario.traffic) < 56
    assert main(["replay", "run-small.yaml", *words]) == 1
    assert "counted twice" in capsys.readouterr().err


def test_what_does_not_fail_cannot_be_made_smaller(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["shrink", "run.yaml"]) == 5
    assert "keeps every promise" in capsys.readouterr().err
    assert not Path("run-small.yaml").exists()


# ------------------------------------------------------------------------------------------ rejudge
def journal(folder: Path, capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    assert main(["replay", "flaky", "--journal", "flaky.ndjson"]) == 0
    capsys.readouterr()
    return [json.loads(line) for line in Path("flaky.ndjson").read_text().splitlines()]


def test_a_stored_journal_is_judged_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = journal(folder, capsys)
    assert main(["rejudge", "flaky.ndjson"]) == 0
    assert "1 scenario, 7 checks: 7 passed" in capsys.readouterr().out
    lost = next(record for record in records if record["kind"] == "client.applied")
    with open("flaky.ndjson", "w") as file:
        file.writelines(json.dumps(record) + "\n" for record in records if record is not lost)
    assert main(["rejudge", "flaky.ndjson", "--check", "complete"]) == 1
    said = capsys.readouterr().out
    assert f"{lost['sequence']}" in said
    assert "replay: python -m mockcentral rejudge flaky.ndjson" in said


def test_a_journal_holds_the_scenario_it_is_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert loads(json.dumps(journal(folder, capsys)[0]["definition"])) == load("flaky")


def test_an_unknown_check_is_one_line(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    journal(folder, capsys)
    assert main(["rejudge", "flaky.ndjson", "--check", "compleet"]) == 2
    assert "did you mean `complete`?" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ diff
def test_two_journals_are_compared_by_what_happened(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, seed in (("one", "1"), ("again", "1"), ("other", "2")):
        assert main(["replay", "calm", "--seed", seed, "--journal", f"{name}.ndjson"]) == 0
    capsys.readouterr()
    assert main(["diff", "one.ndjson", "again.ndjson", "--exact"]) == 0
    assert main(["diff", "one.ndjson", "other.ndjson", "--kind", "stream."]) == 1
    said = capsys.readouterr().out
    assert said.startswith("--- one.ndjson\n+++ other.ndjson\n@@")
    changed = [line for line in said.splitlines() if line[0] in "+-" and line[:3] not in ("+++", "---")]
    assert changed
    assert all(line[1:].startswith("stream.") for line in changed)
    assert main(["diff", "one.ndjson", "other.ndjson", "--kind", "fault."]) == 0
