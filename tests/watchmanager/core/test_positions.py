"""410, gaps, servers that count anew, checkpoints."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.watchmanager.lab import Lab
from watchmanager import errors
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.status import State
from watchmanager._core.watermark import Watermark
from watchmanager.events import Event, Gap, GapReason
from watchmanager.policy import Buffer, History


def gone(**settings: Any) -> Lab:
    """A client at 5, a server that kept only 21 and up, of 11 to 25."""
    lab = Lab(**settings)
    lab.log = list(range(11, 26))
    lab.purged_through = 20
    return lab.start(5).run(1)


def test_gone_is_raised_by_default_with_the_facts() -> None:
    lab = gone()
    assert lab.is_in(State.FAILED)
    error = lab.machine.error
    assert isinstance(error, errors.SequenceExpired)
    assert (error.requested, error.server_max) == (5, 25)
    assert lab.sequences == []


def test_skip_delivers_a_gap_and_goes_on_from_the_servers_newest() -> None:
    lab = gone(on_gone="skip")
    assert lab.taken == [Gap(5, 25, GapReason.EXPIRED)]
    assert lab.asked[-1] == 25
    assert 5 not in lab.asked[1:]
    lab.publish(30)
    lab.run(2)
    assert lab.sequences == [25, 30]


def test_skip_keeps_what_the_stream_had_brought_meanwhile() -> None:
    lab = Lab(on_gone="skip", subscribe_grace=100.0)
    lab.log = [10]
    lab.purged_through = 10
    lab.history_delay = 0.05
    lab.start(5).run(0.04)
    lab.publish(11)
    lab.run(2)
    assert lab.taken[0] == Gap(5, 10, GapReason.EXPIRED)
    assert lab.sequences == [10, 11]


def test_earliest_delivers_a_gap_and_everything_that_is_still_kept() -> None:
    lab = gone(on_gone="earliest")
    assert lab.taken[0] == Gap(5, 20, GapReason.EXPIRED)
    assert lab.sequences == [20, *range(21, 26)]


def test_earliest_with_nothing_kept_is_a_gap_up_to_the_newest() -> None:
    lab = Lab(on_gone="earliest")
    lab.log = [11, 12]
    lab.purged_through = 12
    lab.start(5).run(2)
    assert lab.taken == [Gap(5, 12, GapReason.EXPIRED)]
    lab.publish(13)
    lab.run(2)
    assert lab.sequences == [12, 13]


@pytest.mark.parametrize("code", [11, 15])  # OUT_OF_RANGE, DATA_LOSS
def test_a_stream_that_says_the_position_is_gone_leads_to_history_which_decides(code: int) -> None:
    lab = Lab().live()
    lab.publish(1)
    lab.run(0.1)
    lab.log.append(50)
    lab.purged_through = 40
    lab.cut(code, "position is gone")
    lab.run(5)
    assert isinstance(lab.machine.error, errors.SequenceExpired)
    assert lab.sequences == [1]


def test_the_resync_function_is_called_and_waited_for() -> None:
    lab = gone(on_gone="ask")
    resyncs = lab.did(do.Resync)
    assert len(resyncs) == 1
    assert resyncs[0].expired.requested == 5
    asked = len(lab.asked)
    lab.run(30)
    assert len(lab.asked) == asked
    lab.feed(happened.Resynced(22))
    lab.run(2)
    assert lab.asked[asked] == 22
    assert lab.sequences == [23, 24, 25]


def test_a_resync_without_an_answer_goes_on_from_the_servers_newest() -> None:
    lab = gone(on_gone="ask", checkpointing=True)
    assert 25 not in lab.store
    lab.feed(happened.Resynced())
    lab.run(2)
    assert lab.asked[-1] == 25
    assert lab.store[-1] == 25


def test_a_410_that_does_not_say_the_newest_is_completed_by_a_question() -> None:
    lab = Lab(on_gone="skip")
    lab.tells_max = False
    lab.log = list(range(11, 26))
    lab.purged_through = 20
    lab.start(5).run(1)
    assert lab.taken == [Gap(5, 25, GapReason.EXPIRED)]


def test_gone_in_the_middle_of_a_catch_up_keeps_what_was_read() -> None:
    lab = Lab(history=History(page_size=2))
    lab.log = [1, 2, 3, 4, 9]
    lab.start(0).run(0.055)
    assert lab.sequences == [1, 2]
    lab.purged_through = 8
    lab.run(1)
    assert isinstance(lab.machine.error, errors.SequenceExpired)
    assert lab.machine.error.requested == 2


def test_when_only_the_overlap_is_gone_nothing_is_lost_and_nothing_is_raised() -> None:
    lab = Lab().live()
    lab.publish(1, 2, 3)
    lab.run(0.1)
    lab.purged_through = 3
    lab.cut()
    lab.run(5)
    assert lab.is_in(State.LIVE, State.CATCHING_UP)
    assert lab.sequences == [1, 2, 3]


@pytest.mark.parametrize("cuts", [1, 2])
def test_what_history_said_it_forgot_is_not_asked_for_again(cuts: int) -> None:
    lab = Lab().live()
    lab.publish(1, 2, 3)
    lab.run(0.1)
    lab.purged_through = 3
    for _ in range(cuts):
        lab.cut()
        lab.run(5)
    lab.publish(4)
    lab.run(700)  # two audits
    asked = [effect.after for effect in lab.did(do.FetchHistory)]
    assert asked.count(0) == 3  # twice to begin with, and once more: the answer was 410
    assert None in asked
    assert lab.sequences == [1, 2, 3, 4]
    assert lab.machine.status().audits > 0


def test_what_the_stream_lost_is_found_in_the_part_of_the_overlap_that_is_still_kept() -> None:
    lab = Lab().live()
    lab.stream_loses = {2}
    lab.publish(1, 2, 3)
    lab.run(0.1)
    lab.purged_through = 1
    lab.cut()
    lab.run(5)
    assert lab.is_in(State.LIVE)
    assert sorted(lab.sequences) == [1, 2, 3]


def test_events_before_the_gap_are_delivered_before_the_error() -> None:
    lab = Lab().live()
    lab.auto_take = False
    lab.publish(1, 2)
    lab.run(0.01)
    lab.log.append(50)
    lab.purged_through = 40
    lab.cut()
    lab.run(5)
    assert lab.is_in(State.FAILED)
    lab.take_all()
    assert lab.sequences == [1, 2]


# ---------------------------------------------------------------- a server that counts anew
def test_a_server_whose_newest_is_below_the_position_is_noticed_at_the_start() -> None:
    lab = Lab()
    lab.log = [1, 2, 3]
    lab.start(1000).run(20)
    assert isinstance(lab.machine.error, errors.SequenceRegressed)
    assert (lab.machine.error.requested, lab.machine.error.server_max) == (1000, 3)


def test_a_history_that_lags_for_a_moment_is_no_regression() -> None:
    lab = Lab()
    lab.log = [1000]
    lab.history_hidden = {1000}
    lab.log.insert(0, 999)
    lab.start(1000).run(1)
    lab.history_hidden = set()
    lab.run(20)
    assert lab.is_in(State.LIVE)


def test_an_empty_log_proves_no_regression() -> None:
    lab = Lab().start(1000).run(20)
    assert lab.is_in(State.LIVE)


def test_a_renumbered_server_is_noticed_on_a_live_stream_too() -> None:
    lab = Lab().live(1000)
    lab.publish(1001)
    lab.run(0.1)
    lab.log = [5]
    lab.push(5)
    lab.run(30)
    assert isinstance(lab.machine.error, errors.SequenceRegressed)


def test_copies_of_old_events_are_no_regression() -> None:
    lab = Lab().live(1000)
    lab.publish(1001)
    lab.run(0.1)
    for _ in range(5):
        lab.push(900)
    lab.run(30)
    assert lab.is_in(State.LIVE)
    assert lab.machine.attempt == 1


def test_after_a_regression_skip_goes_on_with_the_new_numbers() -> None:
    lab = Lab(on_gone="skip")
    lab.log = [1, 2, 3]
    lab.start(1000).run(20)
    assert lab.taken == [Gap(1000, 3, GapReason.REGRESSED)]
    lab.publish(4)
    lab.run(2)
    assert lab.sequences == [3, 4]


@pytest.mark.parametrize("on_gone", ["skip", "earliest", "ask"])
def test_after_a_regression_the_saved_position_is_one_of_the_new_numbers(on_gone: Any) -> None:
    lab = Lab(on_gone=on_gone, checkpointing=True).live(1000)
    lab.publish(1001)
    lab.run(5)
    assert lab.store[-1] == 1001
    lab.log = [1, 2, 3]
    lab.cut()
    lab.run(20)
    if on_gone == "ask":
        lab.feed(happened.Resynced(2))
    lab.publish(4, 5)
    lab.run(5)
    assert lab.sequences[-2:] == [4, 5]
    assert lab.store[-1] == 5


@pytest.mark.parametrize("on_gone", ["skip", "earliest", "ask"])
def test_the_position_follows_a_regression_when_all_that_came_before_it_is_processed(on_gone: Any) -> None:
    lab = Lab(on_gone=on_gone, checkpointing=True).live(1000)
    lab.run(5)
    lab.auto_take = False
    lab.publish(1001, 1002, 1003)
    lab.run(1)
    in_hand = [lab.machine.take() for _ in range(2)]
    lab.machine.give_back(*in_hand.pop())
    lab.log = [1, 2, 3]
    lab.cut()
    lab.run(20)
    if on_gone == "ask":
        lab.feed(happened.Resynced(3))
    lab.run(5)
    assert lab.store == []
    lab.machine.processed(in_hand[0][1], lab.now)
    lab.run(5)
    assert lab.store[-1] == 1001
    lab.take()
    lab.run(5)
    assert lab.store[-1] == 1002
    lab.take_all()
    lab.run(5)
    assert lab.store[-1] == 3


def test_after_a_regression_of_which_nothing_is_kept_any_more_the_position_follows_too() -> None:
    lab = Lab(on_gone="earliest", checkpointing=True).live(1000)
    lab.publish(1001)
    lab.run(5)
    lab.auto_take = False
    lab.log = [1, 2, 3]
    lab.cut()
    while not lab.machine.outbox.items:
        lab.run(0.01)
    lab.purged_through = 3  # before the oldest page is answered
    lab.run(5)
    lab.publish(4, 5)
    lab.run(1)
    lab.take_all()
    lab.run(5)
    assert lab.sequences[-2:] == [4, 5]
    assert lab.store[-1] == 5


def test_a_resync_leaves_what_waits_and_what_is_in_hand_to_be_processed_first() -> None:
    lab = Lab(on_gone="ask", checkpointing=True).live(10)
    lab.auto_take = False
    lab.publish(11, 12)
    lab.run(1)
    _, ticket = lab.machine.take()
    lab.log.append(50)
    lab.purged_through = 40
    lab.cut()
    lab.run(5)
    lab.feed(happened.Resynced(50))
    lab.run(5)
    assert lab.machine.watermark.value == 10
    lab.machine.processed(ticket, lab.now)
    assert lab.machine.watermark.value == 11
    lab.take()
    assert lab.machine.watermark.value == 50
    lab.run(5)
    assert lab.store[-1] == 50


def test_a_known_number_on_a_live_stream_is_a_reason_to_ask_whether_the_server_counts_anew() -> None:
    lab = Lab().live(1000)
    lab.publish(*range(1001, 1006))
    lab.run(700)  # an audit confirms them
    lab.log = [1001, 1002]
    lab.push(1002)
    lab.run(30)
    assert isinstance(lab.machine.error, errors.SequenceRegressed)


def test_many_copies_are_a_question_every_half_minute() -> None:
    lab = Lab().live(1000)
    lab.publish(1001)
    lab.run(1)
    before = len([each for each in lab.did(do.FetchHistory) if each.newest])
    for _ in range(100):
        lab.push(1001)
        lab.run(1)
    assert len([each for each in lab.did(do.FetchHistory) if each.newest]) - before == 4
    assert lab.is_in(State.LIVE)
    assert lab.machine.attempt == 1


def test_a_question_about_the_servers_count_that_fails_is_asked_again() -> None:
    lab = Lab().live(1000)
    lab.publish(1001)
    lab.run(0.1)
    lab.log = [5]
    lab.history_fails = errors.HistoryUnreachable("no answer")
    lab.push(5)
    lab.run(1)
    assert lab.is_in(State.LIVE)
    lab.history_fails = None
    lab.run(60)
    assert isinstance(lab.machine.error, errors.SequenceRegressed)


def test_a_late_page_that_is_gone_does_not_bring_again_what_earliest_finds_still_kept() -> None:
    lab = Lab(on_gone="earliest", history=History(page_size=2))
    lab.log = [1, 2, 3, 4]
    lab.start(0).run(0.055)
    assert lab.sequences == [1, 2]
    lab.purged_through = 8
    while None not in lab.asked:
        lab.run(0.01)
    lab.purged_through = 0
    lab.run(1)
    assert lab.taken[:2] + [each for each in lab.taken if isinstance(each, Gap)] == lab.taken[:2]
    assert lab.sequences == [1, 2, 3, 4]


# ---------------------------------------------------------------- watermark
class _Order:
    """The same as a watermark, told from scratch: items and moves in the order they came."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, int]] = []
        self.passed = 0

    @property
    def waiting(self) -> list[int]:
        return [sequence for what, sequence in self.entries if what != "move"][self.passed :]

    def value(self) -> int | None:
        mark: int | None = None
        left = self.passed
        for index, (what, sequence) in enumerate(self.entries):
            if what == "move":
                mark = sequence
                continue
            if left == 0:
                until = next((i for i, e in enumerate(self.entries) if i > index and e[0] == "move"), None)
                late = [each for what, each in self.entries[index:until] if what == "late"]
                return mark if mark is None or not late else min(mark, min(late) - 1)
            left -= 1
            mark = max(mark or 0, sequence) or mark
        return mark


@given(st.data())
def test_the_mark_is_what_the_order_of_items_and_moves_makes_of_it(data: st.DataObject) -> None:
    mark, order, ticket = Watermark(), _Order(), 0
    numbers = data.draw(st.lists(st.integers(1, 30), min_size=30, max_size=30, unique=True))  # none comes twice
    for _ in range(data.draw(st.integers(1, 30))):
        taken = mark.running
        match data.draw(st.sampled_from(["item", "late", "move", "take", "give back", "processed", "next"])):
            case "item":
                order.entries.append(("item", data.draw(st.sampled_from([0, numbers.pop()]))))
            case "late":
                order.entries.append(("late", numbers.pop()))
                mark.expect_late(order.entries[-1][1])
            case "move":
                order.entries.append(("move", data.draw(st.integers(0, 30))))
                mark.move_behind(len(order.waiting) - taken, order.entries[-1][1])
            case "take" if taken < len(order.waiting):
                ticket += 1
                mark.begin(ticket, order.waiting[taken])
            case "give back" if taken:
                mark.forget(mark._running[-1][0])
            case "processed" if taken:
                count = data.draw(st.integers(1, taken))
                last = mark._running[count - 1][0]
                then = mark.after(last)
                mark.through(last)
                order.passed += count
                assert mark.value == then
            case "next" if 0 < taken < len(order.waiting):
                ticket += 1
                assert mark.succeed(mark._running[-1][0], ticket, order.waiting[taken])
                order.passed += taken
        assert mark.value == order.value()


def test_the_mark_goes_over_a_late_one_as_the_next_is_taken() -> None:
    mark = Watermark(5)
    mark.begin(1, 10)
    mark.expect_late(3)
    assert mark.succeed(1, 2, 3)
    assert mark.value == 2
    assert mark.succeed(2, 3, 11)
    assert mark.value == 10


def test_a_moved_mark_arrives_as_the_next_is_taken() -> None:
    mark = Watermark(5)
    mark.begin(1, 10)
    mark.move_behind(0, 4)
    assert mark.value == 5
    assert mark.succeed(1, 2, 6)
    assert mark.value == 4


def test_the_mark_moves_only_over_a_prefix_without_holes() -> None:
    mark = Watermark()
    for ticket, sequence in ((1, 10), (2, 20), (3, 30)):
        mark.begin(ticket, sequence)
    mark.done(2)
    assert mark.value is None
    mark.done(1)
    assert mark.value == 20
    mark.done(3)
    assert mark.value == 30
    assert mark.running == 0


@given(st.data())
def test_taking_the_next_is_to_be_done_with_the_one_before_and_to_take(data: st.DataObject) -> None:
    """`take_after` against `processed` and `take`, whatever else was taken, given up or late before."""
    quick, plain = (Lab(checkpointing=True, checkpoint_every=3).live() for _ in range(2))
    tickets: list[int] = []
    for lab in (quick, plain):
        lab.auto_take = False
        lab.publish(*range(5, 25))
        lab.push(3)  # late
        lab.run(0.1)
    for _ in range(data.draw(st.integers(1, 12))):
        done = data.draw(st.sampled_from(tickets)) if tickets else 0
        match data.draw(st.sampled_from(["next", "next", "take", "one", "seek"])):
            case "next" if done:
                plain.machine.processed(done, plain.now)
                expected = plain.machine.take()
                assert quick.machine.take_after(done, quick.now) == expected
                tickets.append(expected[1])
            case "one" if done:
                for lab in (quick, plain):
                    lab.machine.processed(done, lab.now, all_before=False)
            case "seek":
                for lab in (quick, plain):
                    lab.feed(happened.Sought(4))
                    lab.run(1)
            case _:
                [ticket] = {lab.machine.take()[1] for lab in (quick, plain)}
                tickets.append(ticket)
        for lab in (quick, plain):
            lab.run(0.01)
        assert quick.machine.status() == plain.machine.status()
        assert quick.store == plain.store


def test_done_twice_or_for_nothing_is_harmless() -> None:
    mark = Watermark(5)
    mark.begin(1, 10)
    mark.done(1)
    assert not mark.done(1)
    assert not mark.done(77)
    assert mark.value == 10


def test_items_without_a_number_hold_the_mark_like_others_and_leave_nothing_behind() -> None:
    mark = Watermark(5)
    for ticket, sequence in ((1, 10), (2, 0), (3, 11)):
        mark.begin(ticket, sequence)
    mark.done(3)
    mark.done(1)
    assert mark.value == 10
    mark.done(2)
    assert mark.value == 11
    assert not mark._done


def test_through_counts_everything_before_as_processed() -> None:
    mark = Watermark()
    for ticket in range(1, 6):
        mark.begin(ticket, ticket * 10)
    mark.through(4)
    assert mark.value == 40


def test_a_late_event_holds_the_mark_below_itself_until_it_is_processed() -> None:
    mark = Watermark()
    for ticket, sequence in ((1, 5), (2, 7)):
        mark.begin(ticket, sequence)
    mark.through(2)
    assert mark.value == 7
    mark.expect_late(6)
    assert mark.value == 5
    mark.begin(3, 6)
    mark.through(3)
    assert mark.value == 7


# ---------------------------------------------------------------- checkpoints
def test_the_position_is_saved_when_it_is_fixed_so_that_a_restart_does_not_look_for_it_anew() -> None:
    lab = Lab(checkpointing=True)
    lab.log = [77]
    lab.start().run(0.1)
    assert lab.store == [77]


@pytest.mark.parametrize("start", [50, "earliest"])
def test_a_position_that_was_given_is_saved_before_anything_is_processed(start: Any) -> None:
    lab = Lab(checkpointing=True)
    lab.auto_take = False
    lab.log = list(range(51, 61))
    if start == "earliest":
        lab.start(earliest=True).run(2)
    else:
        lab.start(start, stored=False).run(2)
    assert lab.store == [50]


def test_a_position_out_of_the_store_is_not_saved_anew() -> None:
    lab = Lab(checkpointing=True)
    lab.start(50).run(2)
    assert lab.store == []
    assert lab.machine.watermark.value == 50


def test_only_processed_events_are_saved() -> None:
    lab = Lab(checkpointing=True).live()
    lab.auto_take = False
    lab.publish(1, 2, 3)
    lab.run(5)
    assert lab.store == []
    item, ticket = lab.machine.take()
    lab.run(5)
    assert lab.store == []
    lab.machine.processed(ticket, lab.now)
    lab.run(5)
    assert lab.store == [item.sequence]
    second, third = lab.machine.take(), lab.machine.take()
    lab.machine.processed(second[1], lab.now)
    lab.run(5)
    assert lab.store == [1, 2]
    lab.machine.processed(third[1], lab.now)


def test_a_position_that_is_to_be_confirmed_waits_for_history() -> None:
    lab = Lab(checkpointing=True, history=History(audit_interval=60, confirm=True)).live()
    lab.stream_loses = {2}
    lab.publish(1, 2, 3)
    lab.run(30)
    assert lab.sequences == [1, 3]
    assert [sequence for sequence in lab.store if sequence] == []
    assert lab.machine.status().committed == 0
    lab.auto_take = False
    lab.run(60)
    assert [sequence for sequence in lab.store if sequence] == [1]  # 2 is there and not processed
    lab.take_all()
    lab.run(5)
    assert lab.store[-1] == 3
    lab.publish(4)
    lab.run(1)
    lab.take_all()
    lab.feed(happened.Close())
    assert lab.store[-1] == 3


def test_a_number_that_history_does_not_know_does_not_get_into_a_position_that_is_confirmed() -> None:
    lab = Lab(checkpointing=True, history=History(audit_interval=20, confirm=True)).live()
    lab.publish(1, 2)
    lab.push(10**15)
    lab.run(1)
    lab.publish(3, 4)
    lab.run(60)
    lab.cut()
    lab.publish(5)
    lab.run(60)
    assert lab.sequences == [1, 2, 10**15, 3, 4, 5]
    assert lab.store[-1] == 5


def test_what_a_rejoin_confirms_is_saved_without_an_event_after_it() -> None:
    lab = Lab(checkpointing=True, history=History(audit_interval=1000, confirm=True)).live()
    lab.publish(1, 2, 3)
    lab.run(5)
    assert [sequence for sequence in lab.store if sequence] == []
    lab.cut()
    lab.run(20)
    assert lab.store[-1] == 3


def test_what_is_to_be_confirmed_is_confirmed_before_it_is_forgotten() -> None:
    """An audit compares with what is remembered: an event older than that could not be told from a lost one."""
    confirming = History(audit_interval=10_000, confirm=True)
    lab = Lab(checkpointing=True, history=confirming, buffer=Buffer(recent=20)).live()
    lab.stream_loses = {3}
    for sequence in range(1, 100):
        lab.publish(sequence)
        lab.run(0.5)
    assert sorted(lab.sequences) == list(range(1, 100))
    assert 3 in lab.sequences[:15]
    assert lab.store[-1] > 80


def test_saves_are_rare_but_never_more_than_a_second_late() -> None:
    lab = Lab(checkpointing=True).live()
    for sequence in range(1, 51):
        lab.publish(sequence)
        lab.run(0.1)
    assert 4 <= len(lab.store) <= 8
    lab.run(1.1)
    assert lab.store[-1] == 50


def test_a_hundred_events_are_saved_without_waiting() -> None:
    lab = Lab(checkpointing=True).live()
    lab.publish(*range(1, 101))
    lab.run(0.05)
    assert lab.store == [100]


def test_closing_saves_what_is_processed_and_not_what_is_not() -> None:
    lab = Lab(checkpointing=True).live()
    lab.auto_take = False
    lab.publish(1, 2)
    lab.run(0.05)
    lab.take()
    assert lab.machine.take()[0].sequence == 2  # and the process ends before it is processed
    lab.feed(happened.Close())
    assert do.SaveCheckpoint(1) in lab.effects
    assert do.SaveCheckpoint(2) not in lab.effects


def test_a_store_that_keeps_failing_stops_the_watch() -> None:
    lab = Lab(checkpointing=True).live()
    lab.store_fails = errors.CheckpointWriteFailed("disk full")
    lab.publish(1)
    lab.run(3)
    assert lab.is_in(State.LIVE)
    lab.run(20)
    assert lab.machine.error is lab.store_fails


def test_a_store_that_recovers_is_used_again() -> None:
    lab = Lab(checkpointing=True).live()
    lab.store_fails = errors.CheckpointWriteFailed("disk full")
    lab.publish(1)
    lab.run(3)
    lab.store_fails = None
    lab.run(5)
    assert lab.store[-1] == 1
    assert lab.is_in(State.LIVE)


def test_a_gap_is_a_position_like_an_event() -> None:
    lab = gone(on_gone="skip", checkpointing=True)
    lab.run(2)
    assert lab.store[-1] == 25


# ---------------------------------------------------------------- memory
def test_memory_is_bounded_whatever_comes() -> None:
    lab = Lab(buffer=Buffer(max_events=50, recent=100)).live()
    for sequence in range(1, 20_000):
        lab.publish(sequence)
        lab.run(0.002)
    lab.run(1)
    assert lab.sequences[-1] == 19_999
    assert len(lab.machine.outbox.window) <= 100
    assert lab.machine.watermark.running == 0


def test_a_consumer_that_takes_nothing_holds_up_no_more_than_the_buffer() -> None:
    lab = Lab(buffer=Buffer(max_events=50, recent=100)).live()
    lab.auto_take = False
    most = 0
    for sequence in range(1, 1000):
        lab.publish(sequence)
        lab.run(0.002)
        most = max(most, lab.machine.status().lag)
    lab.run(5)
    assert 50 <= most <= 50 + lab.settings.history.page_size  # type: ignore[union-attr]
    assert lab.is_in(State.SPILLING)


@pytest.mark.parametrize("bound", [Buffer(max_events=50), Buffer(max_bytes=5000)], ids=["events", "bytes"])
def test_what_waits_for_a_history_that_hangs_is_bounded_too(bound: Buffer) -> None:
    """None of it may be handed out before history has said what comes first, so it waits beside the outbox."""
    lab = Lab(buffer=bound)
    lab.history_delay = 1e9
    lab.start(0).run(0.1)
    pushed = most = 0
    while lab.stream is not None and pushed < 1000:
        pushed += 1
        lab.push(pushed)
        lab.run(0.002)
        most = max(most, lab.machine.status().buffered_bytes)
    assert pushed == 50
    assert most <= 5000
    assert lab.is_in(State.SPILLING)
    assert lab.machine.status().buffered_bytes == 0


@pytest.mark.parametrize("seed", range(20))
def test_a_seed_decides_everything(seed: int) -> None:
    def story() -> list[object]:
        lab = Lab(seed=seed)
        lab.start(0)
        for sequence in range(1, 60):
            lab.publish(sequence)
            lab.run(0.7)
            if sequence % 7 == 0 and lab.stream is not None:
                lab.cut()
        lab.run(120)
        assert lab.sequences == list(range(1, 60))
        return [(round(at, 9), repr(each)) for at, each in lab.times]

    assert story() == story()


# ---------------------------------------------------------------- a server that counts anew, and everything else
class _Restarted:
    """Lives of one client with one store, before a server that at some moment begins to count from 1 again."""

    def __init__(self, on_gone: Any) -> None:
        self.on_gone = on_gone
        self.store = [1000]
        self.log: list[int] = []
        self.items: list[Event | Gap] = []
        """What was processed, in all lives."""
        self.begin()

    def begin(self) -> None:
        self.lab = Lab(on_gone=self.on_gone, checkpointing=True, seed=len(self.items))
        self.lab.auto_take = False
        self.lab.log, self.lab.store = self.log, self.store
        self.lab.start(self.store[-1])

    def handle(self, most: int) -> None:
        for _ in range(min(most, len(self.lab.machine.outbox.items))):
            item, ticket = self.lab.machine.take()
            self.items.append(item)
            self.lab.machine.processed(ticket, self.lab.now)

    def renumber(self, cut: bool) -> None:
        self.log[:] = []
        if cut and self.lab.stream is not None:
            self.lab.cut()

    def publish(self, count: int) -> None:
        self.lab.publish(*range(max(self.log, default=0) + 1, max(self.log, default=0) + 1 + count))


@given(st.data())
def test_of_what_a_server_that_counts_anew_publishes_nothing_is_lost_without_a_gap(data: st.DataObject) -> None:
    world = _Restarted(data.draw(st.sampled_from(["skip", "earliest"])))
    world.lab.run(2)
    for round in range(data.draw(st.integers(1, 2))):
        if round:
            world.renumber(data.draw(st.booleans()))
        else:
            world.lab.publish(*range(1001, 1001 + data.draw(st.integers(1, 5))))
        for _ in range(data.draw(st.integers(0, 8))):
            match data.draw(st.sampled_from(["publish", "handle", "crash", "cut", "run", "in hand"])):
                case "publish":
                    if round:
                        world.publish(data.draw(st.integers(1, 4)))
                case "handle":
                    world.handle(data.draw(st.integers(1, 5)))
                case "crash":
                    world.begin()
                case "cut" if world.lab.stream is not None:
                    world.lab.cut()
                case "in hand" if world.lab.machine.outbox.items:
                    world.lab.machine.give_back(*world.lab.machine.take())
                case "run":
                    world.lab.run(data.draw(st.sampled_from([0.05, 1.0, 10.0, 400.0])))
    if data.draw(st.booleans()):
        world.begin()
    world.lab.run(400)
    world.publish(1)
    for _ in range(4):
        world.handle(1000)
        world.lab.run(400)
    if max(world.log) > 1000:
        return  # never renumbered
    assert world.lab.is_in(State.LIVE)
    processed = {item.sequence for item in world.items if isinstance(item, Event)}
    told = {each for item in world.items if isinstance(item, Gap) for each in world.log if each <= item.through}
    excused = told if world.on_gone == "skip" else set()
    assert set(world.log) <= processed | excused
    assert world.store[-1] == max(world.log)
