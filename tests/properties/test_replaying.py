"""A failing run is one file and one command: the command, in another process, fails in the same way."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mockcentral.sim import failures
from mockcentral.sim.machine import QUIET
from mockcentral.sim.plan import Plan
from tests.mutants.mutants import MUTANTS

ROOT = Path(__file__).parents[2]
MACHINE = """
from hypothesis import Phase, settings
from mockcentral.sim.machine import watch_machine

TestWatch = watch_machine().TestCase
TestWatch.settings = settings(
    max_examples=150, stateful_step_count=12, deadline=None, database=None, derandomize=True,
    phases=[Phase.generate, Phase.shrink],
)
"""
HANDLER = """
from hypothesis import Phase, settings
from mockcentral.sim.machine import watch_machine
from mockcentral.sim.plan import ClientPlan
from watchmanager import Event

def make_handler(disk):
    def handler(item):
        if isinstance(item, Event):
            disk["count"] = disk.get("count", 0) + 1
    return handler

def check(stage):
    assert stage.disk.get("count", 0) == len(stage.events), "counted twice"

TestHandler = watch_machine(make_handler, check=check, client=ClientPlan(start=0), name="counter").TestCase
TestHandler.settings = settings(
    max_examples=100, stateful_step_count=6, deadline=None, database=None, derandomize=True,
    phases=[Phase.generate, Phase.shrink],
)
"""


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In a process that finds the packages in `folder` before ours."""
    return subprocess.run(
        [sys.executable, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


RAISES = """
from hypothesis import settings
from mockcentral.sim.machine import watch_machine
from mockcentral.sim.plan import ClientPlan

def make_handler(disk):
    {body}

TestHandler = watch_machine(make_handler, client=ClientPlan(on_gone="skip")).TestCase
TestHandler.settings = settings(
    max_examples=60, stateful_step_count=10, deadline=None, database=None, derandomize=True
)
"""


def report_of(folder: Path, text: str) -> str:
    """What pytest says about a test file, which has to fail."""
    (folder / "test_it.py").write_text(text)
    done = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "test_it.py")
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def command_in(report: str) -> list[str]:
    (found,) = set(re.findall(r"play it again with: python (.*)", report))
    return shlex.split(found)


def test_a_broken_client_is_found_written_down_and_fails_again_by_one_command(tmp_path: Path) -> None:
    (mutant,) = (one for one in MUTANTS if one.name == "copies are delivered")
    shutil.copytree(ROOT / "watchmanager", tmp_path / "watchmanager", ignore=shutil.ignore_patterns("__pycache__"))
    file = tmp_path / mutant.file
    healthy = file.read_text()
    file.write_text(healthy.replace(mutant.old, mutant.new))
    report = report_of(tmp_path, MACHINE)
    words = command_in(report)
    assert words == ["-m", "mockcentral", "replay", ".hypothesis/mockcentral/machine.yaml"]
    again = run(tmp_path, *words)
    assert again.returncode == 1, again.stderr
    assert f"Broken: {again.stderr.removeprefix('broken: ')}" in report
    file.write_text(healthy)
    cured = run(tmp_path, *words)
    assert cured.returncode == 0, cured.stderr
    assert cured.stderr.startswith("kept: ")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def handler(item): item.name.upper()\n    return handler", "the handler raised AttributeError for gap"),
        (
            "if disk.setdefault('lives', 0): raise OSError('pid file')\n    disk['lives'] = 1\n    return print",
            "make_handler raised OSError in life 2: pid file",
        ),
    ],
    ids=["a handler", "its maker"],
)
def test_what_raises_is_one_finding_and_fails_again_by_one_command(tmp_path: Path, body: str, words: str) -> None:
    report = report_of(tmp_path, RAISES.format(body=body))
    assert "distinct failures" not in report
    assert words in report
    again = run(tmp_path, *command_in(report))
    assert again.returncode == 1, again.stderr
    assert f"broken: {words}" in again.stderr


def test_a_maker_that_forgets_to_return_its_handler_is_told_so(tmp_path: Path) -> None:
    report = report_of(tmp_path, RAISES.format(body="def handler(item): pass"))
    assert "make_handler returned None in life 1: it must return a function" in report


def test_where_nothing_can_be_written_the_broken_promise_still_comes_through(tmp_path: Path) -> None:
    (tmp_path / ".hypothesis").write_text("a file where the folder should be")
    report = report_of(tmp_path, RAISES.format(body="return lambda item: item.name.upper()"))
    assert "the handler raised AttributeError for gap" in report
    assert "the run could not be written to .hypothesis/mockcentral/machine.yaml: Not a directory" in report
    assert "distinct failures" not in report


@pytest.mark.parametrize(
    ("name", "file"),
    [("a/b", "a-b"), ("../x", "x"), ("..", "run"), (" ", "run"), ("my.handler-1", "my.handler-1"), ("café", "café")],
)
def test_whatever_a_machine_is_called_its_file_is_in_the_folder(tmp_path: Path, name: str, file: str) -> None:
    saved = failures.save(QUIET, Plan(), name=name, folder=tmp_path / "runs")
    assert saved.path == tmp_path / "runs" / f"{file}.yaml"
    assert failures.load_run(saved.path) == (QUIET, Plan())


def test_a_handler_that_counts_twice_is_found_and_fails_again_by_one_command(tmp_path: Path) -> None:
    report = report_of(tmp_path, HANDLER)
    words = command_in(report)
    assert words[3:] == [
        ".hypothesis/mockcentral/counter.yaml",
        "--handler",
        "test_it.py:make_handler",
        "--check",
        "test_it.py:check",
    ]
    again = run(tmp_path, *words)
    assert again.returncode == 1
    assert "broken: the check raised AssertionError: counted twice" in again.stderr
    assert "test_it.py" in again.stderr
    text = (tmp_path / words[3]).read_text()
    happened = set(re.findall(r'"(crash|vanish|publish|restart|purge|abort|close|blackhole)"', text))
    assert happened <= {"crash", "vanish", "publish"}, text
