"""A world's life in plain Python: many of them, from any thread, gone without a trace when they close."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from mockcentral import World
from mockcentral._core.actions import AnswerHttp, Restart
from mockcentral.scenario.schema import (
    Filter,
    LogSettings,
    Publish,
    Scenario,
    TokenSettings,
    Topic,
    Traffic,
    WorldSettings,
)
from mockcentral.scenario.types import CountSpan, Duration, Span
from mockcentral.servers.listener import PortInUse
from mockcentral.world import PUBLISHED_AT_ONCE
from tests.mockcentral._core.rig import rule
from tests.mockcentral.clients import (
    PATIENCE,
    TOPIC,
    Watch,
    ask,
    control,
    harvest,
    raw,
    read_all,
    request,
    service,
    subscribed,
    topic,
)


def scenario(**more: Any) -> Scenario:
    return Scenario(scenario="test", about="a test", **more)


PACED = scenario(
    traffic=(Traffic(publish=Publish(kind="APIService"), count=10_000, every=Span(0.5, 2.0)),),
)
"""Something is always planned, and fifty of these are no load on a machine that does other things."""

BUSY = scenario(
    topics=(Topic(name="sample", filters=(Filter(kind="APIService"),)),),
    traffic=(Traffic(publish=Publish(kind="APIService"), count=10_000, every=Span(0.02, 0.06)),),
)


# ------------------------------------------------------------------------------------------ leaving no trace
def descriptors() -> set[str]:
    """Open files of this process that are sockets, pipes or event polls."""
    found = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except OSError:
            continue
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    """Ask until it is true; the limit only turns a hang into a failure."""
    until = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(0.005)
    return True


def ours() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name.startswith("mockcentral")]


def warm() -> None:
    """Whatever is made once a process: imports, keys, logs."""
    with World(control=True) as world:
        request(world.address, "GET", "/")
        control(world, "GET", "/healthz")


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="looks into /proc")
def test_fifty_worlds_come_and_go_and_leave_no_thread_and_no_socket_behind() -> None:
    warm()
    gc.collect()
    assert eventually(lambda: not ours()), ours()
    before_fds, before_threads = descriptors(), set(threading.enumerate())
    with ExitStack() as stack:
        worlds = [stack.enter_context(World(PACED, control=number % 10 == 0)) for number in range(50)]
        for world in worlds:
            stack.enter_context(raw(world.address))
        assert len({world.address for world in worlds}) == 50
        for world in worlds:
            assert request(world.address, "GET", "/").status == 404
            world.close()
    gc.collect()
    assert eventually(lambda: set(threading.enumerate()) <= before_threads), threading.enumerate()
    assert eventually(lambda: descriptors() <= before_fds), descriptors() - before_fds


@pytest.mark.parametrize("turns", range(5))
def test_a_connection_that_is_being_accepted_when_its_world_closes_is_closed_with_it(turns: int) -> None:
    with World() as world:
        portal, host = world._live_portal(), world._host
        assert host is not None

        async def connect_and_stop() -> socket.socket:
            client = socket.create_connection(("127.0.0.1", int(world.address.rpartition(":")[2])))
            for _ in range(turns):
                await asyncio.sleep(0)
            await host.stop()
            return client

        with portal.run(connect_and_stop()) as client:
            client.settimeout(PATIENCE)
            with contextlib.suppress(ConnectionError):
                assert client.recv(1) == b""
        assert not host.links


def test_under_pytest_nothing_is_imported_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytest's import hook parses, and Python 3.11 cannot parse in two threads at once."""
    applications = [f"mockcentral.servers.{name}" for name in ("http_api", "control_api")]
    for name in applications:
        monkeypatch.delitem(sys.modules, name, raising=False)
    with World(control=True):
        assert all(name in sys.modules for name in applications)
        assert "mockcentral-import" not in {thread.name for thread in threading.enumerate()}


def test_worlds_created_through_the_control_api_of_a_world_go_with_it() -> None:
    with World(control=True) as world:
        created = control(world, "PUT", "/v1/worlds/child", {}).json()["address"]
        assert request(created, "GET", "/").status == 404
    with pytest.raises(ConnectionRefusedError):
        request(created, "GET", "/")
    assert eventually(lambda: not ours()), ours()


def test_worlds_of_one_process_know_nothing_of_each_other() -> None:
    with World(name="a") as one, World(name="b") as two:
        one.put_topic(topic())
        one.publish(service())
        assert two.topics == ()
        assert two.stats()["events_published_total"] == 0
        assert ask(two, "GET", "/apis/management/v1/watchtopics", Authorization=f"Bearer {one.token}").status == 401
        assert {record["world"] for record in one.journal()} == {"a"}
        assert one.address != two.address


def test_a_closed_world_publishes_no_more_though_others_go_on() -> None:
    with World() as other:
        world = World(BUSY).start()
        with raw(world.address) as idle:
            world.wait_for(lambda record: record["kind"] == "event.published", PATIENCE)
            world.close()
            assert read_all(idle) == b""  # its end was news to the closed world
        count = len(world.journal())
        for _ in range(20):  # turns of the loop both shared
            other.publish(service())
            time.sleep(0.002)
        assert len(world.journal()) == count


def test_a_restart_under_way_does_not_bring_a_closed_world_back() -> None:
    with World() as other:
        world = World().start()
        address = world.address
        world.restart(down_for=0.02)
        world.close()
        for _ in range(20):
            other.publish(service())
            time.sleep(0.002)
        with pytest.raises(ConnectionRefusedError):
            request(address, "GET", "/")


# ------------------------------------------------------------------------------------------ beginning and end
def test_closing_twice_is_harmless_and_starting_twice_is_not_possible() -> None:
    world = World()
    world.close()  # never started
    world.start()
    with pytest.raises(RuntimeError, match="started already"):
        world.start()
    assert request(world.address, "GET", "/").status == 404
    world.close()
    world.close()
    with pytest.raises(RuntimeError, match="started already"):
        world.start()


def test_a_world_that_is_not_running_says_so() -> None:
    world = World()
    for use in (lambda: world.address, lambda: world.publish(service()), lambda: world.token, lambda: world.barrier()):
        with pytest.raises(RuntimeError, match="use `with World"):
            use()
    with world:
        address = world.address
    assert world.address == address  # where it was
    with pytest.raises(RuntimeError, match="not running"):
        world.publish(service())


def test_the_journal_and_the_verdicts_outlive_the_world() -> None:
    with World() as world:
        world.publish(service())
    kinds = [record["kind"] for record in world.journal() if record["kind"] != "clock.stall"]
    assert kinds == ["world.start", "event.published"]
    assert {verdict.check for verdict in world.verify()} >= {"ordered", "unique"}


def test_an_exception_inside_with_passes_through_and_closes_the_world() -> None:
    world = World()

    def use() -> None:
        with world:
            raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        use()
    with pytest.raises(ConnectionRefusedError):
        request(world.address, "GET", "/")


def test_a_world_serves_asyncio_too() -> None:
    async def use() -> list[int]:
        async with World() as world:
            world.put_topic(topic())
            answers = await asyncio.gather(*(asyncio.to_thread(harvest, world) for _ in range(5)))
            return [answer.status for answer in answers]

    assert asyncio.run(use()) == [200] * 5


def test_a_taken_port_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        world = World(port=port, journal=tmp_path / "journal")
        with pytest.raises(PortInUse, match=rf"cannot listen on 127\.0\.0\.1:{port}: Address already in use"):
            world.start()
    assert threading.active_count() == threads
    assert not (tmp_path / "journal").exists()
    with world:  # the port is free now
        assert world.address == f"127.0.0.1:{port}"


@pytest.mark.parametrize("where", [{"host": "no such host"}, {"host": "203.0.113.7"}, {"port": 70_000}, {"port": -1}])
def test_an_address_that_cannot_be_bound_is_refused(where: dict[str, Any]) -> None:
    with pytest.raises(PortInUse, match="cannot listen on"):
        World(**where).start()


def test_ipv6_addresses_are_written_in_brackets() -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    with World(host="::1") as world:
        assert world.address.startswith("[::1]:")
        assert world.http_url.startswith("http://[::1]:")


@pytest.mark.parametrize("scale", [0, -1, float("nan"), 1e9, 1e-9, True, "5"])
def test_a_time_scale_is_a_number_in_bounds(scale: Any) -> None:
    with pytest.raises(ValueError, match="time_scale must be a number from"):
        World(time_scale=scale)


def test_a_control_port_that_is_taken_leaves_no_world_behind() -> None:
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        world = World(control=True, control_port=taken.getsockname()[1])
        with pytest.raises(PortInUse):
            world.start()
    assert eventually(lambda: threading.active_count() == threads)


def test_a_missing_package_is_named_before_anything_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "flask", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        World().start()
    assert caught.value.name == "flask"


# ------------------------------------------------------------------------------------------ telling where it is
def test_the_context_is_the_ready_file() -> None:
    settings = WorldSettings(tenant="42")
    with World(scenario(world=settings, seed=3), control=True, name="w") as world:
        world.put_topic(topic())
        context = world.context
        assert context == {
            "v": 1,
            "world": "w",
            "address": world.address,
            "http_url": f"http://{world.address}",
            "auth_url": f"http://{world.address}/auth",
            "control_url": world.control_url,
            "tenant": "42",
            "topics": [TOPIC],
            "token": world.token,
            "client_id": world.client_id,
            "ca_file": None,
            "scenario": "test",
            "seed": 3,
            "pid": os.getpid(),
        }
        json.dumps(context)


def test_a_seed_overrides_the_scenarios_and_decides_the_ids() -> None:
    spec = scenario(seed=3, world=WorldSettings(log=LogSettings(step=CountSpan(1, 100))))

    def story(seed: int | None) -> list[Any]:
        with World(spec, seed=seed) as world:
            world.put_topic(topic())
            world.publish([service(f"s{n}") for n in range(10)])
            return [(r["sequence"], r["id"]) for r in world.journal() if r["kind"] == "event.published"]

    assert story(None) == story(3) == story(3) != story(4)


def test_topics_come_from_objects_and_files(tmp_path: Path) -> None:
    file = tmp_path / "topic.json"
    file.write_text(json.dumps(topic("from-file")))
    given = Topic(name="given", filters=(Filter(kind="APIService"),))
    with World(topics=[given, file]) as world:
        assert world.topics == ("/management/v1/watchtopics/given", "/management/v1/watchtopics/from-file")


def test_durations_are_divided_by_the_time_scale() -> None:
    slow = scenario(traffic=(Traffic(publish=Publish(kind="A"), count=3, every=Span(1000.0, 1000.0)),))
    with World(slow, time_scale=100_000.0) as world:
        world.wait_traffic(PATIENCE)
        assert world.traffic_done
        assert world.journal()[0]["time_scale"] == 100_000.0


# ------------------------------------------------------------------------------------------ publishing and waiting
def test_publish_takes_one_change_or_many_and_all_or_none() -> None:
    with World() as world:
        [first] = world.publish(service())
        assert world.publish([service("a"), service("b")]) == [first + 1, first + 2]
        assert world.publish([]) == []
        with pytest.raises(ValueError, match="needs name"):
            world.publish([service("c"), {"kind": "APIService"}])
        assert world.stats()["sequence"] == first + 2


def test_other_things_happen_between_the_turns_of_a_long_list(monkeypatch: pytest.MonkeyPatch) -> None:
    count = 2 * PUBLISHED_AT_ONCE + 1
    turns: list[int] = []
    with World() as world:
        act: Callable[..., Any] = world._act

        def counting(work: Any) -> Any:
            result = act(work)
            turns.append(len(result))
            return result

        monkeypatch.setattr(world, "_act", counting)
        assert world.publish([service(f"s{n}") for n in range(count)]) == [100001 + n for n in range(count)]
        monkeypatch.undo()
    assert turns == [PUBLISHED_AT_ONCE, PUBLISHED_AT_ONCE, 1]


def test_wait_for_finds_what_is_past_and_what_is_to_come() -> None:
    with World() as world:
        world.publish(service("a"))
        assert world.wait_for(lambda r: r["kind"] == "event.published")["name"] == "a"
        timer = threading.Timer(0.05, world.publish, [service("b")])
        timer.start()
        assert world.wait_for(lambda r: r.get("name") == "b", PATIENCE)["op"] == "CREATED"
        timer.join()
        last = len(world.journal())
        with pytest.raises(TimeoutError):
            world.wait_for(lambda r: r["kind"] == "event.published", 0.01, since=last)


def test_a_wait_in_vain_shows_how_the_journal_ends() -> None:
    with World() as world:
        world.publish([service(f"s{n}") for n in range(30)])
        with pytest.raises(TimeoutError) as caught:
            world.wait_for(lambda record: record["kind"] == "conn.open", 0.01)
        lines = str(caught.value).splitlines()
        assert lines[0] == "nothing of the kind was journaled within 0.01 s; the journal ends with"
        assert [json.loads(line)["name"] for line in lines[1:]] == [f"s{n}" for n in range(20, 30)]


def test_a_predicate_that_raises_ends_the_wait_and_leaves_no_listener() -> None:
    with World() as world:
        with pytest.raises(KeyError):
            world.wait_for(lambda record: bool(record["nothing"]))
        assert world._journal._listeners == []


def test_records_of_ones_own_are_numbered_with_the_others() -> None:
    with World() as world:
        record = world.record("client.applied", sequence=5, id="x", op="CREATED")
        assert (record["n"], record["world"], record["v"]) == (2, "default", 1)
        assert world.journal(1) == [record]


def test_traffic_beyond_what_the_machine_can_carry_leaves_the_sockets_their_turn() -> None:
    flood = Traffic(publish=Publish(kind="APIService"), count=300_000, burst=300_000)
    with World(scenario(traffic=(flood,))) as world:
        assert ask(world, "GET", "/apis/management/v1/watchtopics").status == 200
        assert not world.traffic_done


def test_traffic_that_never_ends_is_a_timeout() -> None:
    with World(scenario(traffic=(Traffic(publish=Publish(kind="A"), count=2, every=Span(999.0, 999.0)),))) as world:
        with pytest.raises(TimeoutError):
            world.wait_traffic(0.05)
        assert not world.traffic_done


def test_a_world_is_used_from_many_threads_at_once() -> None:
    with World() as world:
        world.put_topic(topic())
        failed: list[BaseException] = []
        sequences: list[int] = []

        def use(number: int) -> None:
            try:
                for turn in range(25):
                    sequences.extend(world.publish(service(f"s{number}-{turn}")))
                    world.journal(len(sequences))
                    assert harvest(world, pageSize=1, sort="sequenceID,DESC").status == 200
                    assert world.token
            except BaseException as error:
                failed.append(error)

        threads = [threading.Thread(target=use, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        assert not failed
        assert len(set(sequences)) == 200
        published = [record["sequence"] for record in world.journal() if record["kind"] == "event.published"]
        assert published == sorted(sequences)


def test_closing_a_world_that_others_are_using_ends_their_use_with_an_error_and_no_hang() -> None:
    world = World().start()
    ended: list[BaseException] = []

    def use() -> None:
        try:
            while True:
                world.publish(service())
        except RuntimeError as error:
            ended.append(error)

    threads = [threading.Thread(target=use, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    world.wait_for(lambda record: record["kind"] == "event.published", PATIENCE)
    world.close()
    for thread in threads:
        thread.join(PATIENCE)
    assert not any(thread.is_alive() for thread in threads)
    assert len(ended) == 4


# ------------------------------------------------------------------------------------------ breaking things
def test_a_restart_comes_back_on_the_same_port_with_its_history() -> None:
    with World() as world:
        world.put_topic(topic())
        with Watch(world) as watch:
            subscribed(world)
            [first] = world.publish(service())
            assert watch.sequences(1) == [first]
            address = world.address
            world.restart(down_for=3600.0)
            assert watch.end()[0] == "UNAVAILABLE"
            assert not world.listening
            with pytest.raises(ConnectionRefusedError):
                request(address, "GET", "/")
            world.publish(service())  # things happen while nobody can connect
    with World() as world:
        world.put_topic(topic())
        address = world.address
        world.publish(service())
        world.restart(down_for=0.01)
        assert eventually(lambda: world.listening)
        assert world.address == address
        assert eventually(lambda: reachable(address))
        assert len(harvest(world).json()) == 1
        with Watch(world) as watch:
            subscribed(world)
            [sequence] = world.publish(service())
            assert watch.sequences(1) == [sequence]


def reachable(address: str) -> bool:
    try:
        return request(address, "GET", "/").status == 404
    except ConnectionError:
        return False


def test_a_restart_may_be_a_fault_and_may_forget() -> None:
    with World(scenario(faults=(rule("crash", "publish", Restart(0.01, forget=True), nth=2),))) as world:
        world.put_topic(topic())
        first, _ = world.publish([service("a"), service("b")])
        world.wait_for(lambda record: record["kind"] == "fault.on_wire", PATIENCE)
        assert eventually(lambda: world.listening and reachable(world.address))
        assert world.publish(service("c")) == [first]
        assert len(harvest(world).json()) == 1


def test_faults_are_armed_and_tell_their_receipts() -> None:
    with World() as world:
        world.arm(rule("error", "http", AnswerHttp(503, headers=(("retry-after", "1"),), body='{"a": 1}'), times=1))
        broken, fine = request(world.address, "GET", "/"), request(world.address, "GET", "/")
        assert (broken.status, broken.headers["retry-after"], broken.json()) == (503, "1", {"a": 1})
        assert fine.status == 404
        [receipt] = world.faults()
        assert (receipt["name"], receipt["triggered"], receipt["on_wire"]) == ("error", 1, 1)
        assert world.disarm("error")
        assert not world.disarm("error")


def test_a_slow_answer_holds_up_nobody_else() -> None:
    with World() as world:
        world.arm(rule("slow", "http", AnswerHttp(None, delay=3600.0), times=1))
        with raw(world.address) as waiting:
            waiting.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            world.wait_for(lambda record: record["kind"] == "fault.triggered", PATIENCE)
            assert request(world.address, "GET", "/").status == 404
            world.close()
            assert read_all(waiting) == b""


def test_a_reset_begins_again_with_the_same_seed() -> None:
    with World(scenario(seed=9, world=WorldSettings(log=LogSettings(step=CountSpan(1, 50))))) as world:
        before = [world.publish(service(f"s{n}"))[0] for n in range(5)]
        address, token = world.address, [world.issue_token() for _ in range(3)][-1]
        world.reset()
        assert world.address == address
        assert [world.publish(service(f"s{n}"))[0] for n in range(5)] == before
        assert world.journal()[0]["kind"] == "world.start"
        assert ask(world, "GET", "/apis/management/v1/watchtopics", Authorization=f"Bearer {token}").status == 401


# ------------------------------------------------------------------------------------------ the journal
def test_the_journal_file_has_every_record(tmp_path: Path) -> None:
    path = tmp_path / "journal.ndjson"
    with World(journal=path) as world:
        world.put_topic(topic())
        with Watch(world) as watch:
            subscribed(world)
            watch.events(len(world.publish([service(f"s{n}") for n in range(50)])))
        so_far = [json.loads(line) for line in path.read_text().splitlines()]
        assert so_far == world.journal()[: len(so_far)]  # line by line, while it runs
        assert len(so_far) > 50
    assert [json.loads(line) for line in path.read_text().splitlines()] == world.journal()


def test_a_journal_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        World(journal=tmp_path / "missing" / "journal").start()
    with pytest.raises(OSError, match="directory"):
        World(journal=tmp_path).start()


def test_no_token_and_no_part_of_one_is_in_the_journal() -> None:
    settings = WorldSettings(token=TokenSettings(life=Duration(3600.0)))
    with World(scenario(world=settings)) as world:
        world.put_topic(topic())
        tokens = [world.token, world.issue_token(), world.issue_token(5.0)]
        for attempt, token in enumerate([*tokens, tokens[0] + "x", "Bearer.made.up"], 1):
            with Watch(world, token=token) as watch:
                world.wait_for(lambda r, n=attempt: r["kind"] == "stream.open" and r["attempt"] == n, PATIENCE)  # type: ignore[misc]
                watch.subscribe(token=token)
                harvest(world)
                ask(world, "GET", f"/events{TOPIC}?token=1", Authorization=f"Bearer {token}")
        world.expire_tokens(tokens[1])
        text = json.dumps(world.journal())
    assert text.count('"jwt:') >= 5
    for token in tokens:
        claims, signature = token.split(".")[1:]
        assert claims not in text
        assert signature not in text
        assert signature[:20] not in text
