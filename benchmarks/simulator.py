"""How fast virtual time passes: a day and a year of flaky traffic, and generated scenarios a second, on one core.

    python benchmarks/simulator.py [--rounds 5] [--scenarios 1000] [--year]

* A day of flaky traffic: the built-in scenario `flaky` (500 events for the client, its first twelve streams break) and
  the client's rules, on for 24 virtual hours: PINGs every 30 s, audits of history, new tokens.
* A stormy day: `flaky` again and again, every hour of the day with streams that break anew (24 times the faults and the
  traffic). A quiet day without faults is what idle time costs.
* A year (with --year): the same scenario run on for 365 days. Without it, 30 days are run and nothing is extrapolated.
* Scenarios a second: storms as the property tests make them up (`mockcentral.sim.storms`), played and judged to the end
  by every promise. On average one has 9 events, 2 fault rules, 1.6 scripted attempts and 2 happenings (crashes,
  restarts, cuts) on a network with delays and losses; it takes 40 virtual seconds, 3 watch calls, 16 HTTP requests and
  1.3 lives of the client. Making one up, 0.2 ms, is not counted.

The peer is a bare heap of timers that steps as often as the day does: what a simulator without rules would need.
Seconds of CPU, without a journal (`lean`), as the property tests run; with a journal in a line of its own.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from random import Random

from mockcentral.conformance.subjects.watchmanager_core import WatchClient
from mockcentral.scenario.load import load
from mockcentral.scenario.schema import Scenario
from mockcentral.sim.clock import Clock
from mockcentral.sim.play import play
from mockcentral.sim.promises import Broken
from mockcentral.sim.storms import storm
from mockcentral.sim.world import SimWorld

TOPIC = "/management/v1/watchtopics/sample-watch-topic"
DAY = 86_400.0
HOUR = 3_600.0


def live(scenario: Scenario, seconds: float, *, lean: bool = True) -> SimWorld:
    """A world with one client, for so long; the client has everything in the end."""
    client = WatchClient(TOPIC, start="earliest")
    world = SimWorld(scenario, clients=[client], lean=lean)
    world.run(until=seconds)
    owed = [sequence for sequence, topics in world.published if topics]
    assert [each.sequence for each in client.events] == owed, "the client does not have everything"
    return world


def stormy_day(scenario: Scenario) -> SimWorld:
    """Every hour 20 events and 12 ends of streams, five seconds apart."""
    client = WatchClient(TOPIC, start="earliest")
    world = SimWorld(scenario, clients=[client], lean=True)
    change = {"kind": "APIService", "scope": "Environment/sample-env", "type": "updated", "name": "petstore"}
    for hour in range(24):
        for number in range(12):
            at = hour * HOUR + 60.0 + 5.0 * number
            world.at(at, lambda: world.publish([change] * 20))
            end: Callable[[], None] = (
                (lambda: world.end_streams(14)) if number % 2 else (lambda: world.close_connections(abort=True))
            )
            world.at(at + 0.01, end)
    world.run(until=DAY)
    owed = [sequence for sequence, topics in world.published if topics]
    assert [each.sequence for each in client.events] == owed, "the client does not have everything"
    return world


def bare(steps: int) -> None:
    """As many timers, and nothing behind them."""
    clock = Clock()

    def step(left: int) -> None:
        if left:
            clock.at(clock.now + 30.0, step, left - 1)

    clock.at(0.0, step, steps)
    clock.run(float("inf"), steps + 1)


def seconds(work: Callable[[], object]) -> float:
    gc.collect()  # what others left is not this one's to clear away
    start = time.process_time()
    work()
    return time.process_time() - start


def show(name: str, spent: list[float], goal: str = "", peer: float | None = None) -> None:
    middle = statistics.median(spent)
    ratio = "" if peer is None else f"  {middle / peer:.0f} times the peer"
    print(f"{name:<34} {middle * 1e3:>9,.1f} ms  ({min(spent) * 1e3:,.1f} to {max(spent) * 1e3:,.1f}){ratio}  {goal}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="times each figure is taken (default: 5)")
    parser.add_argument("--scenarios", type=int, default=1_000, help="generated scenarios a round (default: 1000)")
    parser.add_argument("--year", action="store_true", help="run a whole year, once")
    arguments = parser.parse_args()
    flaky = load("flaky")
    quiet = replace(flaky, traffic=(), faults=(), expect=())
    steps = live(flaky, DAY).clock.steps
    spent: dict[str, list[float]] = {name: [] for name in ("peer", "day", "journal", "quiet", "stormy", "storms")}
    broken = 0
    for number in range(arguments.rounds):
        spent["peer"].append(seconds(lambda: bare(steps)))
        spent["day"].append(seconds(lambda: live(flaky, DAY)))
        spent["journal"].append(seconds(lambda: live(flaky, DAY, lean=False)))
        spent["quiet"].append(seconds(lambda: live(quiet, DAY)))
        spent["stormy"].append(seconds(lambda: stormy_day(quiet)))
        first = number * arguments.scenarios
        total = 0.0
        gc.collect()
        for seed in range(first, first + arguments.scenarios):
            run = storm(Random(seed).randint)
            start = time.process_time()
            try:
                play(*run).close()
            except Broken as error:
                broken += 1
                print(f"storm {seed} broke a promise: {error}")
            total += time.process_time() - start
        spent["storms"].append(total)
    peer = statistics.median(spent["peer"])
    show(f"a heap of {steps:,} timers (peer)", spent["peer"])
    show("a day of flaky traffic", spent["day"], "goal 50 ms", peer)
    show("the same with a journal", spent["journal"], "", peer)
    show("a quiet day", spent["quiet"], "", peer)
    show("a stormy day: 288 broken streams", spent["stormy"])
    rates = [arguments.scenarios / each for each in spent["storms"]]
    print(
        f"{'generated scenarios':<34} {statistics.median(rates):>9,.0f} a second  ({min(rates):,.0f} to "
        f"{max(rates):,.0f})  goal 1,000"
    )
    if arguments.year:
        show("a year", [seconds(lambda: live(flaky, 365 * DAY))], "goal 10,000 ms")
    else:
        show("30 days", [seconds(lambda: live(flaky, 30 * DAY))])
    if broken:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
