"""The scenarios that come with mockcentral are what the README and the brief of a scenario say they are."""

from __future__ import annotations

from pathlib import Path

import pytest

from mockcentral.scenario import catalogue, nodes
from mockcentral.scenario.advice import advice, is_for
from mockcentral.scenario.load import ScenarioError, load, load_topic
from mockcentral.scenario.schema import Filter, Publish, Scenario, Topic

NAMES = catalogue.names()
SAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "sample-watch-topic.yaml"
ASKED_FOR = {
    *("calm", "burst", "flaky", "refuse", "restart", "gap", "duplicates", "purged", "slow-harvester"),
    *("marketplace", "token-expiry", "token-refused", "silent", "slow-ack", "ping-lab"),
    *("rolling-update", "too-many-pings", "stalled-window", "bad-proxy", "one-way", "ill-history", "gone-halfway"),
    *("strange-events", "bad-tokens", "pinned-token", "clock-skew", "overload"),
}


def test_every_scenario_that_was_asked_for_is_there() -> None:
    assert set(NAMES) >= ASKED_FOR
    assert len(set(NAMES)) == len(NAMES)


def test_no_two_files_have_the_same_name() -> None:
    files = list(catalogue.directory().rglob("*.yaml"))
    assert len(files) == len(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_called_like_its_file_and_tells_its_story_first(name: str) -> None:
    text = nodes.read_text(catalogue.find(name))
    assert load(name).scenario == name
    first, second, *_ = text.splitlines()
    assert first == "# yaml-language-server: $schema=../scenario.schema.json"
    assert second.startswith("# ")
    assert (catalogue.find(name).parent / "../scenario.schema.json").is_file()


def _lines(scenario: Scenario) -> list[Publish]:
    return [line.publish for line in scenario.traffic]


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_watches_the_sample_topic_and_publishes_for_it_and_for_others(name: str) -> None:
    scenario = load(name)
    (sample,) = load_topic(SAMPLE)
    topic, *_ = scenario.topics
    assert (topic.name, topic.filters) == (sample.name, sample.filters)
    kinds = {publish.kind for publish in _lines(scenario) if is_for(topic, publish)}
    assert kinds == {"APIService", "APIServiceInstance"}
    foreign = [publish for publish in _lines(scenario) if not is_for(topic, publish)]
    assert any(publish.scope == "Environment/other-env" for publish in foreign)
    assert any(publish.kind not in kinds and publish.scope == "Environment/sample-env" for publish in foreign)
    assert any(publish.scope is None for publish in foreign)
    assert advice(scenario) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_expects_the_four_of_every_watch_and_begins_with_the_client(name: str) -> None:
    scenario = load(name)
    if scenario.lab is not None:
        assert scenario.expect == ()
    else:
        assert {"ordered", "unique", "complete", "filterable"} <= {check.name for check in scenario.expect}
    assert {line.on.name for line in scenario.traffic} <= {"stream_open", "subscribe"}


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_is_over_within_twenty_seconds_of_the_last_thing_that_starts_it(name: str) -> None:
    for line in load(name).traffic:
        bursts = -(-line.count // line.burst)
        assert line.after.high + (bursts - 1) * line.every.high <= 20


def test_flaky_breaks_a_dozen_streams_under_five_hundred_events() -> None:
    scenario = load("flaky")
    (topic,) = scenario.topics
    assert sum(line.count for line in scenario.traffic if is_for(topic, line.publish)) == 500
    ends = [rule for rule in scenario.faults if rule.do.name != "goaway"]
    assert sorted(rule.on.nth or 0 for rule in ends) == list(range(1, 13))
    assert {rule.on.name for rule in scenario.faults} == {"stream_open"}
    assert {rule.do.name for rule in scenario.faults} == {"end_status", "reset", "close", "abort", "goaway"}


def test_an_installed_package_uses_the_scenarios_inside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "mockcentral"
    inside = package / "_data" / "scenarios" / "basic"
    inside.mkdir(parents=True)
    (inside / "only.yaml").write_text("scenario: only\nabout: nothing\n")
    monkeypatch.setattr(catalogue, "__file__", str(package / "scenario" / "catalogue.py"))
    assert catalogue.names() == ("only",)
    assert load("only").about == "nothing"
    with pytest.raises(ScenarioError, match="there is no scenario `calm`: write only"):
        load("calm")


def test_advice_is_about_topics_that_get_nothing() -> None:
    topic = Topic(name="t", filters=(Filter(kind="APIService", type=("deleted",)),))
    base = Scenario(scenario="x", about="y")
    traffic = load("calm").traffic
    assert advice(base) == []
    (told,) = advice(Scenario(scenario="x", about="y", traffic=traffic))
    assert told[0] == ("traffic",)
    assert "there are no topics" in told[1]
    other = Topic(name="t", filters=(Filter(kind="Credential"),))
    (told,) = advice(Scenario(scenario="x", about="y", topics=(other,), traffic=traffic))
    assert told == (("topics", 0), "no traffic matches the topic t: its watchers will get nothing")
    assert advice(Scenario(scenario="x", about="y", topics=(topic,), traffic=traffic)) == []
    assert not is_for(topic, Publish(kind="APIService", type=("created",)))


def test_advice_knows_that_nobody_answers_a_ping_that_is_never_sent() -> None:
    from mockcentral.scenario.load import loads

    scenario = loads("scenario: x\nabout: y\nworld: {ping: {every: null}}\nexpect: [answers_pings]\n")
    assert [place for place, _ in advice(scenario)] == [("expect",)]
