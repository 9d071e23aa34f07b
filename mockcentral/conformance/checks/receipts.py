"""A run proves something only when its faults really happened.

Not a check of the client but of the run: a fault that was planned and never struck, or struck and never reached the
wire, makes everything the run shows about it worthless.
"""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, passed, unknown


def judge(evidence: Evidence) -> Finding:
    """Every armed fault rule was triggered and has at least one receipt."""
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
    unseen = [name for name in triggered if name not in sent]
    if not idle and not unseen:
        if not armed:
            return passed("No fault was planned.")
        unfelt = [name for name in armed if name not in observed]
        shown = "" if not unfelt else f"; the client gave no sign of {', '.join(unfelt)}, which may be right"
        return passed(f"{len(armed)} faults, each on the wire{shown}.")
    parts = []
    if idle:
        parts.append(f"never struck: {', '.join(_described(armed[name]) for name in idle)}")
    if unseen:
        parts.append(f"struck, but never reached the wire: {', '.join(unseen)}")
    return unknown(f"{'; '.join(parts)}.", [armed[name] for name in idle] + [triggered[name] for name in unseen])


def _described(armed: Record) -> str:
    anchor = armed.get("anchor")
    return f"{armed['fault']} (on {anchor})" if anchor else str(armed["fault"])
