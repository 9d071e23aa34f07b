"""Adds up the JUnit reports that the tox environments left: one line an environment, then the sum.

    python tools/count_tests.py .tox/reports

Exits 1 when there is no report or no test in them, so that an empty run is not mistaken for a good one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from xml.etree import ElementTree


def count(report: Path) -> tuple[int, int, int]:
    """Passed, failed (errors included) and skipped tests of one JUnit file."""
    passed = failed = skipped = 0
    for suite in ElementTree.parse(report).getroot().iter("testsuite"):
        total, bad, left = (int(suite.get(key, "0")) for key in ("tests", "failures", "skipped"))
        bad += int(suite.get("errors", "0"))
        passed, failed, skipped = passed + total - bad - left, failed + bad, skipped + left
    return passed, failed, skipped


def main(argv: list[str]) -> int:
    """0 when at least one test ran."""
    counts = {report.stem: count(report) for report in sorted(Path(argv[0]).glob("*.xml"))}
    for name, (passed, failed, skipped) in counts.items():
        print(f"  {name}: {passed} passed, {failed} failed, {skipped} skipped")
    passed, failed, skipped = (sum(column) for column in zip(*counts.values(), strict=True)) if counts else (0, 0, 0)
    if not passed + failed:
        print("no test ran", file=sys.stderr)
        return 1
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
