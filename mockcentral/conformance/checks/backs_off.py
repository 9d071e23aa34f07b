"""No hot loop: attempts are spaced out."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, failed, passed, seconds, unknown
from mockcentral.scenario.expectations import BacksOff


def judge(evidence: Evidence, settings: BacksOff) -> Finding:
    """At most so many watch calls in any window of the given length, for each topic the client watches.

    A stall crowds the attempts that wait for its end, and spaces out those that wait for answers: it may hurt or help.
    """
    opened = [attempt.opened for attempt in evidence.attempts if attempt.opened["n"] < evidence.stop_n]
    if not opened:
        return unknown("The client opened no stream.")
    allowed = settings.at_most * max(1, len(evidence.subscriptions))
    most, at, first = 0, 0, 0
    # What was attempted during a stall is seen all at once after it.
    window = settings.within - evidence.allowance
    times = [evidence.awake(line) for line in opened]
    for last, at_last in enumerate(times):
        while at_last - times[first] > window:
            first += 1
        if last - first + 1 > most:
            most, at = last - first + 1, first
    if most > allowed:
        return failed(
            f"{most} attempts within {seconds(settings.within)}, more than {allowed}.", opened[at : at + most]
        )
    return passed(f"never more than {most} attempts within {seconds(settings.within)}.")
