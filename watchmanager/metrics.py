"""A watch and a manager in numbers, for whatever collects them. Counters never fall, not even when a watch is closed.

Of a watch (`watch.metrics()`):

    events_received, events_delivered       came in; handed out (gaps among them)
    events_duplicate, events_recovered      copies that were dropped; events that came late
    gaps, reconnects, audits, pings         delivered `Gap`s; streams after the first; comparisons with history; PINGs
    lag_events, buffered_bytes              what waits for the consumer
    sequence_received, sequence_delivered,  positions, 0 while there is none; committed is the restart point and
    sequence_committed, sequence_server_max server_max the highest known to exist
    live, healthy, paused                   1 or 0
    seconds_in_state, seconds_since_alive   the latter since the server last said anything; absent until it has
    seconds_to_token_expiry                 absent until known
    dead_peer_bound                         seconds within which a dead peer is noticed

Of a topic (`manager.metrics_by_topic()`, by selfLink): `watches`, `watches_live`, `watches_healthy`; the counters
`events_...`, `gaps`, `reconnects`, `audits`, `pings` summed over all watches there ever were; `lag_events` and
`buffered_bytes` over those of now; of `sequence_committed`, `seconds_since_alive`, `seconds_to_token_expiry`,
`dead_peer_bound` the worst, of `sequence_server_max` the highest; and of its handlers

    handler_calls, handler_errors           calls; those that raised
    handler_retries, handler_skipped        calls again; events given up by policy
    handler_unhandled                       events that no handler wanted
    handler_running, handler_queued         right now; events in hand, running ones among them
    handler_seconds                         spent in handlers in all

Of a manager (`manager.metrics()`): what of these can be summed, over all topics, and `clock_skew`, the seconds that the
server's clock is ahead of ours as far as its answers prove.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from watchmanager._core.status import State, WatchStatus

COUNTERS = (
    "events_received",
    "events_delivered",
    "events_duplicate",
    "events_recovered",
    "gaps",
    "reconnects",
    "audits",
    "pings",
)
HANDLER_COUNTERS = (
    "handler_calls",
    "handler_errors",
    "handler_retries",
    "handler_skipped",
    "handler_unhandled",
    "handler_seconds",
)
SUMMED = (
    "watches",
    "watches_live",
    "watches_healthy",
    "lag_events",
    "buffered_bytes",
    *COUNTERS,
    *HANDLER_COUNTERS,
    "handler_running",
    "handler_queued",
)
WORST = {
    "sequence_committed": min,
    "sequence_server_max": max,
    "seconds_since_alive": max,
    "seconds_to_token_expiry": min,
    "dead_peer_bound": max,
}
"""What of several watches of one topic counts for the topic."""


def of_watch(status: WatchStatus, now: float) -> dict[str, float]:
    """`now` in seconds since the epoch, as the times of the status."""
    found: dict[str, float] = {
        **counters(status),
        "lag_events": status.lag,
        "buffered_bytes": status.buffered_bytes,
        "sequence_received": status.received,
        "sequence_delivered": status.delivered or 0,
        "sequence_committed": status.committed or 0,
        "sequence_server_max": status.server_max,
        "live": int(status.state is State.LIVE),
        "healthy": int(status.healthy),
        "paused": int(status.paused),
        "seconds_in_state": max(0.0, now - status.since),
        "dead_peer_bound": status.dead_peer_bound,
    }
    if status.proven_alive_at is not None:
        found["seconds_since_alive"] = max(0.0, now - status.proven_alive_at)
    if status.token_expires_at is not None:
        found["seconds_to_token_expiry"] = status.token_expires_at - now
    return found


def counters(status: WatchStatus) -> dict[str, float]:
    """What only grows."""
    return {
        "events_received": status.events,
        "events_delivered": status.handed_out,
        "events_duplicate": status.duplicates,
        "events_recovered": status.recovered,
        "gaps": status.gaps,
        "reconnects": status.reconnects,
        "audits": status.audits,
        "pings": status.pings,
    }


def of_topic(
    open_watches: Iterable[WatchStatus], before: Mapping[str, float], handlers: Mapping[str, float], now: float
) -> dict[str, float]:
    """`before`: the counters of watches that are gone. `handlers`: a tally, without the prefix."""
    found = dict.fromkeys(SUMMED, 0.0)
    for name in COUNTERS:
        found[name] = before.get(name, 0)
    for status in open_watches:
        numbers = of_watch(status, now)
        numbers.update(watches=1, watches_live=numbers["live"], watches_healthy=numbers["healthy"])
        for name, value in numbers.items():
            if name in WORST:
                found[name] = WORST[name](found.get(name, value), value)
            elif name in found:
                found[name] += value
    found.update({f"handler_{name}": value for name, value in handlers.items()})
    return found


def of_manager(topics: Iterable[Mapping[str, float]], skew: float) -> dict[str, float]:
    """`skew`: seconds the server's clock is ahead."""
    each = tuple(topics)
    return {**{name: sum(one[name] for one in each) for name in SUMMED}, "clock_skew": skew}
