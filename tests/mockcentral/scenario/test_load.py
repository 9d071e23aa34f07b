"""Where scenarios and topics come from: names, files, texts, plain data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mockcentral.faults.ping_ack import PingAck
from mockcentral.scenario.load import (
    ScenarioError,
    load,
    load_topic,
    loads,
    loads_topic,
    parse_fault,
    parse_scenario,
    parse_topic,
)
from mockcentral.scenario.schema import Filter, FilterScope, Topic
from mockcentral.scenario.types import Anchor

SAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "sample-watch-topic.yaml"
SMALL = "scenario: small\nabout: nothing much\n"


def test_a_scenario_is_loaded_by_name_or_by_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    assert load("calm").scenario == "calm"
    assert load(path) == load(str(path)) == load("mine.yaml") == load("./mine.yaml") == loads(SMALL)


def test_a_word_that_only_a_file_is_called_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine").write_text(SMALL)
    (tmp_path / "calm").write_text(SMALL)
    monkeypatch.chdir(tmp_path)
    assert load("mine").scenario == "small"
    assert load("calm").scenario == "calm"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("flakey", "there is no scenario `flakey`: did you mean `flaky`?"),
        ("slow_ack", "there is no scenario `slow_ack`: did you mean `slow-ack`?"),
        ("zzzz", "there is no scenario `zzzz`: `python -m mockcentral list` shows all"),
        ("no.yaml", "no.yaml: no such file or directory"),
        ("/", "/: this is a directory, not a file"),
        ("a\0b", "there is no scenario"),
        ("", "there is no scenario"),
    ],
)
def test_a_scenario_that_is_not_there_is_one_clear_line(name: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        load(name)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_where_only_names_are_allowed_no_file_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(SMALL)
    with pytest.raises(ScenarioError, match="there is no scenario"):
        load(str(path), builtin_only=True)
    assert load("calm", builtin_only=True).scenario == "calm"


def test_the_sample_topic_is_read_with_its_two_filters() -> None:
    scope = FilterScope(kind="Environment", name="sample-env")
    assert load_topic(SAMPLE) == (
        Topic(
            name="sample-watch-topic",
            title="sample-watch-topic",
            description="Sample watch topic in sample-env environment.",
            filters=(Filter(kind="APIService", scope=scope), Filter(kind="APIServiceInstance", scope=scope)),
        ),
    )


def test_a_topic_file_may_be_json_and_hold_what_central_adds() -> None:
    resource: dict[str, Any] = {
        "group": "management",
        "apiVersion": "v1",
        "kind": "WatchTopic",
        "name": "t",
        "metadata": {"selfLink": "/management/v1/watchtopics/t"},
        "attributes": {},
        "tags": [],
        "finalizers": [],
        "owner": None,
        "spec": {"filters": [{"kind": "*", "type": ["created"]}]},
    }
    expected = Topic(name="t", filters=(Filter(kind="*", type=("created",)),))
    assert loads_topic(json.dumps(resource)) == (expected,)
    assert parse_topic(resource) == expected
    assert parse_topic({"name": "t", "filters": resource["spec"]["filters"]}) == expected


def test_several_topics_stand_in_documents_of_their_own() -> None:
    text = "".join(f"---\nkind: WatchTopic\nname: t{n}\nspec: {{filters: [{{kind: X}}]}}\n" for n in range(3)) + "---\n"
    assert [topic.name for topic in loads_topic(text)] == ["t0", "t1", "t2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (
            "kind: APIService\nname: t\nspec: {filters: [{kind: X}]}",
            "f:1: kind: `APIService` is not known: write WatchTopic",
        ),
        ("kind: WatchTopic\nspec: {filters: [{kind: X}]}", "f:1: a WatchTopic needs `name`"),
        ("kind: WatchTopic\nname: t\nspec: {filter: []}", "f:3: spec has no key `filter`: did you mean `filters`?"),
        ("kind: WatchTopic\nname: t\nsepc: {}", "f:3: a WatchTopic has no key `sepc`: did you mean `spec`?"),
        (
            "kind: WatchTopic\nname: t\napiVersion: v2\nspec: {filters: [{kind: X}]}",
            "f:3: apiVersion: `v2` is not known",
        ),
        (
            "kind: WatchTopic\nname: t\nspec: {filters: [{kind: X, scope: {metadata: 1}}]}",
            "scope has no key `metadata`",
        ),
        ("---\n---\n", "f:1: the file is empty"),
        ("a: [", "this is not YAML"),
    ],
)
def test_a_wrong_topic_file_says_where(text: str, says: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        loads_topic(text, "f")
    assert says in str(caught.value)


def test_plain_data_is_read_like_a_file() -> None:
    rule = parse_fault({"name": "drop", "on": "ping(3)", "do": {"ping_ack": "withhold"}})
    assert (rule.name, rule.on, rule.do) == ("drop", Anchor("ping", 3), PingAck())
    assert parse_scenario({"scenario": "small", "about": "nothing much"}) == loads(SMALL)


def test_a_mistake_in_plain_data_has_no_place_but_the_same_words() -> None:
    with pytest.raises(ScenarioError) as caught:
        parse_fault({"name": "x", "on": "pong", "do": "close", "after": 5})
    assert str(caught.value).splitlines() == [
        "on: there is no moment `pong`: did you mean `ping`?",
        "after: a duration needs a unit: write 5ms or 5s",
    ]
