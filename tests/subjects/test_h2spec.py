"""h2spec, the field's HTTP/2 conformance checker, at the front door."""

from __future__ import annotations

import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mockcentral import World
from mockcentral.conformance import known_failing
from tests.subjects.subject import PATIENCE

pytestmark = pytest.mark.go

EXCEPTIONS = Path(__file__).parent / "go_h2spec" / "exceptions.txt"
CASES = 146
"""As many has version 2.2.1, strict ones included."""


def _run(h2spec: str, world: World, report: Path, *flags: str) -> dict[str, str]:
    """Case, as h2spec's command line names it -> what went wrong, "" for a pass."""
    host, _, port = world.address.rpartition(":")
    # The timeout is for what does not come and should; nothing that passes waits for it.
    command = [h2spec, "--strict", "--timeout", "10", "--host", host, "--port", port, "--junit-report", str(report)]
    run = subprocess.run(
        [*command, *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=2 * PATIENCE
    )
    assert report.exists(), run.stdout
    results = {}
    for suite in ElementTree.parse(report).getroot():
        for number, case in enumerate(suite.iter("testcase"), 1):
            said = "; ".join(f"{child.tag}: {child.text or ''}" for child in case)
            results[f"{suite.attrib['package']}/{number}"] = said and f"{case.attrib['classname']}: {said}"
    return results


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_every_case_passes_or_is_a_listed_exception(
    h2spec: str, transport: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tls = transport == "tls"
    with World(tls=tls) as world:
        results = _run(h2spec, world, tmp_path / "report.xml", *(["--tls", "--insecure"] if tls else []))
    assert len(results) == CASES
    known = known_failing.read(EXCEPTIONS.read_text(encoding="utf-8"), EXCEPTIONS.name)
    universe = [f"{side}::{case}" for side in ("plain", "tls") for case in results]
    known_failing.check_patterns(known, universe, EXCEPTIONS.name)
    failed = {case: said for case, said in results.items() if said}
    surprises = [
        f"{case}: {said}"
        for case, said in failed.items()
        if known_failing.reason_for(f"{transport}::{case}", known) is None
    ]
    assert surprises == []
    stale = [
        f"{EXCEPTIONS.name}:{entry.line}: {entry.pattern} passes: take it out"
        for entry in known
        if entry.pattern.startswith(f"{transport}::") and entry.pattern.partition("::")[2] not in failed
    ]
    assert stale == []
    assert [record.getMessage() for record in caplog.records] == []
