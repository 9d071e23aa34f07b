"""When what a fault did to an event has its receipt: when the bytes that show it have left, on a transport without a
socket.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hyperframe.frame import DataFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame
from hypothesis import given
from hypothesis import strategies as st

from mockcentral._core.events import parse_change
from mockcentral.scenario.load import parse_fault
from mockcentral.servers.front_door import Link
from mockcentral.wire.grpc import MAX_DATA_FRAME, encode_message
from tests.mockcentral.clients import TOPIC, service, topic
from tests.mockcentral.floods import CALL, HELLO, headers
from tests.mockcentral.servers.rig import SLOW, Transport, connect
from tests.mockcentral.servers.test_link import Clock, on_a_link, records
from watchmanager._wire import messages

SHOWN: list[object] = [
    "duplicate",
    {"corrupt": "name"},
    "unknown_type",
    "wrong_topic",
    {"oversize": 3000},
]
"""What is in the message itself."""

MISSING: list[object] = ["lose", {"gap": 2}, "lost_delete"]
"""What shows in that there is none."""

WIDE = 2**31 - 1
MAX_FRAME = 16_384
"""Bytes of payload that a client takes in one frame unless it says otherwise."""


def watching(link: Link, *rules: tuple[str, object], window: int = WIDE) -> dict[str, Any]:
    """A client that watches, with faults named a, b, ...; their receipts."""
    central = link.host.central
    central.put_topic("sample", topic(), 0.0)
    for name, (on, do) in zip("abcd", rules, strict=False):
        central.arm(parse_fault({"name": name, "on": on, "do": do}), link.host.now())
    token = central.token("somebody", link.host.now())
    tenant = ("x-axway-tenant-id", central.settings.tenant)
    subscribe = messages.Request(selfLink=TOPIC, token=f"Bearer {token}").SerializeToString()
    windows = SettingsFrame(0, settings={4: window}).serialize()
    windows += WindowUpdateFrame(0, window_increment=2**30).serialize()
    link.data_received(HELLO + windows + headers(1, [*CALL, ("authorization", f"Bearer {token}"), tenant]))
    link.data_received(DataFrame(1, encode_message(subscribe)).serialize())
    return {one.rule.name: one for one in central.receipts}


def publish(link: Link, count: int = 1, kind: str = "created") -> None:
    for _ in range(count):
        link.host.act(lambda central, now: central.publish(parse_change(service(type=kind)), now))


def at_once(link: Link, count: int, kind: str = "created") -> None:
    """So many events in one go, as a backlog or a burst brings them."""

    def work(central: Any, now: float) -> None:
        for _ in range(count):
            central.publish(parse_change(service(type=kind)), now)

    link.host.act(work)


def room(link: Link, size: int) -> None:
    link.data_received(WindowUpdateFrame(1, window_increment=size).serialize())


def counts(receipts: dict[str, Any]) -> list[int]:
    return [one.on_wire for one in receipts.values()]


def settled(link: Link) -> None:
    """Nothing is left of what waited for its receipt."""
    link.host.flush()
    assert (link.host._leaving, link.host._marks, link.marks) == ([], {}, {})


# ------------------------------------------------------------------------------------------ the client's window
@pytest.mark.parametrize("do", SHOWN, ids=str)
def test_an_event_that_the_window_does_not_let_out_whole_has_no_receipt_yet(do: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", do), window=1)
        publish(link)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        size = link.h2.queued_bytes if link.h2 is not None else 0
        if do == {"oversize": 3000}:  # how long it is stands in the first five bytes
            size = 4
        for _ in range(size - 1):
            room(link, 1)
        assert receipts["a"].on_wire == 0
        room(link, 1)
        assert receipts["a"].on_wire == 1
        room(link, 10_000)
        assert receipts["a"].on_wire == 1
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("do", MISSING, ids=str)
def test_that_an_event_is_missing_shows_when_what_came_before_it_is_out(do: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(2)", do), window=1)
        publish(link)
        publish(link, 3, "deleted")
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        first = len(link.host.central.log) and link.h2 is not None and link.h2.queued_bytes
        room(link, 1)
        assert receipts["a"].on_wire == 0
        room(link, int(first))
        assert receipts["a"].on_wire == 1
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("do", MISSING, ids=str)
def test_that_an_event_is_missing_shows_at_once_where_nothing_waits(do: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", do), window=1)
        publish(link, 1, "deleted")
        assert receipts["a"].on_wire == 1
        settled(link)

    on_a_link(test)


def test_that_an_event_was_overtaken_shows_when_the_one_that_overtook_it_is_out() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", {"reorder": 2}), window=1)
        publish(link, 2)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        assert link.h2 is not None
        room(link, link.h2.queued_bytes - 1)
        assert receipts["a"].on_wire == 0
        room(link, 1)
        assert receipts["a"].on_wire == 1
        settled(link)

    on_a_link(test)


def test_a_receipt_does_not_wait_for_what_comes_behind_its_event() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"), ("event(3)", "unknown_type"), window=1)
        at_once(link, 1)
        assert link.h2 is not None
        twice = link.h2.queued_bytes
        at_once(link, 1000)
        assert counts(receipts) == [0, 0]
        room(link, twice)
        assert counts(receipts) == [1, 0]
        room(link, 10_000)
        assert counts(receipts) == [1, 1]
        assert link.h2.queued_bytes
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("do", [*SHOWN, *MISSING], ids=str)
@pytest.mark.parametrize("end", ["a reset by the client", "the end of the connection", "reset", "abort", "a flood"])
def test_what_never_got_out_of_the_window_has_no_receipt(do: object, end: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if end == "a flood":
        monkeypatch.setattr("mockcentral.servers.host.MAX_QUEUED_EVENTS", 5)

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        more = (("event(4)", end),) if end in ("reset", "abort") else ()
        receipts = watching(link, ("event(2)", do), *more, window=1)
        publish(link)
        publish(link, 1, "deleted")
        assert receipts["a"].triggered == 1
        if end == "a reset by the client":
            link.data_received(RstStreamFrame(1, error_code=8).serialize())
        elif end == "the end of the connection":
            link.connection_lost(None)
        else:
            publish(link, 10)
            assert records(link, "stream.end")
        if link.h2 is not None and not link.closing:
            link.data_received(WindowUpdateFrame(0, window_increment=10_000).serialize())
        assert receipts["a"].on_wire == 0
        settled(link)

    on_a_link(test)


# ------------------------------------------------------------------------------------------ a slow line


@pytest.mark.parametrize("slow", SLOW, ids=str)
@pytest.mark.parametrize("do", [*SHOWN, {"reorder": 1}, "lose"], ids=str)
def test_an_event_on_a_slow_line_has_its_receipt_when_it_arrives(slow: object, do: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", slow), ("event(2)", do))
        publish(link, 3)
        assert (receipts["b"].triggered, receipts["b"].on_wire) == (1, 0)
        for _ in range(2000):
            await clock.advance(0.05)
        assert receipts["b"].on_wire == 1
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("end", ["abort", "blackhole", {"blackhole": "to_client"}, {"restart": "1h"}], ids=str)
@pytest.mark.parametrize("do", [*SHOWN, {"reorder": 1}, "lose"], ids=str)
def test_an_event_that_a_slow_line_loses_has_no_receipt(do: object, end: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", SLOW[0]), ("event(2)", do), ("event(4)", end))
        publish(link, 4)
        assert receipts["c"].on_wire == 1
        for _ in range(200):
            await clock.advance(0.02)
        assert (receipts["b"].triggered, receipts["b"].on_wire) == (1, 0)
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("end", ["abort", "blackhole", {"blackhole": "to_client"}, {"restart": "1h"}, "reset"], ids=str)
def test_an_event_before_the_end_of_a_good_line_is_out_before_it(end: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(2)", "unknown_type"), ("event(3)", end))
        at_once(link, 3)
        assert counts(receipts) == [1, 1]
        order = [line["fault"] for line in records(link, "fault.on_wire")]
        assert order == ["a", "b"]
        settled(link)

    on_a_link(test)


# ------------------------------------------------------------------------------------------ a socket that nobody reads
@pytest.mark.parametrize("reads", [True, False])
@pytest.mark.parametrize("do", [*SHOWN, {"reorder": 1}, "lose"], ids=str)
def test_an_event_that_nobody_reads_has_its_receipt_when_it_is_read_or_never(do: object, reads: bool) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(2)", do))
        transport.full = True
        publish(link, 3)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        if reads:
            transport.full, transport.left = False, 0
            link.resume_writing()
            assert receipts["a"].on_wire == 1
        else:
            link.connection_lost(None)
            assert receipts["a"].on_wire == 0
        settled(link)

    on_a_link(test)


def test_behind_an_event_with_a_fault_nothing_is_put_on_a_full_socket_until_it_is_out() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"))
        transport.full = True
        at_once(link, 500)
        [call] = link.calls.values()
        before = len(transport.written)
        at_once(link, 500)
        assert len(transport.written) == before
        assert counts(receipts) == [0]
        transport.full, transport.left = False, 0
        link.resume_writing()
        assert counts(receipts) == [1]
        assert len(transport.written) > before
        assert call in link.host.central.calls

    on_a_link(test)


def test_a_transport_that_gave_up_has_let_nothing_out() -> None:
    """Its buffer is empty then, because it threw away what was in it; it tells in the next turn of the loop."""

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"))
        written = transport.write

        def write(data: bytes) -> None:
            written(data)
            transport.close()

        transport.write = write  # type: ignore[method-assign, assignment]
        publish(link)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        for _ in range(3):
            await clock.advance(0.0)
        assert records(link, "conn.close")
        assert receipts["a"].on_wire == 0
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("do", ["close", "duplicate"])
def test_a_transport_that_gives_up_while_something_waits_in_it_lets_nothing_out(do: str) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", do))
        transport.full = True
        link.data_received(PingFrame(0, b"question").serialize())  # something is in it
        publish(link)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        transport.left = 0
        transport.abort()
        link.host.flush()
        assert receipts["a"].on_wire == 0
        for _ in range(3):
            await clock.advance(0.0)
        assert receipts["a"].on_wire == 0
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("gave_up", [True, False])
def test_what_tls_has_handed_on_has_left_when_the_transport_below_it_has_sent_it(gave_up: bool) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"))
        below = Transport()
        below.link = link
        below.left = 1000
        link._below = below
        publish(link)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        below.left = 0
        below.closed = gave_up
        link.host.flush()
        assert counts(receipts) == [0 if gave_up else 1]
        link.connection_lost(None)
        assert counts(receipts) == [0 if gave_up else 1]
        settled(link)

    on_a_link(test)


def test_nothing_leaves_a_transport_that_gave_up_before() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1+)", "unknown_type"))
        publish(link)
        assert counts(receipts) == [1]
        transport.close()
        publish(link)
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (2, 1)
        for _ in range(3):
            await clock.advance(0.0)
        assert counts(receipts) == [1]
        settled(link)

    on_a_link(test)


@pytest.mark.parametrize("silence", ["blackhole", {"blackhole": "to_client"}, "half_close"], ids=str)
@pytest.mark.parametrize("do", [*SHOWN, *MISSING], ids=str)
def test_what_waits_for_a_window_when_the_line_falls_silent_is_forgotten(do: object, silence: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(2)", do), ("event(3)", silence), window=1)
        publish(link)
        publish(link, 1, "deleted")
        assert counts(receipts) == [0, 0]
        publish(link)
        assert counts(receipts) == [0, 1]
        settled(link)
        room(link, 10_000)
        assert counts(receipts) == [0, 1]

    on_a_link(test)


def test_what_a_cut_leaves_of_an_event_is_no_event() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        cut = {"cut": {"after": 30, "then": "silence"}}
        receipts = watching(link, ("event(1)", "unknown_type"), ("event(2)", cut), ("event(2)", "unknown_type"))
        at_once(link, 2)
        assert counts(receipts) == [1, 1, 0]
        settled(link)

    on_a_link(test)


# ------------------------------------------------------------------------------------------ signs
def observed(link: Link) -> list[tuple[str, str]]:
    return [(line["fault"], line["by"]) for line in records(link, "fault.observed")]


def barrier(link: Link) -> bytes:
    """Begin one; the ack of its PING."""
    before = set(link.host.central._owed)
    link.host.act(lambda central, now: central.begin_barrier(now, lambda later: None))
    [payload] = set(link.host.central._owed) - before
    return PingFrame(0, payload, flags=["ACK"]).serialize()


def test_who_acks_a_ping_behind_an_event_has_read_it() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        watching(link, ("event(1)", "duplicate"))

        def work(central: Any, now: float) -> None:
            central.publish(parse_change(service()), now)
            central.begin_barrier(now, lambda later: None)

        link.host.act(work)  # both in one go: there is no receipt yet when the barrier begins
        [payload] = link.host.central._owed
        assert [line["fault"] for line in records(link, "fault.on_wire")] == ["a"]
        link.data_received(PingFrame(0, payload, flags=["ACK"]).serialize())
        assert observed(link) == [("a", "read on")]

    on_a_link(test)


def test_who_acks_a_ping_that_overtook_an_event_has_not_read_it() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"), window=1)
        publish(link)
        ack = barrier(link)
        room(link, 10_000)
        assert counts(receipts) == [1]
        link.data_received(ack)
        assert observed(link) == []
        link.data_received(barrier(link))
        assert observed(link) == [("a", "read on")]

    on_a_link(test)


def test_a_ping_between_two_events_that_leave_together_proves_the_first() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(2)", "duplicate"), ("event(3)", "unknown_type"))
        transport.full = True
        publish(link, 2)
        ack = barrier(link)
        publish(link)
        assert counts(receipts) == [0, 0]
        transport.full, transport.left = False, 0
        link.resume_writing()
        assert counts(receipts) == [1, 1]
        link.data_received(ack)
        assert observed(link) == [("a", "read on")]
        link.data_received(barrier(link))
        assert observed(link) == [("a", "read on"), ("b", "read on")]

    on_a_link(test)


def test_a_ping_behind_a_backlog_proves_what_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_AT_ONCE", 5000)

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(30)", "duplicate"))
        transport.full = True
        publish(link, 40)
        ack = barrier(link)
        assert counts(receipts) == [0]
        transport.full, transport.left = False, 0
        link.resume_writing()
        assert counts(receipts) == [1]
        link.data_received(ack)
        assert observed(link) == [("a", "read on")]

    on_a_link(test)


def test_the_answer_to_a_ping_event_shows_that_what_waited_before_it_was_read() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        central = link.host.central
        receipts = watching(link, ("event(1)", "duplicate"), ("event(2)", "unknown_type"), window=1)
        publish(link)
        [call] = central.calls.values()
        link.host.act(lambda central, now: central._ping(call, now))
        publish(link)
        assert counts(receipts) == [0, 0]
        room(link, 100_000)
        assert counts(receipts) == [1, 1]
        [ping] = [line["id"] for line in records(link, "stream.event") if line["op"] == "PING"]
        answer = messages.Request(requestType=2, pingResponse=messages.PingResponse(id=ping)).SerializeToString()
        link.data_received(DataFrame(1, encode_message(answer)).serialize())
        assert observed(link) == [("a", "read on")]

    on_a_link(test)


React = Callable[[Link], None]


@pytest.mark.parametrize(
    ("react", "by"),
    [
        (
            lambda link: link.host.act(lambda central, now: central.client_said("client.applied", now, sequence=10**9)),
            "applied",
        ),
        (lambda link: link.data_received(RstStreamFrame(1, error_code=8).serialize()), "left"),
    ],
)
def test_a_sign_that_comes_before_we_looked_whether_the_event_is_out_is_a_sign_all_the_same(
    react: React, by: str
) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"))
        transport.full = True
        publish(link)
        assert counts(receipts) == [0]
        transport.full, transport.left = False, 0  # the transport has not told yet
        link._paused = False
        react(link)
        kinds = [line["kind"] for line in link.host.journal if line.get("fault") == "a"]
        assert kinds == ["fault.armed", "fault.triggered", "fault.on_wire", "fault.observed"]
        assert observed(link) == [("a", by)]

    on_a_link(test)


def test_what_a_client_did_before_the_event_left_is_no_sign() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1)", "duplicate"), window=1)
        publish(link)
        link.host.act(lambda central, now: central.client_said("client.applied", now, sequence=10**9))
        room(link, 10_000)
        assert counts(receipts) == [1]
        assert observed(link) == []

    on_a_link(test)


def test_two_connections_do_not_wait_for_each_other() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        watching(link, ("event(1+)", "duplicate"))
        other, its = connect(link.host)
        watching(other)
        its.full = True
        publish(link)
        where = [line["conn"] for line in records(link, "fault.on_wire")]
        assert where == [link.id]
        its.full, its.left = False, 0
        other.resume_writing()
        assert [line["conn"] for line in records(link, "fault.on_wire")] == [link.id, other.id]

    on_a_link(test)


def test_a_call_whose_client_gives_no_window_waits_whatever_a_fault_does_to_its_events() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        watching(link, ("event(1+)", "duplicate"), window=1)
        publish(link)
        [call] = link.host.central.calls.values()
        assert call.waits
        assert not call.ends_well
        room(link, 10_000)
        assert not call.waits

    on_a_link(test)


def test_many_marks_that_wait_cost_no_more_than_one() -> None:
    """Each event asks the first of them only: with all of them it would be ten million questions."""

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = watching(link, ("event(1+)", "duplicate"), window=1)
        publish(link)
        [marks] = link.marks.values()
        asked: list[int] = []
        let_out, receipt = marks._held[0]

        def counted() -> bool | None:
            asked.append(1)
            return let_out()

        marks._held[0] = (counted, receipt)
        later: list[int] = []
        publish(link)
        marks._held[1] = (lambda: later.append(1), marks._held[1][1])
        publish(link, 1000)
        assert len(marks._held) == 1002
        assert later == []
        assert 1000 <= len(asked) < 10_000
        assert counts(receipts) == [0]

    on_a_link(test)


# ------------------------------------------------------------------------------------------ whatever happens
class Socket(Transport):
    """One whose kernel takes as much as a test says, and that pauses and resumes as asyncio's do."""

    def __init__(self) -> None:
        super().__init__()
        self.free = 0
        self.high = self.low = 0
        self.paused = False

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written += data
        self.left += len(data)
        self._take()
        self._maybe_pause()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = 64 * 1024 if high is None else high
        self.low = self.high // 4 if low is None else low
        self._maybe_pause()

    def read(self, size: int) -> None:
        """The client reads so much more."""
        self.free += size
        self._take()
        if self.paused and self.left <= self.low:
            self.paused = False
            self.link.resume_writing()

    @property
    def gone(self) -> bytes:
        return bytes(self.written[: len(self.written) - self.left])

    def _take(self) -> None:
        taken = min(self.free, self.left)
        self.free -= taken
        self.left -= taken

    def _maybe_pause(self) -> None:
        if self.left > self.high and not self.paused:
            self.paused = True
            self.link.pause_writing()


def whole_messages(data: bytes) -> int:
    """How many messages a client has of stream 1 when it got these bytes."""
    at, stream, count = 0, b"", 0
    while len(data) - at >= 9:
        size, kind = int.from_bytes(data[at : at + 3], "big"), data[at + 3]
        if kind == 0 and int.from_bytes(data[at + 5 : at + 9], "big") == 1:
            stream += data[at + 9 : at + 9 + size]
        at += 9 + size
    at = 0
    while len(stream) - at >= 5 and len(stream) - at - 5 >= (size := int.from_bytes(stream[at + 1 : at + 5], "big")):
        at += 5 + size
        count += 1
    return count


def test_a_receipt_does_not_wait_until_a_socket_has_taken_what_is_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.servers.front_door.HIGH_WATER", 2000)

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        host = link.host
        socket = Socket()
        link = Link(host)
        socket.link = link
        link.connection_made(socket)
        receipts = watching(link, ("event(150)", "unknown_type"))
        publish(link, 400)
        assert socket.paused
        # The live path, and a frame with the event, are put in, nearly all of it is taken, and another comes behind.
        socket.read(socket.left + MAX_DATA_FRAME + MAX_FRAME)
        assert 10_000 < socket.left < 2 * MAX_FRAME
        assert counts(receipts) == [0]
        while not counts(receipts)[0]:
            assert socket.left > 10_000, "it waited for what is behind the event"
            socket.read(1)
        assert whole_messages(socket.gone) >= 150

    on_a_link(test)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.integers(1, 30)),
        st.tuples(st.just("burst"), st.integers(1, 30)),
        st.tuples(st.just("room"), st.integers(1, 20_000)),
        st.tuples(st.just("read"), st.integers(1, 20_000)),
        st.tuples(st.just("barrier"), st.just(0)),
    ),
    max_size=25,
)


@given(STEPS, st.sampled_from([1, 1000, WIDE]), st.sampled_from([None, {"bandwidth": 20_000}]))
def test_no_receipt_is_ever_early_and_in_the_end_there_are_all(
    steps: list[tuple[str, int]], window: int, slow: object
) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        host = link.host
        socket = Socket()
        link = Link(host)
        socket.link = link
        link.connection_made(socket)
        rules: list[tuple[str, object]] = [("event(1+)", "unknown_type")]
        receipts = watching(link, *rules, *([("subscribe", slow)] if slow else []), window=window)

        def check() -> None:
            assert receipts["a"].on_wire <= whole_messages(socket.gone)
            assert receipts["a"].observed <= receipts["a"].on_wire

        for step, size in steps:
            if step == "publish":
                publish(link, size)
            elif step == "burst":
                at_once(link, size)
            elif step == "room":
                room(link, size)
            elif step == "read":
                socket.read(size)
            else:
                link.data_received(barrier(link))  # an ack before anything was read: a lie that proves little
            await clock.advance(0.05)
            check()
        socket.read(10**9)
        if window != WIDE:
            room(link, 10**8)
        for _ in range(100):
            await clock.advance(1.0)
        check()
        assert receipts["a"].on_wire == receipts["a"].triggered == whole_messages(socket.gone)
        settled(link)

    on_a_link(test)
