"""A client of the Amplify Central watch service that misses nothing.

    import watchmanager as wm

    async with wm.AsyncWatchManager("https://apicentral.axway.com", tenant_id="1234567", token=get_token) as manager:
        async for event in manager.watch("my-topic"):
            ...

Names are imported when they are first used, so that `import watchmanager` costs nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from watchmanager._core.status import State, WatchStatus
    from watchmanager.aio import AsyncWatch, AsyncWatchManager
    from watchmanager.auth import ClientCredentials, Token, TokenLike
    from watchmanager.checkpoints import CheckpointStore, FileCheckpoints, MappingCheckpoints, MemoryCheckpoints
    from watchmanager.decisions import HandlerRetry, Raise, Retry, Skip, Stop
    from watchmanager.errors import (
        AuthError,
        CheckpointCorrupt,
        CheckpointError,
        CheckpointLocked,
        CheckpointWriteFailed,
        ConfigError,
        ConnectError,
        ConnectTimeout,
        DataError,
        DecodeError,
        EventTooLarge,
        ForkedProcessError,
        HandlerError,
        HistoryError,
        HistoryProtocolError,
        HistoryUnreachable,
        InvalidTopic,
        LifecycleError,
        NameResolutionError,
        NotGrpcError,
        PeerUnresponsive,
        PermissionDenied,
        ProxyError,
        SequenceExpired,
        SequenceRegressed,
        ServerClosed,
        StreamError,
        StreamReset,
        TLSError,
        TokenExpired,
        TokenProviderError,
        TooManyPings,
        TopicError,
        TopicNotFound,
        Unauthenticated,
        UnsupportedServer,
        WatchClosed,
        WatchError,
        WrongLoopError,
    )
    from watchmanager.events import Event, EventType, Gap, GapReason, Item, Reference, Resource, Scope
    from watchmanager.policy import TLS, Backoff, Buffer, History, Keepalive, Proxy
    from watchmanager.sql import SqlCheckpoints
    from watchmanager.sync import Watch, WatchManager

    CREATED = EventType.CREATED
    UPDATED = EventType.UPDATED
    DELETED = EventType.DELETED
    SUBRESOURCEUPDATED = EventType.SUBRESOURCEUPDATED
    TRIGGERACTION = EventType.TRIGGERACTION

__version__ = "0.1.0"

_WHERE = {
    "watchmanager._core.status": ("State", "WatchStatus"),
    "watchmanager.aio": ("AsyncWatch", "AsyncWatchManager"),
    "watchmanager.sync": ("Watch", "WatchManager"),
    "watchmanager.auth": ("ClientCredentials", "Token", "TokenLike"),
    "watchmanager.checkpoints": ("CheckpointStore", "FileCheckpoints", "MappingCheckpoints", "MemoryCheckpoints"),
    "watchmanager.decisions": ("HandlerRetry", "Raise", "Retry", "Skip", "Stop"),
    "watchmanager.events": ("Event", "EventType", "Gap", "GapReason", "Item", "Reference", "Resource", "Scope"),
    "watchmanager.sql": ("SqlCheckpoints",),
    "watchmanager.policy": ("Backoff", "Buffer", "History", "Keepalive", "Proxy", "TLS"),
    "watchmanager.errors": (
        "AuthError",
        "CheckpointCorrupt",
        "CheckpointError",
        "CheckpointLocked",
        "CheckpointWriteFailed",
        "ConfigError",
        "ConnectError",
        "ConnectTimeout",
        "DataError",
        "DecodeError",
        "EventTooLarge",
        "ForkedProcessError",
        "HandlerError",
        "HistoryError",
        "HistoryProtocolError",
        "HistoryUnreachable",
        "InvalidTopic",
        "LifecycleError",
        "NameResolutionError",
        "NotGrpcError",
        "PeerUnresponsive",
        "PermissionDenied",
        "ProxyError",
        "SequenceExpired",
        "SequenceRegressed",
        "ServerClosed",
        "StreamError",
        "StreamReset",
        "TLSError",
        "TokenExpired",
        "TokenProviderError",
        "TooManyPings",
        "TopicError",
        "TopicNotFound",
        "Unauthenticated",
        "UnsupportedServer",
        "WatchClosed",
        "WatchError",
        "WrongLoopError",
    ),
}
_TYPES = ("CREATED", "UPDATED", "DELETED", "SUBRESOURCEUPDATED", "TRIGGERACTION")

__all__ = [
    "CREATED",
    "DELETED",
    "SUBRESOURCEUPDATED",
    "TLS",
    "TRIGGERACTION",
    "UPDATED",
    "AsyncWatch",
    "AsyncWatchManager",
    "AuthError",
    "Backoff",
    "Buffer",
    "CheckpointCorrupt",
    "CheckpointError",
    "CheckpointLocked",
    "CheckpointStore",
    "CheckpointWriteFailed",
    "ClientCredentials",
    "ConfigError",
    "ConnectError",
    "ConnectTimeout",
    "DataError",
    "DecodeError",
    "Event",
    "EventTooLarge",
    "EventType",
    "FileCheckpoints",
    "ForkedProcessError",
    "Gap",
    "GapReason",
    "HandlerError",
    "HandlerRetry",
    "History",
    "HistoryError",
    "HistoryProtocolError",
    "HistoryUnreachable",
    "InvalidTopic",
    "Item",
    "Keepalive",
    "LifecycleError",
    "MappingCheckpoints",
    "MemoryCheckpoints",
    "NameResolutionError",
    "NotGrpcError",
    "PeerUnresponsive",
    "PermissionDenied",
    "Proxy",
    "ProxyError",
    "Raise",
    "Reference",
    "Resource",
    "Retry",
    "Scope",
    "SequenceExpired",
    "SequenceRegressed",
    "ServerClosed",
    "Skip",
    "SqlCheckpoints",
    "State",
    "Stop",
    "StreamError",
    "StreamReset",
    "TLSError",
    "Token",
    "TokenExpired",
    "TokenLike",
    "TokenProviderError",
    "TooManyPings",
    "TopicError",
    "TopicNotFound",
    "Unauthenticated",
    "UnsupportedServer",
    "Watch",
    "WatchClosed",
    "WatchError",
    "WatchManager",
    "WatchStatus",
    "WrongLoopError",
]


def __getattr__(name: str) -> object:
    import importlib

    if name in _TYPES:
        from watchmanager.events import EventType

        value: object = EventType[name]
    else:
        module = next((module for module, names in _WHERE.items() if name in names), None)
        if module is None:
            raise AttributeError(f"module 'watchmanager' has no attribute {name!r}")
        value = getattr(importlib.import_module(module), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
