"""The token endpoint (protocol 6.2), asked as an agent asks it, with PyJWT and keys of our own."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import time
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from mockcentral import World
from mockcentral.scenario.schema import Scenario, TokenSettings, WorldSettings
from mockcentral.scenario.types import Duration
from mockcentral.servers.signer import Assertions, load_public_key
from tests.mockcentral.clients import Answer, harvest, request, topic

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
PATH = "/auth/realms/Broker/protocol/openid-connect/token"
CLIENT = "my-agent"
REFUSAL = (401, {"error": "invalid_client", "error_description": "Client authentication failed"})
"""All that a client is told, whatever was wrong."""


def public_pem(key: Any) -> bytes:
    pem: bytes = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return pem


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture(scope="module")
def other_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def open_world() -> Iterator[World]:
    """A world that knows no public key."""
    with World() as world:
        yield world


@pytest.fixture(scope="module")
def strict_world(key: rsa.RSAPrivateKey) -> Iterator[World]:
    with World(public_keys={CLIENT: public_pem(key)}) as world:
        yield world


def kid(key: rsa.RSAPrivateKey) -> str:
    der = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return base64.urlsafe_b64encode(hashlib.sha256(der).digest()).rstrip(b"=").decode()


def assertion(world: World, key: rsa.RSAPrivateKey, headers: dict[str, str] | None = None, **claims: Any) -> str:
    """What an agent signs; a claim that is None is left out."""
    now = int(time.time())
    body = {
        "iss": f"{TYPE}:{CLIENT}",
        "sub": CLIENT,
        "aud": [f"{world.auth_url}/realms/Broker"],
        "exp": now + 60,
        "iat": now,
        "jti": str(uuid.uuid4()),
        **claims,
    }
    kept = {name: value for name, value in body.items() if value is not None}
    return jwt.encode(kept, key, algorithm="RS256", headers={"kid": kid(key), **(headers or {})})


def ask(world: World, text: str, path: str = PATH, **form: str) -> Answer:
    fields = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": text, **form}
    kept = {name: value for name, value in fields.items() if value}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return request(world.address, "POST", path, urlencode(kept).encode(), headers)


def reasons(world: World) -> list[str]:
    return [record["reason"] for record in world.journal() if record["kind"] == "token.refused"]


# ------------------------------------------------------------------------------------------ granted
def test_a_token_is_granted_and_good_for_everything(open_world: World, key: rsa.RSAPrivateKey) -> None:
    open_world.put_topic(topic())
    answer = ask(open_world, assertion(open_world, key))
    assert answer.status == 200
    granted = answer.json()
    assert isinstance(granted["access_token"], str)
    assert (granted["expires_in"], granted["token_type"]) == (3600, "Bearer")
    assert answer.headers["cache-control"] == "no-store"
    headers = {"Authorization": f"Bearer {granted['access_token']}"}
    assert request(open_world.address, "GET", "/events/management/v1/watchtopics/sample", headers=headers).status == 200
    issued = [record for record in open_world.journal() if record["kind"] == "token.issued"][-1]
    assert (issued["client_id"], issued["life"]) == (CLIENT, 3600.0)


def test_the_jwks_verifies_what_is_issued(open_world: World, key: rsa.RSAPrivateKey) -> None:
    token = ask(open_world, assertion(open_world, key)).json()["access_token"]
    keys = jwt.PyJWKSet.from_dict(
        request(open_world.address, "GET", "/auth/realms/Broker/protocol/openid-connect/certs").json()
    )
    header = jwt.get_unverified_header(token)
    assert header["alg"] == "RS256"
    claims = jwt.decode(
        token,
        keys[header["kid"]],
        algorithms=["RS256"],
        audience="apicentral",
        issuer=f"{open_world.auth_url}/realms/Broker",
    )
    assert claims["sub"] == CLIENT
    assert isinstance(claims["exp"], int)
    assert claims["exp"] - claims["iat"] in (3600, 3601)


def test_a_short_life_is_told_in_whole_seconds_and_never_zero() -> None:
    settings = WorldSettings(token=TokenSettings(life=Duration(0.3)))
    with World(Scenario(scenario="x", about="x", world=settings)) as world:
        assert ask(world, "a.b.c").json()["expires_in"] == 1  # 0 would be fetched for every call


def test_without_a_registered_key_any_assertion_will_do(open_world: World) -> None:
    for text in ("a.b.c", "nonsense"):
        assert ask(open_world, text).status == 200


@pytest.mark.parametrize("realm", ["Broker", "other"])
def test_a_registered_key_opens_with_the_right_assertion(
    strict_world: World, key: rsa.RSAPrivateKey, realm: str
) -> None:
    text = assertion(strict_world, key, aud=[f"{strict_world.auth_url}/realms/{realm}"])
    path = PATH.replace("Broker", realm)
    assert ask(strict_world, text, path).status == 200


def test_the_audience_may_be_text_and_may_name_the_host_the_client_used(
    strict_world: World, key: rsa.RSAPrivateKey
) -> None:
    port = strict_world.address.rpartition(":")[2]
    aud = f"http://localhost:{port}/auth/realms/Broker"
    fields = {"grant_type": "client_credentials", "client_assertion_type": TYPE}
    body = urlencode({**fields, "client_assertion": assertion(strict_world, key, aud=aud)}).encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Host": f"localhost:{port}"}
    assert request(strict_world.address, "POST", PATH, body, headers).status == 200


# ------------------------------------------------------------------------------------------ refused
@pytest.mark.parametrize(
    ("form", "reason"),
    [
        ({"grant_type": ""}, "grant_type is not client_credentials"),
        ({"grant_type": "password"}, "grant_type is not client_credentials"),
        ({"client_assertion_type": ""}, "client_assertion_type is not"),
        ({"client_assertion": ""}, "client_assertion is missing"),
        ({"client_assertion": "x" * 40_000}, "client_assertion is too long"),
    ],
)
def test_a_form_with_a_mistake_is_401_and_only_the_journal_knows_why(
    open_world: World, form: dict[str, str], reason: str
) -> None:
    answer = ask(open_world, "a.b.c", **form)
    assert answer.status == 401
    assert answer.json()["error"] == "invalid_client"
    assert reason not in answer.body.decode()
    assert reasons(open_world)[-1].startswith(reason)


def test_a_body_that_is_no_form_is_401(open_world: World) -> None:
    for body in (b"", b"{}", b"\xff\xfe" * 100, b"a=" * 5000):
        assert request(open_world.address, "POST", PATH, body).status in (401, 413)
    assert request(open_world.address, "GET", PATH).status == 405


def now(offset: float) -> int:
    return int(time.time() + offset)


@pytest.mark.parametrize(
    ("claims", "headers", "reason"),
    [
        (
            {"aud": ["http://elsewhere/auth/realms/Broker"]},
            {},
            r"aud is .*elsewhere/auth/realms/Broker.*, not http",
        ),
        ({"aud": []}, {}, r"aud is '\[\]', not http"),
        ({"aud": 5}, {}, "aud is '5', not http"),
        ({"aud": None}, {}, "the assertion has no aud$"),
        ({"jti": None, "exp": None}, {}, "the assertion has no exp, jti$"),
        ({"iat": None}, {}, "the assertion has no iat$"),
        ({"iss": None}, {}, "the assertion has no iss$"),
        ({"iss": "my-agent"}, {}, "iss is 'my-agent', not urn:"),
        ({"iss": f"{TYPE}:somebody"}, {}, "iss is 'urn:.*:somebody', not urn:"),
        ({"sub": "somebody"}, {}, "no public key is registered for client 'somebody'"),
        ({"sub": None}, {}, "no public key is registered for client 'unknown'"),
        ({"sub": 5}, {}, "no public key is registered for client 'unknown'"),
        ({"iat": now(-500), "exp": now(-400)}, {}, r"the assertion expired \d+ s ago"),
        ({"iat": now(400), "exp": now(460)}, {}, r"the assertion is not valid yet: iat lies \d+ s ahead"),
        ({"nbf": now(400)}, {}, "the assertion is not valid yet: nbf lies"),
        ({"exp": now(3600)}, {}, "the assertion lives 3"),
        ({"exp": "soon"}, {}, "iat, exp and nbf must be numbers"),
        ({"nbf": "soon"}, {}, "iat, exp and nbf must be numbers"),
        ({"exp": 10**400}, {}, "iat, exp and nbf must be numbers"),
        ({"exp": True}, {}, "iat, exp and nbf must be numbers"),
        ({}, {"kid": "wrong"}, "kid 'wrong' is not that of the key registered for 'my-agent'"),
        ({}, {"kid": ""}, "kid '' is not that of the key"),
    ],
)
def test_a_wrong_assertion_is_refused_by_its_reason(
    strict_world: World, key: rsa.RSAPrivateKey, claims: dict[str, Any], headers: dict[str, str], reason: str
) -> None:
    answer = ask(strict_world, assertion(strict_world, key, headers, **claims))
    assert (answer.status, answer.json()) == REFUSAL
    assert re.match(reason, reasons(strict_world)[-1])


def test_a_key_of_somebody_else_does_not_open(
    strict_world: World, key: rsa.RSAPrivateKey, other_key: rsa.RSAPrivateKey
) -> None:
    for headers, reason in (({"kid": kid(key)}, "the signature is not"), ({"kid": kid(other_key)}, "kid ")):
        answer = ask(strict_world, assertion(strict_world, other_key, headers))
        assert (answer.status, answer.json()) == REFUSAL
        assert reasons(strict_world)[-1].startswith(reason)


def _signed_with_our_public_key(key: rsa.RSAPrivateKey, claims: dict[str, Any]) -> str:
    """An HS256 token whose secret is what everybody may know; PyJWT itself refuses to make one."""
    header = {"alg": "HS256", "typ": "JWT", "kid": kid(key)}
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=") for part in (header, claims)]
    mark = hmac.digest(public_pem(key), b".".join(parts), "sha256")
    return b".".join([*parts, base64.urlsafe_b64encode(mark).rstrip(b"=")]).decode()


def test_an_unsigned_or_otherwise_signed_assertion_does_not_open(strict_world: World, key: rsa.RSAPrivateKey) -> None:
    good = assertion(strict_world, key)
    claims = jwt.decode(good, options={"verify_signature": False})
    named = {"kid": kid(key)}
    for text, reason in (
        (jwt.encode(claims, "", algorithm="none", headers=named), "client_assertion is signed with 'none': only RS256"),
        (_signed_with_our_public_key(key, claims), "client_assertion is signed with 'HS256': only RS256"),
        (
            jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), algorithm="ES256", headers=named),
            "client_assertion is signed with 'ES256': only RS256",
        ),
        (good[:-8] + "AAAAAAAA", "the signature is not that of the registered key"),
        ("." + good.partition(".")[2], "client_assertion is no JWT"),
    ):
        answer = ask(strict_world, text)
        assert (answer.status, answer.json()) == REFUSAL
        assert reasons(strict_world)[-1].startswith(reason)


def test_a_token_names_the_realm_that_was_asked(strict_world: World, key: rsa.RSAPrivateKey) -> None:
    for realm in ("Broker", "Other"):
        issuer = f"{strict_world.auth_url}/realms/{realm}"
        path = PATH.replace("Broker", realm)
        token = ask(strict_world, assertion(strict_world, key, aud=[issuer]), path).json()["access_token"]
        keys = jwt.PyJWKSet.from_dict(request(strict_world.address, "GET", path.replace("/token", "/certs")).json())
        jwt.decode(token, keys.keys[0], algorithms=["RS256"], audience="apicentral", issuer=issuer)
        # An assertion for one realm is none for the other.
        elsewhere = PATH.replace("Broker", "Elsewhere")
        assert ask(strict_world, assertion(strict_world, key, aud=[issuer]), elsewhere).status == 401
        assert reasons(strict_world)[-1].endswith("/realms/Elsewhere")


def test_one_token_is_good_for_the_platform_and_for_central(strict_world: World, key: rsa.RSAPrivateKey) -> None:
    token = ask(strict_world, assertion(strict_world, key)).json()["access_token"]
    for method, path, status in (
        ("GET", "/api/v1/platformTeams", 200),
        ("GET", f"/api/v1/org/{strict_world.tenant}?fields[]=entitlements", 200),
        ("POST", "/api/v1/usage", 202),
        ("GET", "/apis/management/v1/environments", 200),
    ):
        headers = {"Authorization": f"Bearer {token}"}
        assert request(strict_world.address, method, path, headers=headers).status == status
        assert request(strict_world.address, method, path, headers={"Authorization": "Bearer x.y.z"}).status == 401
        refused = [record for record in strict_world.journal() if record["kind"] == "http.request"][-1]["refused"]
        assert refused == "not a JWT"


def test_no_token_and_no_assertion_is_in_the_journal(strict_world: World, key: rsa.RSAPrivateKey) -> None:
    good, bad = assertion(strict_world, key), assertion(strict_world, key, iss="x")
    token = ask(strict_world, good).json()["access_token"]
    ask(strict_world, bad)
    journal = json.dumps(strict_world.journal())
    for secret in (good, bad, token):
        for part in secret.split(".")[1:]:
            assert part not in journal


# ------------------------------------------------------------------------------------------ keys
def test_only_rsa_public_keys_are_taken(key: rsa.RSAPrivateKey) -> None:
    assert load_public_key(public_pem(key))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for pem, words in (
        (b"", "not a PEM public key"),
        (b"garbage", "not a PEM public key"),
        (private, "not a PEM public key"),
        (public_pem(ec.generate_private_key(ec.SECP256R1())), "not an RSA public key"),
    ):
        with pytest.raises(ValueError, match=words):
            load_public_key(pem)
        with pytest.raises(ValueError, match=words):
            Assertions({CLIENT: pem})


def test_the_worlds_own_token_comes_again_until_it_expires(open_world: World) -> None:
    open_world.put_topic(topic())
    first = open_world.token
    assert open_world.token == first
    open_world.expire_tokens()
    assert open_world.token != first
    assert harvest(open_world).status == 200
