"""Where a watch is and goes: pause, resume, seek, batches, history."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

import mockcentral
import watchmanager as wm
from mockcentral.scenario.load import loads
from tests.watchmanager.api.quiet import PATIENCE, Saves, owner_of, quiet
from tests.watchmanager.lab import Lab
from tests.watchmanager.worlds import change, sequences, take, watching
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.status import State


async def received(watch: wm.AsyncWatch, sequence: int) -> None:
    """Until it came in, whether or not somebody takes it."""

    async def wait() -> None:
        while watch.status.received < sequence:
            await asyncio.sleep(0.005)

    await asyncio.wait_for(wait(), PATIENCE)


# ---------------------------------------------------------------- pause
def test_a_paused_watch_hands_nothing_out_and_stays_alive() -> None:
    async def main() -> None:
        with quiet() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                watch.pause()
                assert watch.status.paused
                assert watch.metrics()["paused"] == 1
                numbers = world.publish([change(each) for each in range(3)])
                waiting = asyncio.ensure_future(watch.__anext__())
                await received(watch, numbers[-1])
                assert watch.status.lag == 3
                assert watch.status.state is wm.State.LIVE
                assert not waiting.done()
                watch.resume()
                first = await asyncio.wait_for(waiting, PATIENCE)
                assert [first.sequence, *sequences(await take(watch, 2))] == numbers
                assert not watch.status.paused

    asyncio.run(main())


def test_a_paused_watch_spills_and_loses_nothing() -> None:
    async def main() -> None:
        with quiet() as world:
            async with watching(world, buffer=wm.Buffer(max_events=10)) as watch:
                await watch.ready(20)
                watch.pause()
                numbers = world.publish([change(each) for each in range(50)])

                async def spilled() -> None:
                    while watch.status.state is not wm.State.SPILLING:
                        await asyncio.sleep(0.005)

                await asyncio.wait_for(spilled(), PATIENCE)
                watch.resume()
                assert sequences(await take(watch, 50)) == numbers

    asyncio.run(main())


def test_a_paused_watch_can_be_closed() -> None:
    async def main() -> None:
        with quiet() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                watch.pause()
                world.publish(change(1))
                waiting = asyncio.ensure_future(watch.__anext__())
                await asyncio.sleep(0)
                await watch.close()
                with pytest.raises(StopAsyncIteration):
                    await asyncio.wait_for(waiting, PATIENCE)

    asyncio.run(main())


def test_pausing_the_blocking_watch_holds_back_even_what_was_fetched_already() -> None:
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(20)])
        with wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token) as manager:
            watch = manager.watch(world.topics[0], start="earliest")
            first = next(watch)
            watch.pause()
            got: list[int] = []
            done = threading.Event()

            def consume() -> None:
                for item in watch:
                    got.append(item.sequence)
                    if len(got) == 19:
                        done.set()
                        return

            thread = threading.Thread(target=consume)
            thread.start()
            watch.ready(20)
            assert got == []
            watch.resume()
            assert done.wait(PATIENCE)
            thread.join()
            assert [first.sequence, *got] == numbers


# ---------------------------------------------------------------- seek
@pytest.mark.parametrize("to", [2, 7])
def test_seek_goes_on_after_a_sequence_forwards_or_backwards(to: int) -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(10)])
            store = Saves()
            async with (
                owner_of(world, checkpoints=store) as owner,
                owner.watch(world.topics[0], start=0) as watch,
            ):
                assert sequences(await take(watch, 5)) == numbers[:5]
                watch.seek(numbers[to])
                await store.wait(numbers[to])
                assert watch.status.committed == numbers[to]
                assert sequences(await take(watch, 9 - to)) == numbers[to + 1 :]
                more = world.publish([change(11)])
                assert sequences(await take(watch, 1)) == more
            assert store.load(world.topics[0]) in (numbers[-1], *more)

    asyncio.run(main())


def test_seek_before_the_start_is_the_start() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(5)])
            async with owner_of(world) as owner:
                watch = owner.watch(world.topics[0])
                watch.seek(numbers[1])
                assert sequences(await take(watch, 3)) == numbers[2:]

    asyncio.run(main())


def test_what_was_handed_out_before_a_seek_no_longer_moves_the_position() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(10)])
            store = Saves()
            async with (
                owner_of(world, checkpoints=store) as owner,
                owner.watch(world.topics[0], start=0, commit="manual") as watch,
            ):
                old = await take(watch, 10)
                watch.seek(numbers[1])
                watch.commit(old[5])
                assert watch.status.committed == numbers[1]
                with pytest.raises(wm.LifecycleError, match="is committed already"):
                    watch.commit(old[5])
                [item] = await take(watch, 1)
                watch.commit(old[9])
                watch.commit(item)
                assert watch.status.committed == numbers[2]
            with pytest.raises(wm.WatchClosed, match="comes again after a restart"):
                watch.commit(old[6])

    asyncio.run(main())


@pytest.mark.parametrize("face", ["asyncio", "blocking"])
def test_to_commit_an_event_that_is_done_says_nothing_about_the_one_in_hand(face: str) -> None:
    async def main(world: mockcentral.World, numbers: list[int]) -> None:
        async with owner_of(world) as owner, owner.watch(world.topics[0], start=0) as watch:
            _, second, third = await take(watch, 3)
            watch.commit(second)
            assert watch.status.committed == numbers[1]
            watch.commit(third)
            assert watch.status.committed == numbers[2]

    with quiet() as world:
        numbers = world.publish([change(each) for each in range(5)])
        if face == "asyncio":
            asyncio.run(main(world, numbers))
            return
        with wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token) as owner:
            watch = owner.watch(world.topics[0], start=0)
            _, second, third = (next(watch) for _ in range(3))
            watch.commit(second)
            assert (watch.status.committed or 0) < numbers[2]
            watch.commit(third)
            assert watch.status.committed == numbers[2]


def test_seek_is_refused_where_it_cannot_work() -> None:
    async def main() -> None:
        with quiet() as world:
            async with owner_of(world, history=False) as owner:
                with pytest.raises(wm.LifecycleError, match="without history"):
                    owner.watch(world.topics[0]).seek(3)
            async with owner_of(world) as owner:
                watch = owner.watch(world.topics[0])
                for wrong in (-1, True, "3", None):
                    with pytest.raises(wm.ConfigError):
                        watch.seek(wrong)  # type: ignore[arg-type]
                await watch.ready(20)
                await watch.close()
                with pytest.raises(wm.WatchClosed):
                    watch.seek(3)
                failed = owner.watch("no-such-topic")
                with pytest.raises(wm.TopicNotFound):
                    await failed.ready(20)
                with pytest.raises(wm.LifecycleError, match="has failed"):
                    failed.seek(3)

    asyncio.run(main())


def test_seek_beyond_the_end_says_so() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(3)])
            async with watching(world) as watch:
                await watch.ready(20)
                watch.seek(numbers[-1] + 1000)
                with pytest.raises(wm.SequenceRegressed):
                    await take(watch, 1)

    asyncio.run(main())


@pytest.mark.parametrize("state", ["connecting", "catching up", "live", "backing off", "asked for the position"])
def test_seek_works_in_every_state_and_drops_what_was_under_way(state: str) -> None:
    lab = Lab(subscribe_grace=0.1)
    lab.log.extend(range(1, 31))
    if state == "asked for the position":
        lab.start()
        lab.run(0.015)
        assert [each.newest for each in lab.did(do.FetchHistory)] == [True]
    else:
        lab.start(10)
        if state == "catching up":
            lab.run(0.04)
            assert lab.is_in(State.CATCHING_UP)
        elif state in ("live", "backing off"):
            lab.run(1)
            assert lab.is_in(State.LIVE)
        if state == "backing off":
            lab.cut()
            assert lab.is_in(State.BACKING_OFF)
    attempts = lab.machine.attempt
    lab.taken.clear()
    lab.feed(happened.Sought(20))
    assert lab.machine.watermark.value == 20
    if state == "backing off":
        assert lab.machine.attempt == attempts  # it keeps its pace
    lab.run(70)
    lab.publish(31)
    lab.run(1)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == list(range(21, 32))


def test_an_answer_from_before_a_seek_is_not_delivered_after_it() -> None:
    lab = Lab()
    lab.log.extend(range(1, 31))
    lab.start(0).run(0.05)
    asked = lab.did(do.FetchHistory)[-1]
    lab.taken.clear()
    lab.feed(happened.Sought(25))
    lab.feed(happened.HistoryFetched(asked.request, []))
    lab.run(5)
    assert lab.sequences == list(range(26, 31))


def test_a_seek_that_meets_the_start_wins() -> None:
    lab = Lab()
    lab.log.extend(range(1, 11))
    lab.feed(happened.Sought(7))
    lab.start(2).run(5)
    assert lab.sequences == [8, 9, 10]


# ---------------------------------------------------------------- batches
def test_batches_are_full_when_there_is_enough_and_short_when_not() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(25)])
            async with watching(world, watch={"start": "earliest"}, buffer=wm.Buffer(max_events=100)) as watch:
                await watch.ready(20)
                await received(watch, numbers[-1])
                sizes, got = [], []
                async for batch in watch.batches(10, within=0.1):
                    sizes.append(len(batch))
                    got += sequences(batch)
                    if len(got) == 25:
                        break
                assert sizes == [10, 10, 5]
                assert got == numbers

    asyncio.run(main())


def test_a_batch_is_processed_when_the_next_one_is_asked_for() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(6)])
            async with (
                owner_of(world, checkpoints={}) as owner,
                owner.watch(world.topics[0], start="earliest") as watch,
            ):
                await watch.ready(20)
                await received(watch, numbers[-1])
                batches = watch.batches(3, within=60.0)
                await batches.__anext__()
                assert (watch.status.committed or 0) < numbers[0]
                await batches.__anext__()
                assert watch.status.committed == numbers[2]
                await batches.aclose()  # type: ignore[attr-defined]

    asyncio.run(main())


def test_blocking_batches_are_processed_as_a_whole() -> None:
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(9)])
        kept: dict[str, int] = {}
        with wm.WatchManager(
            world.http_url, tenant_id=world.tenant, token=world.issue_token, checkpoints=kept
        ) as manager:
            got = []
            watch = manager.watch(world.topics[0], start="earliest")
            for batch in watch.batches(4, within=0.2):
                got.append(sequences(batch))
                if batch[-1].sequence == numbers[-1]:
                    break
        assert [each for batch in got for each in batch] == numbers
        assert kept == {world.topics[0]: got[-2][-1]}


def test_batches_end_with_the_watch_and_refuse_nonsense() -> None:
    async def main() -> None:
        with quiet() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                with pytest.raises(wm.ConfigError):
                    await watch.batches(0).__anext__()
                waiting = asyncio.ensure_future(watch.batches().__anext__())
                await asyncio.sleep(0)
                await watch.close()
                with pytest.raises(StopAsyncIteration):
                    await waiting

    asyncio.run(main())


# ---------------------------------------------------------------- history
def test_history_reads_a_stretch_without_opening_a_stream() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(25)])
            async with owner_of(world, history=wm.History(page_size=4)) as owner:

                async def read(**bounds: Any) -> list[int]:
                    return [event.sequence async for event in owner.history(world.topics[0], **bounds)]

                assert await read() == numbers
                assert await read(after=numbers[4]) == numbers[5:]
                assert await read(before=numbers[7]) == numbers[:7]
                assert await read(after=numbers[4], before=numbers[12]) == numbers[5:12]
                assert await read(after=numbers[-1]) == []
                [event] = [each async for each in owner.history("sample-watch-topic", after=numbers[-2])]
                assert isinstance(event, wm.Event)
                assert event.name == "svc-24"
            assert not [each for each in world.journal() if each["kind"] == "stream.open"]

    asyncio.run(main())


def test_blocking_history_is_an_iterator_of_the_same_events() -> None:
    with quiet() as world:
        numbers = world.publish([change(each) for each in range(7)])
        with wm.WatchManager(
            world.http_url, tenant_id=world.tenant, token=world.issue_token, history=wm.History(page_size=3)
        ) as manager:
            assert (
                sequences(list(manager.history(world.topics[0], after=numbers[1], before=numbers[6]))) == numbers[2:6]
            )


def test_history_that_is_gone_is_an_error_with_the_facts() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(10)])
            world.purge(through=numbers[4])
            async with owner_of(world) as owner:
                with pytest.raises(wm.SequenceExpired) as caught:
                    async for _ in owner.history(world.topics[0], after=numbers[0]):
                        pass
                assert (caught.value.requested, caught.value.server_max) == (numbers[0], numbers[-1])
                assert [each.sequence async for each in owner.history(world.topics[0])] == numbers[5:]

    asyncio.run(main())


def test_history_gets_a_new_token_once_and_asks_again_when_it_is_busy() -> None:
    async def main() -> None:
        with quiet() as world:
            numbers = world.publish([change(each) for each in range(10)])
            given: list[str] = []

            def token() -> str:
                given.append(world.issue_token())
                return given[-1]

            async with owner_of(world, token=token, history=wm.History(page_size=3)) as owner:
                got: list[int] = []
                async for event in owner.history(world.topics[0]):
                    got.append(event.sequence)
                    if len(got) == 3:
                        world.expire_tokens()
                assert got == numbers
            assert len(given) == 2

    asyncio.run(main())


@pytest.mark.parametrize("failures", [3, 100])
def test_a_history_in_trouble_is_asked_several_times(failures: int) -> None:
    async def main() -> None:
        text = f"""
scenario: busy
about: History is busy.
topics: [{{name: t, filters: [{{group: management, kind: APIService, name: "*", type: [created]}}]}}]
faults: [{{name: busy, on: harvest(1+), times: {failures}, do: {{http_error: 503}}}}]
"""
        with mockcentral.World(loads(text)) as world:
            async with owner_of(world) as owner:
                events = owner.history(world.topics[0])
                if failures == 3:
                    assert [each async for each in events] == []
                else:
                    with pytest.raises(wm.HistoryError) as caught:
                        await events.__anext__()
                    assert caught.value.status == 503
            asked = [each for each in world.journal() if each["kind"] == "http.request"]
            assert len(asked) == (4 if failures == 3 else 5)

    asyncio.run(main())


def test_history_is_refused_where_there_is_none() -> None:
    async def main() -> None:
        with quiet() as world:
            async with owner_of(world, history=False) as owner:
                with pytest.raises(wm.ConfigError, match="switched off"):
                    owner.history(world.topics[0])
            async with owner_of(world) as owner:
                for wrong in (-1, "3", True):
                    with pytest.raises(wm.ConfigError, match="after"):
                        owner.history(world.topics[0], after=wrong)  # type: ignore[arg-type]
                with pytest.raises(wm.TopicNotFound):
                    await owner.history("no-such-topic").__anext__()
            with pytest.raises(wm.WatchClosed):
                owner.history(world.topics[0])

    asyncio.run(main())
