"""`python -m mockcentral run`, as a user runs it: a real world, a real client, exit codes, reports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[3]
SCENARIO = """
scenario: tiny
about: Five events, and nothing breaks.
seed: 3
topics:
  - name: sample-watch-topic
    filters: [{kind: APIService}]
traffic:
  - {on: http, every: 20ms, count: 5, publish: {kind: APIService, scope: Environment/sample-env}}
expect: [complete]
"""
# Polls the history: no stream, so whether it is complete cannot be told, and all it applies can.
POLLER = """
import json, os, signal, sys, time, urllib.parse, urllib.request
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
print(json.dumps({"type": "status", "connected": True}), flush=True)
last = 0
base = os.environ["MOCKCENTRAL_HTTP_URL"] + "/events" + os.environ["MOCKCENTRAL_TOPIC"]
token, tenant = os.environ["MOCKCENTRAL_TOKEN"], os.environ["MOCKCENTRAL_TENANT"]
headers = {"Authorization": "Bearer " + token, "X-Axway-Tenant-Id": tenant}
while True:
    url = base + "?" + urllib.parse.urlencode({"query": f"sequenceID>{last}", "sort": "sequenceID,ASC"})
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        events = json.load(answer)
    for event in events:
        last = event["metadata"]["sequenceID"]
        print(json.dumps({"type": "applied", "sequence": last, "id": event["id"]}), flush=True)
        TWICE and print(json.dumps({"type": "applied", "sequence": last, "id": event["id"]}), flush=True)
    time.sleep(0.05)
"""
FOUR = "*::ordered", "*::unique", "*::filterable", "*::stays_up"


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "tiny.yaml").write_text(SCENARIO)
    (tmp_path / "client.py").write_text(POLLER.replace("TWICE", "False"))
    (tmp_path / "twice.py").write_text(POLLER.replace("TWICE", "True"))
    return tmp_path


def run(here: Path, *arguments: str, client: str = "client.py") -> subprocess.CompletedProcess[str]:
    flags = [flag for pattern in FOUR for flag in ("--run", pattern)]
    return raw(here, "--scenario", "tiny.yaml", *flags, *arguments, "--", sys.executable, client)


def raw(here: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mockcentral", "run", *arguments]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=here, env=environment, capture_output=True, text=True, timeout=120)


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line of a usage error."""
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 1, done.stderr
    return lines[0]


def test_a_scenario_that_needs_tls_says_where_before_anything_runs(here: Path) -> None:
    (here / "stale.yaml").write_text(
        "scenario: stale\nabout: x\nneeds: [wire]\nfaults:\n  - {name: old, on: connect, do: tls_expired}\n"
    )
    done = raw(here, "--scenario", "stale.yaml", "--", sys.executable, "client.py")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("mockcentral: stale.yaml:5: the fault old (tls_expired) needs TLS: add --tls")


def test_a_good_client_is_exit_code_0(here: Path) -> None:
    done = run(here, "--report-dir", "out")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tiny  (seed 3" in done.stdout
    assert " events, each once." in done.stdout
    assert done.stdout.endswith("1 scenario, 4 checks: 4 passed\n")
    report = json.loads((here / "out" / "report.json").read_text())
    assert report["counts"] == {"passed": 4}
    assert ElementTree.parse(here / "out" / "junit.xml").getroot().find("testsuite") is not None
    journal = [json.loads(line) for line in (here / "out" / "tiny-3.ndjson").read_text().splitlines()]
    assert [line["n"] for line in journal] == list(range(1, len(journal) + 1))
    kinds = [line["kind"] for line in journal]
    assert "client.applied" in kinds
    assert kinds.count("verdict") == 4


def test_a_bad_client_is_exit_code_1_and_a_known_failure_is_not(here: Path) -> None:
    done = run(here, client="twice.py")
    assert done.returncode == 1
    assert "FAILED  unique" in done.stdout
    assert "replay: python -m mockcentral run --scenario tiny.yaml --seed 3 -- " in done.stdout
    (here / "known.txt").write_text("tiny::unique  # applies everything twice\n")
    done = run(here, "--known-failing", "known.txt", "--report", "junit=r.xml", client="twice.py")
    assert done.returncode == 0, done.stdout
    assert "Known: applies everything twice" in done.stdout
    assert "known failing: applies everything twice" in (here / "r.xml").read_text()


def test_a_stale_known_failure_is_exit_code_1(here: Path) -> None:
    (here / "known.txt").write_text("tiny::unique  # used to\n")
    done = run(here, "--known-failing", "known.txt")
    assert done.returncode == 1
    assert "STALE" in done.stdout


def test_what_cannot_be_told_is_exit_code_4(here: Path) -> None:
    done = raw(
        here, "--scenario", "tiny.yaml", "--timeout", "1s", "--", sys.executable, "-c", "import signal; signal.pause()"
    )
    assert done.returncode == 4, done.stdout + done.stderr
    assert "over because the run took longer than its 1 s" in done.stdout


def test_a_fault_that_never_reached_the_wire_is_exit_code_4_whatever_was_selected(here: Path) -> None:
    rule = "faults: [{name: never, on: stream_open(1), do: {refuse: UNAVAILABLE}}]\n"
    (here / "tiny.yaml").write_text(SCENARIO + rule)
    done = run(here, "--timeout", "2s")
    assert done.returncode == 4, done.stdout + done.stderr
    assert "never struck: never (on stream_open(1))" in done.stdout


def test_nothing_selected_is_exit_code_5(here: Path) -> None:
    done = raw(here, "--scenario", "tiny.yaml", "--run", "tiny", "--skip", "tiny", "--", sys.executable)
    assert done.returncode == 5
    assert done.stdout == ""


def test_an_unsupported_client_is_skipped(here: Path) -> None:
    done = raw(here, "--scenario", "tiny.yaml", "--", sys.executable, "-c", "raise SystemExit(127)")
    assert done.returncode == 0
    assert "exit code 127" in done.stdout
    assert "7 skipped" in done.stdout


def test_repeats_have_seeds_of_their_own(here: Path) -> None:
    done = run(here, "--repeat", "2", "--require", "1", "-n", "2", "--journal", "j.ndjson")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "seeds 3 to 4" in done.stdout
    assert "(2 of 2 runs passed)" in done.stdout
    assert (here / "j-tiny-3.ndjson").exists()
    assert (here / "j-tiny-4.ndjson").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--scenario", "tiny.yaml"], "which client? write it after --"),
        (["--", "true"], "which scenario? --scenario NAME"),
        (["--scenario", "flakey", "--", "true"], "flaky"),
        (["--scenario", "tiny.yaml", "--", "no-such-client"], "no-such-client: the client was not found"),
        (["--scenario", "tiny.yaml", "--run", "tinny", "--", "true"], "--run tinny: matches no check of tiny"),
        (["--run", "nothing*", "--", "true"], "--run nothing*: matches no check of any built-in scenario"),
        (
            ["--scenario", "tiny.yaml", "--report", "html", "--", "true"],
            "there is no report 'html': write junit, json or card",
        ),
        (["--scenario", "tiny.yaml", "--report", "junit=", "--", "true"], "write junit=PATH"),
        (
            ["--scenario", "tiny.yaml", "--report", "junit=/proc/no/r.xml", "--", "true"],
            "/proc/no/r.xml: cannot be written",
        ),
        (
            ["--scenario", "tiny.yaml", "--known-failing", "no.txt", "--", "true"],
            "no.txt: cannot be read: No such file",
        ),
        (
            ["--scenario", "tiny.yaml", "--known-failing", "bad.txt", "--", "true"],
            "bad.txt:1: tiny::unique needs a reason",
        ),
        (
            ["--scenario", "tiny.yaml", "--known-failing", "off.txt", "--", "true"],
            "off.txt:1: tiny::uniq matches no check",
        ),
        (["--scenario", "tiny.yaml", "--run", "@no.txt", "--", "true"], "no.txt: cannot be read"),
        (["--scenario", "tiny.yaml", "--scenario", "tiny.yaml", "--", "true"], "tiny is given twice"),
        (
            ["--scenario", "tiny.yaml", "--require", "3", "--repeat", "2", "--", "true"],
            "--require 3 is more than --repeat 2",
        ),
        (["--scenario", "tiny.yaml", "--port", "5", "-n", "2", "--", "true"], "--port is for one run at a time"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_exit_code_2(here: Path, arguments: list[str], words: str) -> None:
    (here / "bad.txt").write_text("tiny::unique\n")
    (here / "off.txt").write_text("tiny::uniq # x\n")
    assert words in one_line(raw(here, *arguments))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--timeout", "90"], "'90' is no duration: write a number with its unit, such as 90s or 3m"),
        (["--timeout", "0s"], "leaves no time"),
        (["-n", "0"], "'0' is no count"),
        (["--repeat", "x"], "'x' is no count"),
        (["--reprot", "junit"], "--reprot"),
    ],
)
def test_a_bad_flag_is_one_line_and_exit_code_2(here: Path, arguments: list[str], words: str) -> None:
    assert words in one_line(raw(here, "--scenario", "tiny.yaml", *arguments, "--", "true"))


SIGNALS = [("SIGINT", 130), ("SIGTERM", 143)] + [("SIGHUP", 143)] * hasattr(signal, "SIGHUP")


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_signal_ends_the_run_and_the_client(here: Path, name: str, code: int) -> None:
    harness, pid = started(here, "signal.pause()")
    harness.send_signal(signal.Signals[name])
    _, error = harness.communicate(timeout=30)
    assert harness.returncode == code, error
    assert "Traceback" not in error
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(("name", "code"), SIGNALS)
def test_a_second_signal_leaves_no_client_behind_that_does_not_want_to_go(here: Path, name: str, code: int) -> None:
    harness, pid = started(here, "\nwhile True: signal.pause()", ignoring="SIGTERM")
    while harness.poll() is None:
        harness.send_signal(signal.Signals[name])
        with contextlib.suppress(subprocess.TimeoutExpired):
            harness.wait(0.05)
    _, error = harness.communicate()
    assert harness.returncode in (code, -signal.Signals[name]), error  # one more came when all was done
    assert "Traceback" not in error
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def started(here: Path, then: str, ignoring: str = "SIGUSR1") -> tuple[subprocess.Popen[str], int]:
    """The command with a client that is there, and the client's process id."""
    script = f"import os, sys, signal; signal.signal(signal.{ignoring}, signal.SIG_IGN); "
    script += f"print(os.getpid(), file=sys.stderr, flush=True); {then}"
    harness = subprocess.Popen(
        [sys.executable, "-m", "mockcentral", "run", "--scenario", "tiny.yaml", "--", sys.executable, "-c", script],
        cwd=here,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert harness.stderr is not None
    line = harness.stderr.readline()
    return harness, int(line.removeprefix("tiny| "))
