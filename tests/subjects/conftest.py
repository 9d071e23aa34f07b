"""What the tests of foreign programs share: building one, once a session."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def go_watch(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the client on the public agent SDK."""
    return _build(HERE / "go_watch", ".", tmp_path_factory)


@pytest.fixture(scope="session")
def grpc_go(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a bare grpc-go client, for the PING lab."""
    return _build(HERE / "ping_lab" / "grpc_go", ".", tmp_path_factory)


@pytest.fixture(scope="session")
def h2spec(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of the HTTP/2 conformance checker."""
    return _build(HERE / "go_h2spec", "github.com/summerwind/h2spec/cmd/h2spec", tmp_path_factory)


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


def _build(module: Path, package: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Build a package as `module` has it. Skips where there is no Go, or one older than the module asks for."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not installed")
    wanted = re.search(r"^go (\d+)\.(\d+)", (module / "go.mod").read_text(encoding="utf-8"), re.MULTILINE)
    found = re.search(r"go(\d+)\.(\d+)", subprocess.check_output([go, "version"], text=True))
    assert wanted is not None
    if found is None or (int(found[1]), int(found[2])) < (int(wanted[1]), int(wanted[2])):
        pytest.skip(f"{module.name} needs {wanted[0]}, here is {found and found[0]}")
    program = tmp_path_factory.mktemp("go") / module.name
    built = subprocess.run(
        [go, "build", "-o", str(program), package], cwd=module, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    return str(program)
