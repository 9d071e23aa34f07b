"""Clients for tests: plain HTTP over http.client, and a watch over stock grpcio with the other package's messages."""

from __future__ import annotations

import http.client
import json
import os
import queue
import signal
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote, urlencode

import grpc

from mockcentral import World
from mockcentral.scenario.load import parse_fault
from watchmanager._wire import messages

WATCH = "/central.events.v1.watch/subscribe"
TOPIC = "/management/v1/watchtopics/sample"
PATIENCE = 20.0
"""Only turns a hang into a failure."""

ONE_FILTER = {"group": "management", "kind": "APIService", "name": "*", "type": ["created", "updated", "deleted"]}


def topic(name: str = "sample", *filters: Mapping[str, Any]) -> dict[str, Any]:
    """A WatchTopic resource."""
    return {
        "group": "management",
        "apiVersion": "v1",
        "kind": "WatchTopic",
        "name": name,
        "title": name,
        "spec": {"filters": [dict(one) for one in filters] or [ONE_FILTER]},
    }


def service(name: str = "petstore", **more: Any) -> dict[str, Any]:
    """A change of an APIService."""
    return {"kind": "APIService", "name": name, "scope": "Environment/sample-env", **more}


# ------------------------------------------------------------------------------------------ HTTP
@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        assert self.headers["content-type"].startswith(("application/json", "application/problem+json"))
        return json.loads(self.body)


def request(
    address: str,
    method: str,
    target: str,
    body: object = None,
    headers: Mapping[str, str] | None = None,
    *,
    tls: ssl.SSLContext | None = None,
) -> Answer:
    """One request on a connection of its own. `body` is sent as JSON unless it is bytes."""
    host, _, port = address.rpartition(":")
    if tls is None:
        connection = http.client.HTTPConnection(host, int(port), timeout=PATIENCE)
    else:
        connection = http.client.HTTPSConnection(host, int(port), timeout=PATIENCE, context=tls)
    try:
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json"} if data is not None else {}
        connection.request(method, target, data, {**sent, **(headers or {})})
        response = connection.getresponse()
        names = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, names, response.read())
    finally:
        connection.close()


def ask(world: World, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """A request to the front door as a Go agent sends it; a header of "" is left out."""
    sent = {"Authorization": f"Bearer {world.token}", "X-Axway-Tenant-Id": world.tenant}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    return request(world.address, method, path, body, {name: value for name, value in sent.items() if value})


def harvest(world: World, link: str = TOPIC, **parameters: object) -> Answer:
    """A harvester request."""
    query = urlencode(parameters)
    return ask(world, "GET", f"/events{quote(link)}" + (f"?{query}" if query else ""))


def control(world: World, method: str, path: str, body: object = None, **headers: str) -> Answer:
    """A request to the control API."""
    assert world.control_url is not None
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return request(world.control_url.removeprefix("http://"), method, path, body, names)


# ------------------------------------------------------------------------------------------ gRPC
class Watch:
    """One watch call of a stock grpcio client on a connection of its own."""

    def __init__(
        self,
        world: World | Fake,
        link: str | None = TOPIC,
        *,
        token: str | None = None,
        tenant: str | None = None,
        capabilities: tuple[str, ...] = (),
        method: str = WATCH,
        address: str | None = None,
        credentials: grpc.ChannelCredentials | None = None,
        options: Mapping[str, int | str] | None = None,
    ) -> None:
        """`link` None sends no first message."""
        settings: dict[str, int | str] = {
            "grpc.use_local_subchannel_pool": 1,
            "grpc.enable_http_proxy": 0,
            "grpc.enable_retries": 0,
            **(options or {}),
        }
        target, pairs = address or world.address, list(settings.items())
        if credentials is None:
            self.channel = grpc.insecure_channel(target, options=pairs)
        else:
            self.channel = grpc.secure_channel(target, credentials, options=pairs)
        self.token = world.token if token is None else token
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        stub = self.channel.stream_stream(
            method,
            request_serializer=messages.Request.SerializeToString,
            response_deserializer=messages.Event.FromString,
        )
        metadata = (
            ("authorization", f"Bearer {self.token}"),
            ("x-axway-tenant-id", world.tenant if tenant is None else tenant),
        )
        self.call: Any = stub(iter(self._requests.get, None), metadata=metadata, timeout=3 * PATIENCE)
        if link is not None:
            self.subscribe(link, capabilities=capabilities)

    def subscribe(self, link: str = TOPIC, *, token: str | None = None, capabilities: tuple[str, ...] = ()) -> None:
        token = self.token if token is None else token
        self.send(selfLink=link, token=f"Bearer {token}", capabilities=capabilities)

    def send(self, **fields: Any) -> None:
        self._requests.put(messages.Request(**fields))

    def half_close(self) -> None:
        self._requests.put(None)

    def events(self, count: int) -> list[Any]:
        return [next(self.call) for _ in range(count)]

    def sequences(self, count: int) -> list[int]:
        return [event.metadata.sequenceID for event in self.events(count)]

    def end(self) -> tuple[str, str]:
        """How the call ended, name of the code and message; waits for it."""
        timer = threading.Timer(PATIENCE, self.call.cancel)
        timer.start()
        try:
            return self.call.code().name, self.call.details()
        finally:
            timer.cancel()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.call.cancel()
        self._requests.put(None)
        self.channel.close()


def arm(world: World, do: object, on: str, **more: object) -> str:
    """Arm the fault rule `fault`, which strikes once; the name of what it does."""
    rule = parse_fault({"name": "fault", "on": on, "do": do, "times": 1, **more})
    world.arm(rule)
    return rule.do.name


def subscribed(world: World, count: int = 1) -> None:
    """Wait until so many subscriptions of the world were accepted."""
    seen: list[int] = []

    def enough(record: Mapping[str, Any]) -> bool:
        if record["kind"] == "stream.request" and record["request"] == "subscribe" and record["accepted"]:
            seen.append(record["n"])
        return len(seen) >= count

    world.wait_for(enough, PATIENCE)


# ------------------------------------------------------------------------------------------ bytes
@contextmanager
def raw(address: str) -> Iterator[socket.socket]:
    """A bare TCP connection."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        yield connection


def read_all(connection: socket.socket) -> bytes:
    """What comes until the other side closes; a reset counts as a close."""
    received = b""
    try:
        while data := connection.recv(65_536):
            received += data
    except ConnectionError:
        pass
    return received


# ------------------------------------------------------------------------------------------ the command line
MOCKCENTRAL = (sys.executable, "-W", "error", "-m", "mockcentral")
ROOT = Path(__file__).parents[2]


class Fake:
    """`python -m mockcentral serve …` in a process of its own; `ready` is what it said first."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [*MOCKCENTRAL, "serve", "--print-ready", "json", *flags],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the fake did not start: {self.stop(signal.SIGTERM)}")
        self.ready: dict[str, Any] = json.loads(line)
        self.address: str = self.ready["address"]
        self.token: str = self.ready["token"]
        self.tenant: str = self.ready["tenant"]
        self.control: str = self.ready["control_url"].removeprefix("http://")

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Send a signal; returns the exit code and what was written to stderr."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            _, errors = self.process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            _, errors = self.process.communicate()
        return self.process.returncode, errors

    def __enter__(self) -> Fake:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def run(*words: str, code: str | None = None, timeout: float = PATIENCE) -> subprocess.CompletedProcess[str]:
    """`python -m mockcentral WORDS` to its end; with `code` that Python program instead."""
    command = [*MOCKCENTRAL, *words] if code is None else [sys.executable, "-W", "error", "-c", code, *words]
    env = {name: value for name, value in os.environ.items() if not name.startswith("MOCKCENTRAL_")}
    return subprocess.run(
        command, cwd=ROOT, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout
    )
