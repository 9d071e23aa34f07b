"""What tokens are worth; nothing but their fingerprints comes out."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core import tokens
from mockcentral._core.tokens import TokenBook, Worth, fingerprint, numeric, unverified_claims
from tests.mockcentral._core.rig import WALL, sign

ISSUER = "http://fake/auth/realms/Broker"


def book(accept: Literal["issued", "expired", "any"] = "issued") -> TokenBook:
    ids = iter(range(10**9))
    return TokenBook(tenant="1234567890", accept=accept, sign=sign, new_id=lambda: f"jti-{next(ids)}")


def test_a_token_is_good_until_the_moment_it_expires() -> None:
    tokens = book()
    token = tokens.issue("agent", 60.0, WALL, ISSUER)
    assert tokens.judge(token, WALL).worth is Worth.GOOD
    assert tokens.judge(token, WALL + 59.999).worth is Worth.GOOD
    assert tokens.judge(token, WALL + 60.0).worth is Worth.EXPIRED
    assert tokens.judge(token, WALL).expires == WALL + 60


def test_its_claims_say_who_for_whom_and_until_when() -> None:
    claims = unverified_claims(book().issue("agent", 60.0, WALL + 0.25, ISSUER))
    assert claims == {
        "iss": ISSUER,
        "sub": "agent",
        "azp": "agent",
        "aud": "apicentral",
        "org_guid": "1234567890",
        "iat": WALL,
        "exp": WALL + 61,  # whole seconds, never less than promised
        "jti": "jti-0",
    }
    assert isinstance(claims["exp"], int)


def test_a_short_life_keeps_its_fractions() -> None:
    claims = unverified_claims(book().issue("agent", 0.35, WALL, ISSUER))
    assert claims is not None
    assert claims["exp"] == pytest.approx(WALL + 0.35)


def test_two_tokens_of_one_client_differ() -> None:
    tokens = book()
    assert tokens.issue("a", 60, WALL, ISSUER) != tokens.issue("a", 60, WALL, ISSUER)


@pytest.mark.parametrize("written", ["{}", "Bearer {}", "bearer {}", "BEARER   {}  ", "  {} "])
def test_bearer_may_be_written_in_any_case_or_left_out(written: str) -> None:
    tokens = book()
    token = tokens.issue("agent", 60.0, WALL, ISSUER)
    assert tokens.judge(written.format(token), WALL).worth is Worth.GOOD


@pytest.mark.parametrize("written", [None, "", "   ", "Bearer", "Bearer ", "bearer    "])
def test_nothing_is_no_token(written: str | None) -> None:
    assert book().judge(written, WALL).worth is Worth.MISSING


def test_a_token_of_somebody_else_is_unknown_unless_any_will_do() -> None:
    foreign = sign({"exp": WALL + 60})
    assert book().judge(foreign, WALL).worth is Worth.UNKNOWN
    assert book("any").judge(foreign, WALL).worth is Worth.GOOD
    assert book("any").judge(foreign, WALL + 60).worth is Worth.EXPIRED


def test_issued_tokens_may_be_good_past_their_exp() -> None:
    lenient = book("expired")
    token = lenient.issue("client", 5.0, WALL, "issuer")
    assert lenient.judge(token, WALL + 100).worth is Worth.GOOD
    assert book().judge(token, WALL).worth is Worth.UNKNOWN
    lenient.expire()
    assert lenient.judge(token, WALL).worth is Worth.EXPIRED


@pytest.mark.parametrize("accept", ["issued", "any"])
@pytest.mark.parametrize("text", ["abc", "a.b", "a.b.c.d", "a.b.c", "..", "Basic dXNlcjpwYXNz", "é.è.à", "x" * 50_000])
def test_what_is_no_jwt_is_malformed(accept: Literal["issued", "any"], text: str) -> None:
    assert book(accept).judge(text, WALL).worth is Worth.MALFORMED


@pytest.mark.parametrize(
    "exp", [None, "1", True, [], {}, float("nan"), float("inf"), float("-inf"), 10**400, -(10**400)], ids=range(10)
)
def test_an_expiry_that_go_would_not_read_is_none(exp: Any) -> None:
    assert numeric({"exp": exp}) is None
    assert numeric({}) is None
    assert book("any").judge(sign({"exp": exp}), WALL).worth is Worth.NO_EXPIRY


@pytest.mark.parametrize("exp", [9_999_999_999, WALL + 0.5, 1e300])
def test_far_and_fractional_expiries_are_fine(exp: float) -> None:
    assert book("any").judge(sign({"exp": exp}), WALL).worth is Worth.GOOD


@given(st.text(max_size=60) | st.binary(max_size=60).map(lambda raw: f"e30.{base64.urlsafe_b64encode(raw).decode()}.x"))
@settings(deadline=None)
def test_no_text_upsets_the_judge(text: str) -> None:
    for accept in ("issued", "any"):
        assert book(accept).judge(text, WALL).worth in Worth


def test_a_deep_nest_of_json_is_malformed_and_not_a_crash() -> None:
    deep = base64.urlsafe_b64encode(b"[" * 20_000).decode()
    assert unverified_claims(f"e30.{deep}.x") is None


def test_expiring_takes_every_token_issued_so_far_and_none_later() -> None:
    tokens = book()
    before = [tokens.issue("a", 60, WALL, ISSUER) for _ in range(3)]
    assert tokens.expire() == 3
    assert {tokens.judge(token, WALL).worth for token in before} == {Worth.EXPIRED}
    assert tokens.judge(tokens.issue("a", 60, WALL, ISSUER), WALL).worth is Worth.GOOD
    assert tokens.expire() == 1  # those already expired do not count again


def test_one_token_can_be_expired_by_its_fingerprint() -> None:
    tokens = book()
    first, second = (tokens.issue("a", 60, WALL, ISSUER) for _ in range(2))
    assert tokens.expire(fingerprint(first)) == 1
    assert tokens.judge(first, WALL).worth is Worth.EXPIRED
    assert tokens.judge(second, WALL).worth is Worth.GOOD
    assert tokens.expire("jwt:00000000") == 0


def test_the_book_forgets_the_oldest_token_when_it_is_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MAX_BOOK", 3)
    full = book()
    issued = [full.issue("a", 60, WALL, ISSUER) for _ in range(5)]
    assert [full.judge(token, WALL).worth for token in issued] == [Worth.UNKNOWN] * 2 + [Worth.GOOD] * 3


def test_a_fingerprint_tells_tokens_apart_and_nothing_of_them() -> None:
    token = sign({"exp": WALL})
    mark = fingerprint(token)
    assert mark == fingerprint(token) != fingerprint(token + "x")
    assert mark.startswith("jwt:")
    assert len(mark) == 12
    assert fingerprint("\udc80")  # a header with bytes of no encoding


def test_claims_are_read_whatever_padding_they_need() -> None:
    for size in range(8):
        claims = {"k": "x" * size}
        body = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
        assert unverified_claims(f"e30.{body}.sig") == claims
