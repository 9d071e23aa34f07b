"""`python -m mockcentral.sim SCENARIO`: play a scenario in virtual time with watchmanager's core, and judge it.

SCENARIO is a built-in's name or a file; a file that a failing test wrote holds its plan in the first line. Exit
codes: 0 every promise kept, 1 one broken, 2 the scenario or the plan cannot be read.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace

from mockcentral.scenario.errors import ScenarioError


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m mockcentral.sim", description=__doc__)
    parser.add_argument("scenario", help="a built-in's name or a file")
    parser.add_argument("--seed", type=int, help="instead of the plan's")
    parser.add_argument("--plan", metavar="JSON", help="instead of the one in the file")
    parser.add_argument("--journal", action="store_true", help="print the journal as NDJSON")
    given = parser.parse_args()
    from mockcentral.sim.plan import Plan
    from mockcentral.sim.play import Stage, load_failure
    from mockcentral.sim.promises import Broken
    from mockcentral.sim.world import Runaway

    try:
        scenario, plan = load_failure(given.scenario)
        if given.plan is not None:
            plan = Plan.from_json(given.plan)
    except (ScenarioError, ValueError, OSError) as error:
        print(f"mockcentral.sim: {error}", file=sys.stderr)
        return 2
    if given.seed is not None:
        plan = replace(plan, seed=given.seed)
    if not scenario.topics:
        print("mockcentral.sim: the scenario has no topic to watch", file=sys.stderr)
        return 2
    stage = Stage(scenario, plan, lean=False)
    said = ""
    try:
        stage.play()
        played = stage.finish()
    except (Broken, Runaway) as error:
        said = str(error)
    if given.journal:
        for record in stage.world.records():
            print(json.dumps(record))
    if said:
        print(f"broken: {said}", file=sys.stderr)
        return 1
    after = "gave up, as it was told to" if played.live_after is None else f"well {played.live_after:.3f} s after all"
    print(
        f"kept: {len(stage.client.events)} events, {len(stage.client.gaps)} gaps, {stage.client.machine.attempt} "
        f"attempts; {after} (allowed: {played.bound:.1f} s)",
        file=sys.stderr,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
