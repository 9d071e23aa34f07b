"""`scenarios/README.md` is true: its examples load, its tables are complete."""

from __future__ import annotations

import dataclasses
import re

import pytest

from mockcentral.faults.registry import FAULTS
from mockcentral.scenario import catalogue
from mockcentral.scenario.expectations import EXPECTATIONS
from mockcentral.scenario.load import loads
from mockcentral.scenario.types import ANCHORS

TEXT = (catalogue.directory() / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```yaml\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split(":")[0].split("\n")[-1])
def test_every_example_loads(block: str) -> None:
    whole = block if re.search(r"^scenario:", block, re.MULTILINE) else f"scenario: x\nabout: y\n{block}"
    loads(whole, "README.md")


def test_there_is_an_example_of_every_part() -> None:
    assert len(BLOCKS) == 6
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


def test_the_table_of_faults_is_complete_with_settings_and_places() -> None:
    rows = _rows("Faults")
    assert list(rows) == [fault.name for fault in FAULTS]
    for fault in FAULTS:
        _, settings, _, where = rows[fault.name]
        words = re.findall(r"`(\w+)`", settings)
        assert [word for word in words if word not in fault.words] == [
            field.name for field in dataclasses.fields(fault)
        ]
        assert fault.shorthand is None or words[0] == fault.shorthand
        places = set(re.findall(r"`(\w+)`", where))
        assert places == (fault.anchors or set()), fault.name
        assert (fault.anchors is None) == where.startswith("anywhere")
