"""Central: what the fake means, without a clock, a socket or a thread.

    servers / sim  --- observations, with `now` --->  Central  --- orders to carry out --->  servers / sim
                                                        |
                                                     journal

Rules of the house:

* Every method that observes takes `now` (world time: seconds since the world's start). Wall time is `wall_start + now`.
* After any observation the shell takes `orders()` and carries them out in order, then calls `performed` for orders
  that came from a fault: that is the fault's receipt. What has to wait before it leaves gets it from `carried_out`.
* `deadline()` says when `tick(now)` has something to do next; calling it early is harmless, late catches up.
* A thing that is gone (a closed call, a lost connection) is ignored, whatever is said about it: news crosses on the
  wire.

What talks to whom: `log` and `topics` hold history, `tokens` judges tokens, `resources` is the REST store, `director`
lets faults strike and `traffic` publishes. Only this module knows them all. Protocol sections are named at the rules.
"""

from __future__ import annotations

import functools
import heapq
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any, Final

from mockcentral._core import harvester
from mockcentral._core.actions import (
    AckPing,
    AnswerCall,
    AnswerEvent,
    AnswerHttp,
    AnswerPing,
    AnswerToken,
    BlackHole,
    CloseConnection,
    CutCall,
    DropTopic,
    EndCall,
    ExpireTokens,
    GoAway,
    GuardPings,
    HalfClose,
    Later,
    MarkSent,
    Order,
    Part,
    PurgeLog,
    Quiet,
    Reframe,
    RefuseConnections,
    ResetCall,
    ResetSequence,
    RespondCall,
    Restart,
    SendBytes,
    SendEvents,
    SendFrames,
    SendPing,
    SendToEach,
    ShapeBytes,
    SkewClock,
    StartListening,
    StopListening,
)
from mockcentral._core.barrier import Barrier
from mockcentral._core.calls import (
    AGENT_STATUS,
    PING_CAPABILITY,
    PING_RESPONSE,
    WATCH_PATH,
    Call,
    Connection,
    Held,
    PingGuard,
    WatchRequest,
)
from mockcentral._core.chance import Chance
from mockcentral._core.director import Director, Strike
from mockcentral._core.events import Change, Event, Op, Scope, TopicEvent, altered
from mockcentral._core.frozen import dataclass
from mockcentral._core.ids import Ids
from mockcentral._core.journal import Journal
from mockcentral._core.keeping import Keeper, Restored, Rows, Unreadable, read_event
from mockcentral._core.log import EventLog, Gone, TopicLog
from mockcentral._core.receipts import ASKED, TTL, Pending, Receipts
from mockcentral._core.resources import Place, ResourceStore, make_link, unversioned, versioned
from mockcentral._core.rules import Cause, EndlessRules, Firing, Reactor, fire
from mockcentral._core.tokens import GOOD, TokenBook, Worth, bearer
from mockcentral._core.tokens import Verdict as TokenVerdict
from mockcentral._core.topics import Topic, TopicEntry, TopicIndex, filters_of, topic_of
from mockcentral._core.traffic import TrafficLine
from mockcentral._core.wall import Wall
from mockcentral._core.writes import put_subresource
from mockcentral.scenario.scaling import scaled
from mockcentral.scenario.schema import FaultRule, Filter, Scenario
from mockcentral.scenario.types import Code

_DELETED: Final = Op.DELETED
_PING = Change(op=Op.PING, group="", kind="", name="")

_RESET_CODES = {7: "UNAVAILABLE", 8: "CANCELLED", 11: "RESOURCE_EXHAUSTED", 12: "PERMISSION_DENIED"}
"""What gRPC makes of a RST_STREAM's code; INTERNAL of all others."""

MAX_PING_MARKS = 1000
"""PING events of a call whose answer is waited for, to learn what the client has read."""

Issue = tuple[Order, str | None]
"""An order and the name of the fault rule it came from."""


@dataclass(frozen=True, slots=True)
class _Ping:
    """The timer of a call's next PING event; `Central.idle_pings` knows it by its type."""

    central: Central
    call: Call

    def __call__(self, now: float) -> None:
        self.central._ping(self.call, now)


@dataclass(frozen=True, slots=True)
class Page:
    """A page of history. `sequences` has the ids in the order of `events`."""

    events: tuple[TopicEvent, ...]
    query: harvester.Query

    @property
    def sequences(self) -> list[int]:
        return [entry.event.sequence for entry in self.events]


class Central:
    """A fake Central. See the module docstring for how to drive it."""

    __slots__ = (
        "_actions",
        "_away",
        "_cause",
        "_counts",
        "_cuts",
        "_director",
        "_firings",
        "_ids",
        "_issues",
        "_keeper",
        "_last_call",
        "_last_connection",
        "_last_ping",
        "_last_stray",
        "_marks",
        "_moments",
        "_now",
        "_owed",
        "_promised",
        "_reactor",
        "_settled",
        "_settling",
        "_steps",
        "_tie",
        "_timers",
        "_traffic",
        "_traffic_by_anchor",
        "_wall",
        "calls",
        "connections",
        "issuer",
        "journal",
        "listening",
        "log",
        "new_id",
        "published",
        "receipts",
        "resources",
        "scenario",
        "seed",
        "settings",
        "timestamp",
        "tokens",
        "topics",
        "wall",
    )

    def __init__(
        self,
        scenario: Scenario,
        *,
        journal: Journal,
        sign: Callable[[Mapping[str, Any]], str],
        wall_start: float,
        seed: int,
        issuer: str = "",
        keeper: Keeper | None = None,
        restored: Restored | None = None,
    ) -> None:
        self.scenario = scenario
        self.settings = scenario.world
        self.journal = journal
        self.seed = seed
        self.issuer = issuer
        # Objects of their own, not methods of this one: worlds by the thousand are given back when they are dropped.
        self._wall = Wall(wall_start)
        self.wall: Callable[[float], float] = self._wall.at
        """Wall time in seconds since 1970 at a world time."""
        self.timestamp: Callable[[float], str] = self._wall.timestamp
        """A world time as resources have it."""
        # A process that goes on where another ended must not give out its ids again.
        self._ids = Ids(f"{seed}:ids:{restored.starts}" if restored and restored.starts else f"{seed}:ids")
        self.new_id: Callable[[], str] = self._ids.new
        """A version 4 UUID from the seed."""
        self.tokens = TokenBook(
            tenant=self.settings.tenant, accept=self.settings.token.accept, sign=sign, new_id=self.new_id
        )
        self._keeper = keeper
        self.resources = ResourceStore(self.new_id, self.timestamp, *([keeper.resource] if keeper is not None else []))
        self.topics = TopicIndex()
        self.log = self._new_log()
        self.connections: dict[int, Connection] = {}
        self.calls: dict[int, Call] = {}
        self.published = 0
        self._counts: dict[str, int] = {}
        self._last_connection = 0
        self._last_call = 0
        self._last_stray = 0
        self._issues: list[Issue] = []
        self._promised: list[tuple[Order, float]] = []
        """The orders of strikes that were planned for a time, and that time, until the next `tick`."""
        self.receipts = Receipts(journal)
        self._timers: list[tuple[float, int, Callable[[float], None], bool]] = []
        self._owed: dict[bytes, tuple[Barrier, int, int, int]] = {}
        """PINGs of barriers that are not acked: payload to barrier, connection, how many faults were on the wire before
        it, and how many marks were ordered before it.
        """
        self._marks = 0
        self._last_ping = 0
        self._actions = self._settled = 0
        """How many actions there were, and at which of them the last `barrier` moment was asked for."""
        self._settling: Barrier | None = None
        self._now = 0.0
        self._tie = 0
        # Most worlds draw from neither.
        self._steps = Chance(f"{seed}:sequence")
        self._cuts = Chance(f"{seed}:attempts")
        self._director = Director(seed)
        self._reactor = Reactor(scenario.rules, seed)
        self._firings = 0
        """Firings of rules whose pause is not over."""
        self._cause: Cause | None = None
        """What the rule that is firing now goes back to; None while something comes from outside."""
        self._traffic = [
            TrafficLine(line, Random(f"{seed}:traffic:{number}")) for number, line in enumerate(scenario.traffic)
        ]
        self._traffic_by_anchor: dict[str, list[TrafficLine]] = {}
        for line in self._traffic:
            self._traffic_by_anchor.setdefault(line.spec.on.name, []).append(line)
        self._moments: set[str] = set()
        """The moments that traffic, a fault or a rule waits for: most moments of a run are nobody's."""
        self._look_out()
        self.listening = True
        self._away = 0
        """Reasons not to listen."""
        if restored is not None:
            self._restore(restored)

    # ------------------------------------------------------------------------------------------ driving
    def start(self, now: float, **about: Any) -> None:
        """Create the scenario's topics and the environments they look into, arm its faults, let the traffic begin."""
        for spec in self.scenario.topics:
            resource, filters = topic_of(spec)
            link = make_link("management", "WatchTopic", spec.name)
            id, self_link = self.resources.sketch(link, resource, "WatchTopic", now)
            self.topics.add(Topic(spec.name, id, link, self_link, filters))
            for entry in spec.filters:
                if entry.scope is not None and "*" not in (entry.scope.kind, entry.scope.name, entry.group):
                    self.resources.scope_of(entry.scope.kind, entry.scope.name, entry.group)
        self.journal.add(
            now,
            "world.start",
            scenario=self.scenario.scenario,
            seed=self.seed,
            tenant=self.settings.tenant,
            topics=[entry.topic.self_link for entry in self.topics],
            delivery=self.settings.delivery,
            **about,
        )
        for rule in self.scenario.faults:
            self.arm(rule, now)
        self._observe("start", 1, now)
        self._run_timers(now)  # what rules make at the start is there before anybody may ask for it

    def plant(self, resources: Iterable[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Resources that were there before the world began, as link, kind and body: nobody is told of them.

        Raises ValueError when one is not what `ResourceStore.put` takes.
        """
        for link, kind, body in resources:
            self.resources.put(link, body, kind=kind, now=0.0)

    def orders(self) -> Sequence[Issue]:
        """What is to be carried out, oldest first; the list is handed over and starts afresh."""
        if self._actions != self._settled and self._settling is None and "barrier" in self._moments:
            self._settle()
        if not self._issues:
            return ()
        issues, self._issues = self._issues, []
        return issues

    def again(self, issues: Iterable[Issue]) -> None:
        """Orders that could not be carried out when they were taken, and can be now."""
        self._issues += issues

    @property
    def has_orders(self) -> bool:
        """Whether `orders` would return something."""
        return bool(self._issues)

    def performed(self, order: Order, rule: str, now: float) -> None:
        """The receipt of an order that came from a fault: it is on the wire."""
        self.carried_out(order, rule, now)(now)

    def carried_out(self, order: Order, rule: str, now: float) -> Callable[[float], None]:
        """An order that came from a fault is handed on now, and may have to wait for a line or a window: its receipt,
        to be called with the time when it is on the wire. Only until now it can have been late by our own fault.
        """
        fields: dict[str, Any] = {}
        if (connection := getattr(order, "connection", None)) is not None:
            fields["conn"] = connection
        if (call := getattr(order, "call", None)) is not None:
            fields["attempt"] = call
        if isinstance(order, MarkSent):
            fields |= {"sequence": order.sequence, "mark": order.number}
        planned = next((at for promised, at in self._promised if promised is order), None)
        if planned is not None:
            fields["late"] = _late(now, planned)
        return lambda later: self._on_wire(rule, later, **fields)

    def _on_wire(
        self, rule: str | None, now: float, *, planned: float | None = None, needs: str = "", **fields: Any
    ) -> None:
        if rule is not None:
            if planned is not None:
                fields["late"] = _late(now, planned)
            self.receipts.on_wire(rule, now, needs=needs, **fields)

    def on_wire(self, name: str) -> int:
        """How often what a rule asked for reached the wire."""
        receipt = self.receipts.get(name)
        return receipt.on_wire if receipt is not None else 0

    def deadline(self) -> float | None:
        """World time at which `tick` has something to do, None when nothing is planned."""
        # Asked after every observation, so in plain words: a list and a generator would cost more than the rest.
        earliest = self._timers[0][0] if self._timers else None
        for line in self._traffic:
            at = line.next_at
            if at is not None and (earliest is None or at < earliest):
                earliest = at
        if self._director.planned or self._director.mortal:
            planned = self._director.deadline()
            if planned is not None and (earliest is None or planned < earliest):
                return planned
        return earliest

    def tick(self, now: float, budget: int | None = None) -> None:
        """Do whatever is due. With a `budget`, stop publishing after about so many events and deliveries of them.

        What is left then is due still: `deadline()` says so. A shell in real time gives a budget and looks after its
        sockets in between, because a scenario may ask for more traffic than the machine can carry.
        """
        self._promised.clear()
        if self._timers:
            self._run_timers(now)
        planned = self._director.deadline() if self._director.planned or self._director.mortal else None
        if planned is not None and planned <= now:
            for name in self._director.outlived(now):
                self._look_out()
                self.receipts.disarmed(name, TTL, now)
            for strike in self._director.due(now):
                self._carry_out(strike, now)
        spent = 0
        while (line := self._due_line(now)) is not None:
            spent += 1 + self._publish(line.next_change(), now)[1]
            while line.burst_left and (budget is None or spent < budget):
                spent += 1 + self._publish(line.next_change(), now)[1]
            if budget is not None and spent >= budget:
                return

    def _run_timers(self, now: float) -> None:
        while self._timers and self._timers[0][0] <= now:
            heapq.heappop(self._timers)[2](now)

    def _due_line(self, now: float) -> TrafficLine | None:
        """The line whose turn it is: in the order of the planned times, so that being late does not change what is
        published after what.
        """
        turn: TrafficLine | None = None
        earliest = now
        for line in self._traffic:
            at = line.next_at
            if at is None or at > now:
                continue
            if line.burst_left:
                return line
            if turn is None or at < earliest:
                turn, earliest = line, at
        return turn

    @property
    def traffic_done(self) -> bool:
        """Whether every traffic line has published all it will, and no rule is about to fire."""
        return not self._firings and all(line.done for line in self._traffic)

    def arm(self, rule: FaultRule, now: float) -> None:
        """Arm a fault rule; one of the same name is replaced."""
        self._director.arm(rule, now)
        self._look_out()
        self.receipts.armed(rule, now)

    def close(self) -> None:
        """Nothing that is planned happens any more."""
        self._timers.clear()
        self.calls.clear()

    def disarm(self, name: str, now: float = 0.0) -> bool:
        """Disarm a fault rule; False when there is none of that name."""
        if not self._director.disarm(name):
            return False
        self._look_out()
        self.receipts.disarmed(name, ASKED, now)
        return True

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The armed fault rules."""
        return self._director.rules

    def minds(self, anchor: str) -> bool:
        """Whether a fault rule strikes at this moment."""
        return self._director.minds(anchor)

    def fired(self, name: str) -> int:
        """How often a rule struck."""
        return self._director.fired(name)

    # ------------------------------------------------------------------------------------------ connections
    def connection_opened(self, peer: str, now: float) -> int:
        """A TCP connection was accepted; returns its id."""
        self._last_connection += 1
        connection = Connection(self._last_connection, peer)
        self.connections[connection.id] = connection
        self._observe("connect", connection.id, now, connection=connection.id)
        return connection.id

    def connection_speaks(self, id: int, protocol: str, now: float) -> None:
        """The first bytes told which protocol a connection speaks: "h2", "http/1.1", "tls" or "unknown"."""
        connection = self.connections.get(id)
        if connection is not None and not connection.protocol:
            connection.protocol = protocol
            if self.journal.keeps:
                self.journal.add(now, "conn.open", conn=id, peer=connection.peer, protocol=protocol)
            if protocol == "h2":
                self._observe("preface", self._count("preface"), now, connection=id)

    def connection_closed(self, id: int, now: float, *, by: str, reason: str, reset: bool = False) -> None:
        """A TCP connection is gone; its calls end with it. `reset`: by a RST of ours, which takes with it whatever the
        client has not read, the ends of earlier calls among it.
        """
        connection = self.connections.pop(id, None)
        if connection is None:
            return
        if not connection.protocol and self.journal.keeps:
            self.journal.add(now, "conn.open", conn=id, peer=connection.peer, protocol="unknown")
        code = "CANCELLED" if by == "client" else "UNAVAILABLE"
        for call in list(connection.calls.values()):
            graceful = by == "client" and call.is_left_well
            self._call_is_over(call, now, by=by, code=code, reason=reason, graceful=graceful)
        if self.journal.keeps:
            self.journal.add(now, "conn.close", conn=id, by=by, reason=reason, **({"reset": True} if reset else {}))
        if by == "client" and self.receipts.waiting:
            self.receipts.sign("left", now, lambda one: one.connection == id)
        if self._owed:
            for payload in [payload for payload, owed in self._owed.items() if owed[1] == id]:
                self._owed.pop(payload)[0].heard(id, now)

    def ping_received(self, id: int, payload: bytes, now: float) -> None:
        """A client's HTTP/2 PING. Acked at once unless a fault says otherwise (`on: ping`)."""
        connection = self.connections.get(id)
        if connection is None:
            return
        connection.pings += 1
        nth = connection.pings
        self.journal.add(now, "ping.received", conn=id, nth=nth)
        if connection.guard is not None and not connection.guard.tolerates(now):
            self._calm_down(connection, connection.guard, now)
            return
        answer, rule = AnswerPing(), None
        if "ping" in self._moments:
            for found, name in self._observe("ping", nth, now, connection=id):
                if isinstance(found, AnswerPing):
                    answer, rule = found, name
        if answer.delay is None:
            self.journal.add(now, "ping.withheld", conn=id, nth=nth)
            self._begins(rule, connection, now)
        elif answer.delay <= 0:
            self._ack(id, payload, nth, answer, rule, now)
        else:
            # The silence until then is the fault, and it begins now: a client that gives up meanwhile has felt it.
            self._begins(rule, connection, now)
            given = answer
            self._at(now + answer.delay, lambda later: self._ack(id, payload, nth, given, None, later))

    def _begins(self, rule: str | None, connection: Connection, now: float, **fields: Any) -> None:
        """A silence is on the wire, unless there is nothing else on it already."""
        if not connection.mute:
            self._on_wire(rule, now, conn=connection.id, **fields)

    def _ack(self, id: int, payload: bytes, nth: int, answer: AnswerPing, rule: str | None, now: float) -> None:
        connection = self.connections.get(id)
        if connection is not None and not connection.mute:
            for copy in range(answer.copies):
                self._issue(AckPing(id, payload if answer.payload is None else answer.payload), None if copy else rule)
            self.journal.add(now, "ping.acked", conn=id, nth=nth, delay=answer.delay)
            self._observe("ping_acked", nth, now, connection=id)

    def _calm_down(self, connection: Connection, guard: PingGuard, now: float) -> None:
        """ENHANCE_YOUR_CALM, as a gRPC server says it (gRFC A8), and the end of the connection."""
        self._issue(GoAway(connection.id, 11, None, b"too_many_pings"), guard.rule)
        self._do(CloseConnection(connection.id), None, now, "too many PINGs")

    # ------------------------------------------------------------------------------------------ barriers
    def begin_barrier(self, now: float, done: Callable[[float], None]) -> Barrier:
        """Send a PING on every open HTTP/2 connection that is not silenced; `done` is called, with the time, once all
        are acked or gone. At once when there is none.
        """
        barrier = Barrier({one.id for one in self._reachable()}, done)
        for id in sorted(barrier.waiting):
            self._last_ping += 1
            payload = b"barr" + (self._last_ping & 0xFFFFFFFF).to_bytes(4, "big")
            self._owed[payload] = (barrier, id, self.receipts.sent, self._marks)
            self.send_ping(id, payload)
        if not barrier.waiting:
            done(now)
        return barrier

    def give_up(self, barrier: Barrier, now: float) -> str:
        """A barrier took too long: what is still missing, for a person to read."""
        for payload in [payload for payload, owed in self._owed.items() if owed[0] is barrier]:
            del self._owed[payload]
        waiting = sorted(barrier.waiting)
        self.journal.add(now, "barrier.timeout", conns=waiting, asked=barrier.asked)
        shown = [f"{id} ({self.connections[id].peer})" for id in waiting if id in self.connections]
        more = f" and {len(shown) - 5} more" if len(shown) > 5 else ""
        return f"{len(waiting)} of {barrier.asked} connections did not ack a PING: {', '.join(shown[:5])}{more}"

    def ping_acked(self, id: int, payload: bytes, now: float) -> None:
        """A client acked a PING of ours: it has read everything that was sent before it."""
        owed = self._owed.get(payload)
        if owed is None or owed[1] != id:
            return
        del self._owed[payload]
        barrier, _, sent, marks = owed
        self.receipts.sign(
            "read on", now, lambda one: one.connection == id and one.number <= sent and one.mark <= marks
        )
        barrier.heard(id, now)

    def ping_left(self, payload: bytes) -> None:
        """A PING of ours has left only now, and behind what has left by now: its ack proves so much more. To be said
        when something was on its way while the PING was ordered.
        """
        if (owed := self._owed.get(payload)) is not None:
            barrier, id, _, marks = owed
            self._owed[payload] = (barrier, id, self.receipts.sent, marks)

    def _reachable(self) -> list[Connection]:
        return [one for one in self.connections.values() if one.protocol == "h2" and not (one.mute or one.deaf)]

    def _look_out(self) -> None:
        self._moments = {*self._traffic_by_anchor, *self._director.anchors, *self._reactor.moments}

    def _settle(self) -> None:
        """Something was done: ask every connection whether it has read it, for the moment `barrier`."""
        if not any(connection.calls for connection in self._reachable()):
            return  # nobody there yet: as soon as somebody is
        self._settled = self._actions
        now = self._now

        def passed(later: float) -> None:
            self._settling = None
            if self._settled == self._actions:  # else something was done meanwhile: once more, from `orders`
                count = self._count("barrier")
                self.journal.add(later, "barrier.passed", nth=count, conns=barrier.asked)
                self._observe("barrier", count, later)

        def late(later: float) -> None:
            if self._settling is barrier:
                self._settling = None
                self.give_up(barrier, later)

        barrier = self._settling = self.begin_barrier(now, passed)
        self._at(now + self.settings.barrier_timeout, late)

    # ------------------------------------------------------------------------------------------ calls
    def call_opened(self, id: int, stream: int, path: str, metadata: Mapping[str, str], now: float) -> int | None:
        """A gRPC call was opened: headers only. Returns the call's id, also when it was refused at once.

        A call of another method gets a negative id and ends UNIMPLEMENTED. None: the connection is gone. Metadata
        rules: protocol 1.4; refusals: `world.status`.
        """
        connection = self.connections.get(id)
        if connection is None:
            return None
        if path == WATCH_PATH:
            self._last_call += 1
            number = self._last_call
        else:  # no attempt to watch: it must not use up a line of the scenario's script
            self._last_stray -= 1
            number = self._last_stray
        script = self.scenario.attempts[number - 1] if 0 < number <= len(self.scenario.attempts) else None
        call = Call(number, connection, stream, self.log.max_sequence, script)
        self.calls[number] = connection.calls[number] = call
        if self.receipts.waiting:
            self._came_back(now)
        verdict = self.tokens.judge(metadata.get("authorization"), self.wall(now))
        if self.journal.keeps:
            self.journal.add(
                now,
                "stream.open",
                conn=id,
                stream=stream,
                attempt=number,
                path=path[:400],
                user_agent=metadata.get("user-agent", "")[:400],
                tenant=metadata.get("x-axway-tenant-id", "")[:400],
                token=verdict.fingerprint,
            )
        if path != WATCH_PATH:
            self._end(call, Code.UNIMPLEMENTED, f"unknown method {path[:400]}", now)
            return number
        refusals = self._observe_answers("stream_open", number, now, id, number, AnswerCall)
        if number not in self.calls:  # a fault ended it
            return number
        if script is not None and script.refuse is not None:
            refusals.append((AnswerCall(script.refuse, f"attempt {number} is refused by the scenario"), None))
        tenant = metadata.get("x-axway-tenant-id", "")
        if refusals:
            refusal, rule = refusals[0]
            self._end(call, refusal.code, refusal.message, now, rule)
        elif verdict.worth is not GOOD:
            self._refuse_token(call, verdict, now)
        elif tenant != self.settings.tenant:
            self._end(call, self.settings.status.foreign_tenant, f"tenant {tenant[:80]!r} is not served here", now)
        else:
            call.token, call.token_expires = verdict.fingerprint, verdict.expires
            self._watch_expiry(call, now)
            if script is not None and script.abort_after is not None and script.abort_after.time is not None:
                pause = script.abort_after.time.pick(self._cuts())
                self._at(now + pause, lambda later: self._abort(call, later))
        return number

    def call_relayed(self, id: int, stream: int, now: float) -> int | None:
        """A call on its way to somebody else's server: it counts as a watch call and faults may strike, but nothing of
        it is judged, and no event of ours goes out on it. None: the connection is gone.
        """
        connection = self.connections.get(id)
        if connection is None:
            return None
        self._last_call += 1
        number = self._last_call
        self.calls[number] = connection.calls[number] = Call(number, connection, stream, 0, None)
        self.journal.add(now, "stream.open", conn=id, stream=stream, attempt=number)
        self._observe("stream_open", number, now, connection=id, call=number)
        return number

    def call_ended(self, number: int, now: float, *, reason: str) -> None:
        """The server behind an edge ended a call; its status is between it and the client."""
        if (call := self.calls.get(number)) is not None:
            self._call_is_over(call, now, by="server", code="", reason=reason, graceful=not call.connection.blackholed)

    def request_received(self, number: int, request: WatchRequest, now: float) -> None:
        """A message on a call (protocol 1.5): the subscription, a refreshed token, a status, or a PING response."""
        call = self.calls.get(number)
        if call is None:
            return
        if request.request_type == PING_RESPONSE and self.receipts.waiting:
            self._answered_ping(call, request.ping_id, now)
        if request.request_type == AGENT_STATUS:  # may come first, without selfLink (protocol 1.5, .105 to .137)
            self._journal_request(
                call, "agent_status", request, True, now, state=request.state, message=request.message
            )
            if call.entry is not None and self.settings.agent_status == "store":
                self._keep_status(call.entry.topic, request, now)
        elif request.request_type == PING_RESPONSE:
            call.unanswered = 0
            self._journal_request(call, "ping_response", request, True, now, id=request.ping_id)
        elif call.entry is None:
            self._subscribe(call, request, now)
        else:
            self._refresh(call, request, now)

    def bad_request(self, number: int, reason: str, now: float) -> None:
        """A message that is no Request."""
        if (call := self.calls.get(number)) is not None:
            self._end(call, Code.INVALID_ARGUMENT, reason, now)

    def call_half_closed(self, number: int, now: float) -> None:
        """The client will send no more: the call is complete. No real client does it (protocol 1.1), so it should
        notice.
        """
        if (call := self.calls.get(number)) is not None:
            self._end(call, Code.OK, "the client half-closed the stream", now)

    def call_closed(self, number: int, now: float, *, reason: str = "cancelled") -> None:
        """The client ended a call with RST_STREAM."""
        if (call := self.calls.get(number)) is not None:
            self._call_is_over(call, now, by="client", code="CANCELLED", reason=reason, graceful=call.is_left_well)
            if self.receipts.waiting:
                self.receipts.sign("left", now, lambda one: one.call == number)

    def _came_back(self, now: float) -> None:
        """A new call, or a new question to history: what a fault took away before was missed."""

        def fits(one: Pending) -> bool:
            if one.call:
                return one.call not in self.calls
            return one.connection not in self.connections  # 0: it was done to the world

        self.receipts.sign("came back", now, fits)

    def _answered_ping(self, call: Call, ping_id: str | None, now: float) -> None:
        """The answer to a PING event: everything sent on the call before that event has been read."""
        found = call.ping_marks.pop(ping_id or "", None)
        if found is None:
            return
        sent, marks = found

        def fits(one: Pending) -> bool:
            # What was ordered on one call before the PING left before it, whatever it had to wait for.
            return one.call == call.id and (one.mark <= marks if one.mark else one.number <= sent)

        self.receipts.sign("read on", now, fits)

    def client_said(self, kind: str, now: float, **fields: Any) -> dict[str, Any]:
        """A line of the client's own for the journal; what it applied shows that it read on."""
        record = self.journal.add(now, kind, **fields)
        if kind == "client.applied" and self.receipts.waiting:
            sequence = fields.get("sequence", 0)
            self.receipts.sign("applied", now, lambda one: 0 < one.sequence <= sequence)
        return record

    def call_cut(self, number: int, now: float) -> None:
        """As much has gone out on a call as a `CutCall` allowed."""
        call = self.calls.get(number)
        if call is None or call.cut is None:
            return
        (then, rule), call.cut, call.cut_at_events = call.cut, None, None
        if then is None:
            if not call.connection.mute:
                self._on_wire(rule, now, attempt=number)
            call.quiet = True
        else:
            self._do(then, rule, now, "cut off")

    def _subscribe(self, call: Call, request: WatchRequest, now: float) -> None:
        verdict = self.tokens.judge(request.token, self.wall(now))
        entry = self.topics.find(request.self_link)
        mixed = self.settings.token.first_message == "same" and verdict.fingerprint != call.token
        strikes: list[Strike] = []
        if verdict.worth is GOOD and entry is not None and not mixed:
            nth = self._count("subscribe")
            strikes = self._strikes("subscribe", nth, now, connection=call.connection.id, call=call.id)
        # Told before anything a fault does about it, and yet it has to say what will come of the request.
        refused = any(isinstance(action, AnswerCall) for strike in strikes for action in strike.actions)
        accepted = verdict.worth is GOOD and entry is not None and not refused and not mixed
        self._journal_request(
            call, "subscribe", request, accepted, now, verdict=verdict, capabilities=list(request.capabilities)
        )
        if verdict.worth is not GOOD:
            self._refuse_token(call, verdict, now)
            return
        if mixed:
            self._end(
                call,
                self.settings.status.bad_token,
                "the first message has another token than the call's metadata",
                now,
            )
            return
        if entry is None:
            self._end(call, self.settings.status.unknown_topic, f"no watch topic {request.self_link[:200]!r}", now)
            return
        for strike in strikes:
            for found, rule in self._carry_out(strike, now):
                if isinstance(found, AnswerCall):
                    self._end(call, found.code, found.message, now, rule)
        if call.id not in self.calls:
            return
        if self.settings.same_topic == "newest":
            for number in tuple(entry.calls):
                if (other := self.calls.get(number)) is not None:
                    self._end(other, self.settings.status.replaced, f"stream {call.id} watches the topic now", now)
        call.entry = entry
        entry.calls[call.id] = None
        call.token, call.token_expires = verdict.fingerprint, verdict.expires
        self._watch_expiry(call, now)
        call.wants_pings = PING_CAPABILITY in request.capabilities  # only those may be sent PING (protocol 1.7)
        if call.abort_at_events == 0:
            self._abort(call, now)
            return
        self._plan_ping(call, now)
        if self.settings.delivery == "stream_open":
            self._deliver(call, entry.log.after(max(call.opened_after, self.log.purged_through)), now)

    def _refresh(self, call: Call, request: WatchRequest, now: float) -> None:
        assert call.entry is not None
        verdict = self.tokens.judge(request.token, self.wall(now))
        same_topic = unversioned(request.self_link) == call.entry.topic.link
        accepted = verdict.worth is GOOD and same_topic
        self._journal_request(call, "token_refresh", request, accepted, now, verdict=verdict)
        if verdict.worth is not GOOD:
            self._refuse_token(call, verdict, now)
        elif not same_topic:
            self._end(
                call, Code.INVALID_ARGUMENT, "a stream watches one topic; open another stream for another topic", now
            )
        else:
            call.token, call.token_expires = verdict.fingerprint, verdict.expires
            call.refreshes += 1
            self._watch_expiry(call, now)
            self._observe("token_refresh", call.refreshes, now, connection=call.connection.id, call=call.id)

    def _keep_status(self, topic: Topic, request: WatchRequest, now: float) -> None:
        """What is said of an agent becomes the `status` of the one its topic is about (protocol 4.8).

        Nobody's, when that is none or more than one.
        """
        links = self._agents(topic)
        if len(links) != 1:
            return
        (link,) = links
        resource = self.resources.get(link)
        assert resource is not None
        before = resource.get("status")
        known = dict(before) if isinstance(before, Mapping) else {}
        status = known | {
            "state": request.state[:400],
            "previousState": known.get("state", ""),
            "message": request.message[:4000],
            "lastActivityTime": self.timestamp(now),
        }
        collection, _, name = link.rpartition("/")
        put_subresource(self, Place(collection, name, "status"), {"status": status}, now)

    def _agents(self, topic: Topic) -> set[str]:
        """The links of the agent resources that a topic's filters let through; agents' own topics name a kind and an
        environment, and not the agent.
        """
        found: set[str] = set()
        for one in topic.filters:
            if not one.kind.endswith("Agent") or one.group == "*":
                continue
            scope = one.scope if one.scope is not None and "*" not in (one.scope.kind, one.scope.name) else None
            somewhere = make_link(one.group, one.kind, "", *((scope.kind, scope.name) if scope else ()))
            for resource in self.resources.collection(somewhere):
                if one.name in ("*", resource["name"]):
                    found.add(unversioned(resource["metadata"]["selfLink"]))
        return found

    def _journal_request(
        self,
        call: Call,
        kind: str,
        request: WatchRequest,
        accepted: bool,
        now: float,
        verdict: TokenVerdict | None = None,
        **fields: Any,
    ) -> None:
        if not self.journal.keeps:
            return
        if verdict is not None:
            fields["token"] = verdict.fingerprint
            if verdict.expires is not None:
                fields["token_expires_in"] = round(verdict.expires - self.wall(now), 3)
        self.journal.add(
            now,
            "stream.request",
            attempt=call.id,
            request=kind,
            topic=request.self_link[:400],
            request_type=request.request_type,
            accepted=accepted,
            **fields,
        )

    def _refuse_token(self, call: Call, verdict: TokenVerdict, now: float) -> None:
        statuses = self.settings.status
        code = statuses.expired_token if verdict.worth is Worth.EXPIRED else statuses.bad_token
        self._end(call, code, f"token refused: {verdict.worth.value}", now)

    def _watch_expiry(self, call: Call, now: float) -> None:
        expires = call.token_expires
        if expires is None or self.settings.token.on_expiry == "ignore":
            return

        def expired(later: float) -> None:
            if call.id in self.calls and call.token_expires == expires:
                self._end(call, self.settings.status.expired_token, "the token of this stream has expired", later)

        # On the clock of the token: a change of pace does not move it.
        self._at(max(now, expires - self.wall(0.0)), expired, fixed=True)

    def _plan_ping(self, call: Call, now: float) -> None:
        every = self.settings.ping.every
        if every is None or not call.wants_pings:
            return

        self._at(now + every, _Ping(self, call))

    def _ping(self, call: Call, now: float) -> None:
        if call.id not in self.calls or call.entry is None or call.quiet:
            return
        most = self.settings.ping.unanswered
        if most is not None and call.unanswered >= most:
            self._end(call, self.settings.status.unanswered_pings, f"{most} PINGs without an answer", now)
            return
        call.pings += 1
        call.unanswered += 1
        entry = self._ping_event(call, now)
        call.ping_marks[entry.event.id] = (self.receipts.sent, self._marks)
        if len(call.ping_marks) > MAX_PING_MARKS:
            del call.ping_marks[next(iter(call.ping_marks))]
        self._issue(SendEvents(call.id, (entry,)))
        self._plan_ping(call, now)

    def _ping_event(self, call: Call, now: float) -> TopicEvent:
        assert call.entry is not None
        event = Event(0, self.new_id(), now, self.wall(now), _PING, self.settings.tenant)
        entry = TopicEvent(event, call.entry.topic.id, call.entry.topic.self_link)
        self._journal_event(call, entry, now)
        return entry

    def idle_pings(self) -> tuple[int, float, float, float] | None:
        """When the next thing to do is a PING event that only its client would notice: on which call, when, how far
        apart they are, and from when on something else is due.

        For a simulator: it may let all of them until then pass in one step, with a line each (`pass_ping`) or, where
        nobody reads the journal, without (`pass_pings`).
        """
        timers = self._timers
        if not timers or self._issues or self.receipts.waiting:
            return None
        at, _, action, _ = timers[0]
        if type(action) is not _Ping:
            return None
        call, every = action.call, self.settings.ping.every
        if call.id not in self.calls or call.entry is None or call.quiet or every is None:
            return None
        until = float("inf")
        for timer in timers[1:3]:  # a heap: one of them is the next
            until = min(until, timer[0])
        planned = self._director.deadline()
        if planned is not None and planned < until:
            until = planned
        for line in self._traffic:
            if line.next_at is not None and line.next_at < until:
                until = line.next_at
        return (call.id, at, every, until) if at < until else None

    def pass_pings(self, count: int, following: float) -> None:
        """So many of the PINGs that `idle_pings` told of have happened, and were answered; when the next is due. Nobody
        reads the journal.
        """
        self._ping_passes(count, following)
        self._ids.skip(count)

    def pass_ping(self, at: float, answered: float, following: float) -> None:
        """One of them has happened, and was answered, at these times."""
        call = self._ping_passes(1, following)
        event = self._ping_event(call, at)
        self._journal_request(
            call, "ping_response", WatchRequest(request_type=PING_RESPONSE), True, answered, id=event.event.id
        )

    def _ping_passes(self, count: int, following: float) -> Call:
        action = self._timers[0][2]
        assert isinstance(action, _Ping)
        action.call.pings += count
        self._tie += count
        timer: tuple[float, int, Callable[[float], None], bool] = (following, self._tie, action, False)
        heapq.heapreplace(self._timers, timer)
        return action.call

    def _deliver(self, call: Call, entries: Sequence[TopicEvent], now: float) -> None:
        """Send events on a call, each past the faults that may lose, repeat or end things at that moment."""
        if call.plain and "event" not in self._moments:
            self._deliver_all(call, entries, now)
        elif not call.quiet:
            self._deliver_each(call, entries, now)

    def _deliver_all(self, call: Call, entries: Sequence[TopicEvent], now: float) -> None:
        """What `_deliver_each` comes to when nothing can happen in between."""
        if not entries:
            return
        if self.journal.keeps:
            self.journal.add_each(now, "stream.event", [call.line] * len(entries), [_line(entry) for entry in entries])
        call.sent += len(entries)
        self._send(call, entries)

    def _deliver_each(self, call: Call, entries: Iterable[TopicEvent], now: float) -> None:
        batch: list[TopicEvent] = []
        faulty = "event" in self._moments
        for entry in entries:
            if faulty or call.losing or call.held:
                self._deliver_past_faults(call, entry, batch, now)
                if call.id not in self.calls:
                    return
            else:
                batch.append(entry)
                self._journal_event(call, entry, now)
            call.sent += 1
            if call.cut_at_events is not None and call.sent >= call.cut_at_events:
                self._send(call, batch)
                self.call_cut(call.id, now)
                return
            if call.abort_at_events is not None and call.sent >= call.abort_at_events:
                self._send(call, batch)
                self._abort(call, now)
                return
        self._send(call, batch)

    def _fan_out(self, entry: TopicEntry, event: TopicEvent, now: float) -> int:
        """Send an event to every call that watches a topic; returns to how many."""
        watchers = 0
        alike: list[Call] = []
        faulty = "event" in self._moments
        for number in tuple(entry.calls):
            if (call := self.calls.get(number)) is None:
                continue
            watchers += 1
            if call.plain and not faulty:
                alike.append(call)
                continue
            self._deliver_alike(alike, event, now)
            alike.clear()
            self._deliver(call, (event,), now)
        self._deliver_alike(alike, event, now)
        return watchers

    def _deliver_alike(self, calls: Sequence[Call], event: TopicEvent, now: float) -> None:
        """What `_deliver` comes to for calls on which nothing else can happen."""
        if not calls:
            return
        if self.journal.keeps:
            self.journal.add_each(now, "stream.event", [call.line for call in calls], [_line(event)] * len(calls))
        for call in calls:
            call.sent += 1
            if call.connection.guard is not None:
                call.connection.guard.forgive()
        if len(calls) == 1:
            self._issue(SendEvents(calls[0].id, (event,)))
        else:
            self._issue(SendToEach(tuple([call.id for call in calls]), event))

    def _deliver_past_faults(self, call: Call, entry: TopicEvent, batch: list[TopicEvent], now: float) -> None:
        """One event of `_deliver`: faults may lose, repeat, change or hold it, or end the call."""
        answer = AnswerEvent()
        words: list[tuple[str, AnswerEvent]] = []
        op = entry.event.change.op.name
        for found, rule in self._observe(
            "event", call.sent + 1, now, connection=call.connection.id, call=call.id, sending=batch, op=op
        ):
            if call.id not in self.calls:
                return
            if isinstance(found, AnswerEvent):
                answer = _both(answer, found)
                words.append((rule, found))
        if call.id not in self.calls:
            return
        if answer.run > 1 and answer.copies == 0:
            call.losing = max(call.losing, answer.run)
        if call.losing:
            call.losing -= 1
            answer = replace(answer, copies=0, hold=0)
        overtaken = tuple(call.held)
        shown = tuple((rule, _shows_early(word, answer)) for rule, word in words if _shows(word, answer))
        sent = entry if answer.change is None else altered(entry, answer.change)
        if answer.hold and answer.copies:
            holders = tuple(rule for rule, word in words if word.hold == answer.hold)
            call.held.append(Held(call.sent + 1 + answer.hold, entry, sent, answer.copies, holders, shown))
        else:
            self._put_in(batch, call, entry, sent, answer.copies, shown, now)
            for held in overtaken if answer.copies else ():
                self._show(held.holders, batch, call, held.entry)
                held.holders = ()
        for held in [held for held in call.held if held.until <= call.sent + 1]:
            call.held.remove(held)
            self._put_in(batch, call, held.entry, held.sent, held.copies, held.others, now)

    def _put_in(
        self,
        batch: list[TopicEvent],
        call: Call,
        entry: TopicEvent,
        sent: TopicEvent,
        copies: int,
        shown: Iterable[tuple[str, bool]],
        now: float,
    ) -> None:
        """An event that goes out as `sent`, so often, and the rules that show in it, see `_shows_early`."""
        call.strained = call.strained or sent is not entry
        for _ in range(copies):
            batch.append(sent)
            self._journal_event(call, entry, now, sent)
        for rule, early in shown:
            self._show((rule,), batch, call, entry, (sent,) * copies if early else ())

    def _show(
        self,
        rules: Iterable[str],
        batch: list[TopicEvent],
        call: Call,
        entry: TopicEvent,
        tail: tuple[TopicEvent, ...] = (),
    ) -> None:
        """What these rules did with an event shows once the batch, which is sent now, has left. That there is no such
        event shows then, too: nothing that is still to come can have kept it. Never when nothing gets through any more.
        """
        for rule in () if call.connection.mute else rules:
            self._send(call, batch)
            batch.clear()
            self._marks += 1
            self._issue(MarkSent(call.connection.id, call.id, entry.event.sequence, self._marks, tail), rule)

    def call_waits(self, id: int, waits: bool) -> None:
        """What is sent on a call waits for its client's window, or does so no more."""
        if (call := self.calls.get(id)) is not None:
            call.waits = waits

    def _send(self, call: Call, batch: Sequence[TopicEvent]) -> None:
        if batch:
            if call.connection.guard is not None:
                call.connection.guard.forgive()
            self._issue(SendEvents(call.id, tuple(batch)))

    def _journal_event(self, call: Call, entry: TopicEvent, now: float, sent: TopicEvent | None = None) -> None:
        """`entry` is the event as it is, `sent` as it goes out."""
        if not self.journal.keeps:
            return
        more: dict[str, Any] = {}
        if sent is not None and sent is not entry:
            more["altered"] = True
            if sent.event.sequence != entry.event.sequence:
                more["sent_sequence"] = sent.event.sequence
            if sent.event.id != entry.event.id:
                more["sent_id"] = sent.event.id
        self.journal.add(now, "stream.event", **call.line, **_line(entry), **more)

    def _abort(self, call: Call, now: float) -> None:
        if call.script is not None and call.script.abort_after is not None:
            self._end(call, call.script.abort_after.code, f"attempt {call.id} is cut short by the scenario", now)

    def _end(
        self, call: Call, code: int, message: str, now: float, rule: str | None = None, like: EndCall | None = None
    ) -> None:
        """End a call with trailers, those of `like` where it is given."""
        if call.id in self.calls:
            order = EndCall(call.id, int(code), message) if like is None else replace(like, call=call.id)
            self._issue(order, rule)
            graceful = call.ends_well and not order.bare
            self._call_is_over(call, now, by="server", code=Code(code).name, reason=message, graceful=graceful)

    def _call_is_over(self, call: Call, now: float, *, by: str, code: str, reason: str, graceful: bool) -> None:
        if self.calls.pop(call.id, None) is None:
            return
        call.connection.calls.pop(call.id, None)
        if call.entry is not None:
            call.entry.calls.pop(call.id, None)
        if self.journal.keeps:
            self.journal.add(now, "stream.end", attempt=call.id, code=code, by=by, reason=reason, graceful=graceful)
        self._observe("stream_end", self._count("stream_end"), now, connection=call.connection.id)

    # ------------------------------------------------------------------------------------------ publishing
    def publish(self, change: Change, now: float) -> Event:
        """Something happened to a resource: it is stored, logged, and sent to whoever watches it.

        The resource's id, selfLink and scope are filled in. Raises OverflowError when int64 has no sequence left.
        """
        return self._publish(change, now)[0]

    def _publish(self, change: Change, now: float) -> tuple[Event, int]:
        sequence = self._next_sequence()
        return self._tell(sequence, self._store(change, now), now)

    def announce(self, store: Callable[[], Change], now: float) -> tuple[Event, int]:
        """As `publish`, for a change that `store` makes to the resources and then tells; what it raises is raised.
        Also answers to how many streams the event went.
        """
        sequence = self._next_sequence()
        return self._tell(sequence, store(), now)

    def _next_sequence(self) -> int:
        """Comes first when something is published, as it can fail: nothing may have changed when it does."""
        step = self.settings.log.step
        return self.log.next_sequence(step.low if step.low == step.high else step.pick(self._steps()))

    def _tell(self, sequence: int, change: Change, now: float) -> tuple[Event, int]:
        """A change was made: it is logged, and sent to whoever watches it."""
        event = Event(sequence, self.new_id(), now, self.wall(now), change, self.settings.tenant)
        self.log.append(event)
        self.published += 1
        entries = self.topics.matching(change)
        told = [entry.topic.self_link for entry in entries]
        if self.journal.keeps:
            self.journal.add(
                now,
                "event.published",
                sequence=sequence,
                id=event.id,
                op=change.op.name,
                topics=told,
                resource=change.self_link,
                group=change.group,
                resource_kind=change.kind,
                name=change.name,
                scope=f"{change.scope.kind}/{change.scope.name}" if change.scope else None,
            )
        else:
            self.journal.add(now, "event.published", sequence=sequence, topics=told)
        watchers = 0
        for entry in entries:
            delivery = TopicEvent(event, entry.topic.id, entry.topic.self_link)
            entry.log.forget(self.log.purged_through)
            entry.log.append(sequence, delivery)
            watchers += self._fan_out(entry, delivery, now)
        if self._keeper is not None:
            self._keeper.event(event, self.wall(now), [(entry.topic.self_link, entry.topic.id) for entry in entries])
        self._acted(now)
        if "publish" in self._moments:
            self._observe("publish", self.published, now)
        if self._reactor.watches:
            resource = self.resources.get(unversioned(change.self_link))
            self._plan(self._reactor.changed(change, resource, self._cause or Cause()), now)
        return event, watchers

    def _plan(self, firings: Iterable[Firing], now: float) -> None:
        """Let rules fire after their pauses, never within what set them off: that is to be over first."""
        try:
            for firing in firings:
                self._firings += 1
                self._at(now + firing.after, functools.partial(self._fire, firing))
        except EndlessRules as error:
            self.journal.add(now, "rule.failed", rule=error.rule.name, reason=str(error))

    def _fire(self, firing: Firing, now: float) -> None:
        self._firings -= 1
        about = firing.resource["metadata"]["selfLink"] if firing.resource else None
        self.journal.add(now, "rule.fired", rule=firing.rule.name, nth=firing.nth, resource=about)
        self._cause = firing.cause
        try:
            fire(self, firing, now)
        except ValueError as error:
            self.journal.add(now, "rule.failed", rule=firing.rule.name, reason=str(error)[:400])
        finally:
            self._cause = None

    def _store(self, change: Change, now: float) -> Change:
        scope, block = change.scope, None
        link = make_link(
            change.group, change.kind, change.name, scope.kind if scope else None, scope.name if scope else None
        )
        if scope is not None:
            block = self.resources.scope_of(scope.kind, scope.name, change.group)
            scope = Scope(scope.kind, scope.name, block["id"], block["selfLink"])
        if change.op is _DELETED:
            stored = self.resources.remove(link)
        else:
            stored = self.resources.touch(
                link,
                kind=change.kind,
                now=now,
                scope=block,
                attributes=change.attributes,
                subresource=change.subresource,
            )
        return Change(
            change.op,
            change.group,
            change.kind,
            change.name,
            scope,
            change.subresource,
            *(stored or (self.new_id(), versioned(link))),
            change.attributes,
            change.references,
        )

    # ------------------------------------------------------------------------------------------ topics
    def put_topic(self, name: str, body: Mapping[str, Any], now: float) -> dict[str, Any]:
        """Create or replace a WatchTopic from its resource; returns the stored resource.

        Raises ValueError when its filters are not what protocol 5.1 says.
        """
        filters = filters_of(body.get("spec"))
        link = make_link("management", "WatchTopic", name)
        resource = self.resources.put(link, body, kind="WatchTopic", now=now)
        self._register(resource, link, filters)
        return resource

    def _register(self, resource: Mapping[str, Any], link: str, filters: tuple[Filter, ...]) -> None:
        metadata = resource["metadata"]
        self.topics.add(Topic(resource["name"], metadata["id"], link, metadata["selfLink"], filters))

    def delete_topic(self, name: str, now: float) -> dict[str, Any] | None:
        """Delete a WatchTopic; streams that watch it end with the status of an unknown topic. None when there is
        none.
        """
        link = make_link("management", "WatchTopic", name)
        entry = self.topics.remove(link)
        if entry is not None:
            for number in tuple(entry.calls):
                if (call := self.calls.get(number)) is not None:
                    self._end(call, self.settings.status.unknown_topic, f"watch topic {name} was deleted", now)
        return self.resources.delete(link)

    def topic(self, self_link: str) -> TopicEntry | None:
        """The topic of a selfLink in any version."""
        return self.topics.find(self_link)

    # ------------------------------------------------------------------------------------------ HTTP
    def http_request(self, anchors: Iterable[str], connection: int, now: float, page: int | None = None) -> AnswerHttp:
        """What faults want done to an HTTP request that is about to be answered; `page` is the one a harvester request
        asks for. The shell carries out the orders of this moment, makes the answer, says what it came to (`http_made`),
        and when it goes out (`http_answered`).
        """
        if self.receipts.waiting:
            self.receipts.sign("asked again", now, lambda one: one.connection == connection and not one.call)
            self._came_back(now)
        answer = _AS_ALWAYS
        words: list[tuple[str, AnswerHttp | AnswerToken]] = []
        counts, moments = self._counts, self._moments
        for anchor in anchors:
            nth = page
            if anchor != "page":
                nth = counts[anchor] = counts.get(anchor, 0) + 1
            if anchor not in moments:
                continue
            for found, rule in self._observe(anchor, nth or 1, now, connection=connection):
                if isinstance(found, (AnswerHttp, AnswerToken)):
                    answer = _merged(answer, found)
                    words.append((rule, found))
        if answer is _AS_ALWAYS:
            return answer
        if answer.status is not None:
            answer = replace(answer, gone="")
        elif answer.gone:
            newest = (("X-Axway-Max-Sequence-Id", str(self.log.max_sequence)),) if answer.gone == "with header" else ()
            answer = replace(answer, status=410, headers=newest, body=_GONE)
        return replace(answer, words=tuple(words))

    def http_made(
        self, answer: AnswerHttp, parts: Collection[Part], size: int, connection: int, now: float
    ) -> AnswerHttp:
        """The answer to a request was made as `http_request` had said: `parts` are what a fault changed in it, `size`
        is how many bytes its body has. Returns what is still to be done to it.
        """
        if not answer.words:
            return answer
        if not size:  # nothing that could break off, or come in pieces
            answer = replace(answer, cut=None, trickle=None)
        there = self.connections.get(connection)
        if there is None or there.mute:
            return answer
        shown = []
        for rule, word in answer.words:
            if not _shows_in(word, answer, parts):
                continue
            if isinstance(word, AnswerHttp) and (word.delay > 0 or word.trickle is not None):
                # The silence is the fault, and it begins now: a client that gives up meanwhile has felt it.
                self._on_wire(rule, now, conn=connection)
            else:
                shown.append(rule)
        return replace(answer, rules=tuple(shown))

    def http_answered(self, answer: AnswerHttp, connection: int, now: float) -> None:
        """An answer faults had a say in is on the wire."""
        for rule in answer.rules:
            self._on_wire(rule, now, conn=connection)

    def harvest(
        self, self_link: str, parameters: Mapping[str, str], now: float, page_size: int | None = None
    ) -> Page | Gone | None:
        """A page of a topic's history (protocol section 3); None when there is no such topic. A `page_size` counts more
        than what the request says.

        Raises ValueError when the parameters are not understood.
        """
        query = harvester.parse(parameters, self.settings.harvester.page_size)
        return self.history(self_link, query if page_size is None else replace(query, page_size=page_size), now)

    def history(self, self_link: str, query: harvester.Query, now: float) -> Page | Gone | None:
        """As `harvest`, for a query that was read already."""
        entry = self.topics.find(self_link)
        if entry is None:
            return None
        self.log.expire(now)
        entry.log.forget(self.log.purged_through)
        if query.asked_after is not None and (gone := self.log.check(query.asked_after)) is not None:
            self.receipts.sign("gone", now, lambda one: one.needs == "gone")
            return gone
        return Page(_page(entry.log, query), query)

    def token(
        self,
        client_id: str,
        now: float,
        life: float | None = None,
        answer: AnswerToken | None = None,
        issuer: str | None = None,
    ) -> str:
        """A fresh token, unless a fault's `answer` makes another of it; the journal gets its fingerprint. `issuer` is
        the realm that was asked; a token nobody asked for is from the usual one.
        """
        life = self.settings.token.life if life is None else life
        token = self.tokens.issue(client_id, life, self.wall(now), self.issuer if issuer is None else issuer, answer)
        if self.journal.keeps:
            mark = self.tokens.judge(token, self.wall(now)).fingerprint
            self.journal.add(now, "token.issued", client_id=client_id, life=life, token=mark)
        return token

    def takes_effect(self, answer: AnswerToken, client_id: str) -> bool:
        """Whether a fault can make the token it wants: of a client that has none yet, none can be handed out again."""
        return not answer.pin or self.tokens.has_one(client_id)

    def judge(self, authorization: str | None, now: float) -> TokenVerdict:
        """What the token of an HTTP request is worth."""
        return self.tokens.judge(bearer(authorization or ""), self.wall(now))

    # ------------------------------------------------------------------------------------------ from outside
    def purge(self, now: float, *, through: int | None = None, keep: int | None = None) -> int:
        """Forget history up to a sequence, or all but the newest `keep` events; returns how many went."""
        count = self.log.purge(through=through, keep=keep)
        for entry in self.topics:
            entry.log.forget(self.log.purged_through)
        self.journal.add(now, "event.purged", through=self.log.purged_through, count=count)
        return count

    def expire_tokens(self, now: float, fingerprint: str | None = None, *, revoke: bool = False) -> int:
        """Every token issued so far (or one) is expired, or revoked; streams that live on one end. Returns how many."""
        count = self.tokens.expire(fingerprint, revoke=revoke)
        code = self.settings.status.bad_token if revoke else self.settings.status.expired_token
        if self.settings.token.on_expiry == "end":
            for call in [call for call in self.calls.values() if fingerprint in (None, call.token)]:
                word = "was revoked" if revoke else "has expired"
                self._end(call, code, f"the token of this stream {word}", now)
        return count

    def skew_clock(self, by: float, now: float) -> None:
        """The wall clock is wrong by so many seconds from now on; streams whose token it takes for expired end."""
        self.resources.settle()
        self._wall.skew = by
        for call in list(self.calls.values()):
            self._watch_expiry(call, now)

    def reset_sequence(self, to: int, now: float) -> None:
        """All history is gone and the next event is numbered `to`."""
        settings = self.settings.log
        self.log = EventLog(to, settings.keep, settings.keep_for)
        for entry in self.topics:
            entry.log = TopicLog()
        for call in self.calls.values():
            call.opened_after = 0
        self.journal.add(now, "sequence.reset", to=to)

    def drop_topic(self, name: str | None, call: int, now: float, back_after: float | None) -> bool:
        """Delete a topic (the one of `call`, or all) and create it again after a while, with a new id. False when there
        is none.
        """
        found = list(self.topics)
        watched = self.calls[call].entry if call in self.calls else None
        if name is not None:
            found = [entry for entry in found if entry.topic.name == name]
        elif watched is not None:
            found = [watched]
        for entry in found:
            topic = entry.topic.name
            body = self.delete_topic(topic, now)
            self.journal.add(now, "topic.deleted", topic=entry.topic.self_link)
            if body is None or back_after is None:
                continue
            kept = {key: value for key, value in body.items() if key != "metadata"}

            def back(later: float, topic: str = topic, kept: Mapping[str, Any] = kept) -> None:
                link = self.put_topic(topic, kept, later)["metadata"]["selfLink"]
                self.journal.add(later, "topic.created", topic=link)

            self._at(now + back_after, back)
        return bool(found)

    def send_ping(self, connection: int, payload: bytes) -> None:
        """Send an HTTP/2 PING of our own (a barrier); the shell sees its ack."""
        self._issue(SendPing(connection, payload))

    def close_connections(self, now: float, *, abort: bool = True, connection: int = 0, reason: str = "closed") -> None:
        """Close one connection, or all with 0."""
        self._do(CloseConnection(connection, abort), None, now, reason)

    def command(self, order: Order, now: float, reason: str = "asked for") -> None:
        """Carry out an order from outside, as a fault would."""
        self._acted(now)
        self._do(order, None, now, reason)

    def restart(self, down_for: float, now: float, *, forget: bool = False, rule: str | None = None) -> None:
        """The server dies and comes back `down_for` seconds later, with its history unless `forget`."""
        if not self.listening and not self.connections:
            return
        self._stop_listening(StopListening(), down_for, now, rule)
        for id in list(self.connections):
            self.connection_closed(id, now, by="server", reason="restart", reset=True)
        if forget:
            self.log = self._new_log()
            for entry in self.topics:
                entry.log = TopicLog()
            self.journal.add(now, "sequence.reset", to=self.settings.log.first_sequence)

    def refuse_connections(self, seconds: float, now: float, *, rule: str | None = None) -> None:
        """Nobody listens for so long; the connections there are live on."""
        if self.listening:
            self._stop_listening(StopListening(keep=True), seconds, now, rule)

    def _stop_listening(self, order: StopListening, seconds: float, now: float, rule: str | None) -> None:
        """For so long, and no shorter than was said before."""
        self.listening = False
        self._away += 1
        self._issue(order, rule)

        def back(later: float) -> None:
            self._away -= 1
            if not self._away:
                self.listening = True
                self._issue(StartListening())

        self._at(now + seconds, back)

    # ------------------------------------------------------------------------------------------ time and names
    def rescale(self, ratio: float, now: float) -> None:
        """Everything the fake does by itself goes `ratio` times faster from now on: what is planned comes sooner, and
        lives, intervals and pauses are shorter. Tokens that were issued keep the `exp` they have.
        """
        self.scenario = scaled(self.scenario, ratio)
        self.settings = self.scenario.world
        self.log.keep_for = self.settings.log.keep_for
        self._timers = [
            (when if fixed else now + (when - now) / ratio, tie, action, fixed)
            for when, tie, action, fixed in self._timers
        ]
        heapq.heapify(self._timers)
        self._director.rescale(ratio, now)
        self._reactor.adopt(self.scenario.rules)
        for line in self._traffic:
            line.rescale(ratio, now)

    def later(self, delay: float, now: float, action: Callable[[float], None]) -> None:
        """Let a shell do something `delay` seconds from now, on this world's clock."""
        self._at(now + delay, action)

    def stats(self) -> dict[str, int]:
        """Numbers for metrics."""
        return {
            "events_published_total": self.published,
            "events_kept": len(self.log),
            "sequence": self.log.max_sequence,
            "topics": len(self.topics),
            "connections": len(self.connections),
            "streams": len(self.calls),
            "attempts_total": self._last_call,
            "journal_records_total": len(self.journal),
        }

    # ------------------------------------------------------------------------------------------ outliving a process
    def changes(self) -> Rows | None:
        """What is to be written down before anybody may hear of what happened; None when it is nothing."""
        return None if self._keeper is None else self._keeper.take(self.log)

    def _restore(self, restored: Restored) -> None:
        try:
            self._take_up(restored)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise Unreadable(f"a row cannot be read: {type(error).__name__}: {str(error)[:200]}") from None

    def _take_up(self, restored: Restored) -> None:
        for link, text in restored.resources:
            resource = json.loads(text)
            self.resources.restore(link, resource)
            if resource["kind"] == "WatchTopic":
                self._register(resource, link, filters_of(resource["spec"]))
        read = [read_event(row, row.wall - self._wall.start) for row in restored.events]
        if restored.log is not None:
            self.log.restore(restored.log, ((event.sequence, event.at) for event, _ in read))
        for event, topics in read:
            for self_link, id in topics:
                entry = self.topic(self_link)
                if entry is not None and entry.topic.id == id and event.sequence > self.log.purged_through:
                    entry.log.append(event.sequence, TopicEvent(event, id, self_link))

    # ------------------------------------------------------------------------------------------ inside
    def _new_log(self) -> EventLog:
        settings = self.settings.log
        return EventLog(settings.first_sequence, settings.keep, settings.keep_for)

    def _at(self, when: float, action: Callable[[float], None], *, fixed: bool = False) -> None:
        """`fixed`: a change of pace does not move it."""
        self._tie += 1
        heapq.heappush(self._timers, (when, self._tie, action, fixed))

    def _acted(self, now: float) -> None:
        """Something was done that a `barrier` moment comes after."""
        self._actions += 1
        self._now = now

    def _count(self, anchor: str) -> int:
        self._counts[anchor] = self._counts.get(anchor, 0) + 1
        return self._counts[anchor]

    def _issue(self, order: Order, rule: str | None = None) -> None:
        self._issues.append((order, rule))

    def _observe(
        self,
        anchor: str,
        nth: int,
        now: float,
        *,
        connection: int = 0,
        call: int = 0,
        sending: list[TopicEvent] | None = None,
        op: str = "",
    ) -> list[tuple[Any, str]]:
        """A moment of the run: traffic may start, faults may strike. Returns the answers faults gave, with their rules.

        `sending` is a batch that must be on the wire before anything a fault orders at this moment.
        """
        if anchor not in self._moments:
            return []
        strikes = self._strikes(anchor, nth, now, connection=connection, call=call, op=op)
        if not strikes:
            return []
        answers: list[tuple[Any, str]] = []
        for strike in strikes:
            if sending and call in self.calls:
                self._send(self.calls[call], sending)
                sending.clear()
            answers += self._carry_out(strike, now)
        return answers

    def _strikes(
        self, anchor: str, nth: int, now: float, *, connection: int = 0, call: int = 0, op: str = ""
    ) -> list[Strike]:
        """A moment of the run: traffic may start; the faults that strike at it, for `_carry_out`."""
        for line in self._traffic_by_anchor.get(anchor, ()):
            line.observe(anchor, nth, now)
        if anchor in self._reactor.moments:
            self._plan(self._reactor.moment(anchor, nth, self._cause or Cause()), now)
        if anchor not in self._director.anchors:
            return []
        return self._director.observe(
            anchor, nth, now, connection=connection, call=call, op=op, attempt=self._last_call
        )

    def _observe_answers(
        self, anchor: str, nth: int, now: float, connection: int, call: int, wanted: type[Any]
    ) -> list[tuple[Any, str | None]]:
        found = self._observe(anchor, nth, now, connection=connection, call=call)
        if not found:
            return []
        return [(answer, rule) for answer, rule in found if isinstance(answer, wanted)]

    def _carry_out(self, strike: Strike, now: float) -> list[tuple[Any, str]]:
        """Do what a strike asks for; returns its answers. A strike whose target is gone counts as not having
        happened.
        """
        moment, rule = strike.moment, strike.rule.name
        if (moment.call and moment.call not in self.calls) or (
            moment.connection
            and not moment.call
            and moment.anchor != "stream_end"
            and moment.connection not in self.connections
        ):
            self._director.missed(strike)
            return []
        fields: dict[str, Any] = {}
        if moment.connection:
            fields["conn"] = moment.connection
        if moment.call:
            fields["attempt"] = moment.call
        self.receipts.triggered(strike.rule, now, **fields)
        self._acted(now)
        answers: list[tuple[Any, str]] = []
        issued = len(self._issues)
        for action in strike.actions:
            if isinstance(action, (AnswerPing, AnswerEvent, AnswerHttp, AnswerToken, AnswerCall)):
                answers.append((action, rule))
            elif isinstance(action, PurgeLog):
                self.purge(now, keep=action.keep)
                self._on_wire(rule, now, planned=strike.planned, needs="gone")
            elif isinstance(action, (ExpireTokens, SkewClock, ResetSequence, DropTopic)):
                if self._change(action, now):
                    self._on_wire(rule, now, planned=strike.planned)
            elif isinstance(action, Restart):
                self.restart(action.down_for, now, forget=action.forget, rule=rule)
            elif isinstance(action, RefuseConnections):
                self.refuse_connections(action.seconds, now, rule=rule)
            elif isinstance(action, Later):
                self._later(action, rule, now)
            elif isinstance(action, Quiet):
                for call in self._targets(action.call, self.calls):
                    call.quiet = True
                    if action.receipt:
                        self._begins(rule, call.connection, now, planned=strike.planned, attempt=call.id)
            elif isinstance(action, GuardPings):
                for connection in self._targets(action.connection, self.connections):
                    connection.guard = PingGuard(action.min_interval, action.strikes, rule)
            else:
                self._do(action, rule, now, f"fault {rule}")
        if strike.planned is not None:
            self._promised += [(order, strike.planned) for order, name in self._issues[issued:] if name == rule]
        return answers

    def _change(self, action: ExpireTokens | SkewClock | ResetSequence | DropTopic, now: float) -> bool:
        """Change what the server knows; whether there was anything to change."""
        if isinstance(action, ExpireTokens):
            self.expire_tokens(now, revoke=action.revoke)
        elif isinstance(action, SkewClock):
            self.skew_clock(action.by, now)
        elif isinstance(action, ResetSequence):
            self.reset_sequence(action.to, now)
        else:
            return self.drop_topic(action.topic, action.call, now, action.back_after)
        return True

    def _later(self, plan: Later, rule: str, now: float) -> None:
        named = rule if plan.receipt else None
        receipt = self.receipts.get(rule)

        def act(later: float) -> None:
            # Disarmed meanwhile, or replaced by another of its name: what it had planned does not happen.
            if receipt is None or not receipt.armed or self.receipts.get(rule) is not receipt:
                return
            for action in plan.actions:
                assert not isinstance(action, (AnswerPing, AnswerEvent, AnswerHttp, AnswerToken, AnswerCall, Later))
                if isinstance(action, Order):
                    self._do(action, named, later, f"fault {rule}")

        self._at(now + plan.seconds, act)

    def _do(self, order: Order, rule: str | None, now: float, reason: str) -> None:
        """Carry out an order on its target, on all of them with id 0; targets that are gone are passed over."""
        if isinstance(order, (EndCall, ResetCall)):
            for call in self._targets(order.call, self.calls):
                if isinstance(order, EndCall):
                    self._end(call, order.code, order.message, now, rule, order)
                else:
                    self._issue(replace(order, call=call.id), rule)
                    code = _RESET_CODES.get(order.error_code, "INTERNAL")
                    self._call_is_over(call, now, by="server", code=code, reason=reason, graceful=False)
        elif isinstance(order, CloseConnection):
            for connection in self._targets(order.connection, self.connections):
                self._issue(replace(order, connection=connection.id), rule)
                # Where nothing gets out any more no FIN does, either: shells reset such a connection.
                reset = order.abort or connection.mute
                self.connection_closed(connection.id, now, by="server", reason=reason, reset=reset)
        elif isinstance(order, CutCall):
            for call in self._targets(order.call, self.calls):
                call.cut = (None if order.then is None else _on(order.then, call), rule)
                if order.after_bytes is not None:
                    self._doubt(call, now)
                    self._issue(replace(order, call=call.id))  # the receipt is due when the wire has got that far
                elif order.after_events == 0:
                    self.call_cut(call.id, now)
                elif order.after_events is not None:
                    call.cut_at_events = call.sent + order.after_events
        elif isinstance(order, (RespondCall, SendBytes)):
            for call in self._targets(order.call, self.calls):
                self._doubt(call, now)
                self._issue(replace(order, call=call.id), rule)
                if isinstance(order, RespondCall) and order.end:
                    self._call_is_over(call, now, by="server", code="UNKNOWN", reason=reason, graceful=False)
        elif isinstance(order, (SendEvents, SendToEach, StopListening, StartListening)):
            self._issue(order, rule)
        else:
            for connection in self._targets(order.connection, self.connections):
                if isinstance(order, BlackHole) and order.direction != "from_client":
                    connection.blackholed = True
                elif isinstance(order, HalfClose):
                    connection.half_closed = True
                elif isinstance(order, BlackHole):
                    connection.deaf = True
                self._strain(order, connection, now)
                self._issue(replace(order, connection=connection.id), rule)

    def _strain(self, order: Order, connection: Connection, now: float) -> None:
        """What an order on a connection means for what goes out there: the judge of a client asks for proof then."""
        if isinstance(order, (BlackHole, HalfClose)) or (isinstance(order, SendFrames) and not order.harmless):
            self._doubt(connection, now)
        elif isinstance(order, GoAway) and order.last_stream is not None:
            for call in connection.calls.values():
                if call.stream > order.last_stream:  # the client is told that nobody looked at it
                    self._doubt(call, now)
        elif isinstance(order, (SendFrames, Reframe, ShapeBytes)):
            connection.strained = True
            if isinstance(order, ShapeBytes) and order.direction != "from_client" and not connection.slow:
                connection.slow = True
                self.journal.add(now, "conn.slow", conn=connection.id)

    def _doubt(self, target: Connection | Call, now: float) -> None:
        """From here on nobody can tell from what goes out what a client gets."""
        if not target.unsure:
            target.unsure = True
            connection, call = (target, {}) if isinstance(target, Connection) else (target.connection, target.line)
            self.journal.add(now, "conn.unsure", conn=connection.id, **call)

    @staticmethod
    def _targets(id: int, things: Mapping[int, Any]) -> list[Any]:
        if id == 0:
            return list(things.values())
        return [things[id]] if id in things else []


def _line(entry: TopicEvent) -> dict[str, Any]:
    """What the journal says of an event, made once per entry."""
    if entry.line is None:
        event = entry.event
        entry.line = {
            "sequence": event.sequence,
            "id": event.id,
            "op": event.change.op.name,
            "topic": entry.topic_link,
        }
    return entry.line


def _late(now: float, planned: float) -> float:
    return round(max(0.0, now - planned), 6)


_AS_ALWAYS = AnswerHttp()
_GONE = '{"errors":[{"status":410,"title":"Gone","detail":"the sequence is older than what is kept"}]}'


def _both(first: AnswerEvent, second: AnswerEvent) -> AnswerEvent:
    """What two faults want of one event: a later word counts more, what it does not speak of stays."""
    return AnswerEvent(
        second.copies if second.copies != 1 else first.copies,
        max(first.run, second.run),
        max(first.hold, second.hold),
        second.change or first.change,
    )


def _shows(word: AnswerEvent, answer: AnswerEvent) -> bool:
    """Whether what a fault wanted of an event is to be seen on the wire now, and not only what others wanted of it.

    That an event was held shows when the next one overtakes it.
    """
    if answer.copies == 0:
        return word.copies == 0
    return (word.copies > 1 and word.copies == answer.copies) or (
        word.change is not None and word.change is answer.change
    )


def _shows_early(word: AnswerEvent, answer: AnswerEvent) -> bool:
    """Whether the first bytes of the first copy of an event show what a fault did to it: who is told that a message is
    too long need not take the rest of it.
    """
    change = word.change
    return change is not None and change is answer.change and change.padding > 0 and not change.fields


def _merged(answer: AnswerHttp, found: AnswerHttp | AnswerToken) -> AnswerHttp:
    """What two faults want of one HTTP answer: a later word counts more, the longer delay counts."""
    if isinstance(found, AnswerToken):
        return replace(answer, token=found)
    return AnswerHttp(
        found.status if found.status is not None else answer.status,
        max(answer.delay, found.delay),
        found.headers or answer.headers,
        found.body or answer.body,
        found.cut if found.cut is not None else answer.cut,
        found.trickle or answer.trickle,
        found.shape or answer.shape,
        found.page_size or answer.page_size,
        found.gone or answer.gone,
        answer.token,
    )


def _shows_in(word: AnswerHttp | AnswerToken, answer: AnswerHttp, parts: Collection[Part]) -> bool:
    """Whether something of what a fault wanted is in the answer as it was made: a status leaves nothing of a body, a
    body of another kind nothing of what was in it, and one that breaks off does not trickle.
    """
    real = answer.status is None
    inside = real and answer.shape in ("", "half", "object", "strings")
    if isinstance(word, AnswerToken):
        return inside and word is answer.token and "token" in parts
    return (
        (word.status is not None and word.status == answer.status and not answer.gone)
        or (word.delay > 0 and word.delay == answer.delay)
        or (word.cut is not None and word.cut == answer.cut)
        or (word.trickle is not None and word.trickle == answer.trickle and answer.cut is None)
        or (word.gone != "" and word.gone == answer.gone)
        or (word.shape != "" and word.shape == answer.shape and real)
        or (word.page_size is not None and word.page_size == answer.page_size and inside and "page" in parts)
    )


def _on(order: Order, call: Call) -> Order:
    """An order aimed at a call, or at its connection."""
    if isinstance(order, (EndCall, ResetCall, RespondCall, SendBytes, CutCall, SendEvents)):
        return replace(order, call=call.id)
    if isinstance(order, (SendToEach, StopListening, StartListening)):
        return order
    return replace(order, connection=call.connection.id)


def _page(log: TopicLog, query: harvester.Query) -> tuple[TopicEvent, ...]:
    """The page of a query out of a topic's log."""
    offset = (query.page - 1) * query.page_size
    if query.before > 2**62:
        return tuple(log.page(query.after, offset, query.page_size, newest_first=query.newest_first))
    bounded = [entry for entry in log.after(query.after) if entry.event.sequence < query.before]
    if query.newest_first:
        bounded.reverse()
    return tuple(bounded[offset : offset + query.page_size])
