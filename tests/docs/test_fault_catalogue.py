"""docs/faults.md is what the faults say."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from mockcentral.faults.registry import FAULTS

ROOT = Path(__file__).parents[2]


@pytest.fixture
def tool() -> Any:
    spec = importlib.util.spec_from_file_location("fault_catalogue", ROOT / "tools" / "fault_catalogue.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_catalogue_is_up_to_date(tool: Any) -> None:
    """`python tools/fault_catalogue.py` mends it."""
    assert (ROOT / "docs" / "faults.md").read_text(encoding="utf-8") == tool.page()


def test_the_catalogue_has_every_fault_once(tool: Any) -> None:
    page = tool.page()
    assert all(page.count(f"\n### `{kind.name}`\n") == 1 for kind in FAULTS)


def test_a_stale_page_is_noticed(tool: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tool.PAGE = tmp_path / "faults.md"
    tool.PAGE.write_text("# The faults\n")
    assert tool.main(["--check"]) == 1
    assert "run python tools/fault_catalogue.py" in capsys.readouterr().err
    assert tool.main([]) == 0
    assert tool.main(["--check"]) == 0
