"""Does a test notice when a rule of the client is broken? Tries each mutant of tests/mutants/mutants.py in a process of
its own, runs the one test that is to notice, and prints the kill matrix.

    python tools/mutants.py [-j N] [PART OF A NAME ...]
    python tools/mutants.py --matrix [PART OF A NAME ...]       every suite against every mutant: who else notices?

Nothing is written: a child imports the client with the one file changed in memory. Exit codes: 0 every mutant was
killed, 1 one survived, 2 one does not fit the source any more or its test does not pass without it.
"""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from multiprocessing.connection import wait
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.mutants.mutants import Mutant

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 15.0
"""For one mutant, on top of what all the tests together need without any: clients that go round and round end here."""
PYTEST = (
    "-q",
    "-p",
    "no:cacheprovider",
    "-p",
    "no:xdist",
    "--no-header",
    "--tb=short",
    "--assert=plain",
    "--hypothesis-seed=0",
)
SUITES = {
    "join": "tests/watchmanager/core/test_joining.py",
    "back": "tests/watchmanager/core/test_reconnecting.py",
    "place": "tests/watchmanager/core/test_positions.py",
    "edge": "tests/watchmanager/core/test_edges.py",
    "kills": "tests/mutants/test_kills.py",
    "storms": "tests/properties/test_storms_by_seed.py",
}
"""The columns of the matrix: none takes more than a few seconds, so that all of it is done in minutes."""
PRELOADED = (
    "pytest",
    "_pytest.assertion.rewrite",
    "hypothesis.stateful",
    "yaml",
    "httpx",
    "google.protobuf",
    "grpc.aio",
)
"""What children need and no mutant changes: imported once, before they are forked."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only mutants whose name holds one of these")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    parser.add_argument("--matrix", action="store_true", help="run every suite against every mutant (minutes)")
    parser.add_argument("--list", metavar="FILE", type=Path, default=ROOT / "tests/mutants/mutants.py", dest="file")
    given = parser.parse_args(arguments)
    mutants = read_list(given.file)
    chosen = [one for one in mutants if not given.names or any(part in one.name for part in given.names)]
    if not chosen:
        print("no mutant has such a name", file=sys.stderr)
        return 2
    stale = [one for one in chosen if (ROOT / one.file).read_text(encoding="utf-8").count(one.old) != 1]
    for one in stale:
        print(f"STALE     {one.name}: its text does not stand exactly once in {one.file}")
    if stale:
        return 2
    for name in PRELOADED:
        importlib.import_module(name)
    began = time.monotonic()
    healthy = Trial(None, sorted({one.test for one in chosen}))
    run_all([healthy], 1, 10 * TIMEOUT)
    if healthy.code != 0:
        print("the tests do not pass without any mutant:\n" + healthy.said[-2000:])
        return 2
    trials = [Trial(one, [one.test]) for one in chosen]
    run_all(trials, max(1, given.jobs), healthy.seconds + TIMEOUT, show=True)
    survivors = [each for each in trials if not each.killed]
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed in {time.monotonic() - began:.0f} s")
    for each in survivors:
        print(f"\n{each.name}: {each.test} ended with exit code {each.code}, not 1\n{each.said[-600:]}")
    if given.matrix:
        print_matrix(chosen, max(1, given.jobs))
    return 1 if survivors else 0


def read_list(path: Path) -> Sequence[Mutant]:
    """The list, without importing anything of ours by its name: children are to import all of it afresh."""
    spec = importlib.util.spec_from_file_location("_the_list_of_mutants", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    found: Sequence[Mutant] = module.MUTANTS
    return found


# ---------------------------------------------------------------------------------------------- trying one
@dataclass(eq=False)
class Trial:
    """Tests to be run with a mutant (or without any), and what came of it."""

    mutant: Mutant | None
    tests: Sequence[str]
    code: int | None = None
    """pytest's exit code; None when it took too long and was killed."""
    seconds: float = 0.0
    said: str = ""

    @property
    def name(self) -> str:
        return self.mutant.name if self.mutant is not None else "nothing changed"

    @property
    def test(self) -> str:
        return self.tests[0].rpartition("::")[2]

    @property
    def killed(self) -> bool:
        """Exit code 1 means that tests failed, and a client that goes round and round was noticed, too; anything else
        is no proof.
        """
        return self.code in (1, None)


def run_all(trials: Sequence[Trial], jobs: int, timeout: float, *, show: bool = False) -> None:
    """Each trial in a child of its own, `jobs` at a time."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        _run_all(trials, jobs, timeout, Path(folder), show)


def _run_all(trials: Sequence[Trial], jobs: int, timeout: float, folder: Path, show: bool) -> None:
    fork = multiprocessing.get_context("fork")
    waiting, running = list(reversed(trials)), dict[Any, tuple[Any, Trial, float]]()
    while waiting or running:
        while waiting and len(running) < jobs:
            trial = waiting.pop()
            child = fork.Process(target=be_tested, args=(trial, folder))
            child.start()
            running[child.sentinel] = child, trial, time.monotonic()
        until = min(began for _, _, began in running.values()) + timeout
        ready = wait(list(running), max(0.0, until - time.monotonic()))
        for sentinel in ready or [min(running, key=lambda one: running[one][2])]:
            child, trial, began = running.pop(sentinel)
            if not ready:
                child.kill()
            child.join()
            trial.code = child.exitcode if ready else None
            trial.seconds = time.monotonic() - began
            trial.said = (folder / str(id(trial))).read_text(encoding="utf-8", errors="replace")
            if show:
                verdict = "killed" if trial.killed else "SURVIVED"
                print(f"{verdict:9} {trial.seconds:5.1f} s  {trial.name}  <- {trial.test}", flush=True)


def be_tested(trial: Trial, folder: Path) -> None:
    """In the child: import the changed file instead of the one on the disk, and run the tests."""
    import pytest

    output = os.open(folder / str(id(trial)), os.O_WRONLY | os.O_CREAT)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(ROOT)
    sys.path.insert(0, str(ROOT))
    sys.dont_write_bytecode = True
    if trial.mutant is not None:
        sys.meta_path.insert(0, Changed(trial.mutant))
    os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(folder / "hypothesis")
    code = int(pytest.main([*PYTEST, "-x", *trial.tests]))
    sys.stdout.flush()
    os._exit(code)


class Changed:
    """Finds one module, and finds it changed."""

    def __init__(self, mutant: Mutant) -> None:
        self._mutant = mutant
        self._name = mutant.file.removesuffix(".py").replace("/", ".")

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._name:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        spec.loader = ChangedLoader(self._mutant, name, str(ROOT / self._mutant.file))
        return spec


class ChangedLoader(SourceFileLoader):
    """Reads the file with the mutant in it; compiled code of the healthy one is not looked at."""

    def __init__(self, mutant: Mutant, name: str, path: str) -> None:
        super().__init__(name, path)
        self._mutant = mutant

    def get_code(self, fullname: str) -> CodeType:
        source = Path(self.path).read_text(encoding="utf-8").replace(self._mutant.old, self._mutant.new)
        return compile(source, self.path, "exec", dont_inherit=True)


# ---------------------------------------------------------------------------------------------- the matrix
def print_matrix(mutants: Sequence[Mutant], jobs: int) -> None:
    """A line a mutant, a column a suite: x where it fails, . where it passes, ? where it could not be run."""
    trials = [Trial(one, [suite]) for one in mutants for suite in SUITES.values()]
    run_all(trials, jobs, 2 * TIMEOUT)
    by_mutant = {one.name: [each for each in trials if each.mutant is one] for one in mutants}
    width = max(len(one.name) for one in mutants)
    print(f"\n{'':{width}}  {'  '.join(SUITES)}")
    for name, row in by_mutant.items():
        marks = ["x" if each.killed else "." if each.code == 0 else "?" for each in row]
        print(f"{name:{width}}  {'  '.join(f'{mark:{len(suite)}}' for mark, suite in zip(marks, SUITES, strict=True))}")
    counts = [sum(row[column].killed for row in by_mutant.values()) for column in range(len(SUITES))]
    totals = "  ".join(f"{count:<{len(suite)}}" for count, suite in zip(counts, SUITES, strict=True))
    print(f"{'killed':{width}}  {totals}")


if __name__ == "__main__":
    sys.exit(main())
