"""A stream never outlives its token."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Attempt, Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, unknown
from mockcentral.scenario.expectations import RefreshesToken

TOLERANCE = 0.005
"""The journal rounds the remaining life of a token to milliseconds."""


def judge(evidence: Evidence, settings: RefreshesToken) -> Finding:
    """Before the exp of the last token on a stream, a message with a token of later exp has to be accepted there.

    The same token once more is allowed in between (protocol 2.2); ending the stream before is allowed too. A stall can
    only make a refresh or an end look late.
    """
    refreshes = 0
    late: list[Record] = []
    lived = False
    for attempt in evidence.attempts:
        if attempt.subscribed is None or attempt.subscribed.get("token_expires_in") is None:
            continue
        renewed, proof, judged = _judge_one(evidence, attempt)
        refreshes += renewed
        late += proof
        lived = lived or judged
    if late:
        attempts = sorted({line["attempt"] for line in late})
        return failed(f"attempt {', '.join(map(str, attempts))} outlived the last token it was sent.", late)
    if refreshes:
        return passed(f"{refreshes} refreshes, each before the token before it expired.")
    return unknown(
        "No stream lived long enough to need a new token." if lived else "No stream was ever accepted with a token."
    )


def _judge_one(evidence: Evidence, attempt: Attempt) -> tuple[int, list[Record], bool]:
    """How often the token was renewed, the lines that show it expired, and whether there was anything to judge."""
    first = attempt.subscribed
    assert first is not None
    hole = evidence.blackholes.get(attempt.conn)
    if attempt.end is not None and attempt.end["n"] < evidence.stop_n:
        last = float(attempt.end["t"])
    else:
        last = evidence.stop_t
    if hole is not None:
        last = min(last, hole["t"])  # what the client sent into the hole cannot be known
    expires = first["t"] + first["token_expires_in"]
    tolerance = TOLERANCE + evidence.allowance
    holder: Record = first
    renewed = 0
    for request in attempt.requests:
        if request["request"] != "token_refresh" or not request.get("accepted") or request["n"] > evidence.stop_n:
            continue
        if request["t"] > expires + tolerance:
            return renewed, [holder, request], True
        later = request["t"] + request.get("token_expires_in", 0.0)
        if later > expires + TOLERANCE:
            expires, holder = later, request
            renewed += 1
    if last > expires - TOLERANCE + evidence.allowance:
        return renewed, [holder] if attempt.end is None else [holder, attempt.end], True
    return renewed, [], True
