"""Events are applied in the order of their sequence ids."""

from __future__ import annotations

from collections.abc import Iterator

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, not_applicable, passed, unknown
from mockcentral.scenario.expectations import Ordered

HIDDEN = "what the client made of them shows only when it prints L1 lines."


def judge(evidence: Evidence, settings: Ordered) -> Finding:
    """Only the first time a process applies an event counts: a repeated one is `unique`'s business.

    A new process may begin again from where its predecessor had got to. What a fault kept back on a stream that went on
    may come late, and where sequences begin anew, so does the order. Without L1 lines the order is certain only when
    the wire never offered another one.
    """
    if not evidence.says:
        return _from_the_wire(evidence)
    if not evidence.applied:
        return unknown("The client applied nothing.")
    seen: set[tuple[int, str, int, int]] = set()
    highest: dict[tuple[int, str, int], Record] = {}
    wrong: list[tuple[Record, Record]] = []
    late: set[int] = set()
    for one in evidence.applied:
        if len(one.topics) > 1:
            continue  # it may belong to either stream
        lane = (one.life, one.topics[0] if one.topics else "", one.era)
        if (*lane, one.sequence) in seen:
            continue
        seen.add((*lane, one.sequence))
        before = highest.get(lane)
        if before is not None and one.sequence < before["sequence"]:
            if one.sequence in evidence.kept_back:
                late.add(one.sequence)
            else:
                wrong.append((before, one.record))
        else:
            highest[lane] = one.record
    if not wrong:
        note = f" Not counted: {len(late)} that a fault had kept back, and that came late." if late else ""
        return passed(f"{len(evidence.applied)} events, in order.{note}")
    before, after = wrong[0]
    more = f", and {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
    return failed(
        f"{after['sequence']} was applied after {before['sequence']}{more}.", [line for pair in wrong for line in pair]
    )


def _from_the_wire(evidence: Evidence) -> Finding:
    count = 0
    highest: dict[str, int] = {}
    for topic, sequence in offered(evidence):
        count += 1
        if sequence < highest.get(topic, 0):
            return not_applicable(f"The wire offered some events again; {HIDDEN}")
        highest[topic] = sequence
    return (
        passed(f"The wire offered {count} events, only in order.")
        if count
        else unknown("The client was offered nothing.")
    )


def offered(evidence: Evidence) -> Iterator[tuple[str, int]]:
    """Topic and sequence of everything put on the wire, by streams and by history, in its order."""
    lines: list[tuple[int, str, list[int]]] = []
    for attempt in evidence.attempts:
        if attempt.topic is not None:
            lines += [
                (line["n"], attempt.topic, [line["sequence"]]) for line in attempt.events if line.get("op") != "PING"
            ]
    for line in evidence.harvests:
        if line.get("status") == 200:
            lines.append((line["n"], evidence.key(line), list(line.get("sequences", ()))))
    for _, topic, sequences in sorted(lines):
        for sequence in sequences:
            yield topic, sequence
