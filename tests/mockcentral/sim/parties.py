"""A client that does nothing by itself: tests use its port and look at what arrived."""

from __future__ import annotations

from typing import Any

from mockcentral._core.calls import WatchRequest
from mockcentral._core.events import TopicEvent
from mockcentral.scenario.load import loads
from mockcentral.scenario.schema import Scenario
from mockcentral.sim.party import Answer, Port

TOPIC = "/management/v1/watchtopics/t"
SCENARIO = """
scenario: plain
about: A topic for everything in one environment.
world: {ping: {every: null}, log: {first_sequence: 1}}
topics: [{name: t, filters: [{kind: APIService, scope: {kind: Environment, name: e}}]}]
"""


def scenario(extra: str = "") -> Scenario:
    return loads(SCENARIO + extra)


def change(name: str = "x", kind: str = "created") -> dict[str, Any]:
    return {"kind": "APIService", "name": name, "scope": "Environment/e", "type": kind}


class Puppet:
    """See the module. `news` holds what arrived as tuples that begin with a word."""

    def __init__(self, name: str = "puppet") -> None:
        self.name = name
        self.keepalive: tuple[float, float] | None = None
        self.http_timeout = 5.0
        self.news: list[tuple[Any, ...]] = []
        self.port: Port
        self.wake_at: float | None = None
        self.token = ""

    def start(self, port: Port, now: float) -> None:
        self.port = port
        self.news.append(("start", now))

    def opened(self, stream: int, now: float) -> None:
        self.news.append(("opened", stream, now))

    def received(self, stream: int, events: tuple[TopicEvent, ...], now: float) -> None:
        self.news.append(("received", stream, [entry.event.sequence for entry in events], now))

    def ended(self, stream: int, code: int, details: str, now: float) -> None:
        self.news.append(("ended", stream, code, details, now))

    def answered(self, request: int, answer: Answer, now: float) -> None:
        if answer.token is not None:
            self.token = answer.token
        self.news.append(("answered", request, answer, now))

    def deadline(self) -> float | None:
        return self.wake_at

    def due(self, now: float) -> None:
        self.news.append(("due", now))
        self.wake_at = None

    def lost(self, now: float) -> None:
        self.news.append(("lost", now))

    # what tests say
    def watch(self, stream: int = 1) -> None:
        self.port.open_stream(stream, self.token, WatchRequest(self_link=TOPIC, token=f"Bearer {self.token}"))

    def heard(self, word: str) -> list[tuple[Any, ...]]:
        return [each for each in self.news if each[0] == word]
