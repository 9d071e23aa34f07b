"""Reading scenarios and topics: from a file, a text, or plain data; by a built-in's name.

Everything raises `ScenarioError`, a ValueError whose text is one line a problem: `file:line: what is wrong`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from mockcentral._core.frozen import strict_dataclass
from mockcentral.scenario import catalogue, nodes
from mockcentral.scenario.errors import Problem, ScenarioError
from mockcentral.scenario.fields import doc
from mockcentral.scenario.reader import read
from mockcentral.scenario.scaling import scaled
from mockcentral.scenario.schema import NAME, FaultRule, Filter, Scenario, Topic
from mockcentral.scenario.writer import dumps

__all__ = [
    "Problem",
    "ScenarioError",
    "dumps",
    "load",
    "load_topic",
    "loads",
    "loads_topic",
    "parse_fault",
    "parse_scenario",
    "parse_topic",
    "read_topic",
    "scaled",
]


def load(name: str | Path, *, builtin_only: bool = False) -> Scenario:
    """A built-in scenario by name, or one from a file.

    What has a slash or a suffix is a path; any other word is a built-in's name first and a path second. With
    `builtin_only` it is a name or nothing.
    """
    path = Path(name) if not builtin_only and catalogue.is_path(name) else catalogue.find(str(name))
    return loads(nodes.read_text(path), str(path))


def loads(text: str, file: str = "<string>") -> Scenario:
    """A scenario from YAML or JSON text; `file` is how messages call it."""
    return _scenario(_only(nodes.documents(text, file), file), file)


def parse_scenario(data: object) -> Scenario:
    """A scenario from plain data, as JSON gives it."""
    return _scenario(nodes.from_data(data), "")


def parse_fault(data: object) -> FaultRule:
    """A fault rule from plain data: `{"name": "drop", "on": "ping(3)", "do": {"ping_ack": "withhold"}}`."""
    return read(nodes.from_data(data), FaultRule, "", what="a fault rule")


def load_topic(path: str | Path) -> tuple[Topic, ...]:
    """The WatchTopics of a resource file, at least one; several stand in documents of their own (protocol 5.1)."""
    return loads_topic(nodes.read_text(Path(path)), str(path))


def loads_topic(text: str, file: str = "<string>") -> tuple[Topic, ...]:
    """The WatchTopics of a text, see `load_topic`."""
    found = []
    for node in nodes.documents(text, file):
        if isinstance(node, nodes.Scalar) and node.value is None:
            continue  # an empty document: `---` at the end of a file
        found.append(read_topic(node, file))
    if not found:
        raise ScenarioError([Problem(file, 1, 1, "the file is empty")])
    return tuple(found)


def parse_topic(data: object) -> Topic:
    """A topic from plain data: a WatchTopic resource, or `{"name": ..., "filters": [...]}` as in scenarios."""
    if isinstance(data, Mapping) and "filters" in data:
        return read(nodes.from_data(data), Topic, "", what="a topic")
    return read_topic(nodes.from_data(data), "")


# ------------------------------------------------------------------------------------------------ resource files
@strict_dataclass(frozen=True, slots=True, kw_only=True)
class _TopicSpec:
    filters: tuple[Filter, ...] = doc("an event matches when any filter matches", minimum=1)
    description: str = doc("free text", "")


@strict_dataclass(frozen=True, slots=True, kw_only=True)
class _TopicResource:
    group: Literal["management"] = doc("its API group", "management")
    apiVersion: Literal["v1", "v1alpha1"] = doc("how links to it are spelled; both mean the same object", "v1")
    kind: Literal["WatchTopic"] = doc("its kind")
    name: str = doc("resource name", pattern=NAME, example="sample-watch-topic")
    title: str | None = doc("defaults to the name", None)
    spec: _TopicSpec = doc("its filters and description")


_OURS = ("metadata", "attributes", "tags", "finalizers", "owner")
"""Keys of a resource as Central shows it that mean nothing for a topic: `get -o yaml` may be fed back."""


def read_topic(node: nodes.Node, file: str) -> Topic:
    """A topic from one document of a file."""
    resource = read(node, _TopicResource, file, what="a WatchTopic", ignored=_OURS)
    return Topic(
        name=resource.name,
        title=resource.title,
        description=resource.spec.description,
        filters=resource.spec.filters,
    )


def _scenario(node: nodes.Node, file: str) -> Scenario:
    return read(node, Scenario, file, what="a scenario")


def _only(documents: list[nodes.Node], file: str) -> nodes.Node:
    if len(documents) > 1:
        second = documents[1]
        raise ScenarioError(
            [Problem(file, second.line, 1, "a scenario file holds one document: move this to a file of its own")]
        )
    return documents[0]
