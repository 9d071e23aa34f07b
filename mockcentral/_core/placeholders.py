"""`$(path)` in the texts of a rule: what stands at that path in a resource.

A text that is nothing but one placeholder becomes the value itself, of whatever type; within a longer text it is
written out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mockcentral._core import rsql

PLACEHOLDER = re.compile(r"\$\(([^()\s]+)\)")


def filled(value: Any, resource: Mapping[str, Any]) -> Any:
    """A JSON value with its placeholders replaced. Raises ValueError for a path the resource does not have."""
    if isinstance(value, str):
        whole = PLACEHOLDER.fullmatch(value)
        if whole is not None:
            return _at(resource, whole[1])
        return PLACEHOLDER.sub(lambda found: str(_at(resource, found[1])), value)
    if isinstance(value, Mapping):
        return {key: filled(item, resource) for key, item in value.items()}
    if isinstance(value, list):
        return [filled(item, resource) for item in value]
    return value


def _at(resource: Mapping[str, Any], path: str) -> Any:
    for value in rsql.values(resource, path):
        return value
    raise ValueError(f"the {resource.get('kind')} {resource.get('name')} has no {path}")
