"""A run as data: how a client is set up, what the network is like, and what happens at which time besides the scenario.

A scenario says what the server does; a plan says the rest, so that both together and a seed are a whole run that can be
written down, mailed and played again (`mockcentral replay FILE`). No code in it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from mockcentral.scenario.types import Span
from mockcentral.sim.weather import Weather

VERBS = (
    "publish",
    "purge",
    "end_streams",
    "close",
    "abort",
    "blackhole",
    "unplug",
    "crash",
    "vanish",
    "restart",
    "expire_tokens",
)


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happens at a world time, seconds. `value` is what the verb needs:

    publish: how many events; purge: how many are kept; end_streams: a gRPC status; unplug: seconds until the client is
    reachable again; crash, vanish: seconds until the client is back; restart: seconds the server is away.
    """

    at: float
    do: str
    value: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientPlan:
    """How the client is set up; see `watchmanager.policy` for the meaning. Seconds."""

    start: str | int = "latest"
    on_gone: str = "skip"
    page_size: int = 100
    max_events: int = 10_000
    recent: int = 100_000
    overlap: int = 1000
    processing: float = 0.0
    save_time: float = 0.0
    checkpoint_interval: float = 1.0
    checkpoint_every: int = 100
    audit_interval: float | None = 300.0
    keepalive: float = 50.0
    keepalive_timeout: float = 10.0
    http_timeout: float = 60.0
    backoff: float = 60.0
    history: bool = True
    confirm: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything about a run that is not in its scenario. `until` is when faults are over."""

    until: float = 60.0
    seed: int = 0
    weather: Weather = field(default_factory=Weather)
    client: ClientPlan = field(default_factory=ClientPlan)
    happenings: tuple[Happening, ...] = ()

    def to_json(self) -> str:
        """One line; what is as by default is left out."""
        given: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name == "happenings":
                value = [[each.at, each.do, each.value] for each in value]
            elif one.name in ("weather", "client"):
                plain = asdict(Weather() if one.name == "weather" else ClientPlan())
                value = {key: each for key, each in asdict(value).items() if each != plain[key]}
            if value or (one.name == "until"):
                given[one.name] = value
        return json.dumps(given, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """The plan of a line. Raises ValueError naming what cannot be read."""
        try:
            given = json.loads(text)
            weather = given.pop("weather", {})
            for name in ("up", "down"):
                if name in weather:
                    weather[name] = Span(**weather[name])
            client = ClientPlan(**given.pop("client", {}))
            happenings = tuple(Happening(float(at), do, float(value)) for at, do, value in given.pop("happenings", []))
            until, seed = float(given.pop("until", 60.0)), int(given.pop("seed", 0))
            plan = cls(
                until=until, seed=seed, weather=Weather(**weather), client=client, happenings=happenings, **given
            )
            if (problem := plan.weather.problem()) is not None:
                raise ValueError(problem)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(f"the plan cannot be read: {error}") from None
        for happening in plan.happenings:
            if happening.do not in VERBS:
                raise ValueError(f"the plan holds {happening.do!r}: it may hold {', '.join(VERBS)}")
        return plan
