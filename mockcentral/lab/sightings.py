"""A journal sorted for measuring: connections with their PINGs and data, watch calls with their ends.

What happens after the harness told the client to go says nothing about the client and is left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from mockcentral.conformance.checks.evidence import Attempt, Evidence
from mockcentral.conformance.checks.finding import Record

Spell = tuple[float, float]
"""From and to, world time in seconds."""


@dataclass(slots=True)
class Connection:
    """A connection that spoke HTTP/2."""

    id: int
    opened: Record
    closed: Record | None = None
    pings: list[Record] = field(default_factory=list)
    """`ping.received`, in order."""
    unacked: list[Record] = field(default_factory=list)
    """`ping.withheld`."""
    acked: list[Record] = field(default_factory=list)
    data: list[float] = field(default_factory=list)
    """When events went out on it."""
    calls: list[Attempt] = field(default_factory=list)

    def data_between(self, start: float, end: float) -> bool:
        return any(start <= at <= end for at in self.data)

    def is_keepalive(self, ping: Record) -> bool:
        """Whether a PING is surely a keepalive.

        grpcio and grpc-go also send one in answer to data, to estimate the bandwidth, at once or seconds later, but no
        more than one until data comes again. So the first PING after data proves nothing; those after it do.
        """
        last = max((at for at in self.data if at <= ping["t"]), default=None)
        return last is None or any(last < other["t"] and other["n"] < ping["n"] for other in self.pings)


class Sightings:
    """What there is to see of a client in a journal."""

    def __init__(self, journal: Sequence[Record]) -> None:
        stop = next((place for place, line in enumerate(journal) if line["kind"] == "client.stop"), len(journal))
        self.journal = journal[: stop + 1]
        self.end: float = float(self.journal[-1]["t"]) if self.journal else 0.0
        evidence = Evidence(self.journal)
        self.attempts = evidence.attempts
        self.harvests = evidence.harvests
        self.connections: dict[int, Connection] = {}
        self.armed: dict[str, Record] = {}
        self.struck: list[Record] = []
        """`fault.on_wire`, in order."""
        self.tokens = [line for line in self.journal if line["kind"] == "token.issued"]
        self.holes: dict[int, float] = {}
        """Connection to the time from which on its bytes vanished."""
        by_number = {attempt.number: attempt for attempt in self.attempts}
        for line in self.journal:
            self._read(line, by_number)
        for line in self.receipts("blackhole"):
            self.holes.setdefault(line.get("conn", 0), line["t"])

    def _read(self, line: Record, attempts: dict[int, Attempt]) -> None:
        kind = line["kind"]
        if kind == "conn.open":
            if line.get("protocol") == "h2":
                self.connections[line["conn"]] = Connection(line["conn"], line)
        elif kind == "fault.armed":
            self.armed[line["fault"]] = line
        elif kind == "fault.on_wire":
            self.struck.append(line)
        elif kind == "stream.event":
            attempt = attempts.get(line["attempt"])
            if attempt is not None and (there := self.connections.get(attempt.conn)) is not None:
                there.data.append(line["t"])
        elif (connection := self.connections.get(line.get("conn", 0))) is not None:
            if kind == "conn.close":
                connection.closed = line
            elif kind == "ping.received":
                connection.pings.append(line)
            elif kind == "ping.withheld":
                connection.unacked.append(line)
            elif kind == "ping.acked":
                connection.acked.append(line)
            elif kind == "stream.open":
                connection.calls.append(attempts[line["attempt"]])

    # ------------------------------------------------------------------------------------------ faults
    def receipts(self, do: str, **settings: object) -> list[Record]:
        """The `fault.on_wire` lines of one kind of fault with these settings."""
        found = []
        for line in self.struck:
            armed = self.armed.get(line["fault"], {})
            given = armed.get("settings", {})
            if armed.get("do") == do and all(given.get(name) == value for name, value in settings.items()):
                found.append(line)
        return found

    # ------------------------------------------------------------------------------------------ spells
    def until(self, line: Record | None) -> float:
        """When something ended; the end of the run when it did not."""
        return self.end if line is None else float(line["t"])

    def busy(self, connection: Connection) -> list[Spell]:
        """The times in which a call was open on a connection that could be heard."""
        hole = self.holes.get(connection.id, self.end)
        spells = sorted(
            (call.opened["t"], min(hole, self.until(call.end))) for call in connection.calls if call.opened["t"] <= hole
        )
        merged: list[Spell] = []
        for start, end in spells:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def idle(self, connection: Connection) -> list[Spell]:
        """The times in which a connection stood without a call, after its first one."""
        busy = self.busy(connection)
        spells = [(end, start) for (_, end), (start, _) in pairwise(busy)]
        if busy and connection.id not in self.holes:
            spells.append((busy[-1][1], self.until(connection.closed)))
        return [(start, end) for start, end in spells if end > start]


def inside(start: float, end: float, spells: Iterable[Spell]) -> bool:
    """Whether one spell covers all of that time."""
    return any(low <= start and end <= high for low, high in spells)
