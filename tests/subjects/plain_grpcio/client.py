"""A client under test with none of our code: classes that grpcio-tools makes from `proto/`, grpcio, urllib, a loop.

    python client.py        configured by the MOCKCENTRAL_* variables; plain text only, no TLS

What anybody would write in an afternoon and still get right: open the stream first, read the history after it, join the
two by sequence, and ask the history again at the first word of the stream and whenever it has been quiet. Prints a JSON
line an applied event. Exits 0 on SIGTERM and SIGINT, or after MOCKCENTRAL_EXPECT_EVENTS events.
"""

from __future__ import annotations

import base64
import importlib
import json
import os
import queue
import signal
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import grpc
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parents[3] / "proto"
HTTP_URL = os.environ["MOCKCENTRAL_HTTP_URL"]
TENANT, TOPIC = os.environ["MOCKCENTRAL_TENANT"], os.environ["MOCKCENTRAL_TOPIC"]
EXPECT = int(os.environ.get("MOCKCENTRAL_EXPECT_EVENTS", "0"))
QUIET = 1.0  # seconds without an event after which the history is asked again
RETRY = 0.2  # seconds before the next attempt
OPS = {"ResourceCreated": 0, "ResourceUpdated": 1, "ResourceDeleted": 2, "SubResourceUpdated": 3}


def make_classes() -> tuple[Any, Any]:
    """The modules `watch_pb2` and `watch_pb2_grpc`, made now."""
    folder = tempfile.mkdtemp(prefix="plain-grpcio-")
    include = [f"-I{PROTO}", f"-I{Path(protoc.__file__).parent / '_proto'}"]
    names = [str(path) for path in PROTO.glob("*.proto")]
    if protoc.main(["protoc", *include, f"--python_out={folder}", f"--grpc_python_out={folder}", *names]) != 0:
        raise SystemExit("protoc refused proto/")
    sys.path.insert(0, folder)
    return importlib.import_module("watch_pb2"), importlib.import_module("watch_pb2_grpc")


def get_token() -> tuple[str, float]:
    """A new token and the seconds it lives. Without a registered key the endpoint takes any assertion."""
    parts = ({"alg": "RS256"}, {"sub": "plain-grpcio", "exp": int(time.time()) + 60})
    encoded = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts]
    form = {
        "grant_type": "client_credentials",
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": ".".join([*encoded, "c2lnbmF0dXJl"]),
    }
    url = os.environ["MOCKCENTRAL_AUTH_URL"] + "/realms/Broker/protocol/openid-connect/token"
    with urllib.request.urlopen(url, urllib.parse.urlencode(form).encode(), timeout=10) as answer:
        body = json.load(answer)
    return body["access_token"], float(body["expires_in"])


class Client:
    """Where it stands is one number: the sequence of the last event applied."""

    def __init__(self) -> None:
        self.classes, self.stubs = make_classes()
        self.token, self.refresh_at = "", 0.0
        self.last: int | None = None
        self.applied = 0

    def run(self) -> None:
        """One attempt after the other. Whatever goes wrong in one is a reason for the next, never for giving up."""
        while True:
            try:
                self.attempt()
            except (grpc.RpcError, OSError) as error:
                reason = error.code() if isinstance(error, grpc.RpcError) else error
                print(f"plain_grpcio: {reason}", file=sys.stderr, flush=True)
            time.sleep(RETRY)

    def attempt(self) -> None:
        """One stream, until it ends."""
        requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()
        requests.put(self.new_request())
        if self.last is None:
            newest = self.get_events({"pageSize": 1, "sort": "sequenceID,DESC"})
            self.last = newest[0]["metadata"]["sequenceID"] if newest else 0
        metadata = [("authorization", f"Bearer {self.token}"), ("x-axway-tenant-id", TENANT)]
        with grpc.insecure_channel(os.environ["MOCKCENTRAL_ADDRESS"]) as channel:
            call = self.stubs.watchStub(channel).subscribe(iter(requests.get, None), metadata=metadata)
            threading.Thread(target=self.read, args=(call, inbox), daemon=True).start()
            try:
                self.catch_up()
                heard = False
                while True:
                    if time.monotonic() >= self.refresh_at:
                        requests.put(self.new_request())
                    try:
                        event = inbox.get(timeout=QUIET)
                    except queue.Empty:
                        # An event published after the last look and before the stream stood would never come by itself.
                        self.catch_up()
                        continue
                    if isinstance(event, Exception):
                        raise event
                    if not heard:
                        # Such an event would be older than the first that the stream brings.
                        self.catch_up()
                        heard = True
                    self.apply(event.metadata.sequenceID, event.id, self.classes.Event.Type.Name(event.type))
            finally:
                call.cancel()
                requests.put(None)

    @staticmethod
    def read(call: Any, inbox: queue.SimpleQueue[Any]) -> None:
        try:
            for event in call:
                inbox.put(event)
            inbox.put(OSError("the stream ended with OK"))
        except grpc.RpcError as error:
            inbox.put(error)

    def new_request(self) -> Any:
        """A subscription or a refresh: on the wire they are the same."""
        self.token, life = get_token()
        self.refresh_at = time.monotonic() + life * 0.6
        return self.classes.Request(selfLink=TOPIC, token=f"Bearer {self.token}")

    def get_events(self, query: dict[str, Any]) -> list[Any]:
        url = f"{HTTP_URL}/events{TOPIC}?{urllib.parse.urlencode(query)}"
        headers = {"Authorization": f"Bearer {self.token}", "X-Axway-Tenant-Id": TENANT}
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
            events: list[Any] = json.load(answer)
        return events

    def catch_up(self) -> None:
        """Everything newer than the last event applied, page by page, always the first page of what is left."""
        while True:
            query = {"page": 1, "pageSize": 100, "query": f"sequenceID>{self.last}", "sort": "sequenceID,ASC"}
            try:
                events = self.get_events(query)
            except urllib.error.HTTPError as error:
                if error.code != 410:
                    raise
                self.last = int(error.headers["X-Axway-Max-Sequence-Id"])  # what lies before is gone for good
                return
            if not events:
                return
            for event in events:
                op = self.classes.Event.Type.Name(OPS[event["type"]])
                self.apply(event["metadata"]["sequenceID"], event["id"], op)

    def apply(self, sequence: int, event_id: str, op: str) -> None:
        if self.last is not None and sequence <= self.last:
            return
        self.last = sequence
        print(json.dumps({"type": "applied", "sequence": sequence, "id": event_id, "op": op}), flush=True)
        self.applied += 1
        if self.applied == EXPECT:
            os._exit(0)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    Client().run()
