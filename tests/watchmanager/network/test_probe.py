"""The walk to a server: which step fails, and what is said about it."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from tests.watchmanager.driver.tiny import http_server
from tests.watchmanager.network.peers import (
    SERVICES,
    Certificates,
    ConnectProxy,
    Server,
    StrictTls,
    answer,
    hang,
    publish,
    route_to,
)
from watchmanager._core.proxies import Target
from watchmanager._driver.probe import STEPS, Diagnosis, diagnose
from watchmanager._driver.route import Route
from watchmanager.errors import TokenProviderError
from watchmanager.policy import TLS, Proxy


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), 60)

    return asyncio.run(bounded())


def examine(world: World, route: Route | None = None, **settings: Any) -> Diagnosis:
    async def token() -> tuple[str, float | None]:
        return world.token, 3600.0

    given = {"token": token, "topic": world.topics[0], "tenant": world.tenant, **settings}
    found: Diagnosis = run(lambda: diagnose(route or route_to(world), **given))
    # Every step is there once and in order, whatever happened, and JSON can carry it.
    assert tuple(each.name for each in found.steps) == STEPS
    text = json.dumps(found.to_dict()) + str(found)
    assert world.token not in text
    return found


def outcomes(found: Diagnosis) -> dict[str, str]:
    return {each.name: each.outcome for each in found.steps}


def test_a_healthy_server_passes_every_step() -> None:
    with World(topics=[SERVICES], tls=True) as world:
        newest = publish(world, 3)[-1]
        found = examine(world)
        assert found.ok
        assert found.hint is None
        assert outcomes(found) == {**dict.fromkeys(STEPS, "ok"), "proxy": "skipped"}
        facts = {each.name: each.facts for each in found.steps}
        assert facts["topic"]["newest"] == newest
        assert facts["tls"]["version"] == "TLSv1.3"
        assert "127.0.0.1" in facts["tls"]["names"]
        assert facts["http2"]["max_concurrent_streams"] > 0
        assert not [each for each in world.journal() if each["kind"] == "stream.open"]


def test_a_plain_server_skips_what_is_about_tls() -> None:
    with World(topics=[SERVICES]) as world:
        got = outcomes(examine(world))
        assert (got["tls"], got["alpn"], got["http2"], got["topic"]) == ("skipped", "skipped", "ok", "ok")


def test_the_walk_goes_through_the_proxy_and_leaves_it() -> None:
    async def main(world: World) -> None:
        async with ConnectProxy(user="me:pass") as proxy:
            route = route_to(world, proxy=Proxy(url=f"http://me:pass@127.0.0.1:{proxy.port}"))
            found = await diagnose(route)
            assert found.ok
            assert outcomes(found)["proxy"] == "ok"
            assert "pass" not in str(found).replace("pass through", "")
            assert proxy.asked == [world.address]

    with World(tls=True) as world:
        run(lambda: main(world))


def refusals(folder: Path) -> dict[str, tuple[Any, dict[str, Any], str, str, str]]:
    """name: peer, route settings, failing step, cause, word of the hint."""
    made = Certificates(folder)
    old = made.server("127.0.0.1")
    trusted = TLS(ca=made.ca)
    http1 = b"HTTP/1.1 400 Bad Request\r\n\r\n"
    import ssl

    old.maximum_version = ssl.TLSVersion.TLSv1_2
    wants = made.server("127.0.0.1")
    wants.verify_mode = ssl.CERT_REQUIRED
    wants.load_verify_locations(made.ca)
    wants.maximum_version = ssl.TLSVersion.TLSv1_2
    return {
        "wrong-ca": (made.server("127.0.0.1"), {"tls": TLS(ca=made.other_ca)}, "tls", "TLSError", "TLS.extra_ca"),
        "wrong-name": (made.server("other.test"), {"tls": trusted}, "tls", "TLSError", "TLS.server_name"),
        "expired": (made.server("127.0.0.1", expired=True), {"tls": trusted}, "tls", "TLSError", "renew"),
        "too-old": (old, {"tls": TLS(ca=made.ca, minimum_version="1.3")}, "tls", "TLSError", "minimum_version"),
        "wants-certificate": (wants, {"tls": trusted}, "tls", "TLSError", "give TLS.cert and TLS.key"),
        "closes-after-tls": (made.server("127.0.0.1"), {"tls": trusted}, "http2", "NotGrpcError", "TLS.cert"),
        "no-alpn": (made.server("127.0.0.1", alpn=()), {"tls": trusted}, "alpn", "NotGrpcError", "inspection"),
        "http1-alpn": (
            made.server("127.0.0.1", alpn=("http/1.1",)),
            {"tls": trusted},
            "alpn",
            "NotGrpcError",
            "inspection",
        ),
        "plain-on-tls-port": (http1, {"tls": trusted}, "tls", "NotGrpcError", "http://"),
        "http1-only": (http1, {}, "http2", "NotGrpcError", "port"),
        "tls-on-plain-port": (b"\x15\x03\x01\x00\x02\x02\x46", {}, "http2", "NotGrpcError", "use https://"),
        "something-else": (b"220 smtp ready\r\n", {}, "http2", "NotGrpcError", "port"),
        "closes": (b"", {}, "http2", "NotGrpcError", "port"),
    }


@pytest.mark.parametrize(
    "case",
    [
        "wrong-ca",
        "wrong-name",
        "expired",
        "too-old",
        "wants-certificate",
        "closes-after-tls",
        "no-alpn",
        "http1-alpn",
        "plain-on-tls-port",
        "http1-only",
        "tls-on-plain-port",
        "something-else",
        "closes",
    ],
)
def test_the_step_that_fails_is_named_with_its_cause_and_a_hint(case: str, tmp_path: Path) -> None:
    peer, settings, step, cause, word = refusals(tmp_path)[case]

    async def ask(target: Target) -> Diagnosis:
        there = Target(target.host, target.port, tls="tls" in settings)
        return await diagnose(Route(there, environ={}, **settings))

    async def main() -> Diagnosis:
        if isinstance(peer, bytes):
            async with Server(answer(peer)) as server:
                return await ask(server.target)
        with StrictTls(peer, closes=case == "closes-after-tls") as strict:
            return await ask(strict.target)

    found = run(main)
    assert (found.failed, found.cause) == (step, cause), str(found)
    assert word in found.hint
    after = STEPS[STEPS.index(step) + 1 :]
    assert all(outcomes(found)[each] == "skipped" for each in after)
    assert f"FAIL {step}" in str(found)


def test_an_untrusted_certificate_is_shown(tmp_path: Path) -> None:
    async def main() -> Diagnosis:
        made = Certificates(tmp_path)
        with StrictTls(made.server("elsewhere.test")) as peer:
            return await diagnose(Route(peer.target, tls=TLS(ca=made.ca), environ={}))

    [tls] = [each for each in run(main).steps if each.name == "tls"]
    assert tls.facts["names"] == ["elsewhere.test"]
    assert "a certificate for elsewhere.test by" in tls.detail


@pytest.mark.parametrize(
    ("status", "word"),
    [(407, "percent-encoded"), (403, "allowed"), (503, "the proxy cannot reach")],
)
def test_a_proxy_that_refuses_is_the_failing_step(status: int, word: str) -> None:
    async def main() -> Diagnosis:
        async with ConnectProxy(status=status) as proxy:
            url = f"http://127.0.0.1:{proxy.port}"
            return await diagnose(Route(Target("central.example.test", 443), proxy=Proxy(url=url), environ={}))

    found = run(main)
    assert (found.failed, found.cause) == ("proxy", "ProxyError")
    assert word in found.hint


@pytest.mark.parametrize(
    ("case", "word"),
    [
        (("proxy.test", False), "write the proxy's URL with a name"),
        (("127.0.0.1", True), "the proxy's certificate"),
    ],
    ids=["name", "expired"],
)
def test_a_proxy_whose_certificate_is_bad_is_not_taken_for_the_server(
    case: tuple[str, bool], word: str, tmp_path: Path
) -> None:
    async def main() -> Diagnosis:
        made = Certificates(tmp_path)
        with StrictTls(made.server(case[0], expired=case[1])) as peer:
            url = f"https://{peer.target.host}:{peer.target.port}"
            target = Target("central.example.test", 443)
            return await diagnose(Route(target, tls=TLS(ca=made.ca), proxy=Proxy(url=url), environ={}))

    found = run(main)
    assert (found.failed, found.cause) == ("proxy", "TLSError")
    assert word in found.hint


def test_a_404_that_is_not_centrals_says_nothing_about_the_topic() -> None:
    def web(line: str, body: bytes) -> tuple[int, dict[str, str], bytes]:
        return 404, {}, b"<html>not here</html>"

    async def main(world: World) -> Diagnosis:
        async def token() -> tuple[str, float | None]:
            return world.token, None

        async with http_server(web) as url:
            return await diagnose(
                route_to(world), token=token, topic="/management/v1/watchtopics/t", tenant=world.tenant, history_url=url
            )

    with World() as world:
        found = run(lambda: main(world))
    assert (found.failed, found.cause) == ("topic", "HistoryError")
    assert "is http://127.0.0.1" in found.message
    assert "History.url" in found.hint


def test_names_and_ports_that_lead_nowhere_fail_at_their_step() -> None:
    async def main() -> tuple[Diagnosis, Diagnosis]:
        async with Server(hang) as peer:
            gone = peer.target
        nameless = Route(Target("central.invalid", 443), environ={})
        return await diagnose(nameless), await diagnose(Route(gone, environ={}))

    nameless, refused = run(main)
    assert (nameless.failed, nameless.cause) == ("dns", "NameResolutionError")
    assert (refused.failed, refused.cause) == ("tcp", "ConnectError")
    assert "connection refused" in refused.message


@pytest.mark.parametrize("step", ["http2", "tls", "token", "topic"])
def test_a_step_that_hangs_ends_in_its_time(step: str, tmp_path: Path) -> None:
    async def main(world: World) -> Diagnosis:
        async def token() -> tuple[str, float | None]:
            if step == "token":
                await asyncio.Event().wait()
            return world.token, None

        async with Server(hang) as peer:
            settings: dict[str, Any] = {"seconds": 0.5, "token": token, "topic": world.topics[0]}
            if step in ("http2", "tls"):
                return await diagnose(Route(Target("127.0.0.1", peer.port, tls=step == "tls"), environ={}), **settings)
            there = Target("127.0.0.1", peer.port, tls=False)
            history = Route(there, environ={})
            return await diagnose(
                route_to(world), history=history, history_url=f"http://{there}", tenant=world.tenant, **settings
            )

    with World(topics=[SERVICES]) as world:
        found = run(lambda: main(world))
    assert found.failed == step
    assert "within 0.5 s" in found.message


def test_what_is_wrong_with_the_token_is_told_before_it_is_used() -> None:
    async def broken() -> tuple[str, float | None]:
        raise TokenProviderError("no key")

    async def crashing() -> tuple[str, float | None]:
        raise RuntimeError("secret inside")

    async def ended() -> tuple[str, float | None]:
        return "x", -5.0

    with World(topics=[SERVICES]) as world:
        assert (examine(world, token=broken).failed, examine(world, token=broken).message) == ("token", "no key")
        crashed = examine(world, token=crashing)
        assert crashed.message == "the token provider failed: RuntimeError"
        assert examine(world, token=ended).cause == "TokenExpired"
        assert outcomes(examine(world, token=None))["topic"] == "skipped"


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"topic": "/management/v1/watchtopics/none"}, "TopicNotFound"),
        ({"tenant": "42"}, "PermissionDenied"),
    ],
)
def test_a_topic_that_cannot_be_read_is_the_last_step(settings: dict[str, Any], cause: str) -> None:
    with World(topics=[SERVICES]) as world:
        found = examine(world, **settings)
        assert (found.failed, found.cause) == ("topic", cause)


def test_a_refused_token_is_told_with_the_clocks_difference() -> None:
    body = b"HTTP/1.1 401 No\r\nDate: Mon, 01 Jan 2035 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n"

    async def main(world: World) -> Diagnosis:
        async def token() -> tuple[str, float | None]:
            return "whatever", 60.0

        async with Server(answer(body)) as peer:
            there = Target("127.0.0.1", peer.port, tls=False)
            return await diagnose(
                route_to(world),
                token=token,
                topic=world.topics[0],
                history=Route(there, environ={}),
                history_url=f"http://{there}",
                wall=lambda: 2051222400.0 - 90.0,
            )

    with World(topics=[SERVICES]) as world:
        found = run(lambda: main(world))
    assert found.cause == "Unauthenticated"
    assert "the server's clock is 90 s ahead of ours" in found.message


# ------------------------------------------------------------------------------------------ the command
def doctor(world: World, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    environment = {
        **kept,
        "MOCKCENTRAL_HTTP_URL": world.http_url,
        "MOCKCENTRAL_TENANT": world.tenant,
        "MOCKCENTRAL_TOPIC": world.topics[0],
        "MOCKCENTRAL_TOKEN": world.token,
        "MOCKCENTRAL_CA_FILE": world.ca_file or "",
        **more,
    }
    command = [sys.executable, "-W", "error", "-m", "watchmanager", "doctor", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_doctor_prints_a_line_for_each_step_and_tells_success_by_its_code() -> None:
    with World(topics=[SERVICES], tls=True) as world:
        well = doctor(world)
        assert (well.returncode, well.stderr) == (0, "")
        assert [line.split()[1] for line in well.stdout.splitlines()[1:]] == list(STEPS)
        ill = doctor(world, "-o", "json", MOCKCENTRAL_CA_FILE="")
        assert ill.returncode == 1
        assert json.loads(ill.stdout)["failed"] == "tls"
        assert world.token not in well.stdout + ill.stdout


def test_doctor_explains_the_way_without_connecting() -> None:
    with World(topics=[SERVICES]) as world:
        said = doctor(world, "--explain-proxy", "--proxy-from-env", http_proxy="http://me:hidden@127.0.0.1:1")
        assert said.returncode == 0
        assert "through the proxy http://me:***@127.0.0.1:1: the variable http_proxy says so" in said.stdout
        listed = doctor(
            world, "--explain-proxy", "--proxy-from-env", http_proxy="http://127.0.0.1:1", no_proxy="127.0.0.0/8"
        )
        assert "directly: no_proxy lists '127.0.0.0/8'" in listed.stdout
        bad = doctor(world, "--proxy", "ftp://me:hidden@127.0.0.1:1")
        assert (bad.returncode, bad.stdout) == (2, "")
        assert len(bad.stderr.splitlines()) == 1
        assert "hidden" not in bad.stderr


def jwt(**claims: Any) -> str:
    parts = [{"alg": "none"}, claims]
    return ".".join([base64.urlsafe_b64encode(json.dumps(each).encode()).rstrip(b"=").decode() for each in parts]) + "."


def test_doctor_says_that_a_token_has_ended() -> None:
    with World(topics=[SERVICES]) as world:
        ill = doctor(world, MOCKCENTRAL_TOKEN=jwt(exp=time.time() - 100))
        assert ill.returncode in (1, 2)
        assert "ended" in ill.stdout + ill.stderr
