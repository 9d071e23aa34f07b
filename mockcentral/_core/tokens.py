"""Tokens: what is issued, and what a token that comes back is worth (protocol 2.2, 6.2).

Signing is not done here (it needs a key and a cryptography library): `sign` turns claims into a JWT. A token the book
issued is known by its text, so judging one costs a dictionary look-up. Only fingerprints of tokens may leave this
module towards a journal or a message.
"""

from __future__ import annotations

import base64
import binascii
import enum
import hashlib
import json
import math
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from mockcentral._core.actions import AnswerToken
from mockcentral._core.frozen import dataclass

MAX_BOOK = 100_000
"""Tokens remembered; beyond that the oldest is forgotten and counts as unknown. Bounds what a client can make us
keep.
"""
MAX_TOKEN = 32_768
AUDIENCE = "apicentral"


class Worth(enum.Enum):
    """What a token is worth right now."""

    GOOD = "good"
    MISSING = "no token"
    MALFORMED = "not a JWT"
    UNKNOWN = "not issued by this world"
    EXPIRED = "expired"
    REVOKED = "revoked"
    FOREIGN = "issued for another audience"
    NO_EXPIRY = "no numeric exp"


GOOD: Final = Worth.GOOD
"""Nearly all are; found through its class, it takes Python 3.11 as long as the call of a function."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`expires` is wall time in seconds, None when the token says none."""

    worth: Worth
    expires: float | None = None
    fingerprint: str = ""


@dataclass(slots=True)
class _Issued:
    expires: float
    client_id: str
    mark: str
    good: Verdict
    """While it is."""
    worth: Worth = GOOD
    """GOOD until it expires; anything else is for good."""


def fingerprint(token: str) -> str:
    """A name for a token that tells nothing of it: the first 8 hex digits of its SHA-256."""
    return "jwt:" + hashlib.sha256(token.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def bearer(value: str) -> str:
    """The token of an `authorization` value or of `Request.token`; the word Bearer is dropped in any case."""
    if value.startswith("Bearer "):
        return value[7:].strip()
    head, _, rest = value.strip().partition(" ")
    return rest.strip() if head.lower() == "bearer" else value.strip()


def unverified_claims(token: str) -> dict[str, Any] | None:
    """The claims of a JWT without any check of its signature; None when it is none."""
    parts = token.split(".")
    if len(parts) != 3 or len(token) > MAX_TOKEN:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return claims if isinstance(claims, dict) else None


def numeric(claims: Mapping[str, Any], name: str = "exp") -> float | None:
    """A numeric date of claims; None for strings, booleans and other things Go would not read as one (protocol 2.2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        seconds = float(value)
    except OverflowError:  # JSON knows no largest integer
        return None
    return seconds if math.isfinite(seconds) else None


class TokenBook:
    """Every token a world issued."""

    def __init__(
        self,
        *,
        tenant: str,
        accept: Literal["issued", "expired", "any"],
        sign: Callable[[Mapping[str, Any]], str],
        new_id: Callable[[], str],
    ) -> None:
        self._tenant = tenant
        self._accept = accept
        self._sign = sign
        self._new_id = new_id
        self._issued: OrderedDict[str, _Issued] = OrderedDict()
        self._newest: dict[str, str] = {}
        """Client id to the token issued to it last."""

    def has_one(self, client_id: str) -> bool:
        """Whether a token was issued to a client, and is remembered."""
        return self._newest.get(client_id, "") in self._issued

    def issue(self, client_id: str, life: float, wall: float, issuer: str, answer: AnswerToken | None = None) -> str:
        """A new token that is good for `life` seconds from `wall`, unless `answer` says how it is to be wrong.

        Real tokens have whole numbers in `exp`; below 10 seconds rounding would change the life, so fractions are kept
        there.
        """
        if answer is not None and answer.pin and self.has_one(client_id):
            return self._newest[client_id]
        expires: float = math.ceil(wall + life) if life >= 10 else round(wall + life, 3)
        claims: dict[str, Any] = {
            "iss": issuer,
            "sub": client_id,
            "azp": client_id,
            "aud": AUDIENCE,
            "org_guid": self._tenant,
            "iat": math.floor(wall),
            "exp": expires,
            "jti": self._new_id(),
        }
        worth = GOOD
        if answer is not None:
            claims.update(answer.claims)
            if claims["aud"] != AUDIENCE:
                worth = Worth.FOREIGN
            if answer.exp == "past":
                claims["iat"], claims["exp"] = math.floor(wall) - 7200, math.floor(wall) - 3600
                expires = claims["exp"]
            elif answer.exp:
                worth = Worth.NO_EXPIRY
                if answer.exp == "missing":
                    del claims["exp"]
                else:
                    claims["exp"] = str(expires)
        token = self._sign(claims)
        mark = fingerprint(token)
        self._issued[token] = _Issued(float(expires), client_id, mark, Verdict(GOOD, float(expires), mark), worth)
        self._newest[client_id] = token
        while len(self._issued) > MAX_BOOK:
            old, issued = self._issued.popitem(last=False)
            if self._newest.get(issued.client_id) == old:
                del self._newest[issued.client_id]
        return token

    def judge(self, value: str | None, wall: float) -> Verdict:
        """What the token in a header or message value is worth at wall time `wall`."""
        issued = self._issued.get(value) if value is not None else None
        if issued is None:
            token = bearer(value or "")
            if not token:
                return Verdict(Worth.MISSING)
            issued = self._issued.get(token)
        if issued is not None:
            worth = issued.worth
            if worth is GOOD:
                if wall < issued.expires or self._accept == "expired":
                    return issued.good
                worth = Worth.EXPIRED
            return Verdict(worth, None if worth is Worth.NO_EXPIRY else issued.expires, issued.mark)
        mark = fingerprint(token)
        claims = unverified_claims(token)
        if claims is None:
            return Verdict(Worth.MALFORMED, None, mark)
        if self._accept != "any":
            return Verdict(Worth.UNKNOWN, None, mark)
        expires = numeric(claims)
        if expires is None:
            return Verdict(Worth.NO_EXPIRY, None, mark)
        return Verdict(GOOD if wall < expires else Worth.EXPIRED, expires, mark)

    def expire(self, mark: str | None = None, *, revoke: bool = False) -> int:
        """Every token issued so far, or the one with this fingerprint, is expired (or revoked) from now on; returns how
        many there were.
        """
        count = 0
        for issued in self._issued.values():
            if issued.worth is GOOD and mark in (None, issued.mark):
                issued.worth = Worth.REVOKED if revoke else Worth.EXPIRED
                count += 1
        return count
