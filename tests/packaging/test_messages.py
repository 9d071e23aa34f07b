"""The generated messages: in step with `proto/`, at home beside any `watch.proto`, true to the protocol page."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from google.protobuf import descriptor_pool

from mockcentral.wire import messages as server_messages
from watchmanager._wire import messages as client_messages

ROOT = Path(__file__).resolve().parents[2]
COPIES = pytest.mark.parametrize("messages", [server_messages, client_messages], ids=["mockcentral", "watchmanager"])


@pytest.fixture
def generator() -> ModuleType:
    pytest.importorskip("grpc_tools", reason="needs grpcio-tools to compile proto/")
    spec = importlib.util.spec_from_file_location("generate_messages", ROOT / "tools" / "generate_messages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_both_copies_say_what_proto_says(generator: ModuleType) -> None:
    assert generator.drift(generator.compile_protos()) == []


def test_a_changed_proto_shows_as_drift(generator: ModuleType) -> None:
    files = generator.compile_protos()
    watch = next(file for file in files if file.name == "watch.proto")
    request = next(message for message in watch.message_type if message.name == "Request")
    request.field.add(name="colour", number=7, type=9, label=1, json_name="colour")
    complaints = generator.drift(files)
    assert [line for line in complaints if "does not hold the messages of proto/" in line] == [
        "mockcentral/wire/messages.py does not hold the messages of proto/",
        "watchmanager/_wire/messages.py does not hold the messages of proto/",
    ]


OTHER_WATCH_PROTO = """
syntax = "proto3";
package somebody.elses;
message Event { int32 colour = 1; }
"""

ROUND_TRIP = """
event = server.Event(
    id="e", type=server.SUBRESOURCEUPDATED,
    payload=server.ResourceInstance(
        kind="APIService", attributes={"a": "b"},
        metadata=server.Metadata(scope=server.ScopeKind(name="s"), references=[server.Reference(type=server.HARD)]),
    ),
    metadata=server.EventMeta(sequenceID=2**62),
)
event.metadata.actionDetails.type_url = "somewhere/Thing"
again = client.Event.FromString(event.SerializeToString())
assert again.metadata.sequenceID == 2**62 and again.type == client.SUBRESOURCEUPDATED
assert again.payload.attributes["a"] == "b" and again.payload.metadata.references[0].type == client.HARD
assert again.metadata.actionDetails.type_url == "somewhere/Thing"
"""


@pytest.mark.parametrize("order", ["theirs first", "ours first"])
@pytest.mark.parametrize("theirs", ["a copy of ours", "another file of that name"])
def test_both_copies_live_beside_another_packages_watch_proto(tmp_path: Path, theirs: str, order: str) -> None:
    protoc = pytest.importorskip("grpc_tools.protoc", reason="needs grpcio-tools to make the other package")
    sources = ROOT / "proto"
    if theirs == "another file of that name":
        sources = tmp_path / "sources"
        sources.mkdir()
        (sources / "watch.proto").write_text(OTHER_WATCH_PROTO)
    well_known = Path(protoc.__file__).parent / "_proto"
    names = [path.name for path in sources.glob("*.proto")]
    assert protoc.main(["protoc", f"-I{sources}", f"-I{well_known}", f"--python_out={tmp_path}", *names]) == 0
    imports = ["import watch_pb2", "from mockcentral.wire import messages as server"]
    imports.append("from watchmanager._wire import messages as client")
    if order == "ours first":
        imports.reverse()
    program = "\n".join([*imports, ROUND_TRIP, "assert watch_pb2.Event is not client.Event is not server.Event"])
    _run_alone(program, tmp_path)


# What a generated module of another package does, whichever protoc made it: it fills the process-wide pool.
THE_SAME_NAMES = """
from binascii import a2b_base64
from google.protobuf import any_pb2, descriptor_pool, message_factory
from mockcentral.wire import messages as server
for file in server._FILES[1:]:
    descriptor_pool.Default().AddSerializedFile(a2b_base64(file))
theirs = message_factory.GetMessageClass(descriptor_pool.Default().FindMessageTypeByName("central.events.v1.Event"))
from watchmanager._wire import messages as client
assert theirs is not server.Event and theirs is not client.Event
"""


def test_both_copies_live_beside_the_same_names_in_the_process_wide_pool() -> None:
    _run_alone(THE_SAME_NAMES + ROUND_TRIP)


def _run_alone(program: str, *path: Path) -> None:
    """Run it in a process of its own, so that what it registers harms nobody; warnings are errors."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, ROOT]))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@COPIES
def test_nothing_of_ours_enters_the_process_wide_pool(messages: ModuleType) -> None:
    own = messages.Event.DESCRIPTOR.file.pool
    assert own is not descriptor_pool.Default()
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("central.events.v1.Event")


@COPIES
def test_a_request_tells_an_absent_type_from_a_zero(messages: ModuleType) -> None:
    assert not messages.Request.FromString(b"").HasField("requestType")
    explicit = messages.Request(requestType=messages.TOKEN_REFRESH).SerializeToString()
    assert messages.Request.FromString(explicit).HasField("requestType")


@COPIES
def test_the_oldest_clients_request_is_read(messages: ModuleType) -> None:
    # Two strings, fields 1 and 2: all that v1.1.91 knows.
    old = b"\x0a\x02/t\x12\x08Bearer x"
    request = messages.Request.FromString(old)
    assert (request.selfLink, request.token, list(request.capabilities)) == ("/t", "Bearer x", [])
    assert request.SerializeToString() == old


# Protocol 1.2, written out again by hand: the generator cannot agree with itself here.
FIELDS = {
    "AgentContext": {"environmentName": 2, "agentName": 3},
    "AgentStatus": {"state": 1, "message": 2, "context": 3},
    "PingResponse": {"id": 1},
    "Request": {
        "selfLink": 1,
        "token": 2,
        "requestType": 3,
        "agentStatus": 4,
        "capabilities": 5,
        "pingResponse": 6,
    },
    "Event": {
        "id": 1,
        "time": 2,
        "version": 3,
        "product": 4,
        "correlationId": 5,
        "organization": 6,
        "type": 7,
        "payload": 8,
        "metadata": 9,
    },
    "EventMeta": {
        "watchTopicID": 1,
        "watchTopicSelfLink": 2,
        "sequenceID": 3,
        "subresource": 4,
        "actionDetails": 5,
    },
    "Organization": {"id": 1},
    "ResourceInstance": {"group": 1, "kind": 2, "name": 4, "metadata": 5, "attributes": 6},
    "Metadata": {"id": 1, "scope": 2, "selfLink": 6, "references": 7},
    "ScopeKind": {"id": 1, "kind": 2, "name": 3, "selfLink": 4},
    "Owner": {"id": 1, "type": 2},
    "Reference": {
        "id": 1,
        "kind": 2,
        "name": 3,
        "scopeKind": 4,
        "scopeName": 5,
        "selfLink": 6,
        "type": 7,
    },
}
CONSTANTS = {
    "TOKEN_REFRESH": 0,
    "AGENT_STATUS": 1,
    "PING_RESPONSE": 2,
    "CREATED": 0,
    "UPDATED": 1,
    "DELETED": 2,
    "SUBRESOURCEUPDATED": 3,
    "TRIGGERACTION": 4,
    "PING": 5,
    "SOFT": 0,
    "HARD": 1,
    "TEAM": 0,
}


@COPIES
def test_fields_and_numbers_are_the_protocols(messages: ModuleType) -> None:
    found = {name: {field.name: field.number for field in getattr(messages, name).DESCRIPTOR.fields} for name in FIELDS}
    assert found == FIELDS
    assert {name: getattr(messages, name) for name in CONSTANTS} == CONSTANTS
    assert sorted(messages.__all__) == sorted([*FIELDS, *CONSTANTS])


@COPIES
def test_the_call_is_lower_case_on_the_wire(messages: ModuleType) -> None:
    service = messages.Event.DESCRIPTOR.file.services_by_name["watch"]
    method = service.methods_by_name["subscribe"]
    assert f"/{service.full_name}/{method.name}" == "/central.events.v1.watch/subscribe"
