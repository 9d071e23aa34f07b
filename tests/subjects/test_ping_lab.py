"""The PING lab measures clients that never heard of us: grpcio here, grpc-js and grpc-go where they can be built."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.subjects.subject import PATIENCE

HERE = Path(__file__).parent
SHORT, SUBJECTS = HERE / "short-lab.yaml", HERE / "ping_lab"


def measured(tmp_path: Path, *client: str, scenario: Path = SHORT, code: int = 0) -> dict[str, Any]:
    """The measurements of a client by name."""
    card = tmp_path / "card.json"
    command = [sys.executable, "-m", "mockcentral", "run", "--scenario", str(scenario), "--report", f"card={card}"]
    run = subprocess.run(
        [*command, "--timeout", f"{PATIENCE:g}s", "--", *client], capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert run.returncode == code, run.stdout + run.stderr
    document = json.loads(card.read_text(encoding="utf-8"))
    assert document["client"] == list(client)
    return {one["name"]: one for one in document["measurements"]}


def assert_right(found: dict[str, Any], interval: float, timeout: float, slack: float) -> None:
    """What a client with this keepalive does; `slack` is for a busy machine."""
    assert interval <= found["keepalive_interval"]["value"] + 0.05 <= interval + slack
    assert timeout <= found["ack_timeout"]["value"] + 0.05 <= timeout + slack
    # The last byte may be up to an interval old when the connection dies.
    assert timeout <= found["dead_peer"]["value"] + 0.05 <= interval + timeout + slack
    assert found["too_many_pings"]["value"] == "pings less often"


def test_grpcio_with_the_right_arguments(tmp_path: Path) -> None:
    client = (sys.executable, str(SUBJECTS / "grpcio_watch.py"), "--right", "1", "0.3", "--retry", "0.1")
    assert_right(measured(tmp_path, *client), 1.0, 0.3, 3.0)


def test_a_lab_that_did_not_come_to_its_end_is_inconclusive_and_has_a_card_all_the_same(tmp_path: Path) -> None:
    program = f"import subprocess, sys; sys.argv = ['x']; exec(open({str(SUBJECTS / 'grpcio_watch.py')!r}).read())"
    lab = tmp_path / "lab.yaml"
    text = SHORT.read_text(encoding="utf-8").replace("on: ping(4)", "on: event(1)")
    lab.write_text(text + "attempts: [ok]\n", encoding="utf-8")
    dying = (sys.executable, "-c", f"import signal; signal.alarm(2)\n{program}")
    found = measured(tmp_path, *dying, scenario=lab, code=1)
    assert "none in" in found["keepalive_interval"]["says"]
    assert found["dead_peer"]["unknown"] is not None


@pytest.mark.go
def test_grpc_js_with_keepalive(tmp_path: Path, grpc_js: tuple[str, ...]) -> None:
    client = (*grpc_js, "--keepalive", "0.4", "0.3", "--retry", "0.1")
    assert_right(measured(tmp_path, *client), 0.4, 0.3, 3.0)


@pytest.mark.go
def test_grpc_go_with_keepalive_pings_no_more_often_than_every_ten_seconds(tmp_path: Path, grpc_go: str) -> None:
    lab = tmp_path / "lab.yaml"
    text = SHORT.read_text(encoding="utf-8").split("faults:")[0]
    lab.write_text(
        text + "faults:\n"
        "  - {name: dead, on: stream_open(1), after: 300ms, do: blackhole}\n"
        "  - {name: done, on: stream_open(2), do: noop}\n"
        "lab: {over: done}\nneeds: [wire]\n",
        encoding="utf-8",
    )
    found = measured(tmp_path, grpc_go, "-keepalive", "1s", "-timeout", "300ms", scenario=lab)
    assert 10.0 < found["dead_peer"]["value"] < 20.0
