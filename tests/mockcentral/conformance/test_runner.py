"""The runner with real child processes and a world that is a tape: what it gives, hears, sees, stops and reaps."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from mockcentral.conformance import child as child_module
from mockcentral.conformance import runner as runner_module
from mockcentral.conformance.child import Child
from mockcentral.conformance.errors import UsageError
from mockcentral.conformance.results import Run
from mockcentral.conformance.runner import Interrupted, Plan, Runner, check_startable, redacted
from mockcentral.conformance.verdict import Outcome
from mockcentral.scenario.schema import Scenario
from tests.mockcentral.conformance.journals import TOPIC, Tape

SCENARIO = Scenario(scenario="taped", about="test", seed=5)
JWT = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
GOOD = """
import json, signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
for n in (1, 2, 3):
    print(json.dumps({"type": "applied", "sequence": n, "id": f"id-{n}", "op": "CREATED"}), flush=True)
signal.pause()
"""


class TapedWorld:
    """Three events were published to a client that is connected; the rest is up to the client under test."""

    def __init__(self, *, events: int = 3, connected: bool = True) -> None:
        self._tape = Tape()
        if connected:
            self._tape.add("conn.open", conn=1, peer="test", protocol="h2")
            self._tape.watch(1).publish(*range(1, events + 1)).send(1, *range(1, events + 1))
        self._lock = threading.Lock()
        self.seed = 5
        self.traffic_done = True
        self.broken = False

    @property
    def context(self) -> dict[str, Any]:
        return {
            "address": "127.0.0.1:9",
            "http_url": "http://127.0.0.1:9",
            "auth_url": "http://127.0.0.1:9/auth",
            "tenant": "1234567890",
            "topics": [TOPIC],
            "token": JWT,
            "client_id": "a-client",
            "ca_file": None,
            "scenario": "taped",
            "seed": 5,
        }

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        if self.broken:
            raise OSError("the disk is full")
        with self._lock:
            return self._tape.lines[since:]

    def record(self, kind: str, **fields: Any) -> None:
        with self._lock:
            self._tape.add(kind, **fields)

    def kinds(self) -> list[str]:
        return [line["kind"] for line in self.journal()]


class Bench:
    """A runner over one taped world, and what it said."""

    def __init__(self) -> None:
        self.world = TapedWorld()
        self.said: list[str] = []
        self.options: dict[str, Any] = {}
        self.runner = Runner(self.make, say=self.said.append)

    @contextmanager
    def make(self, scenario: Scenario, **options: Any) -> Iterator[TapedWorld]:
        self.options = options
        yield self.world

    def run(self, script: str, *arguments: str, timeout: float = 30.0, checks: tuple[str, ...] | None = None) -> Run:
        command = (sys.executable, "-u", "-c", script, *arguments)
        return self.runner.run(Plan(SCENARIO, "taped.yaml", command, seed=5, timeout=timeout, checks=checks))


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr(runner_module, "FAREWELL", 0.1)  # the connection on the tape is never closed
    monkeypatch.setattr(runner_module, "long_quiet", lambda scenario, time_scale: 0.5)
    return Bench()


def outcome(run: Run, check: str) -> Outcome:
    return {verdict.check: verdict.outcome for verdict in run.verdicts}[check]


def message(run: Run, check: str) -> str:
    return {verdict.check: verdict.message for verdict in run.verdicts}[check]


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_good_client_passes_and_is_told_to_stop(bench: Bench) -> None:
    run = bench.run(GOOD)
    assert {verdict.outcome for verdict in run.verdicts} == {Outcome.PASS}
    assert [verdict.check for verdict in run.verdicts] == [
        *("ordered", "unique", "complete", "filterable", "faults_reached_the_wire", "stays_up", "prints_l1")
    ]
    kinds = bench.world.kinds()
    order = [kind for kind in kinds if kind.startswith("client.")]
    assert order == ["client.start", *["client.applied"] * 3, "client.stop", "client.exit"]
    assert kinds.count("verdict") == len(run.verdicts)
    assert run.notes == ()
    assert run.error is None
    assert run.seed == 5


def test_the_replay_command_says_what_the_user_wrote(bench: Bench) -> None:
    run = bench.run(GOOD, "--token={token}", "a b")
    assert run.replay.startswith("python -m mockcentral run --scenario taped.yaml --seed 5 -- ")
    assert run.replay.endswith("'--token={token}' 'a b'")
    assert JWT not in run.replay
    start = next(line for line in bench.world.journal() if line["kind"] == "client.start")
    assert JWT not in str(start)


def test_the_client_is_given_the_environment_the_placeholders_and_keys(bench: Bench) -> None:
    script = """
import os, sys
there = os.path.isdir(os.environ["MOCKCENTRAL_STATE_DIR"])
print(os.environ["MOCKCENTRAL_ADDRESS"], sys.argv[1], there, file=sys.stderr)
print(open(os.environ["CENTRAL_AUTH_PRIVATEKEY"]).readline().strip(), file=sys.stderr)
print(open(os.environ["CENTRAL_AUTH_PUBLICKEY"]).readline().strip(), file=sys.stderr)
"""
    bench.run(script, "--to={address}")
    assert bench.said == [
        "taped| 127.0.0.1:9 --to=127.0.0.1:9 True",
        "taped| -----BEGIN PRIVATE KEY-----",
        "taped| -----BEGIN PUBLIC KEY-----",
    ]


def test_a_missed_event_fails_with_its_line(bench: Bench) -> None:
    run = bench.run(GOOD.replace("(1, 2, 3)", "(1, 3)"))
    assert outcome(run, "complete") is Outcome.FAIL
    evidence = next(verdict.evidence for verdict in run.verdicts if verdict.check == "complete")
    assert [run.lines[n]["sequence"] for n in evidence] == [2]


def test_a_client_that_says_nothing_is_judged_by_the_wire(bench: Bench) -> None:
    run = bench.run("import signal; signal.pause()")
    assert outcome(run, "complete") is Outcome.PASS
    assert outcome(run, "prints_l1") is Outcome.SKIPPED
    assert run.notes == ()


def test_a_client_that_prints_something_else_is_told_once(bench: Bench) -> None:
    run = bench.run("print('hello'); print('again'); import signal; signal.pause()")
    assert outcome(run, "complete") is Outcome.PASS
    assert outcome(run, "prints_l1") is Outcome.SKIPPED
    [note] = run.notes
    assert note == "the client's stdout is not L1 JSON lines, so it is judged by the wire alone; it began: hello"


def test_a_client_whose_every_l1_line_is_wrong_is_told_what_is_wrong(bench: Bench) -> None:
    line = '{"type": "applied", "sequence": "100001"}'
    run = bench.run(f"print('{line}'); import signal; signal.pause()")
    assert outcome(run, "prints_l1") is Outcome.FAIL
    assert message(run, "prints_l1").endswith(f"But `sequence` must be a whole number: {line}")


def test_a_stray_line_between_l1_lines_is_shown(bench: Bench) -> None:
    run = bench.run(f"print('connected with {JWT}')\nprint('more')\n" + GOOD)
    assert outcome(run, "prints_l1") is Outcome.FAIL
    assert "it is not JSON: connected with <token> (2 such lines)" in message(run, "prints_l1")
    assert outcome(run, "complete") is Outcome.PASS, "the good lines count all the same"


def test_bytes_that_are_no_text_and_lines_without_end_do_no_harm(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_module, "LONGEST_LINE", 1000)
    run = bench.run("import sys; sys.stdout.buffer.write(b'\\xff\\xfe\\n' + b'x' * 5000 + b'\\n')\n" + GOOD)
    assert outcome(run, "complete") is Outcome.PASS
    assert "it is not JSON: \ufffd\ufffd" in message(run, "prints_l1")


def test_a_client_that_dies_early_fails_with_its_last_words(bench: Bench) -> None:
    run = bench.run(f"import sys; print('token is {JWT}', file=sys.stderr); sys.exit(3)")
    assert outcome(run, "stays_up") is Outcome.FAIL
    assert "exited with code 3; its last lines on stderr:\n  token is <token>" in message(run, "stays_up")
    assert bench.said == ["taped| token is <token>"]
    assert bench.world.journal()[-8]["kind"] == "client.exit"
    assert "client.stop" not in bench.world.kinds(), "nobody told it to"


def test_a_client_that_is_killed_fails_with_the_signal(bench: Bench) -> None:
    run = bench.run("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    assert "was ended by SIGSEGV, without a word" in message(run, "stays_up")


def test_a_client_may_exit_with_0_when_it_has_enough(bench: Bench) -> None:
    run = bench.run(GOOD.replace("signal.pause()", ""))
    assert {verdict.outcome for verdict in run.verdicts} == {Outcome.PASS}


def test_a_client_that_exits_with_127_is_unsupported(bench: Bench) -> None:
    run = bench.run("raise SystemExit(127)")
    assert {verdict.outcome for verdict in run.verdicts} == {Outcome.SKIPPED}
    assert len(run.verdicts) == 7


def test_a_client_that_ignores_sigterm_is_killed(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "GRACE", 0.3)
    run = bench.run(GOOD.replace("lambda *_: sys.exit(0)", "signal.SIG_IGN"))
    assert run.notes == ("the client was still there 0.3 s after SIGTERM, so it was killed",)
    assert outcome(run, "complete") is Outcome.PASS
    exit = next(line for line in bench.world.journal() if line["kind"] == "client.exit")
    assert (exit["code"], exit["signal"]) == (None, "SIGKILL")


def test_what_the_client_started_is_ended_with_it(bench: Bench) -> None:
    script = """
import subprocess, sys
stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
other = subprocess.Popen([sys.executable, "-c", stubborn])
print(other.pid, file=sys.stderr)
"""
    bench.run(script)
    pid = int(bench.said[0].split()[1])
    assert not is_alive(pid)


def test_a_client_that_never_connects_does_not_hang_the_run(bench: Bench) -> None:
    bench.world = TapedWorld(connected=False)
    run = bench.run("import signal; signal.pause()", timeout=0.3)
    assert run.notes == ("over because the run took longer than its 0.3 s",)
    assert outcome(run, "complete") is Outcome.INCONCLUSIVE


def test_only_the_checks_asked_for_are_judged(bench: Bench) -> None:
    run = bench.run(GOOD, checks=("complete", "stays_up"))
    assert [verdict.check for verdict in run.verdicts] == ["complete", "stays_up"]


def test_an_error_of_the_harness_is_not_the_clients_fault(bench: Bench) -> None:
    bench.world.broken = True
    run = bench.run(GOOD)
    assert run.verdicts == ()
    assert "the disk is full" in str(run.error)


def test_a_program_that_is_not_there_is_one_line(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no-such-client: cannot be started: No such file"):
        bench.runner.run(Plan(SCENARIO, "taped", ("no-such-client",)))
    with pytest.raises(UsageError, match="no-such-client: the client was not found"):
        check_startable(["no-such-client"])
    file = tmp_path / "client"
    file.write_text("x")
    with pytest.raises(UsageError, match="is not executable"):
        check_startable([str(file)])
    with pytest.raises(UsageError, match="write it after --"):
        check_startable([])
    check_startable([sys.executable])


def test_a_run_that_is_called_off_leaves_nobody_behind(bench: Bench) -> None:
    heard = threading.Event()
    pids: list[int] = []

    def say(line: str) -> None:
        pids.append(int(line.split()[1]))
        heard.set()

    runner = Runner(bench.make, say=say)
    script = "import os, sys, signal; print(os.getpid(), file=sys.stderr, flush=True); signal.pause()"
    errors: list[BaseException] = []

    def work() -> None:
        try:
            runner.run_all([Plan(SCENARIO, "taped", (sys.executable, "-c", script), timeout=60.0)] * 2, 2)
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert heard.wait(20)
    runner.stop.set()
    thread.join(20)
    assert not thread.is_alive()
    assert [type(error) for error in errors] == [Interrupted]
    assert not any(is_alive(pid) for pid in pids)


STUBBORN = (
    "import os, signal, sys; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "print(os.getpid(), file=sys.stderr, flush=True)\nwhile True: signal.pause()"
)


def test_in_a_hurry_no_client_gets_time_to_go(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner_module, "HASTY_GRACE", 3600.0)
    pids: list[int] = []

    def say(line: str) -> None:
        pids.append(int(line.split()[1]))
        runner.stop.set()
        runner.hurry.set()

    runner = Runner(bench.make, say=say)
    with pytest.raises(Interrupted):
        runner.run_all([Plan(SCENARIO, "taped", (sys.executable, "-c", STUBBORN), timeout=60.0)])
    assert not is_alive(*pids)


def test_whatever_interrupts_the_wait_for_a_client_it_is_gone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    pids: list[int] = []

    def say(line: str) -> None:
        pids.append(int(line.split()[1]))
        runner.stop.set()

    def interrupted(*_: Any) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(Child, "wait_exited", interrupted)
    runner = Runner(bench.make, say=say)
    with pytest.raises(KeyboardInterrupt):
        runner.run(Plan(SCENARIO, "taped", (sys.executable, "-c", STUBBORN), timeout=60.0))
    assert not is_alive(*pids)


def test_runs_side_by_side_are_reported_in_the_order_they_were_asked_for() -> None:
    done: list[Run] = []

    @contextmanager
    def make(scenario: Scenario, **options: Any) -> Iterator[TapedWorld]:
        world = TapedWorld()
        world.seed = options["seed"]
        yield world

    plans = [Plan(SCENARIO, "taped", (sys.executable, "-u", "-c", GOOD), seed=seed) for seed in (3, 1, 2)]
    runs = Runner(make).run_all(plans, 3, done.append)
    assert [run.seed for run in runs] == [3, 1, 2]
    assert {run.seed for run in done} == {1, 2, 3}


def test_the_first_error_calls_the_other_runs_off(bench: Bench) -> None:
    plans = [Plan(SCENARIO, "taped", ("no-such-client",)), Plan(SCENARIO, "taped", (sys.executable, "-c", GOOD))]
    with pytest.raises(UsageError):
        bench.runner.run_all(plans, 1)
    assert "client.applied" not in bench.world.kinds()


def test_a_world_gets_the_seed_the_scale_and_the_journal(bench: Bench, tmp_path: Path) -> None:
    command = (sys.executable, "-u", "-c", GOOD)
    path = tmp_path / "j.ndjson"
    bench.runner.run(
        Plan(SCENARIO, "taped", command, seed=9, time_scale=4.0, journal=path, world_options={"tls": True})
    )
    assert bench.options == {"seed": 9, "time_scale": 4.0, "journal": path, "tls": True}


def test_a_late_talker_is_not_heard_after_the_world_is_gone(bench: Bench) -> None:
    """A grandchild that left the group keeps the pipe: reading goes on, but nobody records it."""
    script = """
import os, signal, sys
read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    os.close(write)
    os.read(read, 1)  # until its parent is gone
    print('{"type": "applied", "sequence": 1}', flush=True)
    os._exit(0)
os.close(read)
"""
    run = bench.run(script)
    assert outcome(run, "stays_up") is Outcome.PASS


def test_tokens_are_taken_out_of_text() -> None:
    assert redacted(f"Bearer {JWT}, {JWT}") == "Bearer <token>, <token>"
    assert redacted("eyes only") == "eyes only"


def test_a_child_is_seen_to_have_exited_before_it_is_reaped() -> None:
    lines: list[str] = []
    child = Child(
        [sys.executable, "-c", "print('a'); print(); print('b')"], os.environ, on_line=lines.append, on_error_line=print
    )
    assert child.wait_exited(20)
    assert Path(f"/proc/{child.pid}").exists() or sys.platform != "linux", "still a zombie: its pid is not free"
    child.drain()
    assert lines == ["a", "b"]
    assert child.reap() == (0, None)
    assert child.exited
