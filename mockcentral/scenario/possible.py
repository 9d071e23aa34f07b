"""Fault rules that can never strike, or not as often as they say: found by counting moments, before anything runs.

Only what is certain is said. What depends on the client (how many connections, events or pages there will be, what it
asks for first) is not, and neither is what one moment tells of another: a call of another method ends, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mockcentral.scenario.errors import shown
from mockcentral.scenario.types import Anchor, CountSpan

ONCE_EACH = frozenset(
    ("connect", "preface", "stream_open", "subscribe", "stream_end", "harvest", "token", "http", "publish", "barrier")
)
"""Moments that are counted within the world, so that each number comes once."""


def impossible(
    on: Anchor, given: Sequence[Anchor], times: int | None, during: CountSpan | None
) -> Iterator[tuple[str, str]]:
    """What cannot be about a rule: the key where it is said, and why not."""
    for anchor in given:
        if on.name == "start" and anchor.name != "start":
            yield "given", f"given: {shown(str(anchor))} comes after start: tie the rule to a later moment"
        elif _only(on) and anchor.name == on.name and (anchor.nth or 1) > (on.nth or 1):
            yield "given", f"given: {shown(str(anchor))} comes after {on}: tie the rule to {on.name}({anchor.nth}+)"
    if _only(on) and times is not None and times > 1:
        wider = "" if on.name == "start" else f", or tie the rule to {on.name}({on.nth}+)"
        yield "times", f"times: {on} comes once: leave `times` out{wider}"
    if during is not None and (why := _never_during(on, during)):
        yield "during", f"during: {why}"


def _only(on: Anchor) -> bool:
    """Whether an anchor matches one moment of the run at most."""
    return on.name == "start" or (on.name in ONCE_EACH and on.nth is not None and not on.onwards)


def _never_during(on: Anchor, during: CountSpan) -> str:
    shown_range = f"{during.low}" if during.low == during.high else f"{during.low}..{during.high}"
    first = on.name == "start" or (on.name in ("connect", "preface") and on.nth == 1 and not on.onwards)
    if first:
        return f"at {on} there was no watch call yet, so never number {shown_range}: leave `during` out"
    if on.name not in ("stream_open", "subscribe") or on.nth is None:
        return ""
    # The n-th call opens as number n; the n-th that is accepted is that one or a later one.
    early = on.name == "stream_open" and not on.onwards and on.nth < during.low
    if not early and on.nth <= during.high:
        return ""
    later = "" if on.name == "stream_open" and not on.onwards else " or a later one"
    return f"at {on} the newest watch call is number {on.nth}{later}, never {shown_range}"
