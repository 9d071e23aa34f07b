"""What the lab reads out of journals that were written by hand: every answer, and every honest "unknown"."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mockcentral.lab import card as cards
from mockcentral.lab.card import MEASURES, Card, measure
from mockcentral.lab.measurement import Measurement, duration
from mockcentral.lab.reconnecting import fit
from tests.mockcentral.conformance.journals import Tape

NO_ERROR, CALM = 0, 11
NAMES = [one.name for one in measure([]).measurements]


class Bench(Tape):
    """A tape whose lines stand at the time a test says."""

    def __init__(self) -> None:
        super().__init__()
        self.t = 0.0

    def add(self, kind: str, **fields: Any) -> dict[str, Any]:
        at = self.t
        line = super().add(kind, **fields)
        self.t = line["t"] = at
        return line

    def at(self, t: float) -> Bench:
        self.t = t
        return self

    def connect(self, conn: int, protocol: str = "h2") -> Bench:
        self.add("conn.open", conn=conn, peer="peer:1", protocol=protocol)
        return self

    def stream(self, attempt: int, conn: int, **fields: Any) -> Bench:
        self.open(attempt, conn=conn)
        self.subscribe(attempt, **fields)
        return self

    def pings(self, conn: int, *times: float, first: int = 1, what: str = "acked") -> Bench:
        for nth, t in enumerate(times, first):
            self.at(t).http2_ping(conn, nth, what)
        return self

    def strike(self, name: str, do: str, conn: int, **settings: Any) -> Bench:
        self.add("fault.armed", fault=name, do=do, anchor="stream_open", settings=settings)
        self.add("fault.triggered", fault=name, do=do, anchor="stream_open", conn=conn)
        self.add("fault.on_wire", fault=name, conn=conn)
        return self

    def done(self, t: float) -> Card:
        self.at(t).stop()
        return measure(self.lines)


def bench() -> Bench:
    """A connection and a stream at 1 s."""
    return Bench().at(1.0).connect(1).stream(1, 1)


# ------------------------------------------------------------------------------------------ keepalive
def test_the_interval_is_the_pause_between_pings_on_a_quiet_stream() -> None:
    one = bench().pings(1, 2.0, 3.0, 4.1).done(5.0)["keepalive_interval"]
    assert (one.value, one.low, one.high, one.samples) == (1.05, 1.0, 1.1, 2)
    assert one.says == "1.05 s (1.00 s to 1.10 s, 2 samples)"
    assert len(one.evidence) == 3


def test_a_ping_that_answers_data_is_no_keepalive() -> None:
    tape = bench().at(1.5)
    tape.send(1, 100)
    # The first measures the line, whenever it comes; only those after it are known to be keepalive.
    one = tape.pings(1, 1.6, 2.2, 3.2).done(4.0)["keepalive_interval"]
    assert (one.value, one.samples) == (1.0, 1)


def test_data_between_two_pings_starts_the_clock_again() -> None:
    tape = bench().pings(1, 2.0, 3.0).at(3.5)
    tape.send(1, 100)
    assert tape.pings(1, 3.6, 4.6, first=3).done(5.0)["keepalive_interval"].samples == 1


def test_without_pings_the_interval_is_longer_than_what_was_waited() -> None:
    tape = bench().at(3.0)
    tape.send(1, 100)
    one = tape.done(13.0)["keepalive_interval"]
    assert (one.value, one.low, one.unknown) == (None, 10.0, None)
    assert one.says == "none in 10.0 s of quiet"


def test_pauses_that_are_too_different_are_no_interval() -> None:
    one = bench().pings(1, 2.0, 3.0, 63.0).done(64.0)["keepalive_interval"]
    assert (one.value, one.low, one.high, one.says) == (None, 1.0, 60.0, "irregular: 1.00 s, 60.0 s")


def test_a_single_ping_tells_about_when_the_first_one_comes() -> None:
    one = bench().pings(1, 3.5).done(4.0)["keepalive_interval"]
    assert (one.value, one.samples) == (2.5, 1)
    assert "only one PING" in one.says


def test_pings_that_stop_on_a_quiet_stream_are_told() -> None:
    one = bench().pings(1, 2.0, 3.0).done(30.0)["keepalive_interval"]
    assert one.value == 1.0
    assert "after 2 PINGs without data no more for 27.0 s" in one.says


def test_silence_of_a_dead_connection_is_not_quiet() -> None:
    tape = bench().at(2.0).strike("cable", "blackhole", 1)
    assert tape.done(60.0)["keepalive_interval"].low == 1.0


def test_the_ack_timeout_runs_from_the_unacked_ping_to_the_end_of_the_connection() -> None:
    tape = bench().pings(1, 2.0).pings(1, 3.0, first=2, what="withheld").at(3.5)
    tape.end(1, by="client").close(1)
    one = tape.done(9.0)["ack_timeout"]
    assert (one.value, one.samples) == (0.5, 1)


def test_an_ack_that_comes_late_is_no_timeout() -> None:
    tape = bench().pings(1, 3.0, what="withheld").at(3.4)
    tape.add("ping.acked", conn=1, nth=1)
    assert tape.done(9.0)["ack_timeout"].unknown is not None


def test_a_client_that_waits_for_ever_for_an_ack_has_no_timeout() -> None:
    tape = bench().pings(1, 3.0, what="withheld").at(63.0)
    tape.end(1).close(1, by="server")
    one = tape.done(64.0)["ack_timeout"]
    assert (one.value, one.low, one.says) == (None, 60.0, "none within 60.0 s")


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_dead_peer_is_noticed_by_a_close_or_a_stream_elsewhere(elsewhere: bool) -> None:
    tape = bench().at(2.0).strike("cable", "blackhole", 1).at(3.7)
    if elsewhere:
        tape.connect(2).stream(2, 2)
    else:
        tape.end(1, by="client").close(1)
    assert tape.done(9.0)["dead_peer"].value == 1.7


def test_a_dead_peer_that_was_cut_before_it_was_noticed_was_not_noticed() -> None:
    tape = bench().at(2.0).strike("cable", "blackhole", 1).at(32.0)
    tape.end(1).close(1, by="server")
    one = tape.at(32.3).connect(2).stream(2, 2).done(40.0)["dead_peer"]
    assert (one.value, one.says) == (None, "not within 30.0 s")


def test_pings_on_a_connection_without_a_stream_are_seen() -> None:
    tape = bench().pings(1, 2.0, 3.0).at(3.5)
    tape.end(1)
    assert tape.pings(1, 4.0, 5.0, first=3).done(6.0)["pings_without_streams"].value == "yes"


def test_a_ping_for_the_bandwidth_is_no_ping_without_a_stream() -> None:
    tape = bench().pings(1, 2.0, 3.0).at(3.4)
    tape.send(1, 100)
    tape.at(3.5).end(1)
    assert tape.pings(1, 3.6, first=3).done(8.0)["pings_without_streams"].value == "no"


def test_no_ping_for_long_without_a_stream_is_a_no_and_for_short_unknown() -> None:
    tape = bench().pings(1, 2.0, 3.0).at(3.5)
    tape.end(1)
    assert tape.done(8.0)["pings_without_streams"].value == "no"
    short = bench().pings(1, 2.0, 3.0).at(3.5)
    short.end(1)
    one = short.done(4.0)["pings_without_streams"]
    assert (one.value, one.unknown) == (None, one.says.removeprefix("unknown: "))
    assert "never without a stream for longer than 0.50 s, and its interval is 1.00 s" in one.says


# ------------------------------------------------------------------------------------------ goodbyes
def goodbye() -> Bench:
    return bench().at(2.0).strike("bye", "goaway", 1, error_code=NO_ERROR)


def test_goaway_a_client_may_move_leave_stay_or_ignore_it() -> None:
    moves = goodbye().at(2.5).connect(2).stream(2, 2)
    assert moves.done(9.0)["goaway"].value == "moves"
    leaves = goodbye().at(2.2)
    leaves.end(1, by="client")
    assert leaves.at(2.7).connect(2).stream(2, 2).done(9.0)["goaway"].value == "leaves"
    stays = goodbye().at(5.0)
    stays.end(1)
    one = stays.at(5.25).connect(2).stream(2, 2).done(9.0)["goaway"]
    assert one.value == "stays"
    assert (
        one.says
        == "stays on the open stream until that ends (3.00 s later), then a new connection, 0.25 s after the end"
    )
    ignores = goodbye().at(5.0)
    ignores.end(1)
    assert ignores.at(5.25).stream(2, 1).done(9.0)["goaway"].value == "ignores it"
    assert goodbye().done(9.0)["goaway"].unknown == "no stream was opened after it"


def calmed(*after: float) -> Card:
    tape = bench().pings(1, 2.0, 3.0).at(3.5).strike("calm", "goaway", 1, error_code=CALM)
    tape.end(1).close(1, by="server")
    return tape.at(4.0).connect(2).stream(2, 2).pings(2, *after).done(20.0)


def test_too_many_pings_the_interval_before_and_after_are_compared() -> None:
    one = calmed(6.0, 8.0, 10.0)["too_many_pings"]
    assert one.value == "pings less often"
    assert one.says == "the next stream after 0.50 s; its interval is 2.0 times as long (1.00 s, then 2.00 s)"
    assert calmed(5.0, 6.0)["too_many_pings"].value == "pings on as before"
    assert "unknown whether it pings less" in calmed(6.0)["too_many_pings"].says
    assert "its PINGs are irregular" in calmed(6.0, 8.0, 18.0)["too_many_pings"].says
    # What comes after being told off is not its usual interval.
    assert calmed(6.0, 8.0, 10.0)["keepalive_interval"].value == 1.0


def test_too_many_pings_a_client_may_give_up() -> None:
    tape = bench().at(3.5).strike("calm", "goaway", 1, error_code=CALM)
    tape.end(1).close(1, by="server")
    assert tape.done(20.0)["too_many_pings"].value == "gives up"


# ------------------------------------------------------------------------------------------ reconnecting
def refusals(tape: Bench, first: int, delays: Sequence[float]) -> Bench:
    """Refused calls with these delays after them."""
    for number, delay in enumerate(delays, first):
        tape.open(number, conn=1).end(number)
        tape.at(round(tape.t + delay, 6))
    return tape


def refused(*delays: float) -> Measurement:
    tape = refusals(Bench().at(1.0).connect(1), 1, delays)
    return tape.stream(len(delays) + 1, 1).done(tape.t + 1)["reconnect_after_refusal"]


def test_a_constant_retry_is_told_from_three_delays_on() -> None:
    assert refused(0.25, 0.25, 0.26).says.startswith("always 0.25 s, jitter up to ±4%")
    assert refused(0.25, 0.25, 0.25).says.startswith("always 0.25 s, no jitter seen")
    assert refused(0.0, 0.001, 0.0).says.startswith("at once, every time")
    few = refused(0.25, 0.25)
    assert few.unknown == "only 2 delays in a row were seen: 0.25 s, 0.25 s"


def test_a_growing_retry_has_base_factor_jitter_and_a_cap_when_it_was_reached() -> None:
    says = refused(1.0, 2.0, 4.0, 8.0, 16.0).says
    assert says.startswith("base 1.00 s, factor 2.00, no jitter seen, cap unknown: still growing at 16.0 s")
    assert refused(1.0, 2.0, 4.0, 5.0, 5.0, 5.0).says.count("cap 5.00 s") == 1


@pytest.mark.parametrize(
    "delays", [(0.4, 0.8, 1.0, 1.0, 1.0, 1.0), (0.4, 0.8, 1.04, 0.98, 1.01), (1.0, 2.0, 4.0, 4.1, 3.9)]
)
def test_a_cap_that_is_reached_after_two_delays_is_told(delays: Sequence[float]) -> None:
    law = fit(delays)
    assert law.factor == pytest.approx(2.0)
    assert law.base == delays[0]
    assert law.cap == pytest.approx(max(delays), rel=0.05)


@pytest.mark.parametrize("delays", [(0.4, 0.8, 1.0, 1.0), (0.1, 0.2, 4.0, 4.0, 4.0), (0.4, 0.8, 1.0, 2.0, 0.5, 1.0)])
def test_a_rest_that_growth_does_not_lead_to_is_no_cap(delays: Sequence[float]) -> None:
    assert fit(delays).factor is None


def test_random_delays_are_no_law() -> None:
    one = refused(0.2, 1.4, 0.3, 3.9, 0.5, 7.0)
    assert (one.value, one.samples) == (None, 6)
    assert one.unknown is not None
    assert one.says.startswith("irregular, 0.20 s to 7.00 s: base, factor and cap cannot be told")


def test_growth_is_not_told_from_few_delays() -> None:
    assert refused(1.0, 2.0, 4.0, 8.0).value is None


def test_a_law_that_the_next_series_does_not_follow_is_none() -> None:
    def twice(second: Sequence[float]) -> Measurement:
        tape = refusals(Bench().at(1.0).connect(1), 1, (1.0, 2.0, 4.0, 8.0, 16.0))
        tape.stream(6, 1).at(tape.t + 20)
        tape.send(6, 100).end(6)
        refusals(tape.at(tape.t + 1), 7, second).stream(7 + len(second), 1)
        return tape.done(tape.t + 1)["reconnect_after_refusal"]

    assert twice((1.0, 2.0, 4.0)).value == 1.0
    assert twice((1.0, 0.3, 4.0)).value is None


@given(base=st.floats(0.1, 5.0), factor=st.floats(1.4, 3.0), jitter=st.floats(0.0, 0.15), seed=st.integers(0, 1000))
def test_a_law_is_found_again_in_delays_made_by_it(base: float, factor: float, jitter: float, seed: int) -> None:
    random = Random(seed)
    law = fit([base * factor**place * (1 + random.uniform(-jitter, jitter)) for place in range(7)])
    assert law.factor is not None
    assert law.factor == pytest.approx(factor, rel=0.15)
    assert law.base == pytest.approx(base, rel=0.4)


def test_broken_connections_have_a_law_of_their_own_and_http1_is_not_among_them() -> None:
    tape = Bench().at(1.0)
    for conn in range(1, 5):
        tape.connect(conn * 2).close(conn * 2, by="server")
        tape.connect(conn * 2 + 1, "http/1.1")
        tape.close(conn * 2 + 1, by="server")
        tape.at(tape.t + 0.5)
    card = tape.connect(20).stream(1, 20).done(tape.t + 1)
    assert card["reconnect_after_failure"].value == 0.5
    assert card["reconnect_after_refusal"].unknown is not None


def test_a_connection_that_had_a_call_did_not_fail() -> None:
    tape = Bench().at(1.0)
    for conn in range(1, 6):
        tape.connect(conn).stream(conn, conn).at(tape.t + 0.5).close(conn, by="server")
    assert tape.connect(9).done(tape.t + 1)["reconnect_after_failure"].unknown is not None


def reset(*, events: bool, then: float) -> Measurement:
    tape = refusals(Bench().at(1.0).connect(1), 1, (1.0, 2.0, 4.0, 8.0, 16.0))
    tape.stream(6, 1).at(tape.t + 11)
    if events:
        tape.send(6, 100)
    tape.end(6)
    refusals(tape.at(tape.t + 0.5), 7, (then,))
    return tape.stream(8, 1).done(tape.t + 1)["reconnect_reset"]


@pytest.mark.parametrize(
    ("then", "last", "says"),
    [
        (32.0, 1.1, ["without events: no (then 32.0 s after 16.0 s)", "with events: yes (then 1.10 s after 16.0 s)"]),
        (32.0, 31.0, ["without events: no (then 32.0 s after 16.0 s)", "with events: no (then 31.0 s after 16.0 s)"]),
        (1.1, 1.0, ["without events: yes (then 1.10 s after 16.0 s)"]),
    ],
)
def test_a_pace_that_one_stream_did_not_reset_another_may(then: float, last: float, says: list[str]) -> None:
    tape = refusals(Bench().at(1.0).connect(1), 1, (1.0, 2.0, 4.0, 8.0, 16.0))
    tape.stream(6, 1).at(tape.t + 0.1).end(6)
    refusals(tape.at(tape.t + 0.5), 7, (then,))
    tape.stream(8, 1).at(tape.t + 11).send(8, 100).end(8)
    refusals(tape.at(tape.t + 0.5), 9, (last,))
    found = tape.stream(10, 1).done(tape.t + 1)["reconnect_reset"]
    assert [one.partition(" ms ")[2] or one.partition(" s ")[2] for one in found.says.split("; ")] == says


def test_what_resets_the_pace_is_a_stream_after_which_it_begins_anew() -> None:
    assert reset(events=True, then=1.1).says == "a stream of 11.0 s with events: yes (then 1.10 s after 16.0 s)"
    assert reset(events=False, then=32.0).says == "a stream of 11.0 s without events: no (then 32.0 s after 16.0 s)"


def test_two_streams_at_once_prove_no_reset() -> None:
    tape = refusals(Bench().at(1.0).connect(1), 1, (1.0, 2.0, 4.0, 8.0, 16.0))
    tape.stream(6, 1)
    refusals(tape.at(tape.t + 0.5), 7, (1.1,))  # while that one stands
    tape.end(6)
    found = tape.stream(8, 1).done(tape.t + 1)["reconnect_reset"]
    assert found.unknown == "there were two at once, and it is not known which one a delay belongs to"


@pytest.mark.parametrize(("then", "back"), [(1.1, "yes"), (14.0, "no")])
def test_what_resets_the_pace_of_connections_is_told_too(then: float, back: str) -> None:
    tape = Bench().at(1.0)
    for conn, delay in enumerate((1.0, 1.6, 2.6, 4.1, 6.6, 10.5), 1):
        tape.connect(conn).close(conn, by="server")
        tape.at(round(tape.t + delay, 6))
    tape.connect(7).stream(1, 7).at(tape.t + 0.25)
    tape.end(1)
    tape.close(7, by="server")
    tape.at(tape.t + 0.25)
    tape.connect(8).close(8, by="server")
    tape.at(tape.t + then)
    card = tape.connect(9).stream(2, 9).done(tape.t + 1)
    says = f"a stream of 0.25 s without events: {back} (then {duration(then)} after 10.5 s)"
    assert card["reconnect_failure_reset"].says == says
    assert card["reconnect_reset"].unknown is not None


# ------------------------------------------------------------------------------------------ the service
def test_the_refresh_point_is_a_share_of_the_tokens_whole_life() -> None:
    tape = Bench().at(1.0)
    tape.add("token.issued", client_id="c", life=10.0, token="jwt:12345678")
    tape.at(3.0).connect(1).stream(1, 1, life=8.0).at(9.0)
    tape.request(1, "token_refresh", token="jwt:87654321", token_expires_in=10.0)
    one = tape.done(10.0)["refresh_point"]
    assert (one.value, one.unit) == (0.8, "share of the token's life")


def test_a_stream_that_outlives_its_token_shows_that_there_is_no_refresh() -> None:
    tape = Bench().at(1.0).connect(1).stream(1, 1, life=10.0).at(5.0)
    tape.request(1, "token_refresh", token="jwt:12345678", token_expires_in=6.0)  # the same token is no refresh
    assert tape.done(6.0)["refresh_point"].unknown == "no stream of its lived longer than 50% of its token's life"
    assert Bench().at(1.0).connect(1).stream(1, 1, life=10.0).done(12.0)["refresh_point"].value == "none"


def test_the_page_size_is_what_most_requests_name() -> None:
    tape = bench()
    for size in (1, 100, 100):
        tape.harvest(1)
        tape.lines[-1]["page_size"] = size
    one = tape.done(2.0)["page_size"]
    assert (one.value, one.samples) == (100.0, 3)
    assert one.says.startswith("100; also 1 (3 requests")


# ------------------------------------------------------------------------------------------ the card
def test_an_empty_journal_has_a_card_on_which_everything_is_unknown_with_its_reason() -> None:
    card = measure([])
    assert len(card.measurements) == len(MEASURES) == len(set(NAMES))
    for one in card.measurements:
        assert one.value is None
        assert one.unknown
        assert one.says == f"unknown: {one.unknown}"


def test_a_machine_that_lost_time_is_said_to_have() -> None:
    assert bench().done(2.0)["lost_time"].value == 0.0
    tape = bench()
    for lost in (0.2, 0.5):
        tape.add("clock.stall", cause="loop", lost=lost, since=0.5)
    one = tape.done(2.0)["lost_time"]
    assert (one.value, one.samples) == (0.7, 2)
    assert one.says == "0.70 s in 2 stalls, 0.50 s at once: times may be too long by as much"


def test_what_happens_after_the_client_was_stopped_is_not_measured() -> None:
    tape = bench().pings(1, 2.0, 3.0)
    tape.stop()
    tape.pings(1, 3.2, first=3)
    assert measure(tape.lines)["keepalive_interval"].samples == 1


def test_a_card_is_text_json_and_markdown() -> None:
    tape = bench().pings(1, 2.0, 3.0, 4.0)
    tape.add("client.start", argv=["my client", "--pipe|"])
    card = tape.done(5.0)
    text = cards.text(card)
    assert text.startswith("'my client' '--pipe|'  (test)\n")
    assert "  keepalive interval               1.00 s (2 samples)\n" in text
    assert all(len(line) <= cards.WIDTH for line in text.splitlines())
    document = json.loads(cards.as_json(card))
    assert document["client"] == ["my client", "--pipe|"]
    assert [one["name"] for one in document["measurements"]] == NAMES
    assert "| keepalive interval | 1.00 s (2 samples) |\n" in cards.markdown(card)
    assert "--pipe\\|" in cards.markdown(card)
    table = cards.side_by_side([("a", card), ("b|", measure([]))]).splitlines()
    assert table[0] == "| | a | b\\| |"
    assert len(table) == 2 + len(MEASURES)
    assert table[2].startswith("| keepalive interval | 1.00 s (2 samples) | unknown: ")
    with pytest.raises(KeyError):
        card["no such thing"]


@pytest.mark.parametrize(("seconds", "words"), [(0.0, "0 ms"), (0.035, "35 ms"), (1.0, "1.00 s"), (61.66, "61.7 s")])
def test_durations_are_for_people(seconds: float, words: str) -> None:
    assert duration(seconds) == words
