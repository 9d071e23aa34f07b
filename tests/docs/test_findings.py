"""The page of findings: its table, and the stored journals judged again."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockcentral.conformance import stored
from mockcentral.conformance.judge import judge
from mockcentral.conformance.verdict import Outcome

DOCS = Path(__file__).parents[2] / "docs"


def claimed() -> dict[str, set[str]]:
    """Journal -> the checks that fail, as the page's table has it."""
    claims: dict[str, set[str]] = {}
    for line in (DOCS / "findings.md").read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and cells[0].startswith("`") and cells[1].startswith("v"):
            checks = set(cells[2].split(", ")) - {"none"}
            claims |= {f"{cells[0].strip('`')}-{version}": checks for version in cells[1].split(", ")}
    return claims


CLAIMED = claimed()


def test_the_page_has_every_stored_journal_and_no_other() -> None:
    assert set(CLAIMED) == {path.stem for path in (DOCS / "findings").iterdir()}


@pytest.mark.parametrize("name", CLAIMED)
def test_a_stored_journal_fails_the_checks_that_the_page_says(name: str) -> None:
    path = DOCS / "findings" / f"{name}.ndjson"
    records = stored.read(path)
    verdicts = judge(records, stored.scenario_of(stored.start_of(records, path), path))
    assert {verdict.check for verdict in verdicts if verdict.outcome is Outcome.FAIL} == CLAIMED[name]
