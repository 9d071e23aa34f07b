"""No signal is missed, whenever it comes and whichever thread gets it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from mockcentral.signals import EXIT_CODES, Signals

needs_hangup = pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="nobody hangs up here")
ENDING = """
import os, signal, sys
from mockcentral import signals
signals.TWICE = float(sys.argv[1])
with signals.Signals() as waiting:
    os.kill(os.getpid(), signal.{name})
    os.kill(os.getpid(), signal.{name})
    code = waiting.wait()
os.kill(os.getpid(), signal.{name})
print(code)
"""


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    made = Signals()
    yield made
    made.close()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), pytest.param("SIGHUP", 143, marks=needs_hangup)],
)
def test_one_that_came_before_anybody_waited_is_found(signals: Signals, number: Any, code: int) -> None:
    os.kill(os.getpid(), getattr(signal, number) if isinstance(number, str) else number)
    assert signals.wait() == code


@needs_hangup
def test_a_hangup_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup leaves it
    try:
        with Signals():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def end(name: str, twice: float) -> subprocess.CompletedProcess[str]:
    """What a process comes to that gets a signal three times."""
    command = [sys.executable, "-c", ENDING.format(name=name), str(twice)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", "130"), ("SIGTERM", "143")])
def test_one_that_is_sent_twice_at_once_as_timeout_does_is_one(name: str, code: str) -> None:
    done = end(name, 60.0)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, code, "")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_second_one_that_comes_later_ends_the_process(name: str) -> None:
    assert end(name, -1.0).returncode == -signal.Signals[name].value


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals for a thread are POSIX")
def test_one_that_another_thread_got_wakes_who_waits(signals: Signals) -> None:
    """The main thread is not interrupted then: Python would run the handler only when its wait is over."""
    killed = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    timer = threading.Timer(0.05, killed.start)  # not a barrier: sooner or later, it has to be found
    timer.start()
    assert signals.wait() == 143
    timer.join()
    killed.join()
