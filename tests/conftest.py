"""What all tests share: Hypothesis without a stopwatch, since a busy machine is no bug; and which tests run once."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent

ONCE = (
    "architecture",
    "docs",
    "mutants",
    "properties",
    "subjects",
    "mockcentral/commands/test_journal_commands.py",
    "mockcentral/conformance/test_l1.py",
    "mockcentral/conformance/test_properties.py",
    "mockcentral/conformance/test_run_command.py",
    "mockcentral/conformance/test_runner.py",
    "mockcentral/faults/test_felt_on_the_wire.py",
    "mockcentral/scenario/test_json_schema.py",
    "mockcentral/scenario/test_writer.py",
    "mockcentral/servers/test_floods.py",
    "mockcentral/servers/test_fuzz.py",
    "mockcentral/servers/test_store.py",
    "mockcentral/sim/test_world.py",
    "mockcentral/test_bad_input.py",
    "mockcentral/test_cli.py",
    "mockcentral/test_pytest_plugin.py",
    "mockcentral/wire/test_floods.py",
    "mockcentral/wire/test_grpcio.py",
)
"""Tests that would tell the same on every Python: subprocesses, sockets, made-up examples and waits are most of their
time; or what they tell is how the newest grpcio feels a fault. `--share once` runs only these, `--share each` all
others.
"""

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # Started by a shell in the background: programs that inherit that do not hear the Ctrl-C that tests send them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is signal.SIG_IGN:
    # Started by nohup, the same. The tests themselves still do not hear a hangup; a program they start has its own way
    # again, for a handler, unlike SIG_IGN, is not inherited.
    signal.signal(signal.SIGHUP, lambda *_: None)

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # the environments that try only the generated messages
    pass
else:
    settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--share", choices=["all", "each", "once"], default="all", help="which tests; see tests/conftest.py"
    )


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    share = config.getoption("--share")
    if share == "all" or HERE not in collection_path.parents:
        return None
    once = [HERE / path for path in ONCE]
    if any(path == collection_path or path in collection_path.parents for path in once):
        return True if share == "each" else None
    leads_to_one = collection_path.is_dir() and any(collection_path in path.parents for path in once)
    return True if share == "once" and not leads_to_one else None


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Say how a worker of xdist died: a fatal signal leaves a stack on stderr, SIGKILL and `os._exit` leave nothing."""
    if error is None:
        return
    io = getattr(node.gateway, "_io", None)  # execnet has no public word for its process
    process = getattr(io, "popen", None)
    if not isinstance(process, subprocess.Popen):
        return
    try:
        code = process.wait(5.0)
    except subprocess.TimeoutExpired:
        how = "still runs, and does not answer"
    else:
        how = f"exited with {code}" if code >= 0 else f"was ended by {signal.Signals(-code).name}"
    print(f"\n{node.gateway.id}: the process {how}", file=sys.__stderr__)
