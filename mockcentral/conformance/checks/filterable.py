"""Only events of the watched topics are applied."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Evidence, topics_of
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, several, unknown
from mockcentral.scenario.expectations import Filterable


def judge(evidence: Evidence, settings: Filterable) -> Finding:
    """An applied event has to be one that was published, under its id, for a topic the client watches or harvests."""
    if not evidence.says:
        return _from_the_wire(evidence)
    if not evidence.applied:
        return unknown("The client applied nothing.")
    foreign: list[Record] = []
    invented: list[Record] = []
    for one in evidence.applied:
        lines = evidence.published.get(one.sequence, [])
        id = one.record.get("id")
        if not any(id in (None, "", line["id"]) for line in lines):
            invented.append(one.record)
        elif not any(
            topic in evidence.interests and topic in topics_of(line) for line in lines for topic in one.topics
        ):
            foreign.append(one.record)
    if not foreign and not invented:
        return passed(f"{len(evidence.applied)} events, none foreign.")
    parts = []
    if foreign:
        parts.append(f"of no topic it watches: {_listed(foreign)}")
    if invented:
        parts.append(f"never published under that id: {_listed(invented)}")
    return failed(f"{'; '.join(parts)}.", foreign + invented)


def _from_the_wire(evidence: Evidence) -> Finding:
    """The client has only what it was handed, so it is enough that nothing foreign was handed out."""
    handed = 0
    foreign: list[Record] = []
    for attempt in evidence.attempts:
        for event in attempt.events:
            if event.get("op") == "PING":
                continue
            handed += 1
            if not _published(evidence, event["sequence"], attempt.topic or ""):
                foreign.append(event)
    for line in evidence.harvests:
        for sequence in line.get("sequences", ()):
            handed += 1
            if not _published(evidence, sequence, evidence.key(line)):
                foreign.append(line)
    if foreign:
        return failed("the fake itself sent events of another topic: please report it.", foreign)
    return passed(f"{handed} events, none foreign.") if handed else unknown("The client was offered nothing.")


def _published(evidence: Evidence, sequence: int, topic: str) -> bool:
    return any(topic in topics_of(line) for line in evidence.published.get(sequence, ()))


def _listed(lines: list[Record]) -> str:
    return several(line["sequence"] for line in lines)
