"""The ready file: nobody believes one that a killed fake has left, and nothing but a file is replaced by it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mockcentral.cli import Refused
from mockcentral.ready_file import ReadyFile, is_gone


def gone_pid() -> int:
    """The number of a process that has ended, and that nobody has got since."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        pass
    return process.pid


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def said(**changes: Any) -> dict[str, Any]:
    return {"http_url": "http://127.0.0.1:1", "control_url": None, "pid": os.getpid(), **changes}


# ------------------------------------------------------------------------------------------ who is gone
def test_a_fake_is_known_to_live_by_its_control_api() -> None:
    with socket.create_server(("127.0.0.1", 0)) as control:
        url = f"http://127.0.0.1:{control.getsockname()[1]}"
        assert not is_gone(said(control_url=url, pid=gone_pid()))  # of another container
    assert is_gone(said(control_url=url))  # the number is somebody else's by now


def test_without_a_control_api_it_is_known_by_its_process() -> None:
    assert not is_gone(said())
    assert is_gone(said(pid=gone_pid()))
    assert is_gone(said(pid=10**30))
    assert not is_gone(said(pid=None))


@pytest.mark.parametrize("url", ["", "nonsense", "http://", "http://127.0.0.1:99999", "http://[::1"])
def test_what_is_no_address_is_nobodys(url: str) -> None:
    assert is_gone(said(control_url=url))


# ------------------------------------------------------------------------------------------ before the start
def test_what_a_killed_fake_has_left_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text(json.dumps(said(control_url=f"http://127.0.0.1:{closed_port()}")))
    ReadyFile(str(path)).clear()
    assert not path.exists()
    ReadyFile(str(path)).clear()


@pytest.mark.parametrize(
    "content",
    [
        json.dumps(said()),
        json.dumps({"pid": 0}),
        json.dumps({"http_url": "http://127.0.0.1:1"}),
        "[]",
        "not JSON",
        "[" * 100_000,
        "\udcff",
    ],
    ids=["a living fake's", "no address", "no process", "a list", "text", "deep", "binary"],
)
def test_what_is_not_left_by_a_killed_fake_is_not_removed(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ready.json"
    path.write_text(content, encoding="utf-8", errors="surrogateescape")
    ReadyFile(str(path)).clear()
    assert path.exists()


# ------------------------------------------------------------------------------------------ what is no file
needs_fifo = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")


@needs_fifo
def test_a_pipe_is_written_into_when_somebody_reads_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ready_file = ReadyFile(str(pipe))
    ready_file.clear()
    ready_file.write(said())  # nobody reads yet, and nobody waits
    assert json.loads(pipe.read_text()) == said()
    ready_file.withdraw()
    assert pipe.is_fifo()


@needs_fifo
def test_a_pipe_that_nobody_reads_from_holds_nobody_up(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    script = (
        f"from mockcentral.ready_file import ReadyFile; file = ReadyFile({str(tmp_path / 'pipe')!r}); "
        "file.clear(); file.write({}); file.withdraw()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_fifo
def test_a_reader_of_the_pipe_that_leaves_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    ready_file = ReadyFile(str(pipe))
    before = set(threading.enumerate())
    ready_file.write(said(filling="x" * 10_000_000))
    (writer,) = set(threading.enumerate()) - before
    with pipe.open("rb") as reader:
        reader.read(1)
    writer.join()
    assert capsys.readouterr().err == f"mockcentral: {pipe}: cannot be written: Broken pipe\n"


def test_a_link_stays_and_what_it_points_to_is_the_ready_file(tmp_path: Path) -> None:
    link, real = tmp_path / "link", tmp_path / "real"
    link.symlink_to(real)
    ready_file = ReadyFile(str(link))
    ready_file.write(said())
    assert link.is_symlink()
    assert json.loads(real.read_text()) == said()
    ready_file.withdraw()
    assert link.is_symlink()
    assert not real.exists()


def test_a_socket_is_refused_and_stays(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(path))
        with pytest.raises(Refused, match="cannot be written"):
            ReadyFile(str(path)).write(said())
        assert path.is_socket()


def test_what_was_never_written_is_not_taken_away(tmp_path: Path) -> None:
    path = tmp_path / "ready.json"
    path.write_text(json.dumps(said()))
    ReadyFile(str(path)).withdraw()
    assert path.exists()
