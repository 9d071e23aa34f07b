"""OpenTelemetry, for those who have it: numbers of a manager as metrics, handler calls as spans.

    pip install watchmanager[otel]

    from watchmanager import otel
    otel.instrument(manager)

Without providers of your own the global ones are used. Nothing here starts a thread or exports anything: that is for
your SDK. Its reader calls back from whatever thread it likes, and gets numbers without waiting for anybody.
"""

from __future__ import annotations

import operator
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, TypeAlias

from watchmanager.errors import ConfigError
from watchmanager.metrics import WORST
from watchmanager.sync import WatchManager

try:
    from opentelemetry import context, metrics, trace
    from opentelemetry.metrics import CallbackOptions, MeterProvider, Observation
    from opentelemetry.trace import SpanKind, Status, StatusCode, TracerProvider
except ImportError as error:
    raise ImportError("watchmanager.otel needs OpenTelemetry: pip install watchmanager[otel]") from error

if TYPE_CHECKING:
    from watchmanager.aio import AsyncWatchManager
    from watchmanager.events import Event

SCOPE = "watchmanager"
TOPIC = "watchmanager.topic"
SERVER = "server.address"

COUNTERS = {
    "watchmanager.events.received": ("events_received", "{event}", "Events that came in, from stream and history."),
    "watchmanager.events.delivered": ("events_delivered", "{event}", "Events and gaps that were handed out."),
    "watchmanager.events.duplicate": ("events_duplicate", "{event}", "Copies that were dropped."),
    "watchmanager.events.recovered": ("events_recovered", "{event}", "Events that came late; should stay 0."),
    "watchmanager.gaps": ("gaps", "{gap}", "Gaps: events that are gone for good."),
    "watchmanager.reconnects": ("reconnects", "{stream}", "Streams after the first."),
    "watchmanager.audits": ("audits", "{audit}", "Comparisons with history."),
    "watchmanager.pings": ("pings", "{ping}", "PINGs of the server."),
    "watchmanager.handler.calls": ("handler_calls", "{call}", "Calls of handlers."),
    "watchmanager.handler.errors": ("handler_errors", "{call}", "Calls of handlers that raised."),
    "watchmanager.handler.retries": ("handler_retries", "{call}", "Calls of handlers that were tried again."),
    "watchmanager.handler.skipped": ("handler_skipped", "{event}", "Events that were given up by policy."),
    "watchmanager.handler.unhandled": ("handler_unhandled", "{event}", "Events that no handler wanted."),
    "watchmanager.handler.time": ("handler_seconds", "s", "Time spent in handlers."),
}
GAUGES = {
    "watchmanager.watches": ("watches", "{watch}", "Watches that are not closed."),
    "watchmanager.watches.live": ("watches_live", "{watch}", "Watches that are LIVE."),
    "watchmanager.watches.healthy": ("watches_healthy", "{watch}", "Watches to which events come."),
    "watchmanager.lag": ("lag_events", "{event}", "Events that wait for the consumer."),
    "watchmanager.buffered": ("buffered_bytes", "By", "Bytes that wait for the consumer."),
    "watchmanager.sequence.committed": ("sequence_committed", "1", "The restart point."),
    "watchmanager.sequence.server_max": ("sequence_server_max", "1", "The highest sequence known to exist."),
    "watchmanager.silence": ("seconds_since_alive", "s", "Since the server last said anything."),
    "watchmanager.token.life": ("seconds_to_token_expiry", "s", "Until the token ends."),
    "watchmanager.handler.running": ("handler_running", "{call}", "Handlers at work."),
    "watchmanager.handler.queued": ("handler_queued", "{event}", "Events in the hands of handlers."),
}


def instrument(
    manager: AsyncWatchManager | WatchManager,
    *,
    meter_provider: MeterProvider | None = None,
    tracer_provider: TracerProvider | None = None,
    spans: bool = True,
) -> None:
    """Let OpenTelemetry read the numbers of `manager`, by topic, as long as it lives. Twice is once.

    With `spans`, each call of a handler (`manager.run`) is a span of kind CONSUMER that the handler's own spans are
    children of; runs that are under way are left alone. Raises ConfigError for something that is no manager.
    """
    from watchmanager.aio import AsyncWatchManager

    inner = manager._manager if isinstance(manager, WatchManager) else manager
    if not isinstance(inner, AsyncWatchManager):
        raise ConfigError(f"{manager!r} is no manager: give a WatchManager or an AsyncWatchManager")
    _exported(None if meter_provider is metrics.get_meter_provider() else meter_provider).add(inner)
    if spans:
        inner._observer = _observer((tracer_provider or trace.get_tracer_provider()).get_tracer(SCOPE), inner)


# ---------------------------------------------------------------- metrics
_lock = threading.Lock()
_sets: weakref.WeakKeyDictionary[object, _Managers] = weakref.WeakKeyDictionary()


class _Global:
    """Stands for the global provider, which may be set after its first use."""


_global = _Global()
_Labels: TypeAlias = "tuple[str, str]"
"""Server and topic."""


class _Managers:
    """Those one provider reads, without keeping them alive. What those that are gone had counted, stays counted."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._seen: dict[weakref.ref[AsyncWatchManager], dict[tuple[str, _Labels], float]] = {}
        """By manager its counters when it was last read."""
        self._gone: dict[tuple[str, _Labels], float] = {}

    def add(self, manager: AsyncWatchManager) -> None:
        with self._lock:
            self._seen.setdefault(weakref.ref(manager), {})

    def read(self, key: str, counts: bool) -> list[Observation]:
        """Two managers may watch one topic of one server, and of equal attributes OpenTelemetry keeps the last: what
        can be summed is, of anything else the worst counts.
        """
        with self._lock:
            combine = WORST.get(key, operator.add)
            found: dict[_Labels, float] = {}
            for reference, seen in tuple(self._seen.items()):
                manager = reference()
                if manager is None:
                    del self._seen[reference]
                    for kept, value in seen.items():
                        self._gone[kept] = self._gone.get(kept, 0) + value
                    continue
                for topic, numbers in manager.metrics_by_topic().items():
                    if key in numbers:
                        labels, value = (manager._address.target, topic), numbers[key]
                        found[labels] = combine(found[labels], value) if labels in found else value
                        if counts:
                            seen[key, labels] = value
            for (counter, labels), value in self._gone.items():
                if counter == key:
                    found[labels] = found.get(labels, 0) + value
        return [Observation(value, {SERVER: server, TOPIC: topic}) for (server, topic), value in found.items()]


def _exported(provider: MeterProvider | None) -> _Managers:
    """The managers a provider reads. Instruments cannot be taken back, so each provider gets one set of them."""
    with _lock:
        whose = _global if provider is None else provider
        managers = _sets.get(whose)
        if managers is None:
            managers = _sets[whose] = _Managers()
            meter = metrics.get_meter(SCOPE) if provider is None else provider.get_meter(SCOPE)
            for name, (key, unit, about) in COUNTERS.items():
                meter.create_observable_counter(name, [_reader(managers, key, True)], unit=unit, description=about)
            for name, (key, unit, about) in GAUGES.items():
                meter.create_observable_gauge(name, [_reader(managers, key, False)], unit=unit, description=about)
        return managers


def _reader(managers: _Managers, key: str, counts: bool) -> Callable[[CallbackOptions], Iterable[Observation]]:
    return lambda _: managers.read(key, counts)


# ---------------------------------------------------------------- spans
def _observer(tracer: trace.Tracer, manager: AsyncWatchManager) -> Any:
    server = manager._address.target

    def begin(topic: str, handler: str, event: Event, attempt: int) -> Callable[[BaseException | None], None]:
        span = tracer.start_span(
            f"process {topic.rpartition('/')[2]}",
            kind=SpanKind.CONSUMER,
            attributes={
                SERVER: server,
                TOPIC: topic,
                "watchmanager.handler": handler,
                "watchmanager.attempt": attempt,
                "watchmanager.event.id": event.id,
                "watchmanager.event.sequence": event.sequence,
                "watchmanager.event.type": event.type.value,
                "watchmanager.resource.kind": event.kind,
                "watchmanager.resource.name": event.name,
            },
        )
        token = context.attach(trace.set_span_in_context(span))

        def end(error: BaseException | None) -> None:
            if error is not None:
                span.record_exception(error)
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            context.detach(token)
            span.end()

        return end

    return begin
