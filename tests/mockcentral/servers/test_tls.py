"""TLS on the front door: gRPC, HTTP/2 and HTTP/1.1 behind one certificate, and clients at the wrong door."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import trustme

from mockcentral import World
from mockcentral.scenario.load import parse_fault
from mockcentral.servers.tls import TlsError
from tests.mockcentral.clients import PATIENCE, TOPIC, Watch, raw, read_all, request, service, subscribed, topic


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with World(tls=True) as world:
        world.put_topic(topic())
        yield world


@pytest.fixture(scope="module")
def trust(world: World) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=world.ca_file)


def headers(world: World) -> dict[str, str]:
    return {"Authorization": f"Bearer {world.token}"}


def root(world: World) -> bytes:
    assert world.ca_file is not None
    return Path(world.ca_file).read_bytes()


def test_the_context_names_the_ca_and_https_addresses(world: World) -> None:
    assert world.context["ca_file"] == world.ca_file
    assert world.http_url.startswith("https://")
    assert world.auth_url.startswith("https://")
    assert b"PRIVATE" not in root(world)


def test_http_1_is_served_and_wants_the_ca(world: World, trust: ssl.SSLContext) -> None:
    assert request(world.address, "GET", f"/events{TOPIC}", None, headers(world), tls=trust).status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        request(world.address, "GET", "/", tls=ssl.create_default_context())


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_certificate_is_for_every_name_of_this_machine(world: World, trust: ssl.SSLContext, name: str) -> None:
    port = world.address.rpartition(":")[2]
    with httpx.Client(verify=trust, trust_env=False) as client:
        assert client.get(f"https://{name}:{port}/events{TOPIC}", headers=headers(world)).status_code == 200


@pytest.mark.parametrize(("http2", "version"), [(True, "HTTP/2"), (False, "HTTP/1.1")])
def test_history_is_read_over_either_protocol(world: World, trust: ssl.SSLContext, http2: bool, version: str) -> None:
    with httpx.Client(verify=trust, trust_env=False, http2=http2) as client:
        for _ in range(3):
            answer = client.get(f"{world.http_url}/events{TOPIC}", headers=headers(world))
            assert (answer.status_code, answer.http_version) == (200, version)
        assert client.get(f"{world.http_url}/nowhere").status_code == 404
        assert isinstance(answer.json(), list)


@pytest.mark.parametrize(
    ("offered", "agreed"),
    [(["h2", "http/1.1"], "h2"), (["http/1.1"], "http/1.1"), (["h2"], "h2"), (["spdy"], None), ([], None)],
)
def test_alpn_agrees_on_what_the_client_can(world: World, offered: list[str], agreed: str | None) -> None:
    context = ssl.create_default_context(cafile=world.ca_file)
    if offered:
        context.set_alpn_protocols(offered)
    with raw(world.address) as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        assert connection.selected_alpn_protocol() == agreed
        assert connection.version() in ("TLSv1.2", "TLSv1.3")


def test_who_agreed_on_http_2_is_never_answered_in_http_1(world: World) -> None:
    context = ssl.create_default_context(cafile=world.ca_file)
    context.set_alpn_protocols(["h2"])
    with raw(world.address) as plain, context.wrap_socket(plain, server_hostname="localhost") as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = read_all(connection)
    assert answer[3] == 4  # our SETTINGS
    assert answer[-14:-4] == b"\x07\0\0\0\0\0\0\0\0\0"
    assert answer[-4:] == b"\0\0\0\x01"  # GOAWAY, PROTOCOL_ERROR


def test_a_grpc_client_watches(world: World) -> None:
    credentials = grpc.ssl_channel_credentials(root(world))
    with Watch(world, credentials=credentials) as watch:
        subscribed(world)
        sequences = world.publish([service(f"s{n}") for n in range(500)])
        assert watch.sequences(500) == sequences
        protocols = {connection["protocol"] for connection in world.connections()}
        assert protocols == {"h2"}
        world.close_connections()
        assert watch.end()[0] == "UNAVAILABLE"


def test_a_watch_and_its_history_share_the_address(world: World, trust: ssl.SSLContext) -> None:
    [sequence] = world.publish(service())
    answer = request(
        world.address, "GET", f"/events{TOPIC}?pageSize=1&sort=sequenceID,DESC", None, headers(world), tls=trust
    )
    assert answer.json()[0]["metadata"]["sequenceID"] == sequence


def test_a_plain_client_at_the_tls_port_is_turned_away_and_the_port_lives_on(
    world: World, trust: ssl.SSLContext
) -> None:
    for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0" * 50):
        with raw(world.address) as connection:
            connection.sendall(said)
            read_all(connection)  # an alert or nothing, and then the end
    assert request(world.address, "GET", f"/events{TOPIC}", None, headers(world), tls=trust).status == 200
    with Watch(world) as watch:
        assert watch.end()[0] == "UNAVAILABLE"


def test_a_tls_client_at_a_plain_port_gets_an_alert_and_the_journal_says_what_to_do() -> None:
    with World() as world:
        with raw(world.address) as plain, pytest.raises(ssl.SSLError, match=r"(?i)alert|version"):
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")
        closed = world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
        assert "--tls" in closed["reason"]
        assert [record["protocol"] for record in world.journal() if record["kind"] == "conn.open"] == ["tls"]
        with Watch(world, credentials=grpc.ssl_channel_credentials(None)) as watch:
            assert watch.end()[0] == "UNAVAILABLE"
        assert request(world.address, "GET", "/").status == 404


@pytest.mark.parametrize("down", [True, False])
def test_a_handshake_that_never_ends_is_ended_with_the_world(down: bool) -> None:
    with World() as other, World(tls=True) as world:  # the other one keeps the loop going
        with raw(world.address) as silent, raw(world.address) as halfway:
            halfway.sendall(b"\x16\x03\x01\x02\x00")
            context = ssl.create_default_context(cafile=world.ca_file)
            assert request(world.address, "GET", "/", tls=context).status == 404  # so both were accepted
            if down:
                world.restart(down_for=0.01)
            else:
                world.close()
            assert read_all(silent) == read_all(halfway) == b""
        if down:
            world.wait_for(lambda record: record["kind"] == "conn.close", PATIENCE)
            assert eventually_served(world, context)
        assert request(other.address, "GET", "/").status == 404


def test_handshakes_under_way_go_on_when_the_port_refuses_newcomers() -> None:
    with World(tls=True) as world:
        world.arm(parse_fault({"name": "full", "on": "connect(2)", "do": {"tcp_refuse": "1h"}}))
        context = ssl.create_default_context(cafile=world.ca_file)
        with raw(world.address) as first, raw(world.address) as second:
            world.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE)
            with pytest.raises(ConnectionRefusedError), raw(world.address):
                pass
            for one in (first, second):
                with context.wrap_socket(one, server_hostname="localhost") as secured:
                    secured.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                    assert b" 404 " in read_all(secured)
        ended: set[int] = set()

        def both(record: Mapping[str, Any]) -> bool:
            ended.update({record["conn"]} if record["kind"] == "conn.close" else ())
            return ended == {1, 2}

        world.wait_for(both, PATIENCE)  # none is left behind
        assert not world.listening


def test_a_handshake_that_takes_for_ever_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mockcentral.servers.front_door.SILENT_LIMIT", 0.05)
    with World(tls=True) as world:
        for said in (b"", b"\x16\x03\x01\x02\x00", b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00"):
            with raw(world.address) as slow:
                if said:
                    slow.sendall(said)
                assert read_all(slow) == b""
        closed = [record["reason"] for record in world.journal() if record["kind"] == "conn.close"]
        assert len(closed) == 3
        assert world.connections() == []


def eventually_served(world: World, context: ssl.SSLContext) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        with contextlib.suppress(ConnectionError):
            return request(world.address, "GET", "/", tls=context).status == 404
    return False


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A certificate of our own CA, its key, somebody else's key, and things that are neither."""
    directory = tmp_path_factory.mktemp("pem")
    ca = trustme.CA()
    mine, other = ca.issue_cert("localhost", "127.0.0.1"), ca.issue_cert("localhost")
    written: dict[str, Any] = {
        "ca": ca.cert_pem.bytes(),
        "cert": b"".join(blob.bytes() for blob in mine.cert_chain_pems),
        "key": mine.private_key_pem.bytes(),
        "other": other.private_key_pem.bytes(),
        "garbage": b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n",
        "empty": b"",
        "binary": bytes(range(256)),
    }
    for name, data in written.items():
        (directory / name).write_bytes(data)
    paths = {name: str(directory / name) for name in written}
    return {**paths, "missing": str(directory / "missing"), "directory": str(directory)}


def test_a_certificate_of_ones_own_is_served(files: dict[str, str]) -> None:
    with World(cert=files["cert"], key=files["key"]) as world:
        world.put_topic(topic())
        assert world.ca_file is None
        context = ssl.create_default_context(cafile=files["ca"])
        assert request(world.address, "GET", f"/events{TOPIC}", None, headers(world), tls=context).status == 200


@pytest.mark.parametrize(
    ("cert", "key", "words"),
    [
        ("missing", "key", "missing: cannot be read: No such file"),
        ("cert", "missing", "missing: cannot be read: No such file"),
        ("directory", "key", "cannot be read: Is a directory"),
        ("cert", "other", "not a PEM certificate with its key: the key is another certificate's"),
        ("garbage", "key", "one of them is damaged"),
        ("empty", "key", "empty holds no certificate"),
        ("cert", "garbage", "garbage holds no private key"),
        ("binary", "binary", "not a PEM certificate with its key"),
        ("cert", "", "--cert and --key go together"),
        ("", "key", "--cert and --key go together"),
    ],
)
def test_certificates_that_cannot_be_used_are_refused_and_leave_nothing_behind(
    files: dict[str, str], tmp_path: Path, cert: str, key: str, words: str
) -> None:
    threads = threading.active_count()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    paths = {**files, "": None}
    for _ in range(2):  # the second time finds the port free
        world = World(cert=paths[cert], key=paths[key], port=port, journal=tmp_path / "journal")
        with pytest.raises(TlsError, match=words):
            world.start()
    assert threading.active_count() == threads
