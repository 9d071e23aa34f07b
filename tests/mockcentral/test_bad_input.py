"""What a new user gets wrong, and what strange clients send: one clear line or a clear end, and the fake goes on."""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import Event, ResponseReceived, StreamEnded
from h2.settings import SettingCodes, Settings

from mockcentral.cli import main
from mockcentral.servers.host import MAX_WAITING_ANSWERS
from tests.mockcentral.clients import (
    PATIENCE,
    ROOT,
    Fake,
    Watch,
    raw,
    read_all,
    request,
    run,
    service,
    topic,
)


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with files that are not what a flag asks for."""
    directory = tmp_path_factory.mktemp("files")
    (directory / "garbage.pem").write_text("-----BEGIN PUBLIC KEY-----\nnonsense\n-----END PUBLIC KEY-----\n")
    (directory / "binary").write_bytes(bytes(range(256)))
    (directory / "empty").write_bytes(b"")
    files = {
        "broken.yaml": "scenario: x\nabout: [unclosed\n",
        "tab.yaml": "scenario: x\n\tabout: y\n",
        "list.yaml": "- 1\n- 2\n",
        "unit.yaml": "scenario: x\nabout: y\nworld:\n  token: {life: 30 parsecs}\n",
        "nounit.yaml": "scenario: x\nabout: y\nworld:\n  token: {life: 30}\n",
        "key.yaml": "scenario: x\nabout: y\ntrafic: []\n",
        "anchor.yaml": "scenario: x\nabout: y\nfaults:\n  - {name: f, on: stream_opne, do: {close: {}}}\n",
        "code.yaml": "scenario: x\nabout: y\nattempts: [{refuse: UNAVAILBLE}]\n",
        "topic.yaml": "kind: WatchTopic\nname: t\nspec: {filters: []}\n",
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Iterator[Callable[..., str]]:
    """Runs a command that cannot be done; returns the one line it writes to stderr.

    In this process, which starts fifty times as many of them in a second; some are tried as processes below.
    """
    for name in list(os.environ):
        if name.startswith("MOCKCENTRAL_"):
            monkeypatch.delenv(name)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    threads = set(threading.enumerate())

    def refused(*words: str) -> str:
        try:
            code: object = main(words)
        except SystemExit as ended:
            code = ended.code
        captured = capfd.readouterr()
        assert (code, captured.out) == (2, "")
        return one_line(captured.err)

    yield refused
    for number, handler in handlers.items():
        signal.signal(number, handler)
    until = time.monotonic() + PATIENCE
    while left := set(threading.enumerate()) - threads:
        assert time.monotonic() < until, f"left running: {left}"
        time.sleep(0.002)


def one_line(text: str) -> str:
    [line] = text.splitlines()
    assert line.startswith("mockcentral")
    assert "Traceback" not in line
    return line


# ------------------------------------------------------------------------------------------ on the command line
MISTAKES = [
    ("sevre", "did you mean serve"),
    ("frobnicate", "there is no command 'frobnicate'"),
    ("serve --scenari calm", "unrecognized arguments: --scenari"),
    ("--port", "expected one argument"),
    ("--scenario flakky", "did you mean `flaky`"),
    ("--scenario {}/missing.yaml", "missing.yaml"),
    ("--scenario {}/broken.yaml", "broken.yaml:"),
    ("--scenario {}/tab.yaml", "tab.yaml:2"),
    ("--scenario {}/list.yaml", "list.yaml"),
    ("--scenario {}/unit.yaml", "unit.yaml:4"),
    ("--scenario {}/nounit.yaml", "nounit.yaml:4"),
    ("--scenario {}/key.yaml", "traffic"),
    ("--scenario {}/anchor.yaml", "stream_open"),
    ("--scenario {}/code.yaml", "UNAVAILABLE"),
    ("--scenario {}/binary", "binary"),
    ("--scenario {}/empty", "empty"),
    ("--scenario {}", "{}"),
    ("--topic-file {}/missing.yaml", "missing.yaml"),
    ("--topic-file {}/topic.yaml", "filters"),
    ("--topic-file {}/binary", "binary"),
    ("--seed x", "'x' is no seed"),
    ("--seed -1", "seed"),
    ("--seed ²", "is no seed"),
    (f"--seed {2**63}", "write a whole number from 0 to 2**63 - 1"),
    (f"--seed {'9' * 5000}", "write a whole number from 0 to 2**63 - 1"),
    (f"replay calm --seed {2**63}", "write a whole number from 0 to 2**63 - 1"),
    ("replay calm --seed ²", "is no seed"),
    ("--host ", "'' is no address"),
    ("edge --upstream a:1 --host ", "'' is no address"),
    ("run --scenario calm --host  -- true", "'' is no address"),
    ("env --ready-file x --wait 3601", "write seconds up to 3600"),
    ("--time-scale 0", "'0' is no time scale"),
    ("--time-scale nan", "is no time scale"),
    ("--time-scale fast", "'fast' is no time scale"),
    ("--port 65536", "'65536' is no port"),
    ("--port http", "'http' is no port"),
    ("--control-port 99999", "is no port"),
    ("--host no.such.host.invalid", "cannot listen on no.such.host.invalid"),
    ("--host 203.0.113.7", "cannot listen on 203.0.113.7"),
    ("--cert {}/missing --key {}/missing", "missing: cannot be read: No such file"),
    ("--cert {}/garbage.pem --key {}/garbage.pem", "not a PEM certificate with its key"),
    ("--cert {}/garbage.pem", "--cert and --key go together"),
    ("--public-key {}/garbage.pem", "write CLIENT=FILE"),
    ("--public-key me={}/missing", "missing: cannot be read: No such file"),
    ("--public-key me={}/garbage.pem", "garbage.pem: not a PEM public key"),
    ("--public-key me={}/binary", "binary: not a PEM public key"),
    ("--ready-file {}/no/dir/ready", "cannot be written: No such file"),
    ("--ready-file {}", "cannot be written"),
    ("--journal {}/no/dir/journal", "No such file"),
    ("--journal {}", "Is a directory"),
    ("--scenario calm --scenario flaky --port 1234", "--port, --journal and --store are for one scenario"),
    ("get watchtopics", "which fake?"),
    ("get watchtopics --url localhost:80", "write http://HOST:PORT"),
    ("get watchtopics --url http://127.0.0.1:1", "cannot be reached"),
    ("get watchtopics --ready-file {}/missing", "missing: cannot be read"),
    ("get watchtopics --ready-file {}/binary", "not a ready file"),
    ("get watchtopics --ready-file {}/empty", "not a ready file: no JSON"),
    ("get watchtopics --url https://127.0.0.1:1 --ca {}/missing", "not a usable CA file"),
    ("get apiservices --url http://127.0.0.1:1 --scope here", "write Kind/name"),
    ("apply -f {}/missing.yaml --url http://127.0.0.1:1", "missing.yaml"),
    ("apply -f {}/topic.yaml --url http://127.0.0.1:1", "filters"),
    ("apply", "required"),
]


@pytest.mark.parametrize(("words", "told"), MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(refused: Callable[..., str], pem: Path, words: str, told: str) -> None:
    assert told.replace("{}", str(pem)) in refused(*words.replace("{}", str(pem)).split(" "))


@pytest.mark.parametrize(("words", "told"), MISTAKES[::9])
def test_a_mistake_is_no_more_than_that_in_a_process_of_its_own(pem: Path, words: str, told: str) -> None:
    done = run(*words.replace("{}", str(pem)).split(" "))
    assert (done.returncode, done.stdout) == (2, "")
    assert told.replace("{}", str(pem)) in one_line(done.stderr)


def test_a_taken_port_is_named(refused: Callable[..., str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for flag in ("--port", "--control-port"):
            line = refused("--scenario", "calm", flag, str(port))
            assert line == f"mockcentral: cannot listen on 127.0.0.1:{port}: Address already in use"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads and writes everything")
def test_files_that_may_not_be_read_or_written_are_named(refused: Callable[..., str], tmp_path: Path) -> None:
    secret = tmp_path / "secret.pem"
    secret.write_text("x")
    secret.chmod(0)
    assert "secret.pem: cannot be read: Permission denied" in refused("--cert", str(secret), "--key", str(secret))
    tmp_path.chmod(0o500)
    assert "Permission denied" in refused("--journal", str(tmp_path / "journal"))
    assert "Permission denied" in refused("--ready-file", str(tmp_path / "ready"))


def test_what_was_refused_left_no_file_behind(refused: Callable[..., str], tmp_path: Path) -> None:
    target = tmp_path / "ready"
    target.mkdir()
    refused("--ready-file", str(target))
    assert [path.name for path in tmp_path.iterdir()] == ["ready"]


@pytest.mark.parametrize("command", [("serve",), ("edge", "--upstream", "127.0.0.1:1")])
def test_a_ready_file_that_a_killed_fake_left_is_gone_before_anything_starts(
    refused: Callable[..., str], tmp_path: Path, command: tuple[str, ...]
) -> None:
    left = tmp_path / "ready.json"
    left.write_text('{"http_url": "http://127.0.0.1:1", "control_url": "http://127.0.0.1:1", "pid": 1}')
    refused(*command, "--host", "203.0.113.7", "--ready-file", str(left))
    assert not left.exists()


BLOCKED = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocker())
from mockcentral.cli import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("module", ["flask", "h2", "h11", "cryptography", "yaml", "trustme", "jwt"])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(module: str, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    pem = tmp_path / "key.pem"
    pem.write_bytes(key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    done = run(module, "serve", "--scenario", "calm", "--tls", "--public-key", f"me={pem}", code=BLOCKED)
    assert done.returncode == 2
    assert done.stderr == f"mockcentral: {module} is not installed: pip install 'watchmanager[mockcentral]'\n"


def test_a_package_that_is_not_needed_is_not_missed() -> None:
    done = run("flask", "list", code=BLOCKED)
    assert (done.returncode, done.stderr) == (0, "")


# ------------------------------------------------------------------------------------------ at the front door
LINK = "/management/v1/watchtopics/strange"


@pytest.fixture(scope="module")
def fake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fake]:
    quiet = tmp_path_factory.mktemp("scenario") / "quiet.yaml"
    quiet.write_text("scenario: quiet\nabout: nothing happens by itself\n")
    with Fake("--scenario", str(quiet)) as fake:
        headers = {"Authorization": f"Bearer {fake.token}"}
        answer = request(fake.address, "POST", "/apis/management/v1/watchtopics", topic("strange"), headers)
        assert answer.status == 201
        yield fake
        assert fake.process.poll() is None
        code, errors = fake.stop()
    assert (code, errors) == (143, "")  # not a word about anything that happened


def still_serving(fake: Fake) -> None:
    """Health, history and a real watch that gets a real event."""
    assert request(fake.control, "GET", "/healthz").status == 200
    headers = {"Authorization": f"Bearer {fake.token}"}
    assert request(fake.address, "GET", f"/events{LINK}", None, headers).status == 200
    with Watch(fake, LINK) as watch:
        # Delivery is from stream open, and the call was opened once a connection has an attempt.
        while not any(one["attempts"] for one in connections(fake)):
            time.sleep(0.002)
        answer = request(fake.control, "POST", "/v1/worlds/default/events", service())
        assert watch.sequences(1) == answer.json()["sequences"]


def connections(fake: Fake) -> list[dict[str, object]]:
    found: list[dict[str, object]] = request(fake.control, "GET", "/v1/worlds/default/connections").json()[
        "connections"
    ]
    return found


def memory(fake: Fake) -> float:
    """Resident memory of the fake, MiB."""
    status = Path(f"/proc/{fake.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) / 1024


def told(fake: Fake) -> list[str]:
    """Why connections were closed so far."""
    lines = request(fake.control, "GET", "/v1/worlds/default/journal").body.splitlines()
    return [record["reason"] for record in map(json.loads, lines) if record["kind"] == "conn.close"]


def say(fake: Fake, data: bytes, *, more: Iterator[bytes] | None = None) -> bytes:
    """Send bytes, then what `more` gives until the fake hangs up; returns what it said."""
    with raw(fake.address) as connection:
        try:
            connection.sendall(data)
            for chunk in more or ():
                connection.sendall(chunk)
            connection.shutdown(socket.SHUT_WR)
        except (BrokenPipeError, ConnectionResetError):
            pass
        return read_all(connection)


def test_an_http_1_0_client_is_answered_in_its_own_way(fake: Fake) -> None:
    answer = say(fake, b"GET /nowhere HTTP/1.0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert b"connection: close" in answer.lower()
    still_serving(fake)


def test_a_tls_client_on_the_plain_port_gets_an_alert_and_the_journal_a_hint(fake: Fake) -> None:
    with raw(fake.address) as connection, pytest.raises(ssl.SSLError):
        ssl.create_default_context().wrap_socket(connection, server_hostname="localhost")
    assert any("--tls" in reason for reason in told(fake))
    still_serving(fake)


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_get_a_status_or_an_end(fake: Fake, seed: int) -> None:
    random_bytes = random.Random(seed)
    for _ in range(20):
        data = random_bytes.randbytes(random_bytes.randrange(1, 5000))
        answer = say(fake, data)
        assert answer.startswith((b"HTTP/1.1 4", b"\x15\x03")) or answer == b""
    if not seed:
        still_serving(fake)


@pytest.mark.parametrize("seed", range(8))
def test_random_bytes_after_a_good_beginning_get_a_status_or_an_end(fake: Fake, seed: int) -> None:
    random_bytes = random.Random(seed)
    for beginning in (
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0",
        b"GET / HTTP/1.1\r\n",
        b"POST /auth/realms/Broker/protocol/openid-connect/token HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01",
    ):
        say(fake, beginning + random_bytes.randbytes(3000))
    if not seed:
        still_serving(fake)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_header_of_100_megabytes_is_refused_and_not_kept(fake: Fake) -> None:
    still_serving(fake)
    before = memory(fake)
    chunk = b"x" * 1_000_000
    answer = say(fake, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", more=(chunk for _ in range(100)))
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""  # or our end came before it was read
    say(fake, b"GET /", more=(chunk for _ in range(100)))
    say(fake, b"", more=(b"A" * 1_000_000 for _ in range(100)))
    headers = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0"
    frame = b"\0\x40\0\x01\0\0\0\0\x01"  # HEADERS without END_HEADERS, 16 KiB
    continuation = b"\0\x40\0\x09\0\0\0\0\x01"
    say(fake, headers + frame + b"\0" * 16_384, more=(continuation + b"\0" * 16_384 for _ in range(6_000)))
    assert memory(fake) - before < 60
    still_serving(fake)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_huge_body_is_refused_and_not_kept(fake: Fake) -> None:
    still_serving(fake)
    before = memory(fake)
    head = b"POST /apis/management/v1/watchtopics HTTP/1.1\r\nHost: x\r\n"
    chunk = b"y" * 1_000_000
    answer = say(fake, head + b"Content-Length: 100000000\r\n\r\n", more=(chunk for _ in range(100)))
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""
    chunked = (b"f4240\r\n" + chunk + b"\r\n" for _ in range(100))
    answer = say(fake, head + b"Transfer-Encoding: chunked\r\n\r\n", more=chunked)
    assert answer.startswith(b"HTTP/1.1 413 ") or answer == b""
    assert memory(fake) - before < 60
    still_serving(fake)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_a_client_that_asks_and_never_reads_is_not_kept_answers_for(fake: Fake) -> None:
    changes = [service(f"s{n}", attributes={"a": "b" * 1000}) for n in range(200)]
    assert request(fake.control, "POST", "/v1/worlds/default/events", changes).status == 201
    before = memory(fake)
    line = f"GET /events{LINK} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {fake.token}\r\n\r\n".encode()
    with raw(fake.address) as connection:
        connection.settimeout(0.5)
        try:
            for _ in range(1000):  # some 130 kB of answer to each; the pipe is full long before
                connection.sendall(line)
                time.sleep(0.001)  # a pipeline sent at once is cut off earlier
        except OSError:
            pass
        still_serving(fake)
        assert memory(fake) - before < 60
    still_serving(fake)


def test_answers_whose_window_a_client_keeps_shut_are_bounded(fake: Fake) -> None:
    changes = [service(f"s{n}", attributes={"a": "b" * 1000}) for n in range(200)]
    assert request(fake.control, "POST", "/v1/worlds/default/events", changes).status == 201
    host, token = fake.address, {"authorization": f"Bearer {fake.token}"}
    whole = request(host, "GET", f"/events{LINK}", None, token).body
    head = {":method": "GET", ":scheme": "http", ":authority": host, ":path": f"/events{LINK}", **token}
    client = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
    client.local_settings = Settings(client=True, initial_values={SettingCodes.INITIAL_WINDOW_SIZE: 0})
    client.initiate_connection()
    for number in range(200):
        client.send_headers(2 * number + 1, list(head.items()), end_stream=True)
    with raw(host) as connection:

        def heard(count: int, kind: type[Event]) -> list[Any]:
            connection.sendall(client.data_to_send())
            found: list[Any] = []
            while len(found) < count:
                received = client.receive_data(connection.recv(65_536))
                connection.sendall(client.data_to_send())
                found += [one for one in received if isinstance(one, kind)]
            return found

        statuses = [dict(one.headers)[":status"] for one in heard(200, ResponseReceived)]
        fitting = statuses.index("503")
        assert fitting - 1 <= MAX_WAITING_ANSWERS // len(whole) + 1
        assert statuses == ["200"] * fitting + ["503"] * (200 - fitting)
        # Whoever reads again is served again.
        client.increment_flow_control_window(2**30)
        client.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**20})
        assert len(heard(fitting, StreamEnded)) == fitting
        client.send_headers(401, list(head.items()), end_stream=True)
        assert dict(heard(1, ResponseReceived)[0].headers)[":status"] == "200"
    still_serving(fake)


def test_a_preface_that_trickles_is_waited_for_and_then_served(fake: Fake) -> None:
    with raw(fake.address) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0":
            connection.sendall(bytes([byte]))
            time.sleep(0.001)
        assert connection.recv(9)[3] == 4  # SETTINGS
    with raw(fake.address) as connection:
        for byte in b"GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n":
            connection.sendall(bytes([byte]))
        assert read_all(connection).startswith(b"HTTP/1.1 404 ")


def test_a_client_that_says_nothing_bothers_nobody(fake: Fake) -> None:
    silent = [socket.create_connection(tuple(fake.address.split(":")), PATIENCE) for _ in range(50)]  # type: ignore[arg-type]
    try:
        still_serving(fake)
    finally:
        for connection in silent:
            connection.close()
    still_serving(fake)


@pytest.mark.parametrize("body", [b"{", b"null", b"[]", b"\xff", b"", b"[" * 50_000])
def test_a_body_that_is_no_json_is_a_400(fake: Fake, body: bytes) -> None:
    headers = {"Authorization": f"Bearer {fake.token}", "Content-Type": "application/json"}
    answer = request(fake.address, "POST", "/apis/management/v1/watchtopics", body, headers)
    assert answer.status == 400
    assert "must be a JSON object" in answer.json()["errors"][0]["detail"]
    answer = request(fake.control, "PUT", "/v1/worlds/x", body, headers)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/problem+json"


KILLED = """
import sys, time
from types import SimpleNamespace
from tests.mockcentral.clients import Watch
world = SimpleNamespace(address=sys.argv[1], token=sys.argv[2], tenant=sys.argv[3])
watch = Watch(world, sys.argv[4])
print("watching", flush=True)
time.sleep(600)
"""


def test_a_client_killed_with_9_is_noticed_and_forgotten(fake: Fake) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", KILLED, fake.address, fake.token, fake.tenant, LINK],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as client:
        assert client.stdout is not None
        client.stdout.readline()
        while not any(one["attempts"] for one in connections(fake)):
            time.sleep(0.005)
        client.kill()
    until = time.monotonic() + PATIENCE
    while any(one["attempts"] for one in connections(fake)):
        assert time.monotonic() < until
        time.sleep(0.005)
    still_serving(fake)


def test_a_request_cut_in_the_middle_is_forgotten(fake: Fake) -> None:
    say(fake, b"POST /apis/management/v1/watchtopics HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{")
    connection = http.client.HTTPConnection(fake.address, timeout=PATIENCE)
    connection.putrequest("POST", "/apis/management/v1/watchtopics")
    connection.putheader("Content-Length", "-5")
    connection.endheaders()
    assert connection.getresponse().status == 400
    connection.close()
    still_serving(fake)
