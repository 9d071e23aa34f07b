"""How stream and history become one sequence without a hole."""

from __future__ import annotations

import pytest

from tests.watchmanager.lab import TOPIC, Lab, event
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.status import State
from watchmanager.errors import DecodeError, HistoryError, HistoryProtocolError
from watchmanager.policy import Buffer, History


def test_the_token_comes_before_the_stream_and_the_stream_before_history() -> None:
    lab = Lab().start(5).run(0.2)
    kinds = [type(each) for each in lab.effects if not isinstance(each, (do.Entered, do.Log))]
    assert kinds[:3] == [do.FetchToken, do.OpenStream, do.FetchHistory]


def test_without_a_position_it_is_fixed_before_the_stream_opens() -> None:
    lab = Lab()
    lab.log = [101, 107]
    lab.start().run(0.1)
    kinds = [type(each) for each in lab.effects if isinstance(each, (do.OpenStream, do.FetchHistory))]
    assert kinds[:2] == [do.FetchHistory, do.OpenStream]
    assert lab.did(do.FetchHistory)[0].newest
    assert lab.did(do.FetchHistory)[0].page_size == 1
    assert lab.asked[0] == 107


def test_what_is_published_after_the_start_arrives_even_if_the_first_stream_dies_before_its_first_event() -> None:
    lab = Lab()
    lab.log = [101]
    lab.start().run(0.035)  # position known, the stream about to open
    lab.refuse = (14, "not yet")
    lab.publish(102)
    lab.run(0.1)
    lab.refuse = None
    lab.publish(103)
    lab.run(10)
    assert lab.sequences == [102, 103]


def test_an_empty_log_is_position_zero() -> None:
    lab = Lab().start().run(0.1)
    assert lab.asked[0] == 0
    lab.publish(7)
    lab.run(2)
    assert lab.sequences == [7]


def test_from_the_earliest_the_first_page_has_no_lower_bound_and_the_next_ones_do() -> None:
    lab = Lab(history=History(page_size=2))
    lab.log = [10, 20, 30]
    lab.start(earliest=True).run(2)
    assert lab.asked[:3] == [None, 20, 30]
    assert lab.sequences == [10, 20, 30]
    assert not any(each.newest for each in lab.did(do.FetchHistory))


def test_from_the_earliest_of_an_empty_log_goes_on_from_zero() -> None:
    lab = Lab().start(earliest=True).run(2)
    assert lab.asked[-1] == 0
    lab.publish(5)
    lab.run(1)
    assert lab.sequences == [5]


def test_pages_are_read_by_keyset_until_one_is_empty() -> None:
    for count in (0, 1, 2, 3, 4, 5):
        lab = Lab(history=History(page_size=2))
        lab.log = list(range(1, count + 1))
        lab.start(0).run(0.5)
        expected = [0, *(min(2 * n, count) for n in range(1, -(-count // 2) + 1))]
        assert lab.asked[: len(expected)] == expected
        assert lab.sequences == lab.log


def test_a_short_page_is_not_the_end() -> None:
    lab = Lab(history=History(page_size=100)).start(0)
    lab.history_delay = 1e9  # answer by hand
    lab.run(0.1)
    request = lab.did(do.FetchHistory)[-1].request
    lab.feed(happened.HistoryFetched(request, [event(3)]))
    assert lab.asked == [0, 3]


def test_live_needs_an_empty_page_that_was_asked_for_after_the_first_word() -> None:
    lab = Lab(subscribe_grace=100.0).start(0).run(1)
    assert lab.is_in(State.CATCHING_UP)
    before = len(lab.asked)
    lab.ping()
    assert len(lab.asked) == before + 1
    assert lab.is_in(State.CATCHING_UP)
    lab.run(0.1)
    assert lab.is_in(State.LIVE)


def test_an_event_between_the_last_page_and_the_subscription_is_not_lost() -> None:
    lab = Lab(subscribe_grace=100.0).start(0).run(1)
    lab.log.append(50)  # the server had not registered the subscription yet
    lab.publish(60)
    lab.run(1)
    assert lab.sequences == [50, 60]


def test_without_a_first_word_the_grace_period_stands_in_for_it() -> None:
    lab = Lab(subscribe_grace=1.0).start(0).run(0.9)
    assert lab.is_in(State.CATCHING_UP)
    lab.run(0.3)
    assert lab.is_in(State.LIVE)


def test_a_first_word_after_the_grace_period_is_caught_up_with() -> None:
    lab = Lab(subscribe_grace=1.0).start(0).run(2)
    asked = len(lab.asked)
    lab.log.append(50)  # fell between
    lab.publish(60)
    lab.run(1)
    assert len(lab.asked) > asked
    assert sorted(lab.sequences) == [50, 60]
    assert lab.machine.outbox.recovered == 1


def test_what_the_stream_brings_while_history_is_read_waits_and_comes_after_it() -> None:
    lab = Lab(history=History(page_size=1))
    lab.log = [1, 2, 3]
    lab.start(0).run(0.04)
    lab.publish(4)
    lab.run(0.005)
    assert lab.sequences == []
    lab.run(1)
    assert lab.sequences == [1, 2, 3, 4]


def test_an_event_from_both_sides_is_delivered_once() -> None:
    lab = Lab().start(0).run(0.04)
    lab.publish(1, 2)
    lab.run(2)
    lab.push(2)
    lab.run(1)
    assert lab.sequences == [1, 2]
    assert lab.machine.outbox.duplicates >= 1


def test_buffered_events_are_delivered_in_order_of_their_sequence() -> None:
    lab = Lab(subscribe_grace=100.0).start(0).run(1)
    lab.history_hidden = {1, 2, 3}
    lab.log = [1, 2, 3]
    lab.push(3)
    lab.push(1)
    lab.push(2)
    lab.run(1)
    assert lab.sequences == [1, 2, 3]


def test_a_late_event_on_the_stream_is_delivered_marked_as_recovered() -> None:
    lab = Lab().live()
    lab.publish(1, 3)
    lab.run(0.1)
    lab.publish(2)
    lab.run(0.1)
    assert lab.sequences == [1, 3, 2]
    assert [each.recovered for each in lab.taken] == [False, False, True]  # type: ignore[union-attr]


def test_events_at_or_below_the_position_count_as_seen() -> None:
    lab = Lab().live(10)
    lab.push(10)
    lab.push(4)
    lab.run(0.1)
    assert lab.sequences == []
    assert lab.machine.outbox.duplicates == 2


def test_the_tail_of_a_stream_that_was_given_up_is_dropped() -> None:
    lab = Lab().live()
    old = lab.stream
    assert old is not None
    lab.cut()
    lab.deliver(old, event(99))
    lab.feed(happened.PingReceived(old, "late"))
    lab.feed(happened.StreamEnded(old, 0, ""))
    lab.run(10)
    assert lab.sequences == []
    assert not [each for each in lab.did(do.SendPong) if each.id == "late"]


def test_an_answer_of_history_to_an_old_question_is_dropped() -> None:
    lab = Lab().live()
    lab.feed(happened.HistoryFetched(1, [event(77)]))
    assert lab.sequences == []


def test_an_answer_to_an_old_question_is_not_taken_for_that_to_the_new_one() -> None:
    lab = Lab().start(0).run(0.035)
    (asked,) = lab.did(do.FetchHistory)
    lab.feed(happened.HistoryFetched(asked.request - 1, [event(77)]))
    assert lab.sequences == []
    lab.run(0.1)
    lab.ping()
    lab.run(0.2)
    assert lab.is_in(State.LIVE)


def test_a_page_under_way_is_used_even_if_the_stream_has_died() -> None:
    lab = Lab()
    lab.log = [1, 2]
    lab.start(0).run(0.035)
    lab.cut()
    lab.run(0.03)
    assert lab.is_in(State.BACKING_OFF)
    assert lab.sequences == [1, 2]


def test_only_a_page_asked_for_after_the_servers_word_confirms_not_the_question_where_the_server_is() -> None:
    lab = Lab().start(10)
    lab.log = [10]
    lab.history_delay = 1e9
    lab.run(0.1)
    page = lab.did(do.FetchHistory)[-1]
    lab.log += [11, 12]  # 11 is published after that page was read, before the subscription; 12 after it
    lab.push(12)
    lab.run(0.1)
    lab.history_delay = 0.02
    lab.feed(happened.HistoryFetched(page.request, []))
    assert lab.did(do.FetchHistory)[-1].newest
    lab.run(1)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [11, 12]


def test_a_question_where_the_server_is_that_outlived_its_stream_confirms_nothing_on_the_next() -> None:
    lab = Lab().start(10)
    lab.log = [10]
    lab.run(0.04)
    lab.history_delay = 1e9
    lab.run(0.02)
    question = lab.did(do.FetchHistory)[-1]
    assert question.newest
    lab.cut()
    lab.log += [11]  # while no stream stands
    lab.run(5)
    lab.log += [12]
    lab.push(12)
    lab.run(0.1)
    lab.history_delay = 0.02
    lab.feed(happened.HistoryFailed(question.request, HistoryError("no answer", retryable=True)))
    lab.run(5)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [11, 12]


def test_a_rejoin_asks_from_where_history_was_last_complete() -> None:
    lab = Lab().live()
    lab.stream_loses = {2}
    lab.publish(1, 2, 3)
    lab.run(0.1)
    before = len(lab.asked)
    lab.cut()
    lab.run(5)
    assert lab.asked[before] == 0
    assert sorted(lab.sequences) == [1, 2, 3]
    assert lab.sequences == [1, 3, 2]


def test_after_a_long_stretch_a_rejoin_asks_from_the_newest_and_audits_afterwards() -> None:
    lab = Lab(history=History(overlap=3, page_size=100)).live()
    lab.stream_loses = {2}
    lab.publish(*range(1, 11))
    lab.run(0.1)
    before = len(lab.asked)
    lab.cut()
    lab.run(10)
    assert lab.asked[before] == 10
    assert 0 in lab.asked[before:]
    assert sorted(lab.sequences) == list(range(1, 11))


def test_a_history_out_of_order_is_put_in_order() -> None:
    lab = Lab().start(0)
    lab.history_delay = 1e9
    lab.run(0.1)
    lab.feed(happened.HistoryFetched(lab.did(do.FetchHistory)[-1].request, [event(3), event(1), event(2)]))
    assert lab.sequences == [1, 2, 3]
    assert lab.asked[-1] == 3


def test_a_history_that_makes_no_progress_is_an_error_not_a_loop() -> None:
    lab = Lab().start(10)
    lab.history_delay = 1e9
    lab.run(0.1)
    lab.feed(happened.HistoryFetched(lab.did(do.FetchHistory)[-1].request, [event(3)]))
    assert lab.is_in(State.FAILED)
    assert "answered with 1 that are not newer" in str(lab.machine.error)


@pytest.mark.parametrize("page", [(10,), (10, 10), (9, 10)])
def test_a_history_that_answers_with_the_position_itself_is_an_error_not_a_loop(page: tuple[int, ...]) -> None:
    """Asked for what is after 10, a server that takes `>` for `>=` shows 10 for ever."""
    lab = Lab().start(10)
    lab.history_delay = 1e9
    lab.run(0.1)
    lab.feed(happened.HistoryFetched(lab.did(do.FetchHistory)[-1].request, [event(each) for each in page]))
    assert lab.asked == [10]
    assert lab.is_in(State.FAILED)
    assert isinstance(lab.machine.error, HistoryProtocolError)
    assert f"after 10 and answered with {len(page)} that are not newer" in str(lab.machine.error)
    assert lab.sequences == []


def test_an_event_that_lost_its_number_on_the_stream_comes_once_from_history() -> None:
    lab = Lab().live(0)
    lab.log.append(1)
    lab.push(0)
    lab.run(10)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [1]
    error = lab.machine.status().last_error
    assert isinstance(error, DecodeError)
    assert (error.topic, error.attempt, error.retryable) == (TOPIC, 1, True)


def test_without_history_events_without_a_number_are_delivered_and_not_judged() -> None:
    lab = Lab(history=None).live()
    lab.push(0)
    lab.push(0)
    lab.run(0.1)
    assert lab.sequences == [0, 0]


def test_with_history_switched_off_the_stream_is_live_at_once() -> None:
    lab = Lab(history=None).start().run(0.1)
    assert lab.is_in(State.LIVE)
    lab.push(5)
    lab.run(0.1)
    assert lab.sequences == [5]
    assert not lab.did(do.FetchHistory)


# ---------------------------------------------------------------- trouble with history
def test_history_is_asked_again_with_backoff_and_nothing_is_lost() -> None:
    lab = Lab()
    lab.log = [1, 2]
    lab.history_fails = HistoryError("503", status=503)
    lab.start(0).run(30)
    assert lab.is_in(State.CATCHING_UP)
    assert 4 < len(lab.asked) < 60
    assert "asked again" in lab.machine.status().why
    lab.history_fails = None
    lab.run(120)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [1, 2]


def test_retry_after_is_the_least_wait() -> None:
    lab = Lab()
    lab.history_fails = HistoryError("429", status=429, retry_after=25.0)
    lab.start(0).run(0.1)
    assert len(lab.asked) == 1
    lab.run(24.8)
    assert len(lab.asked) == 1
    lab.run(2)
    assert len(lab.asked) == 2


def test_retry_after_holds_even_when_the_stream_is_renewed_meanwhile() -> None:
    lab = Lab()
    lab.history_fails = HistoryError("429", status=429, retry_after=25.0)
    lab.start(0).run(0.1)
    lab.cut()
    lab.run(20)
    assert lab.machine.attempt > 1
    assert len(lab.asked) == 1
    lab.run(10)
    assert len(lab.asked) == 2


def test_a_fatal_answer_of_history_ends_the_watch() -> None:
    lab = Lab()
    lab.history_fails = HistoryError("400", status=400, retryable=False)
    lab.start(0).run(0.5)
    assert lab.is_in(State.FAILED)
    assert lab.machine.error is lab.history_fails


def test_a_failing_audit_does_not_disturb_a_live_stream() -> None:
    lab = Lab(history=History(audit_interval=10)).live()
    lab.history_fails = HistoryError("400", status=400, retryable=False)
    lab.run(30)
    assert lab.is_in(State.LIVE)
    lab.publish(1)
    lab.run(0.1)
    assert lab.sequences == [1]


# ---------------------------------------------------------------- audit
def test_an_audit_recovers_what_the_stream_has_lost() -> None:
    lab = Lab(history=History(audit_interval=10)).live()
    lab.stream_loses = {2}
    lab.publish(1, 2, 3)
    lab.run(12)
    assert lab.sequences == [1, 3, 2]
    assert lab.machine.outbox.recovered == 1


def test_an_audit_goes_on_after_a_page_of_what_is_known() -> None:
    lab = Lab(history=History(page_size=2, audit_interval=60)).live()
    lab.publish(1, 2)
    lab.run(0.1)
    lab.stream_loses = {3}
    lab.publish(3)
    lab.run(70)
    assert lab.sequences == [1, 2, 3]


def test_an_audit_whose_answer_was_lost_is_made_up_for_soon() -> None:
    lab = Lab(history=History(audit_interval=300)).live()
    lab.stream_loses = {1}
    lab.publish(1)
    lab.history_fails = HistoryError("no answer", retryable=True)
    lab.run(331)
    assert lab.sequences == []
    lab.history_fails = None
    lab.run(61)
    assert lab.sequences == [1]


def test_an_audit_that_finds_nothing_changes_nothing() -> None:
    lab = Lab(history=History(audit_interval=10)).live()
    lab.publish(1, 2, 3)
    lab.run(60)
    assert lab.sequences == [1, 2, 3]
    assert lab.machine.status().audits >= 4
    assert lab.machine.attempt == 1


def test_a_stream_that_does_not_bring_what_history_shows_is_replaced() -> None:
    lab = Lab(history=History(audit_interval=10)).live()
    lab.stream_loses = {1}
    lab.publish(1)
    lab.run(12)
    assert lab.sequences == [1]
    assert lab.machine.attempt == 1
    lab.run(15)
    assert lab.machine.attempt == 2
    assert "did not deliver" in str(lab.machine.status().last_error)


def test_an_event_that_history_shows_first_and_the_stream_a_moment_later_is_no_debt() -> None:
    lab = Lab(history=History(audit_interval=10)).live()
    lab.stream_loses = {1}
    lab.publish(1)
    lab.run(12)
    lab.push(1)
    lab.run(20)
    assert lab.sequences == [1]
    assert lab.machine.attempt == 1


def test_an_audit_of_what_is_no_longer_kept_is_no_loss() -> None:
    lab = Lab(history=History(audit_interval=10)).live()
    lab.publish(1, 2, 3)
    lab.run(0.1)
    lab.purged_through = 3
    lab.run(30)
    assert lab.is_in(State.LIVE)
    assert lab.machine.outbox.recovered == 0


# ---------------------------------------------------------------- room
def test_an_overflow_while_an_audit_is_under_way_still_leads_back_to_a_stream() -> None:
    lab = Lab(buffer=Buffer(max_events=4), history=History(audit_interval=10.0))
    lab.log = [10]
    lab.live(10)
    lab.auto_take = False
    lab.history_delay = 1.0
    lab.history_hidden = {11, 12, 13, 14}
    lab.run(11)
    lab.publish(11, 12, 13, 14)
    lab.run(3)  # the audit is answered: nothing to read, and no room to open a stream in
    assert lab.is_in(State.SPILLING)
    lab.history_hidden = set()
    lab.auto_take = True
    lab.take_all()
    lab.run(10)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [11, 12, 13, 14]


def test_an_overflow_closes_the_stream_and_reads_on_from_history_without_loss() -> None:
    lab = Lab(buffer=Buffer(max_events=10), history=History(page_size=5)).live()
    lab.auto_take = False
    lab.publish(*range(1, 31))
    lab.run(0.5)
    assert lab.is_in(State.SPILLING)
    assert lab.did(do.CloseStream)
    assert len(lab.machine.outbox.items) <= 15
    lab.auto_take = True
    lab.take_all()
    lab.run(5)
    assert lab.sequences == list(range(1, 31))
    assert lab.is_in(State.LIVE)


def test_history_is_not_read_while_the_consumer_is_behind() -> None:
    lab = Lab(buffer=Buffer(max_events=10), history=History(page_size=5))
    lab.auto_take = False
    lab.log = list(range(1, 101))
    lab.start(0).run(5)
    assert lab.machine.starved
    assert len(lab.machine.outbox.items) <= 10
    while len(lab.taken) < 100:
        lab.take()
        lab.run(0.1)
        assert len(lab.machine.outbox.items) <= 15
    assert lab.sequences == lab.log


def test_a_consumer_that_stays_slow_sees_everything_once() -> None:
    lab = Lab(buffer=Buffer(max_events=4), history=History(page_size=2)).live()
    lab.auto_take = False
    for sequence in range(1, 200):
        lab.publish(sequence)
        lab.run(0.05)
        if sequence % 3 == 0 and lab.machine.outbox.items:
            lab.take()
    while len(lab.taken) < 199:
        if lab.machine.outbox.items:
            lab.take()
        lab.run(0.5)
    assert lab.sequences == list(range(1, 200))


def test_bytes_count_as_well_as_events() -> None:
    lab = Lab(buffer=Buffer(max_events=1000, max_bytes=2048)).live()
    lab.auto_take = False
    lab.publish(*range(1, 40))
    lab.run(0.5)
    assert lab.is_in(State.SPILLING)
    assert lab.machine.outbox.bytes < 4096


def test_pings_are_answered_while_the_consumer_does_nothing() -> None:
    lab = Lab().live()
    lab.auto_take = False
    lab.publish(*range(1, 500))
    lab.run(0.1)
    lab.ping("now")
    assert lab.effects[-1] == do.SendPong(1, "now")


def test_without_history_a_full_outbox_stops_the_reading_and_drops_nothing() -> None:
    lab = Lab(history=None, buffer=Buffer(max_events=4)).start().run(0.1)
    lab.auto_take = False
    for sequence in range(1, 5):
        lab.deliver(1, event(sequence))
    assert lab.machine.blocked
    assert lab.is_in(State.LIVE)
    lab.take()
    assert lab.machine.blocked
    lab.take()
    assert not lab.machine.blocked
