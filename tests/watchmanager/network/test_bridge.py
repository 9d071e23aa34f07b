"""A gRPC stream against a real fake Central, through every kind of bridge."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import struct
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import h2.config
import h2.connection
import h2.events
import pytest

from mockcentral import World
from tests.watchmanager.network.peers import (
    SERVICES,
    Certificates,
    ConnectProxy,
    Server,
    SocksProxy,
    StrictTls,
    answer,
    hang,
    keepalive,
    open_call,
    publish,
    receive,
    refused,
    route_to,
    world_tls,
)
from watchmanager._core.proxies import Target
from watchmanager._driver.bridge import Bridge
from watchmanager._driver.dial import Budget, SocketStream, connect, dial, resolve
from watchmanager._driver.route import Link, Route
from watchmanager.errors import ConnectError, ConnectTimeout, NameResolutionError, NotGrpcError, ProxyError, TLSError
from watchmanager.policy import TLS, Proxy

WAYS = ["direct", "http", "http-auth", "https", "socks5", "socks5h", "socks5-auth", "ciphers", "tls1.3-over-https"]


@pytest.mark.parametrize("loopback", [False, True], ids=["unix", "loopback"])
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("way", WAYS)
def test_events_come_through_every_kind_of_bridge(way: str, tls: bool, loopback: bool, tmp_path: Path) -> None:
    if not tls and way in ("ciphers", "tls1.3-over-https"):
        pytest.skip("a policy for TLS needs TLS")

    async def main(world: World) -> None:
        certificates = Certificates(tmp_path)
        proxy: Any
        settings: dict[str, Any] = {}
        policy: dict[str, Any] = {}
        if way in ("http", "http-auth"):
            proxy = ConnectProxy(user="me:p@ss" if way == "http-auth" else None)
        elif way in ("https", "tls1.3-over-https"):
            proxy = ConnectProxy(tls=certificates.server("127.0.0.1", alpn=("http/1.1",)))
            policy = {"extra_ca": certificates.ca}
            if way != "https":
                policy["minimum_version"] = "1.3"
        else:
            proxy = SocksProxy(user="me:p@ss" if way == "socks5-auth" else None)
        if way == "ciphers":
            policy["ciphers"] = "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384"
        async with proxy:
            scheme = {"http-auth": "http", "socks5-auth": "socks5h", "tls1.3-over-https": "https"}.get(way, way)
            user = "me:p%40ss@" if way.endswith("auth") else ""
            if scheme in ("http", "https", "socks5", "socks5h"):
                settings["proxy"] = Proxy(url=f"{scheme}://{user}127.0.0.1:{proxy.port}")
            own = world_tls(world, **policy) if tls else (TLS(**policy) if policy else None)
            target = Target.from_address(world.address, tls=tls)
            route = Route(target, tls=own, environ={}, loopback=loopback, **settings)
            link = Link(route, keepalive(10, 5))
            try:
                await receive(link, world, 30)
                assert (link.bridge is not None) is (way != "direct")
                assert link.cause() is None
                if settings:
                    assert proxy.asked == [world.address]
            finally:
                await link.close()

    with World(topics=[SERVICES], tls=tls) as world:
        asyncio.run(main(world))


def test_the_single_entry_is_dialled_and_the_server_is_named(tmp_path: Path) -> None:
    """SNI, certificate and authority are the server's, although nothing of that name can be dialled."""
    certificates = Certificates(tmp_path)
    cert, key = certificates.files("central.example.test")

    async def main(world: World, url: str | None, proxy: ConnectProxy, minimum: str) -> None:
        entry = Target.from_address(world.address)
        route = Route(
            Target("central.example.test", 443),
            tls=TLS(ca=certificates.ca, minimum_version=minimum),  # type: ignore[arg-type]
            proxy=Proxy(url=url) if url else None,
            single_entry=entry,
            environ={},
        )
        link = Link(route, keepalive(10, 5))
        try:
            await receive(link, world, 3)
        finally:
            await link.close()
        async with route.http_client(timeout=10.0) as client:
            url_there = f"https://central.example.test/events{world.topics[0]}"
            response = await client.get(url_there, headers={"Authorization": f"Bearer {world.token}"})
            assert response.status_code == 200
            assert len(response.json()) >= 3
        if url:
            assert set(proxy.asked) == {str(entry)}

    async def all_ways(world: World) -> None:
        async with ConnectProxy() as proxy:
            for url in (None, f"http://127.0.0.1:{proxy.port}"):
                for minimum in ("1.2", "1.3"):
                    await main(world, url, proxy, minimum)

    with World(topics=[SERVICES], cert=cert, key=key) as world:
        asyncio.run(all_ways(world))


def failing(work: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work(), 60)

    asyncio.run(bounded())


async def cause_of(route: Route) -> BaseException:
    link = Link(route, [*keepalive(10, 5), ("grpc.min_reconnect_backoff_ms", int(route.connect_timeout * 1000))])
    try:
        await refused(link)
        cause = link.cause()
        assert cause is not None
        return cause
    finally:
        await link.close()


FAR = Target("central.example.test", 443)


@pytest.mark.parametrize(
    ("settings", "user", "status", "words"),
    [
        ({"user": "me:secret"}, "", 407, "wants Basic; write user:password@"),
        ({"user": "me:secret"}, "me:wrong@", 407, "does not accept the user 'me'"),
        ({"user": "a:b", "schemes": ("Negotiate", "Basic")}, "", 407, "it wants Basic; write user:password@"),
        ({"user": "a:b", "schemes": ("Negotiate", "NTLM")}, "me:wrong@", 407, "the proxy asks for Negotiate or NTLM"),
        ({"status": 403}, "", 403, "does not allow central.example.test:443"),
        ({"status": 502}, "", 502, "answered 502 No"),
        ({"cut_head": True}, "", None, "closed the connection instead of answering CONNECT"),
    ],
)
def test_what_the_proxy_refused_is_the_cause(
    settings: dict[str, Any], user: str, status: int | None, words: str
) -> None:
    async def main() -> None:
        async with ConnectProxy(**settings) as proxy:
            route = Route(FAR, proxy=Proxy(url=f"http://{user}127.0.0.1:{proxy.port}"), environ={})
            cause = await cause_of(route)
            assert isinstance(cause, ProxyError)
            assert cause.status == status
            assert words in str(cause)
            assert "wrong" not in str(cause)

    failing(main)


def test_a_far_end_that_has_fallen_silent_is_let_go_when_the_near_one_has_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("watchmanager._driver.bridge.LINGER_SECONDS", 0.05)

    async def main() -> None:
        over = asyncio.Event()

        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"hello")
            await reader.read(100)  # the end of the near one
            await over.wait()

        async with Server(silent) as server:
            bridge = Bridge(lambda budget: dial(server.target, None, None, budget), peer="far")
            assert bridge.path is not None
            reader, writer = await asyncio.open_unix_connection(bridge.path)
            assert await reader.readexactly(5) == b"hello"
            writer.close()
            while bridge._tasks:
                await asyncio.sleep(0.01)
            over.set()
            await bridge.aclose()

    asyncio.run(asyncio.wait_for(main(), 20))


def test_a_proxy_that_never_answers_is_a_timeout_that_says_so() -> None:
    async def main() -> None:
        async with ConnectProxy(mute=True) as proxy:
            proxied = Proxy(url=f"http://127.0.0.1:{proxy.port}")
            cause = await cause_of(Route(FAR, proxy=proxied, environ={}, connect_timeout=1.0))
            assert isinstance(cause, ConnectTimeout)
            assert "did not answer CONNECT within 0.9 s" in str(cause)

    failing(main)


@pytest.mark.parametrize(
    ("settings", "user", "words"),
    [
        ({"user": "me:secret"}, "", "wants credentials"),
        ({"user": "me:secret"}, "me:wrong@", "does not accept the user 'me'"),
        ({"reply": 2}, "", "not allowed by its rules"),
        ({"reply": 5}, "", "connection refused"),
        ({"reply": 99}, "", "code 99"),
    ],
)
def test_what_a_socks_proxy_refused_is_the_cause(settings: dict[str, Any], user: str, words: str) -> None:
    async def main() -> None:
        async with SocksProxy(**settings) as proxy:
            cause = await cause_of(Route(FAR, proxy=Proxy(url=f"socks5h://{user}127.0.0.1:{proxy.port}"), environ={}))
            assert isinstance(cause, ProxyError)
            assert words in str(cause)

    failing(main)


def test_socks5_resolves_here_and_socks5h_leaves_it_to_the_proxy() -> None:
    async def main() -> None:
        for scheme, asked in (("socks5", "127.0.0.1:443"), ("socks5h", "localhost:443")):
            async with SocksProxy(reply=2) as proxy:
                url = f"{scheme}://127.0.0.1:{proxy.port}"
                await cause_of(Route(Target("localhost", 443), proxy=Proxy(url=url), environ={}))
                got = proxy.asked[0]
                assert got == asked or (scheme == "socks5" and got == "0" * 31 + "1:443")

    failing(main)


@pytest.mark.parametrize(
    ("says", "scheme"),
    [(b"SSH-2.0-x\r\n", "http"), (b"\x05\x00", "http"), (b"HTTP/1.1 400 Bad\r\n\r\n", "socks5h"), (b"", "socks5h")],
)
def test_something_else_than_a_proxy_is_named_so(says: bytes, scheme: str) -> None:
    async def main() -> None:
        async with Server(answer(says)) as peer:
            cause = await cause_of(Route(FAR, proxy=Proxy(url=f"{scheme}://127.0.0.1:{peer.port}"), environ={}))
            assert isinstance(cause, ProxyError)

    failing(main)


def test_a_proxy_without_a_name_or_a_port_is_told_apart_from_the_server() -> None:
    async def main() -> None:
        async with Server(hang) as peer:
            port = peer.port
        gone = await cause_of(Route(FAR, proxy=Proxy(url=f"http://127.0.0.1:{port}"), environ={}))
        assert type(gone) is ConnectError
        assert f"cannot connect to 127.0.0.1:{port}" in str(gone)
        nameless = await cause_of(Route(FAR, proxy=Proxy(url="http://proxy.invalid:3128"), environ={}))
        assert isinstance(nameless, NameResolutionError)
        assert "proxy.invalid" in str(nameless)

    failing(main)


def strict(certificates: Certificates, **more: Any) -> TLS:
    """A policy that grpcio cannot follow, so that the bridge speaks TLS."""
    return TLS(ca=certificates.ca, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256", **more)


@pytest.mark.parametrize("case", ["wrong-ca", "wrong-name", "expired", "old", "no-cipher", "wants-certificate"])
def test_what_is_wrong_with_tls_is_the_cause(case: str, tmp_path: Path) -> None:
    async def main() -> None:
        import ssl

        certificates = Certificates(tmp_path)
        name = "elsewhere.test" if case == "wrong-name" else "127.0.0.1"
        context = certificates.server(name, expired=case == "expired")
        policy = strict(certificates)
        words = {
            "wrong-ca": "is not trusted: unable to get local issuer",
            "wrong-name": "is not for 127.0.0.1",
            "expired": "is not trusted: certificate has expired",
            "old": "no version of TLS that both allow",
            "no-cipher": "no common cipher",
            "wants-certificate": "refuses our client certificate or wants one",
        }[case]
        if case == "wrong-ca":
            policy = TLS(ca=certificates.other_ca, ciphers=policy.ciphers)
        if case == "old":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            policy = TLS(ca=certificates.ca, minimum_version="1.3")
        if case == "no-cipher":
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            context.set_ciphers("ECDHE-ECDSA-AES256-GCM-SHA384")
        if case == "wants-certificate":
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(certificates.ca)
        with StrictTls(context) as peer:
            cause = await cause_of(Route(peer.target, tls=policy, environ={}))
            assert isinstance(cause, TLSError)
            assert words in str(cause)
            assert str(peer.target) in str(cause)

    failing(main)


def test_the_server_is_told_why_its_certificate_is_not_taken(tmp_path: Path) -> None:
    async def main() -> StrictTls:
        certificates = Certificates(tmp_path)
        policy = TLS(ca=certificates.other_ca, minimum_version="1.3")
        with StrictTls(certificates.server("127.0.0.1")) as peer:
            await cause_of(Route(peer.target, tls=policy, environ={}))
        return peer

    assert "TLSV1_ALERT_UNKNOWN_CA" in asyncio.run(main()).reasons


def test_the_certificate_may_be_for_another_name_when_the_policy_says_so(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path)
    cert, key = certificates.files("central.example.test")

    async def main(world: World) -> None:
        minima: tuple[Any, Any] = ("1.2", "1.3")
        async with ConnectProxy() as proxy:
            for url in (None, f"http://127.0.0.1:{proxy.port}"):
                for minimum in minima:
                    policy = TLS(ca=certificates.ca, server_name="central.example.test", minimum_version=minimum)
                    route = route_to(world, tls=policy, proxy=Proxy(url=url) if url else None)
                    link = Link(route, keepalive(10, 5))
                    try:
                        await receive(link, world, 1)
                        async with route.http_client(timeout=10.0) as client:
                            headers = {"Authorization": f"Bearer {world.token}"}
                            response = await client.get(f"{world.http_url}/events{world.topics[0]}", headers=headers)
                            assert response.status_code == 200
                    finally:
                        await link.close()

    with World(topics=[SERVICES], cert=cert, key=key) as world:
        asyncio.run(main(world))


@pytest.mark.parametrize(("tls", "minimum"), [(False, "1.2"), (True, "1.2"), (True, "1.3")])
@pytest.mark.parametrize("proxied", [False, True])
@pytest.mark.parametrize("entry", [False, True])
def test_the_server_is_asked_by_its_own_name(
    tls: bool, minimum: Any, proxied: bool, entry: bool, tmp_path: Path
) -> None:
    """`:authority` is the server's host and port and `:scheme` what it speaks, whatever was dialled."""
    asked: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        speaker = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False, header_encoding="utf-8"))
        speaker.initiate_connection()
        while True:
            writer.write(speaker.data_to_send())
            data = await reader.read(65536)
            if not data:
                return
            for event in speaker.receive_data(data):
                if isinstance(event, h2.events.RequestReceived):
                    asked.put_nowait({str(name): str(value) for name, value in event.headers})

    async def main() -> None:
        certificates = Certificates(tmp_path)
        name = "localhost" if not entry else "central.example.test"
        context = certificates.server(name) if tls else None
        async with Server(speak, tls=context) as peer, ConnectProxy(to=peer.target) as proxy:
            target = Target(name, peer.port, tls=tls)
            route = Route(
                target,
                tls=TLS(ca=certificates.ca, minimum_version=minimum) if tls else None,
                single_entry=peer.target if entry else None,
                proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}") if proxied else None,
                environ={},
            )
            link = Link(route, keepalive(10, 5))
            call: Any = link.channel.stream_stream("/x/y", request_serializer=None, response_deserializer=None)()
            headers = await asyncio.wait_for(asked.get(), 20)
            call.cancel()
            await link.close()
            # grpcio leaves the port out of a name it was told to dial itself; both are right (RFC 9113 8.3.1).
            assert headers[":authority"] in (str(target), name)
            assert headers[":scheme"] == ("https" if tls else "http")

    failing(main)


def test_a_cause_is_forgotten_once_a_connection_stands() -> None:
    async def main(world: World) -> None:
        async with ConnectProxy(status=503) as proxy:
            link = Link(
                route_to(world, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}")),
                [*keepalive(10, 5), ("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 100)],
            )
            await refused(link)
            assert isinstance(link.cause(), ProxyError)
            proxy.status = None
            while link.channel.get_state(try_to_connect=True) is not grpc.ChannelConnectivity.READY:
                await asyncio.sleep(0.01)
            await receive(link, world, 1)
            assert link.cause() is None
            await link.close()

    with World(topics=[SERVICES]) as world:
        asyncio.run(main(world))


@pytest.mark.parametrize(
    ("scheme", "says"),
    [
        ("http", b"HTTP/1.1 100 Wait\r\n\r\nHTTP/1.1 200 OK\r\nX: y\r\n\r\nhello"),
        ("socks5h", b"\x05\0\x05\0\0\x03\x02ab\0\0hello"),
    ],
)
def test_what_comes_right_behind_the_proxys_answer_belongs_to_the_tunnel(scheme: str, says: bytes) -> None:
    async def main() -> None:
        async with Server(answer(says)) as peer:
            url = f"{scheme}://127.0.0.1:{peer.port}"
            stream = await Route(Target("far.test", 1), proxy=Proxy(url=url), environ={}).dial(Budget(10))
            assert await stream.read() == b"hello"
            stream.abort()
            await stream.wait_closed()

    failing(main)


def test_a_client_certificate_goes_to_the_server_and_not_to_the_proxy(tmp_path: Path) -> None:
    async def main() -> None:
        import ssl

        certificates = Certificates(tmp_path)
        cert, key = certificates.files("client.test")
        seen: list[object] = []

        async def look(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            found = writer.get_extra_info("ssl_object")
            seen.append((found.getpeercert().get("subjectAltName"), found.version(), found.cipher()[0]))
            writer.write(b"\0\0\0\4\0\0\0\0\0")
            await hang(reader, writer)

        context = certificates.server("127.0.0.1")
        context.verify_mode = ssl.CERT_REQUIRED
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.load_verify_locations(certificates.ca)
        asked = certificates.server("127.0.0.1", alpn=())
        asked.verify_mode = ssl.CERT_OPTIONAL
        asked.load_verify_locations(certificates.ca)
        shown: list[object] = []
        async with Server(look, tls=context) as peer, ConnectProxy(tls=asked) as proxy:
            serve = proxy.handle

            async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                shown.append(writer.get_extra_info("peercert"))
                await serve(reader, writer)

            proxy.handle = watch
            for url in (None, f"https://127.0.0.1:{proxy.port}"):
                route = Route(
                    peer.target,
                    tls=strict(certificates, cert=cert, key=key),
                    proxy=Proxy(url=url) if url else None,
                    environ={},
                )
                bridge = route.open_bridge(grpc=True)
                near = await asyncio.open_unix_connection(bridge.path)
                assert await near[0].readexactly(9) == b"\0\0\0\4\0\0\0\0\0"
                near[1].close()
                await bridge.aclose()
        assert seen == [((("DNS", "client.test"),), "TLSv1.2", "ECDHE-ECDSA-AES128-GCM-SHA256")] * 2
        assert shown in ([None], [{}])

    failing(main)


@pytest.mark.parametrize("alpn", [(), ("http/1.1",)])
def test_a_peer_that_opens_tls_but_not_http2_is_no_grpc_server(alpn: tuple[str, ...], tmp_path: Path) -> None:
    async def main() -> None:
        certificates = Certificates(tmp_path)
        async with Server(hang, tls=certificates.server("127.0.0.1", alpn=alpn)) as peer:
            cause = await cause_of(Route(peer.target, tls=strict(certificates), environ={}))
            assert isinstance(cause, NotGrpcError)
            assert "not HTTP/2" in str(cause)

    failing(main)


@pytest.mark.parametrize("bridge_speaks_tls", [False, True])
def test_a_plain_peer_behind_a_tls_address_is_no_grpc_server(bridge_speaks_tls: bool, tmp_path: Path) -> None:
    async def main() -> None:
        certificates = Certificates(tmp_path)
        policy = strict(certificates) if bridge_speaks_tls else TLS(ca=certificates.ca)
        async with Server(answer(b"HTTP/1.1 400 Bad Request\r\n\r\n")) as peer, ConnectProxy() as proxy:
            route = Route(peer.target, tls=policy, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}"), environ={})
            assert isinstance(await cause_of(route), NotGrpcError)

    failing(main)


@pytest.mark.parametrize(
    ("says", "words"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "speaks HTTP/1.1"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "was asked in plain text: use https://"),
        (b"220 smtp ready\r\n", "does not speak HTTP/2"),
    ],
)
def test_a_peer_that_answers_in_another_language_is_no_grpc_server(says: bytes, words: str) -> None:
    async def main() -> None:
        async with Server(answer(says)) as peer, ConnectProxy() as proxy:
            there = Target("127.0.0.1", peer.port, tls=False)
            cause = await cause_of(Route(there, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}"), environ={}))
            assert isinstance(cause, NotGrpcError)
            assert words in str(cause)

    failing(main)


def test_a_peer_that_closes_without_a_word_is_the_cause() -> None:
    async def main() -> None:
        async with Server(answer(b"")) as peer, ConnectProxy() as proxy:
            there = Target("127.0.0.1", peer.port, tls=False)
            cause = await cause_of(Route(there, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}"), environ={}))
            assert "before it said anything" in str(cause)

    failing(main)


@pytest.mark.parametrize("kind", ["bytes", "tls"])
def test_a_black_hole_behind_the_bridge_is_noticed_by_keepalive(kind: str, tmp_path: Path) -> None:
    async def main(world: World) -> None:
        async with ConnectProxy() as proxy:
            policy = world_tls(world, minimum_version="1.3") if kind == "tls" else None
            route = route_to(world, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}"), tls=policy)
            link = Link(route, keepalive(1, 1))
            call = await open_call(link, world)
            proxy.silence()
            # After 2 to 3 s. Without pings from end to end, or with grpcio's own bound of a minute, time runs out.
            with pytest.raises(Exception, match=r"(?i)ping timeout|keepalive"):
                await asyncio.wait_for(call.read(), 30)
            await link.close()

    with World(topics=[SERVICES], tls=True) as world:
        asyncio.run(main(world))


def test_a_tunnel_that_is_cut_ends_the_stream_and_the_next_one_gets_through() -> None:
    async def main(world: World) -> None:
        async with ConnectProxy() as proxy:
            link = Link(route_to(world, proxy=Proxy(url=f"http://127.0.0.1:{proxy.port}")), keepalive(10, 5))
            call = await open_call(link, world)
            publish(world, 1)
            await call.read()
            proxy.cut()
            with pytest.raises(Exception, match="UNAVAILABLE"):
                await asyncio.wait_for(call.read(), 30)
            assert link.cause() is None  # the connection stood; how it ended is grpcio's to say
            while True:
                # For a moment grpcio may take the dead connection for a live one; a client would try again, too.
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await receive(link, world, 2)
                    break
            assert proxy.tunnels >= 2
            await link.close()

    with World(topics=[SERVICES]) as world:
        asyncio.run(main(world))


# ------------------------------------------------------------------------------------------ bytes
async def pair(bridge: Bridge) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_unix_connection(bridge.path)


def bridge_to(peer: Server) -> Bridge:
    async def dial(budget: Budget) -> SocketStream:
        return await connect(peer.target, await resolve(peer.target), budget)

    return Bridge(dial, peer=str(peer.target))


def test_a_half_close_travels_and_the_other_direction_goes_on() -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        everything = await reader.read(-1)  # until the peer is done
        writer.write(everything[::-1])
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def main() -> None:
        async with Server(late) as peer:
            bridge = bridge_to(peer)
            reader, writer = await pair(bridge)
            writer.write(b"abc" * 100_000)
            writer.write_eof()
            assert await reader.read(-1) == b"cba" * 100_000
            writer.close()
            await bridge.aclose()

    failing(main)


def test_an_abrupt_end_of_the_server_is_an_end_at_once() -> None:
    async def slam(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        await writer.drain()
        await reader.readexactly(3)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()  # RST

    async def main() -> None:
        async with Server(slam) as peer:
            bridge = bridge_to(peer)
            reader, writer = await pair(bridge)
            assert await reader.readexactly(5) == b"hello"
            writer.write(b"end")
            with _anything():
                assert await reader.read(-1) == b""
            assert bridge.failure is None
            while bridge.connections:  # our own end is still open, and yet the bridge lets go of both
                await asyncio.sleep(0)
            writer.close()
            await bridge.aclose()

    failing(main)


@pytest.mark.parametrize("tls", [False, True])
def test_a_slow_reader_slows_the_writer_down_and_little_is_kept(tls: bool, tmp_path: Path) -> None:
    """The server writes until its socket takes no more; what it got rid of is bounded by buffers, not by memory."""
    sent = 0
    stalled = asyncio.Event()

    async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.transport.set_write_buffer_limits(high=0)
        block = b"\0\0\0\4" + b"x" * 65532
        while True:
            writer.write(block)
            drained = asyncio.ensure_future(writer.drain())
            done, _ = await asyncio.wait([drained], timeout=1.0)
            if not done:
                stalled.set()
            await drained
            sent += len(block)

    async def main() -> None:
        certificates = Certificates(tmp_path)
        context = certificates.server("127.0.0.1") if tls else None
        async with Server(flood, tls=context) as peer:
            target = Target("127.0.0.1", peer.port, tls=tls)
            route = Route(target, tls=strict(certificates) if tls else None, environ={})
            bridge = route.open_bridge(grpc=True)
            reader, writer = await asyncio.open_unix_connection(bridge.path, limit=1024)
            await stalled.wait()
            assert sent < 24 * 1024 * 1024  # sockets of the kernel keep some of it, on both hops
            before = sent
            total = 0
            while total < before:
                total += len(await reader.read(65536))
            writer.close()
            await bridge.aclose()

    failing(main)


def test_closing_a_bridge_leaves_nothing_behind() -> None:
    threads = threading.active_count()

    async def main() -> None:
        before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
        tasks = asyncio.all_tasks()
        async with Server(hang) as peer:
            for _ in range(20):
                bridge = bridge_to(peer)
                ends = [await pair(bridge) for _ in range(5)]
                for _, writer in ends:
                    writer.write(b"x")
                path = bridge.path
                assert path is not None
                assert os.stat(os.path.dirname(path)).st_mode & 0o077 == 0
                await bridge.aclose(grace=0)
                await bridge.aclose()
                assert not os.path.exists(os.path.dirname(path))
                for reader, writer in ends:
                    with _anything():
                        assert await reader.read(-1) == b""
                    writer.close()
        gc.collect()
        assert asyncio.all_tasks() <= tasks
        if before:
            assert len(os.listdir("/proc/self/fd")) <= before + 1

    failing(main)
    assert threading.active_count() <= threads  # the resolver's pool ended with the loop


class _anything:
    """A cut connection reads as an end or as a reset."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> bool:
        return kind is not None and issubclass(kind, ConnectionError)


def test_a_client_that_leaves_while_the_bridge_dials_is_not_waited_for() -> None:
    async def main() -> None:
        dialling = asyncio.Event()
        given_up = asyncio.Event()

        async def dial(budget: Budget) -> SocketStream:
            dialling.set()
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()
            raise AssertionError

        bridge = Bridge(dial, peer="nowhere")
        _, writer = await pair(bridge)
        await dialling.wait()
        writer.close()
        await given_up.wait()
        assert bridge.failure is None
        await bridge.aclose()

    failing(main)


@pytest.mark.parametrize(
    "hello",
    [
        b"CONNECT x:1 HTTP/1.1\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nProxy-Authorization: Basic YnJpZGdlOnh4\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"x" * 40_000,
    ],
)
def test_a_stranger_does_not_get_through_the_loopback_end(hello: bytes) -> None:
    async def main() -> None:
        async with Server(answer(b"come in")) as peer:
            dialled = False

            async def dial(budget: Budget) -> SocketStream:
                nonlocal dialled
                dialled = True
                return await connect(peer.target, await resolve(peer.target), budget)

            bridge = Bridge(dial, peer="x", loopback=True)
            assert bridge.proxy_url is not None
            port = int(bridge.proxy_url.rpartition(":")[2])
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(hello)
            with _anything():
                got = await reader.read(-1)
                assert got == b"" or got.startswith(b"HTTP/1.1 407 ")
            writer.close()
            assert not dialled
            await bridge.aclose()

    failing(main)
