"""Random journals of a faultless client stay faultless; one random corruption is always found."""

from __future__ import annotations

from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mockcentral.conformance.judge import ALWAYS, judge
from mockcentral.conformance.verdict import Outcome
from mockcentral.scenario.schema import Scenario
from tests.mockcentral.conformance.journals import OTHER, TOPIC, Tape, numbered

SCENARIO = Scenario(scenario="test", about="test")
Lines = list[dict[str, Any]]


@st.composite
def faultless(draw: st.DrawFn) -> Lines:
    """Events of our topic, of another and of none; streams that break; a client that dies and begins again a little
    before where it was. It applies what is ours, once a life and in order."""
    tape = Tape().watch(1)
    attempt, sequence = 1, draw(st.integers(1, 10**6))
    owed: list[int] = []
    applied = 0  # how many of `owed`
    for _ in range(draw(st.integers(1, 30))):
        match draw(st.sampled_from(["publish", "publish", "foreign", "apply", "apply", "break", "crash"])):
            case "publish":
                sequence += draw(st.integers(1, 50))
                tape.publish(sequence, topics=draw(st.sampled_from([[TOPIC], [TOPIC, OTHER]])))
                owed.append(sequence)
            case "foreign":
                sequence += draw(st.integers(1, 50))
                tape.publish(sequence, topics=draw(st.sampled_from([[], [OTHER]])))
            case "apply" if applied < len(owed):
                tape.apply(owed[applied])
                applied += 1
            case "break":
                attempt += 1
                tape.end(attempt - 1).watch(attempt)
            case "crash":
                tape.exit(1)
                attempt += 1
                tape.watch(attempt)
                applied = draw(st.integers(max(0, applied - 3), applied))
    tape.apply(*owed[applied:])
    assume(owed)
    return tape.lines


def outcomes(lines: Lines) -> dict[str, Outcome]:
    return {verdict.check: verdict.outcome for verdict in judge(lines, SCENARIO, ALWAYS)}


def places(lines: Lines) -> list[int]:
    return [place for place, line in enumerate(lines) if line["kind"] == "client.applied"]


def life(lines: Lines, place: int) -> int:
    return sum(line["kind"] == "client.exit" for line in lines[:place])


@settings(deadline=None)  # two cores, shared
@given(faultless())
def test_a_faultless_client_passes(lines: Lines) -> None:
    assert set(outcomes(lines).values()) == {Outcome.PASS}


@settings(deadline=None)  # two cores, shared
@given(faultless(), st.data())
def test_one_dropped_event_is_found(lines: Lines, data: st.DataObject) -> None:
    gone = data.draw(st.sampled_from(places(lines)))
    sequence = lines[gone]["sequence"]
    left = [line for line in lines if line["kind"] != "client.applied" or line["sequence"] != sequence]
    # A client that applied nothing at all said nothing: it is judged by the wire, and the wire handed out nothing.
    assert outcomes(numbered(left))["complete"] is Outcome.FAIL


@settings(deadline=None)  # two cores, shared
@given(faultless(), st.data())
def test_one_repeated_event_is_found(lines: Lines, data: st.DataObject) -> None:
    first = data.draw(st.sampled_from(places(lines)))
    later = [place for place in range(first, len(lines)) if life(lines, place + 1) == life(lines, first)]
    second = data.draw(st.sampled_from(later))
    found = outcomes(numbered([*lines[: second + 1], lines[first], *lines[second + 1 :]]))
    assert found == {
        "ordered": Outcome.PASS,
        "unique": Outcome.FAIL,
        "complete": Outcome.PASS,
        "filterable": Outcome.PASS,
    }


@settings(deadline=None)  # two cores, shared
@given(faultless(), st.data())
def test_two_swapped_events_are_found(lines: Lines, data: st.DataObject) -> None:
    pairs = [(a, b) for a in places(lines) for b in places(lines) if a < b and life(lines, a) == life(lines, b)]
    assume(pairs)
    a, b = data.draw(st.sampled_from(pairs))
    swapped = list(lines)
    swapped[a], swapped[b] = swapped[b], swapped[a]
    found = outcomes(numbered(swapped))
    assert found["ordered"] is Outcome.FAIL
    assert found["unique"] is found["complete"] is Outcome.PASS


@settings(deadline=None)  # two cores, shared
@given(faultless(), st.data())
def test_one_foreign_event_is_found(lines: Lines, data: st.DataObject) -> None:
    at = data.draw(st.integers(1, len(lines)))
    foreign = [line for line in lines if line["kind"] == "event.published" and TOPIC not in line["topics"]]
    sequence = data.draw(st.sampled_from([line["sequence"] for line in foreign] or [0]))
    line = Tape().apply(sequence).lines[-1]
    found = outcomes(numbered([*lines[:at], line, *lines[at:]]))
    assert found["filterable"] is Outcome.FAIL
    assert found["complete"] is Outcome.PASS
