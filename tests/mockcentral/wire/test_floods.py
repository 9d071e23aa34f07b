"""Floods against the connection alone: said no to in time and in bounded memory, and no honest client taken for one."""

from __future__ import annotations

import tracemalloc

import pytest
from hyperframe.frame import DataFrame, GoAwayFrame, PingFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

from mockcentral.wire.credit import Credit
from mockcentral.wire.grpc import ProtocolBroken, ServerConnection
from tests.mockcentral.auditor import Auditor
from tests.mockcentral.floods import CALL, FLOODS, HELLO, goaway_code, headers, unknown_settings

ENHANCE_YOUR_CALM = 11


@pytest.mark.parametrize("name", FLOODS)
def test_a_flood_ends_with_enhance_your_calm_in_bounded_memory(name: str) -> None:
    server = ServerConnection()
    server.receive(HELLO)
    sent = 0
    tracemalloc.start()
    for piece in FLOODS[name]():
        sent += len(piece)
        assert sent < 2_000_000
        if any(isinstance(event, ProtocolBroken) for event in server.receive(piece)):
            break
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 6_000_000
    assert server.open_streams == server.queued_bytes == 0
    answer = server.data_to_send()
    assert len(answer) < 100_000
    assert goaway_code(answer) == ENHANCE_YOUR_CALM


def test_credit_comes_back_with_time_and_never_beyond_its_burst() -> None:
    credit = Credit()
    credit.left = 0.0
    credit.refill(2.0)
    assert credit.left == 2.0 * Credit.RATE
    credit.refill(1.0)  # a clock that goes backwards
    assert credit.left == 2.0 * Credit.RATE
    credit.refill(1e9)
    assert credit.left == Credit.BURST


def test_a_client_that_cancels_and_pings_at_a_steady_pace_is_no_flood() -> None:
    server = ServerConnection()
    server.receive(HELLO)
    for number in range(3000):
        now = number / 25
        stream = 2 * number + 1
        cancelled = headers(stream, CALL) + RstStreamFrame(stream, error_code=8).serialize()
        server.receive(cancelled + PingFrame(0, b"12345678").serialize(), now)
        server.data_to_send()
    assert not server.broken


def test_a_reader_may_open_its_windows_and_measure_the_way_for_each_message() -> None:
    server = ServerConnection()
    server.receive(HELLO + headers(1, CALL))
    updates = b"".join(WindowUpdateFrame(stream, window_increment=105).serialize() for stream in (0, 1))
    for _ in range(5000):
        assert server.send_messages(1, [b"x" * 105])
        server.data_to_send()
        server.receive(updates + PingFrame(0, b"12345678").serialize())
    assert not server.broken
    assert server.queued_bytes == 0


def test_acks_of_what_we_asked_are_no_flood() -> None:
    server = ServerConnection()
    server.receive(HELLO)
    acks = PingFrame(0, b"12345678", flags=["ACK"]).serialize() + SettingsFrame(0, flags=["ACK"]).serialize()
    for _ in range(5000):
        server.send_ping(b"12345678")
        server.send_frames(SettingsFrame(0).serialize())
        server.data_to_send()
        server.receive(acks)
    assert not server.broken


def test_settings_nobody_knows_are_not_kept() -> None:
    server = ServerConnection()
    server.receive(HELLO)
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for first in range(100, 5100, 500):
        server.receive(unknown_settings(first, 500), now=float(first))
        server.data_to_send()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert not server.broken
    assert after - before < 200_000  # each would be 700 bytes


def test_answers_that_nobody_reads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_UNREAD", 100_000)
    server = ServerConnection()
    server.receive(HELLO)
    pings = PingFrame(0, b"12345678").serialize() * 900
    for turn in range(100):
        events = server.receive(pings, now=10.0 * turn)
        if server.broken:
            break
        for _ in events:
            server.ack_ping(b"12345678")
    [broken] = events[-1:]
    assert isinstance(broken, ProtocolBroken)
    assert "does not read" in broken.reason
    answer = server.data_to_send()
    assert 100_000 < len(answer) < 120_000
    assert goaway_code(answer) == ENHANCE_YOUR_CALM


def test_a_backlog_pushed_out_before_a_ping_is_not_taken_for_unread_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_AT_ONCE", 10_000_000)
    server = ServerConnection()
    server.receive(HELLO + SettingsFrame(0, settings={4: 2**31 - 1}).serialize() + headers(1, CALL))
    server.receive(WindowUpdateFrame(0, window_increment=2**30).serialize())
    server.send_messages(1, [b"x" * 1000] * 5000)
    server.send_ping(b"12345678")
    server.receive(WindowUpdateFrame(0, window_increment=1).serialize())
    assert not server.broken
    assert len(server.data_to_send()) > 5_000_000


@pytest.mark.parametrize("window", [2**30, 30_000])
def test_a_ping_behind_a_long_backlog_waits_for_it_and_copies_nothing(
    window: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockcentral.wire.grpc.MAX_AT_ONCE", 50_000)
    server = ServerConnection()
    server.receive(HELLO + SettingsFrame(0, settings={4: 2**31 - 1}).serialize() + headers(1, CALL))
    server.receive(WindowUpdateFrame(0, window_increment=window).serialize())
    server.send_messages(1, [b"\0\0\0\3\xe3" + b"x" * 995] * 200)
    server.send_ping(b"12345678")
    server.goaway()
    assert server.queued_bytes == 200_000
    auditor = Auditor()
    while data := server.data_to_send(20_000):
        auditor.feed(data)
    data_frames = [frame for frame in auditor.frames if isinstance(frame, DataFrame)]
    sent = sum(len(frame.data) for frame in data_frames)
    assert sent == min(65_535 + window, 200_000)  # all that the windows let out
    *_, last, ping, goaway = auditor.frames
    assert last is data_frames[-1]
    assert isinstance(ping, PingFrame)
    assert isinstance(goaway, GoAwayFrame)


def test_what_is_discarded_is_gone_at_once() -> None:
    server = ServerConnection()
    server.receive(HELLO + SettingsFrame(0, settings={4: 100}).serialize() + headers(1, CALL) + headers(3, CALL))
    for stream in (1, 3):
        server.send_messages(stream, [b"\0\0\0\3\xe3" + b"x" * 995] * 5)
    server.data_to_send()
    server.discard(1)
    assert server.queued(1) == 0
    assert server.queued_bytes == 4900
    server.reset(1, ENHANCE_YOUR_CALM)
    assert server.data_to_send() == RstStreamFrame(1, error_code=ENHANCE_YOUR_CALM).serialize()
