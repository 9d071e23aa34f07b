"""Numbers by watch, topic and manager, and what OpenTelemetry gets of them."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

import watchmanager as wm
from tests.watchmanager.api.quiet import Saves, owner_of, quiet, running
from tests.watchmanager.worlds import QUICK, change, take
from watchmanager import metrics


def test_numbers_of_a_topic_outlive_its_watches_and_those_of_a_manager_are_their_sum() -> None:
    async def main() -> None:
        with quiet() as world:
            [one] = world.topics
            other = world.put_topic(
                {
                    "group": "management",
                    "kind": "WatchTopic",
                    "name": "other-topic",
                    "spec": {
                        "filters": [{"group": "management", "kind": "APIService", "name": "*", "type": ["created"]}]
                    },
                }
            )
            async with owner_of(world) as owner:
                for topic in (one, one, other):
                    async with owner.watch(topic, start="latest") as watch:
                        await watch.ready(30)
                        world.publish(change(1))
                        await take(watch, 1)
                        open_ = owner.metrics_by_topic()[topic]
                        assert open_["watches"] == open_["watches_live"] == 1
                        assert open_["sequence_server_max"] == watch.status.server_max
                        assert 0 <= open_["seconds_since_alive"] < 60
                by_topic = owner.metrics_by_topic()
                assert {topic: each["events_delivered"] for topic, each in by_topic.items()} == {one: 2, other: 1}
                assert all(each["watches"] == 0 and "seconds_since_alive" not in each for each in by_topic.values())
                total = owner.metrics()
                assert total.keys() == {*metrics.SUMMED, "clock_skew"}
                assert total["events_delivered"] == 3
                assert all(total[name] == sum(each[name] for each in by_topic.values()) for name in metrics.SUMMED)

    asyncio.run(main())


def test_of_several_watches_of_a_topic_the_worst_counts() -> None:
    def status(**more: Any) -> wm.WatchStatus:
        from dataclasses import replace

        from tests.watchmanager.lab import Lab

        return replace(Lab().live().machine.status(), **more)

    found = metrics.of_topic(
        [
            status(committed=5, proven_alive_at=90.0, token_expires_at=130.0, server_max=7, buffered_bytes=1),
            status(committed=4, proven_alive_at=95.0, token_expires_at=120.0, server_max=9, buffered_bytes=2),
        ],
        {"gaps": 3},
        {"calls": 4},
        100.0,
    )
    assert {name: found[name] for name in ("sequence_committed", "seconds_since_alive", "sequence_server_max")} == {
        "sequence_committed": 4,
        "seconds_since_alive": 10,
        "sequence_server_max": 9,
    }
    assert (found["seconds_to_token_expiry"], found["buffered_bytes"], found["watches"]) == (20, 3, 2)
    assert (found["gaps"], found["handler_calls"]) == (3, 4)


def test_every_number_is_described() -> None:
    text = metrics.__doc__ or ""
    for name in (*metrics.SUMMED, *metrics.WORST):
        assert name in text.replace("events_...", "events_received events_delivered"), name


# ---------------------------------------------------------------- OpenTelemetry
class Sdk:
    """A reader and an exporter that start no thread."""

    def __init__(self) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import InMemoryMetricReader
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import SimpleSpanProcessor
        from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

        self.reader = InMemoryMetricReader()
        self.meters = MeterProvider([self.reader], shutdown_on_exit=False)
        self.spans = InMemorySpanExporter()
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self.spans))

    def read(self) -> dict[str, dict[tuple[str, str], float]]:
        """Values by instrument, then by server and topic."""
        data = self.reader.get_metrics_data()
        found: dict[str, dict[tuple[str, str], float]] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points:
                        labels: Any = point.attributes
                        place = (labels["server.address"], labels["watchmanager.topic"])
                        assert place not in found.setdefault(metric.name, {})
                        found[metric.name][place] = point.value  # type: ignore[union-attr]
        return found


@pytest.fixture
def sdk() -> Iterator[Sdk]:
    pytest.importorskip("opentelemetry.sdk", reason="opentelemetry-sdk is not installed")
    one = Sdk()
    yield one
    one.meters.shutdown()
    one.tracers.shutdown()


def test_opentelemetry_reads_the_numbers_of_all_managers_by_topic(sdk: Sdk) -> None:
    otel = pytest.importorskip("watchmanager.otel")

    async def main() -> None:
        with quiet() as world:
            place = (world.address, world.topics[0])
            async with owner_of(world) as one, owner_of(world) as two:
                for owner in (one, two, two):
                    otel.instrument(owner, meter_provider=sdk.meters, tracer_provider=sdk.tracers)
                for owner in (one, two):
                    async with owner.watch(world.topics[0], start="latest") as watch:
                        await watch.ready(30)
                        world.publish(change(1))
                        await take(watch, 1)
                        seen = sdk.read()
                        assert seen["watchmanager.watches.live"] == {place: 1}
                        assert seen["watchmanager.sequence.server_max"] == {place: watch.status.server_max}
                assert sdk.read()["watchmanager.events.delivered"] == {place: 2}
                assert sdk.read()["watchmanager.watches"] == {place: 0}
                # From a thread of the SDK's, while the loop is busy: nobody waits for anybody.
                thread = threading.Thread(target=sdk.read)
                thread.start()
                thread.join(30)
                assert not thread.is_alive()

    asyncio.run(main())
    before = sdk.read()
    gc.collect()
    after = sdk.read()
    assert set(after) == set(otel.COUNTERS), "a manager that is gone is still read"
    assert after == {name: before[name] for name in otel.COUNTERS}, "a counter fell"


def test_of_two_managers_on_one_topic_opentelemetry_gets_the_sum_or_the_worse(sdk: Sdk) -> None:
    otel = pytest.importorskip("watchmanager.otel")

    async def main() -> None:
        with quiet() as world:
            world.publish([change(each) for each in range(4)])
            place = (world.address, world.topics[0])
            async with (
                owner_of(world, token=lambda: world.issue_token(300.0)) as one,
                owner_of(world, token=lambda: world.issue_token(900.0)) as two,
            ):
                for owner in (one, two):
                    otel.instrument(owner, meter_provider=sdk.meters, tracer_provider=sdk.tracers)
                async with (
                    one.watch(world.topics[0], start="earliest") as first,
                    two.watch(world.topics[0], start="latest") as second,
                ):
                    await second.ready(30)
                    await take(first, 2)
                    world.publish(change(9))
                    await take(second, 1)
                    seen = sdk.read()
                    assert seen["watchmanager.sequence.server_max"][place] == second.status.server_max
                    assert seen["watchmanager.sequence.committed"][place] == first.status.committed
                    assert seen["watchmanager.token.life"][place] < 301
                    assert seen["watchmanager.events.delivered"][place] == 3

    asyncio.run(main())


def test_the_blocking_manager_is_read_too(sdk: Sdk) -> None:
    otel = pytest.importorskip("watchmanager.otel")

    with quiet() as world, wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.token) as owner:
        otel.instrument(owner, meter_provider=sdk.meters, tracer_provider=sdk.tracers)
        watch = owner.watch(world.topics[0])
        watch.ready(30)
        assert sdk.read()["watchmanager.watches.live"] == {(world.address, world.topics[0]): 1}


@pytest.mark.parametrize("kind", ["async", "plain"])
def test_a_handlers_call_is_a_span_and_its_own_spans_are_inside(kind: str, sdk: Sdk) -> None:
    otel = pytest.importorskip("watchmanager.otel")

    async def main() -> int:
        tracer = sdk.tracers.get_tracer("mine")
        tries: list[int] = []
        with quiet() as world:
            store = Saves()
            owner = owner_of(world, checkpoints=store)
            otel.instrument(owner, meter_provider=sdk.meters, tracer_provider=sdk.tracers)

            def work(event: wm.Event) -> None:
                with tracer.start_as_current_span("inside"):
                    tries.append(event.sequence)
                    if len(tries) == 1:
                        raise ConnectionError("not yet")

            if kind == "plain":
                owner.on()(work)
            else:

                @owner.on()
                async def later(event: wm.Event) -> None:
                    work(event)

            async with running(world, owner, on_handler_error=wm.HandlerRetry(attempts=3, backoff=QUICK)):
                [number] = world.publish(change(1))
                await store.wait(number)
            return number

    number = asyncio.run(main())
    spans = sdk.spans.get_finished_spans()
    calls = [each for each in spans if each.name == "process sample-watch-topic"]
    assert [(each.attributes or {})["watchmanager.attempt"] for each in calls] == [1, 2]
    assert all((each.attributes or {})["watchmanager.event.sequence"] == number for each in calls)
    assert [each.status.is_ok for each in calls] == [False, True]
    assert [each.name for each in calls[0].events] == ["exception"]
    inside = [each for each in spans if each.name == "inside"]
    assert [each.parent and each.parent.span_id for each in inside] == [each.context.span_id for each in calls]


def test_spans_can_be_left_out(sdk: Sdk) -> None:
    otel = pytest.importorskip("watchmanager.otel")

    owner = wm.AsyncWatchManager("https://central.test", tenant_id="1", token=lambda: "x")
    otel.instrument(owner, meter_provider=sdk.meters, spans=False)
    assert owner._observer is None
    with pytest.raises(wm.ConfigError, match="is no manager"):
        otel.instrument("owner")


def test_without_opentelemetry_the_import_says_what_to_install() -> None:
    code = "import sys; sys.modules['opentelemetry'] = None; import watchmanager; import watchmanager.otel"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install watchmanager[otel]" in found.stderr.splitlines()[-1]
