"""Which way to a server: directly, or through which proxy. A decision from settings and an environment; opens nothing.

One decision is made for the address that is dialled, and both gRPC and HTTP follow it. The rules, first match wins:

    1. `Proxy.url`, unless `Proxy.no_proxy` lists the host. The environment is not looked at.
    2. with `Proxy.trust_env`: `grpc_proxy`, then `https_proxy` (`http_proxy` for a server without TLS), then
       `all_proxy`, unless `no_grpc_proxy` (else `no_proxy`) or `Proxy.no_proxy` lists the host
    3. directly

Variables are read in lower case, then in upper case; an empty one counts as not set and hides its upper-case twin.
`HTTP_PROXY` in upper case is ignored where `REQUEST_METHOD` is set: in a CGI program whoever asks chooses it.

Tools disagree about what a wrong value means; mostly they connect directly and say nothing. Here it is a `ConfigError`.
"""

from __future__ import annotations

import base64
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal
from urllib.parse import unquote, urlsplit

from watchmanager._core.record import Record
from watchmanager.errors import ConfigError
from watchmanager.policy import Proxy

Scheme = Literal["http", "https", "socks5", "socks5h"]
SCHEMES: tuple[Scheme, ...] = ("http", "https", "socks5", "socks5h")
_WRITE = "write http://, https://, socks5:// or socks5h://, then host:port"


@dataclass(frozen=True, slots=True)
class Target:
    """A server: `host` is a name or an IP address without brackets."""

    host: str
    port: int
    tls: bool = True

    def __post_init__(self) -> None:
        if not self.host.isascii():
            try:
                object.__setattr__(self, "host", self.host.encode("idna").decode("ascii"))
            except UnicodeError as error:
                raise ConfigError(f"{self.host!r} is no host name: {error}") from None
        if not is_host(self.host):
            raise ConfigError(f"{self.host!r} is no host name")

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @classmethod
    def from_url(cls, url: str) -> Target:
        """The server of an http or https URL. Raises ConfigError."""
        if "@" in url:
            raise ConfigError(f"{redact(url)!r} holds a user name: only a proxy's URL may")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError(f"{url!r} is no URL: {error}") from None
        if parts.scheme not in ("http", "https") or not host:
            raise ConfigError(f"{url!r} is no http:// or https:// URL with a host")
        return cls(host, port or (443 if parts.scheme == "https" else 80), parts.scheme == "https")

    @classmethod
    def from_address(cls, address: str, tls: bool = True) -> Target:
        """The server at `host:port`, or at a URL. Raises ConfigError."""
        if "://" in address:
            return cls.from_url(address)
        try:
            parts = urlsplit(f"//{address}")
            host, port = parts.hostname, parts.port
        except ValueError:
            host, port = None, None
        if not host or port is None or parts.path or parts.query:
            raise ConfigError(f"{address!r} is no address: write host:port, or [host]:port for an IPv6 address")
        return cls(host, port, tls)


def is_host(text: str) -> bool:
    """Whether it is an address, or a name that could be looked up (RFC 1123, and underscores, which some use)."""
    if _address(text) is not None:
        return True
    labels = text.removesuffix(".").split(".")
    return (
        len(text) <= 254
        and all(re.fullmatch(r"[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?", each) for each in labels)
        and not labels[-1].isdigit()
    )


@dataclass(frozen=True, slots=True)
class ProxyServer:
    """A proxy. `socks5` resolves the server's name here, `socks5h` leaves it to the proxy, as curl does."""

    scheme: Scheme
    host: str
    port: int
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)

    def __str__(self) -> str:
        """As a URL without its password."""
        user = "" if self.user is None else f"{self.user}:***@"
        return f"{self.scheme}://{user}{Target(self.host, self.port)}"

    @property
    def basic(self) -> str | None:
        """The value of Proxy-Authorization, None without credentials. RFC 7617 in its UTF-8 form."""
        if self.user is None:
            return None
        return "Basic " + base64.b64encode(f"{self.user}:{self.password or ''}".encode()).decode("ascii")


class Decision(Record):
    """How `target` is dialled: through `proxy`, or directly when None. `why` is the rule that decided."""

    target: Target
    proxy: ProxyServer | None
    why: str

    def explain(self) -> str:
        """One sentence for people; holds no password."""
        way = "directly" if self.proxy is None else f"through the proxy {self.proxy}"
        return f"{self.target} is reached {way}: {self.why}"


def decide(target: Target, proxy: Proxy | None, environ: Mapping[str, str]) -> Decision:
    """How to dial `target`. Raises ConfigError naming the setting or variable that is wrong, without its password."""
    if proxy is None:
        return Decision(target, None, "no proxy is set, and the environment is not asked (Proxy(trust_env=True) would)")
    own = NoProxy.parse(proxy.no_proxy, "Proxy.no_proxy")
    if proxy.url is not None:
        server = parse_proxy(proxy.url, "Proxy.url")
        if (entry := own.match(target)) is not None:
            return Decision(target, None, f"Proxy.no_proxy lists {entry!r}")
        return Decision(target, server, "Proxy.url says so")
    if not proxy.trust_env:
        return Decision(target, None, "no proxy is set, and the environment is not asked (Proxy(trust_env=True) would)")
    return _from_environment(target, own, environ)


def _from_environment(target: Target, own: NoProxy, environ: Mapping[str, str]) -> Decision:
    asked = ("grpc_proxy", "https_proxy" if target.tls else "http_proxy", "all_proxy")
    for name in asked:
        variable, value = _variable(name, environ)
        if not value:
            continue
        # Checked even when an exclusion makes it unused: the next host would fall over it.
        server = parse_proxy(value if "://" in value else f"http://{value}", f"the variable {variable}")
        if (entry := own.match(target)) is not None:
            return Decision(target, None, f"Proxy.no_proxy lists {entry!r}")
        for exclusion in ("no_grpc_proxy", "no_proxy"):
            variable_off, text = _variable(exclusion, environ)
            if not text:
                continue
            listed = NoProxy.parse(re.split(r"[,\s]+", text), f"the variable {variable_off}").match(target)
            if listed is not None:
                return Decision(target, None, f"{variable_off} lists {listed!r}")
            break
        return Decision(target, server, f"the variable {variable} says so")
    return Decision(target, None, f"none of {', '.join(asked)} is set, in lower or upper case")


def _variable(name: str, environ: Mapping[str, str]) -> tuple[str, str]:
    """The spelling that is set, and its value."""
    for spelling in (name, name.upper()):
        if spelling == "HTTP_PROXY" and "REQUEST_METHOD" in environ:
            continue
        if spelling in environ:
            return spelling, environ[spelling].strip()
    return name, ""


def parse_proxy(text: str, where: str) -> ProxyServer:
    """A proxy from its URL. Raises ConfigError that begins with `where` and shows the value without its password."""
    shown = redact(text)
    if any(ord(each) <= 0x20 or ord(each) == 0x7F for each in text):
        # urlsplit would drop some of them without a word.
        raise ConfigError(f"{where} is {shown!r}: a proxy URL holds no spaces or control characters")
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        # Some of urlsplit's messages quote the value, password included.
        raise ConfigError(f"{where} is {shown!r}: {str(error).partition(':')[0]}; {_WRITE}") from None
    if "@" in f"{parts.path}{parts.query}{parts.fragment}":
        raise ConfigError(f"{where} is {shown!r}: write /, ? and # of a user or password as %2F, %3F and %23")
    scheme = next((each for each in SCHEMES if each == parts.scheme), None)
    if scheme is None or "://" not in text:
        known = "this client speaks version 5 only; " if parts.scheme in ("socks", "socks4", "socks4a") else ""
        raise ConfigError(f"{where} is {shown!r}: {known}{_WRITE}")
    if not host:
        raise ConfigError(f"{where} is {shown!r}: it names no host; {_WRITE}")
    try:
        host = Target(host, 1).host
    except ConfigError as error:
        raise ConfigError(f"{where} is {shown!r}: {error}") from None
    if not port:
        raise ConfigError(
            f"{where} is {shown!r}: it names no port, and tools disagree which is meant; write {scheme}://{host}:PORT"
        )
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ConfigError(f"{where} is {shown!r}: nothing may follow the port")
    if re.search("%(?![0-9A-Fa-f]{2})", f"{parts.username or ''}:{parts.password or ''}"):
        raise ConfigError(f"{where} is {shown!r}: write % of a user or password as %25")
    user = None if parts.username is None else unquote(parts.username)
    password = None if parts.password is None else unquote(parts.password)
    _check_credentials(user, password, scheme, f"{where} is {shown!r}")
    return ProxyServer(scheme, host, port, user, password)


def _check_credentials(user: str | None, password: str | None, scheme: str, where: str) -> None:
    for what, value in (("user", user), ("password", password)):
        if value is None:
            continue
        if any(ord(each) < 0x20 or ord(each) == 0x7F for each in value):
            raise ConfigError(f"{where}: its {what} holds a control character")
        if scheme.startswith("socks") and len(value.encode()) > 255:
            raise ConfigError(f"{where}: SOCKS5 carries a {what} of 255 bytes at most")
    if user is not None and ":" in user and not scheme.startswith("socks"):
        raise ConfigError(f"{where}: the Basic scheme carries no user name with a colon")
    if scheme.startswith("socks") and (user is not None or password is not None) and not (user and password):
        raise ConfigError(f"{where}: SOCKS5 wants a user and a password, or neither")


def redact(url: str) -> str:
    """A proxy URL as it may be shown: everything between a colon and the last @ is the password's."""
    head, slashes, rest = url.partition("://") if "://" in url else ("", "", url)
    credentials, at, host = rest.rpartition("@")
    if not at:
        return url
    user, colon, _ = credentials.partition(":")
    return f"{head}{slashes}{user}{':***' if colon else ''}@{host}"


class NoProxy(Record):
    """Hosts that are reached directly.

    `example.com` is that host and everything below it, `.example.com` and `*.example.com` only what is below,
    `10.0.0.0/8` every address in it (names are not resolved for that), `*` everything. A `*` elsewhere stands for any
    characters, and `10.` for `10.*`. `:port` restricts an entry.
    """

    entries: tuple[tuple[str, str, int | None], ...] = ()

    @classmethod
    def parse(cls, entries: Iterable[str], where: str) -> NoProxy:
        """Raises ConfigError naming the entry that cannot be one."""
        return cls(tuple(cls._entry(each.strip(), where) for each in entries if each.strip()))

    @staticmethod
    def _entry(text: str, where: str) -> tuple[str, str, int | None]:
        wrong = f"{where} lists {text!r}: write a host, .domain, address or network/bits"
        if "://" in text or "@" in text:
            raise ConfigError(wrong)
        host, port = text, None
        bracketed = re.fullmatch(r"\[([^\]]+)\](?::(\d{1,5}))?", text)
        if bracketed:
            host, digits = bracketed[1], bracketed[2]
            if _address(host) is None:
                raise ConfigError(wrong)
            port = int(digits) if digits else None
        elif text.count(":") == 1:
            host, _, digits = text.partition(":")
            if not digits.isascii() or not digits.isdigit():
                raise ConfigError(f"{wrong}; what follows the colon must be a port")
            port = int(digits)
        if port is not None and not 1 <= port <= 65535:
            raise ConfigError(f"{wrong}; a port is a number from 1 to 65535")
        if "/" in host:
            try:
                host = str(ipaddress.ip_network(host, strict=False))
            except ValueError:
                raise ConfigError(wrong) from None
            if "%" in host:
                raise ConfigError(wrong)
            return text, host, port
        if re.fullmatch(r"(\d{1,3}\.){1,3}", host):
            return text, f"{host}*", port
        if "*" in host:
            if host != "*" and not re.fullmatch(r"[\w.*:-]*\w[\w.*:-]*", host, re.ASCII):
                raise ConfigError(wrong)
            return text, host.rstrip(".").lower(), port
        bare = host.removeprefix(".")
        try:
            return text, host[: len(host) - len(bare)] + Target(bare, 1).host.rstrip(".").lower(), port
        except ConfigError:
            raise ConfigError(wrong) from None

    def match(self, target: Target) -> str | None:
        """The entry that lists `target`, None when none does."""
        host = target.host.lower().rstrip(".")
        address = _address(host)
        for text, listed, port in self.entries:
            if port is not None and port != target.port:
                continue
            if listed == "*" or (_listed_address(listed, address) if address else _listed_name(listed, host)):
                return text
        return None


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _listed_address(listed: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    if "/" in listed:
        return address in ipaddress.ip_network(listed)
    if "*" in listed:
        return fnmatchcase(str(address), listed)
    return _address(listed) == address


def _listed_name(listed: str, host: str) -> bool:
    if listed.startswith(("*.", ".")):
        listed = "*." + listed.lstrip("*.")
    if "*" in listed:
        return fnmatchcase(host, listed)
    return host == listed or host.endswith(f".{listed}")
