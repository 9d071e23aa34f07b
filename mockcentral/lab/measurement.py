"""One thing that was measured, or the reason why it could not be."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from mockcentral.conformance.checks.finding import Record


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """`says` is the answer in words. `value` is the answer as a number (seconds, unless `unit` says otherwise) or a
    word, None where there is none; `unknown` is then the reason, and None when "none" is the answer. `low` and `high`
    bound the samples. `evidence` has the numbers (`n`) of the journal lines behind it.
    """

    name: str
    title: str
    says: str
    value: float | str | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    samples: int = 0
    unknown: str | None = None
    evidence: tuple[int, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """As JSON says it."""
        return {
            "name": self.name,
            "title": self.title,
            "says": self.says,
            "value": self.value,
            "unit": self.unit,
            "low": self.low,
            "high": self.high,
            "samples": self.samples,
            "unknown": self.unknown,
            "evidence": list(self.evidence),
        }


def unknown(name: str, title: str, reason: str, lines: Iterable[Record] = ()) -> Measurement:
    """Nothing was seen that would answer it; `reason` says why, and what would."""
    return Measurement(name=name, title=title, says=f"unknown: {reason}", unknown=reason, evidence=numbers(lines))


def timed(
    name: str, title: str, samples: Sequence[float], *, note: str = "", lines: Iterable[Record] = ()
) -> Measurement:
    """A duration out of its samples: the median, and the range when it is wider than what is shown."""
    middle = median(samples)
    low, high = min(samples), max(samples)
    spread = "" if duration(low) == duration(high) else f"{duration(low)} to {duration(high)}, "
    many = f" ({spread}{len(samples)} samples)" if len(samples) > 1 else " (1 sample)"
    return Measurement(
        name=name,
        title=title,
        says=f"{duration(middle)}{many}{note}",
        value=round(middle, 3),
        unit="s",
        low=round(low, 3),
        high=round(high, 3),
        samples=len(samples),
        evidence=numbers(lines),
    )


def numbers(lines: Iterable[Record]) -> tuple[int, ...]:
    """The numbers of journal lines, each once, in order."""
    return tuple(sorted({int(line["n"]) for line in lines}))


def duration(seconds: float) -> str:
    """Seconds for people: `35 ms`, `1.02 s`, `61.7 s`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
