"""What `pyproject.toml` promises agrees with the files around it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
if sys.version_info >= (3, 11):
    import tomllib
else:
    tomllib = pytest.importorskip("tomli", reason="reading pyproject.toml needs Python 3.11 or tomli")

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def _lower_bounds(requirements: list[str]) -> dict[str, str]:
    bounds = (re.match(r"([a-z0-9-]+)>=([0-9.]+)", line) for line in requirements)
    return {bound[1]: bound[2] for bound in bounds if bound}


def test_the_oldest_versions_tried_are_the_lower_bounds() -> None:
    extras = PROJECT["optional-dependencies"]
    promised = _lower_bounds([*PROJECT["dependencies"], *extras["mockcentral"], *extras["otel"], *extras["test"]])
    lines = (ROOT / "tests" / "min-constraints.txt").read_text(encoding="utf-8").splitlines()
    tried = dict(line.split("==") for line in lines if not line.startswith("#"))
    assert promised.keys() == tried.keys()
    for name, bound in promised.items():
        assert tried[name] == bound or re.fullmatch(rf"{re.escape(bound)}(\.0)+", tried[name]), name


def test_both_packages_say_that_they_are_typed() -> None:
    assert (ROOT / "mockcentral" / "py.typed").is_file()
    assert (ROOT / "watchmanager" / "py.typed").is_file()


def test_installing_it_bare_brings_few_dependencies() -> None:
    assert sorted(_lower_bounds(PROJECT["dependencies"])) == ["grpcio", "httpx", "protobuf"]
