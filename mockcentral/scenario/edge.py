"""What of a scenario an edge can play: faults of frames, TCP and TLS, at the moments an edge sees.

An edge stands in front of somebody else's server. It knows connections, streams and PINGs; it has no events, no tokens,
no history and no topics, and it does not speak for the server inside a stream, but to end one.
"""

from __future__ import annotations

from dataclasses import replace

from mockcentral.faults.cut import Cut
from mockcentral.scenario.errors import Problem, ScenarioError, one_of, shown
from mockcentral.scenario.schema import FaultRule, Scenario

LEVELS = ("http2", "tcp", "tls")
ALSO = ("noop", "cut", "restart")
"""Faults of other levels that an edge can do."""
ANCHORS = ("start", "connect", "preface", "stream_open", "stream_end", "ping", "ping_acked")


def for_edge(scenario: Scenario, file: str = "") -> Scenario:
    """The part of a scenario that an edge plays: its faults. Raises ScenarioError for faults it cannot do."""
    problems = [Problem(file, 0, 0, text) for rule in scenario.faults for text in _problems(rule)]
    if scenario.attempts:
        problems.append(
            Problem(file, 0, 0, "attempts: an edge cannot end a call with a status: use faults, such as reset")
        )
    if problems:
        raise ScenarioError(problems)
    return replace(scenario, topics=(), traffic=(), expect=(), lab=None)


def left_out(scenario: Scenario) -> list[str]:
    """The parts of a scenario that an edge passes over, by their keys."""
    return [key for key in ("topics", "traffic", "expect", "lab") if getattr(scenario, key)]


def _problems(rule: FaultRule) -> list[str]:
    fault, found = rule.do, []
    where = f"fault rule {shown(rule.name)}"
    possible = fault.name in ALSO or (fault.level in LEVELS)
    if not possible:
        found.append(f"{where}: {fault.name} needs the fake's own world: an edge does faults of frames, TCP and TLS")
    elif isinstance(fault, Cut) and (fault.of == "events" or fault.then == "silence"):
        found.append(
            f"{where}: an edge counts no events and keeps none back: cut `of: bytes`, `then` anything but silence, or "
            "let `blackhole: to_client` make it silent"
        )
    for moment in (rule.on, *rule.given):
        if moment.name not in ANCHORS:
            found.append(f"{where}: {moment} never happens at an edge: write {one_of(ANCHORS)}")
    return found
