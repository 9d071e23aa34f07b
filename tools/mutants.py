"""Does a test notice when a rule of the client is broken? Applies each mutant of tests/mutants/mutants.py to a
private copy of the repository, runs the one test that is to notice, and prints the matrix.

    python tools/mutants.py [-j N] [PART OF A NAME ...]

Exit codes: 0 every mutant was killed, 1 one survived, 2 one does not fit the source any more or its test does not pass
without it. Takes about a minute and a half on two cores.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.mutants.mutants import MUTANTS, Mutant  # noqa: E402

COPIED = ("mockcentral", "watchmanager", "scenarios", "tests", "pyproject.toml")
TIMEOUT = 120.0
PYTEST = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--no-header", "--tb=no")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="only mutants whose name holds one of these")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many at a time")
    given = parser.parse_args(arguments)
    chosen = [one for one in MUTANTS if not given.names or any(part in one.name for part in given.names)]
    if not chosen:
        print("no mutant has such a name", file=sys.stderr)
        return 2
    stale = [one for one in chosen if (ROOT / one.file).read_text(encoding="utf-8").count(one.old) != 1]
    for one in stale:
        print(f"STALE     {one.name}: its text does not stand exactly once in {one.file}")
    if stale:
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        first = copy_to(Path(folder) / "0")
        healthy = run_tests(first, sorted({one.test for one in chosen}))
        if healthy.returncode != 0:
            print("the tests do not pass without any mutant:\n" + healthy.stdout[-2000:])
            return 2
        survivors = kill_all(chosen, Path(folder), first, max(1, given.jobs))
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} killed in {time.monotonic() - began:.0f} s")
    return 1 if survivors else 0


def copy_to(place: Path) -> Path:
    """A copy of everything a test needs, where a mutant can do no harm."""
    place.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source, place / name, symlinks=True, ignore=shutil.ignore_patterns("go_watch", ".hypothesis")
            )
        else:
            shutil.copy2(source, place / name)
    return place


def run_tests(place: Path, tests: Sequence[str]) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            [sys.executable, "-m", "pytest", *PYTEST, *tests],
            cwd=place,
            env={**os.environ, "PYTHONPATH": str(place), "HYPOTHESIS_STORAGE_DIRECTORY": str(place / ".hypothesis")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired:  # a client that goes round and round was noticed, too
        return subprocess.CompletedProcess(tests, 1, "timed out")


def kill_all(mutants: Sequence[Mutant], folder: Path, first: Path, jobs: int) -> list[Mutant]:
    """Try them all, `jobs` at a time, each worker in a copy of its own; returns the survivors."""
    waiting: queue.SimpleQueue[Mutant] = queue.SimpleQueue()
    for one in mutants:
        waiting.put(one)
    survivors: list[Mutant] = []
    said = threading.Lock()

    def work(place: Path) -> None:
        while True:
            try:
                one = waiting.get_nowait()
            except queue.Empty:
                return
            killed, seconds = try_one(one, place)
            with said:
                verdict = "killed" if killed else "SURVIVED"
                print(f"{verdict:9} {seconds:5.1f} s  {one.name}  <- {one.test.rpartition('::')[2]}", flush=True)
                if not killed:
                    survivors.append(one)

    places = [first] + [copy_to(folder / str(number)) for number in range(1, min(jobs, len(mutants)))]
    threads = [threading.Thread(target=work, args=(place,)) for place in places]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return survivors


def try_one(mutant: Mutant, place: Path) -> tuple[bool, float]:
    """Whether the mutant's test fails with it. Exit code 1 means tests failed; anything else is no proof."""
    file = place / mutant.file
    healthy = file.read_text(encoding="utf-8")
    began = time.monotonic()
    file.write_text(healthy.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        compile(file.read_text(encoding="utf-8"), str(file), "exec")
        done = run_tests(place, [mutant.test])
    finally:
        file.write_text(healthy, encoding="utf-8")
    return done.returncode == 1, time.monotonic() - began


if __name__ == "__main__":
    sys.exit(main())
