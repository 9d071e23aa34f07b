"""The worlds of one process by id: what the control API creates, finds and closes."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockcentral.world import World

MAX_WORLDS = 1000
"""Bound on what one client of the control API can make us hold."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class Conflict(ValueError):
    """The world exists and was created from something else."""


class Worlds:
    """Worlds by id. The methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        """Held by who creates or removes a world."""
        self._worlds: dict[str, World] = {}
        self._bodies: dict[str, str] = {}

    @classmethod
    def holding(cls, *worlds: World) -> Worlds:
        """Worlds that were started elsewhere; `close` leaves them to their owner."""
        registry = cls()
        for world in worlds:
            registry._worlds[world.name] = world
        return registry

    def get(self, id: str) -> World | None:
        # Without the lock: whoever creates a world holds it while it waits for the loop, and the loop asks here.
        return self._worlds.get(id)

    def __iter__(self) -> Iterator[World]:
        return iter(list(self._worlds.values()))

    def create(self, id: str, body: Mapping[str, Any], control: Any) -> tuple[World, bool]:
        """The world `id` made from `body`, and whether it is new. The same body again changes nothing.

        Raises Conflict when the id is taken by a world made from something else, ValueError (ScenarioError among them)
        when the body is not understood, PortInUse.
        """
        from mockcentral.world import World

        if not _ID.fullmatch(id):
            raise ValueError(f"a world id is letters, digits, dot, dash and underscore, 64 at most, not {id[:80]!r}")
        canonical = json.dumps(body, sort_keys=True)
        with self._lock:
            if id in self._worlds:
                if self._bodies.get(id) == canonical:
                    return self._worlds[id], False
                raise Conflict(f"world {id!r} exists and was made from something else: DELETE it first")
            if len(self._worlds) >= MAX_WORLDS:
                raise ValueError(f"there are {MAX_WORLDS} worlds already: DELETE some first")
            world = World(name=id, **_options(body))
            world.attach_control(control)
            world.start()
            self._worlds[id] = world
            self._bodies[id] = canonical
            return world, True

    def remove(self, id: str) -> bool:
        """Close a world; False when there is none."""
        with self._lock:
            world = self._worlds.pop(id, None)
            self._bodies.pop(id, None)
        if world is None:
            return False
        world.close()
        return True

    def close(self) -> None:
        """Close the worlds that were created here."""
        for id in list(self._bodies):
            self.remove(id)


_KEYS = {
    "scenario": (str, dict),
    "seed": (int,),
    "time_scale": (int, float),
    "topics": (list,),
    "faults": (list, dict),
    "host": (str,),
    "port": (int,),
    "tls": (bool,),
}


def _options(body: Mapping[str, Any]) -> dict[str, Any]:
    """World's keyword arguments out of a PUT body. `scenario` is a built-in name or a whole scenario object."""
    from dataclasses import replace

    from mockcentral.scenario.load import load, parse_fault, parse_scenario, parse_topic
    from mockcentral.world import EMPTY

    for key, value in body.items():
        if key not in _KEYS:
            raise ValueError(f"a world has no {key!r}: it may hold {', '.join(_KEYS)}")
        if not isinstance(value, _KEYS[key]) or (isinstance(value, bool) and bool not in _KEYS[key]):
            raise ValueError(f"{key} must be {' or '.join(kind.__name__ for kind in _KEYS[key])}")
    options = {key: body[key] for key in ("seed", "time_scale", "host", "port", "tls") if key in body}
    given = body.get("scenario")
    # Names only: a path in a request would read files of this machine for whoever can reach the control port.
    scenario = (
        EMPTY if given is None else load(given, builtin_only=True) if isinstance(given, str) else parse_scenario(given)
    )
    faults = body.get("faults", [])
    if isinstance(faults, dict):
        faults = [{"name": name, **rule} if isinstance(rule, Mapping) else rule for name, rule in faults.items()]
    rules = tuple(parse_fault(rule) for rule in faults)
    options["scenario"] = replace(scenario, faults=scenario.faults + rules)
    options["topics"] = [parse_topic(topic) for topic in body.get("topics", [])]
    return options
