"""list, explain, validate and schema, as a user runs them."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import pytest

from mockcentral.scenario import catalogue
from mockcentral.scenario.json_schema import fault_schema, schema

SAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "sample-watch-topic.yaml"


def _run(command: str, *argv: str) -> int:
    module = importlib.import_module(f"mockcentral.commands.{command}")
    parser = argparse.ArgumentParser(command)
    module.add_arguments(parser)
    code: int = module.run(parser.parse_args(argv))
    return code


Capture = pytest.CaptureFixture[str]


def test_list_is_a_table_with_a_sentence_for_each(capsys: Capture) -> None:
    assert _run("list") == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "LEVEL", "NEEDS", "ABOUT"]
    assert tuple(row.split()[0] for row in rows) == catalogue.names()
    assert all(row.endswith(".") for row in rows)
    (silent,) = (row for row in rows if row.startswith("silent "))
    assert silent.split()[1:3] == ["core", "wire"]


def test_list_as_json_is_for_programs(capsys: Capture) -> None:
    assert _run("list", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in rows] == list(catalogue.names())
    assert all(set(row) == {"name", "level", "needs", "about", "file"} and Path(row["file"]).is_file() for row in rows)


def test_explain_tells_built_ins_and_files(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("scenario: mine\nabout: A story.\n")
    assert _run("explain", "flaky", str(path)) == 0
    out = capsys.readouterr().out
    assert out.startswith("flaky (core, seed 7)\n")
    assert "\n\nmine (core, seed 0)\n\nA story.\n" in out


def test_explain_of_an_unknown_name_is_one_line_and_code_2(capsys: Capture) -> None:
    assert _run("explain", "calm", "flakey") == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "there is no scenario `flakey`: did you mean `flaky`?\n")


def test_validate_says_fine_for_scenarios_and_topics(capsys: Capture) -> None:
    assert _run("validate", "calm", str(SAMPLE)) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert captured.out.splitlines() == [
        "calm: fine, scenario calm: 1 topic, 86 events, 0 fault rules, 5 checks",
        f"{SAMPLE}: fine, 1 topic",
    ]


def test_validate_prints_one_line_a_mistake_of_all_files_and_code_2(capsys: Capture, tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("scenario: x\nabout: y\nsede: 1\nlevel: low\n")
    two.write_text("kind: WatchTopic\nname: t\n")
    assert _run("validate", str(one), "calm", str(two), str(tmp_path / "no.yaml")) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == [
        f"{one}:3: a scenario has no key `sede`: did you mean `seed`?",
        f"{one}:4: level: `low` is not known: write core or extended",
        f"{two}:1: a WatchTopic needs `spec`: its filters and description",
        f"{tmp_path}/no.yaml: no such file or directory",
    ]
    assert captured.out.startswith("calm: fine")


def test_validate_warns_of_a_topic_that_gets_nothing_and_says_fine(capsys: Capture, tmp_path: Path) -> None:
    path = tmp_path / "w.yaml"
    path.write_text(
        "scenario: x\nabout: y\ntopics:\n  - {name: t, filters: [{kind: A}]}\ntraffic:\n  - {publish: {kind: B}}\n"
    )
    assert _run("validate", str(path)) == 0
    captured = capsys.readouterr()
    assert captured.err == f"{path}:4: warning: no traffic matches the topic t: its watchers will get nothing\n"
    assert "fine" in captured.out
    assert _run("validate", "--quiet", str(path)) == 0
    assert capsys.readouterr() == ("", "")


def test_schema_prints_the_schema(capsys: Capture) -> None:
    assert _run("schema") == 0
    assert json.loads(capsys.readouterr().out) == schema()
    assert _run("schema", "--fault-rule") == 0
    assert json.loads(capsys.readouterr().out) == fault_schema()
