"""What the tests of foreign clients share: the Go program, built once a session."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SOURCES = Path(__file__).parent / "go_watch"


@pytest.fixture(scope="session")
def go_watch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the built program. Skips where there is no Go, or one older than the SDK asks for."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    wanted = re.search(r"^go (\d+)\.(\d+)", (SOURCES / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    found = re.search(r"go(\d+)\.(\d+)", subprocess.check_output([go, "version"], text=True))
    assert wanted is not None
    if found is None or (int(found[1]), int(found[2])) < (int(wanted[1]), int(wanted[2])):
        pytest.skip(f"the agent SDK needs {wanted[0]}, here is {found and found[0]}")
    program = tmp_path_factory.mktemp("go") / "go_watch"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."], cwd=SOURCES, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return str(program)
