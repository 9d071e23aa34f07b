"""Inputs and effects are compared by value and type, and `match` reads them."""

import pytest

from watchmanager._core.effects import CloseStream, RenewChannel
from watchmanager._core.inputs import Close, PingReceived, StreamEnded, Tick
from watchmanager._core.record import Record


def test_records_are_equal_when_type_and_all_fields_are() -> None:
    assert PingReceived(1, "a") == PingReceived(1, id="a")
    assert PingReceived(1, "a") != PingReceived(1, "b")
    assert len({PingReceived(1, "a"), PingReceived(1, "a"), PingReceived(2, "a")}) == 2


def test_records_of_different_types_differ_even_with_the_same_fields() -> None:
    closing: list[Record] = [Tick(), Close()]
    assert closing[0] != closing[1]
    assert len({*closing, CloseStream(0), RenewChannel(False)}) == 4


def test_a_record_shows_its_fields_and_has_no_others() -> None:
    assert repr(StreamEnded(3, 14, "gone")) == (
        "StreamEnded(attempt=3, code=14, details='gone', cause=None, retry_after=None)"
    )
    with pytest.raises(AttributeError):
        Tick().note = "mine"  # type: ignore[attr-defined]


def test_match_reads_fields_by_place_and_by_name() -> None:
    match PingReceived(1, "a"):
        case PingReceived(2, _):
            pytest.fail("another attempt")
        case PingReceived(attempt, id="a"):
            assert attempt == 1
