"""Runs that broke a promise, written down: a scenario file whose first line holds the plan, and one command.

The file is a scenario like any other (`explain`, `validate` and `serve` take it); for them the plan is a comment.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockcentral.scenario.schema import Scenario
from mockcentral.scenario.writer import dumps
from mockcentral.sim import handlers
from mockcentral.sim.plan import Plan

FOLDER = Path(".hypothesis", "mockcentral")
"""Where failing runs go when nobody says where: Hypothesis keeps its own examples next to it."""
MARK = "# plan: "
"""What the first line of a written run begins with."""


@dataclass(frozen=True, slots=True)
class Saved:
    """A run in a file. `command` plays it again; None when it needs a function that no module shows by a name.
    `problem` is why there is no file after all: a broken promise is news also where nothing can be written.
    """

    path: Path
    command: str | None
    problem: str | None = None

    def __str__(self) -> str:
        if self.problem is not None:
            return f"the run could not be written to {self.path}: {self.problem}"
        how = (
            f"play it again with: {self.command}"
            if self.command is not None
            else (
                "its handler or check is local to a function, where no command finds it, so play it again from there: "
                f"mockcentral.sim.play.replay({str(self.path)!r}, make_handler, check)"
            )
        )
        return f"written to {self.path}; {how}"


def save(
    scenario: Scenario,
    plan: Plan,
    *,
    name: str | None = None,
    folder: str | Path | None = None,
    handler: Callable[..., Any] | None = None,
    check: Callable[..., Any] | None = None,
) -> Saved:
    """Write a run down as `folder/name.yaml`, over an earlier one of that name: Hypothesis finds smaller ones.

    What no file may be called by is left out of the name. A file that cannot be written is no error: `Saved` says so.
    """
    directory = Path(folder) if folder is not None else FOLDER
    path = directory / f"{_file_name(name or scenario.scenario)}.yaml"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        path.write_text(text_of(scenario, plan), encoding="utf-8")
    except OSError as error:
        return Saved(path, None, problem=error.strerror or str(error))
    specs = [handlers.spec_of(function) for function in (handler, check) if function is not None]
    if None in specs:
        return Saved(path, None)
    return Saved(
        path,
        command_for(
            path,
            handler=handlers.spec_of(handler) if handler is not None else None,
            check=handlers.spec_of(check) if check is not None else None,
        ),
    )


def _file_name(name: str) -> str:
    """One step of a path, below the folder and nowhere else."""
    return re.sub(r"[^\w.-]+", "-", name).strip("-.") or "run"


def text_of(scenario: Scenario, plan: Plan) -> str:
    """What the file holds."""
    return f"{MARK}{plan.to_json()}\n{dumps(scenario)}"


def command_for(path: Path, *, handler: str | None = None, check: str | None = None) -> str:
    """The command that plays a file again, from the current directory."""
    words = ["python", "-m", "mockcentral", "replay", str(path)]
    words += ["--handler", handler] if handler is not None else []
    words += ["--check", check] if check is not None else []
    return shlex.join(words)


def load_run(path: str | Path) -> tuple[Scenario, Plan]:
    """A run that was written down. A plain scenario file, or a built-in's name, gets an ordinary plan that is long
    enough for it.

    Raises ScenarioError for the scenario, ValueError for the plan.
    """
    from mockcentral.scenario import catalogue, nodes
    from mockcentral.scenario.load import load, loads

    if not catalogue.is_path(path):
        return ordinary(load(path))
    text = nodes.read_text(Path(path))
    scenario = loads(text, str(path))
    first = text.partition("\n")[0].rstrip("\r")
    return (scenario, Plan.from_json(first[len(MARK) :])) if first.startswith(MARK) else ordinary(scenario)


def ordinary(scenario: Scenario, seed: int | None = None) -> tuple[Scenario, Plan]:
    """A scenario with an ordinary client on a plain network, to the end of its traffic."""
    lasts = (line.after.high + line.every.high * -(-line.count // line.burst) for line in scenario.traffic)
    return scenario, Plan(until=60.0 + max(lasts, default=0.0), seed=scenario.seed if seed is None else seed)
