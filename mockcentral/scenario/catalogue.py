"""The scenarios that come with mockcentral: where their files are, and how they are called.

In a checkout they are in `scenarios/` at the top of the repository, in an installed wheel inside the package.
"""

from __future__ import annotations

import os
from pathlib import Path

from mockcentral.scenario.errors import Problem, ScenarioError, nearest, shown

_GROUPS = ("basic", "resume", "auth", "rest", "wire", "soak")


def directory() -> Path:
    """The directory of the built-in scenarios."""
    package = Path(__file__).resolve().parents[1]
    installed = package / "_data" / "scenarios"
    return installed if installed.is_dir() else package.parent / "scenarios"


def files() -> dict[str, Path]:
    """The file of every built-in scenario by its name, group by group."""
    found = {}
    for group in _GROUPS:
        for path in sorted((directory() / group).glob("*.yaml")):
            found[path.stem] = path
    return found


def names() -> tuple[str, ...]:
    """The names of the built-in scenarios."""
    return tuple(files())


def find(name: str) -> Path:
    """The file of a built-in scenario. Raises ScenarioError with the nearest name when there is none."""
    known = files()
    if name not in known:
        hint = nearest(name, known) or ": `python -m mockcentral list` shows all"
        message = f"there is no scenario {shown(name)}{hint}"
        raise ScenarioError([Problem("", 0, 0, message)])
    return known[name]


def is_path(name: str | Path) -> bool:
    """Whether a word that names a scenario is meant as a path: it looks like one, or only a file is called so."""
    if isinstance(name, Path):
        return True
    if any(mark in name for mark in {"/", os.sep}) or Path(name).suffix.lower() in (".yaml", ".yml", ".json"):
        return True
    return name not in files() and "\0" not in name and Path(name).is_file()


def explain(name: str) -> str:
    """What a built-in scenario does and expects, in plain sentences."""
    from mockcentral.scenario.explain import explain as explain_scenario
    from mockcentral.scenario.load import load

    return explain_scenario(load(name, builtin_only=True))
