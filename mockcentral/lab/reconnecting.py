"""The reconnect law: how long a client waits before it tries again, and when it forgets its failures.

Two kinds of failures are looked at for themselves, because libraries and applications each have their own clock: calls
that are refused on a connection that is well, and connections that break before they got an answer. A *series* is a run
of such failures in a row; the delays of a series are those from one failure's end to the next try.

    delay(i) = base * factor ** i, at most cap, each off by up to a share of jitter
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from mockcentral.conformance.checks.evidence import Attempt
from mockcentral.conformance.checks.finding import Record
from mockcentral.lab.measurement import Measurement, duration, numbers, unknown
from mockcentral.lab.sightings import Sightings

AT_ONCE = 0.03
"""Delays below this are none. Seconds."""
ALIKE = 1.3
"""Two delays within this factor are the same delay with some jitter."""
ONE_LAW = 0.35
"""Delays that are further from the law than this share do not follow it. Libraries that follow one are within 20 %."""
ENOUGH = 3
"""Delays in a row from which a constant can be told."""
ENOUGH_TO_GROW = 5
"""And growth: three or four random delays grow by accident too often."""


@dataclass(frozen=True, slots=True)
class Series:
    """Failures in a row and the delay after each. `lines` are the ends and the next tries, in order."""

    delays: tuple[float, ...]
    lines: tuple[Record, ...]


@dataclass(frozen=True, slots=True)
class Law:
    """What the delays of a series come to. `factor` None: they follow no law; `cap` None: they were still growing."""

    base: float
    factor: float | None
    jitter: float | None
    cap: float | None


def fit(delays: Sequence[float]) -> Law:
    """The law of a series of at least three delays, seconds; growth is only told from five on."""
    floor = [max(delay, 0.001) for delay in delays]
    if max(floor) < AT_ONCE:
        return Law(median(delays), 1.0, None, None)
    rising = _rising(floor)
    grown = floor[: rising + 1]
    if len(grown) < 3:  # no growth worth the name: one delay with jitter
        middle = median(floor)
        jitter = max(abs(delay / middle - 1) for delay in floor)
        return Law(middle, 1.0 if jitter <= ONE_LAW else None, jitter if jitter <= ONE_LAW else None, None)
    logs = [math.log(delay) for delay in grown]
    count = len(logs)
    center = (count - 1) / 2
    slope = sum((place - center) * value for place, value in enumerate(logs)) / sum(
        (place - center) ** 2 for place in range(count)
    )
    start = sum(logs) / count - slope * center
    jitter = max(abs(math.exp(value - start - slope * place) - 1) for place, value in enumerate(logs))
    if jitter > ONE_LAW or slope <= 0 or len(delays) < ENOUGH_TO_GROW:
        return Law(floor[0], None, None, None)
    plateau = floor[rising:]
    return Law(math.exp(start), math.exp(slope), jitter, median(plateau) if len(plateau) >= 3 else None)


def confirmed(law: Law, again: Sequence[Sequence[float]]) -> Law:
    """The law, if the first delays of other series follow it too; random delays may look like a law once, not twice.

    A series that did not begin anew goes on anywhere, so one is only held against the law when it begins at its base.
    """
    if law.factor is None or law.jitter is None:
        return law
    jitter = law.jitter
    for delays in again:
        off = [abs(max(delay, 0.001) / (law.base * law.factor**place) - 1) for place, delay in enumerate(delays)]
        if law.cap is None and off and delays[0] < 2 * law.base:
            jitter = max(jitter, *off)
    return law if jitter == law.jitter else Law(law.base, law.factor if jitter <= ONE_LAW else None, jitter, law.cap)


def _rising(delays: Sequence[float]) -> int:
    """Where the delays stop growing: the first place from which on all are like the largest."""
    top = max(delays)
    for place in range(len(delays)):
        if all(top / delay <= ALIKE for delay in delays[place:]):
            return place
    return len(delays) - 1


# ------------------------------------------------------------------------------------------ series
def refused(seen: Sightings) -> list[Series]:
    """The series of refused calls: ended by the server before a subscription was accepted."""
    return _series([(call.opened, call.end if _is_refusal(call) else None) for call in seen.attempts])


def _is_refusal(call: Attempt) -> bool:
    return call.topic is None and not call.events and call.end is not None and call.end.get("by") == "server"


def broken(seen: Sightings) -> list[Series]:
    """The series of connections that the server broke before a call."""
    tries: list[tuple[Record, Record | None]] = []
    for connection in seen.connections.values():
        closed = connection.closed
        failed = not connection.calls and closed is not None and closed.get("by") == "server"
        tries.append((connection.opened, closed if failed else None))
    return _series(tries)


def _series(tries: Sequence[tuple[Record, Record | None]]) -> list[Series]:
    found: list[Series] = []
    delays: list[float] = []
    lines: list[Record] = []
    for (_, failure), (following, _) in pairwise(tries):
        if failure is None:
            if delays:
                found.append(Series(tuple(delays), tuple(lines)))
            delays, lines = [], []
        else:
            delays.append(max(0.0, float(following["t"] - failure["t"])))
            lines += [failure, following]
    if delays:
        found.append(Series(tuple(delays), tuple(lines)))
    return found


# ------------------------------------------------------------------------------------------ measurements
def after_refusal(seen: Sightings) -> Measurement:
    """The law after refused calls."""
    return _law("reconnect_after_refusal", "retry after a refused call", refused(seen), "calls were refused")


def after_broken_connection(seen: Sightings) -> Measurement:
    """The law after connections that fail."""
    return _law("reconnect_after_failure", "retry after a failed connection", broken(seen), "connections were broken")


def _law(name: str, title: str, found: Sequence[Series], what: str) -> Measurement:
    longest = max(found, key=lambda series: len(series.delays), default=None)
    if longest is None:
        return unknown(name, title, f"no {what}, or it never tried again")
    delays = longest.delays
    listed = ", ".join(duration(delay) for delay in delays)
    if len(delays) < ENOUGH:
        return unknown(name, title, f"only {len(delays)} delays in a row were seen: {listed}", longest.lines)
    law = confirmed(fit(delays), [series.delays for series in found if series is not longest])
    says = _say(law, delays)
    return Measurement(
        name=name,
        title=title,
        says=f"{says} (delays: {listed})",
        value=round(law.base, 3) if law.factor is not None else None,
        unit="s",
        low=round(min(delays), 3),
        high=round(max(delays), 3),
        samples=len(delays),
        unknown=None if law.factor is not None else "the delays follow no law that so few of them would show",
        evidence=numbers(longest.lines),
    )


def _say(law: Law, delays: Sequence[float]) -> str:
    if max(delays) < AT_ONCE:
        return "at once, every time"
    if law.factor is None:
        low, high = duration(min(delays)), duration(max(delays))
        return f"irregular, {low} to {high}: base, factor and cap cannot be told from {len(delays)} delays"
    jitter = "no jitter seen" if law.jitter is None or law.jitter < 0.03 else f"jitter up to ±{law.jitter:.0%}"
    if law.factor == 1.0:
        return f"always {duration(law.base)}, {jitter}"
    cap = f"cap {duration(law.cap)}" if law.cap is not None else f"cap unknown: still growing at {duration(delays[-1])}"
    return f"base {duration(law.base)}, factor {law.factor:.2f}, {jitter}, {cap}"


def reset(seen: Sightings) -> Measurement:
    """What makes the client forget its failures: streams between two series of refusals, each with what followed.

    Until a stream has made it forget, the longest pause it had come to counts, although streams stood since.
    """
    name, title = "reconnect_reset", "what resets it"
    said, lines = [], []
    reason = "no stream stood between two series of refused calls"
    grown: tuple[float, ...] = ()
    for before, good, after in _between(seen):
        stood = good.topic is not None and good.end is not None
        if not stood or good.end is None or not before or not after:
            continue
        if len(before) >= ENOUGH:
            grown = before if fit(before).factor is not None and max(before) >= 1.6 * before[0] else ()
        if not grown:
            reason = "its delays do not grow in a way that a reset would show in"
            continue
        lived = good.end["t"] - good.opened["t"]
        what = f"a stream of {duration(lived)} {'with' if good.events else 'without'} events"
        back = after[0] < math.sqrt(grown[0] * max(grown))
        said.append(f"{what}: {'yes' if back else 'no'} (then {duration(after[0])} after {duration(max(grown))})")
        lines += [good.opened, good.end]
        if back:
            grown = ()
    if not said:
        return unknown(name, title, reason)
    return Measurement(
        name=name, title=title, says="; ".join(said), value="seen", samples=len(said), evidence=numbers(lines)
    )


def _between(seen: Sightings) -> list[tuple[tuple[float, ...], Attempt, tuple[float, ...]]]:
    """Streams with the delays of the refusals before them, and those after them."""
    found = []
    calls = seen.attempts
    for place, call in enumerate(calls):
        if _is_refusal(call):
            continue
        first = place
        while first > 0 and _is_refusal(calls[first - 1]):
            first -= 1
        last = place
        while last + 1 < len(calls) and _is_refusal(calls[last + 1]):
            last += 1
        before = _delays(calls[first : place + 1])
        after = _delays(calls[place + 1 : last + 2])
        found.append((before, call, after))
    return found


def _delays(calls: Sequence[Attempt]) -> tuple[float, ...]:
    found = []
    for one, following in pairwise(calls):
        if one.end is not None:
            found.append(max(0.0, float(following.opened["t"] - one.end["t"])))
    return tuple(found)
