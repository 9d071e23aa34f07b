"""A server that asks for patience gets it, and one whose clock differs from ours is understood."""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import time
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs

import h2.config
import h2.connection
import h2.events
import pytest
from hypothesis import given
from hypothesis import strategies as st

import watchmanager as wm
from mockcentral.wire.status import error_details
from tests.watchmanager.driver.tiny import Answer, http_server, tcp_server
from tests.watchmanager.lab import Lab
from watchmanager import auth
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.proxies import Target
from watchmanager._core.token import Skew
from watchmanager._driver.http import learn_clock
from watchmanager._driver.route import Route
from watchmanager._driver.transport import Stream, Transport
from watchmanager._wire.status import retry_delay
from watchmanager.errors import TokenProviderError, Unauthenticated


def jwt(expires_at: float) -> str:
    def part(value: dict[str, Any]) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part({'exp': expires_at})}.x"


DETAILS = "grpc-status-details-bin"


def detailed(delay: float | None) -> str:
    return base64.b64encode(error_details(8, "busy", "QUOTA_EXCEEDED", "test", delay)).decode()


def date(ahead: float) -> dict[str, str]:
    return {"Date": formatdate(time.time() + ahead, usegmt=True)}


# ---------------------------------------------------------------- the server's clock
BEAT = 1.0 + 1e-6
"""A Date has whole seconds, and a float of a billion of them is no more exact than a ten millionth."""


@given(
    true=st.floats(-80_000, 80_000),
    requests=st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 30), st.floats(0, 30)), min_size=1, max_size=20),
)
def test_what_is_learned_of_the_servers_clock_never_goes_beyond_what_its_answers_prove(
    true: float, requests: list[tuple[float, float, float]]
) -> None:
    skew = Skew()
    for began, there, back in requests:
        told = float(int(1e9 + began + there + true))
        skew.learn(told, 1e9 + began, 1e9 + began + there + back)
        # Between nothing and the truth, and as close to the truth as this answer lets it be.
        assert min(0.0, true) - BEAT <= skew.seconds <= max(0.0, true) + BEAT
        assert abs(skew.seconds - true) <= there + back + BEAT


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Date": "yesterday"},
        {"Date": "Thu, 01 Jan 1970 00:00:00 GMT"},
        {"Date": formatdate(1e9 + 600), "Age": "600"},
    ],
)
def test_a_date_that_proves_nothing_is_not_believed(headers: dict[str, str]) -> None:
    skew = Skew()
    learn_clock(skew, headers, 1e9, 1e9 + 0.1)
    assert skew.seconds == 0


def test_history_tells_the_servers_clock_and_a_token_is_taken_for_what_it_is_there() -> None:
    """The token has ended by our clock, which is an hour fast; the server, whose clock counts, takes it."""

    def answer(line: str, body: bytes) -> Answer:
        return 200, date(-3600), b"[]"

    async def main() -> None:
        fetched: list[float] = []

        def token() -> str:
            # A first one that is good anyhow, so that somebody gets to see the server's clock.
            fetched.append(time.time())
            return jwt(time.time() + (7200 if len(fetched) == 1 else -3000))

        async with http_server(answer) as url:
            manager = wm.AsyncWatchManager(url, tenant_id="1", token=token)
            async with manager:
                assert [each async for each in manager.history("t")] == []
                assert manager.metrics()["clock_skew"] == pytest.approx(-3600, abs=3)
                source = manager._tokens
                first, life = await source.get(None)
                assert life == pytest.approx(7200 + 3600, abs=5)
                _, life = await source.get(first)
                assert life == pytest.approx(600, abs=5)

    asyncio.run(main())


@pytest.mark.parametrize("history", [True, False])
def test_a_token_that_has_ended_by_our_clock_is_not_given_up_before_the_servers_is_known(history: bool) -> None:
    asked: list[str] = []

    def answer(line: str, body: bytes) -> Answer:
        asked.append(line)
        return 404, date(-3600), b""

    async def main() -> None:
        async with http_server(answer) as url:
            manager = wm.AsyncWatchManager(url, tenant_id="1", token=lambda: jwt(time.time() - 3000), history=history)
            async with manager:
                _, life = await manager._tokens.get(None)
                assert life == pytest.approx(600, abs=5)
                assert asked == ["HEAD / HTTP/1.1"]

    asyncio.run(main())


@pytest.mark.parametrize("there", [True, False])
def test_a_token_that_has_ended_by_every_clock_is_one(there: bool) -> None:
    async def main() -> None:
        async with http_server(lambda line, body: (200, date(0), b"")) as url:
            address = url if there else "http://127.0.0.1:1"
            async with wm.AsyncWatchManager(address, tenant_id="1", token=lambda: jwt(time.time() - 3000)) as manager:
                with pytest.raises(wm.TokenExpired, match="ended 3000 s ago"):
                    await manager._tokens.get(None)

    asyncio.run(main())


def test_an_assertion_refused_because_of_our_clock_is_made_again_with_the_endpoints_time() -> None:
    seen: list[float] = []

    def answer(line: str, body: bytes) -> Answer:
        claims = parse_qs(body.decode())["client_assertion"][0].split(".")[1]
        issued = json.loads(base64.urlsafe_b64decode(claims + "=="))["iat"]
        seen.append(issued - time.time())
        if abs(issued - time.time() - 600) > 30:
            return 400, date(600), b'{"error": "invalid_client"}'
        return 200, date(600), json.dumps({"access_token": jwt(time.time() + 600 + 300)}).encode()

    async def main() -> None:
        async with http_server(answer) as url:
            provider = wm.ClientCredentials(url, "agent")
            source = auth.TokenSource(provider)
            credential, life = await source.get(None)
            assert life == pytest.approx(300, abs=5)
            await source.get(credential)
        assert seen == pytest.approx([0, 600, 600], abs=5)  # refused once, and never again

    asyncio.run(main())


# ---------------------------------------------------------------- waits that the server asks for
def test_a_token_endpoint_that_asks_for_patience_is_left_alone_by_all_watches() -> None:
    asked: list[str] = []

    def answer(line: str, body: bytes) -> Answer:
        asked.append(line)
        return 429, {"Retry-After": "30"}, b"{}"

    async def main() -> None:
        async with http_server(answer) as url:
            source = auth.TokenSource(wm.ClientCredentials(url, "agent"))
            for _ in range(3):
                with pytest.raises(wm.TokenProviderError, match="answered 429") as caught:
                    await source.get(None)
                assert caught.value.retry_after == pytest.approx(30, abs=5)
        assert len(asked) == 1

    asyncio.run(main())


def test_a_provider_of_your_own_may_ask_for_patience_too_and_is_asked_again_in_time() -> None:
    async def main() -> None:
        asked: list[float] = []
        loop = asyncio.get_running_loop()

        async def provider() -> str:
            asked.append(loop.time())
            if len(asked) > 1:
                return jwt(time.time() + 100)
            error = TokenProviderError("busy")
            error.retry_after = 0.05
            raise error

        source = auth.TokenSource(provider)
        while True:
            try:
                await source.get(None)
                break
            except wm.TokenProviderError:
                await asyncio.sleep(0)
        assert len(asked) == 2
        assert asked[1] - asked[0] >= 0.05

    asyncio.run(main())


def test_the_machine_waits_as_long_as_the_token_provider_asked() -> None:
    lab = Lab()
    error = TokenProviderError("busy")
    error.retry_after = 20.0
    lab.token_fails = error
    lab.start(0).run(100)
    times = lab.when(do.FetchToken)
    assert len(times) == 5
    assert all(later - earlier >= 20 for earlier, later in itertools.pairwise(times))


@pytest.mark.parametrize("code", [8, 14, 16])
def test_the_machine_waits_as_long_as_the_stream_was_told(code: int) -> None:
    lab = Lab().live()
    attempt, lab.stream = lab.stream, None
    assert attempt is not None
    lab.feed(happened.StreamEnded(attempt, code, "busy", None, 20.0))
    began = lab.now
    assert lab.machine.status().last_error is not None
    assert getattr(lab.machine.status().last_error, "retry_after", None) == 20.0
    assert isinstance(lab.machine.status().last_error, Unauthenticated) is (code == 16)
    lab.run(60)
    assert min(each for each in lab.when(do.OpenStream) if each > began) >= began + 20


@given(st.floats(0, 1e6), st.binary(max_size=30))
def test_the_wait_in_the_details_of_a_status_is_found_whatever_stands_around_it(delay: float, noise: bytes) -> None:
    whole = error_details(8, "busy", "QUOTA_EXCEEDED", "test", delay)
    assert retry_delay(whole) == pytest.approx(delay, abs=1e-6)
    assert retry_delay(whole + noise) == pytest.approx(delay, abs=1e-6)
    for cut in range(len(whole)):
        assert retry_delay(whole[:cut]) in (None, 0.0)
    assert retry_delay(noise) is None


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ({"grpc-retry-pushback-ms": "1500"}, 1.5),
        ({"retry-after": "9"}, 9.0),
        ({"grpc-retry-pushback-ms": "1500", "retry-after": "9"}, 1.5),
        ({"grpc-retry-pushback-ms": "-1"}, None),
        ({"grpc-retry-pushback-ms": "999999999"}, 24 * 3600.0),
        ({"retry-after": "soon"}, None),
        ({}, None),
        ({DETAILS: detailed(2.25)}, 2.25),
        ({DETAILS: detailed(99999999), "retry-after": "9"}, 24 * 3600.0),
        ({DETAILS: detailed(None), "retry-after": "9"}, 9.0),
        ({DETAILS: "/////w", "retry-after": "9"}, 9.0),
    ],
)
def test_what_a_stream_was_told_is_read_from_its_last_words(words: dict[str, str], expected: float | None) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        connection.initiate_connection()
        writer.write(connection.data_to_send())
        while data := await reader.read(65536):
            for each in connection.receive_data(data):
                if isinstance(each, h2.events.RequestReceived):
                    head = {":status": "200", "content-type": "application/grpc", "grpc-status": "8"}
                    connection.send_headers(each.stream_id, [*head.items(), *words.items()], end_stream=True)
            writer.write(connection.data_to_send())

    async def main() -> None:
        ended: asyncio.Future[happened.Input] = asyncio.get_running_loop().create_future()

        def feed(input: happened.Input) -> None:
            if isinstance(input, happened.StreamEnded):
                ended.set_result(input)

        async with tcp_server(serve) as port:
            route = Route(Target("127.0.0.1", port, False), tls=None, proxy=None, single_entry=None, connect_timeout=5)
            transport = Transport(route, tenant="1", user_agent="x", keepalive=wm.Keepalive())
            stream = Stream(
                transport, "/t", 1, "token", feed=feed, deliver=lambda attempt, event: None, delivered=lambda: None
            )
            assert await asyncio.wait_for(ended, 20) == happened.StreamEnded(1, 8, "", None, expected)
            await stream.wait_closed()
            await transport.aclose()

    asyncio.run(main())
