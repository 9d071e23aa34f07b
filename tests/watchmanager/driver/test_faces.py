"""The blocking API, the Go names and the command line, over real sockets."""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import mockcentral
import watchmanager as wm
from mockcentral.scenario.load import load
from tests.watchmanager.worlds import FAST, QUICK, change, published, sequences
from watchmanager import cli, compat

ROOT = Path(__file__).parents[3]


@pytest.fixture
def world() -> Iterator[mockcentral.World]:
    with mockcentral.World(replace(load("calm"), traffic=(), faults=(), expect=())) as world:
        yield world


def manager(world: mockcentral.World, **more: Any) -> wm.WatchManager:
    settings: dict[str, Any] = {"keepalive": FAST, "backoff": QUICK, "subscribe_grace": 0.2}
    return wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token, **{**settings, **more})


# ---------------------------------------------------------------- blocking
def test_what_has_crossed_to_the_thread_that_iterates_still_counts_as_waiting(world: mockcentral.World) -> None:
    with manager(world) as owner, owner.watch(world.topics[0]) as watch:
        watch.ready(20)
        last = world.publish([change(number) for number in range(200)])[-1]
        assert next(watch)
        while watch.status.received < last:
            pass
        taken = 1
        while not watch._handover.items:  # the rest crosses with the next one
            assert next(watch)
            taken += 1
        assert watch.status.lag == 200 - taken
        assert watch.status.buffered_bytes > 100 * watch.status.lag


def test_the_blocking_twin_has_the_same_names_in_the_same_order() -> None:
    import inspect

    for mine, theirs in ((wm.WatchManager, wm.AsyncWatchManager), (wm.Watch, wm.AsyncWatch)):
        names = [name for name in vars(theirs) if not name.startswith("_")]
        assert [name for name in vars(mine) if not name.startswith("_")] == names
        for name in (*names, "__init__") if mine is wm.WatchManager else names:
            if callable(getattr(theirs, name)):
                parameters = inspect.signature(getattr(theirs, name)).parameters
                assert list(inspect.signature(getattr(mine, name)).parameters) == list(parameters), name


def test_blocking_iteration_delivers_in_order(world: mockcentral.World) -> None:
    numbers = world.publish([change(each) for each in range(600)])
    with manager(world) as owner, owner.watch(world.topics[0], start="earliest") as watch:
        found = []
        for item in watch:
            found.append(item.sequence)
            if len(found) == len(numbers):
                break
        assert found == numbers
        assert watch.status.delivered == numbers[-1]


def test_flaky_with_the_blocking_api() -> None:
    with mockcentral.World(scenario="flaky", seed=4, time_scale=2.0) as world:
        with manager(world) as owner, owner.watch(world.topics[0], start="earliest") as watch:
            found = [next(watch).sequence for _ in range(500)]
        assert found == published(world)


def test_ready_catch_up_and_until_block(world: mockcentral.World) -> None:
    numbers = world.publish([change(each) for each in range(10)])
    with manager(world) as owner, owner.watch(world.topics[0], start="earliest") as watch:
        watch.ready(20)
        assert sequences(list(watch.catch_up())) == numbers
        assert list(watch.catch_up()) == []
        more = world.publish([change(each) for each in range(3)])
        assert watch.until(lambda item: item.sequence == more[1], timeout=20).sequence == more[1]
        with pytest.raises(TimeoutError):
            watch.until(lambda item: item.sequence > more[2], timeout=0.3)


def test_a_blocking_restart_loses_nothing_and_repeats_only_what_was_not_processed(world: mockcentral.World) -> None:
    kept: dict[str, int] = {}
    with manager(world, checkpoints=kept) as owner, owner.watch(world.topics[0]) as watch:
        watch.ready(20)
        numbers = world.publish([change(each) for each in range(10)])
        found = [next(watch).sequence for _ in range(4)]
    assert kept[world.topics[0]] == numbers[2]
    with manager(world, checkpoints=kept) as owner, owner.watch(world.topics[0]) as watch:
        found += [next(watch).sequence for _ in range(7)]
    assert found == numbers[:4] + numbers[3:]


@pytest.mark.parametrize("commit", ["on_next", "manual"])
def test_ctrl_c_in_a_wait_for_a_batch_loses_nothing(
    world: mockcentral.World, commit: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = world.publish([change(each) for each in range(3)])
    with manager(world) as owner, owner.watch(world.topics[0], start="earliest", commit=commit) as watch:
        fetch = watch._fetch

        def interrupted(timeout: float | None = None) -> bool:
            if watch.status.handed_out == 3:
                raise KeyboardInterrupt
            return fetch(timeout)

        monkeypatch.setattr(watch, "_fetch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(watch.batches(max=10, within=60))
        monkeypatch.undo()
        assert sequences(next(watch.batches(max=3))) == numbers
        assert watch.status.committed in (None, *range(numbers[0]))


def test_commit_by_hand_blocks_until_it_counts(world: mockcentral.World) -> None:
    kept: dict[str, int] = {}
    with manager(world, checkpoints=kept) as owner:
        watch = owner.watch(world.topics[0], commit="manual", start="earliest")
        numbers = world.publish([change(each) for each in range(3)])
        items = [next(watch) for _ in range(3)]
        watch.commit(items[1])
        watch.commit(items[0])
        assert watch.status.committed == numbers[1]
        with pytest.raises(wm.LifecycleError):
            watch.commit(items[0])


def test_closing_from_another_thread_ends_the_iteration(world: mockcentral.World) -> None:
    with manager(world) as owner, owner.watch(world.topics[0]) as watch:
        watch.ready(20)
        ended = threading.Event()

        def consume() -> None:
            for _ in watch:
                pass
            ended.set()

        thread = threading.Thread(target=consume)
        thread.start()
        watch.close()
        thread.join(20)
        assert ended.is_set()


def test_a_cause_is_raised_in_the_thread_that_iterates(world: mockcentral.World) -> None:
    with manager(world) as owner:
        watch = owner.watch("unknown-topic", start=0)
        for _ in range(2):
            with pytest.raises(wm.TopicNotFound):
                next(watch)


def test_nothing_is_left_of_a_manager_that_was_closed(world: mockcentral.World) -> None:
    before = set(threading.enumerate())
    for _ in range(3):
        with manager(world) as owner, owner.watch(world.topics[0]) as watch:
            watch.ready(20)
    left = [each for each in set(threading.enumerate()) - before if each.name == "watchmanager"]
    assert not left
    with pytest.raises(wm.WatchClosed):
        owner.watch("x")
    owner.close()


def test_changes_of_state_can_be_followed_from_a_thread_to_the_end(world: mockcentral.World) -> None:
    owner = manager(world)
    watch = owner.watch(world.topics[0])
    seen: list[wm.State] = []
    live = threading.Event()

    def follow() -> None:
        for status in watch.state_changes():
            seen.append(status.state)
            if status.state is wm.State.LIVE:
                live.set()

    thread = threading.Thread(target=follow)
    thread.start()
    assert live.wait(30)
    owner.close()
    thread.join(30)
    assert not thread.is_alive()
    assert seen[-1] is wm.State.CLOSED


def test_a_callback_may_not_block_its_own_engine(world: mockcentral.World) -> None:
    problems: list[Exception] = []
    with manager(world) as owner:

        def on_state(state: wm.State, why: str) -> None:
            try:
                watch.ready(1)
            except Exception as error:
                problems.append(error)

        watch = owner.watch(world.topics[0], on_state=on_state)
        watch.ready(20)
    assert problems
    assert all(isinstance(each, wm.LifecycleError) for each in problems)


SCRIPT = """
import os, sys
import watchmanager as wm
address, tenant, token, topic, mode = sys.argv[1:]
owner = wm.WatchManager(address, tenant_id=tenant, token=token)
watch = owner.watch(topic)
if mode == "fork":
    watch.ready(20)
    for _ in range(20):  # gRPC's own fork handlers would kill one child in six
        pid = os.fork()
        if pid == 0:
            try:
                next(watch)
            except wm.ForkedProcessError as error:
                print(error, flush=True)
                os._exit(7)
            os._exit(1)
        print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
    owner.close()
elif mode == "wait":
    watch.ready(20)
    print("ready", flush=True)
    next(watch)
elif mode == "forget":
    watch.ready(20)
    print("bye")
"""


def script(world: mockcentral.World, mode: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, world.http_url, world.tenant, world.token, world.topics[0], mode],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_gets_a_clear_error(world: mockcentral.World) -> None:
    out, err = script(world, "fork").communicate(timeout=60)
    lines = out.splitlines()
    assert lines[1::2] == ["7"] * 20, err
    assert all("make a new manager after the fork" in each for each in lines[::2])
    assert "fork_posix" not in err  # from Python 3.12 on Python itself warns there


def test_until_keeps_its_time_while_the_watch_is_paused(world: mockcentral.World) -> None:
    world.publish([change(each) for each in range(5)])
    with manager(world) as owner, owner.watch(world.topics[0], start="earliest") as watch:
        first = next(iter(watch))
        watch.pause()
        with pytest.raises(TimeoutError):
            watch.until(lambda item: True, timeout=0.05)
        watch.resume()
        assert watch.until(lambda item: True, timeout=20).sequence == first.sequence + 1


@pytest.mark.parametrize("how", ["iteration", "catch_up", "batches", "paused"])
def test_a_loop_that_was_busy_when_another_thread_closed_the_manager_ends(world: mockcentral.World, how: str) -> None:
    [number] = world.publish(change(1))
    owner = manager(world)
    watch = owner.watch(world.topics[0], start="earliest")
    found: list[int] = []
    ways: dict[str, Iterator[Any]] = {"catch_up": watch.catch_up(), "batches": watch.batches(max=1)}
    for item in ways.get(how, watch):
        found += [each.sequence for each in (item if how == "batches" else [item])]
        if how == "paused":
            watch.pause()
        closer = threading.Thread(target=owner.close)
        closer.start()
        closer.join()
    assert found == [number]
    with pytest.raises(wm.WatchClosed):
        watch.until(lambda item: True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checkpoint_interval", -1.0),
        ("checkpoint_interval", "1"),
        ("auth_attempts", 0),
        ("auth_attempts", True),
        ("user_agent", "two\nlines"),
        ("user_agent", b"bytes"),
        ("backoff", 3),
        ("keepalive", 10),
        ("buffer", 100),
        ("history", "https://elsewhere"),
        ("tls", "ca.pem"),
        ("proxy", 3128),
        ("random", 7),
        ("checkpoints", "positions.json"),
        ("checkpoints", object()),
        ("treat_as_transient", "PERMISSION_DENIED"),
        ("treat_as_transient", ["NO_SUCH_CODE"]),
    ],
)
def test_a_setting_of_a_manager_that_cannot_be_is_an_error_that_names_it(name: str, value: Any) -> None:
    settings = {"tenant_id": "1", "token": wm.Token("x", None), name: value}
    with pytest.raises(wm.ConfigError, match=name):
        wm.WatchManager("central.test", **settings)


def test_ctrl_c_ends_a_blocking_wait(world: mockcentral.World) -> None:
    process = script(world, "wait")
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert "KeyboardInterrupt" in err
    assert process.returncode != 0


STUCK = """
import asyncio, sys, threading
import watchmanager as wm

stuck = threading.Event().wait

class Store:
    blocking = True
    def load(self, topic): stuck()
    def save(self, topic, sequence): pass
    def close(self): pass

url, where, face = sys.argv[1:]
settings = {"tenant_id": "1", "token": stuck if where == "token" else wm.Token("x", None)}
if where == "store":
    settings["checkpoints"] = Store()
if face == "blocking":
    with wm.WatchManager(url, **settings) as owner:
        try:
            owner.watch("t").ready(0.2)
        except TimeoutError:
            print("gave up")
else:
    async def main():
        async with wm.AsyncWatchManager(url, **settings) as owner:
            try:
                await owner.watch("t").ready(0.2)
            except asyncio.TimeoutError:
                print("gave up")
    asyncio.run(main())
"""


@pytest.mark.parametrize("face", ["blocking", "asyncio"])
@pytest.mark.parametrize("where", ["token", "store"])
def test_a_function_that_never_returns_does_not_keep_a_program_from_ending(
    world: mockcentral.World, where: str, face: str
) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", STUCK, world.http_url, where, face],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        timeout=30,
    )
    assert (ran.stdout, ran.returncode) == ("gave up\n", 0), ran.stderr


def test_a_program_that_forgets_to_close_still_ends(world: mockcentral.World) -> None:
    process = script(world, "forget")
    out, err = process.communicate(timeout=60)
    assert out == "bye\n", err
    assert process.returncode == 0


# ---------------------------------------------------------------- the Go names
class Sequence:
    """Go's SequenceProvider."""

    def __init__(self, value: int) -> None:
        self.value = value

    def get_sequence(self) -> int:
        return self.value

    def set_sequence(self, sequence: int) -> None:
        self.value = sequence


def config(world: mockcentral.World) -> compat.Config:
    host, _, port = world.address.rpartition(":")
    return compat.Config(host=host, port=int(port), tenant_id=world.tenant, token_getter=world.issue_token)


def test_register_watch_delivers_to_a_queue_and_close_conn_ends_it(world: mockcentral.World) -> None:
    numbers = world.publish([change(each) for each in range(5)])
    manager = compat.new(
        config(world), compat.with_tls_config(None), compat.with_harvester(compat.Harvester(), Sequence(numbers[1]))
    )
    events: queue.Queue[wm.Event] = queue.Queue(2)
    assert not manager.status()
    watch_id = manager.register_watch(world.topics[0], events)
    assert [events.get(timeout=20).sequence for _ in range(3)] == numbers[2:]
    assert manager.status()
    assert manager.cause(watch_id) is None
    manager.close_conn()
    manager.close_conn()
    assert not manager.status()


def test_register_watch_delivers_to_a_function_too(world: mockcentral.World) -> None:
    found: queue.Queue[int] = queue.Queue()
    with compat.new(config(world), compat.with_tls_config(None), compat.with_sync_events(Sequence(0))) as manager:
        manager.register_watch(world.topics[0], lambda event: found.put(event.sequence))
        [number] = world.publish(change(1))
        assert found.get(timeout=20) == number


def test_close_watch_knows_its_watches_and_leaves_the_others_alone(world: mockcentral.World) -> None:
    with compat.new(config(world), compat.with_tls_config(None)) as manager:
        one: queue.Queue[wm.Event] = queue.Queue()
        two: queue.Queue[wm.Event] = queue.Queue()
        first = manager.register_watch(world.topics[0], one)
        manager.register_watch(world.topics[0], two)
        world.wait_for(lambda r: r["kind"] == "stream.request" and r["attempt"] == 2)
        manager.close_watch(first)
        with pytest.raises(wm.LifecycleError, match="no watch"):
            manager.close_watch(first)
        with pytest.raises(wm.LifecycleError, match="no watch"):
            manager.close_watch("nobody")
        [number] = world.publish(change(1))
        assert two.get(timeout=20).sequence == number
        assert one.empty()
        assert manager.status()


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: compat.Config(host="", tenant_id="t", token_getter=str),
        lambda: compat.Config(host="h", tenant_id="", token_getter=str),
        lambda: compat.Config(host="h", tenant_id="t", token_getter=None),  # type: ignore[arg-type]
        lambda: compat.new(None),  # type: ignore[arg-type]
        lambda: compat.with_proxy("nonsense")(compat._Options()),
        lambda: compat.with_keepalive(0, 1)(compat._Options()),
    ],
)
def test_what_new_would_return_as_an_error_is_raised(wrong: Any) -> None:
    with pytest.raises(wm.ConfigError):
        wrong()


def test_a_negative_sequence_is_an_error_and_the_callback_hears_of_it(world: mockcentral.World) -> None:
    heard: list[str] = []
    with compat.new(
        config(world),
        compat.with_tls_config(None),
        compat.with_harvester(compat.Harvester(), Sequence(-1)),
        compat.with_event_sync_error(lambda: heard.append("sync")),
    ) as manager:
        with pytest.raises(wm.WatchError, match="no usable sequence"):
            manager.register_watch(world.topics[0], queue.Queue())
        assert heard == ["sync"]
        assert not manager.status()
    with (
        compat.new(
            config(world), compat.with_tls_config(None), compat.with_harvester(compat.Harvester(), Sequence(-1))
        ) as manager,
        pytest.raises(wm.WatchError),
    ):
        manager.register_watch(world.topics[0], queue.Queue())


def test_gone_history_moves_the_sequence_to_the_newest_and_calls_back(world: mockcentral.World) -> None:
    numbers = world.publish([change(each) for each in range(6)])
    world.purge(through=numbers[3])
    sequence = Sequence(numbers[0])
    heard = threading.Event()
    with compat.new(
        config(world),
        compat.with_tls_config(None),
        compat.with_harvester(compat.Harvester(), sequence),
        compat.with_event_sync_error(heard.set),
    ) as manager:
        events: queue.Queue[wm.Event] = queue.Queue()
        manager.register_watch(world.topics[0], events)
        assert heard.wait(20)
        world.wait_for(lambda r: r["kind"] == "stream.request")
        [number] = world.publish(change(99))
        assert events.get(timeout=20).sequence == number
        assert sequence.value == numbers[-1]


def test_a_refused_watch_is_an_error_and_leaves_nothing_behind(world: mockcentral.World) -> None:
    bad = replace(config(world), tenant_id="somebody-else")
    with compat.new(bad, compat.with_tls_config(None), compat.with_sync_events(Sequence(1))) as manager:
        errors: queue.Queue[BaseException] = queue.Queue()
        try:
            watch_id = manager.register_watch(world.topics[0], queue.Queue(), errors)
        except wm.WatchError as error:
            cause: BaseException | None = error
        else:
            cause = errors.get(timeout=20)
            assert manager.cause(watch_id) is cause
        assert isinstance(cause, wm.PermissionDenied)


def test_the_request_channel_reaches_the_server_and_the_logger_hears(world: mockcentral.World) -> None:
    lines: list[str] = []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger = logging.Logger("mine", logging.WARNING)
    logger.addHandler(Handler())
    requests: queue.Queue[compat.AgentStatus] = queue.Queue(1)
    with compat.new(
        config(world),
        compat.with_tls_config(None),
        compat.with_request_channel(requests),
        compat.with_logger(logger),
        compat.with_keepalive(1, 1),
    ) as manager:
        manager.register_watch(world.topics[0], queue.Queue())
        requests.put(compat.AgentStatus("failed", "no gateway"))
        record = world.wait_for(lambda r: r["kind"] == "stream.request" and r["request"] == "agent_status")
        assert (record["state"], record["message"], record["topic"]) == ("failed", "no gateway", world.topics[0])
        logging.getLogger("watchmanager.flow").warning("hello")
        assert lines == ["hello"]


# ---------------------------------------------------------------- command line
def run_cli(world: mockcentral.World | None, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start_cli(world, *arguments, **environment)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_cli(world: mockcentral.World | None, *arguments: str, **environment: str) -> subprocess.Popen[str]:
    return start([sys.executable, "-m", "watchmanager", *arguments], world, environment)


def start(command: list[str], world: mockcentral.World | None, environment: dict[str, str]) -> subprocess.Popen[str]:
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("MOCKCENTRAL_", "WATCHMANAGER_"))
    }
    if world is not None:
        clean |= {
            "MOCKCENTRAL_ADDRESS": world.address,
            "MOCKCENTRAL_HTTP_URL": world.http_url,
            "MOCKCENTRAL_AUTH_URL": world.auth_url,
            "MOCKCENTRAL_TENANT": world.tenant,
            "MOCKCENTRAL_TOPIC": world.topics[0],
            "MOCKCENTRAL_TOKEN": world.token,
        }
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**clean, **environment, "PYTHONPATH": str(ROOT)},
    )


def test_tail_prints_what_is_there_and_ends_when_told(world: mockcentral.World) -> None:
    numbers = world.publish([change(1), change(2, type="updated", subresource="status"), change(3, type="deleted")])
    text = run_cli(world, "tail", "sample-watch-topic", "--since", "earliest", "--until", "caught-up")
    assert text.returncode == 0, text.stderr
    lines = text.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == numbers
    assert "SUBRESOURCEUPDATED" in lines[1]
    assert "APIService/svc-2 in Environment/sample-env (status)" in lines[1]
    jsonl = run_cli(world, "tail", "--since", str(numbers[0]), "--count", "2", "-o", "jsonl")
    assert jsonl.returncode == 0, jsonl.stderr
    objects = [json.loads(line) for line in jsonl.stdout.splitlines()]
    assert [each["sequence"] for each in objects] == numbers[1:]
    assert objects[1]["type"] == "DELETED"
    assert objects[1]["resource"]["scope"]["name"] == "sample-env"


def test_a_ready_file_says_everything_and_beats_the_environment(world: mockcentral.World, tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    ready.write_text(json.dumps(world.context))
    [number] = world.publish([change(1)])
    elsewhere = {"WATCHMANAGER_ADDRESS": "127.0.0.1:1", "MOCKCENTRAL_TENANT": "another", "WATCHMANAGER_TOKEN": "x"}
    flags = ("--ready-file", str(ready))
    found = run_cli(None, "tail", *flags, "--since", "earliest", "--count", "1", "-o", "jsonl", **elsewhere)
    assert [json.loads(line)["sequence"] for line in found.stdout.splitlines()] == [number], found.stderr
    assert run_cli(None, "doctor", *flags, **elsewhere).returncode == 0


def test_tail_speaks_l1(world: mockcentral.World) -> None:
    [number] = world.publish(change(1))
    found = run_cli(world, "tail", "--since", "earliest", "-o", "l1", "--until", "caught-up")
    lines = [json.loads(line) for line in found.stdout.splitlines()]
    assert {"type": "status", "connected": True} in lines
    applied = [each for each in lines if each["type"] == "applied"]
    assert [(each["sequence"], each["op"]) for each in applied] == [(number, "CREATED")]


def test_tail_goes_on_from_its_checkpoint_file(world: mockcentral.World, tmp_path: Path) -> None:
    file = str(tmp_path / "positions.json")
    numbers = world.publish([change(each) for each in range(4)])
    first = run_cli(world, "tail", "--since", "earliest", "--checkpoint", file, "--count", "3", "-o", "l1")
    assert first.returncode == 0, first.stderr
    shown = run_cli(None, "checkpoint", "get", file, "sample-watch-topic")
    assert shown.stdout == f"{numbers[2]}\n"
    second = run_cli(world, "tail", "--checkpoint", file, "--count", "1", "-o", "jsonl")
    assert json.loads(second.stdout)["sequence"] == numbers[3]
    assert run_cli(None, "checkpoint", "set", file, "sample-watch-topic", str(numbers[0])).returncode == 0
    third = run_cli(world, "tail", "--checkpoint", file, "--count", "1", "-o", "jsonl")
    assert json.loads(third.stdout)["sequence"] == numbers[1]
    assert world.topics[0] in run_cli(None, "checkpoint", "get", file).stdout


@pytest.mark.parametrize(
    ("name", "code"),
    [("SIGINT", 130), ("SIGTERM", 143)] + [("SIGHUP", 143)] * hasattr(signal, "SIGHUP"),
)
def test_signals_end_tail_at_once_with_the_position_saved(
    world: mockcentral.World, tmp_path: Path, name: str, code: int
) -> None:
    file = str(tmp_path / "positions.json")
    sent = world.publish([change(1), change(2)])
    process = start_cli(world, "tail", "--since", "earliest", "--checkpoint", file, "-o", "jsonl")
    assert process.stdout is not None
    assert [json.loads(process.stdout.readline())["sequence"] for _ in sent] == sent
    process.send_signal(signal.Signals[name])
    _, err = process.communicate(timeout=20)
    assert process.returncode == code
    assert "Traceback" not in err
    assert run_cli(None, "checkpoint", "get", file, "sample-watch-topic").stdout == f"{sent[1]}\n"


SIGNALS = """
import signal, sys
def handlers(): return {each: signal.getsignal(each) for each in signal.valid_signals()}, signal.set_wakeup_fd(-1)
before = handlers()
import watchmanager as wm
import watchmanager.cli, watchmanager.compat
assert handlers() == before, "importing"
address, tenant, token, topic = sys.argv[1:]
with wm.WatchManager(address, tenant_id=tenant, token=token) as owner:
    assert handlers() == before, "making a manager"
    with owner.watch(topic, start="earliest") as watch:
        next(watch)
        watch.ready(20)
        assert handlers() == before, "watching"
assert handlers() == before, "closing"
print("as they were")
"""


def test_the_blocking_face_leaves_signal_handlers_as_they_were(world: mockcentral.World) -> None:
    world.publish(change(1))
    ran = subprocess.run(
        [sys.executable, "-c", SIGNALS, world.http_url, world.tenant, world.token, world.topics[0]],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])},
        timeout=60,
    )
    assert (ran.stdout, ran.returncode) == ("as they were\n", 0), ran.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "text"),
    [
        (["tail"], {"MOCKCENTRAL_TOPIC": ""}, 2, "which topic?"),
        (["tail", "a b"], {}, 2, "neither a name nor a selfLink"),
        (["tail", "--since", "yesterday"], {}, 2, "write a sequence, latest or earliest"),
        (["tail", "--url", "ftp://x"], {}, 2, "http:// or https://"),
        (["tail", "--token", "nonsense"], {}, 2, "no JWT"),
        (["tail", "--token-file", "/nowhere"], {}, 2, "token file '/nowhere' cannot be read"),
        (["tail", "--ready-file", "/nowhere"], {}, 2, "ready file '/nowhere' cannot be read"),
        (["tail", "--ready-file", "/dev/null"], {}, 2, "'/dev/null' is no ready file"),
        (["tail", "--private-key", "/nowhere"], {}, 2, "private_key '/nowhere' cannot be read"),
        (["tail", "--keepalive", "0"], {}, 2, "Keepalive.interval"),
        (["tail", "--count", "0"], {}, 2, "no whole number from 1"),
        (["tail", "--checkpoint", "/"], {}, 2, "is a directory"),
        (["tail"], {"MOCKCENTRAL_TENANT": ""}, 2, "which tenant?"),
        (["tail", "nobody-knows-me", "--since", "0"], {}, 1, "no topic /management/v1/watchtopics/nobody-knows-me"),
        (["tail"], {"MOCKCENTRAL_TENANT": "somebody-else"}, 1, "permit"),
        (["tial"], {}, 2, "invalid choice: 'tial'"),
        ([], {}, 2, "arguments are required: COMMAND"),
        (["doctor", "--timeout", "3600"], {}, 2, "above 0 and below 3600"),
        (["tail", "--since", str(2**63)], {}, 2, "write a sequence, latest or earliest"),
        (["checkpoint", "set", "/dev/null/x", "t", str(2**63)], {}, 2, "a whole number from 0 to 2**63 - 1"),
        (["checkpoint", "set", "/dev/null/x", "t", "9" * 5000], {}, 2, "a whole number from 0 to 2**63 - 1"),
        (["checkpoint", "get", "/nowhere/x"], {}, 2, "there is no checkpoint file"),
    ],
)
def test_what_is_wrong_is_one_line(
    world: mockcentral.World, arguments: list[str], environment: dict[str, str], code: int, text: str
) -> None:
    found = run_cli(world, *arguments, **environment)
    assert found.returncode == code, found
    assert text in found.stderr
    assert "Traceback" not in found.stderr
    assert len([line for line in found.stderr.splitlines() if line.startswith("watchmanager: ")]) == 1
    assert "usage:" not in found.stderr
    assert found.stdout == ""


def test_without_any_setting_tail_asks_for_the_server() -> None:
    found = run_cli(None, "tail", "x")
    assert found.returncode == 2
    assert "where is the server?" in found.stderr
    found = run_cli(None, "tail", "x", "--address", "127.0.0.1:1", "--insecure", "--tenant", "t")
    assert found.returncode == 2
    assert "who are you?" in found.stderr


def test_a_reader_that_goes_away_is_nobodys_error(world: mockcentral.World) -> None:
    world.publish([change(each) for each in range(50)])
    process = start_cli(world, "tail", "--since", "earliest")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    world.publish([change(each) for each in range(50)])
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in err


def test_a_reader_of_l1_that_goes_away_is_nobodys_error(world: mockcentral.World) -> None:
    process = start_cli(world, "tail", "--since", "earliest", "-o", "l1")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    world.publish([change(1)])  # before it there is a status to tell
    assert process.stderr is not None
    err = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=30) == 0
    assert "Traceback" not in err


def run_shell(world: mockcentral.World, words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    process = start(["sh", "-c", f'exec "{sys.executable}" -m watchmanager {words}'], world, environment)
    out, err = process.communicate(timeout=60)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
@pytest.mark.parametrize("form", ["text", "l1"])
def test_a_full_disk_is_said_and_what_was_not_printed_is_not_processed(
    world: mockcentral.World, tmp_path: Path, form: str
) -> None:
    [number] = world.publish([change(1)])
    file = tmp_path / "position.json"
    found = run_shell(world, f"tail --since earliest --count 1 -o {form} --checkpoint '{file}' > /dev/full")
    assert (found.returncode, found.stderr) == (
        1,
        "watchmanager: standard output cannot be written: No space left on device\n",
    )
    [line] = run_cli(None, "checkpoint", "get", str(file)).stdout.splitlines()
    assert int(line.split()[0]) < number
    shown = run_shell(world, f"checkpoint get '{file}' > /dev/full")
    assert (shown.returncode, shown.stderr) == (found.returncode, found.stderr)


def test_tail_refuses_to_print_to_nowhere(world: mockcentral.World) -> None:
    found = run_shell(world, "tail --since earliest --count 1 >&-")
    assert (found.returncode, found.stderr) == (
        2,
        "watchmanager: standard output is closed: there is nowhere to print to\n",
    )


@pytest.mark.parametrize("form", ["text", "jsonl"])
def test_a_name_that_the_terminal_cannot_show_is_shown_in_escapes(world: mockcentral.World, form: str) -> None:
    world.publish([{**change(1), "name": "caf\u00e9"}])
    found = run_cli(world, "tail", "--since", "earliest", "--count", "1", "-o", form, PYTHONIOENCODING="ascii")
    assert (found.returncode, found.stderr) == (0, "")
    assert "caf\\xe9" in found.stdout
    found = run_cli(world, "tail", "--since", "earliest", "--count", "1", "-o", form, PYTHONIOENCODING="utf-8")
    assert "caf\u00e9" in found.stdout


def test_ctrl_c_while_the_command_is_still_being_imported_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_parser", interrupted)
    assert cli.main([]) == 130
    script = "import sys, watchmanager.cli; print({'asyncio', 'grpc', 'httpx', 'ssl'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert found.stdout == "set()\n"


def test_a_token_file_is_read_again_when_a_token_is_needed(world: mockcentral.World, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(world.issue_token(life=8) + "\n")  # longer than an interpreter takes to start on a busy machine
    process = start_cli(world, "tail", "--token-file", str(file), "-o", "l1")
    first = world.wait_for(lambda r: r["kind"] == "stream.request" and r["request"] == "subscribe")
    (tmp_path / "next").write_text(world.issue_token(life=300) + "\n")
    (tmp_path / "next").replace(file)
    second = world.wait_for(lambda r: r["kind"] == "stream.request" and r["request"] == "token_refresh", 20)
    assert second["accepted"]
    assert second["token"] != first["token"]
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
