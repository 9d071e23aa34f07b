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

from mockcentral.conformance.checks.finding import Record
from mockcentral.lab.measurement import Measurement, duration, numbers, unknown
from mockcentral.lab.sightings import Sightings

AT_ONCE = 0.03
"""Delays below this are none. Seconds."""
ALIKE = 1.3
"""Two delays within this factor are the same delay with some jitter."""
ONE_LAW = 0.35
"""Delays that are further from the law than this share do not follow it. Libraries that follow one are within 20 %."""
AT_REST = 0.1
"""Delays that have reached a cap differ by no more than this share."""
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
    if (law := _soon_capped(floor)) is not None:
        return law
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


def _soon_capped(delays: Sequence[float]) -> Law | None:
    """Two delays that grow, then three or more alike that are no more than the third would be: too little growth for a
    line through it, but random delays do not come to rest.
    """
    cap = median(delays[2:]) if len(delays) >= ENOUGH_TO_GROW else 0.0
    if not delays[0] * ALIKE < delays[1] < cap / (1 + AT_REST):
        return None
    jitter = max(abs(delay / cap - 1) for delay in delays[2:])
    factor = delays[1] / delays[0]
    if jitter > AT_REST or delays[1] * factor * (1 + ONE_LAW) < cap:
        return None
    return Law(delays[0], factor, jitter, cap)


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
@dataclass(frozen=True, slots=True)
class Try:
    """A call, or a connection. `failed` before anything stood; `stood` and over; both may be False."""

    opened: Record
    end: Record | None
    failed: bool
    stood: bool
    events: bool

    def delay(self, following: Try) -> float | None:
        """From its end to the next try; None when that began before it was over."""
        if self.end is None or following.opened["t"] < self.end["t"]:
            return None
        return float(following.opened["t"] - self.end["t"])


def calls(seen: Sightings) -> list[Try]:
    """Watch calls; those that the server ended before a subscription was accepted have failed."""
    return [
        Try(
            call.opened,
            call.end,
            call.topic is None and not call.events and call.end is not None and call.end.get("by") == "server",
            call.topic is not None and call.end is not None,
            bool(call.events),
        )
        for call in seen.attempts
    ]


def connections(seen: Sightings) -> list[Try]:
    """Connections for calls; those that the server broke before there was one have failed."""
    found = []
    for each in seen.connections.values():
        failed = not each.calls and each.closed is not None and each.closed.get("by") == "server"
        stood = each.closed is not None and any(call.topic is not None for call in each.calls)
        found.append(Try(each.opened, each.closed, failed, stood, bool(each.data)))
    return found


def series(tries: Sequence[Try]) -> list[Series]:
    """The failures in a row among these tries."""
    found: list[Series] = []
    delays: list[float] = []
    lines: list[Record] = []
    for one, following in pairwise(tries):
        if not one.failed or one.end is None:
            if delays:
                found.append(Series(tuple(delays), tuple(lines)))
            delays, lines = [], []
        else:
            delays.append(one.delay(following) or 0.0)
            lines += [one.end, following.opened]
    if delays:
        found.append(Series(tuple(delays), tuple(lines)))
    return found


# ------------------------------------------------------------------------------------------ measurements
def after_refusal(seen: Sightings) -> Measurement:
    """The law after refused calls."""
    return _law("reconnect_after_refusal", "retry after a refused call", series(calls(seen)), "calls were refused")


def after_broken_connection(seen: Sightings) -> Measurement:
    """The law after connections that fail."""
    return _law(
        "reconnect_after_failure",
        "retry after a failed connection",
        series(connections(seen)),
        "connections were broken",
    )


def _law(name: str, title: str, found: Sequence[Series], what: str) -> Measurement:
    longest = max(found, key=lambda each: len(each.delays), default=None)
    if longest is None:
        return unknown(name, title, f"no {what}, or it never tried again")
    delays = longest.delays
    listed = ", ".join(duration(delay) for delay in delays)
    if len(delays) < ENOUGH:
        return unknown(name, title, f"only {len(delays)} delays in a row were seen: {listed}", longest.lines)
    law = confirmed(fit(delays), [each.delays for each in found if each is not longest])
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
    """What makes the client forget that calls were refused."""
    return _reset("reconnect_reset", "what resets it for calls", calls(seen), "series of refused calls")


def reset_connections(seen: Sightings) -> Measurement:
    """What makes the client, or its library, forget that connections failed."""
    return _reset(
        "reconnect_failure_reset",
        "what resets it for connections",
        connections(seen),
        "series of failed connections",
    )


def _reset(name: str, title: str, tries: Sequence[Try], what: str) -> Measurement:
    """Streams between two series of failures, each with the delay that followed.

    Until a stream has made it forget, the longest pause it had come to counts, although streams stood since.
    """
    said, lines = [], []
    reason = f"no stream stood between two {what}"
    grown: tuple[float, ...] = ()
    for place, good in enumerate(tries):
        if not good.stood or good.end is None:
            continue
        first, last = place, place
        while first > 0 and tries[first - 1].failed:
            first -= 1
        while last + 1 < len(tries) and tries[last + 1].failed:
            last += 1
        before, after = _delays(tries[first : place + 1]), _delays(tries[place + 1 : last + 2])
        if before is None or after is None or (last > place and good.delay(tries[place + 1]) is None):
            reason = "there were two at once, and it is not known which one a delay belongs to"
            continue
        if not before or not after:
            continue
        if len(before) >= ENOUGH:
            grown = before if fit(before).factor is not None and max(before) >= 1.6 * before[0] else ()
        if not grown:
            reason = "its delays do not grow in a way that a reset would show in"
            continue
        lived = good.end["t"] - good.opened["t"]
        stood = f"a stream of {duration(lived)} {'with' if good.events else 'without'} events"
        back = after[0] < math.sqrt(grown[0] * max(grown))
        said.append(f"{stood}: {'yes' if back else 'no'} (then {duration(after[0])} after {duration(max(grown))})")
        lines += [good.opened, good.end]
        if back:
            grown = ()
    if not said:
        return unknown(name, title, reason)
    return Measurement(
        name=name, title=title, says="; ".join(said), value="seen", samples=len(said), evidence=numbers(lines)
    )


def _delays(tries: Sequence[Try]) -> tuple[float, ...] | None:
    """None when there were two at once."""
    found = []
    for one, following in pairwise(tries):
        delay = one.delay(following)
        if delay is None:
            return None
        found.append(delay)
    return tuple(found)
