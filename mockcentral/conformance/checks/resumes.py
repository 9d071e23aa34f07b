"""After a reconnect the client gets what was published while it was away."""

from __future__ import annotations

from itertools import pairwise

from mockcentral.conformance.checks.evidence import Attempt, Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, not_applicable, passed, several, unknown
from mockcentral.scenario.expectations import Resumes


def judge(evidence: Evidence, settings: Resumes) -> Finding:
    """For each stream after one that ended: ask history from before the first event missed, or get it all otherwise.

    Asking is enough here even if the answer was an error; whether everything came in the end is `complete`'s business.
    What a 410 told the client it cannot get need not be asked for again.
    """
    reconnects = 0
    asked = 0
    behind: list[Record] = []
    ended = False
    lost: set[int] = set()
    doubtful: list[Record] = []
    for topic in evidence.subscriptions:
        calls = [
            attempt for attempt in evidence.attempts if attempt.topic == topic and attempt.opened["n"] < evidence.stop_n
        ]
        ended = ended or any(call.end is not None and call.end["n"] < evidence.stop_n for call in calls)
        owed = evidence.owed(topic)
        holdings = evidence.holdings(topic)
        absent = {
            place: line
            for place, line in owed.items()
            if place not in holdings.had and not evidence.perhaps_gone(topic, line) and not evidence.out_of_reach(line)
        }
        for old, new in pairwise(calls):
            if old.end is None:
                continue
            reconnects += 1
            missed = {place for place, line in absent.items() if line["n"] < new.opened["n"]}
            first = absent[min(missed)]["sequence"] if missed else None
            if _asked_from(evidence, topic, old, first):
                asked += 1
            elif missed - holdings.unknown:
                behind.append(new.opened)
                lost |= {absent[place]["sequence"] for place in missed - holdings.unknown}
            elif missed:
                doubtful.append(new.opened)
    if lost:
        return failed(
            f"history was not asked from far enough back, and these never came: {several(sorted(lost))}.", behind
        )
    if doubtful:
        return unknown(
            "The client never asked for history, and what it got of broken streams cannot be told.", doubtful
        )
    if not evidence.subscriptions:
        return unknown("The client never subscribed to a topic.")
    if not reconnects and any(evidence.let_go(topic) for topic in evidence.subscriptions):
        return not_applicable("The client ended when it was told that its topic is gone.")
    if not reconnects and ended:
        return unknown("A stream ended, and no other of its topic followed.")
    if not reconnects:
        return passed("No stream was broken.")
    return passed(f"{reconnects} times, {asked} of them with a question to history.")


def _asked_from(evidence: Evidence, topic: str, old: Attempt, first_missed: int | None) -> bool:
    """Whether history was asked after the old stream ended, from no later than the first event that is missing."""
    assert old.end is not None
    return any(
        line["n"] > old.end["n"]
        and evidence.key(line) == topic
        and line.get("after") is not None
        and (first_missed is None or line["after"] < first_missed)
        for line in evidence.harvests
    )
