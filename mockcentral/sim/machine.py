"""A ready-made Hypothesis state machine: a watch, a server and a network that Hypothesis breaks in every order it
likes.

    from mockcentral.sim.machine import watch_machine

    def make_handler():
        seen = {}                                  # one life of your process
        def handler(event):
            seen[event.name] = event.sequence      # what you do with an event
        return handler

    TestMyHandler = watch_machine(make_handler, check=lambda world: ...).TestCase

`make_handler` is called for each life of the process; what has to outlive a crash belongs outside of it, as your
database does. The handler gets every event (and `Gap`s) at least once, in order, and again after a crash: is it
idempotent, does it lose nothing? `check` is called with the `Stage` when everything is well again and all events were
handled.

Needs hypothesis: `pip install 'watchmanager[test]'`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mockcentral.conformance.subjects.watchmanager_core import Application
from mockcentral.scenario.schema import Scenario
from mockcentral.scenario.types import Span
from mockcentral.sim.plan import ClientPlan, Plan
from mockcentral.sim.play import Stage, save_failure
from mockcentral.sim.promises import Broken
from mockcentral.sim.storms import TOPIC
from mockcentral.sim.weather import Weather
from mockcentral.sim.world import Runaway

QUIET = Scenario(
    scenario="machine",
    about="Nothing happens by itself; what happens is in the plan.",
    topics=(TOPIC,),
)


def watch_machine(
    make_handler: Callable[[], Application] | None = None,
    *,
    client: ClientPlan | None = None,
    scenario: Scenario = QUIET,
    check: Callable[[Stage], Any] | None = None,
    failures: str | None = None,
) -> type[RuleBasedStateMachine]:
    """A state machine class: create, publish, purge, disconnect, stall, crash and restart of client or server, tokens.

    `client` fixes how the watch is set up, else Hypothesis tries different ways. A failing run is written to the folder
    `failures` (a temporary one by default) as a scenario file, with the command that plays it again.
    """

    class WatchMachine(RuleBasedStateMachine):
        stage: Stage
        plan: Plan
        until = 0.0  # when faults were over

        @initialize(
            seed=st.integers(0, 2**16),
            delay=st.sampled_from((1, 50, 400)),
            chosen=st.just(client) if client is not None else client_plans(),
        )
        def create(self, seed: int, delay: int, chosen: ClientPlan) -> None:
            """A world, with a network that is quick or slow, and a client in it."""
            span = Span(delay / 1000, 2 * delay / 1000)
            self.plan = Plan(until=0.0, seed=seed, weather=Weather(up=span, down=span), client=chosen)
            self.stage = Stage(scenario, self.plan, application=make_handler)

        @rule(count=st.integers(1, 20))
        def publish(self, count: int) -> None:
            self.stage.happen("publish", count)

        @rule(seconds=st.sampled_from((0.01, 0.1, 1.0, 10.0, 70.0)))
        def advance(self, seconds: float) -> None:
            self.guarded(lambda: self.stage.advance(self.stage.world.now + seconds))

        @rule(keep=st.integers(0, 5))
        def purge(self, keep: int) -> None:
            self.stage.happen("purge", keep)

        @rule(code=st.sampled_from((14, 0, 13, 16)))
        def end_streams(self, code: int) -> None:
            self.stage.happen("end_streams", code)

        @rule(how=st.sampled_from(("close", "abort")))
        def disconnect(self, how: str) -> None:
            self.stage.happen(how)

        @rule()
        def stall(self) -> None:
            self.stage.happen("blackhole")

        @rule(seconds=st.sampled_from((0.5, 30.0)))
        def unplug(self, seconds: float) -> None:
            self.stage.happen("unplug", seconds)

        @rule(down_for=st.sampled_from((0.0, 0.5, 10.0)), how=st.sampled_from(("crash", "vanish")))
        def crash_client(self, down_for: float, how: str) -> None:
            self.stage.happen(how, down_for)

        @rule(down_for=st.sampled_from((0.0, 0.5, 10.0)))
        def restart_server(self, down_for: float) -> None:
            self.stage.happen("restart", down_for)

        @rule()
        def expire_tokens(self) -> None:
            self.stage.happen("expire_tokens")

        @precondition(lambda self: hasattr(self, "stage"))
        @invariant()
        def promises_are_kept(self) -> None:
            self.guarded(self.stage.promises.check)

        def teardown(self) -> None:
            if hasattr(self, "stage"):
                self.guarded(self.finish)

        def finish(self) -> None:
            self.until = self.stage.world.now
            self.stage.finish()
            if check is not None:
                check(self.stage)

        def guarded(self, work: Callable[[], Any]) -> None:
            """Do it; a broken promise is written down first."""
            try:
                work()
            except (Broken, Runaway, AssertionError):
                done = tuple(self.stage.done)
                plan = replace(self.plan, until=self.until or self.stage.world.now, happenings=done)
                path, command = save_failure(scenario, plan, failures)
                note(f"written to {path}; play it again with: {command}")
                raise

    WatchMachine.__qualname__ = WatchMachine.__name__ = "WatchMachine"
    return WatchMachine


def client_plans() -> st.SearchStrategy[ClientPlan]:
    """Ways to set a watch up, the ordinary one first."""
    return st.builds(
        ClientPlan,
        start=st.sampled_from(("latest", "earliest", 0)),
        on_gone=st.sampled_from(("skip", "earliest")),
        page_size=st.sampled_from((100, 1, 3)),
        max_events=st.sampled_from((10_000, 2, 5)),
        overlap=st.sampled_from((1000, 0, 3)),
        processing=st.sampled_from((0.0, 0.05)),
        save_time=st.sampled_from((0.0, 0.2)),
        checkpoint_interval=st.sampled_from((1.0, 0.0)),
        checkpoint_every=st.sampled_from((100, 1, 3)),
        audit_interval=st.sampled_from((300.0, 10.0)),
        keepalive=st.sampled_from((50.0, 5.0)),
        backoff=st.sampled_from((60.0, 5.0)),
    )
