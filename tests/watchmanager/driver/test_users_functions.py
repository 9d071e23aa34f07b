"""A user's function may end by what is no ordinary failure: SystemExit, or the cancellation of something it waited for.
The watch says so, and whoever waits for it gets an answer.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import mockcentral
import watchmanager as wm
from tests.watchmanager.worlds import FAST, QUICK, change, plain
from watchmanager._driver import engine
from watchmanager._driver.workers import call

PATIENCE = 20.0
Function = Callable[..., Any]


@pytest.fixture
def world() -> Iterator[mockcentral.World]:
    with plain() as world:
        yield world


def manager(world: mockcentral.World, **more: Any) -> wm.WatchManager:
    settings: dict[str, Any] = {"keepalive": FAST, "backoff": QUICK, "subscribe_grace": 0.2, "token": world.issue_token}
    return wm.WatchManager(world.http_url, tenant_id=world.tenant, **{**settings, **more})


def plainly(*_: Any) -> Any:
    raise SystemExit(3)


async def as_coroutine(*_: Any) -> Any:
    raise SystemExit(3)


async def by_cancellation(*_: Any) -> Any:
    gone = asyncio.get_running_loop().create_future()
    gone.cancel()
    await gone


FUNCTIONS = [plainly, as_coroutine, by_cancellation]
NAMES = {plainly: "SystemExit", as_coroutine: "SystemExit", by_cancellation: "CancelledError"}


class Store:
    """Its methods are a user's functions."""

    def __init__(self, load: Function | None = None, save: Function | None = None) -> None:
        self.load = load or (lambda topic: None)
        self.save = save or (lambda topic, sequence: None)
        self.blocking = plainly in (load, save)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_token_function_that_ends_the_wrong_way(world: mockcentral.World, function: Function) -> None:
    with manager(world, token=function) as owner:
        with pytest.raises(wm.TokenProviderError, match=NAMES[function]) as caught:
            owner.watch(world.topics[0]).ready(1.0 if function is by_cancellation else PATIENCE)
        assert type(caught.value.__cause__).__name__ == NAMES[function]
        assert caught.value.retryable is (function is by_cancellation)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_store_that_ends_the_wrong_way_when_it_is_to_load(world: mockcentral.World, function: Function) -> None:
    with (
        manager(world, checkpoints=Store(load=function)) as owner,
        pytest.raises(wm.CheckpointError, match=NAMES[function]),
    ):
        owner.watch(world.topics[0], start="checkpoint").ready(PATIENCE)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_store_that_ends_the_wrong_way_when_it_is_to_save(world: mockcentral.World, function: Function) -> None:
    with (
        manager(world, checkpoints=Store(save=function), checkpoint_interval=0.01) as owner,
        pytest.raises(wm.CheckpointWriteFailed, match=NAMES[function]),
    ):
        next(iter(owner.watch(world.topics[0])))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_resync_that_ends_the_wrong_way(world: mockcentral.World, function: Function) -> None:
    world.publish([change(each) for each in range(5)])
    world.purge(through=4)
    with manager(world) as owner, pytest.raises(wm.HandlerError, match=f"resync function raised {NAMES[function]}"):
        next(iter(owner.watch(world.topics[0], start=1, on_gone=function)))


def test_on_state_that_exits_is_the_end_of_its_watch_and_of_nothing_else(world: mockcentral.World) -> None:
    def on_state(state: wm.State, why: str) -> None:
        if state is wm.State.LIVE:
            plainly()

    with manager(world) as owner:
        with pytest.raises(wm.HandlerError, match="on_state raised SystemExit"):
            next(iter(owner.watch(world.topics[0], on_state=on_state)))
        owner.watch(world.topics[0]).ready(PATIENCE)


def test_on_error_that_exits_is_the_end_of_its_watch(world: mockcentral.World) -> None:
    with manager(world) as owner:
        watch = owner.watch(world.topics[0], on_error=plainly)
        watch.ready(PATIENCE)
        world.close_connections()
        with pytest.raises(wm.HandlerError, match="on_error raised SystemExit"):
            next(iter(watch))


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("role", ["handler", "on_gap", "on_handler_error", "key"])
def test_what_a_run_calls_and_ends_the_wrong_way(world: mockcentral.World, role: str, function: Function) -> None:
    world.publish([change(each) for each in range(5)])
    settings: dict[str, Any] = {"start": "earliest"}
    if role == "on_gap":
        world.purge(through=4)
        settings = {"start": 1, "on_gone": "skip"}
    if role == "key" and function is not plainly:
        pytest.skip("a key is made by a plain function")
    with manager(world) as owner:

        def fails(event: wm.Event) -> None:
            raise ValueError("no")

        owner.on("APIService")({"handler": function, "on_handler_error": fails}.get(role, lambda event: None))
        if role != "handler":
            settings[role] = function
        with pytest.raises(wm.HandlerError, match=f"raised {NAMES[function]}"):
            owner.run(world.topics[0], **settings)


def test_a_loop_goes_on_after_a_system_exit_that_nobody_caught(world: mockcentral.World) -> None:
    with manager(world) as owner:
        watch = owner.watch(world.topics[0])
        watch.ready(PATIENCE)
        owner._portal.call(plainly)
        [number] = world.publish(change(1))
        assert next(iter(watch)).sequence == number


# ---------------------------------------------------------------- the last save
@pytest.mark.parametrize("ends", ["fails", "never"])
def test_a_last_save_that_does_not_work_is_told_to_the_log(
    world: mockcentral.World, ends: str, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "CLOSE_TIMEOUT", 0.1)
    hold = threading.Event()

    def save(topic: str, sequence: int) -> None:
        if ends == "fails":
            raise OSError("disk full")
        hold.wait(PATIENCE)

    store = Store(save=save)
    store.blocking = True
    world.publish(change(1))
    with (
        manager(world, checkpoints=store, checkpoint_interval=PATIENCE) as owner,
        owner.watch(world.topics[0], start="earliest") as watch,
    ):
        watch.commit(next(iter(watch)))
    hold.set()
    [record] = [each for each in caplog.records if "last position" in each.getMessage()]
    assert record.name == "watchmanager.checkpoint"
    assert record.levelno == logging.ERROR
    assert ("disk full" if ends == "fails" else "has not answered") in record.getMessage()


def test_a_function_that_nobody_waits_for_any_more_is_not_begun() -> None:
    begun: list[int] = []

    async def main() -> None:
        real = threading.Thread.start
        started: list[threading.Thread] = []
        threading.Thread.start = lambda thread: started.append(thread)  # type: ignore[method-assign, assignment]
        try:
            task = asyncio.ensure_future(call(begun.append, 1))
            await asyncio.sleep(0)
        finally:
            threading.Thread.start = real  # type: ignore[method-assign]
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        real(started[0])
        await asyncio.to_thread(started[0].join)

    asyncio.run(main())
    assert begun == []
