"""What the watch service in particular shows of a client: when it refreshes its token, how it pages through history."""

from __future__ import annotations

from collections import Counter

from mockcentral.conformance.checks.finding import Record
from mockcentral.lab.measurement import Measurement, duration, numbers, unknown
from mockcentral.lab.sightings import Sightings


def refresh_point(seen: Sightings) -> Measurement:
    """At which share of its life a token is replaced on the stream."""
    name, title = "refresh_point", "token refresh"
    shares: list[float] = []
    lines: list[Record] = []
    longest = 0.0
    for call in seen.attempts:
        if call.subscribed is None:
            continue
        last = call.subscribed
        for request in call.requests:
            if request["n"] <= last["n"] or request.get("request") != "token_refresh" or not request.get("accepted"):
                continue
            if request.get("token") == last.get("token"):
                continue
            if (life := _life(seen, last)) is not None and life[1] > 0:
                shares.append((request["t"] - life[0]) / life[1])
                lines += [last, request]
            last = request
        if (life := _life(seen, last)) is not None and life[1] > 0:
            longest = max(longest, (seen.until(call.end) - life[0]) / life[1])
    if shares:
        shares.sort()
        middle = shares[len(shares) // 2]
        spread = "" if len(shares) == 1 else f" ({shares[0]:.0%} to {shares[-1]:.0%}, {len(shares)} samples)"
        return Measurement(
            name=name,
            title=title,
            says=f"on the stream, at {middle:.0%} of the token's life{spread}",
            value=round(middle, 3),
            unit="share of the token's life",
            low=round(shares[0], 3),
            high=round(shares[-1], 3),
            samples=len(shares),
            evidence=numbers(lines),
        )
    if longest >= 1.0:
        return Measurement(name=name, title=title, says="none: a stream outlived its token", value="none", low=longest)
    return unknown(name, title, f"no stream of its lived longer than {longest:.0%} of its token's life")


def _life(seen: Sightings, subscribed: Record) -> tuple[float, float] | None:
    """When the token of a subscription began to live, and for how long; None when it says no expiry."""
    left = subscribed.get("token_expires_in")
    if left is None:
        return None
    issued = next((line for line in seen.tokens if line.get("token") == subscribed.get("token")), None)
    began = subscribed["t"] if issued is None else issued["t"]
    return float(began), float(left + subscribed["t"] - began)


def page_size(seen: Sightings) -> Measurement:
    """The page size of its history requests."""
    name, title = "page_size", "page size of history"
    sizes = Counter(line["page_size"] for line in seen.harvests if line.get("page_size") is not None)
    if not seen.harvests:
        return unknown(name, title, "it asked for no history")
    if not sizes:
        return unknown(name, title, "its requests for history named none that could be read")
    lines = [line for line in seen.harvests if line.get("page_size") is not None][:20]
    usual, _ = max(sizes.items(), key=lambda item: (item[1], item[0]))
    others = [str(size) for size in sorted(sizes) if size != usual]
    note = f"; also {', '.join(others)}" if others else ""
    first = lines[0]["t"]
    return Measurement(
        name=name,
        title=title,
        says=f"{usual}{note} ({sum(sizes.values())} requests, the first after {duration(first)})",
        value=float(usual),
        unit="events",
        samples=sum(sizes.values()),
        evidence=numbers(lines),
    )
