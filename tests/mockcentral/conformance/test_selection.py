"""Which cases a pattern means, and which failures are known."""

from __future__ import annotations

import pytest

from mockcentral.conformance.errors import UsageError
from mockcentral.conformance.known_failing import check_patterns, read, reason_for
from mockcentral.conformance.selection import patterns_of, select

CASES = ["calm::ordered", "calm::complete", "flaky::ordered", "flaky::complete", "flaky::resumes"]


@pytest.mark.parametrize(
    ("run", "skip", "chosen"),
    [
        ([], [], CASES),
        (["flaky"], [], CASES[2:]),
        (["f*"], [], CASES[2:]),
        (["*::ordered"], [], ["calm::ordered", "flaky::ordered"]),
        (["calm", "*::resumes"], [], ["calm::ordered", "calm::complete", "flaky::resumes"]),
        ([], ["calm"], CASES[2:]),
        (["flaky"], ["*::ordered"], ["flaky::complete", "flaky::resumes"]),
        (["flaky"], ["flaky"], []),
        (["*"], [], CASES),
    ],
)
def test_patterns_choose_cases(run: list[str], skip: list[str], chosen: list[str]) -> None:
    assert select(CASES, run, skip) == chosen


@pytest.mark.parametrize(("run", "skip", "flag"), [(["flakey"], [], "--run flakey"), ([], ["*::order"], "--skip")])
def test_a_pattern_that_matches_nothing_is_an_error(run: list[str], skip: list[str], flag: str) -> None:
    with pytest.raises(UsageError) as caught:
        select(CASES, run, skip)
    assert flag in str(caught.value)
    assert "calm, flaky" in str(caught.value)


def test_a_pattern_file_has_one_a_line_and_comments() -> None:
    assert patterns_of("calm\n# nothing\n\n flaky::*  # all\n") == ["calm", "flaky::*"]


def test_a_known_failing_file_is_read() -> None:
    known = read("# ours\n\nflaky::complete   # issue 12\ncalm::*# slow # very\n", "kf.txt")
    assert [(entry.pattern, entry.reason, entry.line) for entry in known] == [
        ("flaky::complete", "issue 12", 3),
        ("calm::*", "slow # very", 4),
    ]
    assert reason_for("flaky::complete", known) == "issue 12"
    assert reason_for("calm::ordered", known) == "slow # very"
    assert reason_for("flaky::ordered", known) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("flaky::complete\n", "kf.txt:1: flaky::complete needs a reason"),
        ("\nflaky # all of it\n", "kf.txt:2: 'flaky' is no case: write scenario::check"),
        ("flaky::a flaky::b # two\n", "kf.txt:1:"),
    ],
)
def test_a_line_that_is_no_entry_is_an_error_with_its_place(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        read(text, "kf.txt")
    assert str(caught.value).startswith(words)


def test_an_entry_that_matches_no_case_there_could_be_is_an_error() -> None:
    known = read("flaky::complete # a\nflaky::compleat # b\n", "kf.txt")
    with pytest.raises(UsageError, match=r"kf\.txt:2: flaky::compleat matches no check"):
        check_patterns(known, CASES, "kf.txt")
    check_patterns(known[:1], CASES, "kf.txt")
