"""Running a client through a scenario: a fresh world, the client as a child process, and the journal judged.

Everything that can be decided without a process is decided elsewhere: `pace` says when a run is over, `l1` reads what
the client prints, `environment` says what it is given, `judge` what it is worth. Here are the world, the child and the
clock.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import socket
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mockcentral.conformance import key_files, l1, punctuality
from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.child import Child
from mockcentral.conformance.environment import command_line, environment, placeholders
from mockcentral.conformance.errors import UsageError
from mockcentral.conformance.judge import expected, judge
from mockcentral.conformance.pace import Pace, awaits, faults_spent, is_news, lab_is_over, lines_named, long_quiet
from mockcentral.conformance.results import Run
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.lab.card import Card, measure
from mockcentral.scenario.schema import Scenario

UNSUPPORTED = 127
"""The exit code with which a client says that it cannot do this at all."""
POLL = 0.05
GRACE = 5.0
"""Seconds a client has to go after SIGTERM."""
FAREWELL = 1.0
"""Seconds in which the world may still see the connections of a client that is gone."""
HASTY_GRACE = 1.0
"""The same when somebody pressed Ctrl-C."""

STAYS_UP, PRINTS_L1, MEASURED = "stays_up", "prints_l1", "measured"
OWN_CHECKS = (STAYS_UP, PRINTS_L1, MEASURED)
"""What the runner itself sees: the client keeps running, its stdout makes sense, a lab came to its end."""

_JWT = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]*")


class RunWorld(Protocol):
    """What the runner needs of `mockcentral.World`."""

    seed: int

    @property
    def context(self) -> dict[str, Any]: ...
    @property
    def traffic_done(self) -> bool: ...
    def journal(self, since: int = 0) -> list[dict[str, Any]]: ...
    def record(self, kind: str, **fields: Any) -> Any: ...


MakeWorld = Callable[..., AbstractContextManager[RunWorld]]


class Interrupted(Exception):
    """The run was called off; the child is gone."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to run: one client, one scenario, one seed."""

    scenario: Scenario
    argument: str
    """What the user wrote to name the scenario; the replay command says it again."""
    command: tuple[str, ...]
    seed: int | None = None
    time_scale: float = 1.0
    timeout: float = 180.0
    checks: tuple[str, ...] | None = None
    """The checks to judge by; None for all the scenario expects."""
    journal: Path | None = None
    replay_flags: tuple[str, ...] = ()
    world_options: Mapping[str, Any] = field(default_factory=dict)


def case_names(scenario: Scenario) -> tuple[str, ...]:
    """The checks of a scenario's run, the runner's own included."""
    # What a lab's client prints is nobody's business: it need not know of L1.
    return (STAYS_UP, MEASURED) if scenario.lab is not None else (*expected(scenario), STAYS_UP, PRINTS_L1)


def replay_command(plan: Plan, seed: int) -> str:
    """The command that does this run again. The client's arguments are as the user wrote them: no token gets in."""
    words = ["python", "-m", "mockcentral", "run", "--scenario", plan.argument, "--seed", str(seed)]
    if plan.time_scale != 1:
        words += ["--time-scale", f"{plan.time_scale:g}"]
    return shlex.join([*words, *plan.replay_flags, "--", *plan.command])


def redacted(text: str) -> str:
    """Text of the client without the tokens in it."""
    return _JWT.sub("<token>", text)


class Runner:
    """Runs plans, one at a time or on several threads; `stop` calls all of them off, and with `hurry` no client gets
    time to go by itself.
    """

    def __init__(self, make_world: MakeWorld, *, say: Callable[[str], None] = lambda line: None) -> None:
        """`say` gets progress and what clients write to stderr, line by line, on any thread."""
        self._make_world = make_world
        self._say = say
        self._keys: tuple[bytes, bytes] | None = None
        self._keys_lock = threading.Lock()
        self.stop = threading.Event()
        self.hurry = threading.Event()

    def run_all(
        self, plans: Sequence[Plan], parallel: int = 1, done: Callable[[Run], None] = lambda run: None
    ) -> list[Run]:
        """All the runs, `parallel` at once, in the order of the plans; `done` is told of each as it is over.

        The first exception (a Ctrl-C among them) calls the others off and is raised once every client is gone.
        """

        def one(plan: Plan) -> Run:
            if self.stop.is_set():
                raise Interrupted
            try:
                run = self.run(plan)
                done(run)
            except BaseException:
                self.stop.set()  # here, before this thread takes up the next plan
                raise
            return run

        with ThreadPoolExecutor(max_workers=parallel, thread_name_prefix="mockcentral-run") as pool:
            futures: list[Future[Run]] = []
            try:
                futures += [pool.submit(one, plan) for plan in plans]
                return [future.result() for future in futures]
            except BaseException:
                self.stop.set()
                for future in futures:
                    future.cancel()
                raise

    def run(self, plan: Plan) -> Run:
        """One run. An error of the harness is in the result; what the user got wrong is raised, as is Interrupted."""
        started = time.monotonic()
        error: str | None = None
        verdicts: Sequence[Verdict] = ()
        card: Card | None = None
        notes: Sequence[str] = ()
        journal: Sequence[dict[str, Any]] = ()
        state_dir = tempfile.mkdtemp(prefix="mockcentral-state-")
        try:
            with self._make_world(
                plan.scenario, seed=plan.seed, time_scale=plan.time_scale, journal=plan.journal, **plan.world_options
            ) as world:
                seed = world.seed
                try:
                    verdicts, notes, journal = _Session(self, plan, world, state_dir).play()
                    card = measure(journal) if plan.scenario.lab is not None else None
                except (UsageError, Interrupted):
                    raise
                except Exception:
                    error = redacted(traceback.format_exc())
        finally:
            shutil.rmtree(state_dir, ignore_errors=True)
        return Run(
            scenario=plan.scenario.scenario,
            seed=seed,
            time_scale=plan.time_scale,
            replay=replay_command(plan, seed),
            seconds=time.monotonic() - started,
            verdicts=tuple(verdicts),
            notes=tuple(notes),
            lines=lines_named(verdicts, journal),
            card=card,
            error=error,
        )

    def say(self, line: str) -> None:
        """A line for whoever watches."""
        self._say(line)

    def write_keys(self, directory: str) -> tuple[str, str]:
        """A key pair for the client, made up once and written to `directory`: a Go agent does not start without one."""
        with self._keys_lock:
            self._keys = self._keys or key_files.new_keys()
        return key_files.write_keys(directory, self._keys)


class _Session:
    """One client in one world."""

    def __init__(self, runner: Runner, plan: Plan, world: RunWorld, state_dir: str) -> None:
        self._runner = runner
        self._plan = plan
        self._world = world
        self._state_dir = state_dir
        self._journal: list[dict[str, Any]] = []
        self._good = 0
        self._tried = False
        """Whether the client means to print L1 lines."""
        self._bad: list[tuple[str, str]] = []
        self._count_bad = 0
        self._deaf = False

    def play(self) -> tuple[list[Verdict], list[str], list[dict[str, Any]]]:
        """Start the client, wait until the run is over, stop it, judge."""
        plan, world = self._plan, self._world
        context = world.context
        values = placeholders(context, self._state_dir)
        name = plan.scenario.scenario
        world.record("client.start", argv=list(plan.command))
        child = Child(
            command_line(plan.command, values),
            environment(
                os.environ,
                context,
                self._state_dir,
                environment_name=_environment_name(plan.scenario),
                key_files=self._runner.write_keys(self._state_dir),
                status_port=_free_port(),
            ),
            on_line=self._heard,
            on_error_line=lambda line: self._runner.say(f"{name}| {redacted(line)}"),
        )
        calm, hurry = False, self._runner.hurry
        try:
            why, early = self._watch(child)
            killed = False
            if not early:
                world.record("client.stop", signal="SIGTERM")
                child.terminate()
                killed = not child.wait_exited(GRACE, hurry)
            calm = True
        finally:
            try:
                if not calm:  # Ctrl-C, or we failed: do not leave it behind, and do not be long about it
                    child.terminate()
                    child.wait_exited(HASTY_GRACE, hurry)
            finally:
                code, signal_name = child.reap()
                self._deaf = True
        world.record("client.exit", code=code, signal=signal_name)
        self._read_on()
        notes = []
        if why:
            notes.append(f"over because {why}")
        if killed:
            notes.append(f"the client was still there {GRACE:g} s after SIGTERM, so it was killed")
        if (late := punctuality.note(self._journal)) is not None:
            notes.append(late)
        if early and code == UNSUPPORTED:
            verdicts = self._unsupported()
        else:
            verdicts = judge(self._journal, plan.scenario, self._judged())
            own = {
                STAYS_UP: self._stays_up(early, code, signal_name, child),
                PRINTS_L1: self._prints_l1(),
                MEASURED: self._measured(),
            }
            verdicts += [own[name] for name in self._checks() if name in OWN_CHECKS]
        if self._count_bad and not self._tried:
            first = self._first_bad()
            notes.append(
                f"the client's stdout is not L1 JSON lines, so it is judged by the wire alone; it began: {first}"
            )
        for verdict in verdicts:
            world.record("verdict", **verdict.as_dict())
        return verdicts, notes, self._journal

    # ------------------------------------------------------------------------------------------ while it runs
    def _watch(self, child: Child) -> tuple[str, bool]:
        """Wait until the run is over; why, if that was not the good end, and whether the client went by itself."""
        plan = self._plan
        pace = Pace(long_quiet(plan.scenario, plan.time_scale), plan.timeout)
        started = news = time.monotonic()
        judged, judge_after, awaiting = -1, 0.0, True
        contact = False
        while True:
            if self._runner.stop.is_set():
                raise Interrupted
            early = child.exited
            if early:
                child.drain()
            fresh = self._read_on()
            now = time.monotonic()
            if any(is_news(record) for record in fresh):
                news = now
            contact = contact or any(record["kind"] == "conn.open" for record in fresh)
            if early:
                self._settle()
                return "", True
            # Judging reads the whole journal: not while lines pour in, and not more than a tenth of the time.
            if len(self._journal) != judged and now >= judge_after:
                awaiting = awaits(judge(self._journal, plan.scenario, self._judged()))
                judged, judge_after = len(self._journal), now + max(POLL, 10 * (time.monotonic() - now))
            fresh_verdict = len(self._journal) == judged
            planned = fresh_verdict and not awaiting and self._world.traffic_done
            planned = planned and faults_spent(plan.scenario, self._journal)
            if plan.scenario.lab is not None:
                planned, awaiting = lab_is_over(plan.scenario, self._journal), False
            over = pace.over(
                elapsed=now - started, quiet=now - news, contact=contact, planned=planned, awaiting=awaiting
            )
            if over is not None:
                return over, False
            time.sleep(POLL)

    def _settle(self) -> None:
        """The client is gone: give the world a moment to see its connections close."""
        until = time.monotonic() + FAREWELL
        while time.monotonic() < until:
            opened = {record["conn"] for record in self._journal if record["kind"] == "conn.open"}
            closed = {record["conn"] for record in self._journal if record["kind"] == "conn.close"}
            if opened <= closed:
                return
            time.sleep(POLL)
            self._read_on()

    def _read_on(self) -> list[dict[str, Any]]:
        fresh = self._world.journal(self._journal[-1]["n"] if self._journal else 0)
        self._journal += fresh
        return fresh

    def _heard(self, line: str) -> None:
        try:
            said = l1.parse(line)
        except l1.NotL1 as error:
            self._count_bad += 1
            self._tried |= error.meant
            if len(self._bad) < 5:
                self._bad.append((line, str(error)))
            return
        self._good += 1
        self._tried = True
        # What is left of the client may still talk when its world is gone.
        with contextlib.suppress(*((RuntimeError,) if self._deaf else ())):
            self._world.record(said.kind, **said.fields)

    # ------------------------------------------------------------------------------------------ what we saw ourselves
    def _checks(self) -> tuple[str, ...]:
        return case_names(self._plan.scenario) if self._plan.checks is None else self._plan.checks

    def _judged(self) -> list[str]:
        """Those of the checks that a journal alone answers."""
        return [name for name in self._checks() if name not in OWN_CHECKS]

    def _unsupported(self) -> list[Verdict]:
        message = f"The client says it cannot do this (exit code {UNSUPPORTED})."
        return [Verdict(name, Outcome.SKIPPED, "MUST", message) for name in self._checks()]

    def _stays_up(self, early: bool, code: int | None, signal_name: str | None, child: Child) -> Verdict:
        if not early:
            return _own(STAYS_UP, Outcome.PASS, "It ran until it was told to stop.")
        if code == 0:
            return _own(STAYS_UP, Outcome.PASS, "It exited by itself, with 0.")
        evidence = Evidence(self._journal)
        if signal_name is None and any(evidence.let_go(topic) for topic in evidence.subscriptions):
            return _own(STAYS_UP, Outcome.PASS, f"It exited with {code} when it was told that its topic is gone.")
        how = f"was ended by {signal_name}" if signal_name else f"exited with code {code}"
        tail = [redacted(line) for line in child.last_error_lines]
        said = "; its last lines on stderr:\n" + "\n".join(f"  {line}" for line in tail) if tail else ", without a word"
        exits = tuple(record["n"] for record in self._journal if record["kind"] == "client.exit")
        return _own(STAYS_UP, Outcome.FAIL, f"The client runs until it is told to stop. But it {how}{said}", exits)

    def _measured(self) -> Verdict:
        if lab_is_over(self._plan.scenario, self._journal):
            return _own(MEASURED, Outcome.PASS, "The client went through all of it; the card has what was seen.")
        attempts = sum(record["kind"] == "stream.open" for record in self._journal)
        return _own(
            MEASURED,
            Outcome.INCONCLUSIVE,
            f"The run ended before the lab did, after {attempts} watch calls: the card has what was seen until then.",
        )

    def _prints_l1(self) -> Verdict:
        if not self._tried:
            return _own(PRINTS_L1, Outcome.SKIPPED, "The client does not say what it applies: judged by the wire.")
        if not self._count_bad:
            return _own(PRINTS_L1, Outcome.PASS, f"{self._good} lines.")
        what = f"{self._bad[0][1]}: {self._first_bad()}"
        more = f" ({self._count_bad} such lines)" if self._count_bad > 1 else ""
        return _own(
            PRINTS_L1,
            Outcome.FAIL,
            f"Every line on stdout is an L1 JSON line; anything else belongs on stderr. But {what}{more}",
        )

    def _first_bad(self) -> str:
        """The first line that is none of ours, for people."""
        line = self._bad[0][0]
        return redacted(line if len(line) <= 200 else line[:200] + "…")


def _own(name: str, outcome: Outcome, message: str, evidence: tuple[int, ...] = ()) -> Verdict:
    return Verdict(name, outcome, "MUST", message, evidence, "design/interfaces, What a spawned client under test gets")


def _environment_name(scenario: Scenario) -> str:
    """The environment a Go agent is to live in: the one the scenario's topics are about."""
    for topic in scenario.topics:
        for entry in topic.filters:
            if entry.scope is not None and entry.scope.kind == "Environment" and entry.scope.name != "*":
                return entry.scope.name
    return "sample-env"


def _free_port() -> int:
    """A port for the status server every Go agent opens; free a moment ago is the best anybody can say."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def check_startable(command: Sequence[str]) -> None:
    """Raise UsageError when the client's program is not there: before anything was started."""
    if not command:
        raise UsageError("which client? write it after --, such as: run --scenario calm -- python my_client.py")
    program = command[0]
    if "{" not in program and shutil.which(program) is None:
        found = "is not executable" if Path(program).is_file() else "was not found"
        raise UsageError(f"{program}: the client {found}")
