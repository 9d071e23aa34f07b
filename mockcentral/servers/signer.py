"""The key tokens are signed with, and the check of client assertions (protocol 6.2).

`cryptography` is imported, and the key made, when the first token needs it: together they take as long as the rest of a
fake's start, and nobody who starts one has a token yet.

Signing is ten lines on `cryptography` rather than PyJWT: importing PyJWT costs 140 ms, a third of the time a fake may
take to start. Checking assertions does use PyJWT, and only a world that knows a client's public key pays for it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mockcentral._core.tokens import MAX_TOKEN, numeric, unverified_claims

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

LEEWAY = 30.0
"""Seconds a client's clock may be off."""
MAX_ASSERTION_LIFE = 300.0
"""Agents say 60 s (protocol 6.2); a longer-lived assertion is a client's mistake worth showing."""
ISSUER_PREFIX = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer:"


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Signer:
    """An RSA key of our own: signs claims as RS256 JWTs and shows its public half as a JWKS."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._made: tuple[rsa.RSAPrivateKey, str, str] | None = None

    def _parts(self) -> tuple[rsa.RSAPrivateKey, str, str]:
        """The key, its id, and the header of its tokens."""
        with self._lock:  # a world's loop and whoever warms up may ask at once
            if self._made is None:
                from cryptography.hazmat.primitives.asymmetric import rsa

                key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
                kid = key_id(key.public_key())
                self._made = key, kid, _b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": kid}).encode())
            return self._made

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A compact JWT of these claims."""
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import padding

        key, _, header = self._parts()
        signed = f"{header}.{_b64(json.dumps(dict(claims)).encode())}"
        return f"{signed}.{_b64(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def jwks(self) -> dict[str, Any]:
        """The public key in RFC 7517 form."""
        private, kid, _ = self._parts()
        numbers = private.public_key().public_numbers()

        def number(value: int) -> str:
            return _b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))

        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": kid,
            "n": number(numbers.n),
            "e": number(numbers.e),
        }
        return {"keys": [key]}


@functools.cache
def signer() -> Signer:
    """The process's signer: making a key costs up to 100 ms, and worlds must come and go in one."""
    return Signer()


def warm_up() -> None:
    """See `portal.import_ahead`."""
    signer().jwks()


def key_id(key: rsa.RSAPublicKey) -> str:
    """`kid` as agents compute it: base64url of the SHA-256 of the DER public key (protocol 6.2)."""
    from cryptography.hazmat.primitives import serialization

    der = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return _b64(hashlib.sha256(der).digest())


class Assertions:
    """The public keys clients registered; without any, every assertion is accepted."""

    def __init__(self, public_keys: Mapping[str, bytes] | None = None) -> None:
        self._keys: dict[str, rsa.RSAPublicKey] = {}
        for client_id, pem in (public_keys or {}).items():
            self._keys[client_id] = load_public_key(pem)

    def __bool__(self) -> bool:
        """Whether any key is registered."""
        return bool(self._keys)

    def client_of(self, assertion: str, *, audiences: tuple[str, ...], wall: float) -> str:
        """The client id an assertion proves.

        Raises ValueError with the reason, which is for the journal and never for the client.
        """
        if not assertion or len(assertion) > MAX_TOKEN:
            raise ValueError("client_assertion is missing" if not assertion else "client_assertion is too long")
        claims = unverified_claims(assertion)
        subject = claims.get("sub") if claims else None
        client_id = subject if isinstance(subject, str) and subject else "unknown"
        if not self._keys:
            return client_id[:200]
        key = self._keys.get(client_id)
        if key is None:
            raise ValueError(f"no public key is registered for client {client_id[:80]!r}")
        self._verify(assertion, key, client_id, audiences, wall)
        return client_id

    @staticmethod
    def _verify(assertion: str, key: rsa.RSAPublicKey, client_id: str, audiences: tuple[str, ...], wall: float) -> None:
        """From what a person finds out first to what he would look at last: the wrong key, then the wrong words."""
        import jwt

        try:
            header = jwt.get_unverified_header(assertion)
        except jwt.PyJWTError as error:
            raise ValueError(f"client_assertion is no JWT: {error}") from None
        # The algorithm is ours to choose: one that the client could name would make a secret of our public key.
        if header.get("alg") != "RS256":
            raise ValueError(f"client_assertion is signed with {str(header.get('alg'))[:20]!r}: only RS256 is taken")
        if header.get("kid") != key_id(key):
            given = f"kid {str(header.get('kid'))[:80]!r} is not that of the key registered for {client_id[:80]!r}"
            raise ValueError(f"{given}: the base64url SHA-256 of its DER form")
        try:
            # Claims are judged below: times against the world's clock and not the machine's, each with its reason.
            options = {f"verify_{claim}": False for claim in ("exp", "iat", "nbf", "aud", "iss", "sub", "jti")}
            claims = jwt.decode(assertion, key=key, algorithms=["RS256"], options=options)  # type: ignore[arg-type]
        except jwt.InvalidSignatureError:
            raise ValueError("the signature is not that of the registered key") from None
        except jwt.PyJWTError as error:
            raise ValueError(f"client_assertion does not verify: {error}") from None
        _judge_claims(claims, client_id, audiences, wall)


def _judge_claims(claims: Mapping[str, Any], client_id: str, audiences: tuple[str, ...], wall: float) -> None:
    """Raises ValueError for claims that are not those of protocol 6.2."""
    missing = [name for name in ("iss", "aud", "iat", "exp", "jti") if claims.get(name) is None]
    if missing:
        raise ValueError(f"the assertion has no {', '.join(missing)}")
    if claims["iss"] != ISSUER_PREFIX + client_id:
        raise ValueError(f"iss is {str(claims['iss'])[:120]!r}, not {ISSUER_PREFIX}<client id>")
    named = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not any(audience in named for audience in audiences):
        raise ValueError(f"aud is {str(claims['aud'])[:200]!r}, not {audiences[0]}")
    issued, expires = numeric(claims, "iat"), numeric(claims, "exp")
    begins = numeric(claims, "nbf") if claims.get("nbf") is not None else issued
    if issued is None or expires is None or begins is None:
        raise ValueError("iat, exp and nbf must be numbers")
    if wall >= expires + LEEWAY:
        raise ValueError(f"the assertion expired {wall - expires:.0f} s ago (exp)")
    if wall < max(issued, begins) - LEEWAY:
        which = "iat" if issued >= begins else "nbf"
        raise ValueError(f"the assertion is not valid yet: {which} lies {max(issued, begins) - wall:.0f} s ahead")
    if expires - issued > MAX_ASSERTION_LIFE:
        raise ValueError(f"the assertion lives {expires - issued:.0f} s, more than {MAX_ASSERTION_LIFE:.0f} s")


def load_public_key(pem: bytes) -> rsa.RSAPublicKey:
    """An RSA public key out of PEM bytes. Raises ValueError when it is none."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise ValueError("not a PEM public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA public key")
    return key
