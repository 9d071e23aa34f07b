"""What Central does by itself: rules of the scenario, and the writes they become.

    a change ── Reactor.changed ──┐
                                  +── firings, each after its pause ── fire: writes, one step after the other
    a moment ── Reactor.moment ───┘                                              |
         ^                                                                       |
         +─────────────────────────── their events ──────────────────────────────+

A rule's writes are changes like any other, so rules may set each other off. What one change from outside leads to is
bounded: all firings it causes, at any remove, draw from one `Cause`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from random import Random
from typing import TYPE_CHECKING, Any

from mockcentral._core import rsql, writes
from mockcentral._core.events import Change, Op, parse_scope
from mockcentral._core.frozen import dataclass
from mockcentral._core.placeholders import filled
from mockcentral._core.resources import Json, Place, make_link, unversioned
from mockcentral._core.topics import matches
from mockcentral.scenario.schema import Rule, Step, Target, When
from mockcentral.scenario.steps import Create, Delete, Set, Update

if TYPE_CHECKING:
    from mockcentral._core.central import Central

MAX_FIRINGS = 100
"""Firings that one change from outside may lead to."""


@dataclass(slots=True)
class Cause:
    """A change from outside; `left` is how many more firings it may lead to."""

    left: int = MAX_FIRINGS


@dataclass(frozen=True, slots=True)
class Firing:
    """A rule that fires `after` seconds from now, about `resource` (empty for one tied to a moment)."""

    rule: Rule
    resource: Mapping[str, Any]
    nth: int
    after: float
    cause: Cause


class EndlessRules(Exception):
    """Rules set each other off without an end."""

    def __init__(self, rule: Rule) -> None:
        super().__init__(
            f"one change led to {MAX_FIRINGS} firings of rules: they set each other off; "
            "narrow `when` with a `query`, or lower `times`"
        )
        self.rule = rule


class Reactor:
    """Which rules fire, and how often they did. Every rule draws its pauses from a random stream of its own."""

    def __init__(self, rules: tuple[Rule, ...], seed: int) -> None:
        self._seed = seed
        self._randoms = {rule.name: Random(f"{seed}:rule:{rule.name}") for rule in rules}
        self._fired: dict[tuple[str, str], int] = {}
        """Rule and resource id to how often; the id is empty for moments."""
        self.adopt(rules)

    def adopt(self, rules: tuple[Rule, ...]) -> None:
        """The same rules on another clock."""
        self._on_change = [
            (rule, rule.when, rsql.parse(rule.when.query) if rule.when.query.strip() else None)
            for rule in rules
            if rule.when
        ]
        self.watches = bool(self._on_change)
        """Whether any rule waits for a change."""
        self._on_moment = [(rule, rule.on) for rule in rules if rule.on is not None]
        self.moments = frozenset(anchor.name for _, anchor in self._on_moment)
        """The moments that any rule waits for."""

    def changed(self, change: Change, resource: Json | None, cause: Cause) -> Iterator[Firing]:
        """The rules that fire because of a change; `resource` is what it made, None when it took one away.

        Raises EndlessRules, once for each cause.
        """
        seen = resource
        for rule, when, query in self._on_change:
            if not _fits(when, change):
                continue
            seen = seen if seen is not None else _head(change)
            if query is None or query(seen):
                yield from self._fires(rule, change.resource_id, seen, cause)
        if change.op is Op.DELETED and resource is None:
            for rule, _, _ in self._on_change:  # the id will not come again
                self._fired.pop((rule.name, change.resource_id), None)

    def moment(self, anchor: str, nth: int, cause: Cause) -> Iterator[Firing]:
        """The rules that fire at a moment of the run. Raises EndlessRules, once for each cause."""
        for rule, wanted in self._on_moment:
            if wanted.name == anchor and wanted.matches(nth):
                yield from self._fires(rule, "", {}, cause)

    def _fires(self, rule: Rule, id: str, resource: Mapping[str, Any], cause: Cause) -> Iterator[Firing]:
        fired = self._fired.get((rule.name, id), 0)
        if fired >= rule.times or cause.left < 0:
            return
        cause.left -= 1
        if cause.left < 0:
            raise EndlessRules(rule)
        self._fired[rule.name, id] = fired + 1
        yield Firing(rule, resource, fired + 1, rule.after.pick(self._randoms[rule.name]), cause)


def fire(central: Central, firing: Firing, now: float) -> None:
    """Take the steps of a rule.

    Raises ValueError when one is refused, or a placeholder names what is not there; the steps before it were taken.
    """
    own = _place_of(firing.resource) if firing.resource else None
    target = firing.rule.resource
    about = own if target is None else _place(target, firing.resource)
    for step in firing.rule.then:
        try:
            _take(central, step, about, firing.resource, now)
        except (writes.Refused, ValueError, OverflowError) as error:
            raise ValueError(f"{step.name}: {error}") from None


def _take(central: Central, step: Step, about: Place | None, resource: Mapping[str, Any], now: float) -> None:
    if isinstance(step, Create):
        writes.create(central, _place(step.resource, resource), _body(step, resource), now)
        return
    assert about is not None  # the reader has seen to it
    if isinstance(step, Set):
        place = Place(about.collection, about.name, step.subresource)
        writes.put_subresource(central, place, {step.subresource: filled(step.value, resource)}, now)
    elif isinstance(step, Update):
        old = central.resources.get(about.link)
        if old is None:
            raise ValueError(f"there is no {about.link}")
        writes.replace(central, about, _updated(old, step, resource), now)
    elif isinstance(step, Delete):
        writes.delete(central, about, now)


def _body(step: Create, resource: Mapping[str, Any]) -> Json:
    written = {
        **step.subresources,
        "kind": step.resource.kind,
        "name": step.resource.name,
        "title": step.title or "",
        "attributes": step.attributes,
        "tags": list(step.tags),
        "finalizers": [{"name": name} for name in step.finalizers],
        "spec": step.spec,
    }
    body: Json = filled(written, resource)
    return body


def _updated(old: Mapping[str, Any], step: Update, resource: Mapping[str, Any]) -> Json:
    gone = set(step.remove_finalizers)
    kept = [each for each in old["finalizers"] if not (isinstance(each, Mapping) and each.get("name") in gone)]
    there = {each.get("name") for each in kept if isinstance(each, Mapping)}
    return {
        **old,
        "title": old["title"] if step.title is None else filled(step.title, resource),
        "attributes": merged(old["attributes"], filled(step.attributes, resource)),
        "spec": merged(old["spec"], filled(step.spec, resource)),
        "finalizers": [*kept, *({"name": name} for name in dict.fromkeys(step.add_finalizers) if name not in there)],
    }


def merged(value: Any, patch: Any) -> Any:
    """A JSON value after a merge patch (RFC 7396)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(value) if isinstance(value, Mapping) else {}
    for key, item in patch.items():
        if item is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), item)
    return result


def _fits(when: When, change: Change) -> bool:
    if not matches(when, change):
        return False
    return when.subresource is None or (change.op is Op.SUBRESOURCEUPDATED and change.subresource == when.subresource)


def _head(change: Change) -> Json:
    """What is known of a resource that is gone."""
    scope = change.scope
    return {
        "group": change.group,
        "kind": change.kind,
        "name": change.name,
        "attributes": dict(change.attributes),
        "metadata": {
            "id": change.resource_id,
            "selfLink": change.self_link,
            "scope": {"kind": scope.kind, "name": scope.name} if scope else None,
            "references": [],
        },
    }


def _place_of(resource: Mapping[str, Any]) -> Place:
    return Place.at(unversioned(resource["metadata"]["selfLink"]))


def _place(target: Target, resource: Mapping[str, Any]) -> Place:
    given = {"group": target.group, "kind": target.kind, "name": target.name, "scope": target.scope}
    names = {key: filled(text, resource) for key, text in given.items()}
    for key, text in names.items():
        if text is not None and not isinstance(text, str):
            raise ValueError(f"{key} of a resource is text, not {text!r}")
    scope = parse_scope(names["scope"])
    return Place.at(
        make_link(
            names["group"], names["kind"], names["name"], scope.kind if scope else None, scope.name if scope else None
        )
    )
