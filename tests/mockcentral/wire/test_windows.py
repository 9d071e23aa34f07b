"""A client gets less leave to send than the server gives, and never more."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mockcentral.wire.windows import INITIAL, Windows

SETTING = (4).to_bytes(2, "big")


def settings(size: int) -> bytes:
    return SETTING + size.to_bytes(4, "big")


def test_while_nothing_is_shrunk_everything_is_the_servers() -> None:
    windows = Windows()
    windows.opened(1)
    assert windows.sent(1, 100) == 0
    assert windows.granted(1, 100) is None
    other = (3).to_bytes(2, "big") + (100).to_bytes(4, "big")
    assert windows.configured(other + settings(10)) == other + settings(10)


def test_a_shrunk_window_is_renewed_as_it_is_used_and_no_further_than_the_server_goes() -> None:
    windows = Windows()
    windows.opened(1)
    assert list(windows.shrink(10)) == []
    assert windows.client_initial == 10
    assert windows.sent(1, 10) == 10
    for _ in range((INITIAL - 10) // 10 - 1):
        assert windows.sent(1, 10) == 10
    assert windows.sent(1, 10) == 5  # the server would take five more
    assert windows.sent(1, 5) == 0
    assert windows.granted(1, 3) == 3
    assert windows.granted(1, 100) == 7
    assert windows.granted(3, 100) is None  # a stream that nobody has seen open


def test_a_window_of_nothing_is_never_renewed() -> None:
    windows = Windows()
    windows.opened(1)
    assert list(windows.shrink(0)) == []
    assert windows.sent(1, 10) == 0
    assert windows.granted(1, 1000) == 0


def test_the_servers_settings_are_shown_no_larger_than_asked_for() -> None:
    windows = Windows()
    list(windows.shrink(100))
    assert windows.configured(settings(1_000_000)) == settings(100)
    assert windows.configured(settings(50)) == settings(50)
    assert windows.configured(b"odd") == b"odd"


def test_what_was_sent_before_is_missing_from_the_window_and_given_back_at_once() -> None:
    windows = Windows()
    windows.opened(1)
    windows.sent(1, 1000)
    assert list(windows.shrink(10)) == [(1, 1000)]  # 10 less 1000 is what the new setting leaves


def test_a_window_that_is_made_larger_again_is_not_given_twice() -> None:
    windows = Windows()
    windows.opened(1)
    windows.sent(1, 1000)
    assert list(windows.shrink(1)) == [(1, 1000)]
    assert list(windows.shrink(100)) == [(1, 99)]
    assert windows.client_initial == 1
    assert windows.opened(3) == 99


steps = st.one_of(
    st.tuples(st.just("send"), st.integers(1, 40_000)),
    st.tuples(st.just("grant"), st.integers(1, 40_000)),
    st.tuples(st.just("settings"), st.integers(0, 100_000)),
    st.tuples(st.just("shrink"), st.integers(0, INITIAL)),
)


@given(st.lists(steps, max_size=30))
def test_no_obedient_client_sends_more_than_the_server_grants(given_steps: list[tuple[str, int]]) -> None:
    windows = Windows()
    windows.opened(1)
    client = server = client_initial = server_initial = INITIAL
    for what, count in given_steps:
        raised = 0
        if what == "send":
            sent = min(count, max(0, client))
            client, server = client - sent, server - sent
            raised = windows.sent(1, sent)
        elif what == "grant":
            server += count
            more = windows.granted(1, count)
            if more is None:
                client += count
            else:
                raised = more
        elif what == "shrink":
            raised = sum(more for _, more in windows.shrink(count))
        else:  # it may raise it any time; lowering it makes windows of the past too large, see the module
            count = count if windows.size is None else max(count, server_initial)
            server, server_initial = server + count - server_initial, count
            assert windows.configured(settings(count)) == settings(windows.client_initial)
        client += windows.client_initial - client_initial + raised
        client_initial = windows.client_initial
        assert client <= server
        if raised:
            assert windows.size
            assert client <= windows.size
        if windows.size and what in ("send", "grant", "shrink"):
            assert client > 0 or server <= 0
