"""Why does it not connect? Walks the way to a server step by step and stops at the first that fails.

    dns - tcp - proxy - tls - alpn - http2 - token - topic

Each step is timed and bounded. The result is data: it holds no token, no password, and can be written as JSON. Nothing
is subscribed to and nothing is changed on the server.
"""

from __future__ import annotations

import asyncio
import hashlib
import ssl
import struct
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from watchmanager._core.proxies import Target
from watchmanager._driver import tls as tls_policy
from watchmanager._driver.dial import (
    Budget,
    ByteStream,
    Resolved,
    SocketStream,
    TimeUp,
    TlsStream,
    check_alpn,
    connect_one,
    resolve,
    start_tls,
    through,
    within,
    words,
)
from watchmanager._driver.history import MAX_PAGE, is_centrals, not_centrals
from watchmanager._driver.http import BrokenOff, TooLarge, parse_date, whole_answer
from watchmanager._driver.route import Route
from watchmanager._wire import codec
from watchmanager.errors import (
    ConnectError,
    ConnectTimeout,
    DecodeError,
    HistoryError,
    NameResolutionError,
    NotGrpcError,
    PermissionDenied,
    ProxyError,
    TLSError,
    TokenExpired,
    TokenProviderError,
    TopicNotFound,
    Unauthenticated,
    WatchError,
)

STEPS = ("dns", "tcp", "proxy", "tls", "alpn", "http2", "token", "topic")
SKEW_WORTH_SAYING = 5.0
EXPIRES_SOON_DAYS = 14
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""What an HTTP/2 client begins with: the fixed words and an empty SETTINGS frame (RFC 9113 3.4)."""
GOODBYE = b"\x00\x00\x08\x07\x00\x00\x00\x00\x00" + bytes(8)
_SETTINGS = {1: "header_table_size", 3: "max_concurrent_streams", 4: "initial_window_size", 5: "max_frame_size"}

TokenFunction = Callable[[], Awaitable["tuple[str, float | None]"]]
"""Gives a token and its remaining life in seconds, None when nobody knows; raises a WatchError."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what came out, how long it took in seconds, one line for people, and facts for machines."""

    name: str
    outcome: Literal["ok", "failed", "skipped"]
    seconds: float
    detail: str
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What the probe found. `failed` names the step that failed, `cause` the error's class, None when all went well.

    `way` says in words how the server is reached, `hint` what to do next.
    """

    server: str
    way: str
    steps: tuple[Step, ...]
    failed: str | None = None
    cause: str | None = None
    message: str | None = None
    hint: str | None = None

    @property
    def ok(self) -> bool:
        return self.failed is None

    def to_dict(self) -> dict[str, Any]:
        """As plain data for JSON."""
        steps = [
            {
                "name": each.name,
                "outcome": each.outcome,
                "seconds": round(each.seconds, 6),
                "detail": each.detail,
                "facts": dict(each.facts),
            }
            for each in self.steps
        ]
        return {
            "server": self.server,
            "way": self.way,
            "ok": self.ok,
            "failed": self.failed,
            "cause": self.cause,
            "message": self.message,
            "hint": self.hint,
            "steps": steps,
        }

    def lines(self) -> list[str]:
        """One line for each step, then the hint."""
        marks = {"ok": "ok  ", "failed": "FAIL", "skipped": "-   "}
        found = [self.way]
        for each in self.steps:
            took = "" if each.outcome == "skipped" else f" ({each.seconds * 1000:.0f} ms)"
            found.append(f"{marks[each.outcome]} {each.name:<6} {each.detail}{took}")
        if self.hint:
            found.append(f"hint: {self.hint}")
        return found

    def __str__(self) -> str:
        return "\n".join(self.lines())


class _Failed(Exception):
    """Ends the walk; the step is in the list."""


class _Walk:
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.steps: list[Step] = []
        self.failed: str | None = None
        self.error: WatchError | None = None

    def skip(self, name: str, why: str) -> None:
        self.steps.append(Step(name, "skipped", 0.0, why))

    async def take(self, name: str, work: Awaitable[tuple[str, dict[str, Any], Any]], facts: Any = None) -> Any:
        """The third value of `work`'s result; the others are the step's detail and facts."""
        clock = asyncio.get_running_loop().time
        began = clock()
        try:
            detail, found, result = await work
        except (WatchError, OSError) as error:
            named = error if isinstance(error, WatchError) else ConnectError(str(error))
            self.steps.append(Step(name, "failed", clock() - began, str(named), facts or {}))
            self.failed, self.error = name, named
            raise _Failed from error
        self.steps.append(Step(name, "ok", clock() - began, detail, found))
        return result


async def diagnose(
    route: Route,
    *,
    token: TokenFunction | None = None,
    topic: str | None = None,
    tenant: str = "",
    history: Route | None = None,
    history_url: str | None = None,
    seconds: float = 10.0,
    grpc: bool = True,
    wall: Callable[[], float] = time.time,
) -> Diagnosis:
    """Walk the way to `route`'s server. Without `token` the last two steps are skipped, without `topic` the last;
    without `grpc` those that ask for HTTP/2.

    No step takes longer than `seconds`. Never raises but for cancellation.
    """
    walk = _Walk(seconds)
    try:
        await _to_http2(route, walk, grpc)
        text = await _token(walk, token)
        if text is None:
            walk.skip("topic", "no token")
        elif topic is None:
            walk.skip("topic", "no topic given")
        else:
            scheme = "https" if route.target.tls else "http"
            url = (history_url or f"{scheme}://{route.target}").rstrip("/")
            await walk.take("topic", _topic(history or route, url, topic, tenant, *text, seconds, wall))
    except _Failed:
        done = {each.name for each in walk.steps}
        for name in STEPS:
            if name not in done:
                walk.skip(name, "not reached")
    error = walk.error
    return Diagnosis(
        server=str(route.target),
        way=route.explain(),
        steps=tuple(walk.steps),
        failed=walk.failed,
        cause=None if error is None else type(error).__name__,
        message=None if error is None else str(error),
        hint=None if error is None or walk.failed is None else hint(walk.failed, error, route),
    )


async def _to_http2(route: Route, walk: _Walk, grpc: bool) -> None:
    proxy = route.decision.proxy
    dialled = route.destination if proxy is None else Target(proxy.host, proxy.port)
    budget = Budget(walk.seconds)
    addresses: tuple[Resolved, ...] = await walk.take("dns", _dns(dialled, budget))
    stream: ByteStream = await walk.take("tcp", _tcp(dialled, addresses, Budget(walk.seconds)))
    try:
        if proxy is None:
            walk.skip("proxy", "none on the way")
        else:
            stream = await walk.take("proxy", _proxy(route, stream, Budget(walk.seconds)))
        if route.grpc_context is None:
            walk.skip("tls", "plain text")
            walk.skip("alpn", "plain text")
        else:
            secured: TlsStream = await _tls(route, stream, walk)
            stream = secured
            if grpc:
                await walk.take("alpn", _alpn(secured, str(route.target)))
            else:
                walk.skip("alpn", "HTTP/1.1 will do")
        if grpc:
            await walk.take("http2", _http2(stream, str(route.target), Budget(walk.seconds)))
        else:
            walk.skip("http2", "HTTP/1.1 will do")
        stream.close()
    finally:
        stream.abort()
        await stream.wait_closed()


# ------------------------------------------------------------------------------------------ the steps
async def _dns(target: Target, budget: Budget) -> tuple[str, dict[str, Any], Any]:
    found = await within(budget, resolve(target), f"the name {target.host!r} was not resolved")
    addresses = [str(each) for each in found]
    detail = f"{target.host} is {', '.join(addresses)}" if addresses != [target.host] else "an address, not a name"
    return detail, {"addresses": addresses}, tuple(found)


async def _tcp(
    target: Target, addresses: tuple[Resolved, ...], budget: Budget
) -> tuple[str, dict[str, Any], SocketStream]:
    """Every address is tried, so that one that does not answer is seen although another does."""
    clock = asyncio.get_running_loop().time
    facts: dict[str, str] = {}

    async def one(address: Resolved) -> SocketStream | None:
        began = clock()
        try:
            stream = await within(budget, connect_one(address), "no answer")
        except (OSError, ConnectTimeout) as error:
            facts[str(address)] = words(error) if isinstance(error, OSError) else str(error)
            return None
        facts[str(address)] = f"connected in {(clock() - began) * 1000:.0f} ms"
        return stream

    streams = [each for each in await asyncio.gather(*map(one, addresses)) if each is not None]
    if not streams:
        tried = "; ".join(f"{address}: {said}" for address, said in facts.items())
        made = ConnectTimeout if any("no answer" in said for said in facts.values()) else ConnectError
        raise made(f"cannot connect to {target} ({tried})")
    for spare in streams[1:]:
        spare.abort()
        await spare.wait_closed()
    silent = [f"{address}: {said}" for address, said in facts.items() if not said.startswith("connected")]
    detail = f"connected to {target}" + (f", but not to {'; '.join(silent)}" if silent else "")
    return detail, {"addresses": facts}, streams[0]


async def _proxy(route: Route, stream: ByteStream, budget: Budget) -> tuple[str, dict[str, Any], ByteStream]:
    proxy = route.decision.proxy
    assert proxy is not None
    inside = await through(stream, route.destination, proxy, route.proxy_context, budget)
    return f"{proxy} opened a way to {route.destination}", {"proxy": str(proxy)}, inside


async def _tls(route: Route, stream: ByteStream, walk: _Walk) -> TlsStream:
    assert route.grpc_context is not None
    context, name, peer = route.grpc_context, route.server_name, str(route.target)

    async def shake() -> tuple[str, dict[str, Any], TlsStream]:
        secured = await start_tls(stream, context, name, peer, Budget(walk.seconds))
        facts = _connection_facts(secured.info)
        detail = f"{facts['version']}, {facts['cipher']}, certificate for {', '.join(facts['names'][:4]) or '?'}"
        days = facts.get("days_left")
        if days is not None:
            detail += f", {days} days left" + (": renew it" if days < EXPIRES_SOON_DAYS else "")
        return detail, facts, secured

    try:
        made: TlsStream = await walk.take("tls", shake())
        return made
    except _Failed as failed:
        if isinstance(failed.__cause__, TLSError) and "certificate of" in str(failed.__cause__):
            stream.abort()
            facts = await _unverified(route, Budget(walk.seconds))
            last = walk.steps.pop()
            shown = f"; it shows {facts['summary']}" if facts.get("summary") else ""
            walk.steps.append(Step(last.name, last.outcome, last.seconds, last.detail + shown, facts))
        raise


def _connection_facts(info: ssl.SSLObject) -> dict[str, Any]:
    cipher = info.cipher()
    facts: dict[str, Any] = {"version": info.version(), "cipher": cipher[0] if cipher else None, "names": []}
    certificate: dict[str, Any] = info.getpeercert() or {}
    facts["names"] = [value for _, value in certificate.get("subjectAltName", ())]
    facts["issuer"] = _distinguished(certificate.get("issuer", ()))
    facts["subject"] = _distinguished(certificate.get("subject", ()))
    if "notAfter" in certificate:
        ends = ssl.cert_time_to_seconds(certificate["notAfter"])
        facts["not_after"] = certificate["notAfter"]
        facts["days_left"] = int((ends - time.time()) // 86_400)
    return facts


def _distinguished(parts: Any) -> str:
    return ", ".join(f"{key}={value}" for part in parts for key, value in part)


async def _unverified(route: Route, budget: Budget) -> dict[str, Any]:
    """What certificate is shown, asked once more without checking it. Nothing is sent over that connection."""
    assert route.policy is not None
    context = tls_policy.context(route.policy, alpn=tls_policy.ALPN_GRPC, client_certificate=False)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    stream: ByteStream | None = None
    try:
        stream = await route.dial(budget)
        secured = await start_tls(stream, context, route.server_name, str(route.target), budget)
        der = secured.info.getpeercert(binary_form=True) or b""
    except (WatchError, OSError):
        return {}
    finally:
        if stream is not None:
            stream.abort()
            await stream.wait_closed()
    facts: dict[str, Any] = {"sha256": hashlib.sha256(der).hexdigest()}
    try:
        from cryptography import x509
    except ImportError:
        facts["summary"] = f"a certificate with SHA-256 {facts['sha256'][:16]}"
        return facts
    try:
        shown = x509.load_der_x509_certificate(der)
        facts["subject"], facts["issuer"] = shown.subject.rfc4514_string(), shown.issuer.rfc4514_string()
        facts["not_after"] = shown.not_valid_after_utc.isoformat()
        names = shown.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        facts["names"] = [str(each.value) for each in names]
    except (ValueError, x509.ExtensionNotFound):
        pass
    if "issuer" in facts:
        facts["summary"] = (
            f"a certificate for {', '.join(facts.get('names', [])) or facts['subject']} by {facts['issuer']}, "
            f"valid until {facts.get('not_after', '?')}"
        )
    return facts


async def _alpn(secured: TlsStream, peer: str) -> tuple[str, dict[str, Any], None]:
    check_alpn(secured, peer)
    return "both agree on h2", {"alpn": "h2"}, None


async def _http2(stream: ByteStream, peer: str, budget: Budget) -> tuple[str, dict[str, Any], None]:
    stream.send(PREFACE)
    facts = await within(budget, _settings(stream, peer), f"{peer} did not begin to speak HTTP/2")
    stream.send(GOODBYE)
    limit = facts.get("max_concurrent_streams")
    return "SETTINGS received" + (f", {limit} streams at most" if limit is not None else ""), facts, None


async def _settings(stream: ByteStream, peer: str) -> dict[str, Any]:
    data = b""
    needed = 9
    while len(data) < needed:
        try:
            more = await stream.read()
        except ssl.SSLError as error:
            raise tls_policy.translate(error, peer, None) from error
        except ConnectionError as error:
            raise NotGrpcError(f"{peer} broke off the connection instead of speaking HTTP/2: {words(error)}") from error
        if not more:
            raise NotGrpcError(f"{peer} closed the connection instead of speaking HTTP/2")
        data += more
        if data.startswith(b"HTTP/"):
            raise NotGrpcError(f"{peer} speaks HTTP/1.1: it answered {data[:40]!r}")
        if data.startswith(b"\x15\x03"):
            raise NotGrpcError(f"{peer} speaks TLS and was asked in plain text")
        if len(data) >= 9:
            if data[3] != 4 or int.from_bytes(data[:3], "big") % 6:
                raise NotGrpcError(f"{peer} does not speak HTTP/2: it began with {data[:16]!r}")
            needed = 9 + int.from_bytes(data[:3], "big")
    pairs = struct.iter_unpack(">HI", data[9:needed])
    return {_SETTINGS[code]: value for code, value in pairs if code in _SETTINGS}


async def _token(walk: _Walk, token: TokenFunction | None) -> tuple[str, float | None] | None:
    if token is None:
        walk.skip("token", "no token provider given")
        return None
    provider = token

    async def ask() -> tuple[str, dict[str, Any], tuple[str, float | None]]:
        budget = Budget(walk.seconds)
        try:
            text, life = await within(budget, provider(), "the token provider gave nothing")
        except ConnectTimeout as error:
            raise TokenProviderError(str(error)) from error
        except WatchError:
            raise
        except Exception as error:
            raise TokenProviderError(f"the token provider failed: {type(error).__name__}") from error
        if life is not None and life <= 0:
            raise TokenExpired(f"the token ended {-life:.0f} s ago by the clock of this machine")
        shown = "nobody knows for how long" if life is None else f"for another {life:.0f} s"
        return f"a token that is good {shown}", {"life": life}, (text, life)

    found: tuple[str, float | None] = await walk.take("token", ask())
    return found


async def _topic(
    route: Route,
    url: str,
    topic: str,
    tenant: str,
    token: str,
    life: float | None,
    seconds: float,
    wall: Callable[[], float],
) -> tuple[str, dict[str, Any], None]:
    import httpx

    facts: dict[str, Any] = {}
    headers = {"Authorization": f"Bearer {token}", "X-Axway-Tenant-Id": tenant}
    began = wall()
    try:
        async with route.http_client(timeout=seconds) as client:
            question = client.build_request(
                "GET", f"{url}/events{topic}", params={"pageSize": "1", "sort": "sequenceID,DESC"}, headers=headers
            )
            response, body = await whole_answer(client, question, seconds=seconds, most=MAX_PAGE)
    except (httpx.HTTPError, OSError) as error:
        raise HistoryError(f"history at {url} cannot be reached: {type(error).__name__}: {error}") from error
    except TimeUp:
        raise HistoryError(f"history did not answer within {seconds:g} s") from None
    except (BrokenOff, TooLarge) as error:
        raise HistoryError(f"the answer of history at {url} cannot be read: {error}") from error
    facts["status"] = response.status_code
    skew = _skew(response.headers.get("Date"), (began + wall()) / 2)
    clock = ""
    if skew is not None:
        facts["clock_skew"] = skew
        if abs(skew) >= SKEW_WORTH_SAYING:
            clock = f"; the server's clock is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} ours"
    if response.status_code == 401:
        raise Unauthenticated(f"history refuses the token (401){clock}")
    if response.status_code == 403:
        raise PermissionDenied(f"history does not permit reading {topic} for tenant {tenant!r} (403)")
    if response.status_code == 404 and not is_centrals(body):
        raise not_centrals(url)
    if response.status_code == 404:
        raise TopicNotFound(f"history knows no topic {topic} (404)")
    if response.status_code != 200:
        raise HistoryError(f"history answered {response.status_code}", status=response.status_code)
    try:
        events = codec.decode_history(body)
    except DecodeError as error:
        raise HistoryError(f"history answered something else than events: {error}") from error
    facts["newest"] = events[0].sequence if events else None
    newest = f"its newest event is {events[0].sequence}" if events else "it has no events"
    if life is not None and skew is not None and life - skew <= 0:
        clock += ", by which the token has ended"
    return f"{topic} can be read, {newest}{clock}", facts, None


def _skew(date: str | None, now: float) -> float | None:
    """Seconds the server's clock is ahead of ours, to the second: that is all the header tells."""
    if date is None:
        return None
    try:
        ahead = parse_date(date).timestamp() + 0.5 - now
    except (ValueError, TypeError, OverflowError):
        return None
    return round(ahead) + 0.0


# ------------------------------------------------------------------------------------------ what to do
def hint(step: str, error: WatchError, route: Route) -> str:
    """What a person can do about it."""
    proxied = route.decision.proxy is not None
    if isinstance(error, NameResolutionError):
        who = "the proxy's name" if proxied and step == "dns" else "the address"
        return f"check {who}; inside a closed network a proxy may be needed (https_proxy, Proxy(trust_env=True))"
    if isinstance(error, ProxyError):
        if error.status == 407:
            return "check user and password in the proxy's URL; special characters must be percent-encoded"
        if error.status == 403:
            return f"ask for {route.destination} to be allowed on the proxy, or list the host in no_proxy"
        if error.details or (error.status or 0) >= 500:
            return f"the proxy cannot reach {route.destination}: check that address, or ask who runs the proxy"
        return _SCHEME
    if isinstance(error, NotGrpcError):
        if step == "alpn":
            return "something opens TLS on the way and drops HTTP/2: have this host excluded from inspection"
        if "plain text" in str(error):
            return "the server speaks TLS: use https:// and drop insecure"
        if step == "http2" and route.policy is not None:
            mine = "" if route.policy.cert else ", or whether it wants a client certificate (TLS.cert and TLS.key)"
            return f"TLS stands: check that what is behind this port is the watch service{mine}"
        return "check the port, and whether the server speaks TLS (https://) or not (http://, insecure=True)"
    if isinstance(error, TLSError) and step == "proxy":
        return _proxy_tls_hint(str(error), error.details)
    if isinstance(error, TLSError):
        return _tls_hint(str(error), error.details, route)
    if isinstance(error, ConnectTimeout) and step == "proxy":
        return _SCHEME
    if isinstance(error, ConnectTimeout):
        return "packets are swallowed, by a firewall most likely" + ("" if proxied else "; is a proxy needed?")
    if step == "tcp":
        where = "host and port of the proxy" if proxied else "host and port"
        return f"nothing listens there or a firewall refuses: check {where}"
    return _HINTS.get(type(error), "try again; if it stays, show this output to whoever runs the server")


def _proxy_tls_hint(message: str, details: str) -> str:
    if "expired" in details or "not yet valid" in details:
        return "have the proxy's certificate renewed, or set this machine's clock"
    if "mismatch" in details:
        return "write the proxy's URL with a name that is in its certificate"
    if "not trusted" in message:
        return "name the CA that signed the proxy's certificate in TLS.ca or TLS.extra_ca"
    return _SCHEME


def _tls_hint(message: str, details: str, route: Route) -> str:
    if "expired" in details or "not yet valid" in details:
        return "renew the server's certificate, or set this machine's clock"
    if "mismatch" in details:
        return f"reach the server by a name in its certificate, or set TLS.server_name (now {route.server_name!r})"
    if "not trusted" in message:
        return "name the CA that signed it in TLS.ca or TLS.extra_ca; a proxy that opens TLS has a CA of its own"
    if "our client certificate" in message:
        return "give TLS.cert and TLS.key, signed by a CA the server trusts"
    if "wants a certificate" in message:
        mine = "give TLS.cert and TLS.key" if route.policy is None or not route.policy.cert else "check TLS.cert"
        return f"{mine} if the server wants a client certificate; else look at TLS.ciphers and TLS.minimum_version"
    if "version" in message:
        return "the server is too old for TLS.minimum_version, which cannot be below 1.2"
    if "cipher" in message:
        return "TLS.ciphers and the server have no suite in common"
    return "check that the port speaks TLS"


_SCHEME = "check that the proxy's scheme and port belong together (http://, https://, socks5h://)"
_HINTS: dict[type[WatchError], str] = {
    TokenProviderError: "run the token provider alone; check client id, key and auth_url",
    TokenExpired: "get a new token, or check this machine's clock",
    Unauthenticated: "the token is for another environment or has ended: check issuer, tenant and clock",
    PermissionDenied: "check the tenant, and the rights of the service account",
    TopicNotFound: "check the topic's name; `get WatchTopic` in Central shows which there are",
    HistoryError: "check History.url and the proxy for it",
}
