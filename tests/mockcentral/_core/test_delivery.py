"""Many events at once, or one to many streams, are handled in one go where nothing can happen in between; nobody can
tell.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral._core.actions import AnswerEvent, CutCall, EndCall, Order, SendEvents
from mockcentral._core.journal import Record
from mockcentral.scenario.schema import AbortAfter, Attempt, Scenario
from mockcentral.wire.codec import event_frame
from tests.mockcentral._core.rig import Rig, rule

NEVER = rule("never", "event", AnswerEvent(copies=0), nth=10**9)
"""A fault tied to events looks at each of them, if only to do nothing."""

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["watch", "watch", "open", "ask", "publish", "quiet", "cut", "leave", "arm"]), st.integers(1, 8)
    ),
    min_size=10,
    max_size=40,
)


def run(steps: list[tuple[str, int]], abort: int | None, *, watched: bool) -> tuple[list[Record], list[object]]:
    """The journal and the orders of a run, events as they go out; `watched`: each event is looked at by itself."""
    attempts = () if abort is None else (Attempt(), Attempt(abort_after=AbortAfter(events=abort)))
    rig = Rig(Scenario(scenario="test", about="a test", attempts=attempts))
    if watched:
        rig.central.arm(NEVER, 0.0)
    for step, number in steps:
        calls = list(rig.central.calls.values())
        call = calls[number % len(calls)] if calls else None
        if step == "watch":
            rig.watch()
        elif step == "open":
            rig.open()
        elif step == "publish":
            for _ in range(number):
                rig.publish()
        elif step == "arm":
            rig.central.arm(rule("twice", "event", AnswerEvent(copies=2), nth=number + 5), rig.now)
        elif call is None:
            continue
        elif step == "ask" and call.entry is None:
            rig.ask(call.id)
        elif step == "quiet":
            call.quiet = True
        elif step == "cut":
            rig.central.command(CutCall(call.id, after_events=number, then=EndCall(call.id, 14)), rig.now)
        elif step == "leave":
            rig.central.call_closed(call.id, rig.now)
        rig.take()
    records = [
        {name: value for name, value in record.items() if name != "n"}
        for record in rig.journal
        if record["kind"] != "fault.armed"
    ]
    return records, [shown(order) for order, _ in rig.issues]


def shown(order: Order) -> object:
    if isinstance(order, SendEvents):
        return order.call, [event_frame(entry) for entry in order.events]
    return order


@settings(deadline=None, max_examples=100)
@given(STEPS, st.none() | st.integers(1, 4))
def test_events_in_one_go_leave_the_orders_and_the_journal_of_events_one_by_one(
    steps: list[tuple[str, int]], abort: int | None
) -> None:
    assert run(steps, abort, watched=False) == run(steps, abort, watched=True)


def test_a_backlog_is_one_order_and_a_line_for_each_event() -> None:
    rig = Rig()
    call = rig.open()
    sequences = [rig.publish() for _ in range(50)]
    rig.take()
    rig.ask(call)
    [order] = [order for order in rig.take() if isinstance(order, SendEvents)]
    assert [entry.event.sequence for entry in order.events] == sequences
    lines = rig.records("stream.event", attempt=call)
    assert [line["sequence"] for line in lines] == sequences
    assert list(lines[0]) == ["v", "n", "t", "world", "kind", "attempt", "sequence", "id", "op", "topic"]
    assert [line["n"] for line in lines] == list(range(lines[0]["n"], lines[0]["n"] + 50))


def test_an_event_for_many_streams_is_a_line_for_each_in_their_order() -> None:
    rig = Rig()
    calls = [rig.watch() for _ in range(5)]
    sequence = rig.publish()
    lines = rig.records("stream.event", sequence=sequence)
    assert [line["attempt"] for line in lines] == calls
    assert list(lines[0]) == ["v", "n", "t", "world", "kind", "attempt", "sequence", "id", "op", "topic"]
    assert [rig.sent(call) for call in calls] == [[sequence]] * 5


def test_a_stream_that_is_about_to_be_cut_keeps_its_place_among_the_others() -> None:
    rig = Rig()
    first, second, third = (rig.watch() for _ in range(3))
    rig.central.command(CutCall(second, then=None, after_events=5), rig.now)
    rig.take()
    rig.publish()
    assert [order.call for order in rig.take() if isinstance(order, SendEvents)] == [first, second, third]
    assert [line["attempt"] for line in rig.records("stream.event")] == [first, second, third]


def test_a_fault_armed_after_a_backlog_counts_it() -> None:
    rig = Rig()
    call = rig.open()
    backlog = [rig.publish() for _ in range(5)]
    rig.ask(call)
    rig.central.arm(rule("twice", "event", AnswerEvent(copies=2), nth=7), rig.now)
    once, twice = rig.publish(), rig.publish()
    assert rig.sent(call) == [*backlog, once, twice, twice]
