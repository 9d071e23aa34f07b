"""Events that cannot be read or are too large for the stream (D34 to D36)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

import mockcentral
import watchmanager as wm
from mockcentral.scenario.load import load, loads
from tests.watchmanager.api.quiet import PATIENCE, owner_of, quiet
from tests.watchmanager.lab import Lab, event, numberless
from tests.watchmanager.worlds import change, sequences, take, watching
from watchmanager import errors
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.inputs import Poison
from watchmanager._core.status import State
from watchmanager._driver import transport
from watchmanager._wire import codec


class PoisonedLab(Lab):
    """History has some events that cannot be read."""

    poison: frozenset[int] = frozenset()

    def _answer_history(self, effect: do.FetchHistory) -> None:
        visible = sorted(each for each in self.log if effect.after is None or each > effect.after)
        page = visible[-1:] if effect.newest else visible[: effect.page_size]
        self.feed(
            happened.HistoryFetched(
                effect.request,
                [event(each) for each in page if each not in self.poison],
                [Poison(each, errors.DecodeError(f"event {each} is odd")) for each in page if each in self.poison],
            )
        )


def poisoned(*sequences: int, **settings: Any) -> PoisonedLab:
    lab = PoisonedLab(**settings)
    lab.log.extend(range(1, 11))
    lab.poison = frozenset(sequences)
    return lab


def test_an_unreadable_event_raises_after_what_came_before_it() -> None:
    lab = poisoned(4)
    lab.start(0).run(5)
    assert lab.sequences == [1, 2, 3]
    assert lab.is_in(State.FAILED)
    assert isinstance(lab.machine.error, errors.DecodeError)
    assert lab.machine.watermark.value == 3


@pytest.mark.parametrize("page_size", [1, 2, 100])
def test_a_skipped_event_is_a_gap_in_its_place(page_size: int) -> None:
    lab = poisoned(4, 5, 10, on_poison="skip", history=wm.History(page_size=page_size))
    lab.start(0).run(10)
    lab.publish(11)
    lab.run(5)
    assert lab.is_in(State.LIVE)
    gaps = [each for each in lab.taken if isinstance(each, wm.Gap)]
    assert gaps == [wm.Gap(each - 1, each, wm.GapReason.POISON) for each in (4, 5, 10)]
    assert lab.sequences == list(range(1, 12))
    assert lab.machine.watermark.value == 11
    assert lab.machine.status().gaps == 3


def test_an_event_that_the_stream_brought_readable_is_no_poison() -> None:
    lab = poisoned(12, history=wm.History(audit_interval=5.0))
    lab.start(0).run(2)
    lab.publish(11, 12, 13)  # the stream's copy of 12 can be read
    lab.run(30)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == list(range(1, 14))
    assert lab.machine.status().audits > 2


def test_the_streams_copy_stands_in_while_catching_up() -> None:
    lab = poisoned(11)
    lab.history_delay = 0.5
    lab.start(0).run(0.2)
    assert lab.is_in(State.CATCHING_UP)
    lab.publish(11)
    lab.run(20)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == list(range(1, 12))


def test_poison_that_an_audit_finds_is_a_gap_too() -> None:
    lab = poisoned(12, on_poison="skip", history=wm.History(audit_interval=5.0))
    lab.start(0).run(2)
    lab.stream_loses.add(12)
    lab.publish(11, 12, 13)
    lab.run(30)
    assert lab.is_in(State.LIVE)
    assert [each for each in lab.taken if isinstance(each, wm.Gap)] == [wm.Gap(11, 12, wm.GapReason.POISON)]


def test_rubbish_on_the_stream_is_fetched_from_history() -> None:
    lab = Lab().live(0)
    lab.log.append(1)
    assert lab.stream is not None
    lab.feed(happened.StreamBroken(lab.stream, errors.DecodeError("rubbish")))
    lab.run(10)
    assert lab.sequences == [1]


def test_rubbish_on_a_stream_without_history_raises_or_is_a_gap_and_the_stream_goes_on() -> None:
    lab = Lab(history=None).live(7)
    assert lab.stream is not None
    lab.feed(happened.StreamBroken(lab.stream, errors.DecodeError("rubbish")))
    assert lab.is_in(State.FAILED)

    lab = Lab(history=None, on_poison="skip").live(7)
    stream = lab.stream
    assert stream is not None
    lab.feed(happened.StreamBroken(stream, errors.DecodeError("rubbish")))
    lab.push(9)
    lab.run(1)
    assert lab.is_in(State.LIVE)
    assert lab.stream == stream
    assert lab.taken == [wm.Gap(7, 8, wm.GapReason.POISON), event(9)]


@pytest.mark.parametrize("on_poison", ["raise", "skip"])
def test_an_oversize_event_without_history_is_not_passed_over_in_silence(on_poison: str) -> None:
    lab = Lab(history=None, on_poison=on_poison).live(7)
    lab.cut(8, "CLIENT: Received message larger than max (5 vs. 4)")
    lab.run(10)
    if on_poison == "raise":
        assert isinstance(lab.machine.error, errors.EventTooLarge)
    else:
        assert lab.is_in(State.LIVE)
        assert lab.taken == [wm.Gap(7, 8, wm.GapReason.POISON)]


# ---------------------------------------------------------------- the codec
def entry(sequence: Any, **more: Any) -> dict[str, Any]:
    return {"id": f"e{sequence}", "type": "ResourceCreated", "metadata": {"sequenceID": sequence}, **more}


def test_a_page_tells_which_of_its_events_cannot_be_read() -> None:
    body = json.dumps([entry(1), entry(2, payload="text"), entry(3, type=5), entry(4)]).encode()
    events, unreadable = codec.decode_page(body)
    assert sequences(events) == [1, 4]
    assert [(each.sequence, each.error.sequence, each.before) for each in unreadable] == [(2, 2, None), (3, 3, None)]
    assert "payload" in str(unreadable[0].error)


@pytest.mark.parametrize("wrong", ["x", 1.5, [], True, None, -1])
def test_an_event_without_a_readable_sequence_does_not_spoil_the_page(wrong: Any) -> None:
    events, unreadable = codec.decode_page(json.dumps([entry(wrong), entry(1), entry(wrong), entry(4)]).encode())
    assert sequences(events) == [1, 4]
    assert [(each.sequence, each.before) for each in unreadable] == [(0, 1), (1, 4)]
    [last] = codec.decode_page(json.dumps([entry(wrong)]).encode())[1]
    assert (last.sequence, last.before) == (0, -1)
    nothings: list[Any] = [None, {}, "text", 5]
    for nothing in nothings:
        assert codec.decode_page(json.dumps([nothing]).encode())[1][0].before == -1


# ---------------------------------------------------------------- without even a number
class NamelessLab(Lab):
    """History has events whose number cannot be read: `nameless`, by the number they really have."""

    nameless: frozenset[int] = frozenset()

    def _answer_history(self, effect: do.FetchHistory) -> None:
        visible = sorted(each for each in self.log if effect.after is None or each > effect.after)
        page = visible[-1:] if effect.newest else visible[: effect.page_size]
        named = [each for each in page if each not in self.nameless]
        poison = [
            numberless(each, named, errors.DecodeError(f"no number: {each}")) for each in page if each in self.nameless
        ]
        self.feed(happened.HistoryFetched(effect.request, [event(each) for each in named], poison))


def nameless(*numbers: int, **settings: Any) -> NamelessLab:
    lab = NamelessLab(**settings)
    lab.log.extend(range(10, 101, 10))
    lab.nameless = frozenset(numbers)
    return lab


def test_an_event_without_a_readable_number_raises_after_what_came_before_it() -> None:
    lab = nameless(40)
    lab.start(0).run(5)
    assert lab.sequences == [10, 20, 30]
    assert isinstance(lab.machine.error, errors.DecodeError)


@pytest.mark.parametrize("page_size", [2, 3, 100])
def test_an_event_without_a_readable_number_is_one_gap_between_its_neighbours(page_size: int) -> None:
    lab = nameless(40, on_poison="skip", history=wm.History(page_size=page_size, audit_interval=5.0))
    lab.start(0).run(2)
    assert lab.is_in(State.LIVE)
    for _ in range(3):  # seen again and again: a new stream, audits
        lab.cut(14, "gone")
        lab.run(30)
    assert lab.is_in(State.LIVE)
    gap = wm.Gap(30, 49, wm.GapReason.POISON)
    assert lab.taken == [*map(event, (10, 20, 30)), gap, *map(event, range(50, 101, 10))]
    assert lab.machine.watermark.value == 100


def test_the_newest_event_of_history_without_a_number_holds_nothing_up() -> None:
    lab = nameless(100, on_poison="skip", history=wm.History(audit_interval=5.0))
    lab.start(0).run(30)
    assert lab.is_in(State.LIVE)
    assert lab.taken[-1] == wm.Gap(90, 91, wm.GapReason.POISON)
    asked = len(lab.asked)
    lab.run(10)
    assert len(lab.asked) < asked + 10  # audits, not a loop
    lab.publish(110)
    lab.run(1)
    assert lab.sequences[-1] == 110
    assert len([each for each in lab.taken if isinstance(each, wm.Gap)]) == 1


@pytest.mark.parametrize("numbers", [(40,), (40, 50), (40, 50, 60)])
@pytest.mark.parametrize("page_size", [1, 2, 3])
def test_a_page_full_of_events_without_a_number_is_no_end_of_history(page_size: int, numbers: tuple[int, ...]) -> None:
    lab = nameless(*numbers, on_poison="skip", history=wm.History(page_size=page_size))
    lab.start(0).run(5)
    assert lab.is_in(State.LIVE)
    gap = wm.Gap(30, numbers[-1] + 9, wm.GapReason.POISON)
    assert lab.taken == [*map(event, (10, 20, 30)), gap, *map(event, range(numbers[-1] + 10, 101, 10))]


@pytest.mark.parametrize("page_size", [1, 2])
def test_a_page_full_of_events_without_a_number_may_be_the_last_one(page_size: int) -> None:
    last = range(100, 100 - 10 * page_size, -10)
    lab = nameless(*last, on_poison="skip", history=wm.History(page_size=page_size))
    lab.start(0).run(5)
    assert lab.is_in(State.LIVE)
    assert lab.taken[-1] == wm.Gap(last[-1] - 10, last[-1] - 9, wm.GapReason.POISON)
    lab.publish(110)
    lab.run(1)
    assert lab.sequences[-1] == 110


def test_a_server_that_shows_no_way_past_events_without_a_number_is_an_error_and_no_end() -> None:
    class Capped(NamelessLab):
        def _answer_history(self, effect: do.FetchHistory) -> None:
            capped = do.FetchHistory(
                effect.request, effect.after, min(2, effect.page_size), effect.newest, effect.credential
            )
            super()._answer_history(capped)

    lab = Capped(on_poison="skip", history=wm.History(page_size=2))
    lab.log.extend(range(10, 101, 10))
    lab.nameless = frozenset({40, 50, 60})
    lab.start(0).run(5)
    assert lab.is_in(State.FAILED)
    assert "the 2 events of history after 30 have no number" in str(lab.machine.error)


@pytest.mark.parametrize("newest", [True, False])
@pytest.mark.parametrize("on_poison", ["raise", "skip"])
def test_what_the_stream_brought_whole_is_not_missed_in_history(on_poison: str, newest: bool) -> None:
    lab = nameless(on_poison=on_poison, history=wm.History(audit_interval=5.0))
    lab.start(0).run(2)
    lab.ping()
    lab.publish(110)
    if not newest:
        lab.publish(120)
    lab.run(0.1)
    lab.nameless = frozenset({110})
    lab.run(30)
    lab.cut(14, "gone")
    lab.run(60)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [*range(10, 111, 10), *([] if newest else [120])]
    assert len(lab.taken) == len(lab.sequences)


def test_a_watch_resumes_behind_a_newest_event_without_a_number() -> None:
    lab = nameless(100, on_poison="skip")
    lab.start(90).run(0.5)
    lab.ping()
    lab.run(5)
    assert lab.is_in(State.LIVE)
    assert lab.taken == [wm.Gap(90, 91, wm.GapReason.POISON)]


def test_what_ends_a_page_is_told_of_although_the_next_page_leaves_it_out() -> None:
    class Forgetful(NamelessLab):
        def _answer_history(self, effect: do.FetchHistory) -> None:
            if effect.after is not None and effect.after >= 30:
                self.log = [each for each in self.log if each not in self.nameless]
            super()._answer_history(effect)

    for numbers, gap in (((40,), wm.Gap(30, 49, wm.GapReason.POISON)), ((100,), wm.Gap(90, 91, wm.GapReason.POISON))):
        lab = Forgetful(on_poison="skip", history=wm.History(page_size=4 if gap.after == 30 else 10))
        lab.log.extend(range(10, 101, 10))
        lab.nameless = frozenset(numbers)
        lab.start(0).run(5)
        assert lab.is_in(State.LIVE)
        assert [each for each in lab.taken if isinstance(each, wm.Gap)] == [gap]
        assert len(lab.taken) == 10


def test_a_first_position_cannot_be_an_event_without_a_number() -> None:
    lab = nameless(100)
    lab.start().run(5)
    assert isinstance(lab.machine.status().last_error, errors.HistoryProtocolError)
    assert not lab.taken
    lab.run(600)
    assert len(lab.did(do.FetchHistory)) < 60  # with backoff: half a second each would be more than a thousand
    lab.nameless = frozenset()
    lab.run(120)
    assert lab.is_in(State.LIVE)
    assert not lab.taken


# ---------------------------------------------------------------- over sockets
def test_poison_over_http_raises_with_its_sequence_and_history_goes_on_after_it() -> None:
    async def main() -> None:
        body = json.dumps([entry(100001), entry(100002, payload=[]), entry(100003)])
        scenario = replace(load("calm"), traffic=(), faults=(), expect=())
        fault = loads(
            f"""
scenario: poison
about: An event of history cannot be read.
topics: [{{name: t, filters: [{{group: management, kind: APIService, name: "*", type: [created]}}]}}]
faults: [{{name: poison, on: harvest(1), do: {{http_error: {{status: 200, body: '{body}'}}}}}}]
"""
        ).faults
        with mockcentral.World(replace(scenario, faults=fault)) as world:
            world.publish([change(each) for each in range(3)])
            async with owner_of(world) as owner:
                events = owner.history(world.topics[0])
                got = [(await events.__anext__()).sequence]
                with pytest.raises(wm.DecodeError) as caught:
                    await events.__anext__()
                assert got == [100001]
                assert caught.value.sequence == 100002
                rest = [each.sequence async for each in owner.history(world.topics[0], after=caught.value.sequence)]
                assert rest == [100003]

    asyncio.run(main())


@pytest.mark.parametrize("on_poison", ["raise", "skip"])
def test_poison_over_http_while_catching_up(on_poison: Any) -> None:
    async def main() -> None:
        body = json.dumps([entry(100001), entry(100002, payload=[])])
        scenario = replace(load("calm"), traffic=(), expect=())
        fault = loads(
            f"""
scenario: poison
about: An event of history cannot be read.
topics: [{{name: t, filters: [{{group: management, kind: APIService, name: "*", type: [created]}}]}}]
faults: [{{name: poison, on: harvest(1), do: {{http_error: {{status: 200, body: '{body}'}}}}}}]
"""
        ).faults
        with mockcentral.World(replace(scenario, faults=fault)) as world:
            numbers = world.publish([change(each) for each in range(4)])
            async with watching(world, watch={"start": "earliest", "on_poison": on_poison}) as watch:
                if on_poison == "raise":
                    [first] = await take(watch, 1)
                    assert first.sequence == numbers[0]
                    with pytest.raises(wm.DecodeError):
                        await take(watch, 1)
                else:
                    items = await take(watch, 4)
                    assert sequences(items) == numbers
                    assert items[1] == wm.Gap(numbers[0], numbers[1], wm.GapReason.POISON)

    asyncio.run(main())


def test_an_event_too_large_for_the_stream_comes_from_history(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_MESSAGE", 20_000)

    async def main() -> None:
        with quiet() as world:
            async with watching(world) as watch:
                await watch.ready(20)
                numbers = world.publish([change(1), change(2, attributes={"big": "x" * 30_000}), change(3)])
                items = await take(watch, 3)
                assert sequences(items) == numbers
                assert isinstance(items[1], wm.Event)
                assert len(items[1].resource.attributes["big"]) == 30_000

                async def too_large() -> None:  # an audit may have brought it before the stream said so
                    while not isinstance(watch.status.last_error, wm.EventTooLarge):
                        await asyncio.sleep(0.005)

                await asyncio.wait_for(too_large(), PATIENCE)
                more = [world.publish(change(4))]
                assert [sequences(await take(watch, 1))] == more

                async def live_again() -> None:
                    while watch.status.state is not wm.State.LIVE:
                        await asyncio.sleep(0.005)

                await asyncio.wait_for(live_again(), PATIENCE)
                more = [world.publish(change(5))]
                assert [sequences(await take(watch, 1))] == more
                assert watch.status.reconnects == 1  # it does not come back to it

    asyncio.run(main())
