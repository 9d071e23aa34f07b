"""What a journal proves about a client: its calls, its lives, what it was handed and what it says it applied.

Read once, asked by every check. Two kinds of clients:

* **L1** clients say what they applied (`client.applied`): that is what they have.
* **L0** clients say nothing, so the wire has to tell. An event counts as received when it went out on a call that is
  still open or ended in good order, or when history returned it. Where the call broke, or a fault may have taken the
  event, proof is needed: the answer to a PING event that was sent after it on the call, or a question to history from
  a place beyond it that came by the same call. What was never proven is *unknown*: neither had nor missing. The ack of
  an HTTP/2 PING is no proof: it comes from below gRPC, also when that can make nothing of the messages.

Where faults may take events, the journal says it: `conn.unsure` (of a connection, or of one `attempt` on it) means that
what goes out from there on may vanish or mean nothing to the client; `conn.slow` that it comes late, and `conn.drained`
that all of it has come out of the slow line. A call that a client ended itself after such a thing, or after an event
that was spoiled, is not `graceful`: it may have left before it read everything. A `conn.close` with `reset` takes away
what was not read yet, answers of history and calls that the server had ended in good order before among it, unless a
PING event that went out on the connection after that was answered, or another question over HTTP/1.

`conn.held` says that the newest messages of an `attempt`, so many as `waiting` says, and its end if it has ended, wait
for the client's window, and `conn.let_out` that all of them have got past it: they count as sent only then.

A `client.stop` line means the harness told the client to go: what its calls do after that says nothing about it.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate, pairwise

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
    held: list[tuple[int, float]] = field(default_factory=list)
    """When it waited for its client's window: the line of the first message that did, and the one on which all of them
    had got past it, infinite when they never did.
    """

    def left(self, line: Record) -> float:
        """The line from which on what went out with a line had left the server; infinite when it never did."""
        n = _n(line)
        return next((out for first, out in self.held if first <= n < out), n)

    @property
    def read_until(self) -> int:
        """The line of the last PING event that the client answered: it has read what was sent on the call before."""
        answered = {request.get("id") for request in self.requests if request["request"] == "ping_response"}
        pings = (event["n"] for event in self.events if event.get("op") == "PING" and event["id"] in answered)
        return max(pings, default=0)


@dataclass(frozen=True, slots=True)
class Applied:
    """A `client.applied` line with its place: the life of the client process, the topic if it can be told, and how
    often sequences had begun anew when it was published.
    """

    record: Record
    life: int
    topics: tuple[str, ...]
    era: int = 0

    @property
    def sequence(self) -> int:
        return int(self.record["sequence"])


BACKLOG = 0.1
"""Seconds after a stall in which what came during it may still be read."""

ASKS_WITHIN = 10.0
"""Seconds after an answer that says nothing within which a client asks history again, if the scenario says nothing of
how long it may be away.
"""

_ERA = 1 << 64
"""More than any sequence."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the client has of a topic: places of what it surely got, and of what nobody can tell about."""

    had: frozenset[int]
    unknown: frozenset[int]


@dataclass(slots=True)
class _Gone:
    """A 410: what a client that was told it need not have, of what was published before the line `until`. `sure`: it
    was told.
    """

    record: Record
    after: int
    through: int
    until: int
    sure: bool


class Evidence:
    """A journal, sorted by what checks ask for."""

    def __init__(
        self,
        journal: Sequence[Record],
        now: float | None = None,
        *,
        back_within: float = 0.0,
        times: Mapping[str, int | None] | None = None,
    ) -> None:
        """`now`: world time of the judgement, seconds; without it that of the last line. `back_within`: seconds that
        the scenario grants the client from the end of a stream to the next attempt. `times`: how often its fault rules
        may strike.
        """
        self.back_within = back_within
        self._asks_within = back_within or ASKS_WITHIN
        self.times = times or {}
        self.whole = not journal or journal[0].get("n") == 1
        """False when the journal lost its beginning (it is bounded in memory): most checks cannot judge then."""
        last = float(journal[-1]["t"]) if journal else 0.0
        self.now = last if now is None else max(last, now)
        self.world: Record = {}
        self.published: dict[int, list[Record]] = defaultdict(list)
        self._publications: list[Record] = []
        self._resets: list[int] = []
        """Lines from which on sequences begin anew."""
        self._garbled: set[tuple[int, str]] = set()
        """Sequence and id of what a fault made of an event, where it is another one than was published."""
        self.deleted: dict[str, Record] = {}
        """Topic key to the line that says that the topic was deleted."""
        self.attempts: list[Attempt] = []
        self.harvests: list[Record] = []
        self.purges: list[Record] = []
        self.pings: list[Record] = []
        """`ping.received`, `ping.acked` and `ping.withheld`, in order."""
        self.closes: dict[int, Record] = {}
        self._in_turn: set[int] = set()
        """Connections on which an answer is read before the next request is made."""
        self._unsure: dict[tuple[str, int], int] = {}
        """("conn" or "attempt", its number) to the line from which on nothing that goes out is sure to be read."""
        self._slow: dict[int, int] = {}
        """Connection to the line from which on what goes out comes late."""
        self._drains: dict[int, list[Record]] = defaultdict(list)
        """Connection to the lines that say that nothing was under way there."""
        self.faults: list[Record] = []
        self.exits: list[Record] = []
        self.spawned = False
        self.stalls: list[Record] = []
        """When the machine did not keep time: `clock.stall` lines."""
        self.allowance = 0.0
        """Seconds a check of time allows on top of its bounds, because the machine lost them."""
        self.suspicious = False
        """Whether what the machine lost counts against the client: whether lateness can have helped it to pass."""
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
                if "sent_sequence" in record or "sent_id" in record:
                    sent = record.get("sent_sequence", record["sequence"]), record.get("sent_id", record["id"])
                    self._garbled.add(sent)
        elif kind == "client.applied":
            self.says = True
            self._applied.append((record, len(self.exits)))
        elif kind == "event.published":
            self.published[record["sequence"]].append(record)
            self._publications.append(record)
        elif kind == "sequence.reset":
            self._resets.append(record["n"])
        elif kind == "topic.deleted":
            self.deleted.setdefault(topic_key(record["topic"]), record)
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
        elif kind == "conn.open":
            if record.get("protocol") == "http/1.1":
                self._in_turn.add(record["conn"])
        elif kind == "conn.held":
            self._hold(record)
        elif kind == "conn.let_out":
            self._let_out(record)
        elif kind == "conn.close":
            self.closes[record["conn"]] = record
        elif kind == "conn.unsure":
            place = ("attempt", record["attempt"]) if "attempt" in record else ("conn", record["conn"])
            self._unsure.setdefault(place, record["n"])
        elif kind == "conn.slow":
            self._slow.setdefault(record["conn"], record["n"])
        elif kind == "conn.drained":
            self._drains[record["conn"]].append(record)
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

    def _hold(self, record: Record) -> None:
        attempt = self._by_number.get(record["attempt"])
        if attempt is None or (attempt.held and math.isinf(attempt.held[-1][1])):
            return
        waiting = attempt.events[-record["waiting"] :] if record["waiting"] else []
        attempt.held.append((_n(waiting[0] if waiting else record), math.inf))

    def _let_out(self, record: Record) -> None:
        attempt = self._by_number.get(record["attempt"])
        if attempt is not None and attempt.held and self.stop is None:
            attempt.held[-1] = (attempt.held[-1][0], _n(record))

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
    def sent(self, line: Record) -> float:
        """When a client did what a line tells. Suspicious: at the earliest, for a stall may have kept it unread."""
        t = float(line["t"])
        if not self.suspicious:
            return t
        late = (stall for stall in self.stalls if stall["t"] - stall["since"] < t <= stall["t"] + BACKLOG)
        return t - sum(float(stall["lost"]) for stall in late)

    def end_heard(self, attempt: Attempt) -> float:
        """When a client could know of the end of a call by the server, at the latest; infinite when not in this run.

        On a slow line the end waits behind all that is under way there. It has come out once the line is drained, or
        when the fault that ended the call at once has its receipt: an RST or FIN is nothing that drains.
        """
        assert attempt.end is not None
        end = attempt.end
        if (out := attempt.left(end)) != end["n"]:
            return next((float(line["t"]) for line in self._journal if line["n"] == out), math.inf)
        if end["n"] < self._slow.get(attempt.conn, end["n"] + 1):
            return float(end["t"])
        did_it = {
            line["fault"]
            for line in self.faults
            if line["kind"] == "fault.triggered" and line["t"] == end["t"] and line["n"] < end["n"]
        }
        receipts = (line for line in self.faults if line["kind"] == "fault.on_wire" and line["fault"] in did_it)
        here = (
            line
            for line in receipts
            if line.get("conn", attempt.conn) == attempt.conn and line.get("attempt", attempt.number) == attempt.number
        )
        after = (line for line in (*self._drains[attempt.conn], *here) if end["n"] < line["n"] < self.stop_n)
        return min((float(line["t"]) for line in after), default=math.inf)

    def awake(self, line: Record) -> float:
        """When a line was written. Suspicious: by a clock that stood still with the machine, for a client that waits
        for an answer stands still with it.
        """
        t = float(line["t"])
        if not self.suspicious:
            return t
        return t - sum(float(stall["lost"]) * _share(stall, t) for stall in self.stalls)

    def lost_between(self, lines: Sequence[int]) -> tuple[float, list[Record]]:
        """Seconds the machine lost between the first and the last of these lines (by `n`), and the lines that say so.

        One line alone stands for something that was waited for until the end. Suspicious: also just before the first.
        """
        if not self.stalls:
            return 0.0, []
        wanted = set(lines)
        times = [float(record["t"]) for record in self._journal if record["n"] in wanted]
        first = min(times, default=0.0) - (BACKLOG if self.suspicious else 0.0)
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
        return self._sent_from(self.subscriptions[topic])

    def _sent_from(self, attempt: Attempt) -> int:
        """The line from which on what is published is sent on a call."""
        if self.world.get("delivery") == "first_request" and attempt.subscribed is not None:
            return int(attempt.subscribed["n"])
        return int(attempt.opened["n"])

    def _place(self, n: int, sequence: int) -> int:
        return self._era(n) * _ERA + sequence if self._resets else sequence

    def _era(self, n: int) -> int:
        """How often sequences had begun anew before a line."""
        return bisect_right(self._resets, n)

    def owed(self, topic: str) -> dict[int, Record]:
        """Place to `event.published` line of everything the client should get of a topic it subscribed to. A place is a
        sequence, and another number for the same sequence once they have begun anew.
        """
        start = self.baseline(topic)
        return {
            self._place(record["n"], record["sequence"]): record
            for record in self._publications
            if record["n"] > start and topic in topics_of(record)
        }

    @cached_property
    def kept_back(self) -> set[int]:
        """Sequences that a fault left out of a stream, or let later ones overtake there.

        They may come late: nobody can put in its place what was not sent.
        """
        struck = {record["attempt"] for record in self.faults if "attempt" in record}
        found: set[int] = set()
        for number in struck:
            attempt = self._by_number.get(number)
            if attempt is None or attempt.subscribed is None:
                continue
            highest: tuple[int, int] = (0, 0)
            in_place: set[int] = set()
            for event in attempt.events:
                place = self._era(event["n"]), event["sequence"]
                if event.get("op") != "PING" and "sent_sequence" not in event and place >= highest:
                    highest = place
                    in_place.add(event["sequence"])
            begins = self._sent_from(attempt)
            ends = attempt.end["n"] if attempt.end is not None else math.inf
            for line in self._publications[bisect_right(self._publications, begins, key=_n) :]:
                if line["n"] > ends:
                    break
                sequence = line["sequence"]
                if (self._era(line["n"]), sequence) < highest and attempt.topic in topics_of(line):
                    found |= {sequence} - in_place
        return found

    def out_of_reach(self, published: Record) -> bool:
        """Whether a fault kept an event back on a stream, and history forgot it, too."""
        sequence = published["sequence"]
        return sequence in self.kept_back and any(
            purge["n"] > published["n"] and purge["through"] >= sequence for purge in self.purges
        )

    def untold(self, topic: str) -> dict[int, Record]:
        """Place to `event.published` line of what a fault took from the client, and nothing has told it so by the end.

        The stream it should have come on was struck and goes on, or the client is waiting on one that was struck before
        its subscription was read, or its next attempt is not due. An answer of history has not come since, and it has
        not got the event otherwise.

        A fault that lets the client send hardly anything takes nothing of what is sent to it, and only one that never
        gives it another byte keeps its subscription back for longer than it may be away.
        """
        sizes = {line["fault"]: line["settings"].get("size") for line in self.faults if "settings" in line}
        struck: set[tuple[str, int]] = set()
        narrowed: dict[int, bool] = {}
        """Connection to whether the client may send nothing more there, not even byte by byte."""
        for record in self.faults:
            if record["kind"] != "fault.on_wire":
                continue
            if self._kinds.get(record["fault"]) == "window":
                narrowed[record["conn"]] = not sizes.get(record["fault"])
            else:
                struck.update((place, record[place]) for place in ("conn", "attempt") if place in record)

        def hit_by(call: Attempt) -> bool:
            if not struck.isdisjoint({("conn", call.conn), ("attempt", call.number)}):
                return True
            return call.topic is None and (
                narrowed.get(call.conn, False)
                or (call.conn in narrowed and self.stop_t - call.opened["t"] <= self._asks_within)
            )

        open_calls: list[Attempt] = []
        last: Attempt | None = None
        ended = 0
        for call in self.attempts:
            if call.topic not in (topic, None) or call.opened["n"] > self.stop_n:
                continue
            if call.end is None or call.end["n"] > self.stop_n:
                open_calls.append(call)
            elif call.topic == topic and call.end["n"] > ended:
                last, ended = call, call.end["n"]
        hit = [call for call in open_calls if hit_by(call)]
        begins = [max(self._sent_from(call), ended) for call in hit if call.topic == topic]
        if hit and not any(call.topic == topic for call in open_calls):
            begins.append(0)
        if last is not None and not open_calls and self._not_due(last):
            begins.append(0)
        heard = (
            line["n"]
            for line in self.harvests
            if self.key(line) == topic and line.get("status") == 200 and line.get("after") is not None
            if not line.get("spoiled") and self.heard(line) and line["n"] < self.stop_n
        )
        since = max(min(begins, default=math.inf), max(heard, default=0))
        handed = self.handed(topic).had
        return {place: line for place, line in self.owed(topic).items() if line["n"] > since and place not in handed}

    def _not_due(self, last: Attempt) -> bool:
        """Whether the run was over before the attempt that follows a client's last call had to be made."""
        assert last.end is not None
        n = last.end["n"]
        left = any(n < exit["n"] < self.stop_n for exit in self.exits)
        return not left and self.stop_t - self.end_heard(last) < self.back_within

    def busy(self, topic: str) -> dict[int, Record]:
        """Place to `event.published` line of what is behind the last that a client says it applied, when it may well be
        at the next: it has that, and has not been at it for twice the longest time that it took for one before.
        """
        mine = [one for one in self.applied if topic in one.topics and one.record["n"] < self.stop_n]
        if not mine or any(_n(mine[-1].record) < exit["n"] < self.stop_n for exit in self.exits):
            return {}
        came: dict[int, list[Record]] = defaultdict(list)
        for attempt in self.attempts:
            for event in attempt.events if attempt.topic == topic else ():
                came[self._place(event["n"], event["sequence"])].append(event)
        for page in self.harvests:
            for sequence in page.get("sequences", ()) if self.key(page) == topic else ():
                came[self._place(page["n"], sequence)].append(page)
        slowest = began = 0.0
        places = [one.era * _ERA + one.sequence for one in mine]
        for one, place in zip(mine, places, strict=True):
            lines = [line for line in came[place] if line["n"] < one.record["n"]]
            if lines:
                slowest = max(slowest, one.record["t"] - max(began, max(line["t"] for line in lines)))
            began = one.record["t"]
        rest = {place: line for place, line in self.owed(topic).items() if place > max(places)}
        backlog = [line["t"] for place in self.handed(topic).had & rest.keys() for line in came[place]]
        return rest if backlog and self.stop_t - max(began, min(backlog)) < 2 * slowest else {}

    def denied(self, topic: str) -> tuple[dict[int, Record], list[Record]]:
        """Place to `event.published` line of what history did not give a client that asked for it and goes on asking,
        and the last questions, of which none had an answer that it could use.

        Who has not asked for longer than between two questions before, or than it may be away, has given up: that
        counts as soon as the faults are spent that could make the next answer ill.
        """
        asked = [
            line
            for line in self.harvests
            if self.key(line) == topic and line.get("after") is not None and line["n"] < self.stop_n
        ]
        first = next((n for n in range(len(asked), 0, -1) if not self._ill(asked[n - 1])), 0)
        if not (row := asked[first:]) or (self._gave_up(row) and self._well_again()):
            return {}, []
        last = row[-1]
        watches = any(
            call.topic == topic and (call.end is None or call.end["n"] > self.stop_n)
            for call in self.attempts
            if call.opened["n"] < self.stop_n
        )
        beyond = self._place(last["n"], last["after"])
        handed = self.handed(topic).had
        return {
            place: line
            for place, line in self.owed(topic).items()
            if place > beyond and place not in handed and (line["n"] < last["n"] or not watches)
        }, row

    def _ill(self, line: Record) -> bool:
        """Whether a fault kept the answer of history from the client, whatever the client did."""
        status = line.get("status", 0)
        if status != 410 and (line.get("spoiled") or status >= 500 or status == 429):
            return True
        if line.get("unheard"):
            conn = line.get("conn", 0)
            return any(
                fault["kind"] == "fault.on_wire" and fault.get("conn", 0) == conn and fault["n"] < line["n"]
                for fault in self.faults
            )
        return status in (200, 410) and not self.heard(line)

    def _gave_up(self, row: Sequence[Record]) -> bool:
        times = [float(line["t"]) for line in row]
        pauses = (2 * (later - earlier) for earlier, later in pairwise(times))
        told = (
            float(line["settings"].get("retry_after") or 0.0)
            for line in self.faults
            if line["kind"] == "fault.armed" and "settings" in line
        )
        return self.stop_t - times[-1] > max((self._asks_within, *pauses, *told))

    def _well_again(self) -> bool:
        """Whether all the faults have struck as often as they may that made answers ill."""
        struck = Counter(line["fault"] for line in self.faults if line["kind"] == "fault.triggered")
        gone = {line["fault"] for line in self.faults if line["kind"] == "fault.disarmed"}
        for name, count in struck.items():
            most = self.times.get(name)
            spent = name in gone or (most is not None and count >= most)
            if self._kinds[name].startswith("http_") and not spent:
                return False
        return True

    # ------------------------------------------------------------------------------------------ what it has
    @cached_property
    def applied(self) -> list[Applied]:
        """What the client says it applied, in its order, each with the topics it can have come from.

        What a fault had made of an event, and the client took as it was, is left out: nobody published it.
        """
        interests = self.interests
        found = []
        for record, life in self._applied:
            published = self.published.get(record["sequence"], ())
            if (record["sequence"], record.get("id") or "") in self._garbled:
                if not published:
                    continue
                record = {**record, "id": None}
            if record.get("topic"):
                topics: tuple[str, ...] = (topic_key(record["topic"]),)
            else:
                matching = {key for line in published for key in topics_of(line) if key in interests}
                topics = tuple(sorted(matching))
            era = max((self._era(line["n"]) for line in published if line["n"] < record["n"]), default=0)
            found.append(Applied(record, life, topics, era))
        return found

    def holdings(self, topic: str) -> Holdings:
        """What the client has of a topic; see the module docstring for what counts."""
        if not self.says:
            return self.handed(topic)
        had: set[int] = set()
        unnamed: Counter[tuple[int, int]] = Counter()
        for one in self.applied:
            if topic not in one.topics:
                continue
            place = one.era * _ERA + one.sequence
            unnamed[one.life, place] += 1
            # It may be for any of them that wants it: all of them have it when there is a line for each.
            if unnamed[one.life, place] >= sum(self._owes(one.sequence, other) for other in one.topics):
                had.add(place)
        return Holdings(frozenset(had), frozenset(place for _, place in unnamed if place not in had))

    def _owes(self, sequence: int, topic: str) -> bool:
        return topic in self.subscriptions and any(
            line["n"] > self.baseline(topic) for line in self.published.get(sequence, ())
        )

    def handed(self, topic: str) -> Holdings:
        """What the wire shows of what a client got of a topic, whatever it says itself."""
        had: set[int] = set()
        doubtful: set[int] = set()
        ways: dict[int, list[tuple[int, int]]] = {}
        """Place to the lines on which it went out and the way it went each time: a call's number, or less than 0 for
        history.
        """
        asked: list[tuple[int, int]] = []
        for attempt in self.attempts:
            if attempt.topic != topic:
                continue
            safe = self._stayed(attempt)
            read = attempt.read_until
            for event in attempt.events:
                if event.get("op") == "PING":
                    continue
                place = self._place(event["n"], event["sequence"])
                ways.setdefault(place, []).append((event["n"], attempt.number))
                left = attempt.left(event) if attempt.held else event["n"]
                if event["n"] < read or (safe and self._arrived(left, attempt.conn, attempt.number)):
                    had.add(place)
                else:
                    doubtful.add(place)
        for record in self.harvests:
            if topic_key(record["topic"]) != topic:
                continue
            if record.get("status") == 200:
                page = [self._place(record["n"], sequence) for sequence in record.get("sequences", ())]
                for place in page:
                    ways.setdefault(place, []).append((record["n"], -record["n"]))
                if self._came(record):
                    had.update(page)
                else:
                    doubtful.update(page)
            if (after := record.get("after")) is not None:
                asked.append((record["n"], self._place(record["n"], after)))
        beyond: dict[int, tuple[list[int], list[int]]] = {}
        doubtful -= had
        for place in doubtful:
            for n, way in ways[place]:
                if way not in beyond:
                    beyond[way] = _asked_beyond(asked, ways, way)
                lines, highest = beyond[way]
                at = bisect_right(lines, n)
                if at < len(lines) and highest[at] >= place:
                    had.add(place)
        return Holdings(frozenset(had), frozenset(doubtful - had))

    def _stayed(self, attempt: Attempt) -> bool:
        """Whether a call is open, or ended in a way that let the client read all of it first."""
        end = attempt.end
        if end is None or end["n"] > self.stop_n:
            return True
        if not end.get("graceful", False):
            return False
        close = self.closes.get(attempt.conn, {})
        if end.get("by") == "client" or not close.get("reset") or close["n"] > self.stop_n:
            return True
        return self._read_until.get(attempt.conn, 0) > attempt.left(end)

    def heard(self, line: Record) -> bool:
        """Whether a client surely got an answer of history."""
        return not line.get("unheard") and self._came(line)

    def _came(self, line: Record) -> bool:
        """The same of one that its client waited for."""
        conn, n = line.get("conn", 0), _n(line)
        if not self._arrived(n, conn):
            return False
        close = self.closes.get(conn, {})
        if not close.get("reset") or not n < close["n"] < self.stop_n:
            return True
        return self._read_until.get(conn, 0) > n or (conn in self._in_turn and self._last_answer[conn] > n)

    @cached_property
    def _last_answer(self) -> dict[int, int]:
        """Connection to the line of the last question to history on it."""
        return {line["conn"]: line["n"] for line in self.harvests if "conn" in line}

    @cached_property
    def _read_until(self) -> dict[int, int]:
        """Connection to the line of the last PING event that was answered on any of its calls."""
        found: dict[int, int] = {}
        for attempt in self.attempts:
            found[attempt.conn] = max(found.get(attempt.conn, 0), attempt.read_until)
        return found

    def _arrived(self, n: float, conn: int, attempt: int = 0) -> bool:
        """Whether what left with the journal's line `n` got to a client that stayed: no fault had its hand on it."""
        if math.isinf(n):
            return False
        hole = self.blackholes.get(conn)
        if hole is not None and n > hole["n"]:  # a journal of before there was `conn.unsure`
            return False
        if any(n > self._unsure.get(place, n) for place in (("conn", conn), ("attempt", attempt))):
            return False
        return n < self._slow.get(conn, n + 1) or any(n < drain["n"] for drain in self._drains[conn][-1:])

    def let_go(self, topic: str | None) -> Record | None:
        """The line that told a client that its topic was deleted, if it ended at that: it may, or try on."""
        if topic is None or (deleted := self.deleted.get(topic)) is None:
            return None
        calls = [attempt for attempt in self.attempts if attempt.topic in (topic, None)]
        told = [call.end for call in calls if call.end is not None and call.end.get("code") == "NOT_FOUND"]
        told += [
            line
            for line in self.harvests
            if line.get("status") == 404 and self.key(line) == topic and not line.get("unheard")
        ]
        last = max((line for line in told if line["t"] >= deleted["t"]), key=_n, default=None)
        if last is None or not any(_n(last) < exit["n"] < self.stop_n for exit in self.exits):
            return None
        return None if any(call.opened["n"] > last["n"] for call in calls) else last

    def told_gone(self, topic: str, published: Record) -> Record | None:
        """The 410 that told the client it cannot get this event any more, if there is one (protocol 3.2, 2.3).

        A 410 names only the newest sequence there is, so a client that goes on from there did as it was told, even if a
        few events before it were still kept. One that does not name it sends the client to ask for the newest.
        """
        return next((gone.record for gone in self._gone_for(topic, published) if gone.sure), None)

    def perhaps_gone(self, topic: str, published: Record) -> bool:
        """Whether there is such a 410, be it that the client never got it."""
        return any(True for _ in self._gone_for(topic, published))

    def _gone_for(self, topic: str, published: Record) -> Iterator[_Gone]:
        for gone in self._gone.get(topic, ()):
            if gone.after < published["sequence"] <= gone.through and published["n"] < gone.until:
                yield gone

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
            if record.get("status") != 410 or record.get("unheard"):
                continue
            through = max((purge["through"] for purge in self.purges if purge["n"] < record["n"]), default=-1)
            gone = _Gone(record, -1 if after is None else after, through, record["n"], self.heard(record))
            if (newest := record.get("max_sequence")) is None:
                bare[topic] = gone
                newest = max(
                    (number for number, lines in self.published.items() if lines[0]["n"] < gone.until), default=-1
                )
            gone.through = max(through, newest)
            gone.sure = gone.sure or self._went_on(record, newest)
            found[topic].append(gone)
        return found

    def _went_on(self, told: Record, newest: int) -> bool:
        """Whether a question shows that the client got a 410: it is from where that sent it."""
        return any(
            line["n"] > told["n"] and self.key(line) == self.key(told) and (line.get("after") or -1) >= newest
            for line in self.harvests
        )


def _asked_beyond(
    asked: Sequence[tuple[int, int]], ways: Mapping[int, Sequence[tuple[int, int]]], way: int
) -> tuple[list[int], list[int]]:
    """The lines of the questions to history that say what a client has got by one way, and the highest place that it
    asks from there or later.

    Whoever asks from beyond an event says that he has it, if the place he asks from is one that came the same way:
    another stream may begin with a later event, and who takes that for his place has missed what is before it.
    """
    told = []
    for n, place in asked:
        came = {other for line, other in ways.get(place, ()) if line < n}
        if not came or way in came:
            told.append((n, place))
    highest = list(accumulate((place for _, place in reversed(told)), max))
    return [n for n, _ in told], highest[::-1]


def _share(stall: Record, t: float) -> float:
    """How much of a stall was over at a time, from 0 to 1."""
    return float(min(1.0, max(0.0, 1.0 - (stall["t"] - t) / stall["since"])))


def _n(record: Record) -> int:
    return int(record["n"])


def topics_of(published: Record) -> set[str]:
    """The keys of the topics an `event.published` line matched."""
    return {topic_key(link) for link in published.get("topics", ())}
