"""What a client is to the simulator: somebody who is told what arrives and uses a `Port` to answer.

    network --- opened, received, ended, answered, due --->  Party
    network <-- open_stream, send, cancel, request, renew ---  Port

Streams and requests are named by numbers of the party's own choice that it never uses twice in one life. What was in
flight when a party gave a stream up still arrives, as it does on a real network: a party must know which tail to drop.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from mockcentral._core.calls import WatchRequest
from mockcentral._core.events import TopicEvent
from mockcentral._core.frozen import dataclass
from mockcentral._core.harvester import Query


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `status` 0: there was none, `text` tells why. Header names are lower case.

    `events` is a page of history, decoded; `token` a fresh token and `expires` its exp, seconds since 1970. All are
    None when the body is something else: `text`.
    """

    status: int
    text: str = ""
    headers: Mapping[str, str] | None = None
    events: tuple[TopicEvent, ...] | None = None
    token: str | None = None
    expires: float | None = None


class Port(Protocol):
    """A party's way to the network. Every method returns at once; what comes of it arrives later."""

    recording: bool
    """Whether anybody reads the journal: lines need not be made up for nobody."""

    @property
    def now(self) -> float: ...

    def wall(self, now: float) -> float:
        """Seconds since 1970 at a world time."""

    def open_stream(self, stream: int, token: str, request: WatchRequest) -> None:
        """Open a watch call on the party's connection (dialing one if need be) and send its first message."""

    def send(self, stream: int, request: WatchRequest) -> None:
        """A further message; nothing happens when the stream is gone."""

    def cancel(self, stream: int) -> None:
        """End a call."""

    def renew(self, *, slower: bool = False) -> None:
        """Drop the connection; the next stream gets a new one, if `slower` with twice the ping interval (at most 64
        times the party's own).
        """

    def history(self, request: int, topic: str, query: Query, token: str) -> None:
        """Ask for a page of a topic's history (protocol section 3). `query.asked_after` is the client's lower bound."""

    def renew_history(self) -> None:
        """Forget questions to history that are under way; the next one goes over a new connection."""

    def fetch_token(self, request: int) -> None:
        """Ask the token endpoint for a fresh token."""

    def exit(self, code: int) -> None:
        """The life is over by the party's own decision; its connections are closed."""

    def record(self, kind: str, **fields: object) -> None:
        """A line of the client's own in the journal."""


class Party(Protocol):
    """A client. Methods are called with the world's time; the party may use its port inside each of them."""

    name: str
    keepalive: tuple[float, float] | None
    """HTTP/2 PINGs: interval and timeout in seconds, None for none."""
    http_timeout: float
    """An HTTP request without an answer is given up after so many seconds."""

    def start(self, port: Port, now: float) -> None:
        """Begin a life. Called again after a crash, with a new port."""

    def opened(self, stream: int, now: float) -> None:
        """The connection stands and the first message was handed over."""

    def received(self, stream: int, events: tuple[TopicEvent, ...], now: float) -> None:
        """Events of a stream, PING events among them."""

    def ended(self, stream: int, code: int, details: str, now: float) -> None:
        """A stream is over: gRPC status number and text."""

    def answered(self, request: int, answer: Answer, now: float) -> None:
        """An HTTP request is over."""

    def deadline(self) -> float | None:
        """When `due` has something to do."""

    def due(self, now: float) -> None:
        """Time passed."""

    def lost(self, now: float) -> None:
        """The life is over without a word: everything in memory is gone, its connections are closed by the kernel."""


class Pluggable(Protocol):
    """A party that lets go of its `Port` when its world is closed."""

    def unplug(self) -> None:
        """There is no network any more."""


class Sleeper(Protocol):
    """A party that says when nothing would wake it but PING events, so that they need not be sent one by one."""

    def sleeps_until(self, first: float, every: float, jitter: float) -> float:
        """Until when PING events on its stream, the first at the latest at `first` and then each `every` seconds, up to
        `jitter` seconds late, would be answered and do nothing but what `pinged` does. A time that has passed: not now.
        """

    def pinged(self, arrivals: Sequence[float]) -> None:
        """PING events came at these times while it slept; their answers are taken for sent."""
