"""What a client does when the server says goodbye: GOAWAY, and GOAWAY because of too many PINGs."""

from __future__ import annotations

from statistics import median

from mockcentral.conformance.checks.evidence import Attempt
from mockcentral.lab.keepalive import ENHANCE_YOUR_CALM, calm_at, gaps, irregular
from mockcentral.lab.measurement import Measurement, duration, numbers, unknown
from mockcentral.lab.sightings import Sightings

NO_ERROR = 0


def goaway(seen: Sightings) -> Measurement:
    """A GOAWAY that lets the open stream go on: does the client stay on it, leave it, or move in good time?"""
    name, title = "goaway", "reaction to GOAWAY"
    for receipt in seen.receipts("goaway", error_code=NO_ERROR):
        connection = seen.connections.get(receipt.get("conn", 0))
        if connection is None:
            continue
        old = next((call for call in connection.calls if _open_at(seen, call, receipt["t"])), None)
        following = next((call for call in seen.attempts if call.opened["n"] > receipt["n"]), None)
        if old is None:
            continue
        if following is None:
            return unknown(name, title, "no stream was opened after it", [receipt])
        delay = following.opened["t"] - receipt["t"]
        lines = [receipt, following.opened, *([old.end] if old.end is not None else [])]
        if following.conn == connection.id:
            value, says = "ignores it", f"opens a stream on the same connection, after {duration(delay)}"
        elif old.end is None or old.end["n"] > following.opened["n"]:
            value, says = "moves", f"opens a stream on a new connection after {duration(delay)}, the old one still open"
        elif old.end.get("by") == "client":
            value = "leaves"
            says = f"gives the open stream up after {duration(old.end['t'] - receipt['t'])}"
            says += f", the next one follows {duration(following.opened['t'] - old.end['t'])} later"
        else:
            value = "stays"
            says = f"stays on the open stream until that ends ({duration(old.end['t'] - receipt['t'])} later)"
            says += f", then a new connection, {duration(following.opened['t'] - old.end['t'])} after the end"
        return Measurement(name=name, title=title, says=says, value=value, samples=1, evidence=numbers(lines))
    return unknown(name, title, "no GOAWAY reached a connection with an open stream")


def too_many_pings(seen: Sightings) -> Measurement:
    """GOAWAY with ENHANCE_YOUR_CALM: does it come back, and does it ping less often then?"""
    name, title = "too_many_pings", "reaction to too_many_pings"
    receipts = seen.receipts("goaway", error_code=ENHANCE_YOUR_CALM)
    if not receipts:
        return unknown(name, title, "it was never told to calm down")
    receipt = receipts[0]
    following = next((call for call in seen.attempts if call.opened["n"] > receipt["n"]), None)
    if following is None:
        return Measurement(
            name=name, title=title, says="gives up: no stream after it", value="gives up", evidence=numbers([receipt])
        )
    says = f"the next stream after {duration(following.opened['t'] - receipt['t'])}"
    calm = calm_at(seen)
    before, after = gaps(seen, 0.0, calm), gaps(seen, calm, seen.end)
    if not before:
        value, about = "comes back", "it sent no PINGs before, so nothing is to be seen of them"
    elif irregular(before) or (after and irregular(after)):
        value, about = "comes back", "unknown whether it pings less: its PINGs are irregular"
    elif after:
        usual, then = (median(gap.seconds for gap in found) for found in (before, after))
        factor = then / usual
        same = 0.75 <= factor <= 1.33
        value = "pings on as before" if same else "pings less often" if factor > 1 else "pings more often"
        changed = value if same else f"its interval is {factor:.1f} times as long"
        about = f"{changed} ({duration(usual)}, then {duration(then)})"
    else:
        quiet = _quiet_after(seen, calm)
        value, about = (
            "comes back",
            f"unknown whether it pings less: fewer than two PINGs in {duration(quiet)} of quiet",
        )
    return Measurement(
        name=name,
        title=title,
        says=f"{says}; {about}",
        value=value,
        samples=1,
        evidence=numbers([receipt, following.opened]),
    )


def _open_at(seen: Sightings, call: Attempt, at: float) -> bool:
    return bool(call.opened["t"] <= at <= seen.until(call.end))


def _quiet_after(seen: Sightings, at: float) -> float:
    spells = [spell for connection in seen.connections.values() for spell in seen.busy(connection)]
    return max((end - start for start, end in spells if start >= at), default=0.0)
