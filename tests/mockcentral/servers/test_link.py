"""One connection on a transport without a socket: turns, patience, and ends, byte by byte."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeAlias

import pytest
from hyperframe.frame import DataFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from mockcentral._core.actions import BlackHole, ShapeBytes
from mockcentral._core.events import parse_change
from mockcentral.scenario.load import parse_fault
from mockcentral.servers.front_door import LINGER, SILENT_LIMIT, STALLS, TURN, Link
from mockcentral.wire.credit import Credit
from mockcentral.wire.frames import PREFACE
from mockcentral.wire.grpc import MAX_DATA_FRAME, encode_message
from tests.mockcentral.clients import TOPIC, service, topic
from tests.mockcentral.floods import CALL, HELLO, REQUEST, goaway_code, headers
from tests.mockcentral.servers.rig import SLOW, Transport, connect, make_host
from watchmanager._wire import messages

UNREAD = 50_000
GET = b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n"


class Clock:
    """The loop's time: it stands still but for `advance`."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop, self._now, self._real = loop, loop.time(), loop.time
        loop.time = lambda: self._now  # type: ignore[method-assign]

    async def advance(self, seconds: float) -> None:
        self._now += seconds
        for _ in range(3):
            await asyncio.sleep(0)

    def release(self) -> None:
        self._loop.time = self._real  # type: ignore[method-assign]


Test: TypeAlias = "Callable[[Link, Transport, Clock], Coroutine[Any, Any, None]]"


def on_a_link(test: Test) -> None:
    """Run `test` with a connection of a running host."""

    async def run() -> None:
        host = make_host()
        await host.start()
        clock = Clock(host.loop)
        try:
            await test(*connect(host), clock)
        finally:
            clock.release()
            await host.stop()

    asyncio.run(run())


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(100_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it never came true")


def records(link: Link, kind: str) -> list[dict[str, Any]]:
    return [dict(record) for record in link.host.journal.since(0) if record["kind"] == kind]


def http2_requests(count: int) -> Iterable[bytes]:
    fields = [(":method", "GET"), *REQUEST[1:]]
    return (headers(stream, fields, "END_STREAM") for stream in range(1, 2 * count, 2))


# ------------------------------------------------------------------------------------------ turns
def test_who_waits_for_leave_to_send_a_body_gets_it_before_the_body() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        assert bytes(transport.written) == b"HTTP/1.1 100 \r\n\r\n"
        link.data_received(b"abc")
        assert bytes(transport.written).startswith(b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 40")

    on_a_link(test)


@pytest.mark.parametrize("protocol", ["h2", "http/1.1"])
def test_one_big_read_leaves_everybody_else_their_turns(protocol: str) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        count = 400
        data = HELLO + b"".join(http2_requests(count)) if protocol == "h2" else GET * count
        assert len(data) > 3 * TURN
        answered: list[int] = []

        def somebody_else() -> None:
            answered.append(len(records(link, "http.request")))
            if answered[-1] < count:
                link.host.loop.call_soon(somebody_else)

        link.host.loop.call_soon(somebody_else)
        link.data_received(data)
        assert not transport.reading
        await until(lambda: len(records(link, "http.request")) == count)
        await until(lambda: transport.reading)
        answered.append(count)
        steps = [after - before for before, after in zip([0, *answered], answered, strict=False)]
        assert max(steps) < count / 3

    on_a_link(test)


def test_what_came_with_the_end_is_heard_before_it() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(HELLO + b"".join(http2_requests(300)))
        assert not link.eof_received()
        assert len(records(link, "http.request")) == 300

    on_a_link(test)


def test_a_pipeline_waits_while_its_answers_are_not_read() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        transport.full = True
        link.data_received(GET * 300)
        for _ in range(50):
            await asyncio.sleep(0)
        assert len(records(link, "http.request")) == 1
        assert not transport.reading
        transport.full, transport.left = False, 0
        link.resume_writing()
        await until(lambda: len(records(link, "http.request")) == 300)
        await until(lambda: transport.reading)

    on_a_link(test)


# ------------------------------------------------------------------------------------------ patience
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"", "said nothing"),
        (b"PO", "said nothing"),
        (PREFACE[:20], "no SETTINGS"),
        (PREFACE, "no SETTINGS"),
        (HELLO[:-1], "no SETTINGS"),
        (GET[:-1], "not complete"),
        (GET + GET[:-1], "not complete"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc", "not complete"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", "not complete"),
    ],
)
def test_who_begins_and_does_not_go_on_is_shown_out(said: bytes, reason: str) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        if said:
            link.data_received(said)
            await clock.advance(0)
        await clock.advance(SILENT_LIMIT - 1)
        assert records(link, "conn.close") == []
        await clock.advance(1)
        [closed] = records(link, "conn.close")
        assert reason in closed["reason"]
        assert closed["by"] == "server"
        if reason == "no SETTINGS":
            assert goaway_code(bytes(transport.written)) == 4  # SETTINGS_TIMEOUT
        if reason == "not complete":
            assert b"HTTP/1.1 408 Request Timeout\r\n" in transport.written
        await clock.advance(LINGER)
        assert transport.closed

    on_a_link(test)


@pytest.mark.parametrize("said", [HELLO, GET, HELLO + PingFrame(0, b"12345678").serialize(), GET * 3])
def test_who_has_said_what_it_wants_may_be_silent(said: bytes) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(said)
        await until(lambda: len(records(link, "http.request")) == said.count(b"GET"))
        for _ in range(3):
            await clock.advance(SILENT_LIMIT)
        assert records(link, "conn.close") == []
        link.data_received(said[:-1] if link.http1 else b"\0")  # the patience with a second request is a new one
        await clock.advance(SILENT_LIMIT - 1)
        assert records(link, "conn.close") == []

    on_a_link(test)


def test_a_black_hole_never_loses_patience() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.blackhole(BlackHole(link.id))
        await clock.advance(SILENT_LIMIT + 1)
        assert records(link, "conn.close") == []
        assert not transport.closed

    on_a_link(test)


def test_patience_begins_when_a_connection_is_no_longer_held() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        held, other = connect(link.host, hold=2 * SILENT_LIMIT)
        link.data_received(HELLO)
        await clock.advance(2 * SILENT_LIMIT - 1)
        assert not other.reading
        await clock.advance(1)
        assert other.reading
        assert records(link, "conn.close") == []
        await clock.advance(SILENT_LIMIT)
        [closed] = records(link, "conn.close")
        assert closed["conn"] == held.id

    on_a_link(test)


def test_a_client_on_a_line_that_a_fault_made_slow_is_not_blamed_for_it() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(PREFACE[:20])
        link.shape(ShapeBytes(link.id, "from_client", rate=1))
        await clock.advance(SILENT_LIMIT + 1)
        assert records(link, "conn.close") == []

    on_a_link(test)


# ------------------------------------------------------------------------------------------ ends
@pytest.mark.parametrize("linger", [True, False])
def test_who_does_not_read_what_is_left_is_given_up(linger: bool) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(HELLO)
        transport.left = 2000
        link.close(linger=linger)
        for _ in range(2 * STALLS):  # it reads, slowly
            transport.left -= 100
            await clock.advance(LINGER)
        for _ in range(STALLS):
            assert not transport.aborted
            await clock.advance(LINGER)
        await clock.advance(LINGER)
        assert transport.aborted

    on_a_link(test)


def test_who_has_everything_and_does_not_close_is_given_up() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(HELLO)
        link.close(linger=True)
        assert transport.ended
        await clock.advance(LINGER)
        assert transport.aborted

    on_a_link(test)


def test_who_never_reads_its_acks_is_shown_out_with_bounded_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Credit, "BURST", 1e9)
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_UNREAD", UNREAD)
    pings = PingFrame(0, b"12345678").serialize() * (TURN // 17)

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(HELLO)
        transport.full = True
        sent = 0
        while not records(link, "conn.close"):
            link.data_received(pings)
            sent += len(pings)
            assert sent < 2 * UNREAD
        [closed] = records(link, "conn.close")
        assert "does not read its answers" in closed["reason"]
        assert transport.left < UNREAD
        for _ in range(STALLS + 1):
            await clock.advance(LINGER)
        assert transport.aborted

    on_a_link(test)


def test_who_is_shown_out_has_the_time_to_read_why() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        link.data_received(HELLO + b"\xff" * 100)
        assert goaway_code(bytes(transport.written)) == 6  # FRAME_SIZE_ERROR
        assert transport.ended
        assert not transport.closed  # a close with more of it on its way would be a RST, and overtake the GOAWAY
        link.data_received(b"\xff" * 100)
        await clock.advance(LINGER)
        assert transport.aborted

    on_a_link(test)


@pytest.mark.parametrize("then", ["more window", "a reset", "the end of the connection"])
def test_what_waits_for_a_clients_window_has_its_receipt_when_it_leaves_or_never(then: str) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        central, change = link.host.central, parse_change(service())
        central.put_topic("sample", topic(), 0.0)
        for name, on, do in (("twice", "event(20)", "duplicate"), ("over", "event(30)", "end_status")):
            central.arm(parse_fault({"name": name, "on": on, "do": do}), 0.0)
        token = central.token("somebody", link.host.now())
        tenant = ("x-axway-tenant-id", central.settings.tenant)
        subscribe = messages.Request(selfLink=TOPIC, token=f"Bearer {token}").SerializeToString()
        window = SettingsFrame(0, settings={4: 2000}).serialize()
        link.data_received(HELLO + window + headers(1, [*CALL, ("authorization", f"Bearer {token}"), tenant]))
        link.data_received(DataFrame(1, encode_message(subscribe)).serialize())
        for _ in range(30):
            link.host.act(lambda central, now: central.publish(change, now))
        assert [(one.triggered, one.on_wire) for one in central.receipts] == [(1, 0), (1, 0)]
        [end] = records(link, "stream.end")
        assert end["graceful"] is False
        if then == "more window":
            link.data_received(WindowUpdateFrame(1, window_increment=100_000).serialize())
            assert [one.on_wire for one in central.receipts] == [1, 1]
        elif then == "a reset":
            link.data_received(RstStreamFrame(1, error_code=8).serialize())
            assert [one.on_wire for one in central.receipts] == [0, 0]
        else:
            link.connection_lost(None)
            assert [one.on_wire for one in central.receipts] == [0, 0]
        link.host.flush()
        assert link.host._leaving == []

    on_a_link(test)


def test_an_event_that_waited_for_a_window_has_its_receipt_when_there_is_one() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        central, change = link.host.central, parse_change(service())
        central.put_topic("sample", topic(), 0.0)
        central.arm(parse_fault({"name": "twice", "on": "event(20)", "do": "duplicate"}), 0.0)
        token = central.token("somebody", link.host.now())
        tenant = ("x-axway-tenant-id", central.settings.tenant)
        subscribe = messages.Request(selfLink=TOPIC, token=f"Bearer {token}").SerializeToString()
        window = SettingsFrame(0, settings={4: 2000}).serialize()
        link.data_received(HELLO + window + headers(1, [*CALL, ("authorization", f"Bearer {token}"), tenant]))
        link.data_received(DataFrame(1, encode_message(subscribe)).serialize())
        for _ in range(30):
            link.host.act(lambda central, now: central.publish(change, now))
        [receipt] = central.receipts
        assert (receipt.triggered, receipt.on_wire) == (1, 0)
        link.data_received(WindowUpdateFrame(1, window_increment=100_000).serialize())
        assert (receipt.triggered, receipt.on_wire) == (1, 1)

    on_a_link(test)


PING = PingFrame(0, b"question").serialize()
RESTART = {"restart": "1h"}


def faults(link: Link, *rules: tuple[str, object]) -> dict[str, Any]:
    """Faults named a, b, ..., each with its anchor, and their receipts by name."""
    for name, (on, do) in zip("abc", rules, strict=False):
        link.host.central.arm(parse_fault({"name": name, "on": on, "do": do}), 0.0)
    return {one.rule.name: one for one in link.host.central.receipts}


SAID: list[tuple[object, Callable[[bytes], bool]]] = [
    ("goaway", lambda written: goaway_code(written) == 0),
    ({"ping_flood": 1}, lambda written: b"\x06\0\0\0\0\0" in written),
    ({"garbage": "unknown_frame"}, lambda written: b"\xfa" in written),
]


@pytest.mark.parametrize("end", ["abort", "close", "half_close", "blackhole", {"blackhole": "to_client"}, RESTART])
@pytest.mark.parametrize(("do", "left"), SAID)
def test_what_was_ordered_before_the_end_of_a_line_leaves_before_it(
    do: object, left: Callable[[bytes], bool], end: object
) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = faults(link, ("ping", do), ("ping", end))
        link.data_received(HELLO + PING)
        assert left(bytes(transport.written))
        assert [one.on_wire for one in receipts.values()] == [1, 1]

    on_a_link(test)


@pytest.mark.parametrize("silence", ["half_close", "blackhole", {"blackhole": "to_client"}])
@pytest.mark.parametrize(
    "do",
    ["goaway", {"ping_flood": 1}, {"garbage": "unknown_frame"}, "reframe", {"coalesce": "1s"}, "window", "half_close"],
    ids=str,
)
def test_nothing_is_on_the_wire_after_silence(silence: object, do: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = faults(link, ("ping(1)", silence), ("ping(1)", do))
        link.data_received(HELLO + PING)
        written = bytes(transport.written)
        assert [(one.triggered, one.on_wire) for one in receipts.values()] == [(1, 1), (1, 0)]
        link.host.central.arm(parse_fault({"name": "later", "on": "ping(2)", "do": do}), link.host.now())
        link.data_received(PING)
        assert link.host.central.on_wire("later") == 0
        assert transport.written == written

    on_a_link(test)


@pytest.mark.parametrize("slow", SLOW, ids=str)
@pytest.mark.parametrize("do", ["goaway", "close", "half_close"])
def test_what_a_slow_line_holds_has_its_receipt_when_it_arrives(slow: object, do: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = faults(link, ("connect(1+)", slow), ("ping", do))
        link, _ = connect(link.host)
        link.data_received(HELLO + PING)
        assert (receipts["b"].triggered, receipts["b"].on_wire) == (1, 0)
        for _ in range(200):
            await clock.advance(0.02)
        assert receipts["b"].on_wire == 1

    on_a_link(test)


def test_what_a_slow_line_holds_is_not_late() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        host = link.host
        host.set_clock(scale=None, advance=None, freeze=True)
        faults(link, ("connect(1+)", SLOW[0]))
        rule = {"name": "end", "on": "ping", "after": "2s", "do": "goaway"}
        host.central.arm(parse_fault(rule), host.now())
        link, _ = connect(host)
        link.data_received(HELLO + PING)
        host.set_clock(scale=None, advance=2.5, freeze=None)
        host.set_clock(scale=None, advance=5.0, freeze=None)  # the world goes on while the line holds it
        assert host.central.on_wire("end") == 0
        for _ in range(200):
            await clock.advance(0.02)
        assert [line.get("late") for line in records(link, "fault.on_wire") if line["fault"] == "end"] == [0.5]

    on_a_link(test)


@pytest.mark.parametrize("end", ["abort", "blackhole", RESTART])
def test_what_a_slow_line_loses_has_no_receipt(end: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = faults(link, ("connect(1+)", SLOW[0]), ("ping", "goaway"), ("ping", end))
        link, _ = connect(link.host)
        link.data_received(HELLO + PING)
        for _ in range(200):
            await clock.advance(0.02)
        assert [one.on_wire for one in receipts.values()] == [1, 0, 1]
        assert link.host._leaving == []

    on_a_link(test)


@pytest.mark.parametrize("manner", ["abrupt", {"manner": "graceful", "drain": "1ms"}])
def test_the_end_of_a_connection_waits_for_its_goaway(manner: object) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        do = {"goaway": {"manner": manner} if isinstance(manner, str) else manner}
        receipts = faults(link, ("connect(1+)", do))
        link, transport = connect(link.host)
        clock.release()
        await until(lambda: bool(records(link, "conn.close")))
        assert receipts["a"].on_wire == 0
        assert not transport.ended
        link.data_received(HELLO)
        assert goaway_code(bytes(transport.written)) == 0
        assert transport.ended
        assert receipts["a"].on_wire == (2 if isinstance(manner, str) else 3)

    on_a_link(test)


def test_who_does_not_speak_http_2_feels_the_end_and_no_goaway_has_a_receipt() -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = faults(link, ("connect(1+)", {"goaway": {"manner": "abrupt"}}))
        link, transport = connect(link.host)
        link.data_received(GET)
        assert transport.ended
        assert not transport.written
        assert receipts["a"].on_wire == 0

    on_a_link(test)


@pytest.mark.parametrize("reads", [True, False])
def test_what_nobody_reads_has_its_receipt_when_it_is_read_or_never(reads: bool) -> None:
    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        receipts = faults(link, ("ping", "goaway"))
        link.data_received(HELLO)
        transport.full = True
        link.data_received(PING)
        assert goaway_code(bytes(transport.written)) == 0
        assert (receipts["a"].triggered, receipts["a"].on_wire) == (1, 0)
        if reads:
            transport.full, transport.left = False, 0
            link.resume_writing()
            assert receipts["a"].on_wire == 1
        else:
            link.connection_lost(None)
            assert receipts["a"].on_wire == 0
        assert link.host._leaving == []

    on_a_link(test)


def test_what_waits_for_a_full_transport_is_dropped_with_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.servers.host.MAX_QUEUED_EVENTS", 50)

    async def test(link: Link, transport: Transport, clock: Clock) -> None:
        central, change = link.host.central, parse_change(service())
        central.put_topic("sample", topic(), 0.0)
        token = central.token("somebody", link.host.now())
        tenant = ("x-axway-tenant-id", central.settings.tenant)
        subscribe = messages.Request(selfLink=TOPIC, token=f"Bearer {token}").SerializeToString()
        windows = SettingsFrame(0, settings={4: 2**31 - 1}).serialize()
        windows += WindowUpdateFrame(0, window_increment=2**30).serialize()
        link.data_received(HELLO + windows + headers(1, [*CALL, ("authorization", f"Bearer {token}"), tenant]))
        link.data_received(DataFrame(1, encode_message(subscribe)).serialize())
        transport.full = True
        while not records(link, "stream.end"):
            link.host.act(lambda central, now: central.publish(change, now))
        assert transport.left < 2000  # the event that filled it; not the fifty that waited, for all its open windows
        assert link.h2 is not None
        assert len(link.h2.data_to_send()) < MAX_DATA_FRAME + 10_000

    on_a_link(test)
