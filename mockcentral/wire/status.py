"""google.rpc.Status, the message behind `grpc-status-details-bin`, as far as a fake needs it: written, never read.

By hand, because the published messages are another package, and four fields are not worth it.
"""

from __future__ import annotations

_TYPES = "type.googleapis.com/google.rpc."


def error_details(code: int, message: str, reason: str | None, domain: str, retry_delay: float | None) -> bytes:
    """A serialized google.rpc.Status with an ErrorInfo (given a `reason`) and a RetryInfo (given `retry_delay`, in
    seconds).
    """
    parts = [_number(1, code), _bytes(2, message.encode())]
    if reason is not None:
        parts.append(_any("ErrorInfo", _bytes(1, reason.encode()) + _bytes(2, domain.encode())))
    if retry_delay is not None:
        seconds, nanos = divmod(round(retry_delay * 1_000_000_000), 1_000_000_000)
        parts.append(_any("RetryInfo", _bytes(1, _number(1, seconds) + _number(2, nanos))))
    return b"".join(parts)


def _any(name: str, value: bytes) -> bytes:
    return _bytes(3, _bytes(1, (_TYPES + name).encode()) + _bytes(2, value))


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value) if value else b""


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
