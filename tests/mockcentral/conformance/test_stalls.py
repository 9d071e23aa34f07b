"""A verdict about time that was taken while the machine stood still is inconclusive, and says so."""

from __future__ import annotations

from typing import Any

import pytest

from mockcentral.conformance.checks.registry import CHECKS, by_name
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.scenario.expectations import BacksOff, NoticesDeadPeer, Ordered, Reconnects
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


def test_a_pass_is_not_doubted_where_a_stall_can_only_hurt() -> None:
    assert reconnects(opened(0, 1), ended(1, 1), stall(5, 2.0), opened(9, 2)).outcome is Outcome.PASS
    assert reconnects(opened(0, 1), ended(1, 1), stall(1.0, 9.5), opened(10.5, 2)).outcome is Outcome.PASS


def test_attempts_that_a_stall_held_up_are_not_spaced_out_by_the_client() -> None:
    settings = BacksOff(at_most=3, within=Duration(1.0))
    held_up = [line for n in range(1, 9) for line in (opened(n, n), stall(n + 0.95, 0.9))]
    verdict = by_name("backs_off").judge(journal(*held_up), settings)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert (
        "The machine lost 6.3 s meanwhile (the fake itself was late), and a pass may be due to that" in verdict.message
    )
    assert "never more than 2 attempts within 1 s" in verdict.message
    assert set(verdict.evidence) <= {line["n"] for line in journal(*held_up) if line["kind"] == "clock.stall"}


@pytest.mark.parametrize(
    "stalls",
    [
        (),
        (stall(0.9, 0.9),),  # before
        (stall(20.0, 0.9),),  # after
        (stall(3.95, 0.9), stall(6.95, 0.9)),  # now and then: four in a second are never among them
    ],
)
def test_attempts_spaced_out_for_longer_than_the_stalls_are_the_clients_merit(stalls: Any) -> None:
    settings = BacksOff(at_most=3, within=Duration(1.0))
    lines = sorted([*(opened(n, n) for n in range(1, 9)), *stalls], key=lambda line: line[0])
    assert by_name("backs_off").judge(journal(*lines), settings).outcome is Outcome.PASS


def left(t: float, attempt: int) -> tuple[float, str, dict[str, Any]]:
    return (t, "stream.end", {"attempt": attempt, "code": "CANCELLED", "by": "client"})


@pytest.mark.parametrize(
    ("at", "lost", "outcome"),
    [
        (3.0, 2.0, Outcome.INCONCLUSIVE),
        (2.95, 2.0, Outcome.INCONCLUSIVE),  # the loop's timer rang first
        (3.0, 0.5, Outcome.PASS),
        (2.0, 2.0, Outcome.PASS),  # long over
        (8.0, 2.0, Outcome.PASS),
    ],
)
def test_a_client_whose_leaving_was_seen_late_may_have_paused_for_longer(
    at: float, lost: float, outcome: Outcome
) -> None:
    lines = sorted([opened(0, 1), left(3.0, 1), stall(at, lost), opened(12.0, 2)], key=lambda line: line[0])
    verdict = reconnects(*lines)
    assert verdict.outcome is outcome
    if outcome is Outcome.INCONCLUSIVE:
        assert f"lost {lost:g} s" in verdict.message


@pytest.mark.parametrize(("lost", "outcome"), [(2.0, Outcome.INCONCLUSIVE), (0.5, Outcome.PASS)])
def test_a_ping_that_was_seen_late_may_have_waited_for_longer(lost: float, outcome: Outcome) -> None:
    settings = NoticesDeadPeer(within=Duration(10.0))
    withheld = (3.0, "ping.withheld", {"conn": 1, "nth": 1})
    gone = (12.0, "conn.close", {"conn": 1, "by": "client"})
    lines = journal(opened(0, 1), withheld, stall(3.0, lost), gone)
    assert by_name("notices_dead_peer").judge(lines, settings).outcome is outcome


def test_where_the_fake_itself_fell_silent_a_stall_can_only_hurt() -> None:
    settings = NoticesDeadPeer(within=Duration(10.0))
    armed = (0.5, "fault.armed", {"fault": "x", "do": "blackhole"})
    hole = (3.0, "fault.on_wire", {"fault": "x", "conn": 1})
    gone = (12.0, "conn.close", {"conn": 1, "by": "client"})
    lines = journal(opened(0, 1), armed, hole, stall(3.0, 2.0), gone)
    assert by_name("notices_dead_peer").judge(lines, settings).outcome is Outcome.PASS


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
