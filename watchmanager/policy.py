"""How a watch should behave, as frozen settings that are checked when they are made. Knows no I/O.

Seconds are floats. A wrong value raises `ConfigError` naming the field, the value and what may stand there.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Literal

from watchmanager.errors import ConfigError


def _check(owner: object, name: str, minimum: float, maximum: float = math.inf) -> None:
    value = getattr(owner, name)
    what = f"{type(owner).__name__}.{name}"
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise ConfigError(f"{what} is {value!r}: it must be a number")
    if not minimum <= value <= maximum:
        limit = f"at least {minimum:g}" if maximum == math.inf else f"from {minimum:g} to {maximum:g}"
        raise ConfigError(f"{what} is {value!r}: it must be {limit}")


def _check_whole(owner: object, name: str, minimum: int, maximum: float = math.inf) -> None:
    value = getattr(owner, name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{type(owner).__name__}.{name} is {value!r}: it must be a whole number")
    _check(owner, name, minimum, maximum)


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How long to wait before the next try: full jitter, so a fleet does not come back in step.

    After a stream on which the server said nothing the wait is drawn from 0 to `initial * multiplier ** failures`, at
    most `maximum`. After one that had delivered it is drawn from 0 to `rotation`; when such streams keep ending younger
    than `min_life` it grows, at most to `rotation_maximum`. Failures are forgotten after a stream on which the server
    said something and which lived `min_life`: a connection alone proves nothing.
    """

    initial: float = 0.5
    maximum: float = 60.0
    multiplier: float = 2.0
    min_life: float = 10.0
    rotation: float = 1.0
    rotation_maximum: float = 5.0

    def __post_init__(self) -> None:
        _check(self, "initial", 0.001)
        _check(self, "maximum", 0.001)
        _check(self, "multiplier", 1.0, 100.0)
        _check(self, "min_life", 0.0)
        _check(self, "rotation", 0.0)
        _check(self, "rotation_maximum", 0.0)
        if self.initial > self.maximum:
            raise ConfigError(f"Backoff.initial is {self.initial!r}: it must not exceed maximum, {self.maximum!r}")
        if self.rotation > self.rotation_maximum:
            raise ConfigError(f"Backoff.rotation is {self.rotation!r}: it must not exceed rotation_maximum")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keepalive:
    """How a dead peer is noticed.

    `interval` and `timeout`: an HTTP/2 PING every `interval` seconds, the connection is dead when no ack came within
    `timeout`; 50 and 10 as the Go client. `silence`: the stream is replaced when the server said nothing for that long;
    "auto" learns the rhythm of its PING events and allows 2.5 times that (never below `silence_minimum`), None never. A
    number must be well above that rhythm, or streams are replaced that have nothing wrong with them.
    """

    interval: float = 50.0
    timeout: float = 10.0
    silence: float | Literal["auto"] | None = "auto"
    silence_minimum: float = 60.0

    def __post_init__(self) -> None:
        _check(self, "interval", 1.0)
        _check(self, "timeout", 0.1)
        _check(self, "silence_minimum", 0.1)
        if self.silence is not None and self.silence != "auto":
            _check(self, "silence", 0.1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Buffer:
    """How much may wait between the stream and a slow handler.

    On overflow "spill" closes the stream and reads on from history once there is room: bounded memory and no loss.
    "block" stops reading, which also stops the answers to the server's PINGs; it is what happens when history is off.
    `recent` is how many sequences are remembered to recognise duplicates.
    """

    max_events: int = 10_000
    max_bytes: int = 64 * 1024 * 1024
    on_overflow: Literal["spill", "block"] = "spill"
    recent: int = 100_000

    def __post_init__(self) -> None:
        _check_whole(self, "max_events", 2)
        _check_whole(self, "max_bytes", 1024)
        _check_whole(self, "recent", 1)
        if self.on_overflow not in ("spill", "block"):
            raise ConfigError(f"Buffer.on_overflow is {self.on_overflow!r}: write 'spill' or 'block'")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """How the history service (the "harvester", protocol 3) is used.

    `url` is where it is, the manager's own address when None. `audit_interval`: every so often history is compared with
    what was delivered, None for never. `overlap`: a rejoin starts from what history confirmed last, unless more events
    than this came over the stream since; then it starts from the newest delivered and audits the rest afterwards.
    `confirm`: a checkpoint moves only as far as history has confirmed, so that not even what a stream left out can be
    lost with your process; what came since the last audit comes again to the next one.
    """

    url: str | None = None
    page_size: int = 100
    timeout: float = 60.0
    audit_interval: float | None = 300.0
    overlap: int = 1000
    confirm: bool = False

    def __post_init__(self) -> None:
        _check_whole(self, "page_size", 1, 100_000)
        _check(self, "timeout", 0.1)
        _check_whole(self, "overlap", 0)
        if self.audit_interval is not None:
            _check(self, "audit_interval", 0.1)
        elif self.confirm:
            raise ConfigError("History.confirm needs audits: give audit_interval a number of seconds, or drop confirm")
        if not isinstance(self.confirm, bool):
            raise ConfigError(f"History.confirm is {self.confirm!r}: it must be True or False")
        if self.url is not None and not self.url.startswith(("http://", "https://")):
            from watchmanager._core.proxies import redact

            raise ConfigError(f"History.url is {redact(self.url)!r}: it must start with http:// or https://")


@dataclass(frozen=True, slots=True, kw_only=True)
class TLS:
    """How the server is trusted and which TLS is spoken.

    `ca`: a PEM file that is trusted instead of the operating system's store. `extra_ca`: one that is trusted as well.
    `cert` and `key`: PEM files for mutual TLS. `server_name` replaces the host name in SNI, in the check of the
    certificate and in the stream's `:authority`. `minimum_version`: "1.2" or "1.3". `ciphers`: OpenSSL's names of the
    suites allowed with TLS 1.2, joined by colons; those of TLS 1.3 cannot be chosen.
    """

    ca: str | None = None
    extra_ca: str | None = None
    cert: str | None = None
    key: str | None = None
    server_name: str | None = None
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    ciphers: str | None = None

    def __post_init__(self) -> None:
        if (self.cert is None) != (self.key is None):
            raise ConfigError("TLS.cert and TLS.key belong together: give both or neither")
        if self.minimum_version not in ("1.2", "1.3"):
            raise ConfigError(f"TLS.minimum_version is {self.minimum_version!r}: write '1.2' or '1.3'")
        for name in ("ca", "extra_ca", "cert", "key"):
            value = getattr(self, name)
            if value is not None and not isinstance(value, (str, os.PathLike)):
                raise ConfigError(f"TLS.{name} is {value!r}: write the path of a PEM file")
        if self.ciphers is not None and not isinstance(self.ciphers, str):
            raise ConfigError(f"TLS.ciphers is {self.ciphers!r}: write names of suites, joined by colons")
        if self.server_name is not None:
            from watchmanager._core.proxies import is_host

            if not isinstance(self.server_name, str) or not self.server_name.isascii() or not is_host(self.server_name):
                raise ConfigError(f"TLS.server_name is {self.server_name!r}: write a host name, without a port")

    def read(self, name: Literal["ca", "extra_ca", "cert", "key"]) -> bytes | None:
        """The file's bytes, None when the field is. Raises ConfigError naming the file."""
        path = getattr(self, name)
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError as error:
            raise ConfigError(f"TLS.{name}: cannot read {path!r}: {error.strerror}") from error
        if b"-----BEGIN" not in data:
            raise ConfigError(f"TLS.{name}: {path!r} is no PEM file")
        return data


@dataclass(frozen=True, slots=True, kw_only=True)
class Proxy:
    """Through which proxy the server is reached: `http://[user:password@]host:port`, `https://...` or `socks5://...`.

    `socks5h://` leaves the server's name for the proxy to resolve. `no_proxy` lists what is reached directly: hosts
    with what is below them, `.domain`, addresses, `network/bits`, each with `:port` if wanted, and `*`. With
    `trust_env` and no `url`, the variables grpc_proxy, https_proxy, all_proxy and no_proxy count, in lower or upper
    case; docs/proxies-and-tls.md has the order.
    """

    url: str | None = None
    no_proxy: tuple[str, ...] = ()
    trust_env: bool = False

    def __post_init__(self) -> None:
        from watchmanager._core.proxies import NoProxy, parse_proxy

        if self.url is not None:
            parse_proxy(self.url, "Proxy.url")
        if isinstance(self.no_proxy, str):
            raise ConfigError(f"Proxy.no_proxy is the text {self.no_proxy!r}: write a tuple of texts")
        NoProxy.parse(self.no_proxy, "Proxy.no_proxy")

    def __repr__(self) -> str:
        from watchmanager._core.proxies import redact

        shown = None if self.url is None else redact(self.url)
        return f"Proxy(url={shown!r}, no_proxy={self.no_proxy!r}, trust_env={self.trust_env!r})"
