"""The client against a fake Central over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import grpc
import grpc.aio
import pytest

import mockcentral
import watchmanager as wm
from mockcentral.faults.lose import Lose
from mockcentral.scenario.load import load
from mockcentral.scenario.schema import FaultRule, PingSettings
from mockcentral.scenario.types import Anchor, Duration
from tests.watchmanager.lab import event
from tests.watchmanager.worlds import FAST, change, manager, plain, published, sequences, take, watching
from watchmanager._core import effects as do
from watchmanager._core.proxies import Target
from watchmanager._core.token import Credential
from watchmanager._driver.route import Route
from watchmanager._driver.transport import Transport


def _subscribed(link: str) -> Callable[[dict[str, Any]], bool]:
    return lambda r: r["kind"] == "stream.request" and r["request"] == "subscribe" and r["topic"] == link


async def _error(watch: wm.AsyncWatch, kind: type[wm.WatchError]) -> None:
    """Until the watch has met an error of this kind."""
    while not isinstance(watch.status.last_error, kind):
        await watch._engine.wait_changed()


def _pinging() -> mockcentral.World:
    """A plain world that sends a PING event every tenth of a second."""
    calm = load("calm")
    settings = replace(calm.world, ping=PingSettings(every=Duration(0.1)))
    return mockcentral.World(replace(calm, world=settings, traffic=(), faults=(), expect=()))


def _see_a_ping_answered(world: mockcentral.World) -> None:
    """Waits for a PING that is sent from now on, then for its answer. TimeoutError with the journal."""
    before = len(world.journal())
    ping = world.wait_for(lambda r: r["kind"] == "stream.event" and r["op"] == "PING", since=before)
    answer = world.wait_for(lambda r: r.get("request") == "ping_response" and r["id"] == ping["id"], since=before)
    assert answer["attempt"] == ping["attempt"]


def test_events_arrive_with_everything_they_carry() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                [first] = world.publish(change(1, attributes={"team": "blue"}))
                [second] = world.publish(change(1, type="updated", subresource="status"))
                [third] = world.publish(change(1, type="deleted"))
                world.publish(change(2, scope="Environment/elsewhere"))
                items = await take(watch, 3)
        assert sequences(items) == [first, second, third]
        created, status, deleted = items
        match created:
            case wm.Event(type=wm.EventType.CREATED, kind="APIService", name="svc-1", scope=wm.Scope(name=name)):
                assert name == "sample-env"
            case _:
                pytest.fail(f"{created!r} does not match")
        assert isinstance(created, wm.Event)
        assert created.resource.attributes == {"team": "blue"}
        assert created.topic == "/management/v1/watchtopics/sample-watch-topic"
        assert created.timestamp is not None
        assert created.self_link.endswith("/apiservices/svc-1")
        assert isinstance(status, wm.Event)
        assert (status.type, status.subresource) == (wm.SUBRESOURCEUPDATED, "status")
        assert isinstance(deleted, wm.Event)
        assert deleted.type is wm.DELETED

    asyncio.run(main())


def test_an_event_reads_the_same_from_the_stream_and_from_history() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                world.publish(change(1, attributes={"a": "b"}))
                [streamed] = await take(watch, 1)
            async with watching(world, watch={"start": "earliest"}) as watch:
                [harvested] = await take(watch, 1)
        assert isinstance(streamed, wm.Event)
        assert isinstance(harvested, wm.Event)
        assert isinstance(streamed.raw, bytes)
        assert isinstance(harvested.raw, dict)
        assert streamed == harvested
        assert streamed.resource == harvested.resource
        for name in ("time", "organization", "topic", "topic_id", "subresource", "type_name"):
            mine, theirs = getattr(streamed.details, name), getattr(harvested.details, name)
            assert name == "type_name" or mine == theirs, name

    asyncio.run(main())


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_flaky_delivers_all_events_once_and_in_order(seed: int) -> None:
    async def main() -> None:
        with mockcentral.World(scenario="flaky", seed=seed, time_scale=2.0) as world:
            async with watching(world, watch={"start": "earliest"}) as watch:
                items = await take(watch, 500, timeout=120)
                reconnects = watch.status.reconnects
            assert sequences(items) == published(world)
            assert reconnects >= 5

    asyncio.run(main())


@pytest.mark.parametrize("name", ["calm", "refuse", "token-expiry", "token-refused", "silent", "restart", "duplicates"])
def test_every_event_arrives_once_whatever_the_scenario_breaks(name: str) -> None:
    async def main() -> None:
        with mockcentral.World(scenario=name, time_scale=2.0 if name != "token-expiry" else 1.0) as world:
            async with watching(world, watch={"start": "earliest"}) as watch:
                await watch.ready(60)
                collected: list[wm.Item] = []
                done = asyncio.Event()

                async def collect() -> None:
                    async for item in watch:
                        collected.append(item)
                        done.set()

                task = asyncio.ensure_future(collect())
                await asyncio.to_thread(world.wait_traffic, 90)
                wanted = published(world)
                while len(collected) < len(wanted):
                    assert not task.done(), task
                    done.clear()
                    await asyncio.wait_for(done.wait(), 30)
                assert sequences(collected) == wanted
                task.cancel()
            failed = [each for each in world.verify() if each.outcome == "fail"]
            assert not failed, failed

    asyncio.run(main())


def test_gone_events_raise_with_the_facts_after_what_came_before() -> None:
    async def main() -> None:
        with plain() as world:
            numbers = world.publish([change(each) for each in range(10)])
            world.purge(through=numbers[4])
            async with watching(world, watch={"start": numbers[0]}) as watch:
                with pytest.raises(wm.SequenceExpired) as caught:
                    await take(watch, 1)
                assert caught.value.requested == numbers[0]
                assert caught.value.server_max == numbers[-1]
                with pytest.raises(wm.SequenceExpired):
                    await watch.__anext__()

    asyncio.run(main())


@pytest.mark.parametrize("policy", ["skip", "earliest"])
def test_gone_events_become_a_gap_when_the_policy_says_so(policy: str) -> None:
    async def main() -> None:
        with plain() as world:
            numbers = world.publish([change(each) for each in range(10)])
            world.purge(through=numbers[4])
            async with watching(world, watch={"start": numbers[0], "on_gone": policy}) as watch:
                await watch.ready(20)
                [extra] = world.publish(change(99))
                expected = [numbers[-1], extra] if policy == "skip" else [numbers[5] - 1, *numbers[5:], extra]
                items = await take(watch, len(expected))
            assert isinstance(items[0], wm.Gap)
            assert items[0].after == numbers[0]
            assert sequences(items) == expected

    asyncio.run(main())


@pytest.mark.parametrize("kind", ["function", "coroutine"])
def test_a_resync_function_decides_where_to_go_on(kind: str) -> None:
    async def main() -> None:
        with plain() as world:
            numbers = world.publish([change(each) for each in range(10)])
            world.purge(through=numbers[4])
            seen: list[wm.SequenceExpired] = []

            def resync(expired: wm.SequenceExpired) -> int:
                seen.append(expired)
                return numbers[7]

            async def resync_slowly(expired: wm.SequenceExpired) -> int:
                await asyncio.sleep(0)
                return resync(expired)

            chosen = resync if kind == "function" else resync_slowly
            async with watching(world, watch={"start": numbers[0], "on_gone": chosen}) as watch:
                items = await take(watch, 2)
            assert sequences(items) == numbers[8:]
            assert len(seen) == 1

    asyncio.run(main())


def test_a_resync_function_that_raises_ends_the_watch_with_the_cause() -> None:
    async def main() -> None:
        with plain() as world:
            numbers = world.publish([change(each) for each in range(5)])
            world.purge()

            def resync(_: wm.SequenceExpired) -> int:
                raise KeyError("no database")

            async with watching(world, watch={"start": numbers[0], "on_gone": resync}) as watch:
                with pytest.raises(wm.HandlerError) as caught:
                    await take(watch, 1)
                assert isinstance(caught.value.__cause__, KeyError)

    asyncio.run(main())


def test_an_unknown_topic_is_an_error_with_its_name() -> None:
    async def main() -> None:
        with plain() as world:
            async with manager(world) as owner:
                watch = owner.watch("nobody-knows-me", start=0)
                with pytest.raises(wm.TopicNotFound, match="nobody-knows-me"):
                    await watch.ready(20)

    asyncio.run(main())


def test_a_server_that_is_not_there_is_named_as_the_cause_when_ready_gives_up() -> None:
    async def main() -> None:
        with plain() as world:
            address = world.address
            token = world.token
        async with wm.AsyncWatchManager(f"http://{address}", tenant_id="t", token=token, history=False) as owner:
            watch = owner.watch("x")
            with pytest.raises(wm.ConnectError, match="refused"):
                await watch.ready(1.0)
            assert watch.status.state in (wm.State.BACKING_OFF, wm.State.CONNECTING)

    asyncio.run(main())


def test_ready_tells_of_a_failure_after_live_too() -> None:
    async def main() -> None:
        with plain() as world:
            raising = {"on_error": lambda error, number: wm.Raise()}
            async with watching(world, watch=raising) as watch:
                await watch.ready(20)
                world.close_connections()
                async for status in watch.state_changes():
                    if status.state is wm.State.FAILED:
                        break
                with pytest.raises(wm.StreamError):
                    await watch.ready(20)

    asyncio.run(main())


@pytest.mark.parametrize("history", [True, False])
def test_after_a_break_ready_waits_only_where_history_does_not_bridge_it(history: bool) -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world, history=history) as watch:
                await watch.ready(20)
                world.close()
                async for status in watch.state_changes():
                    if status.state is wm.State.BACKING_OFF:
                        break
                if history:
                    await watch.ready(0.2)
                else:
                    with pytest.raises(wm.WatchError):
                        await watch.ready(0.2)

    asyncio.run(main())


def test_a_dead_peer_is_noticed_within_the_bound_the_status_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """What grpcio is told adds up to the bound. That it does as it is told, one black hole shows: with a PING that is
    not answered it would have patience for a minute, by itself.
    """
    told: list[dict[str, Any]] = []
    make = grpc.aio.insecure_channel

    def channel(address: str, options: list[tuple[str, Any]]) -> Any:
        told.append(dict(options))
        return make(address, options=options)

    monkeypatch.setattr(grpc.aio, "insecure_channel", channel)

    async def main() -> None:
        with plain() as world:
            async with watching(world, keepalive=wm.Keepalive(interval=3.5, timeout=0.5)) as watch:
                await watch.ready(20)
                assert watch.status.dead_peer_bound == 4.0
            async with watching(world, keepalive=FAST) as watch:
                await watch.ready(20)
                bound = watch.status.dead_peer_bound
                assert bound == 2.0
                for options, seconds in zip(told, (4.0, 2.0), strict=True):
                    for timeout in ("grpc.keepalive_timeout_ms", "grpc.http2.ping_timeout_ms"):
                        assert options["grpc.keepalive_time_ms"] + options[timeout] == 1000 * seconds
                world.blackhole()
                numbers = world.publish(change(1))
                await asyncio.wait_for(_error(watch, wm.PeerUnresponsive), 10 * bound)
                assert sequences(await take(watch, 1)) == numbers

    asyncio.run(main())


def test_tls_with_a_made_up_ca_works_and_without_it_is_refused_with_the_reason() -> None:
    async def main() -> None:
        with plain(tls=True) as world:
            async with watching(world) as watch:
                await watch.ready(20)
                world.publish(change(1))
                assert len(await take(watch, 1)) == 1
            async with manager(world, tls=None, history=False) as owner:
                with pytest.raises(wm.TLSError):
                    await owner.watch(world.topics[0]).ready(3)

    asyncio.run(main())


def test_a_plain_client_on_a_tls_port_says_what_is_wrong() -> None:
    async def main() -> None:
        with plain(tls=True) as world:
            async with wm.AsyncWatchManager(
                f"http://{world.address}", tenant_id=world.tenant, token=world.token, history=False
            ) as owner:
                with pytest.raises(wm.ConnectError):
                    await owner.watch(world.topics[0]).ready(3)

    asyncio.run(main())


# ---------------------------------------------------------------- checkpoints
def test_a_restart_goes_on_where_the_last_watch_stopped(tmp_path: Any) -> None:
    async def main() -> None:
        path = tmp_path / "positions.json"
        with plain() as world:
            async with watching(world, checkpoints=wm.FileCheckpoints(path)) as watch:
                await watch.ready(20)
                numbers = world.publish([change(each) for each in range(5)])
                items = await take(watch, 3)
                # The third was handed out and nobody asked for the fourth: it is not yet processed.
            missed = world.publish([change(each) for each in range(5, 8)])
            async with watching(world, checkpoints=wm.FileCheckpoints(path)) as watch:
                more = await take(watch, 6)
            assert sequences(items) == numbers[:3]
            assert sequences(more) == numbers[2:] + missed

    asyncio.run(main())


def test_a_watch_that_saw_nothing_still_remembers_where_it_began(tmp_path: Any) -> None:
    async def main() -> None:
        kept: dict[str, int] = {}
        with plain() as world:
            async with watching(world, checkpoints=kept) as watch:
                await watch.ready(20)
            numbers = world.publish([change(each) for each in range(3)])
            async with watching(world, checkpoints=kept) as watch:
                assert sequences(await take(watch, 3)) == numbers

    asyncio.run(main())


@pytest.mark.parametrize("confirm", [True, False])
def test_what_a_stream_left_out_before_the_process_ended_comes_to_the_next_one_if_it_was_to_be_confirmed(
    confirm: bool,
) -> None:
    async def main() -> None:
        kept: dict[str, int] = {}
        # LIVE with the server's first word, and not before: that would be a reason to ask history once more.
        given: dict[str, Any] = {"checkpoints": kept, "history": wm.History(confirm=confirm), "subscribe_grace": 20.0}
        with _pinging() as world:
            world.arm(FaultRule(name="left-out", on=Anchor("event", 2), do=Lose()))
            async with watching(world, **given) as watch:
                await watch.ready(20)
                numbers = world.publish([change(each) for each in range(4)])
                assert sequences(await take(watch, 3)) == [numbers[0], *numbers[2:]]
            async with watching(world, **given) as watch:
                assert sequences(await take(watch, 4 if confirm else 1)) == (numbers if confirm else numbers[3:])

    asyncio.run(main())


def test_with_manual_commit_the_restart_point_is_the_unbroken_run() -> None:
    async def main() -> None:
        kept: dict[str, int] = {}
        with plain() as world:
            async with watching(world, checkpoints=kept, watch={"commit": "manual", "start": "earliest"}) as watch:
                await watch.ready(20)
                numbers = world.publish([change(each) for each in range(4)])
                items = await take(watch, 4)
                watch.commit(items[0])
                watch.commit(items[2])
                assert watch.status.committed == numbers[0]
                with pytest.raises(wm.LifecycleError, match="committed already"):
                    watch.commit(items[0])
            assert kept[world.topics[0]] == numbers[0]

    asyncio.run(main())


def test_a_store_that_cannot_be_read_is_an_error_at_once(tmp_path: Any) -> None:
    path = tmp_path / "positions.json"
    path.write_text("certainly not JSON")

    async def main() -> None:
        with plain() as world:
            async with watching(world, checkpoints=wm.FileCheckpoints(path)) as watch:
                with pytest.raises(wm.CheckpointCorrupt):
                    await take(watch, 1)

    asyncio.run(main())


def test_two_managers_cannot_share_a_checkpoint_file(tmp_path: Any) -> None:
    async def main() -> None:
        path = tmp_path / "positions.json"
        with plain() as world:
            async with watching(world, checkpoints=wm.FileCheckpoints(path)) as first:
                await first.ready(20)
                async with watching(world, checkpoints=wm.FileCheckpoints(path)) as second:
                    with pytest.raises(wm.CheckpointLocked) as caught:
                        await take(second, 1)
                assert caught.value.pid is not None

    asyncio.run(main())


# ---------------------------------------------------------------- iterating
def test_two_watches_cannot_move_one_position() -> None:
    async def main() -> None:
        with plain() as world:
            async with manager(world, checkpoints={}) as owner:
                first, second = owner.watch(world.topics[0]), owner.watch(world.topics[0], start=0)
                ends = await asyncio.gather(first.ready(20), second.ready(20), return_exceptions=True)
                assert [type(each) for each in ends] == [type(None), wm.CheckpointLocked]
                assert "close that one first" in str(ends[1])
                [number] = world.publish(change(1))
                assert sequences(await take(first, 1)) == [number]
                await first.close()
                async with owner.watch(world.topics[0]) as third:
                    await third.ready(20)

    asyncio.run(main())


def test_cancelling_a_wait_loses_nothing() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                got: list[int] = []
                numbers: list[int] = []
                for number in range(40):
                    task = asyncio.ensure_future(watch.__anext__())
                    await asyncio.sleep(0)
                    numbers += await asyncio.to_thread(world.publish, change(number))
                    if number % 3:
                        await asyncio.sleep(0.001 * (number % 5))
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        got.append((await task).sequence)
                while len(got) < len(numbers):
                    got.append((await asyncio.wait_for(watch.__anext__(), 20)).sequence)
                assert got == numbers

    asyncio.run(main())


@pytest.mark.parametrize("commit", ["on_next", "manual"])
def test_cancelling_a_wait_for_a_batch_loses_nothing(commit: Any) -> None:
    async def main() -> None:
        kept: dict[str, int] = {}
        with plain() as world:
            async with watching(world, checkpoints=kept, watch={"commit": commit}) as watch:
                await watch.ready(20)
                batch = asyncio.ensure_future(anext_of(watch.batches(max=10, within=60)))
                numbers = await asyncio.to_thread(world.publish, [change(each) for each in range(3)])
                while watch.status.handed_out < 3:
                    await asyncio.sleep(0.001)
                batch.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await batch
                numbers += await asyncio.to_thread(world.publish, [change(3)])
                again = await take(watch, 4)
                assert sequences(again) == numbers
                assert watch.status.committed in (None, *range(numbers[3]))
                for item in again if commit == "manual" else ():
                    watch.commit(item)
                [whole] = [await anext_of(watch.batches(max=1)) for _ in world.publish(change(4))]
                if commit == "manual":
                    watch.commit(whole[0])
            assert kept == {watch.topic: numbers[-1] + (commit == "manual")}

    async def anext_of(batches: Any) -> Any:
        return await batches.__anext__()

    asyncio.run(main())


def test_iteration_ends_after_close_and_only_then() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                task = asyncio.ensure_future(take(watch, 1))
                await asyncio.sleep(0)
                await watch.close()
                assert await task == []
                await watch.close()
                assert [item async for item in watch] == []
                assert watch.status.state is wm.State.CLOSED

    asyncio.run(main())


def test_two_tasks_cannot_wait_for_the_same_watch() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                first = asyncio.ensure_future(watch.__anext__())
                await asyncio.sleep(0)
                with pytest.raises(wm.LifecycleError, match="already waiting"):
                    await watch.__anext__()
                first.cancel()

    asyncio.run(main())


def test_catch_up_ends_when_everything_published_before_was_handed_out() -> None:
    async def main() -> None:
        with plain() as world:
            numbers = world.publish([change(each) for each in range(25)])
            async with watching(world, history=wm.History(page_size=10), watch={"start": "earliest"}) as watch:
                items = [item async for item in watch.catch_up()]
                assert sequences(items) == numbers
                assert [item async for item in watch.catch_up()] == []

    asyncio.run(main())


def test_until_finds_the_first_item_that_fits() -> None:
    async def main() -> None:
        with plain() as world:
            numbers = world.publish([change(each) for each in range(5)])
            async with watching(world, watch={"start": "earliest"}) as watch:
                found = await watch.until(lambda item: item.sequence >= numbers[3], timeout=20)
                assert found.sequence == numbers[3]
                with pytest.raises(asyncio.TimeoutError):
                    await watch.until(lambda item: item.sequence > numbers[4], timeout=0.1)

    asyncio.run(main())


def test_several_watches_share_a_connection_and_a_token() -> None:
    async def main() -> None:
        with plain() as world:
            second = world.put_topic(
                {
                    "name": "second",
                    "spec": {"filters": [{"group": "management", "kind": "*", "name": "*", "type": ["created"]}]},
                }
            )
            asked: list[str] = []

            def token() -> str:
                asked.append("once")
                return world.issue_token()

            async with manager(world, token=token, history=False) as owner:
                watches = [owner.watch(link) for link in (world.topics[0], second)]
                await asyncio.gather(*(each.ready(20) for each in watches))
                # Without history nothing makes up for an event published before the server has read the subscription.
                for link in (world.topics[0], second):
                    await asyncio.to_thread(world.wait_for, _subscribed(link))
                world.publish(change(1))
                for each in watches:
                    assert len(await take(each, 1)) == 1
                assert len(asked) == 1
                assert len({r["conn"] for r in world.journal() if r["kind"] == "stream.open"}) == 1
                await watches[0].close()
                world.publish(change(2))
                assert len(await take(watches[1], 1)) == 1

    asyncio.run(main())


# ---------------------------------------------------------------- what goes over the wire
def test_the_first_message_says_what_the_protocol_wants_and_pings_are_answered() -> None:
    async def main() -> None:
        with _pinging() as world:
            async with watching(world, user_agent="my-app/1.2") as watch:
                await watch.ready(20)
                await asyncio.to_thread(_see_a_ping_answered, world)
            opened = next(r for r in world.journal() if r["kind"] == "stream.open")
            first = next(r for r in world.journal() if r["kind"] == "stream.request")
        assert opened["path"] == "/central.events.v1.watch/subscribe"
        assert opened["user_agent"].startswith("my-app/1.2 watchmanager-python/")
        assert opened["tenant"] == world.tenant
        assert first["request"] == "subscribe"
        assert first["accepted"]
        assert first["capabilities"] == ["ping"]
        assert first["topic"] == "/management/v1/watchtopics/sample-watch-topic"
        assert first["token"] == opened["token"]

    asyncio.run(main())


def test_an_agent_status_reaches_the_server() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                assert not watch.send_agent_status("running")
                await watch.ready(20)
                assert watch.send_agent_status("unhealthy", "out of coffee")
                record = await asyncio.to_thread(
                    world.wait_for, lambda r: r["kind"] == "stream.request" and r["request"] == "agent_status"
                )
        assert (record["state"], record["message"]) == ("unhealthy", "out of coffee")

    asyncio.run(main())


def test_client_credentials_fetch_and_refresh_tokens() -> None:
    async def main() -> None:
        with mockcentral.World(scenario="token-expiry") as world:
            provider = wm.ClientCredentials(world.auth_url, "my-agent")
            async with watching(world, token=provider) as watch:
                await watch.ready(20)
                await asyncio.to_thread(
                    world.wait_for, lambda r: r["kind"] == "stream.request" and r["request"] == "token_refresh", 30
                )
                assert watch.status.reconnects == 0
            issued = [r for r in world.journal() if r["kind"] == "token.issued" and r["client_id"] == "my-agent"]
            assert len(issued) >= 2

    asyncio.run(main())


def test_closing_leaves_no_task_behind() -> None:
    async def main() -> None:
        with plain() as world:
            for _ in range(3):
                async with watching(world, checkpoints={}) as watch:
                    await watch.ready(20)
                    world.publish(change(1))
                    await take(watch, 1)

            def left() -> list[Any]:
                return [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]

            for _ in range(2000):  # a task of grpcio's own may have a word of its core to wait for
                if not left():
                    return
                await asyncio.sleep(0.005)
            raise AssertionError(left())

    asyncio.run(main())


def test_a_watch_belongs_to_the_loop_it_was_started_in() -> None:
    with plain() as world:
        owner = manager(world)
        watch = owner.watch(world.topics[0])

        async def start() -> None:
            await watch.ready(20)

        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(start())
            with pytest.raises(wm.WrongLoopError):
                asyncio.run(start())
            loop.run_until_complete(owner.close())
        finally:
            loop.close()


def test_a_manager_belongs_to_the_loop_it_was_first_used_in() -> None:
    with plain() as world:
        owner = manager(world)

        async def ask() -> list[wm.Event]:
            return [each async for each in owner.history(world.topics[0])]

        async def start() -> None:
            await owner.watch(world.topics[0]).ready(20)

        loop = asyncio.new_event_loop()
        try:
            assert loop.run_until_complete(ask()) == []
            for use in (ask, start, owner.diagnose, owner.close):
                with pytest.raises(wm.WrongLoopError, match="this manager was started in another event loop"):
                    asyncio.run(use())
            loop.run_until_complete(start())
            loop.run_until_complete(owner.close())
        finally:
            loop.close()


def test_a_child_of_the_managers_process_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        owner = wm.AsyncWatchManager("https://central.test", tenant_id="1", token=lambda: "x")
        watch = owner.watch("t")
        child = os.getpid() + 1
        with monkeypatch.context() as forked:
            forked.setattr(os, "getpid", lambda: child)
            for use in (lambda: owner.watch("t"), lambda: owner.history("t")):
                with pytest.raises(wm.ForkedProcessError, match=f"its child {child}: make a new manager"):
                    use()
            for later in (owner.diagnose, owner.close, watch.ready, watch.__anext__):
                with pytest.raises(wm.ForkedProcessError):
                    await later()
        await owner.close()

    asyncio.run(main())


def test_the_channel_is_told_what_grpcio_needs_to_hear() -> None:
    """Pitfalls D1, D2, D22: without the undocumented ones a dead peer is noticed after a minute, or never."""
    route = Route(Target("127.0.0.1", 1, False), tls=None, proxy=None, single_entry=None, connect_timeout=7)
    options = dict(Transport(route, tenant="1", user_agent="x", keepalive=wm.Keepalive())._options())
    assert options["grpc.keepalive_time_ms"] == 50_000
    assert options["grpc.keepalive_timeout_ms"] == options["grpc.http2.ping_timeout_ms"] == 10_000
    assert options["grpc.http2.max_pings_without_data"] == 0
    assert options["grpc.max_reconnect_backoff_ms"] == 2000
    assert options["grpc.min_reconnect_backoff_ms"] == 7000
    assert options["grpc.enable_retries"] == 0
    assert options["grpc.initial_reconnect_backoff_ms"] == 200
    assert options["grpc.use_local_subchannel_pool"] == 1


def test_what_a_server_thinks_of_our_pings_counts_for_every_watch_and_is_never_forgotten() -> None:
    """Pitfall D3."""

    async def main() -> None:
        route = Route(Target("127.0.0.1", 1, False), tls=None, proxy=None, single_entry=None, connect_timeout=7)
        transport = Transport(route, tenant="1", user_agent="x", keepalive=wm.Keepalive(interval=10))

        def interval() -> int:
            return int(dict(transport._options())["grpc.keepalive_time_ms"])

        first = transport._ready()
        transport.renew(first, slower=True)
        assert interval() == 20_000
        transport.renew(first, slower=True)  # the other watch whose stream was on that connection
        assert interval() == 20_000
        second = transport._ready()
        assert second is not first
        transport.renew(first, slower=False)  # somebody else's trouble with a connection that is history
        assert transport._ready() is second
        transport.renew(second, slower=False)
        assert transport._ready() is not second
        assert interval() == 20_000
        for _ in range(10):
            transport.renew(transport._ready(), slower=True)
        assert interval() == 640_000
        await transport.aclose()

    asyncio.run(main())


def test_an_old_connection_is_closed_when_its_last_stream_is_over_and_not_before() -> None:
    async def main() -> None:
        route = Route(Target("127.0.0.1", 1, False), tls=None, proxy=None, single_entry=None, connect_timeout=7)
        transport = Transport(route, tenant="1", user_agent="x", keepalive=wm.Keepalive())
        (_, first), (_, same) = transport.open("t"), transport.open("t")
        assert same is first
        transport.renew(first, slower=False)
        transport.release(first)
        assert not transport._old
        transport.release(first)
        [closing] = transport._old
        await closing
        second = transport._ready()
        transport.renew(second, slower=False)  # nobody is on it
        await transport._old[-1]
        assert not transport._retired
        await transport.aclose()

    asyncio.run(main())


def test_closing_cancels_again_what_a_cancellation_did_not_reach() -> None:
    async def main() -> None:
        with plain() as world:
            cancelled = 0

            async def stubborn() -> None:
                nonlocal cancelled
                while cancelled < 2:
                    with contextlib.suppress(asyncio.CancelledError):
                        await asyncio.Event().wait()
                    cancelled += 1

            async with watching(world) as watch:
                await watch.ready(20)
                watch._engine._spawn(stubborn())
                await asyncio.sleep(0)
                await asyncio.wait_for(watch.close(), 20)
            assert cancelled == 2

    asyncio.run(main())


def test_no_token_shows_in_any_log_status_or_error(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        for name in ("watchmanager", "httpx", "httpcore", "grpc", "asyncio"):
            caplog.set_level(logging.DEBUG, name)
        with plain() as world:
            shown: list[str] = []
            secrets: list[str] = []

            def token() -> str:
                secrets.append(world.issue_token())
                return secrets[-1]

            credentials = wm.ClientCredentials(world.auth_url, "agent")
            secrets.append((await credentials.fetch(True)).value)
            async with watching(
                world, token=token, watch={"on_state": lambda state, why: shown.append(f"{state} {why}")}
            ) as watch:
                await watch.ready(30)
                world.expire_tokens()
                while len(secrets) < 3 or watch.status.state is not wm.State.LIVE:
                    shown.append(f"{watch.status!r} {watch.status.last_error!r} {watch!r}")
                    await asyncio.sleep(0.01)
        text = "\n".join((caplog.text, *shown))
        assert "CATCHING_UP" in text
        assert not [each for each in secrets if each in text or each.split(".")[2] in text]

    asyncio.run(main())


def test_a_stream_whose_token_has_ended_is_kept_until_one_with_a_new_token_stands() -> None:
    async def main() -> None:
        with plain() as world:
            starting = down = True
            asked = asyncio.Event()

            async def token() -> wm.Token:
                """Good for long at the server, but ends soon as far as the client knows; then there is none."""
                if starting:
                    return wm.Token(world.issue_token(), time.time() + 1.2)
                if down:
                    asked.set()
                    raise ConnectionError
                return wm.Token(world.issue_token(), time.time() + 600)

            async with watching(world, token=token) as watch:
                await watch.ready(30)
                starting = False
                while "the token ended" not in watch.status.why:
                    await asked.wait()
                    asked.clear()
                    await asyncio.sleep(0.01)
                numbers = world.publish(change(1))
                assert sequences(await take(watch, 1)) == numbers
                assert watch.status.attempt == 1
                down = False
                while watch.status.attempt == 1:
                    await asyncio.sleep(0.01)
                numbers = world.publish([change(2), change(3)])
                assert sequences(await take(watch, 2)) == numbers
                first, second = (each["attempt"] for each in world.journal() if each["kind"] == "stream.open")
                ended = await asyncio.to_thread(world.wait_for, lambda r: r["kind"] == "stream.end")
                assert ended["attempt"] == first
            kinds = [(each["kind"], each.get("attempt")) for each in world.journal()]
            assert kinds.index(("stream.open", second)) < kinds.index(("stream.end", first))

    asyncio.run(main())


def test_states_are_told_as_they_are_entered() -> None:
    async def main() -> None:
        states: list[wm.State] = []
        with plain() as world:
            async with watching(world, watch={"on_state": lambda state, why: states.append(state)}) as watch:
                await watch.ready(20)
                world.close_connections()
                world.publish(change(1))
                await take(watch, 1)
        assert states[0] is wm.State.CONNECTING
        assert wm.State.LIVE in states
        assert wm.State.BACKING_OFF in states
        assert states[-1] is wm.State.CLOSED

    asyncio.run(main())


def test_changes_of_state_can_be_followed_to_the_end() -> None:
    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                seen: list[wm.WatchStatus] = []
                async for status in watch.state_changes():
                    if not seen or status.state is not seen[-1].state:
                        seen.append(status)
                    if status.state is wm.State.LIVE and status.attempt == 1:
                        world.close_connections()
                    elif status.state is wm.State.LIVE:
                        await watch.close()
        states = [each.state for each in seen]
        assert states[-1] is wm.State.CLOSED
        assert states.count(wm.State.LIVE) == 2
        between = seen[states.index(wm.State.LIVE) + 1]
        assert between.state is not wm.State.LIVE
        assert between.why

    asyncio.run(main())


def test_a_slow_handler_is_spilled_to_history_and_pings_are_still_answered() -> None:
    async def main() -> None:
        with _pinging() as world:
            small = wm.Buffer(max_events=20)
            async with watching(world, buffer=small, history=wm.History(page_size=10)) as watch:
                await watch.ready(20)
                first = world.publish([change(each) for each in range(10)])
                while watch.status.received < first[-1]:
                    await asyncio.sleep(0.001)
                await asyncio.to_thread(_see_a_ping_answered, world)  # while ten events wait for the handler
                assert watch.status.lag == 10
                first += world.publish([change(each) for each in range(10, 100)])
                await asyncio.to_thread(world.wait_for, lambda r: r["kind"] == "stream.end" and r["by"] == "client", 20)
                assert watch.status.state is wm.State.SPILLING
                assert watch.status.lag <= 40
                items = await take(watch, 100)
                more = world.publish([change(each) for each in range(100, 105)])
                items += await take(watch, 5)
                assert sequences(items) == first + more
                await asyncio.to_thread(_see_a_ping_answered, world)  # on the stream that was opened since
                assert watch.status.attempt > 1

    asyncio.run(main())


def test_several_loops_in_several_threads_do_not_disturb_each_other(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    with plain() as world:
        problems: list[BaseException] = []
        found: list[list[int]] = []
        live = threading.Semaphore(0)

        async def one() -> None:
            async with watching(world, watch={"start": "earliest"}) as watch:
                await watch.ready(20)
                live.release()
                found.append(sequences(await take(watch, 60)))

        def run() -> None:
            try:
                asyncio.run(one())
            except BaseException as error:
                problems.append(error)

        numbers = world.publish([change(each) for each in range(30)])
        threads = [threading.Thread(target=run) for _ in range(4)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert live.acquire(timeout=30), problems
        numbers += world.publish([change(each) for each in range(30, 60)])
        for thread in threads:
            thread.join(60)
        assert not problems, problems
        assert found == [numbers] * 4
    # Before 1.80 grpcio's loops took each other's wake-ups: nothing was lost, but the log was full of it.
    said = "\n".join((caplog.text, *capfd.readouterr()))
    assert "BlockingIOError" not in said


# ---------------------------------------------------------------- pitfalls that only a server shows
def test_a_renewed_channel_has_a_connection_of_its_own_and_leaves_other_streams_alone() -> None:
    """Pitfalls D22, D54: channels of one process share connections, so a new channel alone would be the old one."""

    async def main() -> None:
        with plain() as world:
            filters = [{"group": "management", "kind": "*", "name": "*", "type": ["created"]}]
            second = world.put_topic({"name": "second", "spec": {"filters": filters}})
            async with manager(world) as owner:
                moves, stays = owner.watch(world.topics[0]), owner.watch(second)
                await asyncio.gather(moves.ready(20), stays.ready(20))
                before = {r["conn"] for r in world.journal() if r["kind"] == "stream.open"}
                assert len(before) == 1
                moves._engine._carry_out([do.RenewChannel()])
                seen = len(world.journal())
                moves.seek(moves.status.server_max)  # closes its stream and opens another
                opened = await asyncio.to_thread(world.wait_for, lambda r: r["kind"] == "stream.open", since=seen)
                assert opened["conn"] not in before
                await moves.ready(20)
                numbers = world.publish(change(1))
                for watch in (moves, stays):
                    assert sequences(await take(watch, 1)) == numbers
                assert stays.status.attempt == 1
                assert not [r for r in world.journal() if r["kind"] == "conn.close" and r["conn"] in before]

    asyncio.run(main())


def test_closing_towards_a_black_hole_cancels_the_call_and_waits_for_nobody() -> None:
    """Pitfall D42: nothing comes from there that could end the reader, and it would keep a program from ending."""

    async def main() -> None:
        with plain() as world:
            async with manager(world, keepalive=wm.Keepalive()) as owner:
                watch = owner.watch(world.topics[0])
                await watch.ready(20)
                [stream] = watch._engine._streams.values()
                world.blackhole()
                await watch.close()
                assert stream._call.cancelled()
                assert stream._reader.done()
                assert stream.closed

    asyncio.run(main())


@pytest.mark.parametrize("way", ["iteration", "until", "batches"])
def test_cancelling_a_wait_at_any_turn_of_the_loop_loses_nothing(way: str) -> None:
    """Pitfall D40: between the arrival of an item and its return there are a few turns, and the cancel may fall into
    each of them.
    """

    async def main() -> None:
        with plain() as world:
            async with watching(world, history=False) as watch:
                await watch.ready(20)
                engine = watch._engine

                async def one() -> int:
                    if way == "until":
                        return (await watch.until(lambda item: True)).sequence
                    if way == "batches":
                        async for [item] in watch.batches(max=1):
                            return item.sequence
                    return (await watch.__anext__()).sequence

                got: list[int] = []
                cancelled = 0
                for turns in range(20):
                    waiting = asyncio.ensure_future(one())
                    while engine._waiter is None:
                        await asyncio.sleep(0)
                    engine._deliver(watch.status.attempt, event(turns + 1))
                    engine._delivered()
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    waiting.cancel()
                    try:
                        got.append(await waiting)
                    except asyncio.CancelledError:
                        cancelled += 1
                        assert [each.sequence for each in engine._items] == [turns + 1], f"cancelled after {turns}"
                        got.append(await one())
                    assert got[-1] == turns + 1
                assert 0 < cancelled < 20

    asyncio.run(main())


def test_a_batch_that_waits_for_more_is_cancelled_at_any_turn_of_the_loop() -> None:
    """Before Python 3.12 `wait_for` swallows a cancellation that comes in the moment the item does, and the batch would
    wait on, for as long as it may.
    """

    async def main() -> None:
        with plain() as world:
            async with watching(world, history=False) as watch:
                await watch.ready(20)
                engine = watch._engine
                number = 0

                def deliver() -> None:
                    nonlocal number
                    number += 1
                    engine._deliver(watch.status.attempt, event(number))
                    engine._delivered()

                async def until_it_waits() -> None:
                    while engine._waiter is None:
                        await asyncio.sleep(0)

                for turns in range(12):
                    batch = asyncio.ensure_future(watch.batches(max=10, within=3600).__anext__())
                    await until_it_waits()
                    deliver()
                    await asyncio.sleep(0)
                    await until_it_waits()
                    deliver()
                    for _ in range(turns):
                        await asyncio.sleep(0)
                    batch.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await asyncio.wait_for(batch, 20)
                    assert sequences(await take(watch, 2)) == [number - 1, number]

    asyncio.run(main())


@pytest.mark.parametrize("way", ["iteration", "until", "batches"])
def test_an_item_is_processed_when_the_next_is_asked_for_and_not_when_it_is_handed_out(way: str) -> None:
    """Pitfall D13, at the face that users hold."""

    async def main() -> None:
        kept: dict[str, int] = {}
        with plain() as world:
            numbers = world.publish([change(each) for each in range(6)])
            begin = {"start": numbers[0] - 1}
            async with watching(world, checkpoints=kept, watch=begin) as watch:
                batches = watch.batches(max=1)
                for number in numbers[:5]:
                    if way == "until":
                        item: wm.Item = await watch.until(lambda item: True, 20)
                    elif way == "batches":
                        [item] = await batches.__anext__()
                    else:
                        item = await watch.__anext__()
                    assert item.sequence == number
                    assert watch.status.delivered == number
                    assert watch.status.committed == number - 1
                watch.commit(item)  # or when that is said
                assert watch.status.committed == number
                assert sequences(await take(watch, 1)) == numbers[5:]
            assert kept == {watch.topic: numbers[4]}

    asyncio.run(main())


@pytest.mark.parametrize("way", ["iteration", "catch_up", "until", "batches"])
def test_iteration_raises_what_ended_the_watch_after_the_items_before_it_and_does_not_just_end(way: str) -> None:
    """Pitfall D16: whoever takes a failure for an end believes to have seen everything."""

    async def main() -> None:
        with plain() as world:
            async with watching(world, watch={"on_error": lambda error, number: wm.Raise()}) as watch:
                await watch.ready(20)
                numbers = world.publish([change(1), change(2)])
                while watch.status.received < numbers[-1]:
                    await asyncio.sleep(0.001)
                world.close_connections()
                async for status in watch.state_changes():
                    if status.state is wm.State.FAILED:
                        break
                got: list[int] = []

                def never(item: wm.Item) -> bool:
                    got.append(item.sequence)
                    return False

                async def consume() -> None:
                    if way == "until":
                        await watch.until(never, 20)
                    elif way == "batches":
                        async for batch in watch.batches(max=1):
                            got.extend(sequences(batch))
                    else:
                        async for item in watch if way == "iteration" else watch.catch_up():
                            got.append(item.sequence)

                for _ in range(2):  # and whoever asks again is told again
                    with pytest.raises(wm.StreamError) as caught:
                        await consume()
                    assert caught.value is watch.status.last_error
                    assert got == numbers

    asyncio.run(main())


@pytest.mark.parametrize("where", ["while it reads", "while it waits for room"])
def test_a_reader_that_is_cancelled_from_outside_takes_its_call_along(where: str) -> None:
    """Pitfall D8. While it reads, grpc.aio cancels the call with it, and the machine hears of that end as of any other.
    While it waits for the consumer nobody else would: the call would live on, and nobody would read it.
    """

    async def main() -> None:
        with plain() as world:
            async with watching(world, history=False, buffer=wm.Buffer(max_events=2)) as watch:
                await watch.ready(20)
                engine = watch._engine
                [stream] = engine._streams.values()
                if where == "while it reads":
                    stream._reader.cancel()
                    await stream._reader
                    async for status in watch.state_changes():
                        if status.state is wm.State.LIVE and status.attempt == 2:
                            break
                else:
                    # Without history nothing makes up for an event published before the server read the subscription.
                    await asyncio.to_thread(world.wait_for, _subscribed(world.topics[0]))
                    world.publish([change(each) for each in range(5)])
                    while engine._room is None:
                        await asyncio.sleep(0.001)
                    stream._reader.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await stream._reader
                assert stream._call.cancelled()
                ended = await asyncio.to_thread(world.wait_for, lambda r: r["kind"] == "stream.end")
                assert (ended["by"], ended["attempt"]) == ("client", 1)

    asyncio.run(asyncio.wait_for(main(), 30))


def test_a_call_that_we_cancel_ends_its_reader_without_an_error() -> None:
    """Pitfall D8, the other way round."""

    async def main() -> None:
        with plain() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                [stream] = watch._engine._streams.values()
                stream.close()
                await stream._reader
                assert stream._call.cancelled()
                assert watch.status.last_error is None

    asyncio.run(main())


def test_a_token_for_a_stream_that_is_over_is_dropped_and_its_end_reported_once() -> None:
    """Where Go's refresh is an error because its queue is closed, there is nothing to tell here: the reader has."""

    async def main() -> None:
        ended: list[int] = []
        with plain() as world:

            def on_state(state: wm.State, why: str) -> None:
                if state is wm.State.BACKING_OFF:
                    ended.append(watch.status.attempt)

            async with manager(world) as owner, owner.watch(world.topics[0], on_state=on_state) as watch:
                await watch.ready(20)
                [stream] = watch._engine._streams.values()
                world.close_connections()
                await stream.wait_closed()
                stream.send_token(world.issue_token())
                watch._engine._carry_out([do.SendToken(1, Credential(world.issue_token()))])
                assert stream._writes
                await asyncio.gather(*stream._writes)  # raises what they raise
                async for status in watch.state_changes():
                    if status.state is wm.State.LIVE and status.attempt > 1:
                        break
                assert ended.count(1) == 1

    asyncio.run(main())
