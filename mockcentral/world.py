"""`World`: a fake Central on real sockets, for plain synchronous Python (and, through `async with`, for asyncio).

A world is a scenario, an address and a journal. Any number live in one process; nothing is shared between them but the
background thread that moves their bytes. Methods may be called from any thread.
"""

from __future__ import annotations

import asyncio
import json
import math
import queue
import shutil
import socket
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from mockcentral._core.actions import BlackHole, CloseConnection, GoAway
from mockcentral._core.central import Central
from mockcentral._core.events import Change, parse_change
from mockcentral._core.journal import Journal, Record
from mockcentral.scenario.schema import FaultRule, Scenario, Topic
from mockcentral.scenario.writer import plain
from mockcentral.servers.host import Host
from mockcentral.servers.listener import bind
from mockcentral.servers.portal import Portal, shared
from mockcentral.servers.signer import Assertions

if TYPE_CHECKING:
    from mockcentral.conformance.verdict import Verdict
    from mockcentral.servers.store import Store
    from mockcentral.worlds import Worlds

T = TypeVar("T")

MIN_SCALE, MAX_SCALE = 1e-6, 1e6
MAX_ADVANCE = 366 * 86400.0

CLIENT_ID = "mockcentral-client"
"""The client id of the ready-made token."""

PUBLISHED_AT_ONCE = 1000

IMPORTED_LATER = ("cryptography", "flask", "google.protobuf", "h11", "h2", "jsonpatch")
"""What the first client needs and nobody before: that it is missing is to be said before anything is started."""

EMPTY = Scenario(scenario="empty", about="A world in which nothing happens unless you make it happen.")


class World:
    """A fake Central.

    `scenario` is a built-in name, a path, a `Scenario`, or None for a world where nothing happens by itself. `topics`
    adds WatchTopics: `Topic` objects or paths of WatchTopic resources; `seeds` are files or folders of resources of any
    kind that are there from the start. `seed` overrides the scenario's, `time_scale`
    divides its durations. `port` 0 is a free port. `tls` True makes a CA up (`ca_file`); `cert` and `key` name PEM
    files instead. `public_keys` maps client ids to PEM public keys: then client assertions are verified. `journal` is
    a path to write the whole journal to; in memory its newest 200,000 records are kept. `store` is a SQLite file in
    which log, resources and topics outlive the process; seeds are for the first start.

    Raises ScenarioError for a bad scenario, PortInUse for a taken address, TlsError for unusable certificates,
    StoreError for an unusable store: all before anything was started.
    """

    def __init__(
        self,
        scenario: str | Path | Scenario | None = None,
        *,
        seed: int | None = None,
        time_scale: float = 1.0,
        topics: Iterable[Topic | str | Path] = (),
        seeds: Iterable[str | Path] = (),
        host: str = "127.0.0.1",
        port: int = 0,
        tls: bool = False,
        cert: str | None = None,
        key: str | None = None,
        public_keys: Mapping[str, bytes] | None = None,
        control: bool = False,
        control_port: int = 0,
        journal: str | Path | None = None,
        store: str | Path | None = None,
        name: str = "default",
    ) -> None:
        number = isinstance(time_scale, (int, float)) and not isinstance(time_scale, bool)
        if not number or not MIN_SCALE <= time_scale <= MAX_SCALE:
            raise ValueError(f"time_scale must be a number from {MIN_SCALE:g} to {MAX_SCALE:g}, not {time_scale!r}")
        self.name = name
        self._resources, seeded = _planted(seeds)
        self._source = None if isinstance(scenario, Scenario) else scenario
        self.unscaled = _with_topics(_resolve(scenario), [*seeded, *topics])
        self.scenario = _scaled(self.unscaled, time_scale)
        self.seed = self.scenario.seed if seed is None else seed
        self.time_scale = time_scale
        self.tenant = self.scenario.world.tenant
        self.client_id = CLIENT_ID
        self.ca_file: str | None = None
        self._bind_host = host
        self._port = port
        self._want_tls = tls
        self._cert, self._key = cert, key
        self._assertions = Assertions(public_keys)
        self._want_control = control
        self._control_port = control_port
        self._control: Any = None
        self._worlds: Worlds | None = None
        self._store_path = store
        self._store: Store | None = None
        self._journal_path = None if journal is None else Path(journal)
        self._journal_file: TextIO | None = None
        self._journal = Journal(name)
        self._portal: Portal | None = None
        self._host: Host | None = None
        self._directory: Path | None = None
        self._token = ""
        self.when_broken: Callable[[], None] = lambda: None
        """Called, on another thread, when the store cannot be written and the world serves nobody any more."""

    # ------------------------------------------------------------------------------------------ life
    def start(self) -> World:
        """Listen and let the scenario begin; once. `with` does it for you."""
        if self._portal is not None or self._host is not None:
            raise RuntimeError("the world was started already: it starts once, make another one")
        for module in (*IMPORTED_LATER, *(("jwt",) if self._assertions else ())):
            if find_spec(module) is None:
                raise ModuleNotFoundError(f"No module named {module!r}", name=module)
        bound = bind(self._bind_host, self._port)
        try:
            if not self.speaks_tls:
                refuse_tls_faults(self.scenario, self._source)
            tls = self._tls()
            self._open_journal()
            if self._store_path is not None:
                from mockcentral.servers.store import Store

                self._store = Store(self._store_path)
            self._portal = shared.acquire()
            self._begin(bound, tls)
            if self._want_control:
                from mockcentral.servers.control import ControlServer
                from mockcentral.worlds import Worlds

                self._worlds = Worlds.holding(self)
                self._control = ControlServer(self._worlds, self._bind_host, self._control_port)
        except BaseException:
            self.close()
            bound.close()
            raise
        return self

    def _begin(self, bound: socket.socket, tls: Any) -> None:
        portal = self._live_portal()
        host = Host(
            self.scenario,
            journal=self._journal,
            seed=self.seed,
            bound=bound,
            loop=portal.loop,
            tls=tls,
            assertions=self._assertions,
            resources=self._resources,
            store=self._store,
            scale=self.time_scale,
            stall_meter=portal.stalls,
        )
        self._host = host
        host.on_broken = lambda: self.when_broken()
        portal.run(host.start(time_scale=self.time_scale, definition=plain(self.unscaled)))

    def close(self) -> None:
        """Close every connection and free the port; harmless when done twice."""
        portal, self._portal = self._portal, None
        try:
            if portal is not None:
                self._stop(portal)
        finally:
            if self._store is not None:
                self._store.close()
                self._store = None
            if self._journal_file is not None:
                self._journal_file.close()
                self._journal_file = None
            if self._directory is not None:
                shutil.rmtree(self._directory, ignore_errors=True)
                self._directory = None

    def _stop(self, portal: Portal) -> None:
        try:
            if self._control is not None:
                self._control.close()
                self._control = None
            if self._worlds is not None:  # those somebody created through our control API go with us
                self._worlds.close()
                self._worlds = None
            if self._host is not None:
                portal.run(self._host.stop())
        finally:
            shared.release()

    def __enter__(self) -> World:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> World:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)

    def reset(self) -> None:
        """Back to the beginning: same address and seed, everything else as new, connections closed, a new journal."""
        portal, old = self._live_portal(), self._live_host()
        port = int(self.address.rpartition(":")[2])
        tls = old.tls
        portal.run(old.stop())
        if self._store is not None:
            self._store.clear()
        self._journal.restart()
        self._token = ""
        self._begin(bind(self._bind_host, port), tls)

    # ------------------------------------------------------------------------------------------ where it is
    @property
    def address(self) -> str:
        """`host:port` of the front door: gRPC and HTTP."""
        return self._live_host().address

    @property
    def http_url(self) -> str:
        return self._live_host().http_url

    @property
    def auth_url(self) -> str:
        return self._live_host().auth_url

    @property
    def control_url(self) -> str | None:
        """Base of the control API, None without one."""
        return None if self._control is None else self._control.url

    def attach_control(self, control: Any) -> None:
        """Say which control server this world is reachable through (it is not closed with the world)."""
        self._shared_control_url = control.url

    _shared_control_url: str | None = None

    @property
    def topics(self) -> tuple[str, ...]:
        """The selfLinks of the watch topics there are now."""
        return tuple(self._act(lambda central, now: [entry.topic.self_link for entry in central.topics]))

    @property
    def token(self) -> str:
        """A valid token: the same one until it expires."""

        def current(central: Central, now: float) -> str:
            if central.tokens.judge(self._token, central.wall(now)).worth.name != "GOOD":
                self._token = central.token(self.client_id, now)
            return self._token

        return self._act(current)

    def issue_token(self, life: float | None = None) -> str:
        """A new token that lives `life` seconds, the scenario's token life when None."""
        return self._act(lambda central, now: central.token(self.client_id, now, life))

    @property
    def context(self) -> dict[str, Any]:
        """The ready file's JSON (design/interfaces "Ready file")."""
        import os

        return {
            "v": 1,
            "world": self.name,
            "address": self.address,
            "http_url": self.http_url,
            "auth_url": self.auth_url,
            "control_url": self.control_url or self._shared_control_url,
            "tenant": self.tenant,
            "topics": list(self.topics),
            "token": self.token,
            "client_id": self.client_id,
            "ca_file": self.ca_file,
            "scenario": self.scenario.scenario,
            "seed": self.seed,
            "pid": os.getpid(),
        }

    # ------------------------------------------------------------------------------------------ making things happen
    def publish(self, changes: Mapping[str, Any] | Change | Sequence[Mapping[str, Any] | Change]) -> list[int]:
        """Publish one change or several, `{"kind", "name", "scope", "type", …}` each; returns their sequence ids.

        All are checked before the first is published; between a thousand and the next other things may happen. Raises
        ValueError naming what is wrong.
        """
        given = [changes] if isinstance(changes, (Mapping, Change)) else list(changes)
        parsed = [change if isinstance(change, Change) else parse_change(change) for change in given]
        self._live_portal()  # nothing to publish is no news to a world that is closed, either
        sequences: list[int] = []
        # In turns: a hundred thousand at once would be seconds in which no PING is acked.
        for start in range(0, len(parsed), PUBLISHED_AT_ONCE):
            turn = parsed[start : start + PUBLISHED_AT_ONCE]
            sequences += self._act(lambda central, now, turn=turn: [central.publish(one, now).sequence for one in turn])  # type: ignore[misc]
        return sequences

    def arm(self, rule: FaultRule) -> None:
        """Arm a fault rule; one of the same name is replaced. Its durations are scaled as the scenario's are."""
        from mockcentral.scenario.scaling import scaled_rule

        def arm(central: Central, now: float) -> None:
            scale = self._live_host().scale
            central.arm(rule if scale == 1 else scaled_rule(rule, scale), now)

        self._act(arm)

    def disarm(self, name: str) -> bool:
        """Disarm a fault rule; False when there is none of that name."""
        return self._act(lambda central, now: central.disarm(name, now))

    def faults(self) -> list[dict[str, Any]]:
        """The receipts of the rules, also of those that outlived their ttl.

        `name`, `do`, `on`, `times`, `state` (armed, spent, disarmed), and how often it `triggered`, was `on_wire` and
        was `observed` by the client.
        """
        return self._act(lambda central, now: [receipt.as_dict() for receipt in central.receipts])

    def expire_tokens(self, token: str | None = None) -> int:
        """All tokens issued so far, or one, are expired from now on; returns how many."""
        from mockcentral._core.tokens import fingerprint

        mark = None if token is None else token if token.startswith("jwt:") else fingerprint(token)
        return self._act(lambda central, now: central.expire_tokens(now, mark))

    def purge(self, through: int | None = None, keep: int | None = None) -> int:
        """Forget history up to a sequence, or all but the newest `keep` events (all with neither); returns how many
        went.
        """
        if through is None and keep is None:
            keep = 0
        return self._act(lambda central, now: central.purge(now, through=through, keep=keep))

    def close_connections(self, connection: int = 0, *, abort: bool = True) -> None:
        """Close a connection, all with 0: RST, or FIN when `abort` is False."""
        self._act(lambda central, now: central.command(CloseConnection(connection, abort), now))

    def goaway(self, connection: int = 0, error_code: int = 0, last_stream: int | None = None) -> None:
        """Send GOAWAY on a connection, all with 0."""
        self._act(lambda central, now: central.command(GoAway(connection, error_code, last_stream), now))

    def blackhole(self, connection: int = 0) -> None:
        """Let a connection, all with 0, go silent without closing it."""
        self._act(lambda central, now: central.command(BlackHole(connection), now))

    def clock(
        self, *, scale: float | None = None, advance: float | None = None, freeze: bool | None = None
    ) -> dict[str, Any]:
        """Change this world's time; returns `now` (world time, seconds), `scale` and `frozen`.

        `scale`: what the fake does by itself goes so many times faster than the scenario says, from now on: lives of
        new tokens, intervals, pauses, what is planned. `advance`: jump ahead by so many seconds; what is due happens at
        once, and the server's wall clock, by which tokens expire, is ahead from then on. `freeze`: stand still, or go
        on with False: nothing happens by itself, clients are answered. The client's clock is real, and so is `t` in the
        journal. Raises ValueError.
        """
        if scale is not None and not (math.isfinite(scale) and MIN_SCALE <= scale <= MAX_SCALE):
            raise ValueError(f"scale must be from {MIN_SCALE:g} to {MAX_SCALE:g}, not {scale!r}")
        if advance is not None and not (math.isfinite(advance) and 0 <= advance <= MAX_ADVANCE):
            raise ValueError(f"advance must be seconds from 0 to {MAX_ADVANCE:g}, not {advance!r}")

        def change(central: Central, now: float) -> dict[str, Any]:
            return self._live_host().set_clock(scale=scale, advance=advance, freeze=freeze)

        return self._act(change)

    def restart(self, down_for: float = 0.5, *, forget: bool = False) -> None:
        """Die and come back `down_for` seconds later on the same address, with the history unless `forget`."""
        self._act(lambda central, now: central.restart(down_for, now, forget=forget))

    def barrier(self, timeout: float = 10.0) -> int:
        """Wait until every open HTTP/2 connection acked a PING sent now: what was sent before has been read.

        Returns how many did. Raises TimeoutError that names those that did not within `timeout` seconds; connections
        that a fault silenced are not asked.
        """
        return self._live_portal().run(self._live_host().barrier(timeout))

    def connections(self) -> list[dict[str, Any]]:
        """The open connections: `conn`, `peer`, `protocol`, `attempts` (its watch calls)."""

        def shown(central: Central, now: float) -> list[dict[str, Any]]:
            return [
                {"conn": link.id, "peer": link.peer, "protocol": link.protocol, "attempts": list(link.calls)}
                for link in central.connections.values()
            ]

        return self._act(shown)

    def put_topic(self, resource: Mapping[str, Any]) -> str:
        """Create or replace a WatchTopic from its resource; returns its selfLink. Raises ValueError."""
        name = resource.get("name")
        if not isinstance(name, str) or not name or "/" in name:
            raise ValueError("a WatchTopic needs a name: text without a slash")
        link: str = self._act(lambda central, now: central.put_topic(name, resource, now)["metadata"]["selfLink"])
        return link

    # ------------------------------------------------------------------------------------------ looking
    @property
    def listening(self) -> bool:
        """Whether the front door takes connections: not while the scenario lets it be down, nor once it could not write
        to its store.
        """
        return self._act(lambda central, now: central.listening and not self._live_host().broken)

    def stats(self) -> dict[str, float]:
        """Counters and gauges, see `servers.control_api.METRICS`."""

        def stats(central: Central, now: float) -> dict[str, float]:
            host = self._live_host()
            return {**central.stats(), "stalls_total": host.stalls, "stalled_seconds_total": round(host.stalled, 3)}

        return self._act(stats)

    def journal(self, since: int = 0) -> list[Record]:
        """The journal's records with a number above `since`."""
        if self._portal is None:
            return self._journal.since(since)
        return self._act(lambda central, now: self._journal.since(since))

    def record(self, kind: str, **fields: Any) -> Record:
        """Append a record of your own (what the client said, a verdict)."""
        return self._act(lambda central, now: central.client_said(kind, now, **fields))

    def listen(self, listener: Callable[[Record], None]) -> Callable[[], None]:
        """Call `listener` with each record from now on, on the world's thread: it must be quick. Returns how to end
        it.
        """
        return self._act(lambda central, now: self._journal.listen(listener))

    def wait_for(self, predicate: Callable[[Record], bool], timeout: float = 10.0, *, since: int = 0) -> Record:
        """The first record, past or future, that `predicate` accepts.

        Raises TimeoutError with the last lines of the journal.
        """
        found: queue.SimpleQueue[Record] = queue.SimpleQueue()

        def start(central: Central, now: float) -> tuple[list[Record], Callable[[], None]]:
            return self._journal.since(since), self._journal.listen(found.put)

        past, stop = self._act(start)
        try:
            for record in past:
                if predicate(record):
                    return record
            until = time.monotonic() + timeout
            while True:
                try:
                    record = found.get(timeout=max(0.0, until - time.monotonic()))
                except queue.Empty:
                    raise TimeoutError(_timeout_message(timeout, self.journal())) from None
                if predicate(record):
                    return record
        finally:
            if self._portal is not None:
                self._act(lambda central, now: stop())

    @property
    def traffic_done(self) -> bool:
        """Whether the scenario has published all it will: its traffic is over, and no rule is about to fire."""
        return self._act(lambda central, now: central.traffic_done)

    def wait_traffic(self, timeout: float = 60.0) -> None:
        """Wait until the scenario has published all it will. Raises TimeoutError."""
        if not self.traffic_done:
            last = ("event.published", "rule.fired", "rule.failed")
            self.wait_for(lambda record: record["kind"] in last and self.traffic_done, timeout)

    def verify(self, checks: Iterable[str] | None = None) -> list[Verdict]:
        """Judge the journal so far: by the scenario's expectations and the four of every watch, or by the named
        checks.
        """
        from mockcentral.conformance.judge import judge

        return judge(self.journal(), self.unscaled, checks)

    # ------------------------------------------------------------------------------------------ inside
    def _act(self, work: Callable[[Central, float], T]) -> T:
        host = self._live_host()
        result: T = self._live_portal().call(lambda: host.act(work))
        return result

    def _live_host(self) -> Host:
        if self._host is None:
            raise RuntimeError("the world was not started: use `with World(…) as world`")
        return self._host

    def _live_portal(self) -> Portal:
        if self._portal is None:
            raise RuntimeError("the world is not running: use `with World(…) as world`")
        return self._portal

    @property
    def speaks_tls(self) -> bool:
        """Whether there are handshakes that could go wrong."""
        return bool(self._want_tls or self._cert or self._key)

    def _tls(self) -> Any:
        if self._cert or self._key:
            from mockcentral.servers.tls import TlsError, from_files

            if not self._cert or not self._key:
                raise TlsError("--cert and --key go together")
            return from_files(self._cert, self._key)
        if self._want_tls:
            from mockcentral.servers.tls import self_made

            self._directory = Path(tempfile.mkdtemp(prefix="mockcentral-"))
            context, ca_file = self_made(self._bind_host, self._directory)
            self.ca_file = str(ca_file)
            return context
        return None

    def _open_journal(self) -> None:
        if self._journal_path is None:
            return
        file = self._journal_file = self._journal_path.open("w", buffering=1, encoding="utf-8")

        def write(record: Record) -> None:
            if not file.closed:
                file.write(json.dumps(record, separators=(",", ":")) + "\n")

        self._journal.listen(write)


def refuse_tls_faults(scenario: Scenario, source: str | Path | None = None) -> None:
    """Raises TlsError for a scenario that spoils handshakes: where there are none, say so before anything runs in vain.
    `source` is the name or file it was loaded from, if it was.
    """
    for rule in scenario.faults:
        if rule.do.level == "tls":
            from mockcentral.scenario.places import places
            from mockcentral.servers.tls import TlsError

            text = f"the fault {rule.name} ({rule.do.name}) needs TLS: add --tls, or --cert and --key"
            where = f"scenario {scenario.scenario}: {text}"
            raise TlsError(where if source is None else str(places(source).problem(text, rule=rule.name, key="do")))


def _resolve(scenario: str | Path | Scenario | None) -> Scenario:
    if scenario is None:
        return EMPTY
    if isinstance(scenario, Scenario):
        return scenario
    from mockcentral.scenario.load import load

    return load(str(scenario))


def _with_topics(scenario: Scenario, topics: Iterable[Topic | str | Path]) -> Scenario:
    merged = {topic.name: topic for topic in scenario.topics}
    for topic in topics:
        if not isinstance(topic, Topic):
            from mockcentral.scenario.load import load_topic

            for loaded in load_topic(str(topic)):
                merged[loaded.name] = loaded
        else:
            merged[topic.name] = topic
    return replace(scenario, topics=tuple(merged.values()))


def _planted(paths: Iterable[str | Path]) -> tuple[list[tuple[str, str, Mapping[str, Any]]], list[Topic]]:
    """What resource files and folders hold: resources as link, kind and body, and topics."""
    resources: list[tuple[str, str, Mapping[str, Any]]] = []
    topics: list[Topic] = []
    for path in paths:
        from mockcentral._core.resources import make_link
        from mockcentral.scenario.seeds import load_seeds

        for seed in load_seeds(path):
            if seed.topic is not None:
                topics.append(seed.topic)
            else:
                link = make_link(seed.group, seed.kind, seed.name, *(seed.scope or ()))
                resources.append((link, seed.kind, seed.body))
    return resources, topics


def _scaled(scenario: Scenario, factor: float) -> Scenario:
    if factor == 1.0:
        return scenario
    from mockcentral.scenario.load import scaled

    return scaled(scenario, factor)


def _timeout_message(timeout: float, journal: list[Record]) -> str:
    tail = "\n".join("  " + json.dumps(record) for record in journal[-10:])
    return f"nothing of the kind was journaled within {timeout:g} s; the journal ends with\n{tail}"
