"""Backoff, liveness, tokens, causes."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from tests.watchmanager.lab import TOPIC, Lab, event
from watchmanager import errors
from watchmanager._core import effects as do
from watchmanager._core import inputs as happened
from watchmanager._core.backoff import Pacer
from watchmanager._core.classify import CODES, FATAL, Remedy, classify
from watchmanager._core.status import State
from watchmanager._core.timers import Timer, Timers
from watchmanager._core.token import Credential, refresh_after
from watchmanager.policy import Backoff, Buffer, History, Keepalive


# ---------------------------------------------------------------- backoff
def test_waits_grow_up_to_the_cap_and_are_spread_over_the_whole_range() -> None:
    waits = []
    for seed in range(400):
        pacer = Pacer(Backoff(initial=0.5, maximum=60), Random(seed))
        waits.append([pacer.failed() for _ in range(12)])
    for number, bound in enumerate((0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60, 60)):
        column = [each[number] for each in waits]
        assert max(column) <= bound
        assert max(column) > 0.95 * bound
        assert min(column) < 0.05 * bound


def test_no_number_of_failures_overflows() -> None:
    pacer = Pacer(Backoff(multiplier=10.0), Random(1))
    pacer.failures = 10**9
    assert 0 <= pacer.failed() <= 60


def test_after_a_stream_that_had_delivered_the_wait_is_a_second_at_most() -> None:
    waits = []
    for seed in range(50):
        pacer = Pacer(Backoff(), Random(seed))
        for _ in range(5):
            pacer.failed()
        waits.append(pacer.ended(heard=True, lived=0.1))
    # Spread over all of it: a fleet that was cut off together does not come back together.
    assert 0.0 <= min(waits) < 0.1
    assert 0.9 < max(waits) <= 1.0
    assert len(set(waits)) == 50


def test_a_server_that_keeps_cutting_young_streams_is_asked_more_slowly() -> None:
    pacer = Pacer(Backoff(), Random(1))
    waits = [pacer.ended(heard=True, lived=0.5) for _ in range(60)]
    assert max(waits[:8]) <= 1.0
    assert 2.0 < max(waits[30:]) <= 5.0


def test_failures_are_forgotten_only_after_a_word_on_a_stream_that_lived() -> None:
    pacer = Pacer(Backoff(min_life=10), Random(1))
    for _ in range(10):
        pacer.failed()
    pacer.ended(heard=False, lived=1000)
    assert pacer.failures == 11
    pacer.ended(heard=True, lived=9.9)
    assert pacer.failures == 11
    pacer.ended(heard=True, lived=10)
    assert pacer.failures == 0


def test_a_clean_end_without_a_word_is_a_failure_like_any_other() -> None:
    lab = Lab(subscribe_grace=1e6)
    lab.refuse = (0, "")
    lab.start(0).run(600)
    assert 5 < len(lab.did(do.OpenStream)) < 60


def test_that_a_stream_stands_is_no_reason_to_forget_failures() -> None:
    lab = Lab(subscribe_grace=1e6).start(0)
    for _ in range(1200):
        if lab.stream is not None:
            lab.cut(14)
        lab.run(0.5)
    assert 5 < len(lab.did(do.OpenStream)) < 60


def test_a_refusing_server_is_not_hammered() -> None:
    lab = Lab()
    lab.refuse = (14, "down")
    lab.start(0).run(600)
    assert len(lab.did(do.OpenStream)) < 60
    lab.refuse = None
    lab.run(61)
    lab.ping()
    lab.run(1)
    assert lab.is_in(State.LIVE)


def test_the_channel_is_renewed_after_three_streams_that_never_stood() -> None:
    lab = Lab()
    lab.refuse = (14, "down")
    lab.start(0).run(30)
    assert len(lab.did(do.RenewChannel)) == len(lab.did(do.OpenStream)) // 3


def test_a_call_that_never_stands_is_given_up() -> None:
    lab = Lab(connect_timeout=5.0)
    lab.silent_open = True
    lab.start(0).run(5.1)
    assert lab.did(do.CloseStream) == [do.CloseStream(1)]
    assert isinstance(lab.machine.status().last_error, errors.ConnectTimeout)
    lab.silent_open = False
    lab.run(3)
    assert lab.is_in(State.CATCHING_UP, State.LIVE)


@pytest.mark.parametrize(("limit", "renewed"), [(5.0, 1), (4.0, 0)])
def test_a_call_that_did_not_stand_for_long_costs_its_connection(limit: float, renewed: int) -> None:
    lab = Lab(connect_timeout=limit)
    lab.silent_open = True
    lab.start(0).run(limit + 0.1)
    assert len(lab.did(do.RenewChannel)) == renewed


@pytest.mark.parametrize(
    ("after", "word", "renewed"),
    [(6.0, False, 1), (6.0, True, 0), (4.0, False, 0)],
    ids=["stood too late", "and heard something", "stood in time"],
)
@pytest.mark.parametrize("code", [0, 4, 14, 16])
def test_a_call_that_stood_late_and_heard_nothing_costs_its_connection(
    after: float, word: bool, renewed: int, code: int
) -> None:
    lab = Lab()
    lab.silent_open = True
    lab.start(0).run(after)
    lab.feed(happened.StreamOpened(1))
    if word:
        lab.feed(happened.PingReceived(1, "p"))
    lab.silent_open = False
    lab.feed(happened.StreamEnded(1, code, "why it ended"))
    lab.run(3)
    assert len(lab.did(do.RenewChannel)) == renewed
    assert lab.machine.attempt == 2


def test_a_message_that_is_no_event_costs_the_stream_not_the_event() -> None:
    lab = Lab().live()
    lab.stream_loses = {1}
    lab.publish(1)
    lab.feed(happened.StreamBroken(1, errors.DecodeError("garbage")))
    lab.run(5)
    assert lab.sequences == [1]
    assert lab.machine.attempt == 2


# ---------------------------------------------------------------- liveness
def test_a_ping_is_answered_at_once_with_its_id() -> None:
    lab = Lab().live()
    assert lab.feed(happened.PingReceived(1, "abc")) == [do.SendPong(1, "abc")]


def test_a_stream_silent_from_the_start_is_replaced() -> None:
    lab = Lab(keepalive=Keepalive(silence=30)).start(0).run(29.9)
    assert lab.machine.attempt == 1
    lab.run(2)
    assert lab.machine.attempt == 2
    assert isinstance(lab.machine.status().last_error, errors.PeerUnresponsive)


def test_the_rhythm_of_pings_is_learned_and_its_loss_noticed() -> None:
    lab = Lab(keepalive=Keepalive(silence_minimum=60)).live()
    for _ in range(4):
        lab.run(40)
        lab.ping()
    assert lab.machine.status().ping_interval == pytest.approx(40, abs=0.3)
    lab.run(99)
    assert lab.machine.attempt == 1
    lab.run(3)
    assert lab.machine.attempt == 2


def test_silence_is_noticed_by_a_tick_that_comes_exactly_on_time(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = 0
    due = Timers.due

    def counted(self: Timers, now: float) -> Timer | None:
        nonlocal asked
        asked += 1
        assert asked < 10_000, "the timer is set for now, again and again"
        return due(self, now)

    monkeypatch.setattr(Timers, "due", counted)
    for number in range(30):  # sums of floats are rounded up or down
        lab = Lab(keepalive=Keepalive(silence=30)).live()
        lab.run(1.0 + number / 7)
        lab.ping()
        attempt = lab.machine.attempt
        while lab.machine.attempt == attempt and lab.machine.state is State.LIVE:
            lab.now = lab.machine._timers.at(Timer.SILENCE) or 0.0
            lab.feed(happened.Tick())
        assert isinstance(lab.machine.status().last_error, errors.PeerUnresponsive)


def test_without_pings_a_quiet_topic_is_left_alone() -> None:
    lab = Lab().live()
    lab.run(86_400)
    assert lab.machine.attempt == 1


def test_silence_is_not_judged_while_we_do_not_read() -> None:
    lab = Lab(history=None, keepalive=Keepalive(silence=30), buffer=Buffer(max_events=4)).start().run(0.1)
    lab.auto_take = False
    for sequence in range(1, 6):
        lab.deliver(1, event(sequence))
    assert lab.machine.blocked
    lab.run(300)
    assert lab.machine.attempt == 1
    lab.auto_take = True
    lab.take_all()
    lab.run(61)
    assert lab.machine.attempt == 2


def test_events_count_as_signs_of_life() -> None:
    lab = Lab(keepalive=Keepalive(silence=30)).live()
    for sequence in range(1, 20):
        lab.run(20)
        lab.publish(sequence)
    assert lab.machine.attempt == 1


def test_a_question_to_history_is_forgotten_when_the_peer_behind_it_is_dead() -> None:
    lab = Lab()
    lab.log = [1]
    lab.history_delay = 1e6  # a black hole
    lab.start(0).run(1)
    assert len(lab.asked) == 1
    lab.history_delay = 0.02
    lab.cut(14, "ping timeout")
    assert lab.did(do.RenewHistory)
    lab.run(5)
    assert len(lab.asked) > 1
    assert lab.sequences == [1]


def test_the_status_says_within_which_time_a_dead_peer_is_noticed() -> None:
    assert Lab().machine.status().dead_peer_bound == 60
    assert Lab(keepalive=Keepalive(interval=1, timeout=1)).machine.status().dead_peer_bound == 2
    assert Lab(keepalive=Keepalive(silence=15)).machine.status().dead_peer_bound == 15


def test_a_stream_that_fell_silent_is_replaced_over_another_connection() -> None:
    lab = Lab(keepalive=Keepalive(silence=15)).live()
    lab.run(20)
    assert isinstance(lab.machine.status().last_error, errors.PeerUnresponsive)
    assert lab.did(do.RenewChannel) == [do.RenewChannel()]


def test_too_many_pings_halve_the_rate_of_ours() -> None:
    lab = Lab().live()
    lab.cut(14, "Too many pings")
    assert lab.did(do.RenewChannel) == [do.RenewChannel(slower=True)]
    assert lab.machine.status(keepalive_factor=2.0).keepalive == 100
    assert isinstance(lab.machine.status().last_error, errors.TooManyPings)


def test_the_status_tells_why_and_when() -> None:
    lab = Lab()
    lab.refuse = (14, "HTTP proxy returned response code 407")
    lab.start(0).run(0.05)
    status = lab.machine.status(wall_minus_now=1000.0)
    assert status.state is State.BACKING_OFF
    assert "407" in status.why
    assert status.next_retry_at is not None
    assert status.next_retry_at > 1000
    assert isinstance(status.last_error, errors.ProxyError)
    assert status.last_error.status == 407
    assert not status.healthy


def test_while_too_much_waits_a_watch_is_healthy_as_long_as_history_answers() -> None:
    lab = Lab(buffer=Buffer(max_events=4)).live()
    lab.auto_take = False
    lab.history_fails = errors.HistoryUnreachable("no answer")
    lab.publish(*range(1, 20))
    lab.run(0.01)
    assert lab.is_in(State.SPILLING)
    assert lab.machine.status().healthy
    for _ in range(3):
        lab.take()
    lab.run(0.1)
    assert not lab.machine.status().healthy
    lab.history_fails = None
    lab.run(60)
    assert lab.is_in(State.SPILLING)
    assert lab.machine.status().healthy


def test_a_watch_is_not_well_again_before_history_has_answered() -> None:
    lab = Lab()
    lab.log = [1]
    lab.history_fails = errors.HistoryError("did not answer in time")
    lab.start(0).run(5)
    assert lab.is_in(State.CATCHING_UP)
    lab.history_delay = 1e9  # the next try is under way and stays so
    lab.run(120)
    status = lab.machine.status()
    assert status.next_retry_at is None
    assert status.history_fails
    assert not status.healthy
    lab.history_fails = None
    lab.feed(happened.HistoryFetched(lab.did(do.FetchHistory)[-1].request, [event(1)]))
    assert lab.machine.status().healthy


def test_a_status_counts_what_waits_and_tells_since_when_and_whether_all_is_well() -> None:
    lab = Lab(keepalive=Keepalive(interval=100, timeout=20))
    lab.auto_take = False

    def told() -> tuple[State, float, int, bool, float]:
        status = lab.machine.status(wall_minus_now=1000.0)
        return status.state, round(status.since - 1000.0, 6), status.lag, status.healthy, status.dead_peer_bound

    assert told() == (State.IDLE, 0.0, 0, False, 120.0)
    lab.now = 1.0
    lab.start(0)
    assert told() == (State.CONNECTING, 1.0, 0, False, 120.0)
    lab.history_delay = 1e9
    lab.run(1.0)
    stood = lab.when(do.FetchHistory)[0]
    assert 1.0 < stood < 2.0
    assert told() == (State.CATCHING_UP, round(stood, 6), 0, True, 120.0)
    lab.publish(2)  # waits for what history will say, and counts
    lab.run(0.1)
    assert told() == (State.CATCHING_UP, round(stood, 6), 1, True, 120.0)
    lab.history_delay = 0.02
    lab.log.insert(0, 1)
    lab.feed(happened.HistoryFetched(lab.did(do.FetchHistory)[-1].request, [event(1)]))
    assert told() == (State.CATCHING_UP, round(stood, 6), 2, True, 120.0)
    lab.run(0.5)
    live = next(at for at, each in lab.times if isinstance(each, do.Entered) and each.state is State.LIVE)
    assert stood < live < lab.now
    assert told() == (State.LIVE, round(live, 6), 2, True, 120.0)
    lab.publish(3)
    lab.run(0.1)
    assert told() == (State.LIVE, round(live, 6), 3, True, 120.0)
    lab.take()
    assert told() == (State.LIVE, round(live, 6), 2, True, 120.0)
    for _ in range(2):
        lab.ping()
        lab.run(40)
    assert told() == (State.LIVE, round(live, 6), 2, True, 100.0)  # two and a half times the rhythm of its PINGs
    lab.refuse = (14, "connection refused")
    cut = lab.now
    lab.cut()
    assert told() == (State.BACKING_OFF, round(cut, 6), 2, False, 100.0)
    lab.take_all()
    while lab.is_in(State.BACKING_OFF):
        lab.run(0.01)
    assert told() == (State.CONNECTING, round(lab.when(do.OpenStream)[-1], 6), 0, False, 100.0)
    lab.run(0.5)
    lab.feed(happened.Crashed(RuntimeError("x")))
    assert told() == (State.FAILED, round(lab.now, 6), 0, False, 100.0)
    lab.run(1)
    lab.feed(happened.Close())
    assert told()[3] is False


def test_reconnects_are_streams_that_stood_after_the_first() -> None:
    lab = Lab().live()
    lab.refuse = (14, "no")
    lab.cut()
    lab.run(60)
    assert lab.machine.attempt > 3
    assert lab.machine.status().reconnects == 0
    lab.refuse = None
    lab.run(60)
    assert lab.machine.status().reconnects == 1


# ---------------------------------------------------------------- tokens
def test_a_token_is_refreshed_at_four_fifths_of_its_life_at_the_latest() -> None:
    for seed in range(100):
        assert 0.76 * 100 <= refresh_after(100, Random(seed)) <= 80


def test_every_page_and_every_stream_is_asked_for_with_a_token_that_lives() -> None:
    lab = Lab(history=History(page_size=1))
    lab.token_life, lab.history_delay = 10.0, 1.0
    lab.log = list(range(1, 61))
    fetched: dict[Credential, float] = {}
    lab.start(0)
    lab.run(30)
    lab.refuse = (14, "down")  # the waits outlive tokens, too
    lab.cut()
    lab.run(60)
    lab.refuse = None
    lab.run(120)
    assert lab.sequences == lab.log
    for at, effect in lab.times:
        match effect:
            case do.OpenStream(credential=credential) | do.FetchHistory(credential=credential):
                assert at - fetched.setdefault(credential, at) < 10.0
    assert len(fetched) > 8


def test_the_refreshed_token_goes_to_the_stream() -> None:
    lab = Lab()
    lab.token_life = 100.0
    lab.live()
    lab.run(80.1)
    assert [each.attempt for each in lab.did(do.SendToken)] == [1]
    lab.run(400)
    assert len(lab.did(do.SendToken)) == 6
    assert lab.machine.attempt == 1


def test_a_provider_that_returns_the_same_token_is_asked_again_but_not_in_a_loop() -> None:
    lab = Lab()
    lab.live()
    lab.same_token = True
    lab.feed(happened.TokenFetched(Credential("token-1"), 10.0))
    for left in (2.0, 0.4, 0.1):
        lab.run(lab.machine.deadline() - lab.now)  # type: ignore[operator]
        lab.token_life = left
        lab.run(0.02)
    assert lab.did(do.SendToken) == []
    assert len(lab.did(do.FetchToken)) < 8


def overdue(**changes: Any) -> Lab:
    """A live stream whose token has ended, and a provider in trouble."""
    lab = Lab(**changes)
    lab.token_life = 100.0
    lab.live()
    lab.token_fails = errors.TokenProviderError("the identity provider is down")
    lab.run(99)
    assert len(lab.did(do.FetchToken)) > 4
    lab.run(30)
    assert lab.stream == lab.machine.attempt == 1
    return lab


def recover(lab: Lab) -> Lab:
    """The provider is well again; until the next stream is asked for."""
    lab.token_fails, lab.token_life, lab.may_overlap = None, 1000.0, True
    while len(lab.did(do.OpenStream)) < 2:
        lab.run(0.005)
    return lab


def test_a_stream_outlives_its_token_and_is_closed_when_one_with_a_new_token_stands() -> None:
    lab = overdue()
    assert lab.is_in(State.LIVE)
    assert not lab.did(do.CloseStream)
    assert "the token ended" in lab.machine.status().why
    assert isinstance(lab.machine.status().last_error, errors.TokenProviderError)
    lab.publish(1)
    lab.run(1)
    assert lab.sequences == [1]
    asked = len(lab.did(do.FetchToken))
    lab.run(600)
    assert 10 < len(lab.did(do.FetchToken)) - asked < 60  # with backoff
    recover(lab)
    lab.publish(2)  # while there are two
    lab.run(1)
    assert lab.did(do.CloseStream) == [do.CloseStream(1)]
    assert lab.stream == 2
    order = [each for each in lab.effects if isinstance(each, (do.OpenStream, do.CloseStream))]
    assert [type(each) for each in order] == [do.OpenStream, do.OpenStream, do.CloseStream]
    assert not lab.did(do.SendToken)
    lab.publish(3)
    lab.ping()
    lab.run(5)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [1, 2, 3]
    assert "token" not in lab.machine.status().why


def test_without_history_a_late_token_goes_to_the_stream_that_stands() -> None:
    lab = overdue(history=None)
    lab.token_fails = None
    lab.run(120)
    assert [each.attempt for each in lab.did(do.SendToken)][:1] == [1]
    assert len(lab.did(do.OpenStream)) == 1


def test_a_server_that_ends_a_stream_with_its_token_is_asked_again_when_there_is_a_new_one() -> None:
    lab = overdue()
    lab.cut(16, "token expired")
    lab.run(60)
    assert len(lab.did(do.OpenStream)) == 1
    lab.token_fails = None
    lab.run(70)
    assert lab.stream is not None


def test_a_stream_that_ends_while_its_successor_opens_leaves_the_way_to_it() -> None:
    lab = recover(overdue())
    lab.cut(16, "token expired")
    assert lab.is_in(State.CONNECTING)
    lab.run(1)
    assert lab.stream == 2
    assert [each.attempt for each in lab.did(do.OpenStream)] == [1, 2]
    assert lab.is_in(State.CATCHING_UP, State.LIVE)


def test_a_fatal_end_of_the_old_stream_ends_the_successor_too() -> None:
    lab = recover(overdue())
    lab.cut(5, "no such topic")
    assert lab.is_in(State.FAILED)
    assert lab.did(do.CloseStream) == [do.CloseStream(2)]


@pytest.mark.parametrize("how", ["refused", "never stands"])
def test_a_successor_that_comes_to_nothing_is_an_ordinary_failure(how: str) -> None:
    lab = overdue(connect_timeout=5.0)
    if how == "refused":
        lab.refuse = (14, "connection refused")
    else:
        lab.silent_open = True
    recover(lab).run(5.1)
    assert do.CloseStream(1) in lab.did(do.CloseStream)
    assert isinstance(lab.machine.status().last_error, errors.ConnectError)
    lab.refuse, lab.silent_open = None, False
    lab.publish(1)
    lab.run(10)
    lab.ping()
    lab.run(1)
    assert lab.is_in(State.LIVE)
    assert lab.sequences == [1]
    numbers = [each.attempt for each in lab.did(do.OpenStream)]
    assert numbers == sorted(set(numbers))


def test_seeking_while_a_successor_opens_closes_both_and_uses_no_number_twice() -> None:
    lab = recover(overdue())
    lab.feed(happened.Sought(0))
    assert lab.did(do.CloseStream) == [do.CloseStream(2), do.CloseStream(1)]
    lab.run(1)
    assert [each.attempt for each in lab.did(do.OpenStream)] == [1, 2, 3]
    assert lab.stream == 3


def test_a_refused_token_is_replaced_and_tried_at_once() -> None:
    lab = Lab().live()
    lab.run(20)
    lab.cut(16, "token expired")
    assert isinstance(lab.effects[-1], do.FetchToken)
    assert lab.effects[-1].instead_of == Credential("token-1")
    lab.run(0.1)
    assert lab.did(do.OpenStream)[-1].credential == Credential("token-2")


def test_a_second_refusal_waits() -> None:
    lab = Lab().live()
    lab.run(20)
    lab.refuse = (16, "no")
    lab.cut(16, "no")
    lab.run(0.035)
    assert lab.is_in(State.BACKING_OFF)
    lab.run(300)
    assert len(lab.did(do.OpenStream)) < 25


def test_a_server_that_speaks_and_refuses_at_once_is_not_asked_without_a_pause() -> None:
    lab = Lab(subscribe_grace=1e6).start(0).run(0.1)
    lab.ping()
    lab.cut(16, "no")
    assert lab.is_in(State.BACKING_OFF)


def test_so_many_refusals_end_the_watch() -> None:
    lab = Lab(auth_attempts=3)
    lab.refuse = (16, "no")
    lab.start(0).run(60)
    assert lab.is_in(State.FAILED)
    assert isinstance(lab.machine.error, errors.Unauthenticated)
    assert len(lab.did(do.OpenStream)) == 3


def test_a_provider_that_fails_at_the_start_is_asked_again_with_backoff() -> None:
    lab = Lab()
    lab.token_fails = errors.TokenProviderError("down")
    lab.start(0).run(120)
    assert lab.is_in(State.BACKING_OFF)
    assert 5 < len(lab.did(do.FetchToken)) < 30
    assert not lab.did(do.OpenStream)


def test_a_fixed_token_that_has_ended_ends_the_watch() -> None:
    lab = Lab()
    ended = errors.TokenExpired("it is a fixed text")
    ended.retryable = False
    lab.token_fails = ended
    lab.start(0).run(1)
    assert lab.machine.error is ended


def test_an_expired_token_from_the_provider_is_not_sent() -> None:
    lab = Lab()
    lab.token_life = -1.0
    lab.start(0).run(5)
    assert not lab.did(do.OpenStream)
    assert isinstance(lab.machine.status().last_error, errors.TokenExpired)


def test_history_that_refuses_the_token_gets_a_new_one_once_and_the_stream_gets_it_too() -> None:
    lab = Lab()
    lab.log = [1]
    lab.history_fails = errors.Unauthenticated("401")
    lab.start(0).run(0.055)
    lab.history_fails = None
    lab.run(0.5)
    assert lab.sequences == [1]
    assert lab.did(do.SendToken)
    assert lab.did(do.FetchHistory)[-1].credential == Credential("token-2")
    assert lab.machine.attempt == 1


def test_tokens_do_not_show() -> None:
    secret = Credential("very-secret")
    for shown in (repr(secret), str(secret), repr(do.OpenStream(1, secret)), f"{happened.TokenFetched(secret, 1.0)}"):
        assert "very-secret" not in shown


# ---------------------------------------------------------------- causes
@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (14, "failed to connect to all addresses; last error: ... Connection refused", errors.ConnectError),
        (14, "errors resolving nowhere.invalid: [C-ares ... Domain name not found]", errors.NameResolutionError),
        (14, "Tls handshake failed (TSI_PROTOCOL_FAILURE): SSL_ERROR_SSL: certificate verify failed", errors.TLSError),
        (14, "Hostname Verification Check failed.", errors.TLSError),
        (14, "Cannot check peer: missing selected ALPN property.", errors.NotGrpcError),
        (14, "Tls handshake failed: Cannot check peer: missing selected ALPN property.", errors.NotGrpcError),
        (14, "HTTP proxy returned response code 403", errors.ProxyError),
        (14, "Failed parsing HTTP/2 (Expected SETTINGS frame as the first frame, got 80)", errors.NotGrpcError),
        (12, "Received http2 header with status: 404", errors.NotGrpcError),
        (14, "ping timeout", errors.PeerUnresponsive),
        (14, "Stream removed (ping timeout)", errors.PeerUnresponsive),
        (14, "keepalive watchdog timeout", errors.PeerUnresponsive),
        (14, "Too many pings", errors.TooManyPings),
        (14, "Connection reset by peer", errors.StreamReset),
        (14, "Socket closed", errors.StreamReset),
        (8, "CLIENT: Received message larger than max (5000000 vs. 4194304)", errors.EventTooLarge),
        (0, "", errors.ServerClosed),
        (1, "", errors.ServerClosed),
        (16, "", errors.Unauthenticated),
        (7, "", errors.PermissionDenied),
        (5, "", errors.TopicNotFound),
        (12, "unknown method", errors.UnsupportedServer),
        (3, "selfLink", errors.UnsupportedServer),
        (13, "boom", errors.StreamError),
        (99, "strange", errors.StreamError),
    ],
)
def test_a_status_becomes_a_cause(code: int, details: str, expected: type[errors.WatchError]) -> None:
    verdict = classify(code, details, topic=TOPIC, attempt=3, connected=True)
    assert type(verdict.error) is expected
    assert verdict.error.attempt == 3
    assert verdict.error.topic == TOPIC
    assert verdict.error.details == details


def test_every_code_has_a_remedy_and_only_the_named_ones_stop() -> None:
    for number, name in enumerate(CODES):
        verdict = classify(number, "", topic=TOPIC, attempt=1, connected=True)
        expected = Remedy.STOP if name in FATAL else Remedy.TOKEN if name == "UNAUTHENTICATED" else Remedy.RETRY
        assert verdict.remedy is expected, name
        assert verdict.error.retryable is (expected is not Remedy.STOP)


def test_a_fatal_code_ends_the_watch_with_its_cause() -> None:
    lab = Lab().live()
    lab.cut(5, "no such topic")
    assert lab.is_in(State.FAILED)
    assert isinstance(lab.machine.error, errors.TopicNotFound)
    assert lab.effects[-1] == do.Finished(lab.machine.error)


def test_a_code_the_user_calls_transient_is_retried() -> None:
    lab = Lab(transient=frozenset({"PERMISSION_DENIED"})).live()
    lab.cut(7, "identity provider is down")
    assert lab.is_in(State.BACKING_OFF)
    assert getattr(lab.machine.status().last_error, "retryable", None) is True
    assert errors.PermissionDenied.retryable is False


@pytest.mark.parametrize("transient", [False, True])
def test_an_error_says_whether_the_watch_itself_tries_again(transient: bool) -> None:
    lab = Lab(transient=frozenset({"PERMISSION_DENIED"} if transient else ()))
    lab.history_fails = errors.PermissionDenied("no", code="PERMISSION_DENIED")
    lab.start(1).run(1)
    assert lab.is_in(State.CATCHING_UP if transient else State.FAILED)
    assert getattr(lab.machine.status().last_error, "retryable", None) is transient


def test_an_error_that_was_retried_for_long_enough_says_that_it_is_not_any_more() -> None:
    lab = Lab(auth_attempts=2)
    lab.history_fails = errors.Unauthenticated("no")
    lab.start(1).run(600)
    assert lab.is_in(State.FAILED)
    assert isinstance(lab.machine.error, errors.Unauthenticated)
    assert not lab.machine.error.retryable


def test_an_oversize_event_is_fetched_from_history() -> None:
    lab = Lab().live()
    lab.stream_loses = {1}
    lab.publish(1)
    lab.cut(8, "CLIENT: Received message larger than max (5000000 vs. 4194304)")
    lab.run(3)
    assert lab.sequences == [1]


# ---------------------------------------------------------------- ends
def test_after_a_failure_what_was_received_before_can_still_be_taken_and_saved() -> None:
    lab = Lab(checkpointing=True).live()
    lab.auto_take = False
    lab.publish(1, 2)
    lab.run(0.01)
    lab.cut(5, "gone")
    lab.take_all()
    lab.run(2)
    assert lab.sequences == [1, 2]
    assert lab.store[-1] == 2


def test_what_was_processed_just_before_a_failure_is_saved_after_it() -> None:
    lab = Lab(checkpointing=True).live()
    lab.run(2)
    lab.publish(1, 2)
    lab.run(0.01)
    assert 2 not in lab.store
    lab.cut(5, "gone")
    assert lab.is_in(State.FAILED)
    lab.run(2)
    assert lab.store[-1] == 2


def test_a_closed_machine_says_nothing_to_anything() -> None:
    lab = Lab().live()
    lab.feed(happened.Close())
    assert lab.is_in(State.CLOSED)
    assert lab.machine.deadline() is None
    attempt = lab.machine.attempt
    for each in _EVERY_INPUT(attempt):
        assert lab.machine.handle(each, lab.now + 100) == ()


def _EVERY_INPUT(attempt: int) -> list[happened.Input]:
    return [
        happened.Start(),
        happened.Tick(),
        happened.TokenFetched(Credential("x"), 10.0),
        happened.TokenFailed(errors.TokenProviderError("x")),
        happened.StreamOpened(attempt),
        happened.EventReceived(attempt, event(10**9)),
        happened.PingReceived(attempt, "x"),
        happened.StreamBroken(attempt, errors.DecodeError("x")),
        happened.StreamEnded(attempt, 14, ""),
        happened.HistoryFetched(1, []),
        happened.HistoryGone(1, None),
        happened.HistoryFailed(1, errors.HistoryError("x")),
        happened.Drained(),
        happened.Resynced(),
        happened.Sought(5),
        happened.CheckpointSaved(1),
        happened.CheckpointFailed(1, errors.CheckpointError("x")),
        happened.Crashed(RuntimeError("x")),
        happened.Close(),
    ]


def test_every_input_is_decided_in_every_state() -> None:
    def idle() -> Lab:
        return Lab()

    def connecting() -> Lab:
        return Lab().start(0)

    def catching_up() -> Lab:
        return Lab(subscribe_grace=100.0).start(0).run(1)

    def live() -> Lab:
        return Lab().live()

    def backing_off() -> Lab:
        lab = Lab().live()
        lab.cut()
        return lab

    def failed() -> Lab:
        lab = Lab().live()
        lab.cut(5)
        return lab

    makers = (idle, connecting, catching_up, live, backing_off, failed)
    for make in makers:
        for number in range(len(_EVERY_INPUT(0))):
            for offset in (0, 1):  # of this stream or of another
                lab = make()
                each = _EVERY_INPUT(lab.machine.attempt + offset)[number]
                lab.feed(each)
                lab.run(5)
                if isinstance(each, happened.Close):
                    assert lab.is_in(State.CLOSED)
                elif make is failed:
                    assert lab.is_in(State.FAILED)
