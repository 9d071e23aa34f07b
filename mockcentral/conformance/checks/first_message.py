"""A watch call opens as the protocol says: path, metadata, first message."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Attempt, Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, unknown
from mockcentral.scenario.expectations import FirstMessage

WATCH_PATH = "/central.events.v1.watch/subscribe"
NO_TYPE = (None, 0)
"""The request type is absent; an explicit TOKEN_REFRESH is tolerated (protocol 7.1 C3)."""


def judge(evidence: Evidence, settings: FirstMessage) -> Finding:
    """Path (C1), tenant and token in the metadata (C2), then selfLink and a valid token, no request type (C3)."""
    wrong: dict[str, list[Record]] = {}
    judged = 0
    for attempt in evidence.attempts:
        for complaint, line in _complaints(evidence, attempt):
            wrong.setdefault(complaint, []).append(line)
        judged += bool(attempt.requests)
    if wrong:
        words = [f"{complaint} (attempt {lines[0]['attempt']})" for complaint, lines in wrong.items()]
        return failed(f"{'; '.join(words)}.", [line for lines in wrong.values() for line in lines])
    return (
        passed(f"{judged} streams.")
        if judged
        else unknown("No stream was opened far enough to send its first message.")
    )


def _complaints(evidence: Evidence, attempt: Attempt) -> list[tuple[str, Record]]:
    opened = attempt.opened
    found: list[tuple[str, Record]] = []
    if opened.get("path", WATCH_PATH) != WATCH_PATH:
        found.append((f"the path was {opened['path']!r}, not {WATCH_PATH!r}", opened))
    if "tenant" in opened and opened["tenant"] != evidence.world.get("tenant", opened["tenant"]):
        found.append((f"x-axway-tenant-id was {opened['tenant']!r}", opened))
    if "token" in opened and not opened["token"]:
        found.append(("there was no token in the metadata", opened))
    if not attempt.requests:
        return found
    first = attempt.requests[0]
    if first["request"] != "subscribe":
        found.append((f"the first message was {first['request']}, not a subscription", first))
        return found
    if first.get("request_type") not in NO_TYPE:
        found.append((f"the subscription had request type {first['request_type']}", first))
    if not str(first.get("topic", "")).startswith("/"):
        found.append((f"{first.get('topic', '')!r} is no selfLink of a topic", first))
    expires_in = first.get("token_expires_in")
    if expires_in is None:
        found.append(("the subscription had no token with an exp", first))
    elif expires_in <= 0:
        found.append(("the subscription's token had expired", first))
    return found
