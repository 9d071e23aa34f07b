"""A client whose stream ended opens a new one in bounded time."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Attempt, Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, seconds, unknown
from mockcentral.scenario.expectations import Reconnects


def judge(evidence: Evidence, settings: Reconnects) -> Finding:
    """Each end of a watch call has to be followed by the opening of another one for the same topic within the bound.

    A run in which no stream ended passes: whether one should have is told by the receipts of the faults. A client that
    ends its own stream and was not spawned by us, or exits with 0 after it, or because its topic is gone, has simply
    left. A stream that was opened before the old one ended (make before break) is its successor too. The end of a
    stream on a slow line counts from when it came out of it.

    A stall makes openings look late, which hurts, and an end by the client, which helps.
    """
    slow: list[Record] = []
    never: list[Record] = []
    gone: list[Record] = []
    pending: list[Record] = []
    longest = 0.0
    ends = 0
    for position, attempt in enumerate(evidence.attempts):
        end = attempt.end
        if end is None or end["n"] > evidence.stop_n:
            continue
        successor = _successor(evidence.attempts, position, end)
        if successor is None and (_left(evidence, end) or evidence.let_go(attempt.topic) is not None):
            continue
        ends += 1
        ended = evidence.sent(end) if end.get("by") == "client" else evidence.end_heard(attempt)
        if successor is not None:
            pause = max(0.0, successor.opened["t"] - ended)
            longest = max(longest, pause)
            if pause > settings.within + evidence.allowance:
                slow += [end, successor.opened]
        elif any(end["n"] < exit["n"] < evidence.stop_n for exit in evidence.exits):
            gone.append(end)
        elif evidence.stop_t - ended > settings.within + evidence.allowance:
            never.append(end)
        else:
            pending.append(end)
    bound = seconds(settings.within)
    if gone:
        return failed(f"the client exited after the end of {_which(gone)}.", gone)
    if never:
        return failed(f"no new stream followed within {bound} after the end of {_which(never)}.", never)
    if slow:
        return failed(f"the longest pause was {seconds(longest)}, more than {bound}.", slow)
    if pending:
        return unknown(
            f"The run was over less than {bound} after the client could know that its stream ended.", pending
        )
    if not evidence.attempts:
        return unknown("The client opened no stream.")
    if not ends:
        return passed("No stream was broken.")
    return passed(f"{ends} times, the longest pause was {seconds(longest)}.")


def _successor(attempts: list[Attempt], position: int, end: Record) -> Attempt | None:
    """The next call for the same topic; one that was already open when this one ended serves as well."""
    topic = attempts[position].topic
    after = (other for other in attempts[position + 1 :] if other.topic in (None, topic) or topic is None)
    for other in after:
        if other.opened["n"] > end["n"] or _open_at(other, end):
            return other
    before = (other for other in attempts[:position] if topic is not None and other.topic == topic)
    return next((other for other in before if _open_at(other, end)), None)


def _open_at(attempt: Attempt, line: Record) -> bool:
    return bool(attempt.opened["n"] < line["n"]) and (attempt.end is None or attempt.end["n"] > line["n"])


def _left(evidence: Evidence, end: Record) -> bool:
    if end.get("by") != "client":
        return False
    exit = next((line for line in evidence.exits if line["n"] > end["n"]), None)
    return exit.get("code") == 0 if exit is not None else not evidence.spawned


def _which(ends: list[Record]) -> str:
    return ", ".join(f"attempt {end['attempt']} ({end.get('code')}, ended by the {end.get('by')})" for end in ends)
