"""The contracts of `.importlinter` hold, and each goes red when somebody breaks it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("importlinter", reason="needs import-linter")

ROOT = Path(__file__).resolve().parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and their contracts, to be spoilt."""
    for name in ("mockcentral", "watchmanager"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / ".importlinter", tmp_path)
    return tmp_path


def _lint(folder: Path) -> tuple[int, list[str]]:
    """The exit code and the names of the contracts found broken."""
    done = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "PYTHONUTF8": "1", "COLUMNS": "300", "NO_COLOR": "1"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    lines = done.stdout.splitlines()
    assert any(line.startswith("Contracts:") for line in lines), done.stdout + done.stderr
    # "… BROKEN", or "… BROKEN (33 ignored imports)".
    return done.returncode, [name for name, broken, _ in (line.partition(" BROKEN") for line in lines) if broken]


def test_every_arrow_points_the_right_way(copy: Path) -> None:
    assert _lint(copy) == (0, [])


@pytest.mark.parametrize(
    ("module", "plant", "contract"),
    [
        ("mockcentral/_core/topics.py", "import asyncio", "Pure parts take `now`"),
        ("mockcentral/wire/frames.py", "import socket", "Pure parts take `now`"),
        ("mockcentral/scenario/types.py", "import time", "Pure parts take `now`"),
        ("mockcentral/faults/base.py", "import logging", "Pure parts take `now`"),
        ("mockcentral/conformance/checks/ordered.py", "import threading", "Pure parts take `now`"),
        ("watchmanager/_core/__init__.py", "import ssl", "Pure parts take `now`"),
        ("watchmanager/_core/__init__.py", "import watchmanager._wire.messages", "The client's core knows"),
        ("mockcentral/faults/noop.py", "import mockcentral.faults.end_status", "Faults do not know each other"),
        ("watchmanager/errors.py", "import mockcentral.world", "watchmanager never imports mockcentral"),
        ("mockcentral/world.py", "import watchmanager.errors", "mockcentral imports watchmanager only"),
        ("mockcentral/servers/host.py", "import mockcentral.world", "mockcentral is built in layers"),
        ("mockcentral/world.py", "import mockcentral.commands", "mockcentral is built in layers"),
        ("mockcentral/wire/grpc.py", "import mockcentral._core.events", "The wire knows frames"),
        ("mockcentral/_core/actions.py", "import mockcentral.scenario.types", "Actions and events are the words"),
    ],
)
def test_a_planted_import_breaks_its_contract(copy: Path, module: str, plant: str, contract: str) -> None:
    path = copy / module
    # At the end, where it cannot come before a `from __future__`, and inside a function, where it counts as well.
    path.write_text(f"{path.read_text(encoding='utf-8')}\n\ndef _planted():\n    {plant}\n", encoding="utf-8")
    code, broken = _lint(copy)
    assert code == 1
    assert any(name.startswith(contract) for name in broken), broken
