"""What `grpc-status-details-bin` says about trying again: a google.rpc.Status (code 1, message 2, details 3), in it an
Any (type_url 1, value 2) with a google.rpc.RetryInfo (retry_delay 1), a Duration (seconds 1, nanos 2).

Read by hand: it is one number, and the package that has these messages is not worth depending on for it.
"""

from __future__ import annotations

from collections.abc import Iterator

_RETRY_INFO = b"google.rpc.RetryInfo"


def retry_delay(details: bytes) -> float | None:
    """The seconds RetryInfo asks for, from 0; None when there is none, or these bytes are no Status."""
    try:
        for number, detail in _fields(details):
            if number != 3 or not isinstance(detail, bytes):
                continue
            packed = dict(_fields(detail))
            url, value = packed.get(1), packed.get(2, b"")
            if isinstance(url, bytes) and url.rpartition(b"/")[2] == _RETRY_INFO and isinstance(value, bytes):
                duration = dict(_fields(value)).get(1, b"")
                parts = dict(_fields(duration)) if isinstance(duration, bytes) else {}
                seconds, nanos = parts.get(1, 0), parts.get(2, 0)
                if isinstance(seconds, int) and isinstance(nanos, int) and seconds < 1 << 63 and nanos < 1_000_000_000:
                    return seconds + nanos / 1e9
    except (IndexError, ValueError):
        pass
    return None


def _fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Number and value of each field; fixed ones as their bytes. IndexError or ValueError when it is no message."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield key >> 3, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if size > len(data) - at:
            raise ValueError("cut short")
        yield key >> 3, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ValueError("a number of more than ten bytes")
