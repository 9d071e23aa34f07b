"""Protobuf to our own types and back: the only module of the fake that knows what a message looks like.

Events are encoded when somebody first needs them and then kept on their `TopicEvent`, gRPC prefix included, so the
number of subscribers does not matter.
"""

from __future__ import annotations

import struct

from google.protobuf.message import DecodeError

from mockcentral._core.calls import WatchRequest
from mockcentral._core.events import TopicEvent
from mockcentral.wire import messages

_PREFIX = struct.Struct(">BI")
PREFIX_SIZE = _PREFIX.size
"""Bytes before each gRPC message, which say how long it is."""


def decode_request(data: bytes) -> WatchRequest:
    """A message from a client. Raises ValueError when it is no Request (protocol 1.2)."""
    try:
        request = messages.Request.FromString(data)
    except DecodeError:
        raise ValueError("the message is not a central.events.v1.Request") from None
    return WatchRequest(
        self_link=request.selfLink,
        token=request.token,
        request_type=request.requestType if request.HasField("requestType") else None,
        state=request.agentStatus.state[:200],
        message=request.agentStatus.message[:1000],
        capabilities=tuple(request.capabilities[:32]),
        ping_id=request.pingResponse.id[:200] if request.HasField("pingResponse") else None,
    )


def frame(message: bytes) -> bytes:
    """A gRPC message: uncompressed, with its length."""
    return _PREFIX.pack(0, len(message)) + message


def event_frame(entry: TopicEvent) -> bytes:
    """The gRPC message of an event, made once per entry."""
    if entry.frame is None:
        entry.frame = frame(encode_event(entry))
    return entry.frame


def encode_event(entry: TopicEvent) -> bytes:
    """An Event message (protocol 1.2). PING events carry neither payload nor sequence (protocol 1.7)."""
    event, change = entry.event, entry.event.change
    out = messages.Event(id=event.id, time=event.time, version="v1", product="AmplifyCentral", correlationId=event.id)
    out.organization.id = event.organization
    out.type = int(change.op) if entry.type_number is None else entry.type_number
    if change.op.name == "PING":
        return out.SerializeToString()
    payload = out.payload
    payload.group, payload.kind, payload.name = change.group, change.kind, change.name
    payload.attributes.update(change.attributes)
    metadata = payload.metadata
    metadata.id, metadata.selfLink = change.resource_id, change.self_link
    # Always there: Go handlers follow metadata.scope without looking (protocol 1.7).
    metadata.scope.SetInParent()
    if change.scope is not None:
        scope = metadata.scope
        scope.id, scope.kind, scope.name = change.scope.id, change.scope.kind, change.scope.name
        scope.selfLink = change.scope.self_link
    for reference in change.references:
        metadata.references.add(
            id=reference.id,
            kind=reference.kind,
            name=reference.name,
            scopeKind=reference.scope_kind,
            scopeName=reference.scope_name,
            selfLink=reference.self_link,
            type=messages.HARD if reference.type == "HARD" else messages.SOFT,
        )
    meta = out.metadata
    meta.watchTopicID, meta.watchTopicSelfLink = entry.topic_id, entry.topic_link
    meta.sequenceID = event.sequence
    meta.subresource = change.subresource
    return out.SerializeToString()
