"""The outbox gives out what was put into it, whatever the pieces."""

from __future__ import annotations

import sys

from hypothesis import given, settings
from hypothesis import strategies as st

from mockcentral.wire.outbox import TRIM, Outbox

MESSAGES = st.lists(st.binary(max_size=12), max_size=40).map(tuple)
STEPS = st.lists(st.one_of(MESSAGES, st.integers(1, 60)), max_size=30)


@settings(deadline=None)
@given(STEPS)
def test_bytes_come_out_as_they_went_in_and_what_waits_is_counted(steps: list[tuple[bytes, ...] | int]) -> None:
    outbox = Outbox()
    waiting: list[bytes] = []
    put = taken = b""
    for step in steps:
        if isinstance(step, tuple):
            assert outbox.put(step) == sum(map(len, step))
            waiting += step
            put += b"".join(step)
        else:
            parts, size = outbox.take(step)
            piece = b"".join(parts)
            assert size == len(piece) == min(step, len(put) - len(taken))
            taken += piece
            left = len(piece)
            while waiting and len(waiting[0]) <= left:
                left -= len(waiting.pop(0))
            if left:
                waiting[0] = waiting[0][left:]
        assert put.startswith(taken)
        assert (len(outbox), outbox.size) == (len(waiting), len(put) - len(taken))
        assert bool(outbox) == bool(waiting)


def test_messages_are_handed_on_without_a_copy_and_let_go_of() -> None:
    outbox = Outbox()
    first, *others = [bytes([number]) * 10 for number in range(3 * TRIM)]
    alone = sys.getrefcount(first)
    outbox.put([first, *others])
    [part], _ = outbox.take(10)
    assert part is first
    del part
    outbox.take(20 * TRIM)
    assert sys.getrefcount(first) == alone
    assert len(outbox) == TRIM - 1
