"""What is imported ahead is imported when a fake has started, not while somebody waits for it."""

from __future__ import annotations

import queue
import sys
import threading

import pytest

from mockcentral.servers import portal


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> queue.Queue[str]:
    """The modules that were imported ahead, as outside of pytest."""
    modules: queue.Queue[str] = queue.Queue()
    monkeypatch.setattr(portal, "_import", modules.put)
    monkeypatch.delitem(sys.modules, "_pytest.assertion.rewrite")
    return modules


def test_a_module_is_imported_ahead_by_a_thread(imported: queue.Queue[str]) -> None:
    portal.import_ahead("a")
    assert imported.get(timeout=10) == "a"


def test_the_thread_that_imports_is_waited_for_also_when_a_daemon_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that ended while it made a key in OpenSSL was aborted: `FATAL: exception not rethrown`."""
    asked: queue.Queue[bool] = queue.Queue()
    monkeypatch.setattr(portal, "_import", lambda module: asked.put(threading.current_thread().daemon))
    monkeypatch.delitem(sys.modules, "_pytest.assertion.rewrite")
    threading.Thread(target=portal.import_ahead, args=("a",), daemon=True).start()
    assert asked.get(timeout=10) is False


def test_while_a_fake_starts_imports_wait_and_come_in_the_end(imported: queue.Queue[str]) -> None:
    with portal.import_later():
        portal.import_ahead("a")
        portal.import_ahead("b")
        assert imported.empty()
    assert {imported.get(timeout=10), imported.get(timeout=10)} == {"a", "b"}
    portal.import_ahead("c")
    assert imported.get(timeout=10) == "c"


def test_a_start_that_fails_holds_nothing_up(imported: queue.Queue[str]) -> None:
    def start() -> None:
        with portal.import_later():
            portal.import_ahead("a")
            raise OSError("taken")

    with pytest.raises(OSError, match="taken"):
        start()
    assert imported.get(timeout=10) == "a"
