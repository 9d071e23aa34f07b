"""Where the server is and what the topic is called, out of what users write. Pure text work."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from watchmanager._core.record import Record
from watchmanager.errors import ConfigError, InvalidTopic

DEFAULT_VERSION = "v1"
_LINK = re.compile(r"/[A-Za-z0-9_.-]+/v[0-9][A-Za-z0-9]*/watchtopics/[^/\s?#]+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%]+\]|[^:/\s\[\]@]+)(?::(?P<port>[0-9]{1,5}))?")


class Address(Record):
    """Host (no brackets), port, and whether TLS is spoken."""

    host: str
    port: int
    secure: bool

    @property
    def target(self) -> str:
        """`host:port` for gRPC and authority headers."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://{self.target}"


def parse_address(text: str, *, insecure: bool = False) -> Address:
    """An address from `host`, `host:port`, `http://host:port` or `https://host:port`.

    Without a scheme TLS is spoken unless `insecure`; the port is 443 with TLS and 80 without. Raises ConfigError.
    """
    if not isinstance(text, str) or not text.strip():
        raise ConfigError("the address is empty: write host:port or https://host:port")
    given = text.strip()
    secure = not insecure
    if "@" in given:
        raise ConfigError("the address holds a user name: give a token instead")
    rest = given
    if "://" in given:
        try:
            parts = urlsplit(given)
        except ValueError as error:
            raise ConfigError(f"address {given!r} cannot be read: {error}") from None
        if parts.scheme not in ("http", "https"):
            raise ConfigError(f"address {given!r} starts with {parts.scheme}://: write http:// or https://")
        if parts.path not in ("", "/") or parts.query or parts.fragment:
            raise ConfigError(f"address {given!r} has a path: write only {parts.scheme}://host:port")
        if insecure and parts.scheme == "https":
            raise ConfigError(f"address {given!r} says https and insecure says plain text: drop one of them")
        secure = parts.scheme == "https"
        rest = parts.netloc
    found = _HOST_PORT.fullmatch(rest)
    if found is None:
        raise ConfigError(f"address {given!r} cannot be read: write host:port, [::1]:port or https://host:port")
    port = int(found["port"]) if found["port"] is not None else (443 if secure else 80)
    if not 1 <= port <= 65535:
        raise ConfigError(f"address {given!r} has port {port}: it must be from 1 to 65535")
    return Address(found["host"].strip("[]"), port, secure)


def topic_link(text: str, version: str = DEFAULT_VERSION) -> str:
    """The selfLink of a topic from its name or selfLink. Raises InvalidTopic."""
    given = text.strip() if isinstance(text, str) else ""
    if _LINK.fullmatch(given):
        return given
    if _NAME.fullmatch(given):
        return f"/management/{version}/watchtopics/{given}"
    raise InvalidTopic(
        f"topic {text!r} is neither a name nor a selfLink: write my-topic or /management/{version}/watchtopics/my-topic"
    )
