"""Single deliberate faults in the client's rules, and the test that has to notice each.

Data only: `tools/mutants.py` applies them, one at a time, to a private copy. `old` stands exactly once in `file`; where
it does not, the rule was rewritten and its mutant has to be rewritten with it (tests/mutants/test_list.py says so).
"""

from __future__ import annotations

from dataclasses import dataclass

CORE = "watchmanager/_core/"
JOIN = "tests/watchmanager/core/test_joining.py::"
BACK = "tests/watchmanager/core/test_reconnecting.py::"
PLACE = "tests/watchmanager/core/test_positions.py::"
KILLS = "tests/mutants/test_kills.py::"


@dataclass(frozen=True, slots=True)
class Mutant:
    """A fault: what it means in words, where it is, and which test must fail."""

    name: str
    file: str
    old: str
    new: str
    test: str


MUTANTS: tuple[Mutant, ...] = (
    # ------------------------------------------------------------------ streams and their tails
    Mutant(
        "events of a stream that was given up are taken",
        CORE + "machine.py",
        "        return attempt == self.attempt and self._stream is not _NO_STREAM",
        "        return True",
        JOIN + "test_the_tail_of_a_stream_that_was_given_up_is_dropped",
    ),
    Mutant(
        "answers of history to old questions are taken",
        CORE + "machine.py",
        "        if not self._in_flight or request != self._request:\n            return None",
        "        if not self._in_flight:\n            return None",
        JOIN + "test_an_answer_to_an_old_question_is_not_taken_for_that_to_the_new_one",
    ),
    Mutant(
        "what a dead stream had brought stays in the buffer",
        CORE + "machine.py",
        "        self._buffer.clear()\n        self._buffer_bytes = 0\n        self._owed.clear()",
        "        self._owed.clear()",
        KILLS + "test_what_a_dead_stream_brought_is_not_merged_into_the_next_one",
    ),
    Mutant(
        "a stream that is given up is not closed",
        CORE + "machine.py",
        "            self._do(do.CloseStream(self.attempt))\n            self._forget_stream()",
        "            self._forget_stream()",
        BACK + "test_a_call_that_never_stands_is_given_up",
    ),
    Mutant(
        "a call that never stands is waited for",
        CORE + "machine.py",
        "        self._position_is_fresh = False\n"
        "        self._timers.set(timers.CONNECT, now + self._settings.connect_timeout)\n",
        "        self._position_is_fresh = False\n",
        BACK + "test_a_call_that_never_stands_is_given_up",
    ),
    Mutant(
        "a successor that never stands is waited for",
        CORE + "machine.py",
        "        self._successor = self._next_attempt()\n"
        "        self._timers.set(timers.CONNECT, now + self._settings.connect_timeout)\n",
        "        self._successor = self._next_attempt()\n",
        BACK + "test_a_successor_that_comes_to_nothing_is_an_ordinary_failure",
    ),
    Mutant(
        "a stream stays open beside the one that took over",
        CORE + "machine.py",
        "        self._do(do.CloseStream(self.attempt))\n        self._forget_stream()\n        self._adopt(now)",
        "        self._forget_stream()\n        self._adopt(now)",
        BACK + "test_a_stream_outlives_its_token_and_is_closed_when_one_with_a_new_token_stands",
    ),
    Mutant(
        "a successor outlives the watch it was opened for",
        CORE + "machine.py",
        "            self._do(do.CloseStream(self._successor))\n            self._successor = None\n",
        "            self._successor = None\n",
        BACK + "test_a_fatal_end_of_the_old_stream_ends_the_successor_too",
    ),
    Mutant(
        "a number that a dropped successor had is given again",
        CORE + "machine.py",
        "        self._attempts += 1\n        return self._attempts",
        "        self._attempts = self.attempt + 1\n        return self._attempts",
        BACK + "test_seeking_while_a_successor_opens_closes_both_and_uses_no_number_twice",
    ),
    Mutant(
        "a stream is broken when its token ends",
        CORE + "machine.py",
        "        if self._stream is _OPENING:\n            self._drop_stream()\n"
        "            self._begin(now, str(error))",
        "        if True:\n            self._drop_stream()\n            self._begin(now, str(error))",
        BACK + "test_a_stream_outlives_its_token_and_is_closed_when_one_with_a_new_token_stands",
    ),
    Mutant(
        "a provider in trouble is asked for a late token without a pause",
        CORE + "machine.py",
        "                self._timers.set(timers.REFRESH, now + told)\n",
        "                self._ask_token()\n",
        BACK + "test_a_stream_outlives_its_token_and_is_closed_when_one_with_a_new_token_stands",
    ),
    Mutant(
        "a message that cannot be read is passed over",
        CORE + "machine.py",
        "            self._replace_stream(broken.error, now)",
        "            pass",
        BACK + "test_a_message_that_is_no_event_costs_the_stream_not_the_event",
    ),
    # ------------------------------------------------------------------ joining stream and history
    Mutant(
        "the position is not fixed before the stream opens",
        CORE + "machine.py",
        "        elif start.position is not None:\n            if start.stored:\n"
        "                self._saved = start.position\n            self._fix_position(start.position, now)",
        "        elif not start.earliest:\n            self._set_position(start.position or 0)",
        JOIN + "test_without_a_position_it_is_fixed_before_the_stream_opens",
    ),
    Mutant(
        "LIVE before the server's first word",
        CORE + "machine.py",
        "            if self._signed:\n                self._go_live(now)",
        "            if True:\n                self._go_live(now)",
        JOIN + "test_live_needs_an_empty_page_that_was_asked_for_after_the_first_word",
    ),
    Mutant(
        "a page asked for before the first word counts as confirmation",
        CORE + "machine.py",
        "        self._signed = self._heard or self._graced\n",
        "        self._signed = True\n",
        JOIN + "test_live_needs_an_empty_page_that_was_asked_for_after_the_first_word",
    ),
    Mutant(
        "a first word after the grace period is not caught up with",
        CORE + "machine.py",
        "            self._unconfirmed = False\n            self._timers.set(timers.AUDIT, now)",
        "            self._unconfirmed = False",
        JOIN + "test_a_first_word_after_the_grace_period_is_caught_up_with",
    ),
    Mutant(
        "a silent server is waited for for ever",
        CORE + "machine.py",
        "        self._timers.set(timers.GRACE, now + self._settings.subscribe_grace)\n",
        "",
        JOIN + "test_without_a_first_word_the_grace_period_stands_in_for_it",
    ),
    Mutant(
        "a short page is taken for the last one",
        CORE + "machine.py",
        "                self._server_max = self._cursor\n            self._continue(now)",
        "                self._server_max = self._cursor\n"
        "            if len(ordered) < self._page_size:\n                self._reached_end(now)\n"
        "            else:\n                self._continue(now)",
        JOIN + "test_a_short_page_is_not_the_end",
    ),
    Mutant(
        "the keyset does not move",
        CORE + "machine.py",
        "                self._cursor = last\n",
        "                self._cursor = ordered[0].sequence\n",
        JOIN + "test_pages_are_read_by_keyset_until_one_is_empty",
    ),
    Mutant(
        "history is believed to be in order",
        CORE + "machine.py",
        "        fresh.sort(key=_sequence)\n        if events and not fresh and not lost:",
        "        if events and not fresh and not lost:",
        JOIN + "test_a_history_out_of_order_is_put_in_order",
    ),
    Mutant(
        "a history without progress is asked for ever",
        CORE + "machine.py",
        "        if events and not fresh and not lost:",
        "        if False:",
        JOIN + "test_a_history_that_makes_no_progress_is_an_error_not_a_loop",
    ),
    Mutant(
        "a history that shows the position itself again is asked for ever",
        CORE + "machine.py",
        "fresh = [event for event in events if event.sequence > floor]",
        "fresh = [event for event in events if event.sequence >= floor]",
        JOIN + "test_a_history_that_answers_with_the_position_itself_is_an_error_not_a_loop",
    ),
    Mutant(
        "what is buffered is delivered before history",
        CORE + "machine.py",
        "        for sequence in sorted(self._buffer):",
        "        for sequence in self._buffer:",
        JOIN + "test_buffered_events_are_delivered_in_order_of_their_sequence",
    ),
    Mutant(
        "an event from both sides stays in the buffer",
        CORE + "machine.py",
        "        buffered = self._buffer.pop(event.sequence, None)",
        "        buffered = None",
        KILLS + "test_memory_of_what_history_has_brought_is_given_back",
    ),
    Mutant(
        "a rejoin begins at the newest event, whatever history confirmed",
        CORE + "machine.py",
        "        if self._since_verified <= self._settings.history.overlap and self._verified > self._forgotten:\n"
        "            return self._verified",
        "        if False:\n            return self._verified",
        JOIN + "test_a_rejoin_asks_from_where_history_was_last_complete",
    ),
    Mutant(
        "a rejoin from the newest event counts as confirmation of all before",
        CORE + "machine.py",
        "            if self._contiguous:\n                self._confirm(self._cursor, now)",
        "            self._confirm(self._cursor, now)",
        KILLS + "test_what_a_stream_lost_long_ago_is_found_after_a_rejoin_from_the_newest_event",
    ),
    # ------------------------------------------------------------------ duplicates, late events
    Mutant(
        "copies are delivered",
        CORE + "outbox.py",
        "            if sequence in self.window:\n                return False",
        "            if False:\n                return False",
        JOIN + "test_an_event_from_both_sides_is_delivered_once",
    ),
    Mutant(
        "late events look like any other",
        CORE + "outbox.py",
        "            event = event.late()",
        "            pass",
        JOIN + "test_a_late_event_on_the_stream_is_delivered_marked_as_recovered",
    ),
    Mutant(
        "late events are dropped",
        CORE + "outbox.py",
        "        if sequence > 0:\n            if sequence in self.window:",
        "        if sequence > 0:\n            if True:",
        JOIN + "test_a_late_event_on_the_stream_is_delivered_marked_as_recovered",
    ),
    Mutant(
        "the window forgets its floor",
        CORE + "resume.py",
        "        return sequence <= self.floor or sequence in self._seen",
        "        return sequence in self._seen",
        JOIN + "test_events_at_or_below_the_position_count_as_seen",
    ),
    Mutant(
        "the window grows without bound",
        CORE + "resume.py",
        "        if len(order) > self.size:",
        "        if False:",
        KILLS + "test_the_memory_of_sequences_is_bounded",
    ),
    # ------------------------------------------------------------------ room
    Mutant(
        "the outbox grows without bound",
        CORE + "machine.py",
        "        if waiting < buffer.max_events and outbox.bytes",
        "        if waiting < 1_000_000_000 or outbox.bytes",
        JOIN + "test_an_overflow_closes_the_stream_and_reads_on_from_history_without_loss",
    ),
    Mutant(
        "bytes do not count",
        CORE + "machine.py",
        "        if waiting < buffer.max_events and outbox.bytes + self._buffer_bytes < buffer.max_bytes:",
        "        if waiting < buffer.max_events:",
        JOIN + "test_bytes_count_as_well_as_events",
    ),
    Mutant(
        "events that wait for history do not count",
        CORE + "machine.py",
        "        waiting = len(outbox.items) + len(self._buffer)",
        "        waiting = len(outbox.items)",
        PLACE + "test_what_waits_for_a_history_that_hangs_is_bounded_too",
    ),
    Mutant(
        "bytes that wait for history do not count",
        CORE + "machine.py",
        "        if waiting < buffer.max_events and outbox.bytes + self._buffer_bytes < buffer.max_bytes:",
        "        if waiting < buffer.max_events and outbox.bytes < buffer.max_bytes:",
        PLACE + "test_what_waits_for_a_history_that_hangs_is_bounded_too",
    ),
    Mutant(
        "history is read while the consumer is behind",
        CORE + "machine.py",
        "        if not self._has_room():\n            self.starved = True\n            return",
        "        pass",
        JOIN + "test_history_is_not_read_while_the_consumer_is_behind",
    ),
    Mutant(
        "after an overflow no stream is opened again",
        CORE + "machine.py",
        '            self._begin(now, "the consumer has caught up; opening a stream again")',
        "            pass",
        JOIN + "test_an_overflow_while_an_audit_is_under_way_still_leads_back_to_a_stream",
    ),
    # ------------------------------------------------------------------ audit
    Mutant(
        "no audit",
        CORE + "machine.py",
        "        if self._in_flight or self._history_waits or not self._has_room():\n            return\n        # Seq",
        "        return\n        # Seq",
        JOIN + "test_an_audit_recovers_what_the_stream_has_lost",
    ),
    Mutant(
        "a stream that owes events is kept",
        CORE + "machine.py",
        "        if self._owed and self.state is _LIVE:",
        "        if False:",
        JOIN + "test_a_stream_that_does_not_bring_what_history_shows_is_replaced",
    ),
    Mutant(
        "a failing audit ends a live stream",
        CORE + "machine.py",
        "                self._timers.set(timers.AUDIT, min(planned, soon))\n            return\n",
        "                self._timers.set(timers.AUDIT, min(planned, soon))\n",
        JOIN + "test_a_failing_audit_does_not_disturb_a_live_stream",
    ),
    Mutant(
        "an audit that is too late gives up instead of comparing what is left",
        CORE + "machine.py",
        "                self._audit_gapped = True\n                self._ask(_ASKED_AUDIT, now)",
        "                pass",
        KILLS + "test_a_stream_that_died_without_a_sign_is_noticed_even_if_part_of_history_is_gone",
    ),
    Mutant(
        "an audit jumps over what is gone",
        CORE + "machine.py",
        "            if ahead and self._audit_gapped:",
        "            if False:",
        KILLS + "test_events_that_went_with_a_dead_stream_and_history_are_told_as_a_gap",
    ),
    Mutant(
        "a stream that stands is a reason to forget failures",
        CORE + "machine.py",
        "        self._connect_failures = 0\n        self._timers.clear(timers.CONNECT)",
        "        self._connect_failures = 0\n        self._pacer.succeeded()\n"
        "        self._timers.clear(timers.CONNECT)",
        BACK + "test_that_a_stream_stands_is_no_reason_to_forget_failures",
    ),
    Mutant(
        "a clean end costs no wait",
        CORE + "machine.py",
        "        self._back_off(self._pacer.ended(heard=heard, lived=lived), verdict.error, now)\n\n    def _is_stuck",
        "        wait = self._pacer.ended(heard=heard, lived=lived) if ended.code else 0.0\n"
        "        self._back_off(wait, verdict.error, now)\n\n    def _is_stuck",
        BACK + "test_a_clean_end_without_a_word_is_a_failure_like_any_other",
    ),
    Mutant(
        "an audit asks again from where history answered 410",
        CORE + "machine.py",
        "        self._audit_gapped = self._cursor <= self._forgotten\n",
        "        self._audit_gapped = False\n",
        PLACE + "test_what_history_said_it_forgot_is_not_asked_for_again",
    ),
    # ------------------------------------------------------------------ gone
    Mutant(
        "410 is answered by asking again",
        CORE + "machine.py",
        "        self._put_gap(expired.requested, target, reason)\n        self._set_position(target)",
        "        self._put_gap(expired.requested, target, reason)",
        PLACE + "test_skip_delivers_a_gap_and_goes_on_from_the_servers_newest",
    ),
    Mutant(
        "a skip tells nobody",
        CORE + "machine.py",
        "        self.outbox.put(Gap(after, through, reason))\n",
        "",
        PLACE + "test_skip_delivers_a_gap_and_goes_on_from_the_servers_newest",
    ),
    Mutant(
        "a skip drops what the stream had brought",
        CORE + "machine.py",
        "                target = min(target, first - 1)",
        "                pass",
        PLACE + "test_skip_keeps_what_the_stream_had_brought_meanwhile",
    ),
    Mutant(
        "a skip to what is in hand is repeated for ever",
        CORE + "machine.py",
        "            if first - 1 > expired.requested:",
        "            if True:",
        KILLS + "test_a_skip_that_meets_the_stream_goes_on_from_the_servers_newest",
    ),
    Mutant(
        "the answer where the server is confirms that nothing is missing",
        CORE + "machine.py",
        "        if not newest:\n            # Where",
        "        if True:\n            # Where",
        JOIN + "test_only_a_page_asked_for_after_the_servers_word_confirms_not_the_question_where_the_server_is",
    ),
    Mutant(
        "an overlap that is partly gone counts as compared",
        CORE + "machine.py",
        "            self._cursor = self.outbox.highest\n            self._contiguous = False",
        "            self._cursor = self._verified = self.outbox.highest\n            self._contiguous = True",
        PLACE + "test_what_the_stream_lost_is_found_in_the_part_of_the_overlap_that_is_still_kept",
    ),
    Mutant(
        "an audit ends with a page of what is known",
        CORE + "machine.py",
        "if (self._cursor <= self._audit_until or news)",
        "if (self._cursor < self._audit_until or news)",
        JOIN + "test_an_audit_goes_on_after_a_page_of_what_is_known",
    ),
    Mutant(
        "an audit without an answer waits for the next interval",
        CORE + "machine.py",
        "            if retryable and planned is not None:",
        "            if False:",
        JOIN + "test_an_audit_whose_answer_was_lost_is_made_up_for_soon",
    ),
    Mutant(
        "a lost overlap is taken for lost events",
        CORE + "machine.py",
        "        if self._cursor < self.outbox.highest:\n            # Only",
        "        if False:\n            # Only",
        PLACE + "test_when_only_the_overlap_is_gone_nothing_is_lost_and_nothing_is_raised",
    ),
    Mutant(
        "a server that counts lower is not noticed",
        CORE + "machine.py",
        "        if not self._regression_checked and self.outbox.highest > 0:",
        "        if False:",
        PLACE + "test_a_server_whose_newest_is_below_the_position_is_noticed_at_the_start",
    ),
    Mutant(
        "one lagging answer proves a regression",
        CORE + "machine.py",
        "        if self._regression_seen < REGRESSION_CHECKS:",
        "        if False:",
        PLACE + "test_a_history_that_lags_for_a_moment_is_no_regression",
    ),
    # ------------------------------------------------------------------ backoff
    Mutant(
        "no jitter",
        CORE + "backoff.py",
        "        return self._random.uniform(0.0, bound)",
        "        return bound",
        BACK + "test_waits_grow_up_to_the_cap_and_are_spread_over_the_whole_range",
    ),
    Mutant(
        "waits do not grow",
        CORE + "backoff.py",
        "        self.failures = min(self.failures + 1, 1_000_000)",
        "        self.failures = 0",
        BACK + "test_waits_grow_up_to_the_cap_and_are_spread_over_the_whole_range",
    ),
    Mutant(
        "waits have no cap",
        CORE + "backoff.py",
        "        bound = min(policy.maximum, policy.initial",
        "        bound = max(policy.initial, policy.initial",
        BACK + "test_waits_grow_up_to_the_cap_and_are_spread_over_the_whole_range",
    ),
    Mutant(
        "the exponent has no cap",
        CORE + "backoff.py",
        "min(self.failures, _CAP_EXPONENT))",
        "self.failures)",
        BACK + "test_no_number_of_failures_overflows",
    ),
    Mutant(
        "failures are forgotten although the server said nothing",
        CORE + "backoff.py",
        "        if not heard:\n            return self.failed()",
        "        pass",
        BACK + "test_failures_are_forgotten_only_after_a_word_on_a_stream_that_lived",
    ),
    Mutant(
        "failures are forgotten after any stream that spoke",
        CORE + "backoff.py",
        "        if lived >= policy.min_life:",
        "        if True:",
        BACK + "test_a_server_that_keeps_cutting_young_streams_is_asked_more_slowly",
    ),
    Mutant(
        "Retry-After is not honoured",
        CORE + "machine.py",
        "            delay = max(delay, error.retry_after)",
        "            pass",
        JOIN + "test_retry_after_is_the_least_wait",
    ),
    Mutant(
        "the channel is never renewed",
        CORE + "machine.py",
        "        if stuck or self._connect_failures % CONNECT_FAILURES_PER_CHANNEL == 0:",
        "        if False:",
        BACK + "test_the_channel_is_renewed_after_three_streams_that_never_stood",
    ),
    Mutant(
        "a connection nobody reads is kept",
        CORE + "machine.py",
        "        if stuck or self._connect_failures % CONNECT_FAILURES_PER_CHANNEL == 0:",
        "        if self._connect_failures % CONNECT_FAILURES_PER_CHANNEL == 0:",
        BACK + "test_a_call_that_did_not_stand_for_long_costs_its_connection",
    ),
    # ------------------------------------------------------------------ liveness
    Mutant(
        "PINGs are not answered",
        CORE + "machine.py",
        "        self._do(do.SendPong(ping.attempt, ping.id))\n",
        "",
        BACK + "test_a_ping_is_answered_at_once_with_its_id",
    ),
    Mutant(
        "silence is not noticed",
        CORE + "machine.py",
        "        elif now >= last + limit:",
        "        elif False:",
        BACK + "test_the_rhythm_of_pings_is_learned_and_its_loss_noticed",
    ),
    Mutant(
        "silence from the start is not noticed",
        CORE + "machine.py",
        "        last = max(self._alive_at or 0.0, self._opened_at or 0.0)",
        "        last = self._alive_at or now",
        BACK + "test_a_stream_silent_from_the_start_is_replaced",
    ),
    Mutant(
        "the next stream goes over the connection that was silent",
        CORE + "machine.py",
        "            self._do(do.RenewChannel())\n        self._suspect_history(error)",
        "            pass\n        self._suspect_history(error)",
        BACK + "test_a_stream_that_fell_silent_is_replaced_over_another_connection",
    ),
    Mutant(
        "an event without a number is delivered from the stream and from history",
        CORE + "machine.py",
        "        if event.sequence <= 0 and self._settings.history is not None:",
        "        if False:",
        JOIN + "test_an_event_that_lost_its_number_on_the_stream_comes_once_from_history",
    ),
    Mutant(
        "an event of history without a number is told of again and again",
        CORE + "unnumbered.py",
        "if new := [each.key for each in some if each.key not in self._told]:",
        "if new := [each.key for each in some]:",
        "tests/watchmanager/api/test_poison.py::test_the_newest_event_of_history_without_a_number_holds_nothing_up",
    ),
    Mutant(
        "a page full of events without a number is believed to be all there is of them",
        CORE + "unnumbered.py",
        "        if size >= width and width < WIDEST:",
        "        if False:",
        "tests/watchmanager/api/test_poison.py::test_a_page_full_of_events_without_a_number_is_no_end_of_history",
    ),
    Mutant(
        "events without a number are an error, though nothing is behind them",
        CORE + "unnumbered.py",
        "        if not self._more_behind:\n            return Way.LOOK",
        "        if False:\n            return Way.LOOK",
        "tests/watchmanager/api/test_poison.py::test_a_page_full_of_events_without_a_number_may_be_the_last_one",
    ),
    Mutant(
        "an event without a number that ended a page is forgotten when the next one leaves it out",
        CORE + "unnumbered.py",
        "each.sequence == floor and each.key not in again",
        "False",
        "tests/watchmanager/api/test_poison.py::test_what_ends_a_page_is_told_of_although_the_next_page_leaves_it_out",
    ),
    Mutant(
        "too eager pings go on",
        CORE + "machine.py",
        "            self._do(do.RenewChannel(slower=True))",
        "            pass",
        BACK + "test_too_many_pings_halve_the_rate_of_ours",
    ),
    # ------------------------------------------------------------------ tokens
    Mutant(
        "tokens are not refreshed",
        CORE + "machine.py",
        "            self._timers.set(timers.REFRESH, now + refresh_after(life, self._random))\n",
        "",
        BACK + "test_the_refreshed_token_goes_to_the_stream",
    ),
    Mutant(
        "a refreshed token does not go to the stream",
        CORE + "machine.py",
        "                self._send_token()\n        self._overdue",
        "                pass\n        self._overdue",
        BACK + "test_the_refreshed_token_goes_to_the_stream",
    ),
    Mutant(
        "tokens are refreshed when they end",
        CORE + "token.py",
        "    wait = life * REFRESH_AT * random.uniform(0.95, 1.0)",
        "    wait = life",
        BACK + "test_a_token_is_refreshed_at_four_fifths_of_its_life_at_the_latest",
    ),
    Mutant(
        "a refused token is used again",
        CORE + "machine.py",
        "        self._refusals += 1\n        self._useless = self._credential",
        "        self._refusals += 1",
        BACK + "test_a_refused_token_is_replaced_and_tried_at_once",
    ),
    Mutant(
        "refusals go round without a pause",
        CORE + "machine.py",
        "        elif self._refusals == 1 and not (heard and lived < YOUNG_REFUSAL) and not error.retry_after:",
        "        elif True:",
        BACK + "test_a_second_refusal_waits",
    ),
    # ------------------------------------------------------------------ checkpoints
    Mutant(
        "the checkpoint is what was delivered, not what was processed",
        CORE + "watermark.py",
        "    def begin(self, ticket: int, sequence: int) -> None:\n",
        "    def begin(self, ticket: int, sequence: int) -> None:\n        self._passed(sequence)\n",
        PLACE + "test_only_processed_events_are_saved",
    ),
    Mutant(
        "what history has not confirmed is saved, whatever was asked for",
        CORE + "machine.py",
        "        return min(value, self._verified) if self.confirming and value is not None else value",
        "        return value",
        PLACE + "test_a_position_that_is_to_be_confirmed_waits_for_history",
    ),
    Mutant(
        "what history confirms is saved with the next event only",
        CORE + "machine.py",
        "        if self.confirming and self._timers.at(timers.CHECKPOINT) is None:",
        "        if False:",
        PLACE + "test_what_a_rejoin_confirms_is_saved_without_an_event_after_it",
    ),
    Mutant(
        "what is to be confirmed is forgotten before the audit",
        CORE + "machine.py",
        "        if self.confirming and 2 * self._since_verified > self._settings.buffer.recent:",
        "        if False:",
        PLACE + "test_what_is_to_be_confirmed_is_confirmed_before_it_is_forgotten",
    ),
    Mutant(
        "a late event is not waited for when the next is taken",
        CORE + "watermark.py",
        " and not self._moves and not self._lates[0]:",
        " and not self._moves:",
        PLACE + "test_the_mark_goes_over_a_late_one_as_the_next_is_taken",
    ),
    Mutant(
        "a moved position is not waited for when the next is taken",
        CORE + "watermark.py",
        " and not self._moves and not self._lates[0]:",
        " and not self._lates[0]:",
        PLACE + "test_a_moved_mark_arrives_as_the_next_is_taken",
    ),
    Mutant(
        "what is processed before the next is taken is not saved",
        CORE + "machine.py",
        "        if self.watermark.succeed(done, ticket, sequence) and self._checkpointing:",
        "        if self.watermark.succeed(done, ticket, sequence) and False:",
        PLACE + "test_taking_the_next_is_to_be_done_with_the_one_before_and_to_take",
    ),
    Mutant(
        "the mark moves over holes",
        CORE + "watermark.py",
        "        while running and running[0][0] in self._done:",
        "        while running:",
        PLACE + "test_the_mark_moves_only_over_a_prefix_without_holes",
    ),
    Mutant(
        "after a regression the position stays at the old numbers",
        CORE + "machine.py",
        "            self.watermark.move_behind(len(self.outbox.items), target)",
        "            pass",
        PLACE + "test_of_what_a_server_that_counts_anew_publishes_nothing_is_lost_without_a_gap",
    ),
    Mutant(
        "a resync moves the position over what waits",
        CORE + "machine.py",
        "        self._set_mark(self.outbox.highest, now)",
        "        self.watermark.move(self.outbox.highest)",
        PLACE + "test_a_resync_leaves_what_waits_and_what_is_in_hand_to_be_processed_first",
    ),
    Mutant(
        "a known number on the stream is no reason to doubt the server's count",
        CORE + "machine.py",
        "                self._suspect_regression(now)",
        "                pass",
        PLACE + "test_a_known_number_on_a_live_stream_is_a_reason_to_ask_whether_the_server_counts_anew",
    ),
    Mutant(
        "a position that was given is not saved before something is processed",
        CORE + "machine.py",
        "            if start.stored:",
        "            if True:",
        PLACE + "test_a_position_that_was_given_is_saved_before_anything_is_processed",
    ),
    Mutant(
        "a late event does not hold the mark",
        CORE + "watermark.py",
        "        if self._mark is not None and late:",
        "        if False:",
        PLACE + "test_a_late_event_holds_the_mark_below_itself_until_it_is_processed",
    ),
    Mutant(
        "nothing is saved when a watch is closed",
        CORE + "machine.py",
        "            self._do(do.SaveCheckpoint(value))\n        self._enter(_CLOSED, why, now)",
        "            pass\n        self._enter(_CLOSED, why, now)",
        PLACE + "test_closing_saves_what_is_processed_and_not_what_is_not",
    ),
    Mutant(
        "a store that fails is not tried again",
        CORE + "machine.py",
        "        self._timers.set(timers.CHECKPOINT, now + 2.0 ** (self._save_failures - 1))",
        "        pass",
        PLACE + "test_a_store_that_recovers_is_used_again",
    ),
    # ------------------------------------------------------------------ what a status tells
    Mutant(
        "nothing ever waits, by the status",
        CORE + "machine.py",
        "            lag=len(outbox.items) + len(self._buffer),",
        "            lag=0,",
        BACK + "test_a_status_counts_what_waits_and_tells_since_when_and_whether_all_is_well",
    ),
    Mutant(
        "a state is never entered, by the status",
        CORE + "machine.py",
        "            self._since = now\n",
        "            pass\n",
        BACK + "test_a_status_counts_what_waits_and_tells_since_when_and_whether_all_is_well",
    ),
    Mutant(
        "a live watch is not healthy",
        CORE + "status.py",
        "        return self.state is State.LIVE",
        "        return False",
        BACK + "test_a_status_counts_what_waits_and_tells_since_when_and_whether_all_is_well",
    ),
    Mutant(
        "the learned rhythm of PINGs is not told",
        CORE + "machine.py",
        "        return bound if silence is None else min(bound, silence)",
        "        return bound",
        BACK + "test_a_status_counts_what_waits_and_tells_since_when_and_whether_all_is_well",
    ),
    # ------------------------------------------------------------------ errors
    Mutant(
        "fatal codes are retried",
        CORE + "classify.py",
        "        error.retryable = False\n        return Verdict(error, Remedy.STOP)",
        "        pass",
        BACK + "test_every_code_has_a_remedy_and_only_the_named_ones_stop",
    ),
    Mutant(
        "a TLS peer without HTTP/2 is a matter of trust",
        CORE + "classify.py",
        '            r"missing selected alpn|expected settings|',
        '            r"expected settings|',
        BACK + "test_a_status_becomes_a_cause",
    ),
    Mutant(
        "what the user calls transient is fatal",
        CORE + "classify.py",
        "name not in transient and ",
        "",
        BACK + "test_a_code_the_user_calls_transient_is_retried",
    ),
    Mutant(
        "what was processed just before a failure is not saved",
        CORE + "machine.py",
        "        self._timers.clear_all(but=timers.CHECKPOINT)",
        "        self._timers.clear_all()",
        BACK + "test_what_was_processed_just_before_a_failure_is_saved_after_it",
    ),
)
