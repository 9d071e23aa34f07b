"""Every PING event is answered with its own id."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Attempt, Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, not_applicable, passed, seconds, unknown
from mockcentral.scenario.expectations import AnswersPings


def judge(evidence: Evidence, settings: AnswersPings) -> Finding:
    """Each PING needs a PING_RESPONSE with its id on the same stream within the bound, in any order (C23, C24).

    A stream that ended before the bound, or whose bytes vanished, is not judged for its last PINGs. PINGs go only to
    clients that offer the capability; one that does not offer it is skipped. A stall can only make answers look late.
    """
    offered = False
    answered = 0
    longest = 0.0
    unanswered: list[Record] = []
    slow: list[Record] = []
    strange: list[Record] = []
    for attempt in evidence.attempts:
        offered = offered or any("ping" in (request.get("capabilities") or ()) for request in attempt.requests)
        replies: dict[object, Record] = {}
        for request in attempt.requests:
            if request["request"] == "ping_response":
                replies.setdefault(request.get("id"), request)
        pings = {event["id"]: event for event in attempt.events if event.get("op") == "PING"}
        strange += [reply for id, reply in replies.items() if id not in pings]
        for id, ping in pings.items():
            reply = replies.get(id)
            if reply is not None:
                answered += 1
                pause = reply["t"] - ping["t"]
                longest = max(longest, pause)
                if pause > settings.within + evidence.allowance:
                    slow += [ping, reply]
            elif _heard_until(evidence, attempt) - ping["t"] > settings.within + evidence.allowance:
                unanswered.append(ping)
    bound = seconds(settings.within)
    if unanswered:
        return failed(f"{len(unanswered)} PINGs had no answer within {bound}.", unanswered)
    if slow:
        return failed(f"the slowest answer took {seconds(longest)}, more than {bound}.", slow)
    if strange:
        return failed(f"{len(strange)} answers carry an id no PING had.", strange)
    if answered:
        return passed(f"{answered} answers, the slowest took {seconds(longest)}.")
    if evidence.subscriptions and not offered:
        return not_applicable("The client does not offer the capability `ping`, so it is sent none.")
    return unknown("No PING was due for an answer.")


def _heard_until(evidence: Evidence, attempt: Attempt) -> float:
    """The last moment at which an answer could have been seen."""
    last = evidence.stop_t
    if attempt.end is not None:
        last = min(last, attempt.end["t"])
    if (hole := evidence.blackholes.get(attempt.conn)) is not None:
        last = min(last, hole["t"])
    return last
