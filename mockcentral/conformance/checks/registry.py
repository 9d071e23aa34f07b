"""Every check there is: its sentence, where it comes from, how much it binds, and its function.

The sentence of a check is the docstring of its expectation in `mockcentral.scenario.expectations`: one truth for
scenario authors and for whoever reads a red line.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from mockcentral.conformance.checks import (
    answers_pings,
    backs_off,
    complete,
    filterable,
    first_message,
    handles_gone,
    notices_dead_peer,
    ordered,
    receipts,
    reconnects,
    refreshes_token,
    resumes,
    unique,
)
from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, seconds, unknown
from mockcentral.conformance.verdict import Level, Outcome, Verdict
from mockcentral.scenario.expectations import EXPECTATIONS
from mockcentral.scenario.schema import Attempt, Expectation

_CAUSES = {"lag": "the fake itself was late", "steal": "other machines took its processors"}

SENTENCES = {expectation.name: " ".join((inspect.getdoc(expectation) or "").split()) for expectation in EXPECTATIONS}


@dataclass(frozen=True, slots=True)
class Check:
    """A check of the client. `final`: once it fails, nothing that happens later can make it pass."""

    name: str
    level: Level
    reference: str
    examine: Callable[[Evidence, Any], Finding]
    final: bool
    timed: bool = False
    """Whether it measures time: then what a machine lost of it may be what it found. A stall makes what clients do look
    late, which mostly hurts them (`Evidence.allowance`); where it can help, the check asks `Evidence.sent` or `awake`.
    """

    @property
    def sentence(self) -> str:
        """What must hold, in words."""
        return SENTENCES[self.name]

    def judge(self, journal: Sequence[Record], settings: Expectation) -> Verdict:
        """Judge a whole journal; `settings` is the check's own expectation."""
        return self.judge_evidence(Evidence(journal), settings)

    def judge_evidence(self, evidence: Evidence, settings: Expectation) -> Verdict:
        """The same for several checks over one reading of the journal."""
        if evidence.whole:
            finding = self.examine(evidence, settings)
            if self.timed and evidence.stalls and finding.outcome is Outcome.FAIL:
                finding = self._doubted(finding, evidence, settings)
            elif self.timed and evidence.stalls and finding.outcome is Outcome.PASS:
                finding = self._suspected(finding, evidence, settings)
        else:
            finding = unknown(
                "The journal lost its beginning: keep all of it on disk (--journal) to judge a run this long."
            )
        message = finding.message
        if finding.outcome is Outcome.FAIL:
            message = f"{self.sentence} But {message}"
        return Verdict(self.name, finding.outcome, self.level, message, finding.evidence, self.reference)

    def _doubted(self, finding: Finding, evidence: Evidence, settings: Expectation) -> Finding:
        """A failure that the machine may have caused is none: what it lost meanwhile is allowed, and the check judges
        again.
        """
        lost, stalls = evidence.lost_between(finding.evidence)
        if not lost:
            return finding
        evidence.allowance = lost
        try:
            again = self.examine(evidence, settings)
        finally:
            evidence.allowance = 0.0
        if again.outcome is Outcome.FAIL:
            return finding
        return unknown(
            f"The machine lost {seconds(lost)} meanwhile ({_causes(stalls)}), so this is not the client's: "
            f"{finding.message} Run it again when the machine is idle.",
            stalls,
        )

    def _suspected(self, finding: Finding, evidence: Evidence, settings: Expectation) -> Finding:
        """A pass that the machine may have caused is none either: what it lost counts against the client, and the check
        judges again.
        """
        evidence.suspicious = True
        try:
            again = self.examine(evidence, settings)
            lost, stalls = evidence.lost_between(again.evidence)
        finally:
            evidence.suspicious = False
        if again.outcome is not Outcome.FAIL:
            return finding
        return unknown(
            f"The machine lost {seconds(lost)} meanwhile ({_causes(stalls)}), and a pass may be due to that: "
            f"{finding.message} Run it again when the machine is idle.",
            stalls,
        )


def _causes(stalls: Sequence[Record]) -> str:
    return " and ".join(sorted({_CAUSES[stall["cause"]] for stall in stalls}))


CHECKS: tuple[Check, ...] = (
    Check("ordered", "MUST", "protocol 3.3, 7.1 C17", ordered.judge, final=True),
    Check("unique", "MUST", "protocol 7.1 C17", unique.judge, final=True),
    Check("complete", "MUST", "protocol 7.1 C17, C28", complete.judge, final=False),
    Check("filterable", "MUST", "protocol 5.4", filterable.judge, final=True),
    Check("reconnects", "MUST", "protocol 7.1 C25", reconnects.judge, final=True, timed=True),
    Check("refreshes_token", "MUST", "protocol 2.2, 7.1 C12", refreshes_token.judge, final=True, timed=True),
    Check("answers_pings", "MUST", "protocol 7.1 C23, C24", answers_pings.judge, final=True, timed=True),
    Check("first_message", "MUST", "protocol 1.4, 1.5, 7.1 C1 to C3", first_message.judge, final=True),
    Check("notices_dead_peer", "MUST", "protocol 2.1, 7.1 C25, C34", notices_dead_peer.judge, final=True, timed=True),
    Check("resumes", "MUST", "protocol 4.3, 7.1 C27, C28", resumes.judge, final=False),
    Check("backs_off", "SHOULD", "protocol 4.1, 7.1 C26", backs_off.judge, final=True, timed=True),
    Check("handles_gone", "MUST", "protocol 2.3, 7.1 C29", handles_gone.judge, final=True),
)

RECEIPTS = "faults_reached_the_wire"
"""The name of the verdict about the run itself."""


def by_name(name: str) -> Check:
    """The check of that name. Raises KeyError."""
    for check in CHECKS:
        if check.name == name:
            return check
    raise KeyError(name)


def judge_receipts(evidence: Evidence, attempts: Sequence[Attempt] = ()) -> Verdict:
    """Whether the faults of the run and its planned attempts happened: inconclusive when one did not."""
    finding = receipts.judge(evidence, attempts)
    return Verdict(RECEIPTS, finding.outcome, "MUST", finding.message, finding.evidence, "design/interfaces, Verdicts")
