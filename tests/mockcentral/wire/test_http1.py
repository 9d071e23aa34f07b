"""HTTP/1.x against h11's client side and against raw bytes."""

from __future__ import annotations

import ssl
from itertools import pairwise

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral.wire.http1 import Http1Connection, Http1Error, HttpRequest, error_response, sniff, tls_alert

GET = b"GET /events/x?page=1 HTTP/1.1\r\nHost: fake\r\nX-Two: a\r\nX-Two: b\r\n\r\n"


def answer(data: bytes, method: str = "GET") -> tuple[h11.Response, bytes, bool]:
    """What h11's client makes of an answer: the response, its body, whether the connection may be used again."""
    client = h11.Connection(h11.CLIENT)
    client.send(h11.Request(method=method, target="/", headers=[("host", "x")]))
    client.send(h11.EndOfMessage())
    client.receive_data(data)
    response, body = None, b""
    while True:
        event = client.next_event()
        if isinstance(event, h11.Response):
            response = event
        elif isinstance(event, h11.Data):
            body += event.data
        else:
            assert isinstance(event, h11.EndOfMessage), event
            assert response is not None
            return response, body, client.their_state is h11.DONE


def test_a_request_is_reported_and_answered() -> None:
    connection = Http1Connection()
    assert connection.receive(GET) == [
        HttpRequest(0, "GET", "/events/x?page=1", (("host", "fake"), ("x-two", "a"), ("x-two", "b")), b"")
    ]
    response, body, again = answer(
        connection.respond(200, [("Content-Type", "text/plain"), ("Transfer-Encoding", "chunked")], b"hello")
    )
    assert (response.status_code, bytes(response.reason), body, again) == (200, b"OK", b"hello", True)
    assert dict(response.headers) == {b"content-type": b"text/plain", b"content-length": b"5"}
    assert not connection.close_after
    assert connection.respond(200) == b""


@pytest.mark.parametrize("step", [1, 3, 1000])
def test_pipelined_requests_are_answered_in_order(step: int) -> None:
    connection = Http1Connection()
    data = b"".join(b"POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc" % n for n in range(3))
    seen: list[str] = []
    pieces = [data[at : at + step] for at in range(0, len(data), step)]
    for piece in pieces:
        events = connection.receive(piece)
        while events:
            (event,) = events
            assert isinstance(event, HttpRequest)
            assert event.body == b"abc"
            seen.append(event.path)
            connection.respond(200)
            events = connection.receive(b"")
    assert seen == ["/0", "/1", "/2"]


def test_a_client_that_sends_too_far_ahead_is_cut_off_after_its_answer() -> None:
    connection = Http1Connection()
    connection.receive(GET)
    assert connection.waiting
    for _ in range(20):
        connection.receive(b"x" * 16_384)
    response, _, again = answer(connection.respond(200))
    assert (response.status_code, again, connection.close_after) == (200, False, True)
    assert connection.receive(GET) == []


def test_a_chunked_body_is_put_together() -> None:
    connection = Http1Connection()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    (request,) = connection.receive(head + b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")
    assert isinstance(request, HttpRequest)
    assert request.body == b"abcde"


@pytest.mark.parametrize("order", [("Content-Length: 5", "Transfer-Encoding: chunked"), None])
def test_a_request_that_ends_in_two_ways_is_the_last_one(order: tuple[str, str] | None) -> None:
    connection = Http1Connection()
    lines = order or ("Transfer-Encoding: chunked", "Content-Length: 5")
    head = "\r\n".join(("POST / HTTP/1.1", "Host: x", *lines)).encode()
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    (request,) = connection.receive(head + b"\r\n\r\n0\r\n\r\n" + smuggled)
    assert isinstance(request, HttpRequest)
    assert request.body == b""
    assert b"connection: close" in connection.respond(200)
    assert connection.close_after
    assert connection.receive(smuggled) == []


def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    connection = Http1Connection()
    head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    assert connection.receive(head) == []
    assert connection.data_to_send().startswith(b"HTTP/1.1 100 ")
    assert connection.data_to_send() == b""
    (request,) = connection.receive(b"abc")
    assert isinstance(request, HttpRequest)


def test_http_1_0_is_answered_and_closed() -> None:
    connection = Http1Connection()
    (request,) = connection.receive(b"GET / HTTP/1.0\r\n\r\n")
    assert isinstance(request, HttpRequest)
    data = connection.respond(200, [], b"hello")
    assert data.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nconnection: close\r\n" in data.lower()
    assert data.endswith(b"\r\n\r\nhello")
    assert connection.close_after


def test_connection_close_is_respected() -> None:
    connection = Http1Connection()
    connection.receive(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    connection.respond(200)
    assert connection.close_after


def test_head_is_answered_without_a_body() -> None:
    connection = Http1Connection()
    connection.receive(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
    data = connection.respond(200, [], b"hello")
    assert b"content-length: 5\r\n" in data
    assert data.endswith(b"\r\n\r\n")
    assert not connection.close_after


@pytest.mark.parametrize("status", [204, 304])
def test_answers_that_have_no_body_are_sent_without(status: int) -> None:
    connection = Http1Connection()
    connection.receive(GET)
    response, body, again = answer(connection.respond(status, [], b"hello"))
    assert (response.status_code, body, again) == (status, b"", True)


def test_upgrade_and_connect_are_ordinary_requests() -> None:
    connection = Http1Connection()
    (request,) = connection.receive(
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n"
    )
    assert isinstance(request, HttpRequest)
    assert answer(connection.respond(200))[2]
    (request,) = connection.receive(b"CONNECT central:443 HTTP/1.1\r\nHost: x\r\n\r\n")
    assert isinstance(request, HttpRequest)
    assert connection.respond(405).startswith(b"HTTP/1.1 405 Method Not Allowed\r\n")


def test_an_answer_that_cannot_be_written_becomes_a_500() -> None:
    connection = Http1Connection()
    connection.receive(GET)
    data = connection.respond(200, [("bad name", "x")])
    assert data.startswith(b"HTTP/1.1 500 ")
    assert connection.close_after


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 501),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9000000\r\n\r\n", 413),
        (b"\x00\xff\x17nonsense\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505),
    ],
)
def test_a_bad_request_is_answered_in_one_line_and_closed(data: bytes, status: int) -> None:
    connection = Http1Connection()
    (error,) = connection.receive(data)
    assert isinstance(error, Http1Error)
    assert error.status == status
    response, body, again = answer(error.response)
    assert (response.status_code, again) == (status, False)
    assert body.count(b"\n") == 1
    assert connection.close_after
    assert connection.receive(GET) == []


def test_a_head_without_end_is_431_after_64_kib() -> None:
    connection = Http1Connection()
    events = connection.receive(b"GET / HTTP/1.1\r\nHost: x\r\nX: ")
    sent = 0
    while not events:
        events = connection.receive(b"y" * 8192)
        sent += 8192
        assert sent < 200_000
    assert isinstance(events[0], Http1Error)
    assert events[0].status == 431


def test_a_long_head_in_one_read_is_431_too() -> None:
    (error,) = Http1Connection().receive(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 500_000 + b"\r\n\r\n")
    assert isinstance(error, Http1Error)
    assert error.status == 431


def test_a_chunked_body_without_end_is_413() -> None:
    connection = Http1Connection(max_body=10_000)
    events = connection.receive(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
    sent = 0
    while not events:
        events = connection.receive(b"400\r\n" + b"z" * 1024 + b"\r\n")
        sent += 1024
        assert sent < 20_000
    assert isinstance(events[0], Http1Error)
    assert events[0].status == 413


@given(st.lists(st.integers(0, 200), max_size=10))
def test_any_cut_of_a_request_means_the_same(cuts: list[int]) -> None:
    data = b"POST /a?b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
    points = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    connection = Http1Connection()
    pieces = [data[a:b] for a, b in pairwise(points)]
    events = [event for piece in pieces for event in connection.receive(piece)]
    assert events == Http1Connection().receive(data)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=200), max_size=10))
def test_random_bytes_end_in_an_answer_or_wait_for_more(pieces: list[bytes]) -> None:
    connection = Http1Connection()
    for piece in pieces:
        for event in connection.receive(piece):
            if isinstance(event, HttpRequest):  # Hypothesis does write a valid one now and then
                assert connection.respond(404)
            else:
                assert event.response.startswith((b"HTTP/1.1 4", b"HTTP/1.1 501", b"HTTP/1.1 505"))


# ---------------------------------------------------------------- telling protocols apart
def client_hello() -> bytes:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return outgoing.read()


@pytest.mark.parametrize(
    ("data", "protocol"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "h2"),
        (b"PRI / HTTP/1.1\r\n", "http/1.1"),
        (b"POST / HTTP/1.1\r\n", "http/1.1"),
        (b"GET / HTTP/1.0\r\n\r\n", "http/1.1"),
        (b"M-SEARCH * HTTP/1.1\r\n", "http/1.1"),
        pytest.param(client_hello(), "tls", id="a client hello"),  # random bytes: no id to collect by
        (b"\x16\x03\x09", "unknown"),
        (b"\x16\x02", "unknown"),
        (b"hello\n", "unknown"),
        (b" GET", "unknown"),
        (b"A" * 21, "unknown"),
        (b"GET\r\n", "unknown"),
        (b"SSH-2.0-OpenSSH\r\n", "unknown"),
        (b"\x00", "unknown"),
    ],
)
def test_first_bytes_tell_the_protocol_and_no_prefix_tells_another(data: bytes, protocol: str) -> None:
    assert sniff(data) == protocol
    for length in range(len(data)):
        assert sniff(data[:length]) in (None, protocol)


@given(st.binary(min_size=21))
def test_twenty_one_bytes_are_always_enough(data: bytes) -> None:
    assert sniff(data) is not None


def test_a_tls_client_understands_the_alert() -> None:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="x")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    incoming.write(tls_alert())
    with pytest.raises(ssl.SSLError, match=r"(?i)protocol.version"):
        tls.do_handshake()


def test_error_responses_stand_alone() -> None:
    response, body, again = answer(error_response(400, "This is no HTTP."))
    assert (response.status_code, body, again) == (400, b"This is no HTTP.\n", False)
