"""Every answer the history service may give over HTTP is one outcome."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from random import Random
from typing import Any

import pytest

import watchmanager as wm
from tests.watchmanager.driver.tiny import Answer, http_server, tcp_server
from watchmanager._core.classify import RETRIED
from watchmanager._core.effects import FetchHistory
from watchmanager._core.inputs import HistoryFailed, HistoryFetched, HistoryGone
from watchmanager._core.proxies import Target
from watchmanager._core.token import Credential
from watchmanager._driver import history as history_module
from watchmanager._driver.history import HistoryClient
from watchmanager._driver.pages import read_pages
from watchmanager._driver.route import Route
from watchmanager.auth import TokenSource
from watchmanager.policy import Backoff, History

TOPIC = "/management/v1/watchtopics/t"


def client(url: str, timeout: float = 60.0) -> HistoryClient:
    route = Route(Target.from_url(url), tls=None, proxy=None, single_entry=None, connect_timeout=5)
    return HistoryClient(url, "1", "test", History(timeout=timeout), route)


def pages_of(history: HistoryClient) -> AsyncIterator[list[wm.Event]]:
    """All of it, five events a page."""
    return read_pages(
        history,
        TokenSource(wm.Token("x")),
        TOPIC,
        after=None,
        before=None,
        page_size=5,
        backoff=Backoff(),
        random=Random(1),
    )


def ask(*answers: Answer) -> list[HistoryFetched | HistoryGone | HistoryFailed]:
    """What becomes of each answer."""
    left = list(answers)

    async def main() -> list[HistoryFetched | HistoryGone | HistoryFailed]:
        async with http_server(lambda line, body: left.pop(0)) as url:
            history = client(url)
            question = FetchHistory(7, 5, 10, False, Credential("x"))
            found = [await history.fetch(TOPIC, question) for _ in answers]
            await history.aclose()
            return found

    return asyncio.run(main())


def test_every_status_but_200_is_a_failure_with_its_number_and_only_passing_ones_are_retried() -> None:
    statuses = [201, 204, 206, 300, 304, 400, 405, 408, 409, 413, 425, 429, 500, 501, 502, 503, 504, 505, 599]
    for status, outcome in zip(statuses, ask(*((each, {}, b"") for each in statuses)), strict=True):
        assert isinstance(outcome, HistoryFailed)
        assert isinstance(outcome.error, wm.HistoryError)
        assert (outcome.request, outcome.error.status) == (7, status)
        assert outcome.error.retryable is (status in RETRIED or status >= 500), status


@pytest.mark.parametrize(
    ("status", "kind"), [(401, wm.Unauthenticated), (403, wm.PermissionDenied), (404, wm.TopicNotFound)]
)
def test_what_a_status_says_about_who_asks_or_for_what_is_an_error_of_its_own(
    status: int, kind: type[wm.WatchError]
) -> None:
    [outcome] = ask((status, {}, b"{}"))
    assert isinstance(outcome, HistoryFailed)
    assert type(outcome.error) is kind
    assert outcome.error.topic == TOPIC


@pytest.mark.parametrize("body", [b"", b"404 page not found", b"<html></html>", b"[]", b"[" * 100_000])
def test_a_404_that_is_not_centrals_is_no_unknown_topic(body: bytes) -> None:
    """A gateway says it while the service behind it is replaced, and any web server at a wrong address."""
    [outcome] = ask((404, {}, body))
    assert isinstance(outcome, HistoryFailed)
    assert type(outcome.error) is wm.HistoryError
    assert outcome.error.retryable
    assert "its address?" in str(outcome.error)


@pytest.mark.parametrize(
    ("headers", "newest"),
    [
        ({"X-Axway-Max-Sequence-Id": "284734"}, 284734),
        ({"x-axway-max-sequence-id": " 9 "}, 9),
        ({}, None),
        ({"X-Axway-Max-Sequence-Id": ""}, None),
        ({"X-Axway-Max-Sequence-Id": "soon"}, None),
        ({"X-Axway-Max-Sequence-Id": "1e9"}, None),
    ],
)
def test_gone_with_and_without_a_usable_header(headers: dict[str, str], newest: int | None) -> None:
    assert ask((410, headers, b"")) == [HistoryGone(7, newest)]


def event(sequence: int) -> dict[str, Any]:
    return {"id": f"e{sequence}", "type": "ResourceCreated", "metadata": {"sequenceID": sequence}}


@pytest.mark.parametrize("count", [0, 1, 4, 5, 6, 10])
@pytest.mark.parametrize("first", [0, 1])
def test_pages_that_end_just_there_and_sequences_from_zero_or_one(count: int, first: int) -> None:
    """Page size 5. A sequence 0 is no position: the first event counts from 1."""
    log = [event(each) for each in range(first, first + count)]

    def answer(line: str, body: bytes) -> Answer:
        after = int(line.split("sequenceID%3E")[1].split("&")[0].split(" ")[0]) if "sequenceID%3E" in line else -1
        return 200, {}, json.dumps([each for each in log if each["metadata"]["sequenceID"] > after][:5]).encode()

    async def main() -> list[int]:
        async with http_server(answer) as url:
            history = client(url)
            pages = pages_of(history)
            found = [each.sequence async for page in pages for each in page]
            await history.aclose()
            return found

    assert asyncio.run(main()) == [each["metadata"]["sequenceID"] for each in log]


QUESTION = FetchHistory(7, 5, 10, False, Credential("x"))


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer that comes piece by piece and never ends."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n[")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


def test_an_answer_has_its_time_as_a_whole_and_not_for_each_piece() -> None:
    async def main() -> None:
        async with tcp_server(trickle) as port:
            history = client(f"http://127.0.0.1:{port}", timeout=0.4)
            answered = await asyncio.wait_for(history.fetch(TOPIC, QUESTION), 20)
            assert isinstance(answered, HistoryFailed)
            assert str(answered.error) == "history did not answer within 0.4 s"
            assert answered.error.retryable
            await history.aclose()

    asyncio.run(main())


def test_a_token_endpoint_has_its_time_as_a_whole_too() -> None:
    async def main() -> None:
        async with tcp_server(trickle) as port:
            credentials = wm.ClientCredentials(f"http://127.0.0.1:{port}/auth", "agent", timeout=0.4)
            with pytest.raises(wm.TokenProviderError, match=r"did not answer within 0.4 s"):
                await asyncio.wait_for(credentials.fetch(True), 20)

    asyncio.run(main())


def test_an_answer_larger_than_any_page_is_not_read_to_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_module, "MAX_PAGE", 1000)
    [outcome] = ask((200, {}, b"[" + b" " * 2000 + b"]"))
    assert isinstance(outcome, HistoryFailed)
    assert isinstance(outcome.error, wm.HistoryProtocolError)
    assert "larger than 1000 bytes" in str(outcome.error)


def test_an_answer_that_breaks_off_is_asked_for_again() -> None:
    [outcome] = ask((200, {"Content-Length": "100"}, b"[]"))
    assert isinstance(outcome, HistoryFailed)
    assert type(outcome.error) is wm.HistoryError
    assert "broke off" in str(outcome.error)
    assert outcome.error.retryable


def test_a_connection_that_ends_before_any_answer_was_no_way_to_history() -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async def main() -> None:
        async with tcp_server(serve) as port:
            history = client(f"http://127.0.0.1:{port}")
            answered = await history.fetch(TOPIC, QUESTION)
            assert isinstance(answered, HistoryFailed)
            assert isinstance(answered.error, wm.HistoryUnreachable)  # so a walk along the way to it begins
            await history.aclose()

    asyncio.run(main())


def test_a_question_that_is_given_up_takes_its_connections_along() -> None:
    """httpcore may lose one over a cancellation: at a hundred of them nothing could be asked any more."""

    async def main() -> None:
        asked = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            asked.set()
            await reader.read()

        async with tcp_server(hang) as port:
            history = client(f"http://127.0.0.1:{port}", timeout=30)
            asking = asyncio.ensure_future(history.fetch(TOPIC, QUESTION))
            await asked.wait()
            used = history._client
            assert used is not None
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
            assert history._client is None
            assert used.is_closed

    asyncio.run(main())


@pytest.mark.parametrize(("nameless", "behind"), [(1, 2), (2, 3)], ids=["in the middle", "at the end"])
def test_what_an_error_says_is_where_reading_goes_on_behind_it(nameless: int, behind: int) -> None:
    page = [event(1), event(2), event(3)]
    page[nameless]["metadata"]["sequenceID"] = None

    async def main() -> None:
        async with http_server(lambda line, body: (200, {}, json.dumps(page).encode())) as url:
            history = client(url)
            pages = pages_of(history)
            assert [each.sequence for each in await anext(pages)] == list(range(1, nameless + 1))
            with pytest.raises(wm.DecodeError) as caught:
                await anext(pages)
            assert caught.value.sequence == behind
            await history.aclose()

    asyncio.run(main())
