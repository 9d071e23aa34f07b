"""The key tokens are signed with, and the check of client assertions (protocol 6.2).

Signing is ten lines on `cryptography` rather than PyJWT: importing PyJWT costs 140 ms, a third of the time a fake may
take to start. Checking assertions does use PyJWT, and only a world that knows a client's public key pays for it.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from mockcentral._core.tokens import MAX_TOKEN, numeric, unverified_claims

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
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._kid = key_id(self._key.public_key())
        self._header = _b64(json.dumps({"alg": "RS256", "typ": "JWT", "kid": self._kid}).encode())

    def sign(self, claims: Mapping[str, Any]) -> str:
        """A compact JWT of these claims."""
        signed = f"{self._header}.{_b64(json.dumps(dict(claims)).encode())}"
        return f"{signed}.{_b64(self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"

    def jwks(self) -> dict[str, Any]:
        """The public key in RFC 7517 form."""
        numbers = self._key.public_key().public_numbers()

        def number(value: int) -> str:
            return _b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))

        key = {
            "kty": "RSA",
            "use": "sig",
            "alg": "RS256",
            "kid": self._kid,
            "n": number(numbers.n),
            "e": number(numbers.e),
        }
        return {"keys": [key]}


@functools.cache
def signer() -> Signer:
    """The process's signer: making a key costs up to 100 ms, and worlds must come and go in one."""
    return Signer()


def key_id(key: rsa.RSAPublicKey) -> str:
    """`kid` as agents compute it: base64url of the SHA-256 of the DER public key (protocol 6.2)."""
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
        import jwt

        try:
            header = jwt.get_unverified_header(assertion)
            # Times are judged below against the world's clock, not the machine's.
            options = {
                "verify_exp": False,
                "verify_iat": False,
                "verify_nbf": False,
                "require": ["exp", "iat", "iss", "jti"],
            }
            claims = jwt.decode(assertion, key=key, algorithms=["RS256"], audience=list(audiences), options=options)  # type: ignore[arg-type]
        except jwt.PyJWTError as error:
            raise ValueError(f"client_assertion does not verify: {error}") from None
        if header.get("kid") != key_id(key):
            raise ValueError("kid is not the base64url SHA-256 of the DER public key")
        if claims["iss"] != ISSUER_PREFIX + client_id:
            raise ValueError(f"iss is not {ISSUER_PREFIX}<client id>")
        issued, expires = numeric(claims, "iat"), numeric(claims, "exp")
        if issued is None or expires is None:
            raise ValueError("iat and exp must be numbers")
        if not issued - LEEWAY <= wall < expires + LEEWAY:
            raise ValueError("the assertion is not valid at this time (iat, exp)")
        if expires - issued > MAX_ASSERTION_LIFE:
            raise ValueError(f"the assertion lives {expires - issued:.0f} s, more than {MAX_ASSERTION_LIFE:.0f} s")


def load_public_key(pem: bytes) -> rsa.RSAPublicKey:
    """An RSA public key out of PEM bytes. Raises ValueError when it is none."""
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, TypeError) as error:
        raise ValueError("not a PEM public key") from error
    if not isinstance(key, rsa.RSAPublicKey):
        raise ValueError("not an RSA public key")
    return key
