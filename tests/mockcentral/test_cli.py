"""The command line, as a shell sees it: what is printed, what is written, how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mockcentral import World, __version__
from mockcentral import world as world_module
from mockcentral.cli import COMMANDS, main
from tests.mockcentral.clients import (
    MOCKCENTRAL,
    PATIENCE,
    ROOT,
    TOPIC,
    Fake,
    Watch,
    control,
    raw,
    read_all,
    request,
    run,
    service,
    subscribed,
    topic,
)

SAMPLE = """\
group: management
apiVersion: v1alpha1
kind: WatchTopic
name: sample-watch-topic
title: sample-watch-topic
spec:
  filters:
    - {kind: APIService, name: '*', type: [created, updated, deleted], group: management,
       scope: {kind: Environment, name: sample-env}}
    - {kind: APIServiceInstance, name: '*', type: [created, updated, deleted], group: management,
       scope: {kind: Environment, name: sample-env}}
  description: Sample watch topic in sample-env environment.
"""
LINK = "/management/v1/watchtopics/sample-watch-topic"


@pytest.fixture(autouse=True)
def no_fake_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("MOCKCENTRAL_"):
            monkeypatch.delenv(name)


@pytest.fixture
def world() -> Iterator[World]:
    with World(control=True) as world:
        yield world


@pytest.fixture
def sample(tmp_path: Path) -> str:
    path = tmp_path / "topic.yaml"
    path.write_text(SAMPLE)
    return str(path)


# ------------------------------------------------------------------------------------------ apply, get, delete
def test_the_sample_topic_is_applied_read_back_and_watched(
    world: World, sample: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ("--url", world.http_url)
    assert main(["apply", "-f", sample, *url]) == 0
    assert capsys.readouterr().out == f"watchtopic/sample-watch-topic created: {LINK}\n"
    assert main(["get", "watchtopic", "sample-watch-topic", "-o", "yaml", *url]) == 0
    shown = yaml.safe_load(capsys.readouterr().out)
    assert shown["metadata"]["selfLink"] == LINK
    assert [one["kind"] for one in shown["spec"]["filters"]] == ["APIService", "APIServiceInstance"]
    with Watch(world, LINK) as watch:
        subscribed(world)
        changes = [
            service(),
            {"kind": "APIServiceInstance", "name": "i", "scope": "Environment/sample-env"},
            service(scope="Environment/other"),
            {"kind": "Credential", "name": "c", "scope": "Environment/sample-env"},
            service(type="deleted"),
        ]
        sequences = world.publish(changes)
        assert watch.sequences(3) == [sequences[0], sequences[1], sequences[4]]


def test_applying_again_changes_nothing_and_applying_a_change_updates(
    world: World, sample: str, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ("--url", world.http_url)
    main(["apply", "-f", sample, *url])
    main(["apply", "-f", sample, *url])
    Path(sample).write_text(SAMPLE.replace("APIServiceInstance", "Credential"))
    main(["apply", "-f", sample, *url])
    words = [line.split()[1].rstrip(":") for line in capsys.readouterr().out.splitlines()]
    assert words == ["created", "unchanged", "updated"]


def test_get_shows_one_or_all_as_table_json_or_yaml(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put_topic(topic("a"))
    world.put_topic(topic("b"))
    world.publish(service())
    url = ("--url", world.http_url)
    assert main(["get", "watchtopics", *url]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "KIND", "SELFLINK"]
    assert [line.split() for line in lines[1:]] == [
        [name, "WatchTopic", f"/management/v1/watchtopics/{name}"] for name in ("a", "b")
    ]
    assert main(["get", "WatchTopic", "a", "-o", "json", *url]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "a"
    assert main(["get", "apiservice", "petstore", "--scope", "Environment/sample-env", "-o", "yaml", *url]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["kind"] == "APIService"


def test_delete_takes_it_away_and_says_when_there_is_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.put_topic(topic())
    url = ("--url", world.http_url)
    assert main(["delete", "watchtopic", "sample", *url]) == 0
    assert capsys.readouterr().out == "watchtopic/sample deleted\n"
    for command in (["delete", "watchtopic", "sample"], ["get", "watchtopic", "sample"]):
        assert main([*command, *url]) == 1
        captured = capsys.readouterr()
        assert captured.err == "mockcentral: there is no " + captured.err.partition("there is no ")[2]
        assert captured.err.count("\n") == 1


def test_a_fake_is_found_by_ready_file_environment_or_url(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    world.put_topic(topic())
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps(world.context))
    assert main(["get", "watchtopics", "--ready-file", str(ready)]) == 0
    monkeypatch.setenv("MOCKCENTRAL_READY_FILE", str(ready))
    assert main(["get", "watchtopics"]) == 0
    monkeypatch.delenv("MOCKCENTRAL_READY_FILE")
    monkeypatch.setenv("MOCKCENTRAL_HTTP_URL", world.http_url)
    assert main(["get", "watchtopics"]) == 0
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert main(["get", "watchtopics"]) == 0
    assert capsys.readouterr().out.count("sample") == 8


def test_a_token_that_expired_is_replaced_unless_it_was_given(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps(world.context))
    stale = world.token
    world.expire_tokens()
    assert main(["get", "watchtopics", "--ready-file", str(ready)]) == 0
    assert main(["get", "watchtopics", "--ready-file", str(ready), "--token", stale]) == 2
    assert "expired" in capsys.readouterr().err


def test_a_fake_behind_tls_is_reached_with_its_ca(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with World(tls=True) as world:
        world.put_topic(topic())
        ready = tmp_path / "ready.json"
        ready.write_text(json.dumps(world.context))
        assert main(["get", "watchtopics", "--ready-file", str(ready)]) == 0
        assert main(["get", "watchtopics", "--url", world.http_url]) == 2  # nobody vouches for that certificate
        assert "CERTIFICATE_VERIFY_FAILED" in capsys.readouterr().err


# ------------------------------------------------------------------------------------------ words
def test_version_and_help_are_told_and_nothing_at_all_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"mockcentral {__version__}\n"
    assert main([]) == 2
    assert "serve" in capsys.readouterr().err
    for words in (["--help"], *([command, "--help"] for command in COMMANDS)):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert "usage" in capsys.readouterr().out


def test_only_the_command_that_runs_is_imported() -> None:
    code = """
import sys
from mockcentral.cli import main
main(["--version"])
heavy = {"flask", "grpc", "h2", "yaml", "asyncio", "cryptography", "httpx"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = run(code=code)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_fake_that_nobody_has_come_to_has_imported_nothing_that_only_clients_need() -> None:
    code = """
import sys
from mockcentral.servers.control import ControlServer
from mockcentral.servers.portal import import_later
from mockcentral.world import World
from mockcentral.worlds import Worlds
with import_later(), World("calm") as world:
    ControlServer(Worlds.holding(world)).close()
    heavy = {"flask", "grpc", "h2", "h11", "google.protobuf", "cryptography", "jsonpatch"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    done = run(code=code)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_the_first_client_will_need_is_missed_before_anybody_may_come(capsys: pytest.CaptureFixture[str]) -> None:
    for module in world_module.IMPORTED_LATER:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(world_module, "find_spec", lambda name, gone=module: None if name == gone else object())
            assert main(["serve", "--scenario", "calm"]) == 2
        assert f"{module} is not installed: pip install" in capsys.readouterr().err


def test_a_process_that_ends_does_not_look_for_garbage_in_all_it_remembers() -> None:
    """After a million events that took a second, and Ctrl-C has to end a fake within one."""
    done = run("list", code="import gc; from mockcentral.cli import main; main(); print(gc.get_freeze_count() > 0)")
    assert done.stdout.splitlines()[-1] == "True", done.stderr


def test_a_reader_that_goes_away_is_nobodys_error() -> None:
    with subprocess.Popen(
        [*MOCKCENTRAL, "schema"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        errors = process.stderr.read()
    assert (process.returncode, errors) == (0, b"")


def in_shell(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = f"exec {shlex.join(MOCKCENTRAL)} {words}"
    return subprocess.run(
        ["sh", "-c", command],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
@pytest.mark.parametrize("words", ["list", "schema", "serve --scenario calm", "replay calm --journal -"])
def test_a_full_disk_is_said(words: str) -> None:
    done = in_shell(f"{words} > /dev/full")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == ("mockcentral: standard output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


def test_a_closed_output_is_nobody_who_reads() -> None:
    for words in ("list", "replay calm --journal -"):
        done = in_shell(f"{words} >&-")
        assert done.returncode == 0
        assert "Traceback" not in done.stderr


def test_a_name_that_the_terminal_cannot_show_is_shown_in_escapes(world: World, tmp_path: Path) -> None:
    (tmp_path / "e.yaml").write_text("kind: Environment\nname: caf\u00e9\n", encoding="utf-8")
    for words in (f"apply -f {shlex.quote(str(tmp_path / 'e.yaml'))}", "get environments", "get environments -o yaml"):
        done = in_shell(f"{words} --url {world.http_url}", PYTHONIOENCODING="ascii")
        assert (done.returncode, done.stderr) == (0, "")
        assert "caf\\xe9" in done.stdout


# ------------------------------------------------------------------------------------------ serve
def test_serving_writes_the_ready_file_for_its_owner_only_and_the_journal_to_the_end(tmp_path: Path) -> None:
    ready, journal = tmp_path / "ready.json", tmp_path / "journal"
    with Fake("--scenario", "calm", "--seed", "5", "--ready-file", str(ready), "--journal", str(journal)) as fake:
        assert stat.S_IMODE(ready.stat().st_mode) == 0o600
        assert json.loads(ready.read_text()) == fake.ready
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith("ready")] == ["ready.json"]
        assert (fake.ready["scenario"], fake.ready["seed"], fake.ready["pid"]) == ("calm", 5, fake.process.pid)
        assert request(fake.control, "GET", "/healthz").status == 200
        code, errors = fake.stop(signal.SIGINT)
    assert (code, errors) == (130, "")
    records = [json.loads(line) for line in journal.read_text().splitlines()]
    assert records[0]["kind"] == "world.start"
    assert [record["n"] for record in records] == list(range(1, len(records) + 1))


def test_what_a_person_sees_says_where_everything_is_and_how_to_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    flags = ["--scenario", "calm", "--ready-file", str(ready), "--tls", "--topic-file", str(tmp_path / "t.yaml")]
    (tmp_path / "t.yaml").write_text(SAMPLE)
    with subprocess.Popen(
        [*MOCKCENTRAL, *flags], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line.rstrip())
            if line.startswith("stop it"):
                break
        context = json.loads(ready.read_text())
        watch = shlex.split(next(line for line in lines if line.startswith("watch it: ")).removeprefix("watch it: "))
        seen = subprocess.run(
            [sys.executable, *watch[1:], "--count", "1"], cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE
        )
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=PATIENCE)
    assert seen.returncode == 0, seen.stderr
    text = "\n".join(lines)
    assert lines[0].startswith(f"scenario calm, seed {context['seed']}: serving on {context['address']}")
    for word in (context["http_url"], context["control_url"], context["ca_file"], LINK, "Ctrl-C"):
        assert word in text
    assert context["token"] not in text
    assert (process.returncode, errors) == (143, "")
    assert not Path(context["ca_file"]).exists()
    assert not ready.exists()


def test_only_its_own_ready_file_is_taken_away(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    with Fake("--ready-file", str(ready)) as old, Fake("--ready-file", str(ready)) as new:
        old.stop()
        assert json.loads(ready.read_text())["pid"] == new.process.pid
        new.stop()
        assert not ready.exists()


def test_several_scenarios_are_several_worlds_behind_one_control_port(tmp_path: Path) -> None:
    with Fake("--scenario", "calm", "--scenario", "flaky") as fake:
        contexts = fake.ready["worlds"]
        assert [(one["world"], one["scenario"]) for one in contexts] == [("w1", "calm"), ("w2", "flaky")]
        assert len({one["address"] for one in contexts}) == 2
        listed = request(fake.control, "GET", "/v1/worlds").json()["worlds"]
        assert [one["address"] for one in listed] == [one["address"] for one in contexts]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_though_clients_are_connected(number: int, code: int) -> None:
    with (
        Fake("--scenario", "calm", "--tls") as secure,
        Fake("--scenario", "calm") as fake,
        Watch(fake, fake.ready["topics"][0]) as watch,
        raw(fake.address) as silent,
        raw(secure.address) as unshaken,
        raw(fake.control) as idle,
    ):
        silent.sendall(b"GET / HT")
        idle.sendall(b"GET /v1/worlds/default/journal HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n")
        assert idle.recv(1)
        assert unshaken.fileno() > 0
        assert watch.events(1)
        assert fake.stop(number) == (code, "")
        assert secure.stop(number) == (code, "")
        assert watch.end()[0] == "UNAVAILABLE"
        assert read_all(unshaken) == b""


def test_a_signal_during_the_start_ends_it_too(tmp_path: Path) -> None:
    """Whenever it comes from the moment the command runs; before that Python itself ends."""
    code = """
import os, signal, sys, threading
import mockcentral.commands.serve as serve
place = sys.argv[1]
original = serve.world_options
def options(arguments):
    os.kill(os.getpid(), signal.SIGINT)
    return original(arguments)
serve.world_options = options
from mockcentral.cli import main
sys.exit(main(["serve", "--scenario", "calm", "--ready-file", place]))
"""
    done = run(str(tmp_path / "ready"), code=code)
    assert (done.returncode, done.stderr) == (130, "")


def test_two_fakes_do_not_share_a_port_and_a_freed_port_is_free(tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    for _ in range(2):
        with Fake("--port", port) as fake:
            assert fake.address == f"127.0.0.1:{port}"
            refused = run("serve", "--port", port)
            assert refused.returncode == 2
            assert refused.stderr == f"mockcentral: cannot listen on 127.0.0.1:{port}: Address already in use\n"
            with raw(fake.address):
                fake.stop()


def test_the_control_api_of_a_served_world_works(tmp_path: Path) -> None:
    with Fake() as fake:
        topics = f"http://{fake.address}"
        assert run("apply", "-f", _file(tmp_path, topic()), "--url", topics).returncode == 0
        answer = request(fake.control, "POST", "/v1/worlds/default/events", service())
        assert answer.status == 201
        link = {"Authorization": f"Bearer {fake.token}"}
        history: Any = request(fake.address, "GET", f"/events{TOPIC}", None, link).json()
        assert [one["metadata"]["sequenceID"] for one in history] == answer.json()["sequences"]


def _file(directory: Path, body: object) -> str:
    path = directory / "topic.json"
    path.write_text(json.dumps(body))
    return str(path)


def test_the_world_of_the_fixture_is_the_same_as_a_served_one(world: World) -> None:
    shown = control(world, "GET", "/v1/worlds/default").json()
    with Fake("--scenario", "calm") as fake:
        served = request(fake.control, "GET", "/v1/worlds/default").json()
    assert set(shown) == set(served)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with a name here")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_second_signal_ends_a_start_that_is_stuck(tmp_path: Path, number: signal.Signals) -> None:
    pipe = tmp_path / "seeds.yaml"
    os.mkfifo(pipe)
    command = [*MOCKCENTRAL, "serve", "--seed-file", str(pipe)]
    # Opening for writing waits until the other side has opened it, which then waits for what is never written.
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process, pipe.open("wb"):
        for _ in range(100):  # two that come at once are one
            process.send_signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.2)
                break
        assert process.wait(PATIENCE) == -number
