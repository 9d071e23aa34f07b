"""Whether the machine kept time while a client was measured: what it lost makes the client look slow."""

from __future__ import annotations

from mockcentral.lab.measurement import Measurement, duration, numbers, unknown
from mockcentral.lab.sightings import Sightings


def lost_time(seen: Sightings) -> Measurement:
    """How much time the machine lost; timings near a stall may be too long by as much."""
    name, title = "lost_time", "time the machine lost"
    if not seen.journal:
        return unknown(name, title, "nothing was recorded")
    stalls = [line for line in seen.journal if line["kind"] == "clock.stall"]
    if not stalls:
        return Measurement(name=name, title=title, says="none that was noticed", value=0.0, unit="s")
    lost = [float(line["lost"]) for line in stalls]
    says = (
        f"{duration(sum(lost))} in {len(lost)} stalls, {duration(max(lost))} at once: times may be too long by as much"
    )
    return Measurement(
        name=name,
        title=title,
        says=says,
        value=round(sum(lost), 3),
        unit="s",
        low=round(min(lost), 3),
        high=round(max(lost), 3),
        samples=len(lost),
        evidence=numbers(stalls),
    )
