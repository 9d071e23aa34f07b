"""Building the Go programs of the tests, each once a test run, however many processes run it.

A program is built against several versions of the public agent SDK from one source: `go.mod` has the newest that can
be had, `versions/<version>.mod` (with its `.sum`) each other one. Build tags say which of the interfaces it meets.

    MOCKCENTRAL_GO_PROGRAMS=DIRECTORY python -m tests.subjects.building

builds what every run needs there, before the tests that look for it there: a compiler takes all cores for seconds at
a time, and the fake beside it would be late, so that what is measured of a client could not be told from that.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

HERE = Path(__file__).parent

PROGRAMS = "MOCKCENTRAL_GO_PROGRAMS"
"""The variable with the directory of what was built before the tests."""

NEWEST = "v1.1.151"
"""The version in each go.mod."""
SDK = "github.com/Axway/agent-sdk/pkg/cmd"

TAGS = {"v1.1.104": "sdk104", "v1.1.121": "sdk104", "v1.1.137": "sdk128", NEWEST: ""}
"""Version -> the tag of the sdk_*.go that fits it, for the program that meets the SDK where it changed."""


class Builder:
    """Builds into a directory that all processes of a test run share, one program at a time: Go uses every core."""

    def __init__(self, place: Path) -> None:
        place.mkdir(parents=True, exist_ok=True)
        self._place = place

    def watch(self, version: str = NEWEST) -> str:
        """The path of the client on the SDK's watch manager."""
        return self._build(
            "go_watch", ".", version, f"-tags={TAGS[version]}", f"-ldflags=-X=main.sdkVersion={version[1:]}"
        )

    def agent(self, version: str = NEWEST) -> str:
        """The path of the discovery agent, with what the agents' own builds tell the SDK about themselves."""
        told = {
            "BuildAgentName": "GoAgent",
            "BuildVersion": "1.0.0",
            "BuildCommitSha": "test",
            "SDKBuildVersion": version[1:],
        }
        return self._build(
            "go_agent", ".", version, "-ldflags=" + " ".join(f"-X={SDK}.{name}={value}" for name, value in told.items())
        )

    def sample(self, version: str = NEWEST) -> str:
        """The path of the SDK's own sample watch client, as its module has it."""
        return self._build("go_agent", "github.com/Axway/agent-sdk/samples/watchclient", version)

    def h2spec(self) -> str:
        """The path of the HTTP/2 conformance checker."""
        return self._build("go_h2spec", "github.com/summerwind/h2spec/cmd/h2spec", "")

    def module(self, name: str) -> str:
        """The path of another program of this folder."""
        return self._build(name, ".", "")

    def build_usual(self) -> None:
        """Build what the tests without the mark go_all run."""
        for version in ("v1.1.121", NEWEST):
            self.watch(version)
            self.agent(version)
            self.sample(version)
        self.module("go_server")
        self.module("ping_lab/grpc_go")
        self.h2spec()

    def _build(self, name: str, package: str, version: str, *arguments: str) -> str:
        go = shutil.which("go")
        if go is None:
            pytest.skip("Go is not installed")
        module = HERE / name
        mod = module / ("go.mod" if version in ("", NEWEST) else f"versions/{version}.mod")
        _skip_for_an_old_go(go, mod)
        program = self._place / "-".join(filter(None, (module.name, package.rpartition("/")[2].strip("."), version)))
        with (self._place / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not program.exists():
                _run([go, "build", f"-modfile={mod}", "-o", str(program), *arguments, package], module)
        return str(program)


def _run(command: Sequence[str], directory: Path) -> None:
    built = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr


def _skip_for_an_old_go(go: str, mod: Path) -> None:
    wanted = re.search(r"^go (\d+)\.(\d+)", mod.read_text(encoding="utf-8"), re.MULTILINE)
    found = re.search(r"go(\d+)\.(\d+)", subprocess.check_output([go, "version"], text=True))
    assert wanted is not None
    if found is None or (int(found[1]), int(found[2])) < (int(wanted[1]), int(wanted[2])):
        pytest.skip(f"{mod.name} needs {wanted[0]}, here is {found and found[0]}")


if __name__ == "__main__":
    if PROGRAMS not in os.environ:
        sys.exit(f"{PROGRAMS} names no directory to build into.")
    try:
        Builder(Path(os.environ[PROGRAMS])).build_usual()
    except pytest.skip.Exception as why:
        print(f"Built nothing, the tests will skip themselves: {why}")
