"""The few TLS records that no library of today would write."""

from __future__ import annotations

_HANDSHAKE, _SERVER_HELLO = 0x16, 0x02
_TLS_1_1 = b"\x03\x02"
_RSA_AES128_SHA = b"\x00\x2f"


def old_server_hello(random: bytes = bytes(32)) -> bytes:
    """The ServerHello of a server that knows nothing newer than TLS 1.1 (RFC 4346 7.4.1.3): whatever the client
    offered, this is what it gets.
    """
    hello = _TLS_1_1 + random + b"\0" + _RSA_AES128_SHA + b"\0"
    message = bytes((_SERVER_HELLO,)) + len(hello).to_bytes(3, "big") + hello
    return bytes((_HANDSHAKE,)) + _TLS_1_1 + len(message).to_bytes(2, "big") + message
