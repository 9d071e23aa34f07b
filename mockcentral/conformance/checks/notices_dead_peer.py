"""A peer that fell silent is given up in bounded time."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, seconds, unknown
from mockcentral.scenario.expectations import NoticesDeadPeer


def judge(evidence: Evidence, settings: NoticesDeadPeer) -> Finding:
    """From when bytes vanish or PING acks stop, the client has to close that connection or open a stream elsewhere.

    Acks that come back end the silence; a connection the server closes in time is not judged. A stall makes what the
    client does at last look late, which hurts, and the PING that got no ack, which helps.
    """
    ignored: list[Record] = []
    pending: list[Record] = []
    noticed = 0
    longest = 0.0
    for conn, began in sorted(_silences(evidence).items()):
        if began["n"] > evidence.stop_n:
            continue
        reaction = _reaction(evidence, conn, began)
        since = evidence.sent(began) if began["kind"] == "ping.withheld" else began["t"]
        waited = (reaction["t"] if reaction is not None else evidence.stop_t) - since
        if waited > settings.within + evidence.allowance:
            ignored += [began] if reaction is None else [began, reaction]
        elif reaction is None:
            pending.append(began)
        elif reaction["kind"] != "conn.close" or reaction.get("by") == "client":
            noticed += 1
            longest = max(longest, waited)
    bound = seconds(settings.within)
    if ignored:
        return failed(f"a silent connection was kept for more than {bound}.", ignored)
    if pending:
        return unknown(f"The run was over less than {bound} after the connection fell silent.", pending)
    if noticed:
        return passed(f"{noticed} times, after {seconds(longest)} at most.")
    return unknown("No connection fell silent for long enough.")


def _silences(evidence: Evidence) -> dict[int, Record]:
    """Connection to the line with which its last silence began."""
    began: dict[int, Record] = {}
    for line in evidence.pings:
        if line["kind"] == "ping.withheld":
            began.setdefault(line["conn"], line)
        elif line["kind"] == "ping.acked":
            began.pop(line["conn"], None)
    for conn, line in evidence.blackholes.items():
        if conn not in began or line["n"] < began[conn]["n"]:
            began[conn] = line
    return began


def _reaction(evidence: Evidence, conn: int, began: Record) -> Record | None:
    """What shows first that the connection was given up. A stream of a topic that it did not carry shows nothing."""
    calls = [attempt for attempt in evidence.attempts if attempt.conn == conn]
    topics = {None, *(call.topic for call in calls if call.end is None or call.end["n"] > began["n"])}
    lines = [
        attempt.opened
        for attempt in evidence.attempts
        if attempt.conn != conn and attempt.opened["n"] > began["n"] and (attempt.topic in topics or len(topics) == 1)
    ]
    if (close := evidence.closes.get(conn)) is not None and close["n"] > began["n"]:
        lines.append(close)
    return min((line for line in lines if line["n"] < evidence.stop_n), key=lambda line: int(line["n"]), default=None)
