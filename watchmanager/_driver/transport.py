"""The watch stream over grpc.aio: one channel for all watches of a manager, one reader task for each stream.

What grpcio does, and why this looks as it does: a channel belongs to the loop it is made in, so it is made late;
cancelling a pending read cancels the whole call, so only the reader task reads and nobody waits on it with a timeout;
the documented keepalive timeout is not enforced, `grpc.http2.ping_timeout_ms` is; call credentials do not work without
TLS, so the token goes as plain metadata.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import AsyncIterable, Callable
from contextlib import aclosing, suppress
from typing import Any

from watchmanager._core.inputs import Input, PingReceived, StreamBroken, StreamEnded, StreamOpened
from watchmanager._driver.examiner import Examiner
from watchmanager._driver.grpcio import grpc
from watchmanager._driver.http import LONGEST_WAIT, retry_after
from watchmanager._driver.route import Link, Route
from watchmanager._wire import codec
from watchmanager._wire.status import retry_delay
from watchmanager.errors import DecodeError, WatchError
from watchmanager.events import Event, EventType
from watchmanager.policy import Keepalive

SLOWEST = 64.0
"""The most by which the keepalive interval is multiplied."""
MAX_MESSAGE = 16 * 1024 * 1024
_CODES: dict[Any, int] = {each: each.value[0] for each in grpc.StatusCode}
_LOGGER = logging.getLogger("watchmanager.stream")
PING = EventType.PING
BURST = 0.001
"""Seconds: messages that come sooner than this after others are taken in together. One after the other they cost more,
for in between the loop and gRPC do their part, and nothing of ours stays at hand. A lone message is taken in at once.
"""
FLOOD = 8
"""Messages taken in together from which on the next are expected at once."""
FLOOD_END = 0.005
"""Seconds until it shows that they do not come. The loop pays for a timer that is due sooner in each of its turns."""
MOST = 64
"""Messages that wait at most."""
LARGE = 16 * 1024
"""Bytes of a message that makes the others wait no longer."""
_UNKNOWN = 2
_MASKED = "Internal error from Core"
"""grpc.aio puts this status over a call when a write loses the race with the call's end; the real one follows."""
_UNMASK_WITHIN = 0.5
"""Seconds to wait for the real one. Sometimes it never comes, and the next try is late by as much."""


class Transport:
    """A channel that is made when first needed and can be renewed. Belongs to one event loop."""

    def __init__(
        self,
        route: Route,
        *,
        tenant: str,
        user_agent: str,
        keepalive: Keepalive,
    ) -> None:
        self._route = route
        self._tenant = tenant
        self._user_agent = user_agent
        self._keepalive = keepalive
        self._link: Link | None = None
        self._retired: set[Link] = set()
        """Links that are of use only to the streams that are on them."""
        self._old: list[asyncio.Task[None]] = []
        self.keepalive_factor = 1.0
        """How many times slower than the settings say new connections send PINGs; a server that finds them too many
        does so for every watch of the manager.
        """
        self.examiner = Examiner(route)

    def _options(self) -> list[tuple[str, Any]]:
        interval = int(self._keepalive.interval * self.keepalive_factor * 1000)
        timeout = int(self._keepalive.timeout * 1000)
        options: list[tuple[str, Any]] = [
            ("grpc.keepalive_time_ms", interval),
            ("grpc.keepalive_timeout_ms", timeout),
            ("grpc.http2.ping_timeout_ms", timeout),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.keepalive_permit_without_calls", 1),
            # Our own backoff sets the pace; the channel's must not add to it.
            ("grpc.initial_reconnect_backoff_ms", 200),
            ("grpc.min_reconnect_backoff_ms", int(self._route.connect_timeout * 1000)),
            ("grpc.max_reconnect_backoff_ms", 2000),
            ("grpc.enable_retries", 0),
            # Without this a renewed channel gets the old connection back from a pool of the process.
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.max_receive_message_length", MAX_MESSAGE),
            ("grpc.primary_user_agent", self._user_agent),
        ]
        return options

    def _ready(self) -> Link:
        if self._link is None:
            self._link = Link(self._route, self._options())
            self._link.keepalive_factor = self.keepalive_factor
        return self._link

    def cause(self) -> WatchError | None:
        """Why no connection comes about, where that is better known than from grpcio's words."""
        return None if self._link is None else self._link.cause()

    def renew(self, bad: Link | None, *, slower: bool) -> None:
        """The next stream gets another connection than `bad`, and with `slower` one with fewer PINGs. Streams of other
        watches on the old one go on until they end.

        Where another watch has had it renewed already, that is done.
        """
        if slower and bad is not None:
            self.keepalive_factor = max(self.keepalive_factor, min(bad.keepalive_factor * 2.0, SLOWEST))
        link = self._link
        if link is not None and (link is bad or link.keepalive_factor < self.keepalive_factor):
            self._link = None
            self._retired.add(link)
            self._close_if_unused(link)

    def release(self, link: Link) -> None:
        """A stream that `open` was called for is over."""
        link.streams -= 1
        self._close_if_unused(link)

    def _close_if_unused(self, link: Link) -> None:
        if link in self._retired and not link.streams:
            self._retired.discard(link)
            self._old = [each for each in self._old if not each.done()]
            self._old.append(asyncio.ensure_future(link.close()))

    def open(self, token: str) -> tuple[Any, Link]:
        """A call, not yet connected, and what it goes over; `release` when it is over."""
        link = self._ready()
        method: Any = link.channel.stream_stream(codec.METHOD, request_serializer=None, response_deserializer=None)
        call = method(
            metadata=(("authorization", f"Bearer {token}"), ("x-axway-tenant-id", self._tenant)), wait_for_ready=False
        )
        link.streams += 1
        return call, link

    async def aclose(self) -> None:
        link, self._link = self._link, None
        retired, self._retired = self._retired, set()
        for each in (link, *retired):
            if each is not None:
                await each.close()
        await self.examiner.aclose()
        await asyncio.gather(*self._old, return_exceptions=True)
        self._old.clear()


class Stream:
    """One call from open to end. `feed` is told everything but events, which go to `deliver` without a wrapper; what it
    returns, if anything, is to be done before the next one goes there. `delivered` is called after the last of some.
    """

    def __init__(
        self,
        transport: Transport,
        topic: str,
        attempt: int,
        token: str,
        *,
        feed: Callable[[Input], None],
        deliver: Callable[[int, Event], asyncio.Future[None] | None],
        delivered: Callable[[], None],
    ) -> None:
        self._topic = topic
        self._attempt = attempt
        self._feed = feed
        self._deliver = deliver
        self._delivered = delivered
        self._arrived: deque[bytes] = deque()
        """Messages that are not taken in yet: as good as still on their way."""
        self._taking: asyncio.TimerHandle | None = None
        self._took_at = 0.0
        self._hold = BURST
        self._room: asyncio.Future[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._stood = False
        """The first message has left."""
        self._writes: set[asyncio.Task[None]] = set()
        self._transport = transport
        self._call, self.link = transport.open(token)
        self._real_status: tuple[int, str, float | None] | None = None
        self._status_known = asyncio.Event()
        self._call.add_done_callback(self._on_status)
        self._reader = asyncio.ensure_future(self._read(codec.subscribe(topic, token)))
        self._reader.add_done_callback(self._over)

    def send_token(self, token: str) -> None:
        self._write(codec.refresh(self._topic, token))

    def send_pong(self, id: str) -> None:
        self._write(codec.pong(id))

    def send(self, message: bytes) -> None:
        """Any other request."""
        self._write(message)

    @property
    def closed(self) -> bool:
        """Over, by whomever."""
        return self._closed

    def close(self) -> None:
        """Cancel the call; nothing is reported any more."""
        if not self._closed:
            self._closed = True
            self._arrived.clear()
            if self._taking is not None:
                self._taking.cancel()
            self._call.cancel()
            if not self._stood:
                # A write that waits for a connection is not told by grpc.aio that its call is cancelled, and waits on.
                for each in (self._reader, *self._writes):
                    each.cancel()

    async def wait_closed(self) -> None:
        """Until the reader has ended, for an orderly shutdown."""
        await asyncio.gather(self._reader, *self._writes, return_exceptions=True)

    def _write(self, message: bytes) -> None:
        task = asyncio.ensure_future(self._write_one(message))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write_one(self, message: bytes) -> None:
        # A failed write is not news: the reader is about to report the same end with the real code.
        with suppress(grpc.RpcError, asyncio.InvalidStateError, grpc.aio.UsageError, asyncio.CancelledError):
            await self._call.write(message)

    async def _read(self, subscribe: bytes) -> None:
        call = self._call
        try:
            await call.write(subscribe)
            self._stood = True
            if self._closed:
                return
            self._feed(StreamOpened(self._attempt))
            # Iterated, as one `read` each costs more; gRPC minds that only where it is mixed for one direction.
            async with aclosing(call.__aiter__()) as messages:
                await self._collect(messages)
        except (grpc.RpcError, asyncio.InvalidStateError):
            pass  # the status below says it better
        except asyncio.CancelledError:
            if not call.cancelled():
                # Our own task is being cancelled, not the call by us or by its server.
                call.cancel()
                raise
        while self._arrived:
            await self._until_room()
            self._take_in()
        if self._closed:
            return
        code, details, wait = await self._status()
        if not self._closed:
            self._end(code, details, wait)

    async def _collect(self, messages: AsyncIterable[bytes]) -> None:
        """Until the call is over."""
        arrived, now = self._arrived, self._loop.time
        async for data in messages:
            if self._closed:
                return
            arrived.append(data)
            if now() - self._took_at >= BURST or len(arrived) >= MOST or len(data) > LARGE:
                self._take_in()
            elif self._taking is None:
                self._taking = self._loop.call_later(self._hold, self._take_in)
            if self._room is not None:
                await self._until_room()

    async def _until_room(self) -> None:
        while self._room is not None:
            # Not the future itself: that there is room may be known, and `_go_on` still be about to be called.
            await asyncio.wait([self._room])

    def _take_in(self) -> None:
        """What has arrived, in order, as long as there is room for it."""
        if self._taking is not None:
            self._taking.cancel()
            self._taking = None
        if self._room is not None:
            return
        arrived, attempt, deliver, decode = self._arrived, self._attempt, self._deliver, codec.decode
        self._hold = FLOOD_END if len(arrived) >= FLOOD else BURST
        try:
            while arrived:
                try:
                    event = decode(arrived.popleft())
                except DecodeError as error:
                    self._feed(StreamBroken(attempt, error))
                    continue
                if event.type is PING:
                    self._feed(PingReceived(attempt, event.id))
                    continue
                room = deliver(attempt, event)
                if room is not None:
                    self._room = room
                    room.add_done_callback(self._go_on)
                    break
        except Exception as error:
            self._break(error)
        self._took_at = self._loop.time()
        self._delivered()

    def _go_on(self, _: object) -> None:
        self._room = None
        self._take_in()

    def _break(self, error: BaseException) -> None:
        """A bug of ours. The stream ends, as if its server had ended it: what it brought is still in history."""
        _LOGGER.error("%s: internal error", self._topic, exc_info=error)
        if not self._closed:
            self.close()
            self._end(_UNKNOWN, f"internal error: {type(error).__name__}", None)

    def _end(self, code: int, details: str, wait: float | None) -> None:
        self._closed = True
        self._feed(StreamEnded(self._attempt, code, details, self._transport.cause(), wait))

    def _over(self, reader: asyncio.Task[None]) -> None:
        self._transport.release(self.link)
        error = None if reader.cancelled() else reader.exception()
        if error is not None:
            self._break(error)

    def _on_status(self, _: object) -> None:
        """Called by grpc.aio in the moment a status is set, maybe twice: the real one before or after the mask."""
        code, details = _at_once(self._call.code()), _at_once(self._call.details()) or ""
        if code is not grpc.StatusCode.INTERNAL or details != _MASKED:
            self._real_status = (_CODES.get(code, _UNKNOWN), details, _wait_told(self._call))
            self._status_known.set()

    async def _status(self) -> tuple[int, str, float | None]:
        """How the call ended."""
        await self._call.code()
        if self._real_status is None:
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._status_known.wait(), _UNMASK_WITHIN)
        return self._real_status or (_CODES[grpc.StatusCode.INTERNAL], _MASKED, None)


def _wait_told(call: Any) -> float | None:
    """The seconds a server asks for in its last words: gRPC's own way to say it (gRFC A6), a RetryInfo among the
    details of the status, or as HTTP does.
    """
    words = {str(key): value for key, value in _at_once(call.trailing_metadata()) or ()}
    pushback = words.get("grpc-retry-pushback-ms")
    if isinstance(pushback, str) and pushback.isascii() and pushback.isdigit():
        return min(int(pushback[:12]) / 1000, LONGEST_WAIT)
    details = words.get("grpc-status-details-bin")
    delay = retry_delay(details) if isinstance(details, bytes) else None
    if delay is not None:
        return min(delay, LONGEST_WAIT)
    told = words.get("retry-after")
    return retry_after(told, time.time()) if isinstance(told, str) else None


def _at_once(coroutine: Any) -> Any:
    """The result of a coroutine that has nothing to wait for; None when it would wait."""
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    return None
