# docs/examples/write_a_fault.py
"""A fault of one's own, in a world of one's own. `python docs/examples/write_a_fault.py`"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

import mockcentral
import watchmanager as wm
from mockcentral._core.actions import Action, GoAway, ResetCall
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.schema import FaultRule
from mockcentral.scenario.types import Anchor


@dataclass(frozen=True, slots=True, kw_only=True)
class Eviction(Fault):
    """GOAWAY on the connection, and RST_STREAM on the call at once, where others let it live on.

    The client should feel a broken stream on a connection that takes no other, and connect anew.

    It stands for a proxy that drains a node with a deadline of zero.
    """

    name: ClassVar[str] = "eviction"
    level: ClassVar[str] = "http2"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"event", "subscribe"})

    why: str = doc("the debug data of the frame", "evicted", maximum=100)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return GoAway(moment.connection, 0, None, self.why.encode()), ResetCall(moment.call, 8)


def main() -> None:
    with mockcentral.World(scenario="calm") as world:
        world.arm(FaultRule(name="evicted", on=Anchor("event", 3), times=1, do=Eviction()))
        with wm.WatchManager(world.http_url, tenant_id=world.tenant, token=world.issue_token) as manager:
            watch = manager.watch(world.topics[0], fallback="earliest")
            with watch:
                sequences = [event.sequence for event, _ in zip(watch, range(5), strict=False)]
        [receipt] = [receipt for receipt in world.faults() if receipt["name"] == "evicted"]
        print(sequences, receipt)
        assert sequences == sorted(set(sequences))
        assert receipt["on_wire"] == 2
        assert receipt["observed"] >= 1


if __name__ == "__main__":
    main()
