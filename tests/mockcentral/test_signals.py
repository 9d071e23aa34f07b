"""No signal is missed, whenever it comes and whichever thread gets it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from mockcentral.signals import EXIT_CODES, Signals


@pytest.fixture
def signals() -> Iterator[Signals]:
    before = {number: signal.getsignal(number) for number in EXIT_CODES}
    made = Signals()
    yield made
    made.close()
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_one_that_came_before_anybody_waited_is_found(signals: Signals, number: signal.Signals, code: int) -> None:
    os.kill(os.getpid(), number)
    assert signals.wait() == code


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="signals for a thread are POSIX")
def test_one_that_another_thread_got_wakes_who_waits(signals: Signals) -> None:
    """The main thread is not interrupted then: Python would run the handler only when its wait is over."""
    killed = threading.Thread(target=lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM))
    timer = threading.Timer(0.05, killed.start)  # not a barrier: sooner or later, it has to be found
    timer.start()
    assert signals.wait() == 143
    timer.join()
    killed.join()
