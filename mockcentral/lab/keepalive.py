"""HTTP/2 PINGs: how often they come, how long an ack may take, when silence is noticed, and whether a stream is needed.

Only PINGs out of the blue count (see `sightings`), and only time in which nothing else moved: keepalive clocks start
again with every byte.
"""

from __future__ import annotations

from itertools import pairwise
from statistics import median

from mockcentral.conformance.checks.finding import Record
from mockcentral.lab.measurement import Measurement, duration, numbers, timed, unknown
from mockcentral.lab.sightings import Connection, Sightings, inside

ENHANCE_YOUR_CALM = 11
SETTLED = 0.05
"""A PING this soon after a call has ended was on its way already. Seconds."""


class Gap:
    """Two PINGs in a row with nothing between them."""

    def __init__(self, first: Record, second: Record) -> None:
        self.first, self.second = first, second
        self.seconds = float(second["t"] - first["t"])


def calm_at(seen: Sightings) -> float:
    """When the client was first told that it pings too often; the end of the run when never."""
    receipts = seen.receipts("goaway", error_code=ENHANCE_YOUR_CALM)
    return float(receipts[0]["t"]) if receipts else seen.end


def gaps(seen: Sightings, start: float, end: float) -> list[Gap]:
    """The times from PING to PING on a quiet connection with a call open, within a part of the run."""
    found = []
    for connection in seen.connections.values():
        busy = seen.busy(connection)
        unacked = {line["nth"] for line in connection.unacked}
        for first, second in pairwise(connection.pings):
            if first["t"] < start or second["t"] > end or first["nth"] in unacked:
                continue
            quiet = connection.is_keepalive(first) and not connection.data_between(first["t"], second["t"])
            if quiet and inside(first["t"], second["t"], busy):
                found.append(Gap(first, second))
    return found


def interval(seen: Sightings) -> Measurement:
    """The pause between two keepalive PINGs while a stream is open."""
    name, title = "keepalive_interval", "keepalive interval"
    if not any(connection.calls for connection in seen.connections.values()):
        return unknown(name, title, "it opened no stream")
    calm = calm_at(seen)
    found = gaps(seen, 0.0, calm)
    if found:
        return _regular(seen, name, title, found, calm)
    single = _first_ping(seen, calm)
    if single is not None:
        after, ping = single
        about = "only one PING was seen, that long after the stream had become quiet"
        return Measurement(
            name=name,
            title=title,
            says=f"about {duration(after)}: {about}",
            value=round(after, 3),
            unit="s",
            samples=1,
            evidence=numbers([ping]),
        )
    longest = _longest_quiet(seen, calm)
    return Measurement(name=name, title=title, says=f"none in {duration(longest)} of quiet", unit="s", low=longest)


def _regular(seen: Sightings, name: str, title: str, found: list[Gap], calm: float) -> Measurement:
    lines = [line for gap in found for line in (gap.first, gap.second)]
    times = [gap.seconds for gap in found]
    if irregular(found):
        said = ", ".join(duration(one) for one in times[:6])
        return Measurement(
            name=name,
            title=title,
            says=f"irregular: {said}",
            unit="s",
            low=round(min(times), 3),
            high=round(max(times), 3),
            samples=len(times),
            unknown="the pauses between its PINGs are too different for one interval",
            evidence=numbers(lines),
        )
    note = ""
    stopped = _stopped(seen, calm, median(times))
    if stopped is not None:
        count, silence = stopped
        note = f"; after {count} PINGs without data no more for {duration(silence)}"
    return timed(name, title, times, note=note, lines=lines)


def irregular(found: list[Gap]) -> bool:
    """Whether gaps are too different to be one interval."""
    return max(gap.seconds for gap in found) > 1.5 * min(gap.seconds for gap in found)


def _stopped(seen: Sightings, calm: float, usual: float) -> tuple[int, float] | None:
    """How many PINGs there were until they stopped though all stayed as it was, and how long nothing came."""
    for connection in seen.connections.values():
        for start, end in seen.busy(connection):
            end = min(end, calm)
            quiet_from = max([start, *(at for at in connection.data if start <= at <= end)])
            pings = [ping for ping in connection.pings if quiet_from < ping["t"] <= end]
            if not pings or connection.unacked:
                continue
            silence = end - pings[-1]["t"]
            if silence > 2.5 * usual + 0.5:
                return len(pings), silence
    return None


def _first_ping(seen: Sightings, calm: float) -> tuple[float, Record] | None:
    """The first PING after a call had become quiet, and how long that took."""
    for connection in seen.connections.values():
        for start, end in seen.busy(connection):
            for ping in connection.pings:
                if start <= ping["t"] <= min(end, calm) and connection.is_keepalive(ping):
                    last = max([start, *(at for at in connection.data if start <= at < ping["t"])])
                    return float(ping["t"] - last), ping
    return None


def _longest_quiet(seen: Sightings, calm: float) -> float:
    """The longest time without data while a call was open."""
    longest = 0.0
    for connection in seen.connections.values():
        for start, end in seen.busy(connection):
            end = max(start, min(end, calm))
            marks = sorted([start, *(at for at in connection.data if start < at < end), end])
            longest = max([longest, *(after - before for before, after in pairwise(marks))])
    return longest


def ack_timeout(seen: Sightings) -> Measurement:
    """From a PING that gets no ack, on a connection that is otherwise well, to the connection's end."""
    name, title = "ack_timeout", "ack timeout"
    waited, lines, patience = [], [], 0.0
    for connection in seen.connections.values():
        silence = next((line for line in connection.unacked if _keepalive_of(connection, line)), None)
        if silence is None or any(line["n"] > silence["n"] for line in connection.acked):
            continue
        reaction = _given_up(connection, silence)
        if reaction is None:
            patience = max(patience, seen.until(connection.closed) - silence["t"])
        else:
            waited.append(float(reaction["t"] - silence["t"]))
            lines += [silence, reaction]
    if waited:
        return timed(name, title, waited, lines=lines)
    if patience:
        return Measurement(name=name, title=title, says=f"none within {duration(patience)}", unit="s", low=patience)
    return unknown(name, title, "no PING that is surely a keepalive was left without an ack")


def _keepalive_of(connection: Connection, withheld: Record) -> bool:
    ping = next((one for one in connection.pings if one["nth"] == withheld["nth"]), None)
    return ping is not None and connection.is_keepalive(ping)


def _given_up(connection: Connection, since: Record) -> Record | None:
    """The line with which the client gave a connection, or its calls on it, up."""
    lines = [call.end for call in connection.calls if call.end is not None and call.end.get("by") == "client"]
    if connection.closed is not None and connection.closed.get("by") == "client":
        lines.append(connection.closed)
    return min((line for line in lines if line["n"] > since["n"]), key=lambda line: int(line["n"]), default=None)


def dead_peer(seen: Sightings) -> Measurement:
    """From when bytes vanish without a sign to the connection's end or a stream elsewhere."""
    name, title = "dead_peer", "time to notice a dead peer"
    waited, lines, patience = [], [], 0.0
    for hole in seen.receipts("blackhole"):
        connection = seen.connections.get(hole.get("conn", 0))
        if connection is None or not inside(hole["t"], hole["t"], seen.busy(connection)):
            continue
        elsewhere = [
            call.opened for call in seen.attempts if call.conn != connection.id and call.opened["n"] > hole["n"]
        ]
        given_up = _given_up(connection, hole)
        reactions = [*elsewhere[:1], *([given_up] if given_up is not None else [])]
        cut = connection.closed is not None and connection.closed.get("by") == "server"
        if cut and connection.closed is not None:
            reactions = [line for line in reactions if line["n"] < connection.closed["n"]]
        if not reactions:
            patience = max(patience, seen.until(connection.closed) - hole["t"])
            continue
        reaction = min(reactions, key=lambda line: int(line["n"]))
        waited.append(float(reaction["t"] - hole["t"]))
        lines += [hole, reaction]
    if waited:
        return timed(name, title, waited, lines=lines)
    if patience:
        return Measurement(name=name, title=title, says=f"not within {duration(patience)}", unit="s", low=patience)
    return unknown(name, title, "no connection with a stream of its fell silent")


def without_streams(seen: Sightings) -> Measurement:
    """Whether it pings on a connection on which no stream is open."""
    name, title = "pings_without_streams", "pings without a stream"
    pings, longest = [], 0.0
    for connection in seen.connections.values():
        for start, end in seen.idle(connection):
            longest = max(longest, end - start)
            pings += [
                ping for ping in connection.pings if start + SETTLED < ping["t"] < end and connection.is_keepalive(ping)
            ]
    if pings:
        says = f"yes: {len(pings)} while no stream was open"
        return Measurement(name=name, title=title, says=says, value="yes", samples=len(pings), evidence=numbers(pings))
    usual = interval(seen)
    if not isinstance(usual.value, float):
        if usual.unknown is not None:
            return unknown(name, title, usual.unknown)
        return Measurement(name=name, title=title, says="no: none with one either", value="no")
    if longest > 1.5 * usual.value + SETTLED:
        says = f"no: none in {duration(longest)} without a stream"
        return Measurement(name=name, title=title, says=says, value="no", low=longest)
    reason = (
        f"its connections were never without a stream for longer than {duration(longest)}, "
        f"and its interval is {duration(usual.value)}"
    )
    return unknown(name, title, reason)
