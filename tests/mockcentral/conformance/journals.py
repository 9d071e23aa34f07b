"""Hand-written journals: a tape that numbers its lines and has one method for each thing that can happen."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
OTHER = "/management/v1/watchtopics/other-topic"
PATH = "/central.events.v1.watch/subscribe"


class Tape:
    """A journal in the making. Every call is one line (or a few), a tenth of a second after the one before."""

    def __init__(self, delivery: str = "stream_open", *, spawned: bool = False) -> None:
        self.lines: list[dict[str, Any]] = []
        self.t = 0.0
        self.add(
            "world.start",
            scenario="test",
            seed=1,
            tenant="1234567890",
            topics=[TOPIC, OTHER],
            time_scale=1.0,
            delivery=delivery,
        )
        if spawned:
            self.add("client.start", argv=["client"])

    def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        self.t = round(self.t + 0.1, 6)
        line = {"v": 1, "n": len(self.lines) + 1, "t": self.t, "world": "default", "kind": kind, **fields}
        self.lines.append(line)
        return line

    def wait(self, seconds: float) -> Tape:
        self.t = round(self.t + seconds, 6)
        return self

    # -------------------------------------------------------------------------- the watch service
    def publish(self, *sequences: int, topics: Sequence[str] = (TOPIC,)) -> Tape:
        for sequence in sequences:
            self.add("event.published", sequence=sequence, id=f"id-{sequence}", op="CREATED", topics=list(topics))
        return self

    def open(self, attempt: int, conn: int | None = None, **fields: Any) -> Tape:
        about = {"path": PATH, "user_agent": "test", "tenant": "1234567890", "token": "jwt:12345678", **fields}
        self.add("stream.open", conn=conn or attempt, stream=1, attempt=attempt, **about)
        return self

    def request(self, attempt: int, request: str, **fields: Any) -> Tape:
        about = {"topic": TOPIC, "accepted": True, "request_type": None, **fields}
        self.add("stream.request", attempt=attempt, request=request, **about)
        return self

    def subscribe(self, attempt: int, topic: str = TOPIC, *, life: float | None = 3600.0, **fields: Any) -> Tape:
        about = {"token": "jwt:12345678", "token_expires_in": life, "capabilities": ["ping"], **fields}
        return self.request(attempt, "subscribe", topic=topic, **about)

    def watch(self, attempt: int, topic: str = TOPIC, **fields: Any) -> Tape:
        """Open and subscribe."""
        return self.open(attempt).subscribe(attempt, topic, **fields)

    def refresh(self, attempt: int, *, life: float = 3600.0, accepted: bool = True) -> Tape:
        return self.request(attempt, "token_refresh", token="jwt:12345678", token_expires_in=life, accepted=accepted)

    def send(self, attempt: int, *sequences: int, topic: str = TOPIC) -> Tape:
        for sequence in sequences:
            self.add("stream.event", attempt=attempt, sequence=sequence, id=f"id-{sequence}", op="CREATED", topic=topic)
        return self

    def ping(self, attempt: int, id: str) -> Tape:
        self.add("stream.event", attempt=attempt, sequence=0, id=id, op="PING", topic=TOPIC)
        return self

    def pong(self, attempt: int, id: str) -> Tape:
        return self.request(attempt, "ping_response", topic="", id=id, request_type=2)

    def end(self, attempt: int, code: str = "UNAVAILABLE", by: str = "server", *, graceful: bool = False) -> Tape:
        self.add("stream.end", attempt=attempt, code=code, by=by, reason="test", graceful=graceful)
        return self

    def close(self, conn: int, by: str = "client", **about: Any) -> Tape:
        self.add("conn.close", conn=conn, by=by, reason="test", **about)
        return self

    def doubt(self, conn: int, kind: str = "unsure", **about: Any) -> Tape:
        """What a fault makes of a line: unsure (maybe of one `attempt` on it), slow, or drained again."""
        self.add(f"conn.{kind}", conn=conn, **about)
        return self

    def wait_out(self, attempt: int, messages: int) -> Tape:
        """So many messages of a call wait for the client's window."""
        self.add("conn.held", conn=attempt, attempt=attempt, waiting=messages)
        return self

    def let_out(self, attempt: int) -> Tape:
        """They have got past it."""
        self.add("conn.let_out", conn=attempt, attempt=attempt)
        return self

    def connect(self, conn: int, protocol: str = "http/1.1") -> Tape:
        self.add("conn.open", conn=conn, peer="127.0.0.1:1", protocol=protocol)
        return self

    def harvest(
        self,
        after: int | None,
        *sequences: int,
        status: int = 200,
        topic: str = TOPIC,
        max_sequence: int | None = None,
        newest: bool = False,
        **about: Any,
    ) -> Tape:
        fields: dict[str, Any] = {"sequences": list(sequences)} if status == 200 else {"max_sequence": max_sequence}
        fields |= about
        fields["query"] = f"sort=sequenceID%2C{'DESC' if newest else 'ASC'}"
        self.add(
            "http.request", method="GET", path=f"/events{topic}", status=status, topic=topic, after=after, **fields
        )
        return self

    def purge(self, through: int) -> Tape:
        self.add("event.purged", through=through, count=1)
        return self

    def fault(self, name: str, do: str, *stages: str, **where: Any) -> Tape:
        """`stages`: armed, triggered, on_wire."""
        for stage in stages:
            about = {} if stage == "on_wire" else {"do": do, "anchor": "stream_open"}
            self.add(f"fault.{stage}", fault=name, **about, **({} if stage == "armed" else where))
        return self

    def narrow(self, size: int, conn: int = 1) -> Tape:
        """The fault `window`."""
        self.add("fault.armed", fault="narrow", do="window", anchor="subscribe", settings={"size": size})
        return self.fault("narrow", "window", "triggered", "on_wire", conn=conn)

    def http2_ping(self, conn: int, nth: int, what: str) -> Tape:
        self.add("ping.received", conn=conn, nth=nth)
        self.add(f"ping.{what}", conn=conn, nth=nth)
        return self

    # -------------------------------------------------------------------------- the client
    def apply(self, *sequences: int, **fields: Any) -> Tape:
        for sequence in sequences:
            self.add("client.applied", **{"sequence": sequence, "id": f"id-{sequence}", "op": "CREATED", **fields})
        return self

    def status(self, connected: bool = True) -> Tape:
        self.add("client.status", connected=connected)
        return self

    def exit(self, code: int | None = 1) -> Tape:
        self.add("client.exit", code=code, signal=None)
        return self

    def stop(self) -> Tape:
        self.add("client.stop", signal="SIGTERM")
        return self


def numbered(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines with fresh numbers and times that never go back, as if they had been recorded in this order."""
    found = []
    last = 0.0
    for n, line in enumerate(lines, 1):
        last = max(last, line["t"])
        found.append({**line, "n": n, "t": last})
    return found
