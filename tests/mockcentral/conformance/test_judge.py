"""Which checks a run is judged by, with which bounds, and whether the run proves anything."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from mockcentral.conformance.judge import expected, judge, patience
from mockcentral.conformance.verdict import Outcome
from mockcentral.scenario.expectations import BacksOff, Complete, NoticesDeadPeer, Reconnects
from mockcentral.scenario.load import parse_fault
from mockcentral.scenario.schema import AbortAfter, Attempt, FaultRule, Scenario
from mockcentral.scenario.types import Code, Duration
from tests.mockcentral.conformance.journals import Tape

PLAIN = Scenario(scenario="test", about="test")
RECEIPTS = "faults_reached_the_wire"


def test_every_run_is_judged_by_the_four_of_every_watch_and_by_its_receipts() -> None:
    assert expected(PLAIN) == ("ordered", "unique", "complete", "filterable", RECEIPTS)


def test_a_scenario_adds_its_own_checks_once() -> None:
    scenario = replace(PLAIN, expect=(Complete(), Reconnects(), BacksOff()))
    assert expected(scenario) == ("ordered", "unique", "complete", "filterable", "reconnects", "backs_off", RECEIPTS)
    names = [verdict.check for verdict in judge(Tape().lines, scenario)]
    assert names == list(expected(scenario))


def test_bounds_come_from_the_scenario() -> None:
    journal = Tape().watch(1).end(1).wait(3).watch(2).lines
    strict = replace(PLAIN, expect=(Reconnects(within=Duration(1.0)),))
    assert judge(journal, strict, ["reconnects"])[0].outcome is Outcome.FAIL
    assert judge(journal, PLAIN, ["reconnects"])[0].outcome is Outcome.PASS, "without a bound the default holds"


@pytest.mark.parametrize(
    ("tape", "outcome"),
    [
        (Tape().watch(1).end(1).publish(1).wait(4).status(), Outcome.INCONCLUSIVE),
        (Tape().watch(1).end(1).publish(1).wait(4).stop().exit(0), Outcome.INCONCLUSIVE),
        (Tape().watch(1).end(1).publish(1).wait(6).status(), Outcome.FAIL),
        (Tape().watch(1).end(1).publish(1).wait(1).exit(0).stop(), Outcome.FAIL),
        (Tape().watch(1).end(1).publish(1).wait(4).watch(2), Outcome.FAIL),
        (Tape().watch(1).publish(1).send(1, 1).end(1, graceful=True).wait(4).status(), Outcome.FAIL),
        (Tape().watch(1).end(1).publish(1).wait(4).harvest(1).status(), Outcome.FAIL),
    ],
    ids=["not due", "not due at the stop", "overdue", "exited", "back", "sent before", "read history"],
)
def test_an_event_is_not_missing_before_the_next_stream_is_due(tape: Tape, outcome: Outcome) -> None:
    scenario = replace(PLAIN, expect=(Reconnects(within=Duration(5.0)),))
    assert judge(tape.lines, scenario, ["complete"])[0].outcome is outcome


@pytest.mark.parametrize(
    ("times", "asked", "waited", "outcome"),
    [
        (2, (1.0, 2.0), 4.0, Outcome.INCONCLUSIVE),
        (2, (1.0, 2.0), 6.0, Outcome.FAIL),
        (2, (1.0, 8.0), 15.0, Outcome.INCONCLUSIVE),
        (2, (1.0, 8.0), 18.0, Outcome.FAIL),
        (3, (1.0, 2.0), 60.0, Outcome.INCONCLUSIVE),
        (None, (1.0, 2.0), 60.0, Outcome.INCONCLUSIVE),
    ],
    ids=["not due", "gave up", "its pauses grow", "gave up slowly", "ill once more", "ill for ever"],
)
def test_who_gives_up_asking_history_when_it_would_answer_again_has_missed_an_event(
    times: int | None, asked: tuple[float, ...], waited: float, outcome: Outcome
) -> None:
    rule = parse_fault({"name": "busy", "on": "harvest", "do": {"http_error": {"status": 503}}, "times": times})
    scenario = replace(PLAIN, expect=(Reconnects(within=Duration(5.0)),), faults=(rule,))
    tape = Tape().watch(1).publish(1).send(1, 1).apply(1).fault("busy", "http_error", "armed").end(1)
    tape.publish(2).watch(2)
    for pause in asked:
        tape.wait(pause).fault("busy", "http_error", "triggered", "on_wire").harvest(1, status=503, spoiled=True)
    assert judge(tape.wait(waited).status().lines, scenario, ["complete"])[0].outcome is outcome


def test_who_was_told_how_long_to_wait_has_not_given_up_before() -> None:
    fault = {"http_error": {"status": 503, "retry_after": "30s"}}
    rule = parse_fault({"name": "busy", "on": "harvest", "do": fault, "times": 1})
    tape = Tape().watch(1).publish(1).send(1, 1).apply(1)
    tape.add("fault.armed", fault="busy", do="http_error", settings=plain_settings(rule))
    tape.end(1).publish(2).watch(2)
    tape.fault("busy", "http_error", "triggered", "on_wire").harvest(1, status=503, spoiled=True)
    scenario = replace(PLAIN, faults=(rule,))
    assert judge(tape.wait(25).status().lines, scenario, ["complete"])[0].outcome is Outcome.INCONCLUSIVE
    assert judge(tape.wait(10).status().lines, scenario, ["complete"])[0].outcome is Outcome.FAIL


def plain_settings(rule: FaultRule) -> dict[str, object]:
    """As a line of the journal has them."""
    return asdict(rule.do)


def test_what_is_overdue_shows_though_nothing_was_journaled_since() -> None:
    journal = Tape().watch(1).end(1).lines
    assert judge(journal, PLAIN, ["reconnects"])[0].outcome is Outcome.INCONCLUSIVE
    assert judge(journal, PLAIN, ["reconnects"], now=60.0)[0].outcome is Outcome.FAIL


def test_the_longest_bound_says_how_patient_to_be() -> None:
    assert patience(PLAIN) == 0.0
    assert patience(replace(PLAIN, expect=(Complete(), Reconnects(), NoticesDeadPeer()))) == 65.0


def test_an_unknown_check_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ValueError, match="no check `odered`; did you mean `ordered`"):
        judge([], PLAIN, ["odered"])
    with pytest.raises(ValueError, match="there are ordered, unique"):
        judge([], PLAIN, ["xyz"])


@pytest.mark.parametrize(
    ("stages", "outcome", "words"),
    [
        ((), Outcome.PASS, "No fault was planned"),
        (("armed", "triggered", "on_wire"), Outcome.PASS, "1 faults"),
        (("armed",), Outcome.INCONCLUSIVE, "never struck: cut"),
        (("armed", "triggered"), Outcome.INCONCLUSIVE, "never reached the wire: cut"),
        (("armed", "triggered", "triggered", "on_wire"), Outcome.PASS, "1 faults"),
    ],
)
def test_a_fault_that_did_not_happen_makes_the_run_inconclusive(
    stages: tuple[str, ...], outcome: Outcome, words: str
) -> None:
    verdict = judge(Tape().fault("cut", "reset", *stages).lines, PLAIN, [RECEIPTS])[0]
    assert verdict.outcome is outcome
    assert words in verdict.message
    assert bool(verdict.evidence) is (outcome is Outcome.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("tape", "outcome", "words"),
    [
        (Tape().watch(1), Outcome.INCONCLUSIVE, "planned for number 2, 3 did not happen"),
        (Tape().watch(1).end(1).watch(2).end(2, by="client"), Outcome.INCONCLUSIVE, "planned for number 2, 3 did"),
        (Tape().watch(1).watch(2).end(2).watch(3).end(3, "INTERNAL"), Outcome.INCONCLUSIVE, "planned for number 3 did"),
        (Tape().watch(1).watch(2).end(2).watch(3).end(3, "ABORTED"), Outcome.PASS, "3 attempts, each as planned"),
    ],
)
def test_attempts_that_did_not_go_as_planned_make_the_run_inconclusive(
    tape: Tape, outcome: Outcome, words: str
) -> None:
    plan = (Attempt(), Attempt(refuse=Code.UNAVAILABLE), Attempt(abort_after=AbortAfter(events=1, code=Code.ABORTED)))
    verdict = judge(tape.lines, replace(PLAIN, attempts=plan), [RECEIPTS])[0]
    assert verdict.outcome is outcome
    assert words in verdict.message


def test_a_noop_need_only_strike() -> None:
    struck = Tape().fault("mark", "noop", "armed", "triggered")
    [verdict] = judge(struck.lines, PLAIN, [RECEIPTS])
    assert (verdict.outcome, verdict.message) == (Outcome.PASS, "No fault was to reach the wire; mark struck.")
    [verdict] = judge(struck.fault("cut", "reset", "armed", "triggered", "on_wire").lines, PLAIN, [RECEIPTS])
    assert verdict.outcome is Outcome.PASS
    assert (
        verdict.message
        == "1 faults, each on the wire; the client gave no sign of cut, which may be right; mark struck."
    )
    [verdict] = judge(Tape().fault("mark", "noop", "armed").lines, PLAIN, [RECEIPTS])
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "never struck: mark" in verdict.message


def test_one_of_two_faults_is_not_enough() -> None:
    tape = Tape().fault("one", "reset", "armed", "triggered", "on_wire").fault("two", "close", "armed")
    verdict = judge(tape.lines, PLAIN, [RECEIPTS])[0]
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "two (on stream_open)" in verdict.message
    assert "one" not in verdict.message


def test_a_verdict_is_json() -> None:
    import json

    verdict = judge(Tape().watch(1).publish(1, 2).apply(2).lines, PLAIN, ["complete"])[0]
    assert json.loads(json.dumps(verdict.as_dict())) == {
        "check": "complete",
        "outcome": "fail",
        "level": "MUST",
        "message": verdict.message,
        "evidence": [4],
        "reference": "protocol 7.1 C17, C28",
    }
