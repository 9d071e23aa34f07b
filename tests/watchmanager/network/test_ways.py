"""One decision for stream, history and token: whole watches through proxies, and gRPC beside HTTP."""

from __future__ import annotations

import asyncio
import logging
import shutil
import ssl
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from random import Random
from typing import Any

import pytest

import watchmanager as wm
from mockcentral import World
from tests.watchmanager.network.peers import (
    SERVICES,
    Certificates,
    ConnectProxy,
    Server,
    SocksProxy,
    StrictTls,
    hang,
    keepalive,
    publish,
    receive,
    route_to,
    world_tls,
)
from watchmanager._core.proxies import Target
from watchmanager._driver import tls as tls_policy
from watchmanager._driver.bridge import Bridge
from watchmanager._driver.probe import Diagnosis
from watchmanager._driver.route import Link, Route


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    async def bounded() -> Any:
        return await asyncio.wait_for(work(), 60)

    return asyncio.run(bounded())


async def fetch(route: Route, world: World) -> int:
    """HTTP status of the newest event over this route."""
    scheme = "https" if route.target.tls else "http"
    async with route.http_client(timeout=10.0) as client:
        response = await client.get(
            f"{scheme}://{route.target}/events{world.topics[0]}",
            params={"pageSize": "1", "sort": "sequenceID,DESC"},
            headers={"Authorization": f"Bearer {world.token}"},
        )
        return response.status_code


PROXIED = ["http", "http-auth", "https", "socks5", "socks5h-auth"]


@pytest.mark.parametrize("loopback", [False, True], ids=["unix", "loopback"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("excluded", [False, True], ids=["proxied", "excluded"])
@pytest.mark.parametrize("kind", PROXIED)
def test_grpc_and_http_go_the_same_way(kind: str, excluded: bool, tls: bool, loopback: bool, tmp_path: Path) -> None:
    """The proxy sees both, or neither."""

    async def main(world: World) -> None:
        made = Certificates(tmp_path)
        user = "me:p@ss" if kind.endswith("auth") else None
        proxy: Any
        if kind.startswith("socks"):
            proxy = SocksProxy(user=user)
        else:
            proxy = ConnectProxy(user=user, tls=made.server("127.0.0.1", alpn=()) if kind == "https" else None)
        async with proxy:
            url = f"{kind.removesuffix('-auth')}://{'me:p%40ss@' if user else ''}127.0.0.1:{proxy.port}"
            route = Route(
                Target.from_address(world.address, tls=tls),
                tls=world_tls(world, extra_ca=made.ca) if tls else wm.TLS(extra_ca=made.ca),
                proxy=wm.Proxy(trust_env=True),
                environ={"ALL_PROXY": url, "NO_PROXY": "127.0.0.0/8" if excluded else "elsewhere.test"},
                loopback=loopback,
            )
            link = Link(route, keepalive(10, 5))
            await receive(link, world, 2)
            await link.close()
            by_grpc = list(proxy.asked)
            assert await fetch(route, world) == 200
            by_http = proxy.asked[len(by_grpc) :]
            assert by_grpc == by_http == ([] if excluded else [world.address])

    with World(topics=[SERVICES], tls=tls) as world:
        run(lambda: main(world))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("way", ["no setting", "single entry", "excluded"])
def test_a_proxy_of_the_environment_that_nobody_asked_for_sees_neither_grpc_nor_http(
    way: str, tls: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """grpcio and httpx would both follow these variables by themselves."""

    async def main(world: World) -> None:
        async with ConnectProxy() as proxy:
            for name in ("http_proxy", "https_proxy", "grpc_proxy", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
                monkeypatch.setenv(name.upper(), f"http://127.0.0.1:{proxy.port}")
            for name in ("no_proxy", "NO_PROXY", "no_grpc_proxy", "NO_GRPC_PROXY"):
                monkeypatch.delenv(name, raising=False)
            settings: dict[str, Any] = {"environ": None}
            if way == "single entry":
                settings["single_entry"] = Target.from_address(world.address)
            elif way == "excluded":
                settings["proxy"] = wm.Proxy(trust_env=True, no_proxy=("127.0.0.0/8",))
            route = route_to(world, **settings)
            link = Link(route, keepalive(10, 5))
            assert link.bridge is None
            await receive(link, world, 1)
            await link.close()
            assert await fetch(route, world) == 200
            assert proxy.asked == []

    with World(topics=[SERVICES], tls=tls) as world:
        run(lambda: main(world))


@pytest.mark.parametrize(
    "policy",
    [{}, {"extra_ca": True}, {"minimum_version": "1.3"}, {"server_name": "localhost"}, {"wrong": True}],
    ids=["own-ca", "extra-ca", "tls1.3", "server-name", "untrusted"],
)
def test_grpc_and_http_trust_the_same(policy: dict[str, Any], tmp_path: Path) -> None:
    async def main(world: World) -> None:
        given = dict(policy)
        if given.pop("wrong", False):
            tls = wm.TLS()
        elif given.pop("extra_ca", False):
            tls = wm.TLS(extra_ca=world.ca_file)
        else:
            tls = wm.TLS(ca=world.ca_file, **given)
        route = route_to(world, tls=tls)
        link = Link(route, keepalive(10, 5))
        try:
            if policy.get("wrong"):
                with pytest.raises(Exception, match=r"(?i)certificate.verify.failed"):
                    await asyncio.wait_for(receive(link, world, 1), 20)
                with pytest.raises(Exception, match=r"(?i)certificate.verify.failed"):
                    await fetch(route, world)
            else:
                await receive(link, world, 1)
                assert await fetch(route, world) == 200
        finally:
            await link.close()

    with World(topics=[SERVICES], tls=True) as world:
        run(lambda: main(world))


def test_a_ca_that_only_the_operating_system_knows_is_trusted_by_grpc_and_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """grpcio left to itself has roots of its own and would not find it."""

    async def main(world: World) -> None:
        route = Route(Target.from_address(world.address, tls=True), tls=wm.TLS(), environ={})
        link = Link(route, keepalive(10, 5))
        try:
            await receive(link, world, 1)
            assert await fetch(route, world) == 200
        finally:
            await link.close()

    with World(topics=[SERVICES], tls=True) as world:
        monkeypatch.setenv("SSL_CERT_FILE", str(world.ca_file))
        run(lambda: main(world))


def test_what_grpcio_is_told_to_trust_is_what_ssl_trusts(tmp_path: Path) -> None:
    made = Certificates(tmp_path)
    for tls in (wm.TLS(), wm.TLS(ca=made.ca), wm.TLS(extra_ca=made.ca), wm.TLS(ca=made.ca, extra_ca=made.other_ca)):
        pem = ssl.create_default_context(cadata=tls_policy.roots(tls).decode("ascii"))
        for_ssl = tls_policy.context(tls)
        assert sorted(pem.get_ca_certs(binary_form=True)) == sorted(for_ssl.get_ca_certs(binary_form=True))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"ca": "missing.pem"}, "TLS.ca: cannot read"),
        ({"ca": "empty.pem"}, "TLS.ca: .* is no PEM file"),
        ({"extra_ca": "broken.pem"}, "TLS.extra_ca: .* cannot be used"),
        ({"cert": "broken.pem", "key": "broken.pem"}, "TLS.cert and TLS.key: .* cannot be used"),
        ({"ciphers": "NONE-OF-THESE"}, "TLS.ciphers is 'NONE-OF-THESE'"),
        ({"minimum_version": "1.1"}, "TLS.minimum_version is '1.1': write '1.2' or '1.3'"),
        ({"cert": "broken.pem"}, "give both or neither"),
        ({"ca": 5}, "TLS.ca is 5: write the path"),
        ({"server_name": "foo:443"}, "TLS.server_name is 'foo:443'"),
        ({"server_name": ""}, "TLS.server_name is ''"),
        ({"ciphers": "eNULL:aNULL"}, "would protect nothing"),
    ],
)
def test_a_bad_tls_setting_is_an_error_before_anything_is_opened(
    setting: dict[str, str], words: str, tmp_path: Path
) -> None:
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "broken.pem").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    given = {name: str(tmp_path / value) if str(value).endswith(".pem") else value for name, value in setting.items()}
    with pytest.raises(wm.ConfigError, match=words):
        wm.AsyncWatchManager("central.test", tenant_id="1", token=wm.Token("x"), tls=wm.TLS(**given))  # type: ignore[arg-type]


def test_a_bad_proxy_is_an_error_before_anything_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "socks4://me:hidden@proxy:1080")
    with pytest.raises(wm.ConfigError, match="https_proxy is 'socks4://me:\\*\\*\\*@proxy:1080'") as caught:
        wm.AsyncWatchManager("central.test", tenant_id="1", token=wm.Token("x"), proxy=wm.Proxy(trust_env=True))
    assert "hidden" not in str(caught.value)
    for wrong in ({"url": "proxy"}, {"no_proxy": "text"}, {"no_proxy": ("a/b",)}):
        with pytest.raises(wm.ConfigError):
            wm.Proxy(**wrong)
    assert "hidden" not in repr(wm.Proxy(url="http://me:hidden@proxy:1"))


def manager(world: World, **settings: Any) -> wm.AsyncWatchManager:
    given: dict[str, Any] = {
        "tenant_id": world.tenant,
        "token": lambda: world.token,
        "backoff": wm.Backoff(initial=0.01, maximum=0.05),
        "tls": None if world.ca_file is None else wm.TLS(ca=world.ca_file),
    }
    return wm.AsyncWatchManager(settings.pop("address", world.http_url), **{**given, **settings})


@pytest.mark.parametrize("kind", ["http", "socks5h"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_a_watch_reads_stream_and_history_through_the_proxy(kind: str, tls: bool) -> None:
    async def main(world: World) -> None:
        proxy: Any = SocksProxy() if kind == "socks5h" else ConnectProxy()
        async with proxy:
            old = publish(world, 3)
            async with manager(world, proxy=f"{kind}://127.0.0.1:{proxy.port}") as watching:
                watch = watching.watch(world.topics[0], start="earliest")
                got = [(await watch.__anext__()).sequence for _ in old]
                await watch.ready(20)
                new = await asyncio.to_thread(publish, world, 3)
                got += [(await watch.__anext__()).sequence for _ in new]
                assert got == [*old, *new]
                await asyncio.to_thread(proxy.cut)
                newer = await asyncio.to_thread(publish, world, 2)
                assert [(await watch.__anext__()).sequence for _ in newer] == newer
            assert len(proxy.asked) >= 3
            assert set(proxy.asked) == {world.address}

    with World(topics=[SERVICES], tls=tls) as world:
        run(lambda: main(world))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_after_a_tunnel_was_cut_the_next_stream_is_planned_within_a_second_and_lives(tls: bool) -> None:
    """Proxies do that to long streams as a matter of course: no reason to wait as after a failure."""
    trace: list[wm.WatchStatus] = []

    async def main(world: World) -> None:
        async with ConnectProxy() as proxy:
            way = f"http://127.0.0.1:{proxy.port}"
            async with manager(world, proxy=way, backoff=wm.Backoff(), random=Random(3)) as watching:
                watch = watching.watch(world.topics[0], on_state=lambda state, why: trace.append(watch.status))
                await watch.ready(30)
                old = await asyncio.to_thread(publish, world, 1)
                assert [(await watch.__anext__()).sequence for _ in old] == old
                assert watch.status.attempt == 1
                proxy.cut()
                async for _ in watch.state_changes():
                    if waits := [each for each in trace if each.state is wm.State.BACKING_OFF]:
                        break
                assert waits[0].attempt == 1
                assert waits[0].next_retry_at is not None
                assert waits[0].next_retry_at - waits[0].since <= 1.0
                new = await asyncio.to_thread(publish, world, 2)
                assert [(await watch.__anext__()).sequence for _ in new] == new
                async for status in watch.state_changes():
                    if status.state is wm.State.LIVE and status.attempt > 1:
                        break

    with World(topics=[SERVICES], tls=tls) as world:
        run(lambda: main(world))


def test_a_token_is_fetched_through_its_proxy() -> None:
    async def main(world: World) -> None:
        async with SocksProxy() as proxy:
            credentials = wm.ClientCredentials(
                world.auth_url,
                "me",
                tls=wm.TLS(ca=world.ca_file),
                proxy=f"socks5h://127.0.0.1:{proxy.port}",
            )
            assert isinstance(await credentials.fetch(True), wm.Token)
            assert proxy.asked == [world.address]

    with World(topics=[SERVICES], tls=True) as world:
        run(lambda: main(world))


def test_the_cause_is_the_proxys_refusal_and_a_diagnosis_follows() -> None:
    async def main(world: World) -> None:
        async with ConnectProxy(user="me:secret") as proxy:
            way = wm.Proxy(url=f"http://me:wrong@127.0.0.1:{proxy.port}")
            async with manager(world, proxy=way, history=False) as watching:
                watch = watching.watch(world.topics[0])
                with pytest.raises(wm.ProxyError) as caught:
                    await watch.ready(2)
                assert caught.value.status == 407
                assert caught.value.topic == world.topics[0]
                error: Any = watch.status.last_error
                while error.diagnosis is None:
                    await asyncio.sleep(0.05)
                    error = watch.status.last_error
                found = error.diagnosis
                assert isinstance(found, Diagnosis)
                assert (found.failed, found.cause) == ("proxy", "ProxyError")
                assert "wrong" not in str(found)
                proxy.user = "me:wrong"  # the proxy is told the password: the watch gets through by itself
                await watch.ready(30)

    with World(topics=[SERVICES], tls=True) as world:
        run(lambda: main(world))


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ({"status": 407}, "answered 407"),
        ({"status": 403}, "does not allow"),
        ({"status": 503}, "answered 503"),
        ({"cut_head": True}, "closed the connection instead of answering"),
    ],
)
def test_a_proxy_that_is_in_trouble_for_a_while_is_named_and_outlived(
    trouble: dict[str, Any], said: str, tls: bool
) -> None:
    """Whichever asks first, stream or history: it is the proxy that answers."""

    async def main(world: World) -> None:
        async with ConnectProxy() as proxy:
            way = wm.Proxy(url=f"http://127.0.0.1:{proxy.port}")
            async with manager(world, proxy=way) as watching:
                watch = watching.watch(world.topics[0])
                await watch.ready(30)
                for name, value in trouble.items():
                    setattr(proxy, name, value)
                attempt = watch.status.attempt
                world.close_connections()
                while not isinstance(watch.status.last_error, wm.ProxyError) or watch.status.attempt < attempt + 4:
                    assert watch.status.state is not wm.State.FAILED, watch.status.last_error
                    await asyncio.sleep(0.01)
                [number] = world.publish({"kind": "APIService", "name": "one", "scope": "Environment/sample-env"})
                assert said in str(watch.status.last_error)
                for name, value in (("status", None), ("cut_head", False)):
                    setattr(proxy, name, value)
                assert (await watch.until(lambda item: True, 30)).sequence == number
            async with manager(world, proxy=way) as watching:  # history asks first
                for name, value in trouble.items():
                    setattr(proxy, name, value)
                with pytest.raises(wm.ProxyError, match=said) as caught:
                    await watching.watch(world.topics[0]).ready(1.5)
                assert isinstance(caught.value.diagnosis, Diagnosis)
                assert caught.value.diagnosis.failed == "proxy"

    with World(topics=[SERVICES], tls=tls) as world:
        run(lambda: main(world))


def test_a_way_that_hangs_after_the_proxys_yes_is_given_up_in_the_time_for_connecting() -> None:
    async def yes_and_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        await hang(reader, writer)

    async def main() -> None:
        async with (
            Server(yes_and_nothing) as proxy,
            wm.AsyncWatchManager(
                "https://central.example.test",
                tenant_id="1",
                token=wm.Token("x", None),
                connect_timeout=0.5,
                proxy=f"http://127.0.0.1:{proxy.port}",
            ) as watching,
        ):
            with pytest.raises(wm.ConnectError):
                await watching.watch("t").ready(5)

    run(main)


def test_a_server_that_refuses_our_certificate_after_the_handshake_is_an_error_for_history_too(tmp_path: Path) -> None:
    """As TLS 1.3 does; httpx lets OpenSSL's own exception through."""

    async def main(address: str, ca: str) -> None:
        async with wm.AsyncWatchManager(
            f"https://{address}",
            tenant_id="1",
            token=wm.Token("x", None),
            tls=wm.TLS(ca=ca),
            backoff=wm.Backoff(initial=0.01, maximum=0.05),
        ) as watching:
            watch = watching.watch("t")
            with pytest.raises(wm.TLSError, match="client certificate"):
                await watch.ready(3)
            assert watch.status.attempt > 3  # it goes on trying

    made = Certificates(tmp_path)
    context = made.server("localhost", alpn=("h2", "http/1.1"))
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(made.ca)
    with StrictTls(context) as peer:
        run(lambda: main(f"localhost:{peer.target.port}", made.ca))


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)], ids=["no ALPN", "HTTP/1.1"])
def test_a_tls_peer_without_http2_is_no_grpc_server_for_grpcio_either(alpn: tuple[str, ...], tmp_path: Path) -> None:
    """Directly, with nothing that only the bridge can do: it is grpcio that shakes hands, and says so in its words."""

    async def main() -> None:
        made = Certificates(tmp_path)
        async with (
            Server(hang, tls=made.server("127.0.0.1", alpn=alpn)) as peer,
            wm.AsyncWatchManager(
                f"https://127.0.0.1:{peer.port}",
                tenant_id="1",
                token=wm.Token("x", None),
                history=False,
                tls=wm.TLS(ca=made.ca),
                backoff=wm.Backoff(initial=0.01, maximum=0.05),
            ) as watching,
        ):
            watch = watching.watch("t")
            with pytest.raises(wm.NotGrpcError, match="does not speak HTTP/2") as caught:
                await watch.ready(2)
            assert caught.value.retryable
            error: Any = caught.value
            while error.diagnosis is None:
                await asyncio.sleep(0.01)
                error = watch.status.last_error
            assert (error.diagnosis.failed, error.diagnosis.cause) == ("alpn", "NotGrpcError")

    run(main)


@pytest.mark.parametrize("elsewhere", [False, True], ids=["one address", "history at an address of its own"])
def test_a_history_that_is_not_reached_is_diagnosed_like_a_stream(elsewhere: bool) -> None:
    """With history a watch asks for its position first, so this is the first error there is."""

    async def main(world: World, closed: str) -> None:
        address = world.http_url if elsewhere else closed
        history = wm.History(url=closed) if elsewhere else True
        async with manager(world, address=address, history=history) as watching:
            watch = watching.watch(world.topics[0])
            with pytest.raises(wm.HistoryUnreachable) as caught:
                await watch.ready(1.5)
            assert isinstance(caught.value, wm.ConnectError)
            found = caught.value.diagnosis
            assert isinstance(found, Diagnosis)
            assert (found.failed, found.cause, found.server) == ("tcp", "ConnectError", closed.partition("//")[2])

    with World(topics=[SERVICES]) as gone:
        closed = gone.http_url
    with World(topics=[SERVICES]) as world:
        run(lambda: main(world, closed))


def test_a_walk_that_finds_the_same_again_is_no_news_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, "watchmanager.stream")

    def told() -> list[Any]:
        return [each for each in caplog.records if "examined the way" in each.getMessage()]

    async def main(world: World, closed: str) -> None:
        async with manager(world, address=closed) as watching:
            watch = watching.watch(world.topics[0])
            with pytest.raises(wm.HistoryUnreachable):
                await watch.ready(0.5)
            while len(told()) < 3:
                await asyncio.sleep(0.01)

    with World(topics=[SERVICES]) as gone:
        closed = gone.http_url
    with World(topics=[SERVICES]) as world:
        run(lambda: main(world, closed))
        topic = world.topics[0]
    assert [each.levelname for each in told()][:3] == ["WARNING", "DEBUG", "DEBUG"]
    assert {(each.topic, each.state) for each in told()} <= {(topic, state) for state in ("CONNECTING", "BACKING_OFF")}
    assert all(isinstance(each.attempt, int) for each in told())


@pytest.mark.parametrize("tls", [False, True])
def test_a_walk_to_a_history_of_its_own_does_not_ask_for_http2(tls: bool) -> None:
    async def main(world: World) -> None:
        from watchmanager._driver.examiner import Examiner

        async with manager(world) as watching:
            examiner = Examiner(watching._route, grpc=False)
            both = await asyncio.gather(examiner.diagnose(), examiner.diagnose())
            assert both[0] is both[1]
            outcomes = {step.name: step.outcome for step in both[0].steps}
            assert (outcomes["tcp"], outcomes["tls"]) == ("ok", "ok" if tls else "skipped")
            assert (outcomes["alpn"], outcomes["http2"]) == ("skipped", "skipped")
            await examiner.aclose()

    with World(topics=[SERVICES], tls=tls) as world:
        run(lambda: main(world))


@pytest.mark.parametrize("history", [True, False])
def test_a_bridge_whose_socket_was_cleaned_away_is_replaced(history: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever cleans /tmp of what is old takes the sockets of an agent that runs for weeks."""

    async def main(world: World, place: Path) -> None:
        async with (
            ConnectProxy() as proxy,
            manager(world, proxy=f"http://127.0.0.1:{proxy.port}", history=history) as watching,
        ):
            watch = watching.watch(world.topics[0])
            await watch.ready(30)
            for each in place.iterdir():
                shutil.rmtree(each)
            world.close_connections()
            while watch.status.reconnects == 0:
                await asyncio.sleep(0.01)
            await watch.ready(30)  # without history nothing comes that the server hears of before the subscription
            [number] = world.publish({"kind": "APIService", "name": "one", "scope": "Environment/sample-env"})
            assert (await watch.until(lambda item: True, 60)).sequence == number

    with tempfile.TemporaryDirectory(prefix="w-", dir="/tmp") as place, World(topics=[SERVICES]) as world:
        monkeypatch.setattr("tempfile.tempdir", place)
        run(lambda: main(world, Path(place)))


def test_a_bridge_that_cannot_have_a_short_path_uses_the_loopback_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 120)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))

    async def main() -> None:
        bridge = Bridge(lambda budget: asyncio.Event().wait(), peer="x")  # type: ignore[arg-type,return-value]
        assert bridge.path is None
        assert bridge.proxy_url is not None
        await bridge.aclose()
        assert list(long.iterdir()) == []

    run(main)
