"""A client under test as a child process of a test: its environment, its JSON lines, its end.

Knows nothing of what the client is written in. For users there is `python -m mockcentral run`; here a test holds the
world in its hands while the client runs.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any

from mockcentral import World

if TYPE_CHECKING:
    from typing_extensions import Self

PATIENCE = 90.0
"""Seconds until a wait gives up; not a measure of anything, only the end of a hang."""


class Subject:
    """Starts `command` against `world` on enter, ends it on exit.

    `applied`: the sequences it said it applied, in order; `said`: all of these lines; `progress`: what else it told.
    It watches the world's first topic, unless `topic` is another, of its own.
    """

    def __init__(self, world: World, command: Sequence[str], *, topic: str | None = None, **variables: str) -> None:
        context = world.context
        self.world = world
        self.topic: str = topic or context["topics"][0]
        self.applied: list[int] = []
        self.said: list[dict[str, Any]] = []
        self.statuses: list[bool] = []
        self.progress: list[dict[str, Any]] = []
        self._command = list(command)
        self._env = {
            **os.environ,
            "MOCKCENTRAL_ADDRESS": context["address"],
            "MOCKCENTRAL_HTTP_URL": context["http_url"],
            "MOCKCENTRAL_AUTH_URL": context["auth_url"],
            "MOCKCENTRAL_TOKEN": context["token"],
            "MOCKCENTRAL_TENANT": context["tenant"],
            "MOCKCENTRAL_TOPIC": self.topic,
            "MOCKCENTRAL_CA_FILE": context["ca_file"] or "",
            "MOCKCENTRAL_SCENARIO": context["scenario"],
            "MOCKCENTRAL_CONTEXT": json.dumps(context),
            **variables,
        }
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._errors = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 closed in __exit__

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self._command, env=self._env, stdout=subprocess.PIPE, stderr=self._errors, text=True, encoding="utf-8"
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join(PATIENCE)
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._errors.close()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_until(self, satisfied: Callable[[], bool], *, patience: float = PATIENCE) -> None:
        """Take the client's lines until `satisfied()`.

        AssertionError with the client's stderr when it or `patience` (seconds) ends first.
        """
        until = time.monotonic() + patience
        while not satisfied():
            try:
                # Wakes up now and then: what `satisfied` looks at may come from the world.
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                assert time.monotonic() < until, f"the client went quiet too early; {self._last_words()}"
                continue
            assert line is not None, f"the client ended too early; {self._last_words()}"
            said = json.loads(line)
            if said["type"] == "applied":
                self.applied.append(said["sequence"])
                self.said.append(said)
                self.world.record("client.applied", sequence=said["sequence"], id=said.get("id"), op=said["op"])
            elif said["type"] == "progress":
                self.progress.append(said)
            elif said["type"] == "status":
                self.statuses.append(said["connected"])
            else:
                raise AssertionError(f"not a line of the protocol: {line!r}")

    def wait_progress(self, step: str, **having: Any) -> None:
        """Until the client said that it got there."""
        wanted = {"step": step, **having}
        self.wait_until(lambda: any(wanted.items() <= said.items() for said in self.progress))

    def wait_connected(self) -> None:
        """Until a subscription of the client was accepted."""
        self.world.wait_for(
            lambda record: (
                record["kind"] == "stream.request" and record["request"] == "subscribe" and record["accepted"]
            ),
            timeout=PATIENCE,
        )

    def wait_applied_everything(self) -> None:
        """Until the world published all it will and the client applied all of it that it owes."""
        self.wait_until(lambda: self.world.traffic_done and self.owed() <= set(self.applied))

    def owed(self) -> set[int]:
        """The sequences of the topic's events since the client's first watch call."""
        journal = self.world.journal()
        first = next((record["n"] for record in journal if record["kind"] == "stream.open"), None)
        return {
            record["sequence"]
            for record in journal
            if first is not None
            and record["n"] > first
            and record["kind"] == "event.published"
            and self.topic in record["topics"]
        }

    def due(self) -> set[int]:
        """What of it the client could have: not what was purged before it asked, as a 410 told it."""
        gone = [record["max_sequence"] for record in self.world.journal() if record.get("status") == 410]
        applied = set(self.applied)
        return {sequence for sequence in self.owed() if sequence in applied or sequence > max(gone, default=0)}

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        self.process.terminate()
        return self.process.wait(PATIENCE)

    def _last_words(self) -> str:
        self._errors.seek(0)
        words = self._errors.read()[-2000:]
        missing = sorted(self.owed() - set(self.applied))[:10]
        return (
            f"exit code {self.process.poll()}, {len(self.applied)} applied, first missing {missing}, stderr:\n{words}"
        )
