"""Tests that run once and tests that run on every Python are all tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "tests/mockcentral/scenario"  # has both kinds


def collected(share: str) -> set[str]:
    listing = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-q", "--share", share, FOLDER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return {line for line in listing.stdout.splitlines() if "::" in line}


def test_two_shares_are_the_whole() -> None:
    each, once = collected("each"), collected("once")
    assert each
    assert once
    assert not each & once
    assert each | once == collected("all")


def test_what_runs_once_is_there(pytestconfig: pytest.Config) -> None:
    (shares,) = (plugin for plugin in pytestconfig.pluginmanager.get_plugins() if hasattr(plugin, "ONCE"))
    for path in shares.ONCE:
        assert (ROOT / "tests" / path).exists(), path
