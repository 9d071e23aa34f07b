"""The checklists in the docs name tests that exist, and leave nothing out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^def (test_\w+)", path.read_text(), re.MULTILINE)
}


@pytest.mark.parametrize("page", ["features.md", "pitfalls.md", "go-tests.md"])
def test_the_tests_a_checklist_names_exist(page: str) -> None:
    named = re.findall(r"`(test_\w+)`", (ROOT / "docs" / page).read_text())
    assert len(named) > 20
    assert sorted({name for name in named if name not in TESTS}) == []


def test_each_of_the_sixty_pitfalls_is_answered() -> None:
    rows = re.findall(r"^\| D(\d+) \| (.+?) \| (.+) \|$", (ROOT / "docs" / "pitfalls.md").read_text(), re.MULTILINE)
    assert [int(number) for number, _, _ in rows] == list(range(1, 61))
    assert all(len(answer) > 20 for _, _, answer in rows)
