"""What runs come to: the status of a case, the exit code, the three reports."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from mockcentral.conformance.known_failing import Known
from mockcentral.conformance.reports import json_report, junit, terminal
from mockcentral.conformance.results import Case, Run, Status, cases_of, exit_code
from mockcentral.conformance.verdict import Outcome, Verdict

PASS, FAIL, UNKNOWN, SKIP = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.SKIPPED
KNOWN = (Known("flaky::complete", "issue 12", 1),)


def run(*outcomes: Outcome, seed: int = 7, error: str | None = None, names: str = "complete ordered unique") -> Run:
    """A run of flaky with a verdict for each name."""
    verdicts = tuple(
        Verdict(name, outcome, "MUST", f"{name} says {outcome}.", (3,), "protocol 3.3")
        for name, outcome in zip(names.split(), outcomes, strict=False)
    )
    line = {"v": 1, "n": 3, "t": 1.5, "world": "default", "kind": "event.published", "sequence": 100003}
    replay = f"python -m mockcentral run --scenario flaky --seed {seed} -- client"
    return Run("flaky", seed, 1.0, replay, 2.5, verdicts, ("a note",), {3: line}, error)


def statuses(cases: list[Case]) -> list[Status]:
    return [case.status for case in cases]


@pytest.mark.parametrize(
    ("outcomes", "require", "status", "passes"),
    [
        ([PASS], 1, Status.PASSED, 1),
        ([FAIL], 1, Status.FAILED, 0),
        ([UNKNOWN], 1, Status.INCONCLUSIVE, 0),
        ([SKIP], 1, Status.SKIPPED, 0),
        ([PASS, PASS, FAIL], 3, Status.FAILED, 2),
        ([PASS, PASS, FAIL], 2, Status.PASSED, 2),
        ([PASS, UNKNOWN, FAIL], 2, Status.INCONCLUSIVE, 1),
        ([PASS, UNKNOWN, FAIL], 3, Status.FAILED, 1),
        ([PASS, SKIP], 2, Status.PASSED, 1),
        ([SKIP, FAIL], 1, Status.SKIPPED, 0),
        ([SKIP, SKIP], 2, Status.SKIPPED, 0),
        ([UNKNOWN, UNKNOWN, PASS], 1, Status.PASSED, 1),
    ],
)
def test_enough_runs_have_to_pass(outcomes: list[Outcome], require: int, status: Status, passes: int) -> None:
    (case,) = cases_of([run(outcome, seed=seed) for seed, outcome in enumerate(outcomes)], require=require)
    assert (case.status, case.passes, case.runs) == (status, passes, len(outcomes))


def test_a_known_failure_is_expected_and_a_known_failure_that_passes_is_stale() -> None:
    assert statuses(cases_of([run(FAIL)], known=KNOWN)) == [Status.KNOWN]
    assert statuses(cases_of([run(PASS)], known=KNOWN)) == [Status.STALE]
    assert statuses(cases_of([run(UNKNOWN)], known=KNOWN)) == [Status.INCONCLUSIVE]
    assert statuses(cases_of([run(SKIP)], known=KNOWN)) == [Status.SKIPPED]
    assert statuses(cases_of([run(PASS, FAIL)], known=KNOWN)) == [Status.STALE, Status.FAILED]


@pytest.mark.parametrize(
    ("outcomes", "known", "code"),
    [
        ([PASS, SKIP], (), 0),
        ([FAIL, PASS], KNOWN, 0),
        ([FAIL, PASS], (), 1),
        ([PASS, PASS], KNOWN, 1),
        ([FAIL, UNKNOWN], (), 1),
        ([FAIL, UNKNOWN], KNOWN, 4),
        ([PASS, UNKNOWN], (), 4),
        ([SKIP, SKIP], (), 0),
        ([], (), 5),
    ],
)
def test_the_exit_code_says_the_worst(outcomes: list[Outcome], known: tuple[Known, ...], code: int) -> None:
    assert exit_code(cases_of([run(*outcomes)], known=known)) == code


def test_an_error_of_the_harness_is_neither_pass_nor_failure() -> None:
    runs = [run(FAIL), run(error="Traceback: boom")]
    assert exit_code(cases_of(runs), runs) == 3
    assert exit_code(cases_of(runs[:1]), runs[:1]) == 1


# ------------------------------------------------------------------------------------------ reports
def all_kinds() -> tuple[list[Case], list[Run]]:
    runs = [run(FAIL, PASS, UNKNOWN), run(PASS, PASS, SKIP, seed=8), run(seed=9, error="Traceback:\nboom")]
    return cases_of(runs, require=2), runs


def test_the_terminal_report_shows_the_proof_and_how_to_replay_it() -> None:
    runs = [run(FAIL, PASS)]
    text = terminal.render(cases_of(runs), runs)
    assert "flaky  (seed 7, 2.5 s)" in text
    assert "FAILED  complete  complete says fail." in text
    assert 'event.published  {"sequence": 100003}' in text
    assert "replay: python -m mockcentral run --scenario flaky --seed 7 -- client" in text
    assert "ok      ordered" in text
    assert "note: a note" in text
    assert text.endswith("1 scenario, 2 checks: 1 passed, 1 failed")


def test_a_message_of_several_lines_keeps_them() -> None:
    runs = [Run("flaky", 7, 1.0, "replay", 0.0, (Verdict("stays_up", FAIL, "MUST", "It died:\n  last words"),))]
    assert "  FAILED  stays_up  It died:\n        last words\n" in terminal.render(cases_of(runs), runs)


def test_a_good_run_is_short() -> None:
    runs = [run(PASS, PASS)]
    text = terminal.render(cases_of(runs), runs)
    assert "replay" not in text
    assert "100003" not in text


def test_repeats_are_counted_in_the_terminal_report() -> None:
    cases, runs = all_kinds()
    text = terminal.render(cases, runs)
    assert "seeds 7 to 9" in text
    assert "(1 of 2 runs passed)" in text
    assert "ERROR seed 9: boom" in text
    assert "1 not run: error of the harness" in text


def test_known_and_stale_cases_say_why() -> None:
    for outcome, words in ((FAIL, "Known: issue 12"), (PASS, "listed as known failing (issue 12): remove the entry")):
        runs = [run(outcome)]
        assert words in terminal.render(cases_of(runs, known=KNOWN), runs)


def test_more_proof_than_one_can_read_is_named_by_number() -> None:
    verdict = Verdict("complete", FAIL, "MUST", "x", tuple(range(1, 9)))
    lines = {n: {"n": n, "t": 0.0, "kind": "k"} for n in range(1, 9)}
    runs = [Run("flaky", 7, 1.0, "replay", 0.0, (verdict,), (), lines)]
    text = terminal.render(cases_of(runs), runs)
    assert "and lines 6, 7, 8 of the journal" in text


def test_the_junit_report_is_a_suite_a_scenario_and_a_case_a_check() -> None:
    runs = [run(FAIL, PASS, UNKNOWN)]
    root = ElementTree.fromstring(junit.render(cases_of(runs), runs).encode())
    (suite,) = root.findall("testsuite")
    assert {key: suite.get(key) for key in ("name", "tests", "failures", "errors", "skipped")} == {
        "name": "flaky",
        "tests": "3",
        "failures": "1",
        "errors": "0",
        "skipped": "1",
    }
    properties = {entry.get("name"): entry.get("value") for entry in suite.iter("property")}
    assert properties == {"seed": "7", "replay": runs[0].replay, "time_scale": "1"}
    complete, ordered, unique = suite.findall("testcase")
    assert complete.get("classname") == "mockcentral.flaky"
    failure = complete.find("failure")
    assert failure is not None
    assert failure.get("message") == "complete says fail."
    assert "100003" in (failure.text or "")
    assert "protocol 3.3" in (failure.text or "")
    assert runs[0].replay in (failure.text or "")
    assert len(ordered) == 0
    skipped = unique.find("skipped")
    assert skipped is not None
    assert "inconclusive" in str(skipped.get("message"))


def test_the_junit_report_tells_known_stale_flaky_and_broken_apart() -> None:
    known = [run(FAIL)]
    text = junit.render(cases_of(known, known=KNOWN), known)
    assert "<skipped" in text
    assert "known failing: issue 12" in text
    stale = [run(PASS)]
    assert 'type="stale"' in junit.render(cases_of(stale, known=KNOWN), stale)
    flaky = [run(FAIL), run(PASS, seed=8)]
    root = ElementTree.fromstring(junit.render(cases_of(flaky, require=1), flaky).encode())
    assert root.find(".//flakyFailure") is not None
    assert root.find(".//failure") is None
    broken = [run(error="Traceback:\nboom")]
    root = ElementTree.fromstring(junit.render(cases_of(broken), broken).encode())
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("errors"), suite.get("failures"), suite.get("tests")) == ("1", "0", "1")
    assert root.find(".//error") is not None


def test_the_junit_report_is_xml_whatever_a_client_prints() -> None:
    verdict = Verdict("complete", FAIL, "MUST", "bad \x00 \x1b[31m ]]> <&\ufffe \ud800 text")
    runs = [Run("flaky", 7, 1.0, "replay \x07", 0.0, (verdict,))]
    root = ElementTree.fromstring(junit.render(cases_of(runs), runs).encode())
    failure = root.find(".//failure")
    assert failure is not None
    assert "]]> <&" in str(failure.get("message"))


def test_the_json_report_has_everything() -> None:
    cases, runs = all_kinds()
    report = json.loads(json_report.render(cases, runs))
    assert report["v"] == 1
    assert report["exit_code"] == 3
    assert report["counts"] == {"failed": 1, "passed": 1, "inconclusive": 1}
    assert [one["seed"] for one in report["runs"]] == [7, 8, 9]
    assert report["runs"][2]["error"] == "Traceback:\nboom"
    complete = report["cases"][0]
    assert complete["id"] == "flaky::complete"
    assert (complete["status"], complete["runs"], complete["passes"]) == ("failed", 2, 1)
    assert complete["evidence"][0]["sequence"] == 100003
    assert complete["reference"] == "protocol 3.3"
