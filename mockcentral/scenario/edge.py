"""What of a scenario an edge can play: faults of frames, TCP and TLS, at the moments an edge sees.

An edge stands in front of somebody else's server. It knows connections, streams and PINGs; it has no events, no tokens,
no history and no topics, and it does not speak for the server inside a stream, but to end one.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from mockcentral.faults.cut import Cut
from mockcentral.scenario.errors import ScenarioError, one_of, shown
from mockcentral.scenario.places import NOWHERE, places
from mockcentral.scenario.schema import FaultRule, Scenario

LEVELS = ("http2", "tcp", "tls")
ALSO = ("noop", "cut", "restart")
"""Faults of other levels that an edge can do."""
ANCHORS = ("start", "connect", "preface", "stream_open", "stream_end", "ping", "ping_acked")


def for_edge(scenario: Scenario, source: str | Path | None = None) -> Scenario:
    """The part of a scenario that an edge plays: its faults. Raises ScenarioError for faults it cannot do; `source` is
    the name or file it was loaded from, if it was.
    """
    wrong = [(rule.name, key, text) for rule in scenario.faults for key, text in _problems(rule)]
    if scenario.attempts:
        wrong.append(("", "attempts", "attempts: an edge cannot end a call with a status: use faults, such as reset"))
    there = places(source) if source is not None and wrong else NOWHERE
    problems = [there.problem(text, rule=rule, key=key) for rule, key, text in wrong]
    if problems:
        raise ScenarioError(problems)
    return replace(scenario, topics=(), traffic=(), expect=(), lab=None)


def left_out(scenario: Scenario) -> list[str]:
    """The parts of a scenario that an edge passes over, by their keys."""
    return [key for key in ("topics", "traffic", "expect", "lab") if getattr(scenario, key)]


def _problems(rule: FaultRule) -> list[tuple[str, str]]:
    """What is wrong with a rule, each with the key where it is."""
    fault, found = rule.do, []
    where = f"fault rule {shown(rule.name)}"
    possible = fault.name in ALSO or (fault.level in LEVELS)
    if not possible:
        text = f"{where}: {fault.name} needs the fake's own world: an edge does faults of frames, TCP and TLS"
        found.append(("do", text))
    elif isinstance(fault, Cut) and (fault.of == "events" or fault.then == "silence"):
        text = (
            f"{where}: an edge counts no events and keeps none back: cut `of: bytes`, `then` anything but silence, or "
            "let `blackhole: to_client` make it silent"
        )
        found.append(("do", text))
    for key, moment in (("on", rule.on), *(("given", moment) for moment in rule.given)):
        if moment.name not in ANCHORS:
            found.append((key, f"{where}: {moment} never happens at an edge: write {one_of(ANCHORS)}"))
    return found
