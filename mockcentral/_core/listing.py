"""Lists of resources: which, in what order, a page of them, and how much of each (protocol 6.0)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from mockcentral._core import rsql
from mockcentral._core.frozen import dataclass
from mockcentral._core.resources import Json, ResourceStore, in_version, unversioned

DEFAULT_PAGE_SIZE = 100
MAX_PAGE_SIZE = 1000
ALWAYS = ("group", "apiVersion", "kind", "name")
"""Keys that are shown whatever `fields` names."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a list."""

    page: int = 1
    page_size: int = DEFAULT_PAGE_SIZE
    wanted: rsql.Predicate | None = None
    sort: str = ""
    descending: bool = False
    fields: str = ""
    embeds: bool = False


PARAMETERS = ("page", "pageSize", "query", "sort", "fields", "embed")
"""Of a list; a single resource takes `fields` alone."""


def check(parameters: Mapping[str, str], known: Iterable[str] = PARAMETERS) -> None:
    """Raises ValueError for a parameter that is not known (`world.rest.unknown_parameters: refuse`)."""
    known = tuple(known)
    for name in parameters:
        if name not in known:
            raise ValueError(f"there is no parameter {name[:40]!r}: write {', '.join(known)}")


def parse(parameters: Mapping[str, str]) -> Asked:
    """The parameters of a request. A page size above the limit is cut; unknown parameters are passed over (`check`).

    Raises ValueError with the parameter, its value and what may stand there.
    """
    query, embed = parameters.get("query", ""), parameters.get("embed", "")
    if embed not in ("", "metadata.references"):
        raise ValueError(f"embed is {embed[:40]!r}: only metadata.references can be embedded")
    field, _, order = parameters.get("sort", "").replace(" ", "").partition(",")
    if order.upper() not in ("", "ASC", "DESC"):
        raise ValueError(f"sort is {parameters['sort'][:40]!r}: write a field, then ,ASC or ,DESC")
    return Asked(
        page=_whole(parameters, "page", 1),
        page_size=min(MAX_PAGE_SIZE, _whole(parameters, "pageSize", DEFAULT_PAGE_SIZE)),
        wanted=rsql.parse(query) if query.strip() else None,
        sort=field,
        descending=order.upper() == "DESC",
        fields=parameters.get("fields", ""),
        embeds=bool(embed),
    )


def select(resources: Iterable[Json], asked: Asked) -> tuple[list[Json], int]:
    """The page asked for, and how many there are on all pages."""
    found = [each for each in resources if asked.wanted is None or asked.wanted(each)]
    if asked.sort:
        found.sort(key=lambda each: _rank(each, asked.sort), reverse=asked.descending)
    start = (asked.page - 1) * asked.page_size
    return found[start : start + asked.page_size], len(found)


def project(resource: Json, fields: str) -> Json:
    """Only these fields of a resource, `a,b.c`, and what every resource shows; all of it when none is named."""
    paths = [each.strip() for each in fields.split(",") if each.strip()]
    if not paths:
        return resource
    shown: Json = {key: resource[key] for key in ALWAYS}
    for path in paths:
        _copy(resource, shown, path)
    return shown


def referred(store: ResourceStore, resource: Json, version: str) -> list[Json]:
    """What a resource refers to, as `_embedded` shows it: the heads of those that still exist."""
    heads = []
    for reference in resource["metadata"]["references"]:
        link = reference.get("selfLink")
        other = store.get(unversioned(link)) if isinstance(link, str) else None
        if other is not None:
            head = project(in_version(other, version), "title,metadata,owner")
            head["metadata"].pop("references", None)
            heads.append(head)
    return heads


def _copy(source: Mapping[str, Any], into: Json, path: str) -> None:
    head, dot, rest = path.partition(".")
    if path in source:
        into[path] = source[path]
    elif dot and isinstance(source.get(head), Mapping):
        inside = into.setdefault(head, {})
        if isinstance(inside, dict):
            _copy(source[head], inside, rest)


def _rank(resource: Json, path: str) -> tuple[int, Any]:
    """Numbers before texts, and what has no such field before both."""
    value = next(rsql.values(resource, path), None)
    if value is None:
        return (0, 0)
    if isinstance(value, (int, float)):
        return (1, value)
    return (2, str(value))


def _whole(parameters: Mapping[str, str], name: str, default: int) -> int:
    text = parameters.get(name, "")
    if not text:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise ValueError(f"{name} is {text[:40]!r}: it must be a whole number")
    return max(1, int(text))
