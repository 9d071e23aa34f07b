"""The history service's language: its query parameters and the JSON of its answers (protocol section 3).

What events there are is the log's business; here is only how a client asks and how an event reads.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from mockcentral._core.events import Op, Scope, TopicEvent
from mockcentral._core.frozen import dataclass

TYPE_NAMES = {
    Op.CREATED: "ResourceCreated",
    Op.UPDATED: "ResourceUpdated",
    Op.DELETED: "ResourceDeleted",
    Op.SUBRESOURCEUPDATED: "SubResourceUpdated",
    Op.TRIGGERACTION: "TriggerAction",
    Op.PING: "Ping",
}
"""Event types in JSON (protocol 3.2)."""

_CONDITION = re.compile(r"(sequenceID|sequence)\s*(>=|<=|==|=gt=|=ge=|=lt=|=le=|>|<)\s*(-?\d{1,19})")
UNBOUNDED = 2**63 - 1
_NO_SCOPE = Scope("", "")

EVERYTHING = 10_000
"""Events in the answer to a request without any parameter, which asks for all there are (protocol 3.1)."""


@dataclass(frozen=True, slots=True)
class Query:
    """One request for history: events with `after < sequence < before`, a page of them, in the order asked for.

    `asked_after` is the sequence of the client's own words, None when it asked for no lower bound.
    """

    after: int = 0
    before: int = UNBOUNDED
    page: int = 1
    page_size: int = 100
    newest_first: bool = False
    asked_after: int | None = None


def parse(parameters: Mapping[str, str], page_size: int) -> Query:
    """The query of a request; `page_size` is the default and the cap, but not for a request without parameters.

    Raises ValueError with the parameter, its value and what may stand there.
    """
    if not parameters:
        return Query(page_size=max(page_size, EVERYTHING))
    size = _whole(parameters, "pageSize", page_size, 1)
    page = _whole(parameters, "page", 1, 1)
    after, before, asked = _bounds(parameters.get("query", ""))
    return Query(
        after=after,
        before=before,
        page=page,
        page_size=min(size, page_size),
        newest_first=_descending(parameters.get("sort", "")),
        asked_after=asked,
    )


def _whole(parameters: Mapping[str, str], name: str, default: int, minimum: int) -> int:
    text = parameters.get(name)
    if text is None or text == "":
        return default
    if not re.fullmatch(r"\d{1,9}", text) or int(text) < minimum:
        raise ValueError(f"{name} is {text[:40]!r}: it must be a whole number from {minimum}")
    return int(text)


def _bounds(text: str) -> tuple[int, int, int | None]:
    after, before, asked = 0, UNBOUNDED, None
    if not text.strip():
        return after, before, asked
    for part in text.split(";"):
        condition = _CONDITION.fullmatch(part.strip())
        if condition is None:
            raise ValueError(
                f"query holds {part.strip()[:60]!r}: only comparisons such as sequenceID>100 can be asked, joined by ;"
            )
        operator, number = condition[2], min(int(condition[3]), UNBOUNDED)
        if operator in (">", "=gt="):
            low = number
        elif operator in (">=", "=ge=", "=="):
            low = number - 1
        else:
            low = None
        if low is not None:
            after = max(after, low)
            asked = low if asked is None else max(asked, low)
        if operator in ("<", "=lt="):
            before = min(before, number)
        elif operator in ("<=", "=le=", "=="):
            before = min(before, number + 1)
    return after, before, asked


def _descending(text: str) -> bool:
    field, _, order = text.replace(" ", "").partition(",")
    if field not in ("", "sequenceID") or order.upper() not in ("", "ASC", "DESC"):
        raise ValueError(f"sort is {text[:40]!r}: only sequenceID,ASC and sequenceID,DESC can be asked")
    return order.upper() == "DESC"


def event_json(entry: TopicEvent) -> dict[str, Any]:
    """An event as the history service shows it, names and types of protocol 3.2."""
    event, change = entry.event, entry.event.change
    # Always there, as on the stream: Go handlers follow metadata.scope without looking (protocol 1.7).
    scope = change.scope or _NO_SCOPE
    metadata: dict[str, Any] = {
        "id": change.resource_id,
        "selfLink": change.self_link,
        "scope": {"id": scope.id, "kind": scope.kind, "name": scope.name, "selfLink": scope.self_link},
        "references": [
            {
                "id": reference.id,
                "kind": reference.kind,
                "name": reference.name,
                "scopeKind": reference.scope_kind or None,
                "scopeName": reference.scope_name or None,
                "selfLink": reference.self_link,
                "type": reference.type,
            }
            for reference in change.references
        ],
    }
    return {
        "id": event.id,
        "time": event.time,
        "version": "v1",
        "product": "AmplifyCentral",
        "correlationId": event.id,
        "organization": {"id": event.organization},
        "type": TYPE_NAMES[change.op],
        "payload": {
            "group": change.group,
            "kind": change.kind,
            "name": change.name,
            "metadata": metadata,
            "attributes": dict(change.attributes),
            "finalizers": None,
            "tags": [],
        },
        "metadata": {
            "watchTopicID": entry.topic_id,
            "watchTopicSelfLink": entry.topic_link,
            "sequenceID": event.sequence,
            "subresource": change.subresource or None,
        },
    }


def event_text(entry: TopicEvent) -> str:
    """`event_json` as text, made once per entry."""
    if entry.text is None:
        entry.text = json.dumps(event_json(entry), separators=(",", ":"))
    return entry.text
