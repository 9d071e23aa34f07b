"""A store outlives its process, killed or not, and is nobody else's meanwhile."""

from __future__ import annotations

import contextlib
import http.client
import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from mockcentral.servers.store import Store, StoreError
from tests.mockcentral.clients import PATIENCE, ROOT, TOPIC, Fake, ask, harvest, request, run, service, topic
from tests.mockcentral.servers.killed import KEEPS_ALL

LIVES = 100


def test_a_world_goes_on_where_the_last_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "central.db"
    with World(store=path) as world:
        world.put_topic(topic())
        sequences = world.publish([service("a"), service("b")])
        assert ask(world, "POST", "/apis/management/v1/environments", {"name": "e"}).status == 201
    with World(store=path) as world:
        assert world.topics == (TOPIC,)
        assert [event["metadata"]["sequenceID"] for event in harvest(world).json()] == sequences
        assert ask(world, "GET", "/apis/management/v1/environments/e").status == 200
        assert world.publish(service("c"))[0] > max(sequences)


def test_seeds_are_for_the_first_start_and_a_reset_is_one(tmp_path: Path) -> None:
    seeds = tmp_path / "e.yaml"
    seeds.write_text("kind: Environment\nname: e\n")
    path, link = tmp_path / "central.db", "/apis/management/v1/environments/e"
    with World(store=path, seeds=[seeds]) as world:
        assert ask(world, "DELETE", link).status == 204
        assert ask(world, "POST", "/apis/management/v1/environments", {"name": "f"}).status == 201
    with World(store=path, seeds=[seeds]) as world:
        assert ask(world, "GET", link).status == 404
        world.reset()
        assert ask(world, "GET", link).status == 200
        assert ask(world, "GET", link.replace("/e", "/f")).status == 404


def test_a_fake_killed_a_hundred_times_under_load_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "central.db"
    lives = subprocess.run(
        [sys.executable, "-m", "tests.mockcentral.servers.killed", str(path), json.dumps(topic()), str(LIVES)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=6 * PATIENCE,
        check=False,
    )
    assert lives.returncode == 0, lives.stderr
    found = json.loads(lives.stdout)
    acknowledged = found["sequences"]
    assert len(acknowledged) >= LIVES
    assert acknowledged == sorted(set(acknowledged)), "a sequence was given out twice"
    kept: set[int] = set()
    with World(KEEPS_ALL, store=path) as world:
        after = 1
        while page := harvest(world, query=f"sequenceID>{after}", sort="sequenceID,ASC").json():
            kept |= {event["metadata"]["sequenceID"] for event in page}
            after = max(kept)
        there = {each["name"]: each for each in pages_of(world, "/apis/management/v1/environments")}
    assert set(acknowledged) <= kept
    assert len(found["resources"]) >= LIVES
    for name, state in found["resources"].items():
        assert (name in there) is (state is not None), name
        assert not state or there[name]["status"] == {"state": state}


def pages_of(world: World, link: str) -> Iterator[dict[str, Any]]:
    """All resources of a collection."""
    page = 1
    while found := ask(world, "GET", f"{link}?page={page}&pageSize=1000").json():
        yield from found
        page += 1


def test_a_store_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "central.db"
    with World(store=path):
        found = run("serve", "--store", str(path))
        assert found.returncode == 2
        assert found.stderr == f"mockcentral: {path}: another process uses this store\n"


def test_what_is_no_store_is_refused_in_one_line(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("hello, this is no database at all" * 100)
    with pytest.raises(StoreError, match="not a usable store: file is not a database"):
        Store(text)
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE mine (a)")
    database.close()
    with pytest.raises(StoreError, match="a database of another program"):
        Store(other)
    with pytest.raises(StoreError, match="not a usable store: unable to open"):
        Store(tmp_path / "no" / "such" / "folder.db")
    future = tmp_path / "future.db"
    Store(future).close()
    with sqlite3.connect(future) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(StoreError, match="a store of version 99"):
        World(store=future).start()


def test_a_world_that_cannot_write_serves_nobody_any_more(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, rows: Any) -> None:
        raise StoreError(f"{self.path}: cannot be written: database or disk is full")

    with World(store=tmp_path / "central.db") as world:
        monkeypatch.setattr(Store, "write", full)
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(world, "POST", "/apis/management/v1/environments", {"name": "e"})
        with pytest.raises(ConnectionRefusedError):
            ask(world, "GET", "/apis/management/v1/environments")
        assert [record for record in world.journal() if record["kind"] == "store.failed"]
        assert not world.listening
    assert "disk is full: this world serves nobody any more" in capfd.readouterr().err


def test_several_worlds_cannot_share_a_store(tmp_path: Path) -> None:
    found = run("serve", "--scenario", "calm", "--scenario", "flaky", "--store", str(tmp_path / "x.db"))
    assert found.returncode == 2
    assert "--store are for one scenario" in found.stderr


@pytest.mark.parametrize("path", ["", ":memory:", "file::memory:"])
def test_what_would_not_outlive_the_process_is_no_store(path: str) -> None:
    with pytest.raises(StoreError, match="write the path of a file"):
        World(store=path).start()


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE resources SET resource = '{'",
        "UPDATE resources SET resource = '[]'",
        "UPDATE events SET event = '[]'",
        "UPDATE events SET topics = 'x'",
    ],
)
def test_a_damaged_row_is_an_error_that_names_the_store(tmp_path: Path, damage: str) -> None:
    store = tmp_path / "central.db"
    with World(store=store) as world:
        world.publish({"kind": "APIService", "name": "s", "scope": "Environment/e"})
        ask(world, "POST", "/apis/management/v1/environments", {"name": "f"})
    with sqlite3.connect(store) as database:
        database.execute(damage)
    database.close()
    with pytest.raises(StoreError, match=r"central\.db: not a usable store: a row cannot be read"):
        World(store=store).start()


def test_a_fake_whose_disk_is_full_ends_and_says_so(tmp_path: Path) -> None:
    if not sys.platform.startswith("linux"):
        pytest.skip("sets the limits of another process")
    import resource

    ready = tmp_path / "ready.json"
    with Fake("--store", str(tmp_path / "central.db"), "--ready-file", str(ready)) as fake:
        # No file may grow beyond this from now on: for SQLite, that is a full disk.
        resource.prlimit(fake.process.pid, resource.RLIMIT_FSIZE, (64 * 1024, 64 * 1024))
        with contextlib.suppress(OSError, http.client.HTTPException):
            for number in range(1000):
                body = {"name": f"e{number}", "spec": {"text": "x" * 4000}}
                headers = {"Authorization": f"Bearer {fake.token}", "Content-Type": "application/json"}
                request(fake.address, "POST", "/apis/management/v1/environments", body, headers)
        code = fake.process.wait(PATIENCE)
        assert not ready.exists()
        _, errors = fake.stop()
    assert code == 3
    assert "this world serves nobody any more" in errors
    assert len(errors.splitlines()) == 1
