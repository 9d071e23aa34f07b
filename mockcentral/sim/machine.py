"""A ready-made Hypothesis state machine: a watch, a server and a network that Hypothesis breaks in every order it
likes.

    from mockcentral.sim.machine import watch_machine

    def make_handler(disk):                              # one life of your process; the disk outlives it
        table = disk.setdefault("table", {})

        def handler(item):                               # an Event or a Gap
            if isinstance(item, Event):
                table[item.name] = item.sequence         # what you do with an event

        return handler

    def check(stage):                                    # all is well again, and everything was handled
        assert stage.disk["table"].keys() == {event.name for event in stage.events}

    TestMyHandler = watch_machine(make_handler, check=check).TestCase

The handler gets every event (and every `Gap`) at least once, in order, and again after a crash: is it idempotent, does
it lose nothing? `make_handler` is called for each life of the process, with a disk that is empty at the beginning of a
run. The handler may be a coroutine function, as long as it waits for nothing but itself: there is no event loop in
virtual time.

Needs hypothesis: `pip install 'watchmanager[test]'`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import note
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mockcentral.scenario.schema import Scenario
from mockcentral.scenario.types import Span
from mockcentral.sim import failures
from mockcentral.sim.plan import ClientPlan, Plan
from mockcentral.sim.play import Check, MakeHandler, Stage, be_checked
from mockcentral.sim.storms import TOPIC
from mockcentral.sim.weather import Weather

PATIENCE = 70.0
"""Seconds the machine waits for a client to handle something."""
QUIET = Scenario(
    scenario="machine",
    about="Nothing happens by itself; what happens is in the plan.",
    topics=(TOPIC,),
)


def watch_machine(
    make_handler: MakeHandler | None = None,
    *,
    client: ClientPlan | None = None,
    scenario: Scenario = QUIET,
    check: Check | None = None,
    name: str = "machine",
    folder: str | Path | None = None,
) -> type[RuleBasedStateMachine]:
    """A state machine class: create, publish, purge, disconnect, stall, crash and restart of client or server, tokens.

    `client` fixes how the watch is set up, else Hypothesis tries different ways. A failing run is written to
    `folder/name.yaml` (`.hypothesis/mockcentral` by default) as a scenario file, the smallest one last, and Hypothesis'
    report ends with the command that plays it again.
    """

    class WatchMachine(RuleBasedStateMachine):
        stage: Stage
        plan: Plan
        until = 0.0  # when faults were over
        broken = False

        @initialize(
            seed=st.integers(0, 2**16),
            delay=st.sampled_from((1, 50, 400)),
            chosen=st.just(client) if client is not None else client_plans(),
        )
        def create(self, seed: int, delay: int, chosen: ClientPlan) -> None:
            """A world, with a network that is quick or slow, and a client in it."""
            span = Span(delay / 1000, 2 * delay / 1000)
            self.plan = Plan(until=0.0, seed=seed, weather=Weather(up=span, down=span), client=chosen)
            self.stage = Stage(scenario, self.plan, make_handler=make_handler)

        @rule(count=st.integers(1, 20))
        def publish(self, count: int) -> None:
            self.happen("publish", count)

        @rule(seconds=st.sampled_from((0.01, 0.1, 1.0, 10.0, 70.0)))
        def advance(self, seconds: float) -> None:
            self.guarded(lambda: self.stage.advance(self.stage.world.now + seconds))

        @rule(keep=st.integers(0, 5))
        def purge(self, keep: int) -> None:
            self.happen("purge", keep)

        @rule(code=st.sampled_from((14, 0, 13, 16)))
        def end_streams(self, code: int) -> None:
            self.happen("end_streams", code)

        @rule(how=st.sampled_from(("close", "abort")))
        def disconnect(self, how: str) -> None:
            self.happen(how)

        @rule()
        def stall(self) -> None:
            self.happen("blackhole")

        @rule(seconds=st.sampled_from((0.5, 30.0)))
        def unplug(self, seconds: float) -> None:
            self.happen("unplug", seconds)

        @rule(down_for=st.sampled_from((0.0, 0.5, 10.0)), how=st.sampled_from(("crash", "vanish")))
        def crash_client(self, down_for: float, how: str) -> None:
            self.happen(how, down_for)

        @rule(count=st.integers(1, 5), handled=st.integers(1, 5), down_for=st.sampled_from((0.0, 0.5)))
        def crash_client_at_work(self, count: int, handled: int, down_for: float) -> None:
            """Events come, and the client dies when it has handled some and its checkpoint may not know."""
            self.happen("publish", count)
            self.guarded(lambda: self.stage.advance_until_handled(handled, PATIENCE))
            self.happen("crash", down_for)

        @rule(down_for=st.sampled_from((0.0, 0.5, 10.0)))
        def restart_server(self, down_for: float) -> None:
            self.happen("restart", down_for)

        @rule()
        def expire_tokens(self) -> None:
            self.happen("expire_tokens")

        @precondition(lambda self: hasattr(self, "stage"))
        @invariant()
        def promises_are_kept(self) -> None:
            self.guarded(self.stage.promises.check)

        def teardown(self) -> None:
            if hasattr(self, "stage") and not self.broken:  # what comes after the first mistake shows nothing
                self.guarded(self.finish)

        def finish(self) -> None:
            self.until = self.stage.world.now
            self.stage.finish()
            if check is not None:
                be_checked(self.stage, check)

        def happen(self, *what: Any) -> None:
            self.guarded(lambda: self.stage.happen(*what))

        def guarded(self, work: Callable[[], Any]) -> None:
            """Do it; a run that fails is written down first."""
            try:
                work()
            except Exception:
                self.broken = True
                done = tuple(self.stage.done)
                plan = replace(self.plan, until=self.until or self.stage.world.now, happenings=done)
                note(str(failures.save(scenario, plan, name=name, folder=folder, handler=make_handler, check=check)))
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
