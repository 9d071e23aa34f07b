"""The network between a Central and its clients, and the two ends of HTTP/2 that rules need not know about.

What it models
--------------
* Connections. Dialing takes a round trip; nothing overtakes within a direction of a connection; delays are drawn from
  named random streams. A server that is down refuses.
* Things in flight. What was sent arrives, whatever its sender or its receiver decided meanwhile: the tail of a stream
  the client gave up, the request that crosses the server's end.
* Silence. A black-holed connection (a fault's order) takes no bytes and gives none, but the server sees its client
  leave. A cut connection carries nothing at all in the cut direction. Nobody is told either way: the client's HTTP/2
  PINGs and HTTP timeouts find out.
* Lost ends (`Weather.lost_ends`, `Weather.zombies`): the server is through with a connection or a stream, the client
  never hears of it.
* A crashed client: its kernel closes its connections; with `vanish` nothing is closed.

Orders of `Central` are carried out here as `servers.host` does it on sockets; receipts are given when an order has
left. Nothing here decides what a server or a client does next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from random import Random
from typing import Any

from mockcentral._core.actions import (
    AckPing,
    AnswerHttp,
    BlackHole,
    CloseConnection,
    EndCall,
    GoAway,
    MarkSent,
    ResetCall,
    SendEvents,
    SendPing,
    SendToEach,
    StopListening,
)
from mockcentral._core.calls import WATCH_PATH, WatchRequest
from mockcentral._core.central import Central, Issue
from mockcentral._core.chance import Chance
from mockcentral._core.events import TopicEvent
from mockcentral._core.harvester import Query
from mockcentral._core.journal import unheard
from mockcentral.sim import http
from mockcentral.sim.clock import NEVER, Clock
from mockcentral.sim.party import Answer, Party, Sleeper
from mockcentral.sim.weather import Weather

UNAVAILABLE, CANCELLED, INTERNAL, RESOURCE_EXHAUSTED, PERMISSION_DENIED = 14, 1, 13, 8, 7
RESET_STATUS = {7: UNAVAILABLE, 8: CANCELLED, 11: RESOURCE_EXHAUSTED, 12: PERMISSION_DENIED}
"""What a gRPC client makes of RST_STREAM error codes (grpc: PROTOCOL-HTTP2, "Errors"); all others are INTERNAL."""

REFUSED = (
    "failed to connect to all addresses; last error: UNKNOWN: Failed to connect to remote host: Connection refused"
)
RESET = "Connection reset by peer"
CLOSED = "Socket closed"
PING_TIMEOUT = "ping timeout"


class Stream:
    """A watch call. `number` is the client's name for it, `call` the server's; 0 until it arrived."""

    __slots__ = ("call", "cancelled", "h2", "number", "over", "wire")

    def __init__(self, number: int, wire: Wire) -> None:
        self.number = number
        self.wire = wire
        self.call = 0
        self.h2 = 0
        self.over = False  # the client was told
        self.cancelled = False  # the client said so


class Exchange:
    """An HTTP request and whether its client still waits."""

    __slots__ = ("history", "over", "request", "until")

    def __init__(self, request: int, history: bool) -> None:
        self.request = request
        self.history = history  # not a token
        self.until = 0.0
        self.over = False


class Wire:
    """A TCP connection, both ends of it. `id` is Central's number for it, 0 before the server accepted it."""

    __slots__ = (
        "acked",
        "cut_down",
        "cut_up",
        "down_at",
        "draining",
        "exchange",
        "gone",
        "guarded",
        "holed",
        "id",
        "keepalive",
        "pinged",
        "protocol",
        "seat",
        "speaking",
        "streams",
        "streams_opened",
        "up",
        "up_at",
        "waiting",
    )

    def __init__(self, seat: Seat, protocol: str, keepalive: tuple[float, float] | None) -> None:
        self.seat = seat
        self.protocol = protocol
        self.keepalive = keepalive
        self.id = 0
        self.up = False  # the client may write
        self.gone = False  # the client is through with it
        self.speaking = False  # Central knows its protocol
        self.holed = self.cut_up = self.cut_down = False
        self.draining = False
        self.up_at = self.down_at = 0.0
        self.waiting: list[tuple[Any, ...]] = []
        self.streams: dict[int, Stream] = {}
        self.streams_opened = 0
        self.exchange: Exchange | None = None
        self.guarded = False  # a timer watches over its exchanges
        self.pinged = self.acked = 0

    @property
    def calm(self) -> bool:
        """Both ways are open, and neither end is through with it."""
        return self.up and not (self.gone or self.holed or self.cut_up or self.cut_down)


class Seat:
    """A client's place at the network, for one life of the client: its `Port`."""

    def __init__(self, network: Network, party: Party, number: int, life: int) -> None:
        self.network = network
        self.party = party
        self.number = number
        self.life = life
        self.over = False
        self.reachable = True
        self.recording = network.recording
        self.planned = NEVER
        self.keepalive = party.keepalive
        self.channel: Wire | None = None
        self.wires: dict[Wire, None] = {}
        self.streams: dict[int, Stream] = {}
        self.idle: list[Wire] = []
        self.peer = f"client-{number}.{life}"
        self.sleeper: Sleeper | None = party if hasattr(party, "sleeps_until") else None  # type: ignore[assignment]
        self.on_exit: Callable[[int], None] | None = None

    def close(self) -> None:
        """Nobody is here any more."""
        self.over = True
        if (unplug := getattr(self.party, "unplug", None)) is not None:
            unplug()
        self.channel = self.on_exit = self.sleeper = None
        for wire in self.wires:
            wire.streams.clear()
            wire.waiting.clear()
        self.wires.clear()
        self.streams.clear()
        self.idle.clear()

    @property
    def now(self) -> float:
        return self.network.clock.now

    def wall(self, now: float) -> float:
        return self.network.central.wall(now)

    def exit(self, code: int) -> None:
        if self.on_exit is not None:
            self.on_exit(code)

    def record(self, kind: str, **fields: object) -> None:
        self.network.central.client_said(kind, self.network.clock.now, **fields)

    def open_stream(self, stream: int, token: str, request: WatchRequest) -> None:
        wire = self.channel
        if wire is None or wire.draining or wire.gone:
            wire = self.channel = self.network.dial(self, "h2")
        self.network.open(wire, stream, token, request)

    def send(self, stream: int, request: WatchRequest) -> None:
        found = self.streams.get(stream)
        if found is not None:
            self.network.request(found, request)

    def cancel(self, stream: int) -> None:
        found = self.streams.pop(stream, None)
        if found is not None:
            self.network.cancel(found)

    def renew(self, *, slower: bool = False) -> None:
        if slower and self.keepalive is not None and self.party.keepalive is not None:
            interval, timeout = self.keepalive
            self.keepalive = (min(2.0 * interval, 64.0 * self.party.keepalive[0]), timeout)
        wire, self.channel = self.channel, None
        if wire is not None and not wire.streams:
            self.network.hang_up(wire)
        elif wire is not None:
            wire.draining = True

    def history(self, request: int, topic: str, query: Query, token: str) -> None:
        self.network.ask(self, request, topic, query, token)

    def renew_history(self) -> None:
        for wire in [wire for wire in self.wires if wire.protocol != "h2"]:
            exchange = wire.exchange
            if exchange is None or exchange.history:
                if exchange is not None:
                    exchange.over = True
                self.network.hang_up(wire)

    def fetch_token(self, request: int) -> None:
        self.network.ask(self, request, "", None, "")


class Network:
    """Moves what parties and a Central say to each other. `recording`: somebody reads the journal. `thrifty`: PINGs on
    healthy connections, which change nothing, are counted instead of sent.
    """

    def __init__(
        self,
        clock: Clock,
        central: Central,
        weather: Weather,
        seed: int,
        *,
        user_agent: str = "",
        recording: bool = True,
        thrifty: bool = False,
    ) -> None:
        self.clock = clock
        self._plan = clock.plan
        self.central = central
        self.weather = weather
        self._up_span = (weather.up.low, weather.up.high - weather.up.low)
        self._down_span = (weather.down.low, weather.down.high - weather.down.low)
        self.recording = recording
        self.thrifty = thrifty
        self.wires: dict[int, Wire] = {}
        self.calls: dict[int, Stream] = {}
        self._metadata = {"x-axway-tenant-id": central.settings.tenant, "user-agent": user_agent}
        self._up_delay = Random(f"{seed}:network:up").random
        self._down_delay = Random(f"{seed}:network:down").random
        self._losses = Chance(f"{seed}:network:losses")  # most networks lose nothing
        self._central_planned = NEVER
        self._flushing = False

    # ------------------------------------------------------------------------------------------ driving
    def flush(self) -> None:
        """Carry out what Central ordered, give receipts, plan its next wake-up."""
        if self._flushing:
            return
        central = self.central
        if issues := central.orders():
            self._carry_out(issues)
        deadline = central.deadline()
        if deadline is not None and deadline < self._central_planned:
            self._central_planned = deadline
            self._plan(deadline, self._tick, (deadline,))

    def _carry_out(self, issues: Sequence[Issue]) -> None:
        """These orders, and those that come of it."""
        central = self.central
        self._flushing = True
        try:
            while issues:
                receipts: list[Issue] = []
                for order, rule in issues:
                    kind = type(order)
                    if kind is SendEvents:
                        self._send_events(order)  # type: ignore[arg-type]
                    elif (carry_out := _ORDERS.get(kind)) is not None:
                        done = carry_out(self, order)
                        if done is not False and (rule is not None or kind is SendPing):
                            receipts.append((order, rule))
                for order, rule in receipts:
                    if rule is not None:
                        central.performed(order, rule, self.clock.now)
                    elif isinstance(order, SendPing):  # behind what has its receipt now
                        central.ping_left(order.payload)
                issues = central.orders()
        finally:
            self._flushing = False

    def _tick(self, planned: float) -> None:
        if planned == self._central_planned:
            self._central_planned = NEVER
            if self.thrifty:
                self._skim()
            self.central.tick(self.clock.now)
            self.flush()

    def _skim(self) -> None:
        """Idle time: PING events that come, are answered and change nothing else, all of them in one step. Every
        random choice is made as it would be, so that what follows is the same.
        """
        if (found := self.central.idle_pings()) is None:
            return
        number, at, every, until = found
        if (stream := self.calls.get(number)) is None:
            return
        clock, up, down = self.clock, self.weather.up, self.weather.down
        wire, longest = stream.wire, down.high + up.high
        seat = wire.seat
        if seat.sleeper is None or not wire.calm or seat.over or stream.over or stream.cancelled:
            return
        if wire.down_at > at or wire.up_at > at or longest > every:  # something would still be on its way
            return
        until = min(until, clock.until, seat.sleeper.sleeps_until(at + down.high, every, down.high - down.low))
        if at + longest >= until or at + longest >= (until := min(until, clock.next_at_but(seat.planned, self._due))):
            return
        down_delay, up_delay, recording = self._down_delay, self._up_delay, self.recording
        down_low, down_width = down.low, down.high - down.low
        arrivals = []
        while at + longest < until:
            arrival = at + down_low + down_width * down_delay()
            answered = up_delay()
            arrivals.append(arrival)
            if recording:
                answered = arrival + up.low + (up.high - up.low) * answered
                self.central.pass_ping(at, answered, at + every)
            at += every
        if not recording:
            self.central.pass_pings(len(arrivals), at)
        clock.now = arrival
        seat.sleeper.pinged(arrivals)
        seat.planned = NEVER  # its looks at the silence so far have happened
        self.plan(seat)

    def plan(self, seat: Seat) -> None:
        """A party may have a new deadline."""
        deadline = seat.party.deadline()
        if deadline is not None and deadline < seat.planned:
            seat.planned = deadline
            self._plan(deadline, self._due, (seat, deadline))

    def _due(self, seat: Seat, planned: float) -> None:
        if planned == seat.planned and not seat.over:
            seat.planned = NEVER
            deadline = seat.party.deadline()
            if deadline is None:
                return
            if deadline <= self.clock.now:
                seat.party.due(self.clock.now)
                self.plan(seat)
            else:  # put off since
                seat.planned = deadline
                self._plan(deadline, self._due, (seat, deadline))

    def _up(self, wire: Wire, action: Any, *arguments: Any) -> None:
        if wire.cut_up:
            return
        low, width = self._up_span
        at = self.clock.now + low + width * self._up_delay()
        if at < wire.up_at:
            at = wire.up_at
        else:
            wire.up_at = at
        self._plan(at, action, (wire, *arguments))

    def _down(self, wire: Wire, action: Any, *arguments: Any) -> bool:
        """Let something arrive at the client; False when it never will."""
        if wire.cut_down or wire.holed:
            return False
        low, width = self._down_span
        at = self.clock.now + low + width * self._down_delay()
        if at < wire.down_at:
            at = wire.down_at
        else:
            wire.down_at = at
        self._plan(at, action, (wire, *arguments))
        return True

    def close(self) -> None:
        """Nothing is under way any more."""
        for wire in self.wires.values():
            wire.streams.clear()
        self.wires.clear()
        self.calls.clear()

    # ------------------------------------------------------------------------------------------ lives of clients
    def seat(self, party: Party, number: int, life: int) -> Seat:
        """A place for one life of a party; the party is started by whoever asked for it."""
        return Seat(self, party, number, life)

    def leave(self, seat: Seat, *, vanish: bool = False) -> None:
        """A client's life is over. Its connections are closed for it, or with `vanish` just fall silent."""
        seat.over = True
        for wire in list(seat.wires):
            if vanish:
                self.cut(wire)
            self.hang_up(wire)
        seat.on_exit = None
        seat.streams.clear()

    def calm(self) -> None:
        """From now on no end is lost any more; delays stay as they are."""
        weather = self.weather
        if weather.lost_ends or weather.zombies:
            self.weather = replace(weather, lost_ends=0.0, zombies=0.0)

    def cut(self, wire: Wire, *, up: bool = True, down: bool = True) -> None:
        """From now on nothing that is sent in these directions arrives."""
        wire.cut_up = wire.cut_up or up
        wire.cut_down = wire.cut_down or down
        self._mind(wire)

    # ------------------------------------------------------------------------------------------ connections
    def dial(self, seat: Seat, protocol: str) -> Wire:
        wire = Wire(seat, protocol, seat.keepalive if protocol == "h2" else None)
        seat.wires[wire] = None
        if not seat.reachable:
            wire.cut_up = wire.cut_down = True
        self._up(wire, self._accept)
        return wire

    def _accept(self, wire: Wire) -> None:
        if not self.central.listening:
            self._down(wire, self._lost, REFUSED)
            return
        wire.id = self.central.connection_opened(wire.seat.peer, self.clock.now)
        self.wires[wire.id] = wire
        self._down(wire, self._connected)
        self.flush()

    def _connected(self, wire: Wire) -> None:
        if wire.gone:
            return
        wire.up = True
        if wire.keepalive is not None and not self._skips_pings():
            self.clock.at(self.clock.now + wire.keepalive[0], self._ping, wire)
        elif wire.cut_up or wire.cut_down or wire.holed:
            self._mind(wire)
        waiting, wire.waiting = wire.waiting, []
        for action, *arguments in waiting:
            action(wire, *arguments)

    def hang_up(self, wire: Wire) -> None:
        """The client closes a connection, or its kernel does."""
        if wire.gone:
            return
        wire.gone = True
        seat = wire.seat
        seat.wires.pop(wire, None)
        if seat.channel is wire:
            seat.channel = None
        if wire in seat.idle:
            seat.idle.remove(wire)
        wire.waiting.clear()
        self._up(wire, self._left)
        if wire.id not in self.wires:  # the server is through with it, too
            wire.streams.clear()

    def _left(self, wire: Wire) -> None:
        # Even a black-holed connection shows that its client left (`servers.front_door`).
        self.central.connection_closed(wire.id, self.clock.now, by="client", reason="closed by the client")
        self._forget(wire)
        self.flush()

    def _forget(self, wire: Wire) -> None:
        self.wires.pop(wire.id, None)
        for stream in wire.streams.values():
            self.calls.pop(stream.call, None)
        if wire.gone:
            wire.streams.clear()

    def _lost(self, wire: Wire, reason: str) -> None:
        """The client sees the end of a connection: by the server, or by its own PINGs."""
        if wire.gone:
            return
        wire.gone = True
        wire.waiting.clear()
        seat = wire.seat
        seat.wires.pop(wire, None)
        if seat.channel is wire:
            seat.channel = None
        if wire in seat.idle:
            seat.idle.remove(wire)
        if seat.over:
            wire.streams.clear()
            return
        for stream in list(wire.streams.values()):
            self._finish(stream, UNAVAILABLE, reason)
        if wire.exchange is not None:
            self._answer(wire, wire.exchange, Answer(0, reason))

    # ------------------------------------------------------------------------------------------ HTTP/2 PINGs
    def _skips_pings(self) -> bool:
        return self.thrifty and not self.central.minds("ping")

    def _ping(self, wire: Wire) -> None:
        if wire.gone or wire.seat.over:
            return
        assert wire.keepalive is not None
        wire.pinged += 1
        self._up(wire, self._ping_arrived, wire.pinged)
        self.clock.at(self.clock.now + wire.keepalive[1], self._ping_unanswered, wire, wire.pinged)

    def _ping_arrived(self, wire: Wire, nth: int) -> None:
        if not wire.holed:
            self._speaks(wire)
            self.central.ping_received(wire.id, nth.to_bytes(8, "big"), self.clock.now)
            self.flush()

    def _acked(self, wire: Wire, payload: bytes) -> None:
        nth = int.from_bytes(payload, "big")
        if nth > wire.acked and not wire.gone and wire.keepalive is not None:
            wire.acked = nth
            self.clock.at(self.clock.now + wire.keepalive[0], self._ping, wire)

    def _ping_unanswered(self, wire: Wire, nth: int) -> None:
        if wire.acked < nth and not wire.gone and not wire.seat.over:
            self._up(wire, self._left)
            self._lost(wire, PING_TIMEOUT)

    def _mind(self, wire: Wire) -> None:
        """A connection fell silent: where PINGs are only counted, the next one has to be sent now."""
        self._guard(wire)
        if wire.keepalive is not None and wire.up and self._skips_pings() and not wire.pinged and not wire.gone:
            wire.pinged = 1
            interval, timeout = wire.keepalive
            # Somewhere within the interval; a fixed place in it is as good as any other and costs no bookkeeping.
            self.clock.at(self.clock.now + interval + timeout, self._ping_unanswered, wire, 1)

    # ------------------------------------------------------------------------------------------ watch calls
    def open(self, wire: Wire, number: int, token: str, request: WatchRequest) -> None:
        stream = Stream(number, wire)
        wire.streams[number] = stream
        wire.seat.streams[number] = stream
        if wire.up:
            self._begin(wire, stream, token, request)
        else:
            wire.waiting.append((self._begin, stream, token, request))

    def _begin(self, wire: Wire, stream: Stream, token: str, request: WatchRequest) -> None:
        if stream.cancelled:
            return
        wire.streams_opened += 1
        metadata = self._metadata | {"authorization": f"Bearer {token}"}
        stream.h2 = 2 * wire.streams_opened - 1
        self._up(wire, self._call_arrived, stream, metadata)
        self._up(wire, self._request_arrived, stream, request)
        wire.seat.party.opened(stream.number, self.clock.now)
        self.plan(wire.seat)

    def request(self, stream: Stream, request: WatchRequest) -> None:
        if stream.wire.up and not stream.over:
            self._up(stream.wire, self._request_arrived, stream, request)

    def cancel(self, stream: Stream) -> None:
        wire = stream.wire
        stream.cancelled = True
        if wire.up and not stream.over:
            self._up(wire, self._cancelled, stream)
        wire.streams.pop(stream.number, None)
        if wire.draining and not wire.streams:
            self.hang_up(wire)

    def _speaks(self, wire: Wire) -> None:
        if not wire.speaking:
            wire.speaking = True
            self.central.connection_speaks(wire.id, wire.protocol, self.clock.now)

    def _call_arrived(self, wire: Wire, stream: Stream, metadata: Mapping[str, str]) -> None:
        if wire.holed:
            return
        self._speaks(wire)
        call = self.central.call_opened(wire.id, stream.h2, WATCH_PATH, metadata, self.clock.now)
        if call is not None:
            stream.call = call
            self.calls[call] = stream
        self.flush()

    def _request_arrived(self, wire: Wire, stream: Stream, request: WatchRequest) -> None:
        if not wire.holed and stream.call:
            self.central.request_received(stream.call, request, self.clock.now)
            self.flush()

    def _cancelled(self, wire: Wire, stream: Stream) -> None:
        if not wire.holed and stream.call:
            self.calls.pop(stream.call, None)
            self.central.call_closed(stream.call, self.clock.now)
            self.flush()

    def _deliver(self, wire: Wire, stream: Stream, events: tuple[TopicEvent, ...]) -> None:
        seat = wire.seat
        if not wire.gone and not seat.over:
            seat.party.received(stream.number, events, self.clock.now)
            self.plan(seat)

    def _ended(self, wire: Wire, stream: Stream, code: int, details: str) -> None:
        if not wire.gone and not wire.seat.over:
            self._finish(stream, code, details)

    def _finish(self, stream: Stream, code: int, details: str) -> None:
        """The client learns that a stream is over, also when it had given it up: the news was on its way."""
        if stream.over:
            return
        stream.over = True
        wire = stream.wire
        seat = wire.seat
        wire.streams.pop(stream.number, None)
        seat.streams.pop(stream.number, None)
        if wire.draining and not wire.streams and not wire.gone:
            self.hang_up(wire)
        seat.party.ended(stream.number, code, details, self.clock.now)
        self.plan(seat)

    def _goaway(self, wire: Wire, order: GoAway, last_stream: int) -> None:
        if wire.gone or wire.seat.over:
            return
        wire.draining = True
        if wire.seat.channel is wire:
            wire.seat.channel = None
        text = order.debug.decode("ascii", "replace")
        for stream in list(wire.streams.values()):
            if stream.h2 > last_stream:  # the server says it never saw that one
                self._finish(
                    stream, UNAVAILABLE, f"GOAWAY received; Error code: {order.error_code}; Debug Text: {text}"
                )
        if not wire.streams:
            self.hang_up(wire)

    # ------------------------------------------------------------------------------------------ HTTP
    def ask(self, seat: Seat, request: int, topic: str, query: Query | None, token: str) -> None:
        wire = seat.idle.pop() if seat.idle else self.dial(seat, "http/1.1")
        exchange = Exchange(request, query is not None)
        wire.exchange = exchange
        exchange.until = self.clock.now + seat.party.http_timeout
        if wire.cut_up or wire.cut_down or wire.holed:
            self._guard(wire)
        if wire.up:
            self._up(wire, self._asked, exchange, topic, query, token)
        else:
            wire.waiting.append((self._up, self._asked, exchange, topic, query, token))

    def _asked(self, wire: Wire, exchange: Exchange, topic: str, query: Query | None, token: str) -> None:
        if wire.holed or wire.id not in self.wires:
            return
        if not wire.speaking:
            self._speaks(wire)
        now = self.clock.now
        if query is not None:
            answer, decision, facts = http.history(
                self.central, wire.id, topic, query, token, now, self.recording, self.flush
            )
        else:
            answer, decision, facts = http.token(self.central, wire.id, wire.seat.party.name, now, self.flush)
        delay = decision.delay
        if decision.trickle is not None:  # as whole as it will be, when its last piece has come
            delay += decision.trickle[0] * decision.trickle[1]
        if delay > 0:
            self._guard(wire)
            self.clock.at(now + delay, self._respond, wire, exchange, answer, facts, decision)
        else:
            self._respond(wire, exchange, answer, facts, decision)
        self.flush()

    def _respond(
        self, wire: Wire, exchange: Exchange, answer: Answer, facts: dict[str, Any], decision: AnswerHttp
    ) -> None:
        if self.recording:
            facts["status"] = answer.status
            query = facts["query"]
            facts["query"] = "" if query is None else http.parameters(query)
            if wire.id not in self.wires or wire.holed:
                unheard(facts)
            self.central.journal.add(self.clock.now, "http.request", **facts)
        if wire.id in self.wires:
            if decision.rules and not (wire.holed or wire.cut_down):
                self.central.http_answered(decision, wire.id, self.clock.now)
            if decision.cut is not None:  # the connection breaks with it
                self.central.connection_closed(wire.id, self.clock.now, by="server", reason="an answer was broken off")
                self._close(wire, CLOSED)
            else:
                self._down(wire, self._answer, exchange, answer)

    def _answer(self, wire: Wire, exchange: Exchange, answer: Answer) -> None:
        seat = wire.seat
        if exchange.over or seat.over:
            return
        exchange.over = True
        wire.exchange = None
        if not wire.gone:
            seat.idle.append(wire)
        seat.party.answered(exchange.request, answer, self.clock.now)
        self.plan(seat)

    def _guard(self, wire: Wire) -> None:
        """An answer may not come, or late: the client's timeout counts. Others need no timer, and most are others."""
        if not wire.guarded and wire.exchange is not None:
            wire.guarded = True
            self.clock.at(wire.exchange.until, self._http_guard, wire)

    def _http_guard(self, wire: Wire) -> None:
        wire.guarded = False
        exchange = wire.exchange
        if exchange is None or exchange.over or wire.seat.over:
            return
        if exchange.until > self.clock.now:
            self._guard(wire)
            return
        self.hang_up(wire)
        self._answer(wire, exchange, Answer(0, "timed out"))

    # ------------------------------------------------------------------------------------------ Central's orders
    def _send_events(self, order: SendEvents) -> None:
        stream = self.calls.get(order.call)
        if stream is not None:
            self._down(stream.wire, self._deliver, stream, order.events)

    def _send_to_each(self, order: SendToEach) -> None:
        for call in order.calls:
            stream = self.calls.get(call)
            if stream is not None:
                self._down(stream.wire, self._deliver, stream, (order.event,))

    def _mark_sent(self, order: MarkSent) -> bool:
        """What is sent here leaves at once, or never."""
        stream = self.calls.get(order.call)
        return stream is not None and not (stream.wire.holed or stream.wire.cut_down)

    def _end_call(self, order: EndCall) -> bool:
        stream = self.calls.pop(order.call, None)
        if stream is None:
            return False
        if self._swallowed():  # by the weather, when it had left
            return True
        return self._down(stream.wire, self._ended, stream, order.code, order.message)

    def _reset_call(self, order: ResetCall) -> bool:
        stream = self.calls.pop(order.call, None)
        if stream is None:
            return False
        if self._swallowed():
            return True
        code = RESET_STATUS.get(order.error_code, INTERNAL)
        details = f"Received RST_STREAM with error code {order.error_code}"
        return self._down(stream.wire, self._ended, stream, code, details)

    def _swallowed(self) -> bool:
        zombies = self.weather.zombies
        return zombies > 0 and self._losses().random() < zombies

    def _ack_ping(self, order: AckPing) -> bool:
        wire = self.wires.get(order.connection)
        return wire is not None and self._down(wire, self._acked, order.payload)

    def _send_ping(self, order: SendPing) -> None:
        if (wire := self.wires.get(order.connection)) is not None:
            self._down(wire, self._asked_for_ack, order.payload)

    def _asked_for_ack(self, wire: Wire, payload: bytes) -> None:
        if not wire.gone:  # an HTTP/2 stack acks by itself, whatever its application does
            self._up(wire, self._ack_arrived, payload)

    def _ack_arrived(self, wire: Wire, payload: bytes) -> None:
        if not wire.holed:
            self.central.ping_acked(wire.id, payload, self.clock.now)
            self.flush()

    def _close_connection(self, order: CloseConnection) -> None:
        if (wire := self.wires.get(order.connection)) is not None:
            self._close(wire, RESET if order.abort else CLOSED)

    def _black_hole(self, order: BlackHole) -> bool:
        if (wire := self.wires.get(order.connection)) is None or wire.holed:
            return False
        before = wire.cut_up, wire.cut_down
        if order.direction == "both":
            wire.holed = True
            self._mind(wire)
        else:
            self.cut(wire, up=order.direction == "from_client", down=order.direction == "to_client")
        return wire.holed or before != (wire.cut_up, wire.cut_down)

    def _go_away(self, order: GoAway) -> bool:
        wire = self.wires.get(order.connection)
        if wire is None or wire.protocol != "h2":  # there is no such thing in HTTP/1
            return False
        last = 2**31 - 1 if order.last_stream is None else order.last_stream
        return self._down(wire, self._goaway, order, last)

    def _stop_listening(self, order: StopListening) -> None:
        if not order.keep:
            for wire in list(self.wires.values()):
                self._close(wire, RESET)

    def _close(self, wire: Wire, reason: str) -> None:
        """The server is through with a connection."""
        self._forget(wire)
        if self.weather.lost_ends and self._losses().random() < self.weather.lost_ends:
            self.cut(wire)
        else:
            self._down(wire, self._lost, reason)


_ORDERS: dict[type[Any], Callable[[Network, Any], bool | None]] = {
    SendToEach: Network._send_to_each,
    MarkSent: Network._mark_sent,
    EndCall: Network._end_call,
    ResetCall: Network._reset_call,
    AckPing: Network._ack_ping,
    SendPing: Network._send_ping,
    CloseConnection: Network._close_connection,
    BlackHole: Network._black_hole,
    GoAway: Network._go_away,
    StopListening: Network._stop_listening,
}
"""False is the answer when nothing of the order reached a client. StartListening needs nothing: the server listens
again by itself.
"""
