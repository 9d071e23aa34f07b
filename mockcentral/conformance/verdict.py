"""A verdict: what one check says about one run.

Knows nothing of how it was reached. `evidence` holds the numbers (`n`) of the journal lines that prove it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Any, Literal

Level = Literal["MUST", "SHOULD"]


class Outcome(str, enum.Enum):
    """How a check ended. The values are the words of the journal."""

    PASS = "pass"
    FAIL = "fail"
    INCONCLUSIVE = "inconclusive"
    """The run did not put it to the test, or was over before the answer was due. Never counts as a pass."""
    SKIPPED = "skipped"
    """It cannot be judged for this client at all: another run would not help."""

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check says about one run."""

    check: str
    outcome: Outcome
    level: Level
    message: str
    evidence: tuple[int, ...] = ()
    reference: str = ""

    def as_dict(self) -> dict[str, Any]:
        """As JSON says it: in reports, in the control API, in a `verdict` line of the journal."""
        return {
            "check": self.check,
            "outcome": self.outcome.value,
            "level": self.level,
            "message": self.message,
            "evidence": list(self.evidence),
            "reference": self.reference,
        }
