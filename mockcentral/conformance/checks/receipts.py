"""A run proves something only when its faults really happened.

Not a check of the client but of the run: a fault that was planned and never struck, or struck and never reached the
wire, makes everything the run shows about it worthless.
"""

from __future__ import annotations

from collections.abc import Sequence

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, passed, several, unknown
from mockcentral.scenario.schema import Attempt

ASKS_NOTHING = frozenset({"noop"})
"""Faults that want nothing of the wire: that one struck is all there is to it."""


def judge(evidence: Evidence, attempts: Sequence[Attempt] = ()) -> Finding:
    """Every armed fault rule was triggered and has at least one receipt, if there can be one, and the `attempts` ended
    as planned.
    """
    armed: dict[str, Record] = {}
    triggered: dict[str, Record] = {}
    sent: dict[str, Record] = {}
    observed: dict[str, Record] = {}
    kinds = {
        "fault.armed": armed,
        "fault.triggered": triggered,
        "fault.on_wire": sent,
        "fault.observed": observed,
    }
    for line in evidence.faults:
        if (seen := kinds.get(line["kind"])) is not None:
            seen.setdefault(line["fault"], line)
    idle = [name for name in armed if name not in triggered]
    marks = [name for name, line in armed.items() if line.get("do") in ASKS_NOTHING]
    unseen = [name for name in triggered if name not in sent and name not in marks]
    unused = [number for number, attempt in enumerate(attempts, 1) if not _happened(evidence, number, attempt)]
    if not idle and not unseen and not unused:
        if not armed:
            return passed(f"{len(attempts)} attempts, each as planned." if attempts else "No fault was planned.")
        unfelt = [name for name in armed if name not in observed and name not in marks]
        shown = "" if not unfelt else f"; the client gave no sign of {', '.join(unfelt)}, which may be right"
        shown += f"; {', '.join(marks)} struck" if marks else ""
        if len(marks) == len(armed):
            return passed(f"No fault was to reach the wire{shown}.")
        return passed(f"{len(armed) - len(marks)} faults, each on the wire{shown}.")
    parts = []
    if idle:
        parts.append(f"never struck: {', '.join(_described(armed[name]) for name in idle)}")
    if unseen:
        parts.append(f"struck, but never reached the wire: {', '.join(unseen)}")
    if unused:
        parts.append(f"of `attempts`, what is planned for number {several(unused)} did not happen")
    return unknown(f"{'; '.join(parts)}.", [armed[name] for name in idle] + [triggered[name] for name in unseen])


def _happened(evidence: Evidence, number: int, planned: Attempt) -> bool:
    """Whether a watch call ended as its line in `attempts` says."""
    code = planned.refuse if planned.abort_after is None else planned.abort_after.code
    if code is None:
        return True
    ends = [attempt.end for attempt in evidence.attempts if attempt.number == number]
    return any(end is not None and end.get("by") == "server" and end.get("code") == code.name for end in ends)


def _described(armed: Record) -> str:
    anchor = armed.get("anchor")
    return f"{armed['fault']} (on {anchor})" if anchor else str(armed["fault"])
