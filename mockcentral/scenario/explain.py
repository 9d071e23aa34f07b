"""A scenario in plain sentences, for people who have to find out why their client failed in it."""

from __future__ import annotations

import dataclasses
import inspect
import json
import textwrap
import typing
from collections.abc import Iterator
from typing import Any

from mockcentral.faults.base import Fault
from mockcentral.scenario import scalars
from mockcentral.scenario.advice import is_for
from mockcentral.scenario.errors import one_of
from mockcentral.scenario.fields import FieldDoc
from mockcentral.scenario.schema import (
    ALL_TYPES,
    Attempt,
    Expectation,
    FaultRule,
    Filter,
    Rule,
    Scenario,
    Step,
    Target,
    Topic,
    Traffic,
    When,
)
from mockcentral.scenario.steps import Create, Set, Update
from mockcentral.scenario.types import Anchor, Span
from mockcentral.scenario.writer import plain

WIDTH = 100

_MOMENTS = {
    "start": "the world starts",
    "connect": "{} TCP connection is accepted",
    "preface": "{} connection begins to speak HTTP/2",
    "stream_open": "{} watch call is opened",
    "subscribe": "{} subscription is accepted",
    "token_refresh": "{} newer token of a call is accepted",
    "event": "{} event of a call is about to be sent",
    "ping": "{} HTTP/2 PING of a connection arrives",
    "ping_acked": "{} HTTP/2 PING of a connection is acked",
    "stream_end": "{} watch call ends",
    "harvest": "{} history request is about to be answered",
    "page": "page {} of a history is about to be served",
    "token": "{} token request is about to be answered",
    "http": "{} HTTP request is about to be answered",
    "publish": "{} event is published",
    "barrier": "{} barrier is passed",
}


def explain(scenario: Scenario) -> str:
    """What a scenario does and what it expects, as a text of several paragraphs that ends with a newline."""
    about = [scenario.level, f"seed {scenario.seed}"]
    about += [f"needs the {need}: cannot run in the simulator" for need in scenario.needs]
    lines = [f"{scenario.scenario} ({', '.join(about)})", "", *_wrapped(scenario.about, "")]
    lines += _section("The world", _world(scenario))
    lines += _section("Topics", map(_topic, scenario.topics))
    lines += _section("What is published", (_traffic(line, scenario) for line in scenario.traffic))
    lines += _section("What Central does by itself", map(_own_rule, scenario.rules))
    lines += _section("What breaks", (*_rules(scenario.faults), *_attempts(scenario.attempts)))
    if scenario.lab is not None:
        text = f"nothing is judged: the run ends when {scenario.lab.over} strikes, with a card of what was seen"
        lines += _section("What is measured", [text])
    lines += _section(
        "What must hold", (f"{check.name}{_settings(check)}: {sentence(check)}" for check in scenario.expect)
    )
    return "\n".join(lines) + "\n"


def sentence(thing: object) -> str:
    """The first paragraph of a class's docstring on one line."""
    kind = thing if isinstance(thing, type) else type(thing)
    return " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())


def summary(scenario: Scenario) -> str:
    """The first sentence of the story."""
    first, _, _ = " ".join(scenario.about.split()).partition(". ")
    return first.rstrip(".") + "."


def _section(title: str, entries: Any) -> Iterator[str]:
    entries = list(entries)
    if entries:
        yield ""
        yield title
        for entry in entries:
            yield from _wrapped(entry, "  - ")


def _wrapped(text: str, bullet: str) -> list[str]:
    indent = " " * len(bullet)
    return textwrap.wrap(" ".join(text.split()), WIDTH, initial_indent=bullet, subsequent_indent=indent) or [bullet]


def _world(scenario: Scenario) -> Iterator[str]:
    """The settings that differ from the defaults, each with its meaning."""
    given = plain(scenario.world)
    for field in dataclasses.fields(scenario.world):
        value = getattr(scenario.world, field.name)
        if field.name not in given:
            continue
        if not dataclasses.is_dataclass(value):
            yield f"{field.name} is {given[field.name]}: {FieldDoc.of(field).text}"
            continue
        for inner in dataclasses.fields(value):
            if inner.name in given[field.name]:
                yield f"{field.name}.{inner.name} is {given[field.name][inner.name]}: {FieldDoc.of(inner).text}"


def _topic(topic: Topic) -> str:
    return f"{topic.name} matches {one_of([_filter(filter) for filter in topic.filters])}"


def _filter(filter: Filter) -> str:
    kind = "any kind" if filter.kind == "*" else filter.kind
    name = "" if filter.name == "*" else f" called {filter.name}"
    group = "" if filter.group == "management" else f" of group {filter.group}"
    where = f" in {filter.scope.kind}/{filter.scope.name}" if filter.scope else " in any scope or none"
    return f"{kind}{name}{group}{where}{_types(filter.type)}"


def _types(types: tuple[str, ...]) -> str:
    return "" if set(types) == set(ALL_TYPES) else f" ({', '.join(types)})"


def _traffic(line: Traffic, scenario: Scenario) -> str:
    publish = line.publish
    what = f"{publish.kind}{f' {publish.name}' if publish.name else ''}"
    where = f" in {publish.scope}" if publish.scope else " without a scope"
    part = f", its {publish.subresource}" if publish.subresource else ""
    pace = f"one every {scalars.write_span(line.every)}"
    if line.burst > 1:
        pace = f"{line.burst} at once every {scalars.write_span(line.every)}"
    start = f"from when {_moment(line.on, 'the first')}" + _later(line.after, " {} after")
    watchers = [topic.name for topic in scenario.topics if is_for(topic, publish)]
    for_whom = f"for {one_of(watchers)}" if watchers else "for no topic here"
    count = "1 change" if line.count == 1 else f"{line.count} changes"
    return f"{count} of {what}{where}{part}{_types(publish.type)}, {pace}, {start}; {for_whom}"


def _own_rule(rule: Rule) -> str:
    what = _change(rule.when) if rule.when is not None else _moment(rule.on or Anchor("start"), "a")
    when = f"{_later(rule.after, '{} after ') or 'when '}{what}"
    each = " for each" if rule.when else ""
    often = f", once{each}" if rule.times == 1 else f", at most {rule.times} times{each}"
    about = _target(rule.resource) if rule.resource else "it"
    return f"{rule.name}: {when}{often}: {', then '.join(_step(step, about) for step in rule.then)}"


def _change(when: When) -> str:
    what = _filter(when).removesuffix(_types(when.type))
    words = {"created": "is created", "updated": "is changed", "deleted": "is gone"}
    if when.subresource is not None:
        words["updated"] = f"gets a new {when.subresource}"
    query = f" and {when.query.strip()}" if when.query.strip() else ""
    return f"{what} {one_of([words[word] for word in when.type])}{query}"


def _target(target: Target) -> str:
    group = "" if target.group == "management" else f" of group {target.group}"
    return f"{target.kind} {target.name}{group}{f' in {target.scope}' if target.scope else ''}"


def _step(step: Step, about: str) -> str:
    if isinstance(step, Create):
        return f"create {_target(step.resource)}"
    if isinstance(step, Set):
        return f"set {step.subresource} of {about} to {json.dumps(step.value, ensure_ascii=False)}"
    if isinstance(step, Update):
        found = plain(step)["update"]
        return f"update {about}: {', '.join(f'{key} {json.dumps(value)}' for key, value in found.items())}"
    return f"{step.name} {about}"


def _rules(rules: tuple[FaultRule, ...]) -> Iterator[str]:
    told: set[str] = set()
    for rule in rules:
        yield _rule(rule) + ("" if rule.do.name in told else f". {sentence(rule.do)}")
        told.add(rule.do.name)


def _rule(rule: FaultRule) -> str:
    often = {None: "", 1: ", once"}.get(rule.times, f", at most {rule.times} times")
    chance = "" if rule.probability >= 1 else f", with a chance of {rule.probability:g}"
    limit = "" if rule.ttl is None else f", within the first {scalars.write_duration(rule.ttl)}"
    if rule.during is not None:
        low, high = rule.during.low, rule.during.high
        limit += f", from watch call {low} on until " + (f"call {high + 1}" if high > low else "the next")
    when = f"{_later(rule.after, '{} after ') or 'when '}{_moment(rule.on, 'a')}"
    when += "".join(f", once {_moment(anchor, 'a')}" for anchor in rule.given)
    return f"{rule.name}: {when}{often}{chance}{limit}: {rule.do.name}{_settings(rule.do)}"


def _attempts(attempts: tuple[Attempt, ...]) -> Iterator[str]:
    for number, attempt in enumerate(attempts, 1):
        which = f"the {_ordinal(number)} watch call"
        if attempt.refuse is not None:
            yield f"{which} is refused with {attempt.refuse.name}"
        elif attempt.abort_after is not None:
            abort = attempt.abort_after
            limits = [] if abort.events is None else [f"after {abort.events} events"]
            limits += [] if abort.time is None else [f"{scalars.write_span(abort.time)} after it was opened"]
            yield f"{which} is ended with {abort.code.name} {one_of(limits)}"


def _settings(thing: Fault | Expectation) -> str:
    """All settings, defaults too: who reads this should not have to look them up."""
    for word, settings in thing.words.items() if isinstance(thing, Fault) else ():
        if all(getattr(thing, name) == value for name, value in settings.items()):
            return f" ({word})"
    hints = typing.get_type_hints(type(thing))
    found = []
    for field in dataclasses.fields(thing):
        value = plain(getattr(thing, field.name), hints[field.name])
        if value not in (None, False, ""):
            found.append(f"{field.name} {value}")
    return f" ({', '.join(found)})" if found else ""


def _moment(anchor: Anchor, each: str) -> str:
    which = each
    if anchor.name == "page":
        which = "of any number" if anchor.nth is None else f"{anchor.nth}{' or a later one' if anchor.onwards else ''}"
    elif anchor.nth is not None:
        which = f"the {_ordinal(anchor.nth)}" + (" or a later" if anchor.onwards else "")
    text = _MOMENTS[anchor.name].format(which)
    return text.replace("a event", "an event").replace("a HTTP/2", "an HTTP/2").replace("a HTTP", "an HTTP")


def _later(span: Span, form: str) -> str:
    return "" if span.high == 0 else form.format(scalars.write_span(span))


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
