"""A world on real sockets: carries out what Central orders and keeps its time.

Everything happens on one event loop; no method may be called from elsewhere (`mockcentral.World` is the way in). The
order of things in `flush` is the only subtle part: orders are carried out, then bytes are written, and only when they
have left do faults get their receipt "on the wire". An order that keeps bytes from leaving comes behind those that were
ordered before it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import parse_qsl, unquote

from mockcentral._core.actions import (
    AckPing,
    AnswerHttp,
    BlackHole,
    CloseConnection,
    CutCall,
    EndCall,
    GoAway,
    HalfClose,
    HoldAccept,
    MarkSent,
    Order,
    Part,
    Reframe,
    ResetCall,
    RespondCall,
    SendBytes,
    SendEvents,
    SendFrames,
    SendPing,
    SendToEach,
    ShapeBytes,
    ShrinkWindow,
    SpoilHandshake,
    StartListening,
    StopListening,
)
from mockcentral._core.central import Central
from mockcentral._core.clock import WorldClock
from mockcentral._core.journal import Journal, spoiled, unheard
from mockcentral._core.keeping import Keeper, Unreadable
from mockcentral._core.shapes import misshapen
from mockcentral.scenario.schema import Scenario
from mockcentral.servers import wsgi
from mockcentral.servers.departure import Departure, Marks, Receipt
from mockcentral.servers.half_read import HalfRead
from mockcentral.servers.handshake import BROKEN, shake_hands_badly
from mockcentral.servers.listener import Listener, bind, shown
from mockcentral.servers.portal import import_ahead
from mockcentral.servers.signer import Assertions, signer
from mockcentral.servers.stalls import StallMeter
from mockcentral.servers.tls import Tls

if TYPE_CHECKING:
    from mockcentral.servers.front_door import Link
    from mockcentral.servers.store import Store
    from mockcentral.wire.grpc import HttpRequest

ENHANCE_YOUR_CALM = 0xB
"""HTTP/2 error code (RFC 9113 section 7)."""

MAX_QUEUED_EVENTS = 1_000_000
"""Events waiting for one slow reader; beyond that its stream is reset, which gRPC calls RESOURCE_EXHAUSTED. They are
references, not copies, but keep alive what the log has dropped.
"""

MAX_QUEUED_BYTES = 1024 * 1024 * 1024
"""The same for all streams of one connection, each event counted once for each stream."""

MAX_WAITING_ANSWERS = 8 * 1024 * 1024
"""Bytes of HTTP answers that a client has asked for on a connection and does not read; beyond that it is told to read
first, in an answer that needs no window. Over HTTP/1 it cannot ask for a second before it has read the first.
"""

_ON_CALLS = (EndCall, ResetCall, RespondCall, SendBytes)
_ON_LINES = (AckPing, SendPing, GoAway, SendFrames, ShrinkWindow, HalfClose, CloseConnection)
"""Orders that are on the wire when their bytes have left the connection."""

_ENDS = frozenset((BlackHole, HalfClose, CloseConnection, StopListening))
"""Orders after which nothing that was not handed on before gets out."""

WORK_AT_ONCE = 100
"""Events and deliveries before the sockets get their turn again: some milliseconds on a slow machine."""


def _of_type(headers: tuple[tuple[str, str], ...], kind: str) -> tuple[tuple[str, str], ...]:
    """Headers with another content type, and without the length of the body that was."""
    kept = [pair for pair in headers if pair[0].lower() not in ("content-type", "content-length")]
    return (("content-type", kind), *kept)


class Host:
    """One world's sockets, clock and connections."""

    needed_by_clients: ClassVar[tuple[str, ...]] = ("signer", "front_door", "http_api")
    """Modules beside this one that nobody needs before a client comes."""

    def __init__(
        self,
        scenario: Scenario,
        *,
        journal: Journal,
        seed: int,
        bound: socket.socket,
        loop: asyncio.AbstractEventLoop,
        tls: Tls | None = None,
        assertions: Assertions | None = None,
        resources: Iterable[tuple[str, str, Mapping[str, Any]]] = (),
        store: Store | None = None,
        scale: float = 1.0,
        stall_meter: StallMeter | None = None,
    ) -> None:
        """`scenario` is scaled already, by `scale`."""
        self.loop = loop
        self.journal = journal
        self.signer = signer()
        self.assertions = assertions or Assertions()
        self.links: dict[int, Link] = {}
        self.broken = False
        """Whether it could not write to its store, and so serves nobody any more."""
        self.on_broken: Callable[[], None] = lambda: None
        """Called when that happens."""
        self._half_read: HalfRead[Link] = HalfRead()
        self.streams: dict[int, tuple[Link, int]] = {}
        """Call -> where it lives."""
        self.tls = tls
        self._name, self._port = bound.getsockname()[:2]
        self._listener = self._listen_on(bound)
        self.address = shown(bound)
        self.scheme = "https" if tls else "http"
        self.http_url = f"{self.scheme}://{self.address}"
        self.auth_url = f"{self.http_url}/auth"
        restored = None if store is None else store.restore()
        self.clock = WorldClock(time.monotonic())
        self.scale = scale
        try:
            self.central = Central(
                scenario,
                journal=journal,
                sign=self.signer.sign,
                wall_start=time.time(),
                seed=seed,
                issuer=f"{self.auth_url}/realms/Broker",
                keeper=None if store is None else Keeper(),
                restored=restored,
            )
        except Unreadable as error:
            assert store is not None
            raise store.unusable(error) from None
        self._store = store
        if restored is None or not restored.resources:  # seeds are for the first start
            self.central.plant(resources)
        self._dirty: dict[Link, None] = {}
        self._leaving: list[tuple[Receipt, Departure]] = []
        """What faults sent and that is on its way out."""
        self._marks: dict[int, Marks] = {}
        """Call -> the same for what they did to its events."""
        self._held_up: set[int] = set()
        """Calls whose client gives them no window."""
        self._ending: dict[int, tuple[Link, int, Callable[[], bool | None]]] = {}
        """Call -> its link, how many messages it has, and whether they have got past that window; of those that we have
        ended.
        """
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at: float | None = None
        self._flushing = False
        self._barriers: set[asyncio.Future[None]] = set()
        self._stall_meter = stall_meter
        self._end_of_measuring: Callable[[], None] = lambda: None
        self.stalls, self.stalled = 0, 0.0
        """How often this machine did not keep time since the start, and how many seconds it lost."""
        self._all_gone: asyncio.Event | None = None
        self._stopped = False

    # ------------------------------------------------------------------------------------------ life
    async def start(self, **about: Any) -> None:
        """Listen, then let the scenario begin."""
        # First the scenario, then the door: whoever connects meets all of it, however early he is.
        self.clock = WorldClock(time.monotonic())
        self.central.start(0.0, **about)
        self._listener.start()
        # What only clients need is made when nobody waits for the world any more, and not while a client's PING waits
        # on this loop: a key for tokens, h2, protobuf, Flask.
        for module in self.needed_by_clients:
            import_ahead(f"mockcentral.servers.{module}")
        if self._stall_meter is not None:
            self._end_of_measuring = self._stall_meter.listen(self._lost_time)
        self.flush()

    async def stop(self) -> None:
        """Close every connection and the listener; nothing happens in this world any more. Twice is once."""
        if self._stopped:
            return
        self._stopped = True
        self._end_of_measuring()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._listener.stop()
        await self._listener.wait_stopped()
        now = self.now()
        for link in list(self.links.values()):
            self.central.connection_closed(link.id, now, by="server", reason="the world was closed")
            link.close()
        if self.links:
            # Closed transports report back within a turn of the loop; one whose peer does not read is aborted.
            self._all_gone = asyncio.Event()
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._all_gone.wait(), 0.2)
            for link in list(self.links.values()):
                link.abort()
        for future in self._barriers:
            future.cancel()

    def weigh(self, link: Link, half_read: int) -> None:
        """A link holds so many bytes of what has not ended. When all together hold too much, the heaviest has to go."""
        if (heaviest := self._half_read.weigh(link, half_read)) is not None:
            heaviest.too_much()

    def link_gone(self) -> None:
        """A link reported its end."""
        if self._all_gone is not None and not self.links:
            self._all_gone.set()

    def now(self) -> float:
        """World time: seconds since the world's start."""
        return self.clock.now(time.monotonic())

    # ------------------------------------------------------------------------------------------ time
    def set_clock(self, *, scale: float | None, advance: float | None, freeze: bool | None) -> dict[str, Any]:
        """Change the pace, jump ahead, stop or go on; in that order. Returns how the clock stands then.

        What is due by then happens at once, late rather than never.
        """
        if (advance or freeze is not None) and self.journal.real is None:
            clock = self.clock
            self.journal.real = lambda: clock.elapsed(time.monotonic())
        if scale is not None and scale != self.scale:
            self.central.rescale(scale / self.scale, self.now())
            self.scale = scale
            self.journal.add(self.now(), "clock.scaled", scale=scale)
        if advance:
            self.clock.advance(advance)
            self.journal.add(self.now(), "clock.advanced", by=advance)
        if freeze is not None and freeze != self.clock.frozen:
            change = self.clock.freeze if freeze else self.clock.thaw
            change(time.monotonic())
            self.journal.add(self.now(), "clock.frozen" if freeze else "clock.went_on")
        if self._timer is not None:
            self._timer.cancel()
        self._tick()
        return {"now": round(self.now(), 6), "scale": self.scale, "frozen": self.clock.frozen}

    def _lost_time(self, cause: str, lost: float, since: float) -> None:
        self.stalls += 1
        self.stalled += lost
        self.journal.add(self.now(), "clock.stall", cause=cause, lost=round(lost, 3), since=round(since, 3))

    # ------------------------------------------------------------------------------------------ carrying out
    def touched(self, link: Link) -> None:
        """A link may have bytes to write."""
        self._dirty[link] = None

    def flush(self) -> None:
        """Carry out what Central wants, write what is to be written, give receipts, set the timer."""
        if self._flushing:
            return
        self._flushing = True
        try:
            while True:
                receipts: list[Receipt] = []
                while issues := self.central.orders():
                    self._write_down()
                    for order, rule in issues:
                        if type(order) in _ENDS:
                            receipts += self._let_out_before(order)
                        if rule is None:
                            heard = self._perform(order, rule)
                            if type(order) is SendPing and heard and (receipts or self._leaving or self._marks):
                                self._leaving.append(self._ping_on_its_way(order))
                            continue
                        if type(order) is MarkSent:
                            receipts += self._mark(order, rule)
                            continue
                        departure = self._departure(order)
                        if not self._perform(order, rule):
                            continue
                        receipt = self.central.carried_out(order, rule, self.now())
                        if departure is None:
                            receipts.append(receipt)
                            continue
                        if type(order) in _ENDS:
                            departure.is_the_end()
                        self._leaving.append((receipt, departure))
                self._write_down()
                while self._dirty:
                    link, _ = self._dirty.popitem()
                    link.write_out()
                    if self._held_up or link.held_bytes:
                        self._note_windows(link)
                    if link.take_drained():
                        self.journal.add(self.now(), "conn.drained", conn=link.id)
                if self._ending:
                    self._note_ends()
                if self._leaving or self._marks:
                    receipts += self._left()
                if not receipts and not self.central.has_orders:
                    break
                now = self.now()
                for give in receipts:
                    give(now)
        finally:
            self._flushing = False
        self._set_timer()

    def _let_out_before(self, order: Order) -> list[Receipt]:
        """Write out what was ordered before an order that lets nothing more out; the receipts that are due then."""
        if isinstance(order, BlackHole) and order.direction == "from_client":
            return []
        if isinstance(order, StopListening):
            links = [] if order.keep else list(self.links.values())
        else:
            link = self.links.get(getattr(order, "connection", 0))
            links = [] if link is None else [link]
        for link in links:
            if link in self._dirty:
                del self._dirty[link]
                link.write_out()
        return self._left() if self._leaving or self._marks else []

    def catch_up(self) -> None:
        """To be called before a client is heard, which may have read what has left: that has its receipt first."""
        if self._leaving or self._marks:
            self.flush()

    def _mark(self, order: MarkSent, rule: str) -> list[Receipt]:
        """Wait until what was sent on a call so far has left; its receipt, if it has. It is written out at once:
        nothing that is sent behind it is to have a say in that.
        """
        place = self.streams.get(order.call)
        if place is None or place[0].mute or place[0].closing:
            return []
        link, stream = place
        assert link.h2 is not None
        but = 0
        if order.tail:
            from mockcentral.wire.codec import PREFIX_SIZE, event_frame

            but = sum(len(event_frame(entry)) for entry in order.tail) - PREFIX_SIZE
        if (marks := self._marks.get(order.call)) is None:
            marks = self._marks[order.call] = link.marks[order.call] = Marks(link, stream)
        marks.add(link.h2.sent_so_far(stream, but), self.central.carried_out(order, rule, self.now()))
        link.write_out()
        return self._left_of(order.call, marks, written=True)

    def _left_of(self, call: int, marks: Marks, *, written: bool) -> list[Receipt]:
        found = marks.left(written=written)
        if not marks:
            del self._marks[call], marks.link.marks[call]
        return found

    def _ping_on_its_way(self, order: SendPing) -> tuple[Receipt, Departure]:
        """What tells Central that a PING has left, while there is something that may leave before it."""
        return lambda now: self.central.ping_left(order.payload), Departure(self.links[order.connection])

    def _departure(self, order: Order) -> Departure | None:
        """What to ask whether an order has left; None when it is seen as soon as it is carried out."""
        if isinstance(order, _ON_CALLS):
            place = self.streams.get(order.call)
            return None if place is None else Departure(place[0], self._sending(order, *place))
        if not isinstance(order, _ON_LINES) or (link := self.links.get(order.connection)) is None:
            return None
        # A RST overtakes everything; on a line on which nothing gets out an end is one too, see `Link.close`.
        at_once = link.mute or not link.has_line or (isinstance(order, CloseConnection) and order.abort)
        return None if at_once else Departure(link)

    def _sending(self, order: Order, link: Link, stream: int) -> Callable[[], bool | None] | None:
        """What to ask whether something sent on a call has got past the client's window, or never will."""
        if not isinstance(order, (EndCall, SendBytes, RespondCall)):
            return None
        assert link.h2 is not None
        return link.h2.sending(stream)

    def _left(self) -> list[Receipt]:
        """The receipts of what has left by now; what never will is forgotten, and has none."""
        waiting, left = self._leaving, []
        self._leaving = []
        for call, marks in list(self._marks.items()):
            left += self._left_of(call, marks, written=marks.link not in self._dirty)
        for receipt, departure in waiting:
            if (over := departure.over(written=departure.link not in self._dirty)) is None:
                self._leaving.append((receipt, departure))
            elif over:
                left.append(receipt)
        return left

    def _note_windows(self, link: Link) -> None:
        """Central knows on which calls what it sends waits for the client's window, and so does the journal."""
        h2 = link.h2
        if h2 is None or link.mute:
            return
        for stream, call in link.calls.items():
            waiting = h2.queued(stream)
            if bool(waiting) is not (call in self._held_up):
                (self._held_up.add if waiting else self._held_up.discard)(call)
                self._journal_window(link, call, waiting)
                self.central.call_waits(call, bool(waiting))

    def _note_ends(self) -> None:
        """The same for calls that we have ended: of Central's they are none any more."""
        for call, (link, waiting, let_out) in list(self._ending.items()):
            out = False if link.lost or link.mute else let_out()
            if call not in self._held_up and out is not True:
                self._held_up.add(call)
                self._journal_window(link, call, waiting)
            if out is not None:
                del self._ending[call]
                if call in self._held_up:
                    self._held_up.discard(call)
                    if out:
                        self._journal_window(link, call, 0)

    def _journal_window(self, link: Link, call: int, waiting: int) -> None:
        if waiting:
            self.journal.add(self.now(), "conn.held", conn=link.id, attempt=call, waiting=waiting)
        else:
            self.journal.add(self.now(), "conn.let_out", conn=link.id, attempt=call)

    def _write_down(self) -> None:
        """What happened goes to the store before anybody hears of it. A fake that cannot write must not go on as if it
        had: it ends every connection and listens no more.
        """
        if self._store is None or (rows := self.central.changes()) is None:
            return
        try:
            self._store.write(rows)
        except ValueError as error:
            self._store = None
            self.broken = True
            self.journal.add(self.now(), "store.failed", reason=str(error))
            print(f"mockcentral: {error}: this world serves nobody any more", file=sys.stderr)
            self._listener.stop()
            for link in list(self.links.values()):
                link.close(abort=True)
            self.on_broken()

    def _perform(self, order: Order, rule: str | None) -> bool:
        """Carry out an order; False when nothing of it reaches the wire now."""
        if isinstance(order, SendEvents):
            if (place := self.streams.get(order.call)) is not None:
                from mockcentral.wire.codec import event_frame

                link, stream = place
                assert link.h2 is not None
                link.h2.send_messages(stream, [entry.frame or event_frame(entry) for entry in order.events])
                self._sent(link, (stream,))
            return True
        if isinstance(order, SendToEach):
            self._send_to_each(order)
            return True
        if isinstance(order, (EndCall, ResetCall, RespondCall, SendBytes, CutCall)):
            return self._perform_on_call(order)
        if isinstance(order, StopListening):
            if order.keep:
                self._listener.refuse()
            else:
                self._crash()
            return True
        if isinstance(order, StartListening):
            self._listener.start()
            return True
        link_ = self.links.get(order.connection)
        return link_ is not None and self._perform_on(link_, order, rule)

    def _send_to_each(self, order: SendToEach) -> None:
        from mockcentral.wire.codec import event_frame

        streams: dict[Link, list[int]] = {}
        for call in order.calls:
            if (place := self.streams.get(call)) is not None:
                streams.setdefault(place[0], []).append(place[1])
        frame = event_frame(order.event)
        for link, some in streams.items():
            assert link.h2 is not None
            link.h2.send_to_each(some, frame)
            self._sent(link, some)

    def _sent(self, link: Link, streams: Sequence[int]) -> None:
        """Events went out on these streams of a link, or wait there for a client that does not read them."""
        self._dirty[link] = None
        h2 = link.h2
        assert h2 is not None
        if not h2.queued_bytes:
            return
        for stream in streams:
            if h2.queued(stream) > MAX_QUEUED_EVENTS or h2.queued_bytes > MAX_QUEUED_BYTES:
                h2.discard(stream)  # a status behind them would keep them for as long as nobody reads
                calm = ResetCall(link.calls[stream], ENHANCE_YOUR_CALM)
                self.central.command(calm, self.now(), "the client does not read its events")

    def _perform_on_call(self, order: EndCall | ResetCall | RespondCall | SendBytes | CutCall) -> bool:
        place = self.streams.get(order.call)
        if place is None:
            return False
        link, stream = place
        assert link.h2 is not None
        self._dirty[link] = None
        heard = not (link.mute or link.closing)
        if isinstance(order, SendBytes):
            return link.h2.send_messages(stream, (order.data,)) and heard
        if isinstance(order, CutCall):
            link.cut(stream, order)
            return True
        done = True
        if isinstance(order, EndCall):
            let_out = self._sending(order, link, stream)
            link.h2.end(stream, order.code, order.message, order.trailers, bare=order.bare)
            if let_out is not None and (waiting := link.h2.queued(stream)):
                self._ending[order.call] = link, waiting, let_out
        elif isinstance(order, ResetCall):
            link.h2.reset(stream, order.error_code)
        else:
            done = link.h2.respond_call(stream, order.status, order.content_type, order.body, end=order.end)
            if not order.end:
                return done and heard
            if not done:  # it has its headers already: all that can be done is to end it
                link.h2.end(stream, 2, "the answer had begun")
        self.streams.pop(order.call)
        if order.call not in self._ending:
            self._held_up.discard(order.call)
        link.calls.pop(stream, None)
        return done and heard

    def _perform_on(self, link: Link, order: Order, rule: str | None) -> bool:
        self._dirty[link] = None
        heard = not (link.mute or link.closing)
        if isinstance(order, CloseConnection):
            if link.owes_h2 and not order.abort:  # a GOAWAY that is to be said before it
                link.wait_for_h2(order, rule)
                return False
            before = link.closing
            link.close(abort=order.abort, linger=True)
            return not before
        if isinstance(order, BlackHole):
            return link.blackhole(order)
        if isinstance(order, ShapeBytes):
            if link.has_line:
                return link.shape(order)
            link.wait_for_line(order, rule)
            return False
        if isinstance(order, HalfClose):
            return link.half_close()
        elif isinstance(order, HoldAccept):
            link.hold = max(link.hold, order.seconds)
        elif isinstance(order, SpoilHandshake):
            link.spoil(order, rule)
            return False
        elif link.h2 is None:
            link.wait_for_h2(order, rule)
            return False
        elif isinstance(order, AckPing):
            link.h2.ack_ping(order.payload)
        elif isinstance(order, SendPing):
            link.h2.send_ping(order.payload)
        elif isinstance(order, GoAway):
            link.h2.goaway(order.error_code, order.last_stream, order.debug)
        elif isinstance(order, SendFrames):
            link.h2.send_frames(order.data)
        elif isinstance(order, ShrinkWindow):
            link.h2.shrink_window(order.size)
        elif isinstance(order, Reframe):
            return link.reframe(order)
        return heard

    def _set_timer(self) -> None:
        if self._stopped:  # connections that end now still flush
            return
        deadline = None if self.clock.frozen else self.central.deadline()
        if deadline == self._timer_at and self._timer is not None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._timer_at = deadline
        if deadline is not None:
            self._timer = self.loop.call_later(max(0.0, deadline - self.now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self.central.tick(self.now(), WORK_AT_ONCE)
        self.flush()

    def act(self, work: Callable[[Central, float], Any]) -> Any:
        """Do something to Central and carry out what follows from it."""
        self.catch_up()
        try:
            return work(self.central, self.now())
        finally:
            self.flush()

    # ------------------------------------------------------------------------------------------ listening
    def _crash(self) -> None:
        """Refuse connections, end the handshakes under way, and reset the connections there are."""
        self._listener.stop()
        self._listener = self._listen_on(bind(self._name, self._port))
        for link in list(self.links.values()):
            link.close(abort=True)

    def _listen_on(self, bound: socket.socket) -> Listener:
        welcome = None if self.tls is None else self._shake_hands
        return Listener(bound, self._new_link, self.loop, welcome=welcome)

    def _new_link(self) -> Link:
        from mockcentral.servers.front_door import Link  # h2 and protobuf are not needed before somebody comes

        return Link(self)

    async def _shake_hands(self, raw: socket.socket) -> None:
        from mockcentral.servers.front_door import SILENT_LIMIT

        assert self.tls is not None
        link = self._new_link()
        link.accepted(raw)
        if link.hold:
            await asyncio.sleep(link.hold)
        if link.closing:
            return
        order, rule = link.flaw or (None, None)
        if order is not None and order.flaw in BROKEN:
            over = await shake_hands_badly(self.loop, raw, self.tls.context, order, self._receipt(order, rule))
            raw.close()
            if not link.closing:
                link.handshake_over(*over)
            return
        context = self.tls.context if order is None else self.tls.flawed(order.flaw)
        reason = ""
        try:
            await self.loop.connect_accepted_socket(lambda: link, raw, ssl=context, ssl_handshake_timeout=SILENT_LIMIT)
        except OSError as error:  # no TLS client, or it left, or it does not like what it saw: SSLError is an OSError
            reason = getattr(error, "reason", None) or type(error).__name__
        # An error of ours that is no alert of the client's: what it said was no hello, and it has seen nothing.
        if order is not None and (not reason or not reason.isupper() or "ALERT" in reason):
            self._receipt(order, rule)()
        if reason and not link.closing:
            link.handshake_over("client", f"TLS handshake: {reason}")

    def _receipt(self, order: SpoilHandshake, rule: str | None) -> Callable[[], None]:
        """What to call when the client has got our side of a handshake."""

        def give() -> None:
            if rule is not None:
                self.central.performed(order, rule, self.now())

        return give

    # ------------------------------------------------------------------------------------------ HTTP
    def answer(self, link: Link, request: HttpRequest) -> None:
        """Answer one HTTP request, or let a fault do it. The link flushes when it has heard all that was read."""
        from mockcentral.servers import http_api

        # Not urlsplit: it takes `//[` for a bad IPv6 host and raises.
        path, _, query = (request.path if request.path.startswith("/") else "/").partition("?")
        facts: dict[str, Any] = {}
        page: int | None = None
        anchors = ["http"]
        if path.startswith("/events/"):
            anchors.append("harvest")
            parameters = dict(reversed(parse_qsl(query)))  # of two with one name the first counts, as for the view
            topic = unquote(path[len("/events") :])
            facts = http_api.harvest_facts(topic, parameters, self.central.settings.harvester.page_size)
            if (page := facts["page"]) is not None:
                anchors.append("page")
        elif path.startswith("/auth/"):
            anchors.append("token")
        decision = self.central.http_request(anchors, link.id, self.now(), page)
        if self.central.has_orders:  # what was ordered at this moment comes before the answer
            self.flush()
        parts: set[Part] = set()
        if link.h2 is not None and link.h2.waiting_answers > MAX_WAITING_ANSWERS:
            response, decision = wsgi.Response(503, (("retry-after", "1"),), b""), AnswerHttp()
        elif decision.status is not None:
            if decision.gone == "with header":
                facts["max_sequence"] = self.central.log.max_sequence
            headers = (("content-type", "application/json"), *decision.headers)
            response = wsgi.Response(decision.status, headers, decision.body.encode())
        else:
            response = wsgi.call(
                http_api.application(),
                request.method,
                request.path,
                request.headers,
                request.body,
                scheme=self.scheme,
                host=self.address,
                remote=link.peer,
                environ_extra={
                    http_api.HOST: self,
                    http_api.FACTS: facts,
                    http_api.DECISION: decision,
                    http_api.PARTS: parts,
                },
                on_error=self._view_failed,
            )
            if decision.shape:
                kind, body = misshapen(response.body, decision.shape)
                response = wsgi.Response(200, _of_type(response.headers, kind), body)
        from email.utils import formatdate  # not before a request needs it

        date = ("date", formatdate(self.central.wall(self.now()), usegmt=True))
        response = wsgi.Response(response.status, (*response.headers, date), response.body)
        self._write_down()
        size = 0 if request.method == "HEAD" or response.status in (204, 304) else len(response.body)
        decision = self.central.http_made(decision, parts, size, link.id, self.now())
        if not decision.whole:
            spoiled(facts)
        work = functools.partial(self._respond, link, request, path, query, response, facts, decision)
        if decision.delay > 0:
            self.central.later(decision.delay, self.now(), lambda now: work())
        else:
            work()

    def _respond(
        self,
        link: Link,
        request: HttpRequest,
        path: str,
        query: str,
        response: wsgi.Response,
        facts: dict[str, Any],
        decision: AnswerHttp,
    ) -> None:
        if self._stopped:  # it was delayed
            return
        pieces, pause = decision.trickle or (1, 0.0)
        answered = self._answering(link, request, decision)

        def journal(heard: bool = True) -> None:
            if not heard:  # nobody was there for all of it
                unheard(facts)
            self.journal.add(
                self.now(),
                "http.request",
                conn=link.id,
                method=request.method[:40],
                path=path[:400],
                query=query[:1000],
                status=response.status,
                **facts,
            )

        if decision.cut is not None:
            journal(link.awaits_answer(request))
            link.respond_partly(request, response.status, response.headers, response.body, decision.cut)
            answered()
        elif pieces > 1 or pause > 0:
            size = max(1, -(-len(response.body) // pieces))
            cuts = [response.body[at : at + size] for at in range(0, len(response.body), size)] or [b""]
            trickle = link.respond_slowly(request, response.status, response.headers, len(response.body))

            def next_piece(now: float) -> None:
                if self._stopped:
                    return
                piece = cuts.pop(0)
                if not trickle(piece, not cuts):
                    journal(heard=False)
                elif cuts:
                    self.central.later(pause, now, next_piece)
                else:
                    journal()
                    answered()

            self.central.later(pause, self.now(), next_piece)
        else:
            journal(link.awaits_answer(request))
            link.respond(request, response.status, response.headers, response.body)
            answered()

    def _answering(self, link: Link, request: HttpRequest, decision: AnswerHttp) -> Callable[[], None]:
        """What to call when an answer was given to a link: the receipts of those who had a say in it are due when it
        has left.
        """
        if not decision.rules or link.mute or link.closing:
            return lambda: None
        # What breaks off goes out as far as the window lets it.
        let_out = link.h2.sending(request.stream) if link.h2 is not None and decision.cut is None else None
        departure = Departure(link, let_out)
        give = functools.partial(self.central.http_answered, decision, link.id)
        return lambda: self._leaving.append((give, departure))

    def _view_failed(self, error: BaseException) -> None:
        """A view of ours raised: a bug. The client got a 500, the loop's handler gets the traceback."""
        self.loop.call_exception_handler({"message": "a view of the fake failed", "exception": error})

    # ------------------------------------------------------------------------------------------ barrier
    async def barrier(self, timeout: float) -> int:
        """Wait until every open HTTP/2 connection acked a PING sent now; returns how many were asked.

        Raises TimeoutError that names those that did not.
        """
        over: asyncio.Future[None] = self.loop.create_future()
        self._barriers.add(over)
        barrier = self.central.begin_barrier(self.now(), lambda now: None if over.done() else over.set_result(None))
        self.flush()
        try:
            await asyncio.wait_for(over, timeout)
        except asyncio.TimeoutError:
            missing = self.central.give_up(barrier, self.now())
            raise TimeoutError(f"{missing} within {timeout:g} s") from None
        finally:
            self._barriers.discard(over)
        return barrier.asked
