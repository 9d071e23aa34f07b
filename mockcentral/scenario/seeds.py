"""Resource files: what Central's own tools write and read, one resource a YAML document (protocol 6.0).

    group: management
    kind: APIService
    name: petstore
    metadata: {scope: {kind: Environment, name: sample-env}}
    spec: {...}

Whatever else a document holds is a subresource. A WatchTopic is read with all the care of `load.load_topic`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mockcentral._core.frozen import strict_dataclass
from mockcentral.scenario import load, nodes
from mockcentral.scenario.errors import Problem, ScenarioError, shown
from mockcentral.scenario.nodes import Entries, Node, Scalar
from mockcentral.scenario.schema import Topic

SUFFIXES = (".yaml", ".yml", ".json")
SHOWN_ONLY = ("id", "selfLink", "audit", "resourceVersion", "state")
"""What a server fills into metadata: files that were got with `get -o yaml` may be fed back."""


Key = tuple[str, str, tuple[str, str] | None, str]
"""Group, kind, scope and name."""


@strict_dataclass(frozen=True, slots=True)
class Seed:
    """One resource of a file. `topic` is set for a WatchTopic; `body` is what to send."""

    group: str
    kind: str
    name: str
    scope: tuple[str, str] | None
    body: Mapping[str, Any]
    topic: Topic | None = None


def load_seeds(path: str | Path) -> list[Seed]:
    """The resources of a file, or of all YAML and JSON files in a folder and the folders in it, in the order of their
    names; those that others may live in come first.

    Raises ScenarioError with `file:line`.
    """
    path = Path(path)
    files = sorted(_files(path)) if path.is_dir() else [path]
    if not files:
        raise ScenarioError([Problem(str(path), 0, 0, f"the folder has no file that ends in {', '.join(SUFFIXES)}")])
    seen: dict[Key, str] = {}
    return in_order(seed for file in files for seed in loads_seeds(nodes.read_text(file), str(file), seen))


def in_order(seeds: Iterable[Seed]) -> list[Seed]:
    """Scopes before what lives in them, and otherwise as they were."""
    return sorted(seeds, key=lambda seed: seed.scope is not None)


def loads_seeds(text: str, file: str = "<string>", seen: dict[Key, str] | None = None) -> Iterator[Seed]:
    """The resources of a text, see `load_seeds`; at least one. `seen` holds where those before it stand: none comes
    twice.
    """
    found = 0
    for node in nodes.documents(text, file):
        if isinstance(node, Scalar) and node.value is None:
            continue  # an empty document: `---` at the end of a file
        found += 1
        seed = _seed(node, file)
        if seen is not None:
            here = f"{file}:{node.line}"
            first = seen.setdefault((seed.group, seed.kind, seed.scope, seed.name), here)
            if first != here:
                raise _wrong(node, file, f"{seed.kind} {seed.name} is in {first} already")
        yield seed
    if not found:
        raise ScenarioError([Problem(file, 1, 1, "the file is empty")])


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.suffix in SUFFIXES and path.is_file():
            yield path


def _seed(node: Node, file: str) -> Seed:
    if not isinstance(node, Entries):
        raise _wrong(node, file, "a resource is a mapping with kind and name")
    kind = _word(node, "kind", file, required=True)
    if kind == "WatchTopic":
        topic = load.read_topic(node, file)
        return Seed("management", kind, topic.name, None, {}, topic)
    if (misplaced := node.get("scope")) is not None:
        raise _wrong(misplaced, file, "scope stands in metadata: write metadata: {scope: {kind: Environment, name: …}}")
    group = _word(node, "group", file) or "management"
    name = _word(node, "name", file, required=True)
    body: Any = nodes.plain(node)
    try:
        json.dumps(body, allow_nan=False)
    except ValueError:
        raise _wrong(
            node, file, "there is a number that JSON does not have, such as .nan or .inf: write a text"
        ) from None
    scope = _scope(node, file)
    for key, kinds, what in (
        ("spec", Entries, "a mapping"),
        ("attributes", Entries, "a mapping"),
        ("owner", Entries, "a mapping"),
        ("tags", nodes.Items, "a list"),
        ("finalizers", nodes.Items, "a list"),
    ):
        value = node.get(key)
        if value is not None and not isinstance(value, kinds) and not _is_null(value):
            raise _wrong(value, file, f"{key} is {what}")
    metadata = {key: value for key, value in (body.get("metadata") or {}).items() if key not in (*SHOWN_ONLY, "scope")}
    return Seed(group, kind, name, scope, {**body, "group": group, "metadata": metadata})


def _scope(node: Entries, file: str) -> tuple[str, str] | None:
    metadata = node.get("metadata")
    if metadata is None or _is_null(metadata):
        return None
    if not isinstance(metadata, Entries):
        raise _wrong(metadata, file, "metadata is a mapping")
    scope = metadata.get("scope")
    if scope is None or _is_null(scope):
        return None
    if not isinstance(scope, Entries):
        raise _wrong(scope, file, "a scope is a mapping: {kind: Environment, name: sample-env}")
    return _word(scope, "kind", file, required=True), _word(scope, "name", file, required=True)


def _word(node: Entries, key: str, file: str, *, required: bool = False) -> str:
    value = node.get(key)
    if value is None or _is_null(value):
        if required:
            raise _wrong(node, file, f"{key} is missing: a resource has a kind and a name")
        return ""
    if not isinstance(value, Scalar) or not value.text or "/" in value.text or not value.text.isprintable():
        written = shown(value.text) if isinstance(value, Scalar) else "something else"
        raise _wrong(value, file, f"{key} is a word without a slash, not {written}")
    return value.text


def _is_null(node: Node) -> bool:
    return isinstance(node, Scalar) and node.value is None


def _wrong(node: Node, file: str, message: str) -> ScenarioError:
    return ScenarioError([Problem(file, node.line, node.column, message)])
