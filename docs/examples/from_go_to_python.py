# docs/examples/from_go_to_python.py
"""The Go names on the Python engine. `python docs/examples/from_go_to_python.py`"""

from __future__ import annotations

import queue

import mockcentral
import watchmanager as wm
from watchmanager import compat


class Sequence:
    """Where the position is kept: Go's SequenceProvider."""

    def __init__(self, value: int = 0) -> None:
        self._value = value

    def get_sequence(self) -> int:
        return self._value

    def set_sequence(self, sequence: int) -> None:
        self._value = sequence


def main() -> None:
    # A Central of your own instead of apicentral.axway.com: leave with_tls_config out there.
    with mockcentral.World(scenario="calm") as world:
        host, _, port = world.address.rpartition(":")
        config = compat.Config(host=host, port=int(port), tenant_id=world.tenant, token_getter=world.issue_token)
        sequence = Sequence()
        with compat.new(
            config,
            compat.with_tls_config(None),  # plain text, as WithTLSConfig(nil)
            compat.with_harvester(compat.Harvester(page_size=100), sequence),
            compat.with_keepalive(50, 10),
        ) as manager:
            events: queue.Queue[wm.Event] = queue.Queue(100)
            watch_id = manager.register_watch(world.topics[0], events)
            for _ in range(5):
                event = events.get(timeout=30)
                sequence.set_sequence(event.sequence)
                print(event.type.value, event.kind, event.name)
            print("connected:", manager.status())
            manager.close_watch(watch_id)


if __name__ == "__main__":
    main()
