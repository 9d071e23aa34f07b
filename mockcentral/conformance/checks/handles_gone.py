"""A position that history no longer has is given up."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, unknown
from mockcentral.scenario.expectations import HandlesGone


def judge(evidence: Evidence, settings: HandlesGone) -> Finding:
    """After a 410 nothing is asked from that position, or from before it, again (protocol 7.1 C29).

    A new process knows only what its predecessor stored, so each life is judged alone.
    """
    gone = 0
    again: list[Record] = []
    told: dict[tuple[int, str], Record] = {}
    for line in evidence.harvests:
        after = line.get("after")
        if after is None or line["n"] > evidence.stop_n:
            continue
        place = (sum(exit["n"] < line["n"] for exit in evidence.exits), evidence.key(line))
        before = told.get(place)
        if before is not None and after <= before["after"]:
            again += [before, line]
        if line.get("status") == 410 and evidence.heard(line):
            gone += 1
            if before is None or after > before["after"]:
                told[place] = line
    if again:
        return failed(f"{again[0]['after']} was gone, and {again[1]['after']} was asked for after that.", again)
    return passed(f"{gone} times.") if gone else unknown("History never answered 410.")
