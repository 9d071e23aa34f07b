"""apply, get and delete for any resource, seeds, and the environment of an agent."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockcentral import World, ready_file
from mockcentral.cli import main
from tests.mockcentral.clients import ask, harvest

ENVIRONMENT = "kind: Environment\nname: prod\ntitle: Production\n"
SERVICE = """kind: APIService
name: petstore
metadata: {scope: {kind: Environment, name: prod}}
spec: {a: 1}
status: {level: Success}
"""
TOPIC = """kind: WatchTopic
name: all
spec: {filters: [{group: management, kind: APIService, name: "*", type: [created, updated, deleted]}]}
"""
WHERE = ("--scope", "Environment/prod")


@pytest.fixture
def world() -> Iterator[World]:
    with World() as world:
        yield world


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "resources"
    folder.mkdir()
    (folder / "a-service.yaml").write_text(SERVICE)  # before the environment it lives in
    (folder / "b-environment.yaml").write_text(f"{ENVIRONMENT}---\n{TOPIC}")
    return folder


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()]


def test_a_folder_is_applied_in_an_order_that_works_and_only_what_differs_again(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    apply = ["apply", "-f", str(folder), "--url", world.http_url]
    assert main(apply) == 0
    assert said(capsys) == ["environment/prod created", "watchtopic/all created", "apiservice/petstore created"]
    assert main(apply) == 0
    assert [line.split()[1] for line in said(capsys)] == ["unchanged"] * 3
    (folder / "a-service.yaml").write_text(SERVICE.replace("Success", "Error"))
    assert main(apply) == 0
    assert said(capsys)[-1] == "apiservice/petstore updated"
    (folder / "a-service.yaml").write_text(SERVICE.replace("Success", "Error").replace("a: 1", "a: 2"))
    assert main(apply) == 0
    events = harvest(world, "/management/v1/watchtopics/all").json()
    assert [(event["type"], event["metadata"]["subresource"]) for event in events] == [
        ("ResourceCreated", None),
        ("SubResourceUpdated", "status"),
        ("ResourceUpdated", None),
    ]


def test_resources_come_through_a_pipe(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(ENVIRONMENT))
    assert main(["apply", "-f", "-", "--url", world.http_url]) == 0
    assert said(capsys) == ["environment/prod created"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("name: x"))
    assert main(["apply", "-f", "-", "--url", world.http_url]) == 2
    assert capsys.readouterr().err.startswith("mockcentral: stdin:1: kind is missing")


def test_what_lives_in_a_scope_is_got_and_deleted_there(
    world: World, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = ("--url", world.http_url)
    main(["apply", "-f", str(folder), *url])
    capsys.readouterr()
    assert main(["get", "apiservice", "petstore", "-o", "json", *WHERE, *url]) == 0
    assert json.loads(capsys.readouterr().out)["status"] == {"level": "Success"}
    assert main(["delete", "apiservice", "petstore", *url]) == 1
    assert main(["delete", "apiservice", "petstore", *WHERE, *url]) == 0
    assert main(["get", "apiservice", "petstore", *WHERE, *url]) == 1


def test_a_refusal_is_the_servers_words(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "service.yaml"
    path.write_text(SERVICE)
    assert main(["apply", "-f", str(path), "--url", world.http_url]) == 2
    assert capsys.readouterr().err == "mockcentral: there is no /management/environments/prod\n"


def test_seeds_are_there_from_the_start_and_nobody_is_told(folder: Path) -> None:
    with World(seeds=[folder]) as world:
        assert world.topics == ("/management/v1/watchtopics/all",)
        service = ask(world, "GET", "/apis/management/v1/environments/prod/apiservices/petstore").json()
        assert (service["spec"], service["status"]) == ({"a": 1}, {"level": "Success"})
        assert service["metadata"]["scope"]["name"] == "prod"
        assert ask(world, "GET", "/apis/management/v1/environments/prod").json()["title"] == "Production"
        assert harvest(world, "/management/v1/watchtopics/all").json() == []
        world.reset()
        assert ask(world, "GET", "/apis/management/v1/environments/prod/apiservices/petstore").status == 200


def test_the_environments_a_scenarios_topics_look_into_exist_from_the_start() -> None:
    with World("calm") as world:
        assert ask(world, "GET", "/apis/management/v1/environments/sample-env").status == 200


# ------------------------------------------------------------------------------------------ what is no fake
NAMELESS = ["", ".", "..", "prod/apiservices"]


@pytest.mark.parametrize("name", NAMELESS)
@pytest.mark.parametrize("command", ["get", "delete"])
def test_what_is_no_name_is_one_line(world: World, command: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "environment", name, "--url", world.http_url]) == 2
    assert capsys.readouterr().err.startswith(f"mockcentral: {name!r} is no name of a resource")


DEEP = b"[" * 100_000
HTML = b"<html>login</html>"
ANSWERS = {
    "a page": b"HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n" + HTML,
    "deep JSON": b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + DEEP,
    "an object": b'HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n{"name":"e"}',
    "a list": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]",
    "nothing": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "half": b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n[]",
    "half an error": b"HTTP/1.1 500 Oh\r\nContent-Length: 500\r\n\r\n[]",
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
}


@pytest.fixture
def foreign() -> Iterator[tuple[str, list[bytes]]]:
    """A server's URL, and what it answers to everything."""
    answers: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                connection, _ = server.accept()
                with contextlib.suppress(OSError), connection, connection.makefile("rb") as lines:
                    length = 0
                    while (line := lines.readline().strip().lower()) != b"":
                        if line.startswith(b"content-length:"):
                            length = int(line.partition(b":")[2])
                    lines.read(length)
                    if not answers:
                        return
                    connection.sendall(answers[0])

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}", answers
        answers.clear()
        socket.create_connection(server.getsockname()).close()
        thread.join()


@pytest.mark.parametrize("answer", list(ANSWERS))
@pytest.mark.parametrize("token", [("--token", "a.b.c"), ()], ids=["a token", "no token"])
@pytest.mark.parametrize("words", ["get environments", "get environment e", "apply -f e.yaml", "delete environment e"])
def test_a_server_that_is_no_fake_is_one_line(
    foreign: tuple[str, list[bytes]],
    tmp_path: Path,
    words: str,
    token: tuple[str, ...],
    answer: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("e.yaml").write_text("kind: Environment\nname: e\n")
    url, answers = foreign
    answers.append(ANSWERS[answer])
    assert main([*words.split(), *token, "--url", url]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.startswith(f"mockcentral: {url}: "), told.err
    assert told.err.count("\n") == 1


# ------------------------------------------------------------------------------------------ env
@pytest.fixture
def ready(world: World, tmp_path: Path) -> Path:
    path = tmp_path / "ready.json"
    path.write_text(json.dumps(world.context))
    return path


def test_the_environment_of_an_agent_is_ready_for_a_shell(
    world: World, ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    directory = tmp_path / "it's here"
    words = ["env", "--ready-file", str(ready), "--directory", str(directory), "--environment", "prod"]
    assert main([*words, "--agent-name", "my agent"]) == 0
    script = capsys.readouterr().out
    assert world.token not in script
    shell = subprocess.run(
        ["sh", "-c", f"{script}\nenv"],
        env={"CENTRAL_REGION": "US", "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=True,
    )
    found = dict(line.split("=", 1) for line in shell.stdout.splitlines() if "=" in line)
    host, _, port = world.address.rpartition(":")
    expected = {
        "CENTRAL_URL": world.http_url,
        "CENTRAL_AUTH_URL": world.auth_url,
        "CENTRAL_GRPC_HOST": host,
        "CENTRAL_GRPC_PORT": port,
        "CENTRAL_ENVIRONMENT": "prod",
        "CENTRAL_AGENTNAME": "my agent",
        "CENTRAL_AUTH_PRIVATEKEY": str(directory / "private_key.pem"),
        "AGENTFEATURES_VERSIONCHECKER": "false",
    }
    assert {name: found.get(name) for name in expected} == expected
    assert "CENTRAL_REGION" not in found
    private = directory / "private_key.pem"
    assert b"PRIVATE KEY" in private.read_bytes()
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_the_key_pair_is_made_once_and_the_token_is_told_when_asked_for(
    world: World, ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["env", "--ready-file", str(ready), "--directory", str(tmp_path), "--format", "env-file"]
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"CENTRAL_URL={world.http_url}" in lines
    assert not any(line.startswith(("export", "unset")) for line in lines)
    key = (tmp_path / "private_key.pem").read_bytes()
    assert main([*words, "--with-token"]) == 0
    assert f"MOCKCENTRAL_TOKEN={world.token}" in capsys.readouterr().out
    assert (tmp_path / "private_key.pem").read_bytes() == key


def test_what_is_no_ready_file_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "ready.json"
    assert main(["env", "--ready-file", str(path)]) == 2
    path.write_text('{"http_url": "http://127.0.0.1:1"}')
    assert main(["env", "--ready-file", str(path), "--directory", str(tmp_path)]) == 2
    assert "it names no" in capsys.readouterr().err


def test_a_ready_file_with_something_else_in_it_is_refused(
    ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    odd = tmp_path / "odd.json"
    odd.write_text(json.dumps(json.loads(ready.read_text()) | {"address": 5}))
    assert main(["env", "--ready-file", str(odd), "--directory", str(tmp_path)]) == 2
    assert "address is 5, not a text" in capsys.readouterr().err


def test_env_waits_for_the_ready_file_when_told_to(
    ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    late = tmp_path / "late.json"
    script = f"import shutil, sys; sys.stdin.read(1); shutil.copy({str(ready)!r}, {str(tmp_path / 'part')!r});"
    script += f"import os; os.replace({str(tmp_path / 'part')!r}, {str(late)!r})"
    words = ["env", "--ready-file", str(late), "--directory", str(tmp_path)]
    with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE) as server:
        assert main(words) == 2
        assert server.stdin is not None
        server.stdin.write(b"x")
        server.stdin.close()
        assert main([*words, "--wait", "30"]) == 0
    assert "export CENTRAL_URL=" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main([*words, "--wait", "soon"])


def test_env_believes_no_ready_file_of_a_fake_that_is_gone(
    ready: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stale = tmp_path / "stale.json"
    with subprocess.Popen([sys.executable, "-c", ""]) as killed:
        pass
    words = ["env", "--ready-file", str(stale), "--directory", str(tmp_path)]
    left = {"pid": killed.pid, "control_url": None, "http_url": "http://stale"}
    stale.write_text(json.dumps(json.loads(ready.read_text()) | left))
    assert main(words) == 2
    assert f"{stale}: the fake that wrote it (process {killed.pid}) is gone" in capsys.readouterr().err
    looked = threading.Event()

    def is_gone(context: dict[str, Any]) -> bool:
        looked.set()
        return ready_file.is_gone(context)

    def start() -> None:
        assert looked.wait(30)
        stale.unlink()  # as the next fake does before it starts
        shutil.copy(ready, tmp_path / "part")
        os.replace(tmp_path / "part", stale)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("mockcentral.commands.env.is_gone", is_gone)
        server = threading.Thread(target=start)
        server.start()
        assert main([*words, "--wait", "30"]) == 0
        server.join()
    assert "http://stale" not in capsys.readouterr().out


@pytest.mark.parametrize("left", ["private_key.pem", "public_key.pem"])
def test_half_a_key_pair_is_not_written_over(
    ready: Path, tmp_path: Path, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / left).write_text("mine")
    assert main(["env", "--ready-file", str(ready), "--directory", str(tmp_path)]) == 2
    assert "half of a key pair" in capsys.readouterr().err
    assert (tmp_path / left).read_text() == "mine"


def test_a_kind_with_a_blank_is_no_traceback(world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "odd.yaml").write_text("kind: Foo Bar\nname: a\n")
    assert main(["apply", "-f", str(tmp_path / "odd.yaml"), "--url", world.http_url]) in (0, 2)
    assert main(["get", "a b", "--url", world.http_url]) in (0, 1, 2)
    assert "Traceback" not in capsys.readouterr().err


def test_get_shows_more_than_a_page_holds(
    world: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mockcentral.commands.get.PAGE", 2)
    world.publish([{"kind": "APIService", "name": f"s{n}", "scope": "Environment/e"} for n in range(4)])
    assert main(["get", "apiservices", "--url", world.http_url, "-o", "json"]) == 0
    assert [each["name"] for each in json.loads(capsys.readouterr().out)] == ["s0", "s1", "s2", "s3"]
