"""`tools/mutants.py` fails where it should: CI trusts its exit code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LIST = """
from tests.mutants.mutants import Mutant
BACK = "tests/watchmanager/core/test_reconnecting.py::"
FILE = "watchmanager/_core/backoff.py"
PACED = BACK + "test_no_number_of_failures_overflows"
MUTANTS = ({})
"""
CAPPED = 'Mutant("no cap", FILE, "min(self.failures, _CAP_EXPONENT)", "self.failures", PACED),'
HARMLESS = 'Mutant("other words", FILE, "A question was answered.", "It was answered.", PACED),'
STALE = 'Mutant("gone", FILE, "no such line", "", PACED),'


def mutants(tmp_path: Path, *entries: str) -> subprocess.CompletedProcess[str]:
    file = tmp_path / "mutants.py"
    file.write_text(LIST.format(" ".join(entries)))
    return subprocess.run(
        [sys.executable, "tools/mutants.py", "--list", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_a_survivor_fails_the_run_and_is_named(tmp_path: Path) -> None:
    done = mutants(tmp_path, CAPPED, HARMLESS)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 of 2 killed" in done.stdout
    assert "SURVIVED" in next(line for line in done.stdout.splitlines() if "other words" in line)
    assert "killed" in next(line for line in done.stdout.splitlines() if "no cap" in line)


def test_a_mutant_that_no_longer_fits_fails_the_run(tmp_path: Path) -> None:
    done = mutants(tmp_path, STALE)
    assert done.returncode == 2
    assert "STALE     gone" in done.stdout
