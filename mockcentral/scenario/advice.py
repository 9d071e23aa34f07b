"""What a scenario says that is allowed and probably not meant. `validate` shows it; nothing else is hindered by it."""

from __future__ import annotations

from collections.abc import Iterator

from mockcentral._core.events import Change, Op, parse_scope
from mockcentral._core.topics import matches
from mockcentral.scenario.schema import Filter, Publish, Scenario, Topic
from mockcentral.scenario.steps import Create

Place = tuple[str | int, ...]
"""Keys and positions from the top of the file to what is meant."""

_OPS = {"created": Op.CREATED, "updated": Op.UPDATED, "deleted": Op.DELETED}


def advice(scenario: Scenario) -> list[tuple[Place, str]]:
    """Sentences about a scenario, each with its place in the file."""
    found: list[tuple[Place, str]] = []
    for number, topic in enumerate(scenario.topics):
        if scenario.traffic and not any(is_for(topic, publish) for publish in _published(scenario)):
            place: Place = ("topics", number)
            found.append((place, f"no traffic matches the topic {topic.name}: its watchers will get nothing"))
    if scenario.traffic and not scenario.topics:
        found.append(
            (("traffic",), "there are no topics: whoever watches must create one, or --topic-file must name one")
        )
    if scenario.world.ping.every is None and any(check.name == "answers_pings" for check in scenario.expect):
        found.append((("expect",), "answers_pings is expected, but world.ping.every is null: no PING is ever sent"))
    return found


def _published(scenario: Scenario) -> Iterator[Publish]:
    """What traffic publishes, and what rules create."""
    for line in scenario.traffic:
        yield line.publish
    for rule in scenario.rules:
        for step in rule.then:
            if isinstance(step, Create):
                made = step.resource
                yield Publish(group=made.group, kind=made.kind, name=made.name, scope=made.scope)


def is_for(topic: Topic, publish: Publish) -> bool:
    """Whether a topic matches some of what a traffic line publishes."""
    return any(_may_match(filter, publish) for filter in topic.filters)


def _may_match(filter: Filter, publish: Publish) -> bool:
    name = publish.name or (filter.name if filter.name != "*" else "any")
    scope = parse_scope(publish.scope)
    changes = (Change(_OPS[word], publish.group, publish.kind, name, scope) for word in publish.type)
    return any(matches(filter, change) for change in changes)
