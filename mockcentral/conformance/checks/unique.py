"""No event is applied twice by one process."""

from __future__ import annotations

from collections import defaultdict

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, not_applicable, passed, several, unknown
from mockcentral.conformance.checks.ordered import HIDDEN, offered
from mockcentral.scenario.expectations import Unique


def judge(evidence: Evidence, settings: Unique) -> Finding:
    """Across a `client.exit` at-least-once is allowed: the new process cannot know what the old one did last.

    An event that matches several topics the client watches may be applied once for each, if the lines do not say which.
    """
    if not evidence.says:
        return _from_the_wire(evidence)
    if not evidence.applied:
        return unknown("The client applied nothing.")
    copies: dict[tuple[int, str, int, int], list[Record]] = defaultdict(list)
    allowed: dict[tuple[int, str, int, int], int] = {}
    for one in evidence.applied:
        key = (one.life, one.record.get("topic") or "", one.era, one.sequence)
        copies[key].append(one.record)
        allowed[key] = max(1, len(one.topics))
    twice = {key: lines for key, lines in copies.items() if len(lines) > allowed[key]}
    if not twice:
        return passed(f"{len(evidence.applied)} events, each once.")
    return failed(
        f"applied more than once: {several(sorted(sequence for *_, sequence in twice))}.",
        [line for lines in twice.values() for line in lines],
    )


def _from_the_wire(evidence: Evidence) -> Finding:
    seen: set[tuple[str, int]] = set()
    for one in offered(evidence):
        if one in seen:
            return not_applicable(f"The wire offered some events more than once; {HIDDEN}")
        seen.add(one)
    return (
        passed(f"The wire offered {len(seen)} events, each once.")
        if seen
        else unknown("The client was offered nothing.")
    )
