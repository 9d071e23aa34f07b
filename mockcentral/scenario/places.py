"""Where in its file a fault rule stands, for messages about a rule that was read long ago.

A scenario does not remember its file. Whoever has to complain of one reads it again: that happens once, before anything
starts, and costs nobody else anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mockcentral._core.frozen import strict_dataclass
from mockcentral.scenario import catalogue, nodes
from mockcentral.scenario.errors import Problem, ScenarioError
from mockcentral.scenario.nodes import Entries, Items, Node, Scalar


@strict_dataclass(frozen=True, slots=True)
class Places:
    """A file as messages call it (`""`: there is none), and what stands in it."""

    file: str = ""
    _top: Mapping[str, Node] | None = None
    _rules: Mapping[str, Entries] | None = None

    def problem(self, message: str, *, rule: str = "", key: str = "") -> Problem:
        """Something wrong at a key of a fault rule, or without one at a key of the scenario."""
        node: Node | None = (self._rules or {}).get(rule)
        if isinstance(node, Entries):
            node = node.get(key) or node
        elif not rule:
            node = (self._top or {}).get(key)
        return Problem(self.file, node.line if node else 0, node.column if node else 0, message)


NOWHERE = Places()


def places(name: str | Path) -> Places:
    """Where things stand in a scenario that `load` finds by this name. Without lines when its file has changed so much
    that it cannot be read any more.
    """
    path = Path(name) if catalogue.is_path(name) else catalogue.find(str(name))
    try:
        top = nodes.documents(nodes.read_text(path), str(path))[0]
    except ScenarioError:
        return Places(str(path))
    faults = top.get("faults") if isinstance(top, Entries) else None
    rules = {}
    for rule in faults.items if isinstance(faults, Items) else ():
        if isinstance(rule, Entries) and isinstance(named := rule.get("name"), Scalar):
            rules[named.text] = rule
    return Places(str(path), {key.text: value for key, value in top.entries} if isinstance(top, Entries) else {}, rules)
