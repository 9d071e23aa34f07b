"""JUnit XML (xunit2): a suite a scenario, a case a check, with the seed and the command that replays it as properties.

JUnit has no word for inconclusive; such a case is `skipped` with a message that says so, and the exit code tells the
rest. A case that failed in some of its runs but passed often enough carries Surefire's `flakyFailure`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from mockcentral.conformance.reports.terminal import proof
from mockcentral.conformance.results import Case, Run, Status

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """The whole document."""
    root = ElementTree.Element("testsuites", name="mockcentral")
    for name in dict.fromkeys(run.scenario for run in runs):
        own = [run for run in runs if run.scenario == name]
        _suite(root, name, [case for case in cases if case.scenario == name], own)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(root: ElementTree.Element, name: str, cases: Sequence[Case], runs: Sequence[Run]) -> None:
    errors = [run for run in runs if run.error is not None]
    failed = sum(case.status in (Status.FAILED, Status.STALE) for case in cases)
    skipped = sum(case.status in (Status.SKIPPED, Status.INCONCLUSIVE, Status.KNOWN) for case in cases)
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        name=_clean(name),
        tests=str(len(cases) + len(errors)),
        failures=str(failed),
        errors=str(len(errors)),
        skipped=str(skipped),
        time=f"{sum(run.seconds for run in runs):.3f}",
    )
    properties = ElementTree.SubElement(suite, "properties")
    for run in runs:
        for key, value in (("seed", str(run.seed)), ("replay", run.replay), ("time_scale", f"{run.time_scale:g}")):
            ElementTree.SubElement(properties, "property", name=key, value=_clean(value))
    for case in cases:
        _case(suite, case)
    for run in errors:
        element = ElementTree.SubElement(
            suite, "testcase", classname=_clean(f"mockcentral.{name}"), name=f"run with seed {run.seed}", time="0"
        )
        ElementTree.SubElement(element, "error", message=_clean((run.error or "").partition("\n")[0])).text = _clean(
            run.error or ""
        )


def _case(suite: ElementTree.Element, case: Case) -> None:
    element = ElementTree.SubElement(
        suite, "testcase", classname=_clean(f"mockcentral.{case.scenario}"), name=case.check, time="0"
    )
    message = case.verdict.message
    match case.status:
        case Status.FAILED:
            failure = ElementTree.SubElement(element, "failure", type=case.verdict.level, message=_clean(message))
            failure.text = _details(case.run, case.verdict.evidence, message, case.verdict.reference)
        case Status.STALE:
            text = f"passes, but is listed as known failing ({case.reason}): remove the entry"
            ElementTree.SubElement(element, "failure", type="stale", message=_clean(text)).text = _clean(text)
        case Status.KNOWN:
            ElementTree.SubElement(element, "skipped", message=_clean(f"known failing: {case.reason}"))
        case Status.INCONCLUSIVE | Status.SKIPPED:
            ElementTree.SubElement(element, "skipped", message=_clean(f"{case.status}: {message}"))
        case Status.PASSED:
            for run, verdict in case.failures:
                flaky = ElementTree.SubElement(
                    element, "flakyFailure", type=verdict.level, message=_clean(verdict.message)
                )
                flaky.text = _details(run, verdict.evidence, verdict.message, verdict.reference)


def _details(run: Run, evidence: Sequence[int], message: str, reference: str) -> str:
    parts = [message, *proof(evidence, run.lines)]
    if reference:
        parts.append(f"see {reference}")
    return _clean("\n".join([*parts, f"replay: {run.replay}"]))


def _clean(text: str) -> str:
    """XML cannot say every character."""
    return _ILLEGAL.sub("\ufffd", text)
