"""Tokens: what one is, and where they come from.

A provider is anything that gives tokens: a text, a function, a coroutine function (of no arguments), or an object with
`fetch(fresh: bool)`. What it returns is a text (a JWT with a numeric `exp`, protocol 2.2) or a `Token` that says itself
when it ends. Providers that block run in a thread; several watches share one request.

The text of a token is never shown: not by repr, not in errors, not in logs.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, runtime_checkable

from watchmanager._core.proxies import redact
from watchmanager._core.token import REFRESH_AT, Credential, Skew
from watchmanager._driver.http import MAX_WORDS, BrokenOff, TooLarge, learn_clock, retry_after, whole_answer
from watchmanager._driver.workers import Outcome, call
from watchmanager.errors import ConfigError, TokenExpired, TokenProviderError, WatchError
from watchmanager.policy import TLS, Proxy

if TYPE_CHECKING:
    from pathlib import Path

    import httpx

MAX_TOKEN = 8 * 1024
"""gRPC metadata has a soft limit of 8 KiB; a longer token would be refused by the transport with a puzzling status."""
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ASSERTION_LIFE = 60
SKEW_WORTH_A_TRY = 5.0


@dataclass(frozen=True, slots=True)
class Token:
    """A token and when it ends, in seconds since the epoch; None when nobody knows: then it is used until it is
    refused.
    """

    value: str = field(repr=False)
    expires_at: float | None = None

    @classmethod
    def from_jwt(cls, text: str) -> Token:
        """A token that says in `exp` when it ends. Raises TokenProviderError when it does not (protocol 2.2)."""
        return cls(text, jwt_expiry(text))


@runtime_checkable
class TokenProvider(Protocol):
    """An object that gives tokens. `fresh` asks for a new one even if a cached one would do."""

    async def fetch(self, fresh: bool) -> Token | str: ...


TokenLike: TypeAlias = (
    str | Token | TokenProvider | Callable[[], "str | Token"] | Callable[[], Awaitable["str | Token"]]
)


def jwt_expiry(text: str) -> float:
    """`exp` of a JWT in seconds since the epoch; the signature is not checked. Raises TokenProviderError, without the
    text.
    """
    parts = text.split(".")
    if len(parts) != 3:
        raise TokenProviderError(
            f"the token is no JWT: it has {len(parts)} part(s) instead of 3; give Token(value, expires_at) for others"
        )
    header, claims = _segment(parts[0], "header"), _segment(parts[1], "claims")
    if not isinstance(header.get("alg"), str):
        raise TokenProviderError("the token is no JWT: its header names no algorithm")
    expiry = claims.get("exp")
    try:
        ends = float(expiry) if isinstance(expiry, (int, float)) and not isinstance(expiry, bool) else math.nan
    except OverflowError:
        ends = math.inf
    if not math.isfinite(ends):
        raise TokenProviderError(
            "the token has no numeric exp, so nobody knows when it ends; give Token(value, expires_at)"
        )
    return ends


def _segment(text: str, what: str) -> dict[str, Any]:
    try:
        found = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise TokenProviderError(f"the token is no JWT: its {what} cannot be read")
    return found


def _be_seen(task: asyncio.Task[Token]) -> None:
    if not task.cancelled():
        task.exception()


class TokenSource:
    """One provider for all watches of a manager: one request at a time, cached for 4/5 of a token's life (protocol
    2.1).

    Belongs to one event loop. `get` raises TokenProviderError or TokenExpired, never anything of the provider's own.
    """

    def __init__(
        self,
        provider: TokenLike,
        *,
        timeout: float = 60.0,
        wall: Callable[[], float] = time.time,
        clock: Callable[[], float] = time.monotonic,
        ask_clock: Callable[[Skew], Awaitable[None]] | None = None,
    ) -> None:
        self._provider = provider
        self._timeout = timeout
        self._wall = wall
        self._clock = clock
        self._ask_clock = ask_clock
        self._token: Token | None = None
        self._arrival: tuple[float | None, float, float] = (None, 0.0, 0.0)
        """What was left of the token when it came, the monotonic time then, and the skew known then: the wall clock may
        be set meanwhile.
        """
        self._task: asyncio.Task[Token] | None = None
        self.fixed = isinstance(provider, (str, Token))
        self.skew = provider.skew if isinstance(provider, ClientCredentials) else Skew()
        """Between the server's clock and ours: `exp` is meant in the server's time."""
        self._busy: TokenProviderError | None = None
        self._busy_until = 0.0
        if isinstance(provider, str):
            if not provider.strip():
                raise ConfigError("the token is empty")
            try:
                Token.from_jwt(provider.strip())
            except TokenProviderError as error:
                raise ConfigError(str(error)) from None
        elif not isinstance(provider, (Token, TokenProvider)) and not callable(provider):
            raise ConfigError(
                f"token is {type(provider).__name__}: give a text, a Token, a function that returns one, "
                "or an object with fetch(fresh)"
            )

    async def get(self, instead_of: Credential | None) -> tuple[Credential, float | None]:
        """A token that differs from `instead_of` if one is to be had, and its remaining life in seconds."""
        token = self._token
        if token is None or not self._fresh() or (instead_of is not None and instead_of == Credential(token.value)):
            self._respect_busy()
            if self._task is None or self._task.done():
                self._task = asyncio.ensure_future(self._fetch(fresh=instead_of is not None))
                self._task.add_done_callback(_be_seen)  # whoever waited may have left
            # Shielded: one watch that is closed must not take the token from the others.
            token = await asyncio.shield(self._task)
        return Credential(token.value), self._left()

    def _respect_busy(self) -> None:
        """A provider that said when to ask again is not asked before, by whatever watch."""
        if self._busy is None:
            return
        left = self._busy_until - asyncio.get_running_loop().time()
        busy, self._busy = self._busy, None
        if left > 0:
            self._busy = type(busy)(str(busy))
            self._busy.retry_after, self._busy.__cause__ = left, busy.__cause__
            raise self._busy

    async def aclose(self) -> None:
        """Stop what is under way."""
        task, self._task = self._task, None
        if task is not None and not task.done():
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _life(self, token: Token) -> float | None:
        """Of one that has just come."""
        return None if token.expires_at is None else token.expires_at - self._wall() - self.skew.seconds

    def _left(self) -> float | None:
        """Of the one we have."""
        life, then, skew = self._arrival
        return None if life is None else life - (self._clock() - then) - (self.skew.seconds - skew)

    def _fresh(self) -> bool:
        left, (life, _, skew) = self._left(), self._arrival
        if left is None or life is None:
            return True
        return left > (life - (self.skew.seconds - skew)) * (1.0 - REFRESH_AT)

    async def _fetch(self, fresh: bool) -> Token:
        try:
            async with _timeout(self._timeout):
                found, error = await self._call(fresh)
        except (TimeoutError, asyncio.TimeoutError):
            raise TokenProviderError(f"the token provider gave nothing within {self._timeout:g} s") from None
        if isinstance(error, WatchError):
            if isinstance(error, TokenProviderError) and error.retry_after:
                self._busy = error
                self._busy_until = asyncio.get_running_loop().time() + error.retry_after
            raise error
        if error is not None:
            failure = TokenProviderError(f"the token provider failed: {type(error).__name__}")
            failure.retryable = isinstance(error, (Exception, asyncio.CancelledError))
            raise failure from error
        token = self._checked(found)
        life = self._life(token)
        if life is not None and life <= 0 and self._ask_clock is not None:
            # By our clock. It is the server's that counts, and without a token nobody has asked it anything yet.
            await self._ask_clock(self.skew)
            life = self._life(token)
        if life is not None and life <= 0:
            ended = TokenExpired(
                f"the token ended {-life:.0f} s ago" + ("; it is a fixed text: give a function" if self.fixed else "")
            )
            ended.retryable = not self.fixed
            raise ended
        self._token = token
        self._arrival = (life, self._clock(), self.skew.seconds)
        return token

    async def _call(self, fresh: bool) -> Outcome:
        provider = self._provider
        if isinstance(provider, (str, Token)):
            return provider, None
        if isinstance(provider, TokenProvider):
            return await call(provider.fetch, fresh, blocks=False)
        return await call(provider)

    @staticmethod
    def _checked(found: object) -> Token:
        if isinstance(found, str):
            text = found.strip().removeprefix("Bearer ").strip()
            found = Token.from_jwt(text) if text else Token("")
        if not isinstance(found, Token):
            raise TokenProviderError(f"the token provider returned {type(found).__name__}, not a text or a Token")
        if not found.value or not found.value.isascii() or any(each.isspace() for each in found.value):
            raise TokenProviderError(
                "the token provider returned an empty token or one with characters that no header can carry"
            )
        if len(found.value) > MAX_TOKEN:
            raise TokenProviderError(
                f"the token has {len(found.value)} characters; servers refuse more than {MAX_TOKEN} in a header"
            )
        return found


class _timeout:
    """`asyncio.timeout` for 3.10: cancels the body after so many seconds and raises TimeoutError."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._expired = False
        self._handle: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None

        def expire() -> None:
            self._expired = True
            task.cancel()

        self._handle = asyncio.get_running_loop().call_later(self._seconds, expire)

    async def __aexit__(self, kind: type[BaseException] | None, error: object, traceback: object) -> None:
        assert self._handle is not None
        self._handle.cancel()
        if self._expired and kind is asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and hasattr(task, "uncancel"):
                task.uncancel()
            raise TimeoutError


class ClientCredentials:
    """OAuth client credentials with a key-pair assertion, as Central wants them (protocol 6.2).

    `private_key` is PEM text or the path of a PEM file with an RSA key (needs the `cryptography` package). Without it
    the assertion is unsigned, which only a fake accepts. `auth_url` is what comes before `/realms`.
    """

    def __init__(
        self,
        auth_url: str,
        client_id: str,
        *,
        private_key: str | Path | None = None,
        password: str | None = None,
        realm: str = "Broker",
        tls: TLS | None = None,
        proxy: Proxy | str | None = None,
        timeout: float = 30.0,
        wall: Callable[[], float] = time.time,
    ) -> None:
        if not auth_url.startswith(("http://", "https://")):
            raise ConfigError(f"auth_url is {redact(auth_url)!r}: it must start with http:// or https://")
        if not client_id:
            raise ConfigError("client_id is empty")
        from watchmanager._core.proxies import Target
        from watchmanager._driver.route import Route

        self._audience = f"{auth_url.rstrip('/')}/realms/{realm}"
        self._client_id = client_id
        self._key = None if private_key is None else load_private_key(private_key, password)
        self._route = Route(
            Target.from_url(auth_url),
            tls=tls,
            proxy=Proxy(url=proxy) if isinstance(proxy, str) else proxy,
            connect_timeout=timeout,
        )
        self._timeout = timeout
        self._wall = wall
        self.skew = Skew()
        """Learned from the endpoint's answers: an assertion with a wrong time would be refused."""

    def __repr__(self) -> str:
        return f"ClientCredentials({self._audience!r}, {self._client_id!r})"

    async def fetch(self, fresh: bool) -> Token:
        """Ask the token endpoint. Raises TokenProviderError with the endpoint's status and words, never a token.

        Refused because of our clock, it asks once more with the time of the endpoint's.
        """
        import httpx

        from watchmanager._driver.dial import TimeUp

        url = f"{self._audience}/protocol/openid-connect/token"
        before = self.skew.seconds
        try:
            async with self._route.http_client(timeout=self._timeout) as client:
                response, body = await self._ask(client, url)
                if response.status_code in (400, 401, 403) and abs(self.skew.seconds - before) > SKEW_WORTH_A_TRY:
                    response, body = await self._ask(client, url)
        except TimeUp:
            raise TokenProviderError(f"the token endpoint {url} did not answer within {self._timeout:g} s") from None
        except (BrokenOff, TooLarge) as error:
            raise TokenProviderError(f"the answer of the token endpoint {url} cannot be read: {error}") from error
        except (httpx.HTTPError, OSError) as error:
            raise TokenProviderError(
                f"the token endpoint {url} cannot be reached: {type(error).__name__}: {error}"
            ) from error
        return self._read(response, body, url)

    async def _ask(self, client: httpx.AsyncClient, url: str) -> tuple[httpx.Response, bytes]:
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": self.assertion(),
        }
        began = self._wall()
        question = client.build_request("POST", url, data=form)
        response, body = await whole_answer(client, question, seconds=self._timeout, most=MAX_WORDS)
        learn_clock(self.skew, response.headers, began, self._wall())
        return response, body

    def _read(self, response: httpx.Response, body: bytes, url: str) -> Token:
        if response.status_code != 200:
            failure = TokenProviderError(f"the token endpoint {url} answered {response.status_code}{_reason(body)}")
            failure.retry_after = retry_after(response.headers.get("Retry-After"), self._now())
            raise failure
        try:
            answer = json.loads(body)
            value = answer["access_token"]
            life = answer.get("expires_in")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise TokenProviderError(f"the token endpoint {url} answered 200 without an access_token") from None
        if not isinstance(value, str):
            raise TokenProviderError(f"the token endpoint {url} answered with an access_token that is no text")
        try:
            return Token.from_jwt(value)
        except TokenProviderError:
            if isinstance(life, (int, float)) and not isinstance(life, bool) and life > 0:
                return Token(value, self._now() + life)
            raise

    def _now(self) -> float:
        """By the endpoint's clock."""
        return self._wall() + self.skew.seconds

    def assertion(self) -> str:
        """The JWT that proves who asks."""
        import uuid

        issued = math.floor(self._now())
        claims = {
            "iss": f"{ASSERTION_TYPE}:{self._client_id}",
            "sub": self._client_id,
            "aud": [self._audience],
            "exp": issued + ASSERTION_LIFE,
            "iat": issued,
            "jti": str(uuid.uuid4()),
        }
        if self._key is None:
            return f"{_encode({'alg': 'none', 'typ': 'JWT'})}.{_encode(claims)}."
        return self._key.sign(claims)


class _SigningKey:
    def __init__(self, key: Any) -> None:
        import hashlib

        from cryptography.hazmat.primitives import serialization

        self._key = key
        public = key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        self.kid = _unpadded(hashlib.sha256(public).digest())

    def sign(self, claims: dict[str, Any]) -> str:
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        text = f"{_encode({'alg': 'RS256', 'typ': 'JWT', 'kid': self.kid})}.{_encode(claims)}"
        signature = self._key.sign(text.encode("ascii"), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_unpadded(signature)}"


def load_private_key(given: str | Path, password: str | None = None) -> _SigningKey:
    """An RSA key from PEM text or a file. Raises ConfigError saying what is wrong with which file."""
    where = "private_key"
    if isinstance(given, str) and "-----BEGIN" in given:
        pem = given.encode()
    else:
        from pathlib import Path

        where = f"private_key {str(given)!r}"
        try:
            pem = Path(given).expanduser().read_bytes()
        except (OSError, ValueError) as error:
            raise ConfigError(f"{where} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
    except ImportError:
        raise ConfigError("signing needs the cryptography package: pip install cryptography") from None
    try:
        key = serialization.load_pem_private_key(pem, password.encode() if password else None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigError(f"{where} is no readable PEM key: {str(error)[:120]}") from None
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(f"{where} is no RSA key; Central wants RS256")
    return _SigningKey(key)


def _reason(body: bytes) -> str:
    """What an OAuth error answer says, in one short line."""
    try:
        answer = json.loads(body)
        words = [str(answer[key])[:120] for key in ("error", "error_description") if answer.get(key)]
    except (ValueError, AttributeError, TypeError, RecursionError):
        return ""
    return f" ({': '.join(words)})" if words else ""


def _encode(part: dict[str, Any]) -> str:
    return _unpadded(json.dumps(part, separators=(",", ":")).encode())


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
