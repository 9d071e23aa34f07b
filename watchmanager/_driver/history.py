"""History over HTTP (the "harvester", protocol 3): asks one page, reports one outcome.

httpx is imported with the first request.
"""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING

from watchmanager._core.classify import passes
from watchmanager._core.effects import FetchHistory
from watchmanager._core.inputs import HistoryFailed, HistoryFetched, HistoryGone
from watchmanager._core.token import Skew
from watchmanager._driver.dial import TimeUp
from watchmanager._driver.examiner import Examiner
from watchmanager._driver.http import BrokenOff, TooLarge, learn_clock, retry_after, whole_answer
from watchmanager._driver.route import Route
from watchmanager._driver.tls import translate
from watchmanager._wire import codec
from watchmanager.errors import (
    ConnectError,
    DecodeError,
    HistoryError,
    HistoryProtocolError,
    HistoryUnreachable,
    PermissionDenied,
    TopicNotFound,
    Unauthenticated,
    WatchError,
)
from watchmanager.policy import History

if TYPE_CHECKING:
    import httpx

MAX_SEQUENCE_HEADER = "X-Axway-Max-Sequence-Id"
MAX_PAGE = 256 * 1024 * 1024
"""Bytes of a page of events."""


class HistoryClient:
    """The history of one server. Belongs to one event loop."""

    def __init__(
        self,
        url: str,
        tenant: str,
        user_agent: str,
        policy: History,
        route: Route,
        skew: Skew | None = None,
        examiner: Examiner | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {"X-Axway-Tenant-Id": tenant, "User-Agent": user_agent, "Accept": "application/json"}
        self._policy = policy
        self._route = route
        self._client: httpx.AsyncClient | None = None
        self._retired: list[httpx.AsyncClient] = []
        self._asking = 0
        self._skew = skew or Skew()
        self.examiner = examiner or Examiner(route, grpc=False)

    async def fetch(self, topic: str, effect: FetchHistory) -> HistoryFetched | HistoryGone | HistoryFailed:
        """One page of `topic`. Every failure comes back as an input."""
        import httpx

        request = effect.request
        if self._client is None:
            self._client = self._route.http_client(timeout=self._policy.timeout, headers=self._headers)
        query = (
            {"pageSize": "1", "sort": "sequenceID,DESC"}
            if effect.newest
            else {"page": "1", "pageSize": str(effect.page_size), "sort": "sequenceID,ASC"}
        )
        if effect.after is not None:
            query["query"] = f"sequenceID>{effect.after}"
        self._asking += 1
        began = time.time()
        try:
            question = self._client.build_request(
                "GET",
                f"{self._url}/events{topic}",
                params=query,
                headers={"Authorization": f"Bearer {effect.credential.reveal()}"},
            )
            response, body = await whole_answer(self._client, question, seconds=self._policy.timeout, most=MAX_PAGE)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError) as error:
            if isinstance(error.__cause__, ConnectError):
                return HistoryFailed(request, error.__cause__)  # the bridge knows what failed on the way
            if self._route.http_bridged:
                self.renew()  # it is the bridge that is not reached: its socket may have been cleaned away
            return HistoryFailed(request, HistoryUnreachable(f"history cannot be reached: {_words(error)}"[:300]))
        except asyncio.CancelledError:
            self.renew()  # httpcore may have lost a connection over it, which then counts as used for ever
            raise
        except (httpx.TimeoutException, TimeUp):
            self.renew()
            return HistoryFailed(request, HistoryError(f"history did not answer within {self._policy.timeout:g} s"))
        except OSError as error:
            # httpx lets through what OpenSSL says after the handshake, such as that our certificate is refused.
            return HistoryFailed(request, translate(error, str(self._route.target), None))
        except BrokenOff as error:
            return HistoryFailed(request, HistoryError(f"history's answer broke off: {error}"[:300]))
        except TooLarge as error:
            return HistoryFailed(request, HistoryProtocolError(f"history's answer cannot be read: {error}"))
        except httpx.TransportError as error:
            # The connection ended before any answer. A server that wants another certificate of us may do that, and
            # so does one that never was the right one: the way is worth examining.
            return HistoryFailed(request, HistoryUnreachable(f"history gave no answer: {_words(error)}"[:300]))
        except httpx.HTTPError as error:
            return HistoryFailed(request, HistoryError(f"history gave no answer: {_words(error)}"[:300]))
        finally:
            self._asking -= 1
            await self._close_retired()
        learn_clock(self._skew, response.headers, began, time.time())
        if response.status_code == 200:
            try:
                return HistoryFetched(request, *codec.decode_page(body))
            except DecodeError as error:
                failure = HistoryProtocolError(str(error), status=200)
                # A half-written answer reads like a wrong one; asking again is cheap and paced.
                failure.retryable = True
                return HistoryFailed(request, failure)
        if response.status_code == 410:
            return HistoryGone(request, _whole(response.headers.get(MAX_SEQUENCE_HEADER)))
        return HistoryFailed(request, self._failure(response, body, topic))

    def _failure(self, response: httpx.Response, body: bytes, topic: str) -> WatchError:
        status = response.status_code
        error: WatchError
        if status == 401:
            error = Unauthenticated("history refuses the token (401)")
        elif status == 403:
            error = PermissionDenied(f"history does not permit reading {topic} (403)", code="PERMISSION_DENIED")
        elif status == 404 and not is_centrals(body):
            error = not_centrals(self._url)
        elif status == 404:
            error = TopicNotFound(f"history knows no topic {topic} (404)", code="NOT_FOUND")
        else:
            wait = retry_after(response.headers.get("Retry-After"), time.time() + self._skew.seconds)
            error = HistoryError(
                f"history answered {status} {response.reason_phrase}".rstrip(),
                status=status,
                retry_after=wait,
                retryable=passes(status),
            )
        error.topic = topic
        return error

    def renew(self) -> None:
        """The next question goes over a new connection; other watches' questions under way are not disturbed."""
        client, self._client = self._client, None
        if client is not None:
            self._retired.append(client)

    async def aclose(self) -> None:
        self.renew()
        await self.examiner.aclose()
        retired, self._retired = self._retired, []
        for client in retired:
            await client.aclose()

    async def _close_retired(self) -> None:
        """Close what was retired once nobody asks through it any more."""
        if self._retired and not self._asking:
            retired, self._retired = self._retired, []
            for client in retired:
                await client.aclose()


def not_centrals(url: str) -> HistoryError:
    """Of a 404 that is not Central's, see `is_centrals`: something else answers at this address."""
    return HistoryError(f"history answered 404 in words that are not Central's: is {url} its address?", status=404)


def is_centrals(body: bytes) -> bool:
    """Whether an error is one of Central's own, a JSON object, and not of a gateway or of any web server."""
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False


def _words(error: httpx.HTTPError) -> str:
    said = str(error)
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def _whole(text: str | None) -> int | None:
    try:
        return int(text) if text is not None and text.strip().isascii() else None
    except ValueError:
        return None
