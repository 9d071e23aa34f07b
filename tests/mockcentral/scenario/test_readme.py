"""`scenarios/README.md` is true: its examples load, its tables are complete."""

from __future__ import annotations

import dataclasses
import re

import pytest

from mockcentral.scenario import catalogue
from mockcentral.scenario.expectations import EXPECTATIONS
from mockcentral.scenario.load import loads
from mockcentral.scenario.steps import STEPS
from mockcentral.scenario.types import ANCHORS

TEXT = (catalogue.directory() / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split(":")[0].split("\n")[-1])
def test_every_example_loads(block: str) -> None:
    whole = block if re.search(r"^scenario:", block, re.MULTILINE) else f"scenario: x\nabout: y\n{block}"
    loads(whole, "README.md")


def test_there_is_an_example_of_every_part() -> None:
    assert len(BLOCKS) == 7
    assert {check.name for block in BLOCKS for check in EXPECTATIONS if check.name in block} == {
        check.name for check in EXPECTATIONS
    }


def _rows(title: str) -> dict[str, list[str]]:
    """The rows of the first table of a section, by the word in their first cell."""
    section = TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")
    ]
    return {row[0].strip("` |"): row for row in rows}


def test_the_table_of_moments_is_complete() -> None:
    assert list(_rows("Moments")) == list(ANCHORS)


def test_the_table_of_steps_is_complete_and_names_every_setting() -> None:
    rows = _rows("What Central does by itself")
    assert list(rows) == [step.name for step in STEPS]
    for step in STEPS:
        for field in dataclasses.fields(step):
            assert f"`{field.name}`" in rows[step.name][1], (step.name, field.name)
