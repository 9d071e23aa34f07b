"""WatchTopics: which events a topic matches, and who that is for a given event (protocol 5.4).

A filter is a conjunction of exact values and `*`, so it is one key of the five fields. An event can only match keys
made of its own values and stars; looking those up costs the same with ten topics and with a hundred thousand. Only
star patterns that some registered filter really uses are tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from mockcentral._core.events import FILTER_WORD, Change, Op
from mockcentral._core.frozen import dataclass
from mockcentral._core.log import TopicLog
from mockcentral._core.resources import unversioned
from mockcentral.scenario.schema import ALL_TYPES, Filter, FilterScope
from mockcentral.scenario.schema import Topic as TopicSpec

ANY = "*"

Key = tuple[str, str, str, str, str]
"""group, kind, name, scope kind, scope name; `*` for any."""
Stars = tuple[bool, bool, bool, bool, bool]

MAX_FOUND = 4096
"""Sorts of changes whose topics are remembered; publishers choose how many there are."""


@dataclass(frozen=True, slots=True)
class Topic:
    """A WatchTopic as the watch service knows it. `link` has no version in it, see `resources.unversioned`."""

    name: str
    id: str
    link: str
    self_link: str
    filters: tuple[Filter, ...]


def matches(filter: Filter, change: Change) -> bool:
    """Whether one filter matches one change: the definition that the index is tested against."""
    word = FILTER_WORD.get(change.op)
    if word is None or word not in filter.type:
        return False
    if filter.group not in (ANY, change.group) or filter.kind not in (ANY, change.kind):
        return False
    if filter.name not in (ANY, change.name):
        return False
    if filter.scope is None:  # protocol 5.4: a missing scope matches whatever the scope is
        return True
    if change.scope is None:
        return filter.scope.kind == ANY and filter.scope.name == ANY
    return filter.scope.kind in (ANY, change.scope.kind) and filter.scope.name in (ANY, change.scope.name)


def filters_of(spec: object) -> tuple[Filter, ...]:
    """The filters of a WatchTopic's `spec`, as JSON or YAML gave it (protocol 5.1).

    Raises ValueError naming the place and what to write there.
    """
    if not isinstance(spec, Mapping):
        raise ValueError("spec is missing: a WatchTopic needs spec.filters")
    filters = spec.get("filters")
    if not isinstance(filters, (list, tuple)) or not filters:
        raise ValueError("spec.filters must be a list with at least one filter")
    return tuple(_filter(entry, f"spec.filters[{position}]") for position, entry in enumerate(filters))


def resource_of(topic: TopicSpec) -> dict[str, Any]:
    """The WatchTopic resource of a scenario's or a file's topic: what `filters_of` reads back (protocol 5.1)."""
    return {
        "group": "management",
        "apiVersion": "v1",
        "kind": "WatchTopic",
        "name": topic.name,
        "title": topic.title or topic.name,
        "spec": {"filters": [_filter_json(entry) for entry in topic.filters], "description": topic.description},
    }


@lru_cache(256)
def topic_of(topic: TopicSpec) -> tuple[dict[str, Any], tuple[Filter, ...]]:
    """`resource_of` a topic, which nobody may change, and its filters as `filters_of` reads them there."""
    resource = resource_of(topic)
    return resource, filters_of(resource["spec"])


def _filter_json(filter: Filter) -> dict[str, Any]:
    shown: dict[str, Any] = {"group": filter.group, "kind": filter.kind, "name": filter.name, "type": list(filter.type)}
    if filter.scope is not None:
        shown["scope"] = {"kind": filter.scope.kind, "name": filter.scope.name}
    return shown


def _filter(entry: object, where: str) -> Filter:
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be an object with group, kind, name and type")
    words: dict[str, str] = {}
    for key in ("group", "kind", "name"):
        value = entry.get(key)
        if not isinstance(value, str) or not value:
            raise ValueError(f"{where}.{key} is missing: write a {key} or '*' for any")
        words[key] = value
    types = entry.get("type")
    types = [types] if isinstance(types, str) else types
    if not isinstance(types, (list, tuple)) or not types:
        raise ValueError(f"{where}.type must be a list of {', '.join(ALL_TYPES)}")
    for word in types:
        if word not in ALL_TYPES:
            raise ValueError(f"{where}.type holds {word!r}: it may hold {', '.join(ALL_TYPES)}")
    return Filter(type=tuple(types), scope=_scope(entry.get("scope"), where), **words)


def _scope(scope: object, where: str) -> FilterScope | None:
    if scope is None:
        return None
    if not isinstance(scope, Mapping):
        raise ValueError(f"{where}.scope must be an object with kind and name")
    kind, name = scope.get("kind") or "", scope.get("name") or ""
    if not isinstance(kind, str) or not isinstance(name, str):
        raise ValueError(f"{where}.scope.kind and .name must be text")
    if not kind and not name:  # Go marshals an empty struct: no scope was asked for
        return None
    return FilterScope(kind=kind or ANY, name=name or ANY)


def _key(filter: Filter) -> Key:
    scope = filter.scope
    return (filter.group, filter.kind, filter.name, scope.kind if scope else ANY, scope.name if scope else ANY)


class TopicEntry:
    """A registered topic with its history and the calls that watch it right now."""

    __slots__ = ("calls", "log", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.log = TopicLog()
        self.calls: dict[int, None] = {}


class TopicIndex:
    """All topics of a world, by link and by what they match."""

    def __init__(self) -> None:
        self._by_link: dict[str, TopicEntry] = {}
        self._by_self_link: dict[str, TopicEntry] = {}
        self._by_key: dict[Key, dict[str, frozenset[str]]] = {}
        self._stars: dict[Stars, int] = {}
        self._found: dict[tuple[Op, str, str, str, str], tuple[TopicEntry, ...]] = {}
        """What `matching` has found for a change of any name, while no filter asks for one."""

    def add(self, topic: Topic) -> TopicEntry:
        """Register a topic. One with the same link gets the new filters; its history and its watchers stay."""
        self._found.clear()
        old = self.remove(topic.link)
        entry = old or TopicEntry(topic)
        entry.topic = topic
        self._by_link[topic.link] = self._by_self_link[topic.self_link] = entry
        for key, words in _merged(topic.filters).items():
            self._by_key.setdefault(key, {})[topic.link] = words
            stars = _stars(key)
            self._stars[stars] = self._stars.get(stars, 0) + 1
        return entry

    def remove(self, link: str) -> TopicEntry | None:
        """Take a topic out; returns its entry, None when there is none."""
        entry = self._by_link.pop(link, None)
        if entry is None:
            return None
        self._found.clear()
        self._by_self_link.pop(entry.topic.self_link, None)
        for key in _merged(entry.topic.filters):
            bucket = self._by_key[key]
            del bucket[link]
            if not bucket:
                del self._by_key[key]
            stars = _stars(key)
            self._stars[stars] -= 1
            if not self._stars[stars]:
                del self._stars[stars]
        return entry

    def get(self, link: str) -> TopicEntry | None:
        return self._by_link.get(link)

    def find(self, self_link: str) -> TopicEntry | None:
        """The topic of a selfLink in any version."""
        return self._by_self_link.get(self_link) or self._by_link.get(unversioned(self_link))

    def __iter__(self) -> Iterator[TopicEntry]:
        return iter(self._by_link.values())

    def __len__(self) -> int:
        return len(self._by_link)

    def matching(self, change: Change) -> tuple[TopicEntry, ...]:
        """Every topic that matches, each once however many of its filters do."""
        scope = change.scope
        # Without a scope only "any scope" can match; an empty string is no value a filter may ask for.
        scope_kind, scope_name = (scope.kind, scope.name) if scope else ("", "")
        alike = (change.op, change.group, change.kind, scope_kind, scope_name)
        known = self._found.get(alike)
        if known is None:
            known = self._matching(change, scope_kind, scope_name)
            if all(any_name for _, _, any_name, _, _ in self._stars):
                if len(self._found) >= MAX_FOUND:
                    self._found.clear()
                self._found[alike] = known
        return known

    def _matching(self, change: Change, scope_kind: str, scope_name: str) -> tuple[TopicEntry, ...]:
        word = FILTER_WORD.get(change.op)
        if word is None:
            return ()
        group, kind, name = change.group, change.kind, change.name
        found: dict[str, None] = {}
        for stars in self._stars:
            any_group, any_kind, any_name, any_scope_kind, any_scope_name = stars
            bucket = self._by_key.get(
                (
                    ANY if any_group else group,
                    ANY if any_kind else kind,
                    ANY if any_name else name,
                    ANY if any_scope_kind else scope_kind,
                    ANY if any_scope_name else scope_name,
                )
            )
            if bucket is None:
                continue
            for link, words in bucket.items():
                if word in words:
                    found[link] = None
        return tuple([self._by_link[link] for link in found])


def _stars(key: Key) -> Stars:
    group, kind, name, scope_kind, scope_name = key
    return (group == ANY, kind == ANY, name == ANY, scope_kind == ANY, scope_name == ANY)


def _merged(filters: Iterable[Filter]) -> dict[Key, frozenset[str]]:
    merged: dict[Key, frozenset[str]] = {}
    for filter in filters:
        key = _key(filter)
        merged[key] = merged.get(key, frozenset()) | frozenset(filter.type)
    return merged
