"""A verdict about time that was taken while the machine stood still is inconclusive, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral.conformance.checks.registry import CHECKS, by_name
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.scenario.expectations import BacksOff, Ordered, Reconnects
from mockcentral.scenario.types import Duration

TOPIC = "/management/v1/watchtopics/t"


def journal(*lines: tuple[float, str, dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"n": n, "t": t, "kind": kind, **fields} for n, (t, kind, fields) in enumerate(lines, 1)]


def opened(t: float, attempt: int) -> tuple[float, str, dict[str, Any]]:
    return (t, "stream.open", {"attempt": attempt, "conn": attempt})


def ended(t: float, attempt: int) -> tuple[float, str, dict[str, Any]]:
    return (t, "stream.end", {"attempt": attempt, "code": "UNAVAILABLE", "by": "server"})


def stall(t: float, lost: float, cause: str = "lag") -> tuple[float, str, dict[str, Any]]:
    return (t, "clock.stall", {"cause": cause, "lost": lost, "since": lost})


def reconnects(*lines: tuple[float, str, dict[str, Any]]) -> Verdict:
    return by_name("reconnects").judge(journal(*lines), Reconnects(within=Duration(10.0)))


def test_what_the_machine_lost_may_be_what_the_check_found() -> None:
    verdict = reconnects(opened(0, 1), ended(1, 1), stall(5, 2.0), opened(12.5, 2))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "The machine lost 2 s meanwhile (the fake itself was late)" in verdict.message
    assert "the longest pause was 11.5 s" in verdict.message
    assert verdict.evidence == (3,)


@pytest.mark.parametrize(
    "lines",
    [
        (opened(0, 1), ended(1, 1), stall(5, 0.3), opened(12.5, 2)),  # too short to matter
        (opened(0, 1), stall(0.5, 2.0), ended(1, 1), opened(12.5, 2)),  # before
        (opened(0, 1), ended(1, 1), opened(12.5, 2), stall(20, 2.0)),  # after
        (opened(0, 1), ended(1, 1), opened(12.5, 2)),
    ],
)
def test_a_stall_that_cannot_have_caused_it_excuses_nothing(lines: Any) -> None:
    assert reconnects(*lines).outcome is Outcome.FAIL


def test_a_wait_until_the_end_of_the_run_is_doubted_too() -> None:
    verdict = reconnects(opened(0, 1), ended(1, 1), stall(8, 3.0, "steal"), (12.0, "world.tick", {}))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "other machines took its processors" in verdict.message


def test_a_pass_is_not_doubted() -> None:
    assert reconnects(opened(0, 1), ended(1, 1), stall(5, 2.0), opened(9, 2)).outcome is Outcome.PASS


def test_attempts_seen_together_after_a_stall_are_no_hot_loop() -> None:
    settings = BacksOff(at_most=3, within=Duration(1.0))
    burst = [opened(2.0 + 0.3 * n, n) for n in range(1, 5)]
    assert by_name("backs_off").judge(journal(*burst), settings).outcome is Outcome.FAIL
    late = journal(*burst[:2], stall(2.7, 0.4), *burst[2:])
    assert by_name("backs_off").judge(late, settings).outcome is Outcome.INCONCLUSIVE


def test_what_is_not_about_time_is_judged_as_ever() -> None:
    timed = {check.name for check in CHECKS if check.timed}
    assert timed == {"reconnects", "refreshes_token", "answers_pings", "notices_dead_peer", "backs_off"}
    applied = [(1.0, "client.applied", {"sequence": s, "topic": TOPIC}) for s in (2, 1)]
    lines = journal(stall(0.5, 100.0), *applied, stall(1.5, 100.0))
    assert by_name("ordered").judge(lines, Ordered()).outcome is Outcome.FAIL
