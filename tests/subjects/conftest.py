"""What the tests of foreign programs share: building one, once a session."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.subjects.building import PROGRAMS, Builder

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def go(tmp_path_factory: pytest.TempPathFactory) -> Builder:
    """Builds the Go programs of this folder, those that were not built before."""
    base = tmp_path_factory.getbasetemp()
    place = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "go"
    return Builder(Path(os.environ.get(PROGRAMS, place)))


@pytest.fixture(scope="session")
def go_watch(go: Builder) -> str:
    """The path of the client on the newest public agent SDK."""
    return go.watch()


@pytest.fixture(scope="session")
def grpc_go(go: Builder) -> str:
    """The path of a bare grpc-go client, for the PING lab."""
    return go.module("ping_lab/grpc_go")


@pytest.fixture(scope="session")
def h2spec(go: Builder) -> str:
    """The path of the HTTP/2 conformance checker."""
    return go.h2spec()


@pytest.fixture(scope="session")
def grpc_js(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, ...]:
    """The command of a bare grpc-js client, for the PING lab. Skips where there is no Node.js."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node.js is not installed")
    place = tmp_path_factory.mktemp("grpc_js")
    for name in ("package.json", "watch.js"):
        shutil.copy(HERE / "ping_lab" / "grpc_js" / name, place / name)
    install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
    installed = subprocess.run(install, cwd=place, capture_output=True, text=True, timeout=180, check=False)
    assert installed.returncode == 0, installed.stderr
    return node, str(place / "watch.js")
