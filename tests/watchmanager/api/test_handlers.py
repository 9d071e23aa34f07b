"""Functions for events: who is called, in which order, and what happens when one fails, hangs or is slow."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest

import watchmanager as wm
from tests.watchmanager.api.quiet import PATIENCE, Counted, Saves, owner_of, quiet, running, soon
from tests.watchmanager.worlds import QUICK, change

ROOT = Path(__file__).parents[3]
INSTANCE = {"kind": "APIServiceInstance", "name": "inst", "scope": "Environment/sample-env", "type": "created"}


# ---------------------------------------------------------------- who is called
def test_functions_get_the_kinds_and_types_they_asked_for() -> None:
    async def main() -> None:
        got: dict[str, list[int]] = defaultdict(list)
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)

            @owner.on("APIService")
            async def services(event: wm.Event) -> None:
                got["services"].append(event.sequence)

            @owner.on("APIService", "APIServiceInstance", types={wm.CREATED, wm.DELETED})
            def born_or_gone(event: wm.Event) -> None:
                got["born or gone"].append(event.sequence)

            @owner.on(types=wm.UPDATED)
            async def updates(event: wm.Event) -> None:
                got["updates"].append(event.sequence)

            @owner.on(group="elsewhere")
            def others(event: wm.Event) -> None:
                got["others"].append(event.sequence)

            async with running(world, owner):
                a, b, c, d = world.publish(
                    [change(1), INSTANCE, change(1, type="updated"), {**INSTANCE, "type": "deleted"}]
                )
                await store.wait(d)
        assert got == {"services": [a, c], "born or gone": [a, b, d], "updates": [c]}

    asyncio.run(main())


def test_events_that_nobody_wants_count_as_processed() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)

            @owner.on("Credential")
            def never(event: wm.Event) -> None:
                raise AssertionError(event)

            async with running(world, owner):
                await store.wait(world.publish([change(1), change(2)])[-1])
                assert owner.metrics()["handler_unhandled"] == 2
                assert owner.metrics()["handler_calls"] == 0

    asyncio.run(main())


def test_plain_functions_run_in_threads_and_coroutines_in_the_loop() -> None:
    async def main() -> None:
        threads: dict[str, threading.Thread] = {}
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)

            @owner.on()
            def plain(event: wm.Event) -> None:
                threads["plain"] = threading.current_thread()

            @owner.on()
            async def coroutine(event: wm.Event) -> None:
                threads["coroutine"] = threading.current_thread()

            class Callable_:
                async def __call__(self, event: wm.Event) -> None:
                    threads["object"] = threading.current_thread()

            owner.on()(Callable_())
            async with running(world, owner):
                await store.wait(world.publish(change(1))[0])
        here = threading.current_thread()
        assert threads["coroutine"] is threads["object"] is here
        assert threads["plain"] is not here
        assert threads["plain"].daemon  # one that hangs does not keep the process

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_many_keys_are_handled_at_once_and_each_in_order(kind: str) -> None:
    async def main() -> None:
        at_once = most = 0
        order: dict[str, list[int]] = defaultdict(list)
        all_in = threading.Event()
        lock = threading.Lock()

        def enter(event: wm.Event) -> None:
            nonlocal at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
                if at_once == 4:
                    all_in.set()

        def leave(event: wm.Event) -> None:
            nonlocal at_once
            with lock:
                order[event.name].append(event.sequence)
                at_once -= 1

        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            if kind == "async":

                @owner.on()
                async def work(event: wm.Event) -> None:
                    enter(event)
                    await asyncio.to_thread(all_in.wait, 60)
                    leave(event)
            else:

                @owner.on()
                def work_too(event: wm.Event) -> None:
                    enter(event)
                    all_in.wait(60)
                    leave(event)

            async with running(world, owner, concurrency=4):
                numbers = world.publish([change(each % 6, type="updated") for each in range(48)])
                await store.wait(numbers[-1])
        assert most == 4
        for index in range(6):
            assert order[f"svc-{index}"] == numbers[index::6]

    asyncio.run(main())


def test_a_key_of_your_own_decides_what_stays_in_order() -> None:
    async def main() -> None:
        at_once = most = 0
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)

            @owner.on()
            async def work(event: wm.Event) -> None:
                nonlocal at_once, most
                at_once += 1
                most = max(most, at_once)
                await asyncio.sleep(0)
                at_once -= 1

            async with running(world, owner, concurrency=8, key=lambda event: event.kind):
                await store.wait(world.publish([change(each) for each in range(30)])[-1])
        assert most == 1

    asyncio.run(main())


# ---------------------------------------------------------------- the position
def test_the_position_never_passes_an_event_that_is_being_handled() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            release, others = asyncio.Event(), Counted(9)

            @owner.on()
            async def work(event: wm.Event) -> None:
                if event.name == "svc-3":
                    await release.wait()
                else:
                    others.up()

            async with running(world, owner, concurrency=4):
                numbers = world.publish([change(each) for each in range(10)])
                await soon(others.reached)
                await store.wait(numbers[2])
                assert owner.watches[0].status.committed == numbers[2]
                release.set()
                await store.wait(numbers[-1])
            assert max(each for each in store.saved if each < numbers[3]) == numbers[2]
            assert not [each for each in store.saved if numbers[3] < each < numbers[9]]

    asyncio.run(main())


def test_only_so_many_events_are_in_hand_and_the_rest_waits_in_the_watch() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            release, first = asyncio.Event(), Counted(2)

            @owner.on()
            async def work(event: wm.Event) -> None:
                first.up()
                await release.wait()

            async with running(world, owner, concurrency=2, backlog=5):
                numbers = world.publish([change(each) for each in range(40)])
                await soon(first.reached)
                await asyncio.wait_for(_until(lambda: owner.watches[0].status.received == numbers[-1]), 60)
                assert owner.metrics()["handler_queued"] == 5
                assert owner.metrics()["handler_running"] == 2
                assert owner.watches[0].status.lag == 35
                release.set()
                await store.wait(numbers[-1])
                assert owner.metrics()["handler_queued"] == 0

    asyncio.run(main())


async def _until(condition: Any) -> None:
    while not condition():
        await asyncio.sleep(0.005)


# ---------------------------------------------------------------- handlers that fail
def test_a_handler_that_raises_stops_the_run_and_its_event_comes_again() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            handled: list[str] = []
            other_began, failing = asyncio.Event(), asyncio.Event()

            @owner.on()
            async def work(event: wm.Event) -> None:
                if event.name == "svc-1":
                    await other_began.wait()
                    failing.set()
                    raise ValueError("no such thing")
                if event.name == "svc-2":
                    other_began.set()
                    await failing.wait()
                    await asyncio.sleep(0)
                handled.append(event.name)

            async with running(world, owner, concurrency=2) as task:
                numbers = world.publish([change(each) for each in range(4)])
                with pytest.raises(wm.HandlerError) as caught:
                    await asyncio.wait_for(task, PATIENCE)  # a run that passes over it would go on for ever
            assert isinstance(caught.value.__cause__, ValueError)
            assert caught.value.sequence == numbers[1]
            assert isinstance(caught.value.event, wm.Event)
            assert "svc-1" in str(caught.value)
            assert handled == ["svc-0", "svc-2"]  # what ran was let end, what waited was not begun
            assert store.load(world.topics[0]) == numbers[0]

            again = owner_of(world, checkpoints=store)
            seen: list[int] = []

            @again.on()
            async def work_again(event: wm.Event) -> None:
                seen.append(event.sequence)

            async with running(world, again, start="checkpoint"):
                await store.wait(numbers[-1])
            assert seen == numbers[1:]

    asyncio.run(main())


def test_a_failing_handler_is_tried_again_in_order_while_other_keys_go_on() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            done: list[tuple[str, int]] = []
            attempts, others = 0, Counted(5)

            @owner.on()
            async def work(event: wm.Event) -> None:
                nonlocal attempts
                if event.name == "svc-0":
                    attempts += 1
                    if attempts < 4:
                        if attempts == 3:
                            await others.reached.wait()  # others got through although there is but one slot
                        raise ConnectionError
                else:
                    others.up()
                done.append((event.name, event.sequence))

            async with running(
                world, owner, concurrency=2, on_handler_error=wm.HandlerRetry(attempts=4, backoff=QUICK)
            ):
                numbers = world.publish([change(0), *(change(each) for each in range(1, 6)), change(0, type="updated")])
                await store.wait(numbers[-1])
                metrics = owner.metrics()
            assert attempts == 5
            assert [each for each in done if each[0] == "svc-0"] == [("svc-0", numbers[0]), ("svc-0", numbers[-1])]
            assert metrics["handler_retries"] == metrics["handler_errors"] == 3

    asyncio.run(main())


def test_retries_end_and_then_the_run_stops_or_skips(caplog: pytest.LogCaptureFixture) -> None:
    async def main(then: Any) -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            calls = 0

            @owner.on()
            def work(event: wm.Event) -> None:
                nonlocal calls
                if event.name == "svc-0":
                    calls += 1
                    raise KeyError("x")

            policy = wm.HandlerRetry(attempts=3, backoff=QUICK, then=then)
            async with running(world, owner, on_handler_error=policy) as task:
                numbers = world.publish([change(0), change(1)])
                if then == "skip":
                    await store.wait(numbers[-1])
                else:
                    with pytest.raises(wm.HandlerError):
                        await task
            assert calls == 3

    asyncio.run(main("stop"))
    asyncio.run(main("skip"))
    [record] = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.name == "watchmanager.handler"
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], KeyError)
    assert record.__dict__["sequence"] > 0
    assert record.__dict__["attempt"] == 3


def test_a_skipped_event_is_a_gap_for_whoever_wants_to_know() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            gaps: list[wm.Gap] = []

            @owner.on()
            def work(event: wm.Event) -> None:
                if event.name == "svc-1":
                    raise RuntimeError

            async with running(world, owner, on_handler_error="skip", on_gap=gaps.append):
                numbers = world.publish([change(each) for each in range(3)])
                await store.wait(numbers[-1])
                assert owner.metrics()["handler_skipped"] == 1
            assert gaps == [wm.Gap(numbers[1] - 1, numbers[1], wm.GapReason.SKIPPED)]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_function_decides_about_each_failure(kind: str) -> None:
    async def main() -> None:
        asked: list[tuple[str, str, int]] = []

        def decide(error: BaseException, event: wm.Event, attempt: int) -> Any:
            asked.append((type(error).__name__, event.name, attempt))
            if event.name == "svc-0":
                return wm.Retry(0) if attempt < 3 else wm.Skip()
            return wm.Stop()

        async def decide_slowly(error: BaseException, event: wm.Event, attempt: int) -> Any:
            await asyncio.sleep(0)
            return decide(error, event, attempt)

        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)

            @owner.on()
            async def work(event: wm.Event) -> None:
                raise LookupError

            policy = decide if kind == "plain" else decide_slowly
            async with running(world, owner, on_handler_error=policy, key=lambda event: 0) as task:
                first, _ = world.publish([change(0), change(1)])
                await task  # Stop() ends it without an error
            assert store.load(world.topics[0]) == first
        assert asked == [("LookupError", "svc-0", each) for each in (1, 2, 3)] + [("LookupError", "svc-1", 1)]

    asyncio.run(main())


def test_a_function_that_decides_wrongly_is_named() -> None:
    async def main(policy: Any, message: str) -> None:
        with quiet() as world:
            owner = owner_of(world)

            @owner.on()
            async def work(event: wm.Event) -> None:
                raise LookupError

            async with running(world, owner, on_handler_error=policy) as task:
                world.publish(change(0))
                with pytest.raises(wm.HandlerError, match=message):
                    await task

    def raises(*_: Any) -> None:
        raise OSError

    asyncio.run(main(lambda *_: "again", "on_handler_error returned 'again'"))
    asyncio.run(main(raises, "on_handler_error raised OSError"))


def test_what_is_no_exception_is_never_retried_or_skipped() -> None:
    async def main() -> None:
        with quiet() as world:
            owner = owner_of(world)

            @owner.on()
            def work(event: wm.Event) -> None:
                raise SystemExit(3)

            async with running(world, owner, on_handler_error="skip") as task:
                world.publish(change(0))
                with pytest.raises(wm.HandlerError) as caught:
                    await task
            assert isinstance(caught.value.__cause__, SystemExit)

    asyncio.run(main())


def test_a_key_function_that_raises_or_gives_something_unhashable_stops_the_run() -> None:
    async def main(key: Any) -> None:
        with quiet() as world:
            owner = owner_of(world)

            @owner.on()
            async def work(event: wm.Event) -> None: ...

            async with running(world, owner, key=key) as task:
                world.publish(change(0))
                with pytest.raises(wm.HandlerError, match="key function"):
                    await task

    asyncio.run(main(lambda event: 1 / 0))
    asyncio.run(main(lambda event: []))


# ---------------------------------------------------------------- ends
def test_close_lets_handlers_end_and_saves_what_they_did() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            began, release, ended = asyncio.Event(), asyncio.Event(), asyncio.Event()

            @owner.on()
            async def work(event: wm.Event) -> None:
                began.set()
                await release.wait()
                ended.set()

            async with running(world, owner) as task:
                numbers = world.publish([change(0), change(1)])
                await soon(began)
                closing = asyncio.ensure_future(owner.close())
                await asyncio.sleep(0)
                assert not closing.done()
                release.set()
                await closing
                assert ended.is_set()
                await task
            assert store.load(world.topics[0]) == numbers[0]  # the second was not begun

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_handler_that_never_ends_is_not_waited_for_longer_than_drain(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    never = threading.Event()

    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            began = asyncio.Event()
            loop = asyncio.get_running_loop()
            if kind == "async":

                @owner.on()
                async def work(event: wm.Event) -> None:
                    began.set()
                    await asyncio.Event().wait()
            else:

                @owner.on()
                def work_too(event: wm.Event) -> None:
                    loop.call_soon_threadsafe(began.set)
                    never.wait(60)

            async with running(world, owner, drain=0.05) as task:
                [number] = world.publish(change(0))
                await soon(began)
                await owner.close()
                await task
            assert (store.load(world.topics[0]) or 0) < number
            assert f"handlers of [{number}]" in caplog.text

    asyncio.run(main())
    never.set()


@pytest.mark.parametrize("kind", ["async", "plain"])
@pytest.mark.parametrize("what", ["watch", "manager"])
def test_a_handler_may_close(kind: str, what: str) -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            loop = asyncio.get_running_loop()
            closes = owner.close if what == "manager" else lambda: owner.watches[0].close()
            if kind == "async":

                @owner.on()
                async def work(event: wm.Event) -> None:
                    await closes()
            else:

                @owner.on()
                def work_too(event: wm.Event) -> None:
                    asyncio.run_coroutine_threadsafe(closes(), loop).result(60)

            async with running(world, owner) as task:
                [number] = world.publish(change(0))
                await task
            assert store.load(world.topics[0]) == number

    asyncio.run(main())


def test_cancelling_a_run_lets_handlers_end_first() -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            began, release = asyncio.Event(), asyncio.Event()

            @owner.on()
            async def work(event: wm.Event) -> None:
                began.set()
                await release.wait()

            async with running(world, owner) as task:
                [number] = world.publish(change(0))
                await soon(began)
                task.cancel()
                await asyncio.sleep(0)
                assert not task.done()
                release.set()
                with pytest.raises(asyncio.CancelledError):
                    await task
                assert store.load(world.topics[0]) == number

    asyncio.run(main())


def test_cancelling_twice_does_not_wait() -> None:
    async def main() -> None:
        with quiet() as world:
            owner = owner_of(world)
            began = asyncio.Event()

            @owner.on()
            async def work(event: wm.Event) -> None:
                began.set()
                await asyncio.Event().wait()

            async with running(world, owner, drain=3600.0) as task:
                world.publish(change(0))
                await soon(began)
                for _ in range(2):
                    task.cancel()
                    for _ in range(5):
                        await asyncio.sleep(0)
                with pytest.raises(asyncio.CancelledError):
                    await asyncio.wait_for(task, 60)
                assert owner.metrics()["handler_queued"] == 0

    asyncio.run(main())


def test_a_failed_watch_raises_after_what_it_had_delivered_was_handled() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(6)])
            owner = owner_of(world)
            handled: list[int] = []
            begun, go = asyncio.Event(), asyncio.Event()

            @owner.on()
            async def work(event: wm.Event) -> None:
                begun.set()
                await go.wait()
                handled.append(event.sequence)

            failed = asyncio.Event()

            def on_state(state: wm.State, why: str) -> None:
                if state is wm.State.FAILED:
                    failed.set()

            run = asyncio.ensure_future(
                owner.run(world.topics[0], start=0, on_error=lambda error, count: wm.Raise(), on_state=on_state)
            )
            await soon(begun)
            await owner.watches[0].ready(60)
            world.close_connections()
            await soon(failed)
            assert not run.done()
            assert handled == []
            go.set()
            with pytest.raises(wm.StreamError):
                await asyncio.wait_for(run, 60)
            assert handled == numbers
            await owner.close()

    asyncio.run(main())


def test_a_gap_waits_for_what_came_before_it() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(6)])
            world.purge(through=numbers[2])
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            told: list[Any] = []

            @owner.on()
            def work(event: wm.Event) -> None:
                told.append(event.sequence)

            async def on_gap(gap: wm.Gap) -> None:
                told.append((gap.after, gap.through, gap.reason))

            async with running(world, owner, start=numbers[0], on_gone="earliest", on_gap=on_gap):
                await store.wait(numbers[-1])
            assert told == [(numbers[0], numbers[3] - 1, wm.GapReason.EXPIRED), *numbers[3:]]

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["ValueError", "TypeError"])
def test_an_on_gap_that_raises_or_never_runs_is_an_error_and_the_gap_is_not_passed(kind: str) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(6)])
            world.purge(through=numbers[2])
            store = Saves()
            owner = owner_of(world, checkpoints=store)

            @owner.on()
            def work(event: wm.Event) -> None: ...

            def on_gap(gap: wm.Gap) -> None:
                raise ValueError

            call: Any = on_gap if kind == "ValueError" else yields
            with pytest.raises(wm.HandlerError, match=f"on_gap raised {kind}"):
                await asyncio.wait_for(
                    owner.run(world.topics[0], start=numbers[0], on_gone="skip", on_gap=call), PATIENCE
                )
            await owner.close()
            assert store.load(world.topics[0]) in (None, numbers[0])

    asyncio.run(main())


# ---------------------------------------------------------------- slow ones
class _Warned(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.happened = threading.Event()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if "has been working" in record.msg:
            self.records.append(record)
            self.happened.set()


@pytest.mark.parametrize("kind", ["plain", "waiting", "computing"])
def test_a_slow_handler_is_named_with_its_event_and_its_stack(kind: str) -> None:
    warned = _Warned()

    async def a_deep_wait() -> None:
        await asyncio.to_thread(warned.happened.wait, 60)

    def a_long_computation() -> None:
        while not warned.happened.is_set():
            time.sleep(0)

    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            if kind == "plain":

                @owner.on()
                def plain_handler(event: wm.Event) -> None:
                    a_long_computation()
            elif kind == "waiting":

                @owner.on()
                async def waiting_handler(event: wm.Event) -> None:
                    await a_deep_wait()
            else:

                @owner.on()
                async def computing_handler(event: wm.Event) -> None:
                    a_long_computation()

            async with running(world, owner, slow_after=0.05):
                [number] = world.publish(change(0))
                await store.wait(number)
            [record, *_] = warned.records
            assert record.__dict__["sequence"] == number
            assert record.__dict__["event_id"]
            assert record.__dict__["elapsed"] > 0
            text = record.getMessage()
            assert f"{kind}_handler" in text
            assert ("a_deep_wait" if kind == "waiting" else "a_long_computation") in text
            assert "_driver/runner.py" not in text

    log = logging.getLogger("watchmanager.handler")
    log.addHandler(warned)
    try:
        asyncio.run(main())
    finally:
        log.removeHandler(warned)


# ---------------------------------------------------------------- what is refused
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"concurrency": 0}, "concurrency is 0"),
        ({"concurrency": True}, "concurrency is True"),
        ({"backlog": 0}, "backlog is 0"),
        ({"drain": -1}, "drain is -1"),
        ({"slow_after": 0}, "slow_after is 0"),
        ({"on_handler_error": "again"}, "on_handler_error is 'again'"),
        ({"key": "id"}, "key is 'id'"),
        ({"on_poison": "drop"}, "on_poison is 'drop'"),
        ({"on_error": "raise"}, "on_error is 'raise'"),
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments: dict[str, Any], message: str) -> None:
    async def main() -> None:
        owner = wm.AsyncWatchManager("http://127.0.0.1:1", tenant_id="1", token=lambda: "x")
        owner.on()(print)
        with pytest.raises(wm.ConfigError, match=message):
            await owner.run("topic", **arguments)
        await owner.close()

    asyncio.run(main())


def yields(event: wm.Event | wm.Gap) -> Any:
    yield event


async def yields_later(event: wm.Event) -> Any:
    yield event


async def gives(event: wm.Event) -> Any:
    return yields(event)


class Yields:
    def __call__(self, event: wm.Event) -> Any:
        yield event


@pytest.mark.parametrize("handler", [lambda event: yields(event), lambda event: yields_later(event), gives])
def test_an_event_whose_handler_only_made_a_generator_is_not_handled(handler: Any) -> None:
    async def main() -> None:
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            owner.on()(handler)
            async with running(world, owner) as task:
                world.publish([change(1)])
                with pytest.raises(wm.HandlerError) as caught:
                    await asyncio.wait_for(task, PATIENCE)
            assert "so nothing in it has run" in str(caught.value.__cause__)
            assert (store.load(world.topics[0]) or 0) < (caught.value.sequence or 0)

    asyncio.run(main())


def test_handlers_that_cannot_be_meant_are_refused() -> None:
    async def main() -> None:
        owner = wm.AsyncWatchManager("http://127.0.0.1:1", tenant_id="1", token=lambda: "x")
        with pytest.raises(wm.ConfigError, match="no handlers"):
            await owner.run("topic")
        wrong: list[Any] = [{"types": ()}, {"types": {"CREATED"}}]
        for each in wrong:
            with pytest.raises(wm.ConfigError, match="type"):
                owner.on(**each)(print)
        with pytest.raises(wm.ConfigError, match="kinds are names"):
            owner.on(print)(print)  # type: ignore[arg-type]
        with pytest.raises(wm.ConfigError, match="no function"):
            owner.on()(3)  # type: ignore[type-var]
        for generator in (yields, Yields(), yields_later):
            with pytest.raises(wm.ConfigError, match="is a generator, so a call would run nothing in it"):
                owner.on()(generator)
        policies: list[Any] = [{"attempts": 0}, {"then": "raise"}]
        for each in policies:
            with pytest.raises(wm.ConfigError, match="HandlerRetry"):
                wm.HandlerRetry(**each)
        for delay in (-1, float("nan"), "1", True):
            with pytest.raises(wm.ConfigError, match="Retry"):
                wm.Retry(delay)  # type: ignore[arg-type]
        await owner.close()

    asyncio.run(main())


# ---------------------------------------------------------------- the blocking twin
@pytest.mark.parametrize("kind", ["plain", "coroutine"])
def test_the_blocking_run_works_the_same_and_is_closed_from_a_handler(kind: str) -> None:
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(20)])
        kept: dict[str, int] = {}
        handled: list[int] = []
        with wm.WatchManager(
            world.http_url, tenant_id=world.tenant, token=world.issue_token, checkpoints=kept
        ) as manager:

            def work(event: wm.Event) -> None:
                handled.append(event.sequence)
                if event.sequence == numbers[9]:
                    manager.close()

            async def works(event: wm.Event) -> None:
                work(event)

            manager.on()(work if kind == "plain" else works)
            manager.run(world.topics[0], start="earliest")
        assert handled == numbers[:10]
        assert kept == {world.topics[0]: numbers[9]}


def test_the_blocking_run_raises_what_a_handler_raised() -> None:
    with quiet() as world:
        world.publish(change(0))
        with wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token) as manager:

            @manager.on()
            async def work(event: wm.Event) -> None:
                raise ZeroDivisionError

            with pytest.raises(wm.HandlerError) as caught:
                manager.run(world.topics[0], start="earliest")
            assert isinstance(caught.value.__cause__, ZeroDivisionError)


INTERRUPTED = """
import signal, threading, time
import mockcentral, watchmanager as wm
from tests.watchmanager.api.quiet import quiet
from tests.watchmanager.worlds import change

kept, handled = {}, []
with quiet() as world:
    numbers = world.publish([change(1), change(2)])
    with wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token, checkpoints=kept) as manager:
        @manager.on()
        def work(event):
            handled.append(event.sequence)
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            while not manager._manager._runners[0]._stopping:
                time.sleep(0.001)
            ended.append(event.sequence)

        ended = []
        try:
            manager.run(world.topics[0], start="earliest")
        except KeyboardInterrupt:
            assert handled == ended == numbers[:1], handled
            print("interrupted")
    assert kept == {world.topics[0]: numbers[0]}, kept
print("over")
"""


def test_ctrl_c_lets_the_handler_end_and_saves_the_position() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["interrupted", "over"], done.stderr
