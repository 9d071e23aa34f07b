"""Playing a scenario with a plan: the client runs through it all, the promises are watched, the end is judged.

A run that breaks a promise raises `Broken`; `failures` writes it down so that one command shows it again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mockcentral.conformance.subjects.watchmanager_core import (
    OF_THE_USERS,
    Application,
    Event,
    Gap,
    WatchClient,
    call_through,
    make_settings,
    recovery_bound,
)
from mockcentral.scenario.schema import ALL_TYPES, Scenario
from mockcentral.scenario.types import Code, Span
from mockcentral.sim.failures import load_run
from mockcentral.sim.plan import Happening, Plan
from mockcentral.sim.promises import Broken, Promises
from mockcentral.sim.world import SimWorld

Disk = dict[str, Any]
MakeHandler = Callable[[Disk], Application]
"""Makes the handler of one life of the process; the disk is what outlives it."""

Check = Callable[["Stage"], Any]
"""Looks at what a handler has made of its events when all is over; raises when it is not right. A function, or a
coroutine function that waits for nothing real."""

LINGER = 2.0
"""Seconds a settled client is watched on: copies that come late are still seen."""


@dataclass(frozen=True, slots=True)
class Played:
    """A run that kept its promises. `live_after`: seconds from the end of all faults until the client was well again,
    None when it had ended for good, as it was told to when history is gone.
    """

    world: SimWorld
    client: WatchClient
    live_after: float | None
    bound: float

    def close(self) -> None:
        """See `SimWorld.close`."""
        self.client.on_saved = None
        self.world.close()


class Stage:
    """A world with one client, to which things happen: one by one (`happen`, `advance`), or as planned (`play`)."""

    def __init__(
        self,
        scenario: Scenario,
        plan: Plan,
        *,
        lean: bool = True,
        make_handler: MakeHandler | None = None,
    ) -> None:
        self.scenario = scenario
        self.plan = plan
        self.disk: Disk = {}
        """What outlives a crash of the client's process: empty at the beginning, for handlers to use."""
        self.done: list[Happening] = []
        """What happened so far besides the scenario."""
        client = plan.client
        topic = scenario.topics[0].name if scenario.topics else "none"
        link = f"/management/v1/watchtopics/{topic}"
        self.client = WatchClient(
            link,
            settings=make_settings(client, link),
            start=client.start,
            processing=Span(0.0, client.processing),
            save_time=client.save_time,
            application=(lambda: make_handler(self.disk)) if make_handler is not None else None,
            seed=plan.seed,
        )
        # Thrifty with a journal as without one: what a lean test has found has to be found again by a full replay.
        self.world = SimWorld(
            scenario,
            seed=plan.seed,
            weather=plan.weather,
            lean=lean,
            thrifty=True,
            approximate=True,
            about=None if lean else {"plan": plan.to_json()},
        )
        began_at = client.start if isinstance(client.start, int) else None
        loses = any(rule.do.name == "lose" for rule in scenario.faults)
        self.promises = Promises(
            self.world,
            self.client,
            began_at=began_at,
            holes=loses,
            silent=plan.weather.zombies > 0,
            confirming=plan.client.confirm,
        )
        self._changes = 0
        self.world.join(self.client)

    # ------------------------------------------------------------------------------------------ what happens
    def happen(self, do: str, value: float = 0.0) -> None:
        """Let something happen now; see `Happening`."""
        self.done.append(Happening(self.world.now, do, value))
        _VERBS[do](self, value)
        self.world.network.flush()

    def advance(self, until: float) -> None:
        """Let time pass up to a world time, and check that promises are kept."""
        self.world.run(until=until, limit_events=1_000_000)
        self.promises.check()

    def advance_until_handled(self, count: int, patience: float) -> None:
        """Let time pass until the client has handled so many more items, or no longer."""
        applied = self.client.applied
        enough = len(applied) + count
        self.world.run(until=self.world.now + patience, stop=lambda: len(applied) >= enough, limit_events=1_000_000)
        self.advance(self.world.now)  # all of this moment: a replay stops between moments only

    def play(self) -> None:
        """Everything the plan holds, up to the end of its faults."""
        for happening in self.plan.happenings:
            self.advance(happening.at)
            self.happen(happening.do, happening.value)
        self.advance(self.plan.until)

    def _publish(self, count: float) -> None:
        for _ in range(int(count)):
            self.world.publish(self._next_change())

    def _next_change(self) -> dict[str, Any]:
        """Lives of resources, three side by side: all are created, then all updated, then all deleted."""
        chosen = self.scenario.topics[0].filters[0]
        steps = [word for word in ALL_TYPES if word in chosen.type]
        life, step = divmod(self._changes, 3 * len(steps))
        self._changes += 1
        change = {
            "kind": "APIService" if chosen.kind == "*" else chosen.kind,
            "group": "management" if chosen.group == "*" else chosen.group,
            "name": f"made-{3 * life + step % 3 + 1}" if chosen.name == "*" else chosen.name,
            "type": steps[step // 3],
        }
        if chosen.scope is not None and chosen.scope.kind != "*":
            name = "any" if chosen.scope.name == "*" else chosen.scope.name
            change["scope"] = f"{chosen.scope.kind}/{name}"
        return change

    def _crash(self, down_for: float, vanish: bool = False) -> None:
        world, client = self.world, self.client
        if client in world.seats:
            world.crash(client, vanish=vanish)
            world.at(world.now + down_for, lambda: world.join(client))

    def _unplug(self, seconds: float) -> None:
        world, client = self.world, self.client
        if client in world.seats:
            seat = world.seats[client]
            world.unplug(client)
            world.at(world.now + seconds, lambda: setattr(seat, "reachable", True))

    @property
    def events(self) -> list[Event]:
        """Every event the handler was given in any life, each once, by sequence. After `finish` that is everything it
        was owed: nothing is missing but what lies in a `Gap` that it was told of.
        """
        found = {each.sequence: each.item for each in self.client.applied if not isinstance(each.item, Gap)}
        return [found[sequence] for sequence in sorted(found)]

    # ------------------------------------------------------------------------------------------ the end
    @property
    def over(self) -> bool:
        """The client has ended by itself."""
        return self.client.error is not None

    def finish(self) -> Played:
        """Faults are over: the client has to be well within its bound. Raises `Broken`."""
        world, client, promises = self.world, self.client, self.promises
        world.calm()
        pages = 1 + len(world.published) // max(
            1, min(client.settings.history.page_size if client.settings.history else 100, 100)
        )
        rtt = world.network.weather.up.high + world.network.weather.down.high
        rest = max((happening.at + happening.value for happening in self._comebacks()), default=0.0) - world.now
        bound = (
            max(0.0, rest)
            + recovery_bound(client.settings, round_trip=rtt, pages=pages, retry_after=10.0, hidden=promises.hidden)
            + len(world.published) * (self.plan.client.processing + self.plan.client.save_time)
        )
        began = world.now
        newest = len(world.published)
        newest_at = since = began

        def well() -> bool:
            nonlocal newest, newest_at
            if len(world.published) > newest:
                newest, newest_at = len(world.published), world.now
            if client.error is not None:
                return True
            if not client.settled or client not in world.seats:
                return False
            promises.check()
            return not promises.missing()

        reached = world.run(until=began + bound, stop=well, limit_events=1_000_000)
        while not reached and client.live_since is not None and newest_at + bound > world.now:
            # What is published now and swallowed by a stream that says nothing is due that long from now.
            since = newest_at
            reached = world.run(until=since + bound, stop=well, limit_events=1_000_000)
        promises.check()
        if self.over:
            self._judge_failure()
            return Played(world, client, None, bound)
        if not reached:
            status = client.machine.status()
            raise Broken(
                "live",
                f"{client.name}: not well {world.now - since:.1f} s after all faults were over: {status.state.value} "
                f"since {status.since:.3f} s ({status.why}); missing: {promises.missing()[:5]}",
            )
        live_after = world.now - since
        self.advance(world.now + LINGER)
        world.run(until=world.now + bound, stop=well, limit_events=1_000_000)  # traffic may go on and on
        if not self.over:
            promises.check_complete()
        return Played(world, client, live_after, bound)

    def _comebacks(self) -> list[Happening]:
        return [each for each in self.done if each.do in ("crash", "vanish", "restart")]

    def _judge_failure(self) -> None:
        """A client may give up for two reasons: history is gone and it was told to say so, or the server's final
        word.
        """
        error = self.client.error
        kind = type(error).__name__
        if kind == "SequenceExpired" and self.plan.client.on_gone == "raise" and self.world.central.log.purged_through:
            return
        raise Broken("goes on", f"{self.client.name}: gave up with {kind}: {error}")


_VERBS: dict[str, Callable[[Stage, float], Any]] = {
    "publish": Stage._publish,
    "purge": lambda stage, value: stage.world.purge(keep=int(value)),
    "end_streams": lambda stage, value: stage.world.end_streams(Code(int(value))),
    "close": lambda stage, value: stage.world.close_connections(abort=False),
    "abort": lambda stage, value: stage.world.close_connections(abort=True),
    "blackhole": lambda stage, value: stage.world.blackhole(),
    "unplug": Stage._unplug,
    "crash": Stage._crash,
    "vanish": lambda stage, value: stage._crash(value, True),
    "restart": lambda stage, value: stage.world.restart(value),
    "expire_tokens": lambda stage, value: stage.world.expire_tokens(),
}


def play(scenario: Scenario, plan: Plan, *, lean: bool = True) -> Played:
    """Play a whole run and judge it. Raises `Broken`, `Runaway`."""
    stage = Stage(scenario, plan, lean=lean)
    stage.play()
    return stage.finish()


def perform(stage: Stage, check: Check | None = None) -> Played:
    """Play the whole run, judge it, and let the user's own check look at the end. Raises `Broken`, `Runaway`."""
    stage.play()
    played = stage.finish()
    if check is not None:
        be_checked(stage, check)
    return played


def be_checked(stage: Stage, check: Check) -> None:
    """Raises `Broken` for whatever the user's check raises."""
    try:
        call_through(check, stage)
    except OF_THE_USERS as error:
        raise Broken("check", f"the check raised {type(error).__name__}: {error}") from error


def replay(path: str | Path, make_handler: MakeHandler | None = None, check: Check | None = None) -> Played:
    """Play a run that was written down (`failures.save`). Raises `Broken`, `Runaway`."""
    return perform(Stage(*load_run(path), lean=False, make_handler=make_handler), check)
