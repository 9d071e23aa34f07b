"""The pages are true: links lead somewhere, examples are files and run, commands exist."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mockcentral.scenario.fields import hints_of
from mockcentral.scenario.schema import Scenario

ROOT = Path(__file__).parents[2]
PAGES = sorted(path for folder in (ROOT, ROOT / "docs", ROOT / "scenarios") for path in folder.glob("*.md"))
EXAMPLES = sorted((ROOT / "docs" / "examples").glob("*.py"))


def run(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [target for target in targets if "://" not in target and not (page.parent / target).exists()]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_code_that_names_its_file_is_that_file(page: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S):
        if name := re.match(r"# (docs/examples/\S+)\n", block):
            assert block == (ROOT / name[1]).read_text(), f"{page.name} shows another {name[1]}"


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_every_example_runs(example: Path) -> None:
    pytest_words = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if example.name.startswith("test_") else []
    done = run(sys.executable, *pytest_words, str(example))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_command_the_pages_name_exists() -> None:
    from mockcentral.cli import COMMANDS

    named = {word for page in PAGES for word in re.findall(r"(?:^|\s|`)mockcentral ([a-z]+)", page.read_text(), re.M)}
    assert named <= {*COMMANDS, "is", "knows"}


def test_what_the_readme_does_by_hand_works_as_it_stands_there(tmp_path: Path) -> None:
    section = (ROOT / "README.md").read_text().partition("## By hand\n")[2].partition("```")[0]
    lines = [shlex.split(line) for line in re.findall(r"^    (.+)$", section, re.M)]
    serve, *others, watch = [[sys.executable, "-m", *words] for words in lines]
    (tmp_path / "docs").symlink_to(ROOT / "docs")
    here: dict[str, Any] = {
        "cwd": tmp_path,
        "env": {**os.environ, "PYTHONPATH": str(ROOT)},
        "stdout": subprocess.PIPE,
        "text": True,
    }
    with subprocess.Popen(serve, **here) as fake:
        try:
            assert fake.stdout is not None
            assert any(line.startswith("stop it") for line in fake.stdout)
            for words in others:
                subprocess.run(words, **here, timeout=60, check=True)
            with subprocess.Popen(watch, **here) as client:
                assert client.stdout is not None
                try:
                    assert "sample-env" in client.stdout.readline()
                finally:
                    client.send_signal(signal.SIGINT)
                    client.stdout.read()
        finally:
            fake.send_signal(signal.SIGINT)
    assert (len(others), client.returncode, fake.returncode) == (2, 130, 130)


def test_the_sample_topic_is_created_read_back_and_its_events_told_apart() -> None:
    """The seed example: two filters, created with `apply -f`, read back with its selfLink, then watched."""
    import mockcentral

    sample = "docs/examples/sample-watch-topic.yaml"
    with mockcentral.World() as world:
        url = ("--url", world.http_url)
        applied = run(sys.executable, "-m", "mockcentral", "apply", "-f", sample, *url)
        assert applied.stdout == (
            "watchtopic/sample-watch-topic created: /management/v1/watchtopics/sample-watch-topic\n"
        ), applied.stderr
        again = run(sys.executable, "-m", "mockcentral", "apply", "-f", sample, *url)
        assert "unchanged" in again.stdout
        shown = run(sys.executable, "-m", "mockcentral", "get", "watchtopic", "sample-watch-topic", "-o", "yaml", *url)
        assert "  selfLink: /management/v1/watchtopics/sample-watch-topic\n" in shown.stdout
        foreign = [
            {"kind": "APIService", "name": "a", "scope": "Environment/other-env"},
            {"kind": "Credential", "name": "b", "scope": "Environment/sample-env"},
            {"kind": "APIService", "name": "c"},
        ]
        matching = [
            {"kind": kind, "name": "d", "scope": "Environment/sample-env", "type": word}
            for kind in ("APIService", "APIServiceInstance")
            for word in ("created", "updated", "deleted")
        ]
        world.publish(foreign)
        expected = world.publish(matching)
        published = [record for record in world.journal() if record["kind"] == "event.published"]
        assert [record["sequence"] for record in published if record["topics"]] == expected


def test_every_switch_for_what_is_unknown_of_the_real_service_exists_and_every_row_says_what_there_is() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    table = text.partition("| question | here | switch |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert len(rows) >= 15
    for question, _, switch in rows:
        named = re.findall(r"`(world[.\w]*)`", switch)
        assert named or switch.startswith("none: "), f"{question}: say which switch, or why there is none"
        for path in named:
            kind: Any = Scenario
            for word in path.split("."):
                assert word in hints_of(kind), f"{path}: there is no {word}"
                kind = hints_of(kind)[word]


def test_what_the_protocol_page_leaves_open_has_a_switch() -> None:
    """Its section 7.3, in its order: each of them a setting, tried in tests/mockcentral/_core and servers."""
    text = (ROOT / "docs" / "architecture.md").read_text()
    for path in (
        "world.status",
        "world.token.first_message",
        "world.token.on_expiry",
        "world.status.expired_token",
        "world.ping.every",
        "world.ping.unanswered",
        "world.same_topic",
        "world.log.step",
        "world.delivery",
        "world.rest.unknown_parameters",
    ):
        assert f"`{path}`" in text, path
