"""Builds the distribution, installs it into an empty environment and does the main job there, away from the repository.

    python tests/packaging/try_wheel.py        needs `build`; `tox -e wheel` runs it

Order: the sdist, a wheel from that sdist (so it holds what a build needs), an environment with the bare wheel (the
client alone; the fake says in one line what is missing), then the extra `mockcentral`: every command that needs files
of ours, and a fake that a client follows. Every child runs in an empty folder, without the caller's Python variables.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import venv
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EVENTS = 20
SCENARIO = f"""
scenario: wheel
about: >
  A few events, for a client that counts them.
topics:
  - name: sample-watch-topic
    filters: [{{group: management, kind: APIService, name: "*", type: [created],
               scope: {{kind: Environment, name: sample-env}}}}]
traffic:
  - {{on: stream_open, every: 50ms, count: {EVENTS},
     publish: {{kind: APIService, scope: Environment/sample-env, type: [created]}}}}
expect: [ordered, unique, complete]
"""


class Place:
    """An empty environment in an empty folder."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder / "env", with_pip=True)
        self.bin = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
        self.home = folder / "elsewhere"
        self.home.mkdir()
        # No variable of the caller may lead back to the checkout.
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}

    def run(self, *words: str, expect: int = 0) -> str:
        """The output (both streams) of a command of this environment; SystemExit when its exit code is another."""
        done = subprocess.run(
            [str(self.bin / words[0]), *words[1:]],
            cwd=self.home,
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            check=False,
        )
        shown = " ".join(words)
        if done.returncode != expect:
            raise SystemExit(f"`{shown}` exited with {done.returncode}, expected {expect}:\n{done.stdout}")
        if "Traceback" in done.stdout:
            raise SystemExit(f"`{shown}` printed a traceback:\n{done.stdout}")
        print(f"ok: {shown}", flush=True)
        return done.stdout


def say_what_is_in(wheel: Path) -> None:
    """SystemExit when a file that users need at run time is not in the wheel."""
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = {"mockcentral/py.typed", "watchmanager/py.typed", "mockcentral/_data/proto/watch.proto"}
    scenarios = ROOT / "scenarios"
    wanted |= {f"mockcentral/_data/scenarios/{path.relative_to(scenarios)}" for path in scenarios.rglob("*.yaml")}
    for package in ("mockcentral", "watchmanager"):
        wanted |= {str(path.relative_to(ROOT)) for path in (ROOT / package).rglob("*.py")}
    if missing := sorted(wanted - names):
        raise SystemExit(f"{wheel.name} lacks {', '.join(missing)}")
    if strangers := sorted(name for name in names if not name.startswith(("mockcentral/", "watchmanager"))):
        raise SystemExit(f"{wheel.name} would install {', '.join(strangers)}")
    print(f"ok: {wheel.name} holds what it should, {len(names)} files", flush=True)


def main() -> None:
    """Prints a line a step; ends with SystemExit and the reason at the first that fails."""
    with tempfile.TemporaryDirectory() as folder:
        dist = Path(folder) / "dist"
        build = [sys.executable, "-m", "build", "--outdir", str(dist), str(ROOT)]
        subprocess.run(build, check=True, stdout=subprocess.DEVNULL)
        (wheel,) = dist.glob("*.whl")
        say_what_is_in(wheel)

        place = Place(Path(folder))
        place.run("python", "-m", "pip", "install", "-q", str(wheel))
        where = place.run("python", "-c", "import watchmanager; print(watchmanager.__file__)")
        if str(ROOT) in where:
            raise SystemExit(f"the checkout was imported: {where}")
        place.run("watchmanager", "--help")
        complaint = place.run("mockcentral", "serve", expect=2)
        if "watchmanager[mockcentral]" not in complaint or len(complaint.splitlines()) != 1:
            raise SystemExit(f"without the extra, one line should name watchmanager[mockcentral]; it was:\n{complaint}")

        place.run("python", "-m", "pip", "install", "-q", f"{wheel}[mockcentral]")
        listed = place.run("mockcentral", "list")
        for name in ("calm", "flaky"):
            if name not in listed:
                raise SystemExit(f"`mockcentral list` does not show {name}:\n{listed}")
        place.run("mockcentral", "explain", "flaky")
        json.loads(place.run("mockcentral", "schema"))
        (place.home / "wheel.yaml").write_text(SCENARIO, encoding="utf-8")
        place.run("mockcentral", "validate", "wheel.yaml")
        tail = [str(place.bin / "python"), "-m", "watchmanager", "tail", "sample-watch-topic", "-o", "l1"]
        print(
            place.run("python", "-m", "mockcentral", "run", "--scenario", "wheel.yaml", "--timeout", "60s", "--", *tail)
        )


if __name__ == "__main__":
    main()
