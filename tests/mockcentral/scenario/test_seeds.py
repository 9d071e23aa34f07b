"""Resource files and folders of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockcentral.scenario.errors import ScenarioError
from mockcentral.scenario.seeds import load_seeds, loads_seeds

SERVICE = """
kind: APIService
name: petstore
metadata:
  scope: {kind: Environment, name: prod}
  id: theirs
  references: [{kind: Asset, name: a}]
spec: {a: 1}
status: {level: Success}
"""
TOPIC = """
kind: WatchTopic
name: all
spec: {filters: [{group: management, kind: APIService, name: "*", type: [created]}]}
"""


def test_a_resource_is_read_with_its_scope_and_its_subresources() -> None:
    (seed,) = loads_seeds(SERVICE)
    assert (seed.group, seed.kind, seed.name, seed.scope) == (
        "management",
        "APIService",
        "petstore",
        ("Environment", "prod"),
    )
    assert seed.body["status"] == {"level": "Success"}
    assert seed.body["metadata"] == {"references": [{"kind": "Asset", "name": "a"}]}  # the rest is the server's


def test_topics_are_topics() -> None:
    (seed,) = loads_seeds(TOPIC)
    assert seed.topic is not None
    assert (seed.kind, seed.name, seed.topic.filters[0].kind) == ("WatchTopic", "all", "APIService")


def test_a_folder_is_all_of_its_files_and_scopes_come_first(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "a.yaml").write_text(f"{SERVICE}---\n{TOPIC}")
    (tmp_path / "deep" / "z.json").write_text('{"kind": "Environment", "name": "prod"}')
    (tmp_path / "README.md").write_text("not a resource")
    assert [seed.kind for seed in load_seeds(tmp_path)] == ["WatchTopic", "Environment", "APIService"]


def test_null_is_as_good_as_nothing() -> None:
    (seed,) = loads_seeds("kind: Environment\nname: e\ntags:\nmetadata:\ngroup:\n")
    assert (seed.group, seed.scope) == ("management", None)
    (seed,) = loads_seeds("kind: Environment\nname: e\nmetadata: {scope: }\n")
    assert seed.scope is None


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("", 1, "the file is empty"),
        ("- kind: X", 1, "a resource is a mapping"),
        ("name: x", 1, "kind is missing"),
        ("kind: Environment", 1, "name is missing"),
        ("kind: Environment\nname: a/b", 2, "name is a word without a slash, not `a/b`"),
        ('kind: Environment\nname: "a\\nb"', 2, "name is a word without a slash"),
        ("kind: Environment\nname: a\nowner: x", 3, "owner is a mapping"),
        ("kind: Environment\nname: a\nspec: {x: .nan}", 1, "a number that JSON does not have"),
        ("kind: Environment\nname: {a: 1}", 2, "not something else"),
        ("kind: Environment\nname: e\nscope: Environment/x", 3, "scope stands in metadata"),
        ("kind: Environment\nname: e\nspec: 7", 3, "spec is a mapping"),
        ("kind: Environment\nname: e\ntags: {a: 1}", 3, "tags is a list"),
        ("kind: Environment\nname: e\nmetadata: 7", 3, "metadata is a mapping"),
        ("kind: Environment\nname: e\nmetadata:\n  scope: e", 4, "a scope is a mapping"),
        ("kind: Environment\nname: e\nmetadata:\n  scope: {kind: E}", 4, "name is missing"),
        ("kind: Environment\nname: e\n---\nkind: WatchTopic\nname: x\nspec: {filter: []}", 6, "filter"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, line: int, words: str) -> None:
    with pytest.raises(ScenarioError) as wrong:
        list(loads_seeds(text, "seeds.yaml"))
    assert words in wrong.value.message
    assert (wrong.value.file, wrong.value.line) == ("seeds.yaml", line)


def test_a_folder_without_resources_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"the folder has no file that ends in \.yaml"):
        load_seeds(tmp_path)


def test_a_resource_stands_in_one_place_only(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("kind: Environment\nname: e\n---\nkind: APIService\nname: e\n")
    (tmp_path / "b.yaml").write_text("---\nkind: Environment\nname: e\n")
    with pytest.raises(ScenarioError, match=r"b\.yaml:2: Environment e is in .*a\.yaml:1 already"):
        load_seeds(tmp_path)
