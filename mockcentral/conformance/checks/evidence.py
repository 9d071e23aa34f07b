"""What a journal proves about a client: its calls, its lives, what it was handed and what it says it applied.

Read once, asked by every check. Two kinds of clients:

* **L1** clients say what they applied (`client.applied`): that is what they have.
* **L0** clients say nothing, so the wire has to tell. An event counts as received when it went out on a call that is
  still open or ended in good order, when history returned it, or when the client later asked for history from beyond
  it. What went out on a call that broke, and was never confirmed in one of these ways, is *unknown*: neither had nor
  missing.

A `client.stop` line means the harness told the client to go: what its calls do after that says nothing about it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mockcentral.conformance.checks.finding import Record


def topic_key(link: str) -> str:
    """A topic's name without its version: `v1` and `v1alpha1` name the same object."""
    parts = link.split("/")
    if len(parts) > 3 and not parts[0]:
        del parts[2]
    return "/".join(parts)


@dataclass(slots=True)
class Attempt:
    """One watch call. `topic` is the key of the topic it subscribed to, None until a subscription was accepted."""

    number: int
    conn: int
    opened: Record
    topic: str | None = None
    subscribed: Record | None = None
    requests: list[Record] = field(default_factory=list)
    events: list[Record] = field(default_factory=list)
    end: Record | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """A `client.applied` line with its place: the life of the client process, and the topic if it can be told."""

    record: Record
    life: int
    topics: tuple[str, ...]

    @property
    def sequence(self) -> int:
        return int(self.record["sequence"])


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the client has of a topic: sequences it surely got, and those nobody can tell about."""

    had: frozenset[int]
    unknown: frozenset[int]


@dataclass(slots=True)
class _Gone:
    """A 410: what a client that was told it need not have, of what was published before the line `until`."""

    record: Record
    after: int
    through: int
    until: int


class Evidence:
    """A journal, sorted by what checks ask for."""

    def __init__(self, journal: Sequence[Record], now: float | None = None) -> None:
        """`now`: world time of the judgement, seconds; without it that of the last line."""
        self.whole = not journal or journal[0].get("n") == 1
        """False when the journal lost its beginning (it is bounded in memory): most checks cannot judge then."""
        last = float(journal[-1]["t"]) if journal else 0.0
        self.now = last if now is None else max(last, now)
        self.world: Record = {}
        self.published: dict[int, list[Record]] = defaultdict(list)
        self.attempts: list[Attempt] = []
        self.harvests: list[Record] = []
        self.purges: list[Record] = []
        self.pings: list[Record] = []
        """`ping.received`, `ping.acked` and `ping.withheld`, in order."""
        self.closes: dict[int, Record] = {}
        self.faults: list[Record] = []
        self.exits: list[Record] = []
        self.spawned = False
        self.stalls: list[Record] = []
        """When the machine did not keep time: `clock.stall` lines."""
        self.allowance = 0.0
        """Seconds a check of time allows on top of its bounds, because the machine lost them."""
        self.stop: Record | None = None
        self.says: bool = False
        """Whether the client says what it does (L1)."""
        self._applied: list[tuple[Record, int]] = []
        self._by_number: dict[int, Attempt] = {}
        self._kinds: dict[str, str] = {}
        self._journal = journal
        for record in journal:
            self._read(record)
        self.stop_n: float = self.stop["n"] if self.stop is not None else math.inf
        self.stop_t: float = float(self.stop["t"]) if self.stop is not None else self.now
        self.blackholes = self._blackholes()

    def _read(self, record: Record) -> None:
        kind = record["kind"]
        if kind == "stream.event":
            if (attempt := self._by_number.get(record["attempt"])) is not None:
                attempt.events.append(record)
        elif kind == "client.applied":
            self.says = True
            self._applied.append((record, len(self.exits)))
        elif kind == "event.published":
            self.published[record["sequence"]].append(record)
        elif kind == "http.request":
            if record.get("topic"):
                self.harvests.append(record)
        elif kind.startswith("ping."):
            self.pings.append(record)
        elif kind == "stream.open":
            attempt = Attempt(record["attempt"], record.get("conn", 0), record)
            self.attempts.append(attempt)
            self._by_number[attempt.number] = attempt
        elif kind == "stream.request":
            if (attempt := self._by_number.get(record["attempt"])) is not None:
                attempt.requests.append(record)
                if record["request"] == "subscribe" and record.get("accepted") and attempt.topic is None:
                    attempt.topic = topic_key(record.get("topic", ""))
                    attempt.subscribed = record
        elif kind == "stream.end":
            if (attempt := self._by_number.get(record["attempt"])) is not None:
                attempt.end = record
        elif kind == "conn.close":
            self.closes[record["conn"]] = record
        elif kind.startswith("fault."):
            self.faults.append(record)
            if "do" in record:
                self._kinds[record["fault"]] = record["do"]
        elif kind == "clock.stall":
            self.stalls.append(record)
        elif kind == "event.purged":
            self.purges.append(record)
        elif kind == "client.exit":
            self.exits.append(record)
        elif kind == "client.status":
            self.says = True
        elif kind == "client.start":
            self.spawned = True
        elif kind == "client.stop":
            self.stop = self.stop or record
        elif kind == "world.start":
            self.world = record

    def _blackholes(self) -> dict[int, Record]:
        """Connection to the line from which on its bytes vanished."""
        found: dict[int, Record] = {}
        for record in self.faults:
            if (
                record["kind"] == "fault.on_wire"
                and "conn" in record
                and self._kinds.get(record["fault"]) == "blackhole"
            ):
                found.setdefault(record["conn"], record)
        return found

    # ------------------------------------------------------------------------------------------ the machine
    def lost_between(self, lines: Sequence[int]) -> tuple[float, list[Record]]:
        """Seconds the machine lost between the first and the last of these lines (by `n`), and the lines that say so.

        One line alone stands for something that was waited for until the end.
        """
        if not self.stalls:
            return 0.0, []
        wanted = set(lines)
        times = [float(record["t"]) for record in self._journal if record["n"] in wanted]
        first = min(times, default=0.0)
        last = max(times, default=self.now) if len(times) > 1 else self.now
        found = [stall for stall in self.stalls if stall["t"] > first and stall["t"] - stall["since"] < last]
        return sum(float(stall["lost"]) for stall in found), found

    # ------------------------------------------------------------------------------------------ topics
    @staticmethod
    def key(harvest: Record) -> str:
        """The topic a harvester request was about."""
        return topic_key(harvest["topic"])

    @cached_property
    def subscriptions(self) -> dict[str, Attempt]:
        """Topic key to the first call whose subscription to it was accepted."""
        found: dict[str, Attempt] = {}
        for attempt in self.attempts:
            if attempt.topic is not None:
                found.setdefault(attempt.topic, attempt)
        return found

    @cached_property
    def interests(self) -> set[str]:
        """Every topic the client subscribed to or asked the history of."""
        return set(self.subscriptions) | {topic_key(record["topic"]) for record in self.harvests}

    def baseline(self, topic: str) -> int:
        """The line after which everything published for the topic is owed to the client.

        The opening of the first call that subscribed, or that subscription itself, as the world delivers.
        """
        first = self.subscriptions[topic]
        if self.world.get("delivery") == "first_request" and first.subscribed is not None:
            return int(first.subscribed["n"])
        return int(first.opened["n"])

    def owed(self, topic: str) -> dict[int, Record]:
        """Sequence to `event.published` line of everything the client should get of a topic it subscribed to."""
        start = self.baseline(topic)
        return {
            sequence: record
            for sequence, records in self.published.items()
            for record in records
            if record["n"] > start and topic in topics_of(record)
        }

    @cached_property
    def kept_back(self) -> set[int]:
        """Sequences that a fault left out of a stream, or let later ones overtake there.

        They may come late: nobody can put in its place what was not sent.
        """
        struck: dict[int, set[int]] = defaultdict(set)
        for record in self.faults:
            if record["kind"] == "fault.on_wire" and "sequence" in record and "attempt" in record:
                struck[record["attempt"]].add(record["sequence"])
        found: set[int] = set()
        for number, sequences in struck.items():
            attempt = self._by_number.get(number)
            highest, in_place = 0, set()
            for event in attempt.events if attempt is not None else ():
                if event.get("op") != "PING" and event["sequence"] >= highest:
                    highest = event["sequence"]
                    in_place.add(highest)
            found |= sequences - in_place
        return found

    def out_of_reach(self, published: Record) -> bool:
        """Whether a fault kept an event back on a stream, and history forgot it, too."""
        sequence = published["sequence"]
        return sequence in self.kept_back and any(
            purge["n"] > published["n"] and purge["through"] >= sequence for purge in self.purges
        )

    # ------------------------------------------------------------------------------------------ what it has
    @cached_property
    def applied(self) -> list[Applied]:
        """What the client says it applied, in its order, each with the topics it can have come from."""
        interests = self.interests
        found = []
        for record, life in self._applied:
            if record.get("topic"):
                topics: tuple[str, ...] = (topic_key(record["topic"]),)
            else:
                matching = {
                    key
                    for line in self.published.get(record["sequence"], ())
                    for key in topics_of(line)
                    if key in interests
                }
                topics = tuple(sorted(matching))
            found.append(Applied(record, life, topics))
        return found

    def holdings(self, topic: str) -> Holdings:
        """What the client has of a topic; see the module docstring for what counts."""
        if self.says:
            return Holdings(frozenset(one.sequence for one in self.applied if topic in one.topics), frozenset())
        had: set[int] = set()
        doubtful: dict[int, int] = {}
        asked: list[tuple[int, int]] = []
        for attempt in self.attempts:
            if attempt.topic != topic:
                continue
            safe = attempt.end is None or attempt.end.get("graceful", False) or attempt.end["n"] > self.stop_n
            hole = self.blackholes.get(attempt.conn)
            for event in attempt.events:
                if event.get("op") == "PING":
                    continue
                if safe and (hole is None or event["n"] < hole["n"]):
                    had.add(event["sequence"])
                else:
                    doubtful.setdefault(event["sequence"], event["n"])
        for record in self.harvests:
            if topic_key(record["topic"]) != topic:
                continue
            if record.get("status") == 200:
                had.update(record.get("sequences", ()))
            if (after := record.get("after")) is not None:
                asked.append((record["n"], after))
        # Highest position asked from at or after each request: whoever asks from beyond an event says he has it.
        highest = -1
        for place in range(len(asked) - 1, -1, -1):
            highest = max(highest, asked[place][1])
            asked[place] = (asked[place][0], highest)
        lines = [n for n, _ in asked]
        for sequence, n in doubtful.items():
            place = bisect_right(lines, n)
            if place < len(asked) and asked[place][1] >= sequence:
                had.add(sequence)
        return Holdings(frozenset(had), frozenset(doubtful.keys() - had))

    def told_gone(self, topic: str, published: Record) -> Record | None:
        """The 410 that told the client it cannot get this event any more, if there is one (protocol 3.2, 2.3).

        A 410 names only the newest sequence there is, so a client that goes on from there did as it was told, even if a
        few events before it were still kept. One that does not name it sends the client to ask for the newest.
        """
        for gone in self._gone.get(topic, ()):
            if gone.after < published["sequence"] <= gone.through and published["n"] < gone.until:
                return gone.record
        return None

    @cached_property
    def _gone(self) -> dict[str, list[_Gone]]:
        """Every 410, by topic."""
        found: dict[str, list[_Gone]] = defaultdict(list)
        bare: dict[str, _Gone] = {}
        for record in self.harvests:
            topic, after = topic_key(record["topic"]), record.get("after")
            if (earlier := bare.pop(topic, None)) is not None and "DESC" in str(record.get("query")):
                earlier.through = max(earlier.through, *record.get("sequences", ()), -1)
                earlier.until = record["n"]
            if record.get("status") != 410:
                continue
            through = max((purge["through"] for purge in self.purges if purge["n"] < record["n"]), default=-1)
            gone = _Gone(record, -1 if after is None else after, through, record["n"])
            if (newest := record.get("max_sequence")) is None:
                bare[topic] = gone
                newest = max(
                    (number for number, lines in self.published.items() if lines[0]["n"] < gone.until), default=-1
                )
            gone.through = max(through, newest)
            found[topic].append(gone)
        return found


def topics_of(published: Record) -> set[str]:
    """The keys of the topics an `event.published` line matched."""
    return {topic_key(link) for link in published.get("topics", ())}
