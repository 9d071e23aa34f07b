"""When a run is over: a decision over what the journal shows, so that nobody sleeps and hopes.

    all that was planned has happened, and no check waits for anything  -> over after a short quiet
    something is still awaited                                          -> over after a long quiet, or at the timeout

*Quiet* counts from the last line that changes anything; PINGs, token refreshes, empty pages of history and the
connections they come on do not.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mockcentral.conformance.checks.receipts import ASKS_NOTHING
from mockcentral.conformance.checks.registry import CHECKS, RECEIPTS
from mockcentral.conformance.judge import patience
from mockcentral.conformance.verdict import Outcome, Verdict
from mockcentral.scenario.schema import Scenario

SHORT_QUIET = 0.5
"""Long enough for what is on its way on one machine: a late copy of an event is still seen."""
MARGIN = 3.0
LAB_QUIET = 90.0
"""Longer than the longest backoff most clients know, a minute."""
FINAL = frozenset(check.name for check in CHECKS if check.final)

Record = Mapping[str, Any]


def is_news(record: Record) -> bool:
    """Whether a line of the journal changes anything."""
    kind = record["kind"]
    if kind == "stream.event":
        return bool(record.get("op") != "PING")
    if kind == "stream.request":
        return bool(record.get("request") == "subscribe")
    if kind == "http.request":
        return bool(record.get("sequences"))
    if kind == "fault.observed":
        return False
    return kind.partition(".")[0] not in ("ping", "token", "conn", "barrier", "clock")


def faults_spent(scenario: Scenario, records: Iterable[Record]) -> bool:
    """Whether every fault of the scenario struck as often as it may (at least once), and reached the wire if it can."""
    struck: Counter[str] = Counter()
    sent = {rule.name for rule in scenario.faults if rule.do.name in ASKS_NOTHING}
    for record in records:
        if record["kind"] == "fault.triggered":
            struck[record["fault"]] += 1
        elif record["kind"] == "fault.on_wire":
            sent.add(record["fault"])
    return all(struck[rule.name] >= (rule.times or 1) and rule.name in sent for rule in scenario.faults)


def lab_is_over(scenario: Scenario, records: Iterable[Record]) -> bool:
    """Whether the rule that ends a lab has struck."""
    over = None if scenario.lab is None else scenario.lab.over
    return any(record["kind"] == "fault.triggered" and record["fault"] == over for record in records)


def awaits(verdicts: Iterable[Verdict]) -> bool:
    """Whether anything that may still happen could change one of these verdicts for the better."""
    return any(
        verdict.outcome is Outcome.INCONCLUSIVE or (verdict.outcome is Outcome.FAIL and verdict.check not in FINAL)
        for verdict in verdicts
        if verdict.check != RECEIPTS  # `faults_spent` watches those
    )


def long_quiet(scenario: Scenario, time_scale: float) -> float:
    """How long nothing may happen, in seconds, before what is awaited is not awaited any more.

    Longer than any pause the scenario plans (in the fake's scaled time) and any bound it grants the client.
    """
    names = {expectation.name for expectation in scenario.expect}
    planned = [line.every.high for line in scenario.traffic] + [line.after.high for line in scenario.traffic]
    planned += [rule.after.high for rule in scenario.faults] + [rule.after.high for rule in scenario.rules]
    cuts = (attempt.abort_after for attempt in scenario.attempts if attempt.abort_after is not None)
    planned += [cut.time.high for cut in cuts if cut.time is not None]
    if "refreshes_token" in names:
        planned.append(scenario.world.token.life)
    if "answers_pings" in names and scenario.world.ping.every is not None:
        planned.append(scenario.world.ping.every)
    # A client that is measured may have any backoff.
    least = 5.0 if scenario.lab is None else LAB_QUIET
    return max(least, patience(scenario), max(planned, default=0.0) / time_scale) + MARGIN


@dataclass(frozen=True, slots=True)
class Pace:
    """The bounds of one run, seconds. `first_contact`: how long a client may need until it connects the first time."""

    long_quiet: float
    timeout: float
    first_contact: float = 60.0
    short_quiet: float = SHORT_QUIET

    def over(self, *, elapsed: float, quiet: float, contact: bool, planned: bool, awaiting: bool) -> str | None:
        """Why the run is over, None when it goes on.

        `planned`: traffic and faults are done. `awaiting`: a verdict could still get better. `contact`: the client has
        connected.
        """
        if elapsed >= self.timeout:
            return f"the run took longer than its {self.timeout:g} s"
        if not contact:
            return (
                f"the client did not connect within {self.first_contact:g} s" if elapsed >= self.first_contact else None
            )
        if planned and not awaiting and quiet >= self.short_quiet:
            return ""
        if quiet >= self.long_quiet:
            return f"nothing more happened for {self.long_quiet:g} s"
        return None


def lines_named(verdicts: Sequence[Verdict], journal: Sequence[Record]) -> dict[int, Record]:
    """The journal lines the verdicts name, by number."""
    wanted = {n for verdict in verdicts for n in verdict.evidence}
    return {record["n"]: record for record in journal if record["n"] in wanted}
