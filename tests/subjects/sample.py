"""The SDK's own sample watch client as a client under test: its command line and its log."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mockcentral import World
from mockcentral.conformance import key_files
from tests.subjects.subject import PATIENCE

PLAIN = ("--insecure", "--use_harvester=false")
"""What it needs on a fake without TLS: it reads history over https only."""


class Sample:
    """The running client. Its log has one JSON object a line."""

    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def wait_for(self, message: str, times: int = 1) -> list[dict[str, Any]]:
        """Its lines with this message, once there are so many."""
        until = time.monotonic() + PATIENCE
        while len(found := [said for said in self._said() if said["message"] == message]) < times:
            assert time.monotonic() < until, self._log.read_text(encoding="utf-8")
            time.sleep(0.05)
        return found

    def _said(self) -> list[dict[str, Any]]:
        lines = self._log.read_text(encoding="utf-8").splitlines(keepends=True)
        return [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]


@contextmanager
def sample(world: World, program: str, directory: Path, *more: str) -> Iterator[Sample]:
    """The client on the world's first topic, in a directory of its own: it keeps a file there."""
    private, public = key_files.write_keys(str(directory), key_files.new_keys())
    host, _, port = world.address.rpartition(":")
    command: Sequence[str] = (
        *(program, "--tenant_id", world.tenant, "--topic_self_link", world.topics[0], "--host", host, "--port", port),
        *("--auth.url", world.auth_url, "--auth.client_id", "sample", "--auth.private_key", private),
        *("--auth.public_key", public, *more),
    )
    log = directory / "log"
    environment = {"SSL_CERT_FILE": world.ca_file} if world.ca_file else {}
    with log.open("wb") as output:
        process = subprocess.Popen(command, cwd=directory, stdout=output, stderr=output, env=environment)
    try:
        yield Sample(process, log)
    finally:
        process.kill()
        process.wait()
