"""No matching event is missed."""

from __future__ import annotations

from mockcentral.conformance.checks.evidence import Evidence
from mockcentral.conformance.checks.finding import Finding, Record, failed, passed, several, unknown
from mockcentral.scenario.expectations import Complete


def judge(evidence: Evidence, settings: Complete) -> Finding:
    """Everything published for a topic since the client began to watch it has to be had in the end.

    Excused is only what was purged (or lies before the newest sequence of a 410) if the client was told so by a 410,
    what was purged while a fault kept it back on a stream that went on, and what a client that ends because its topic
    was deleted was never offered. What a fault took, and nothing told the client by the end of the run, may yet come,
    and so may what history would not give.
    """
    if not evidence.subscriptions:
        return unknown("The client never subscribed to a topic.")
    owed = 0
    missing: list[Record] = []
    doubtful: list[Record] = []
    untold: list[Record] = []
    busy: list[Record] = []
    unnamed: list[Record] = []
    denied: list[Record] = []
    questions: list[Record] = []
    excused: dict[int, Record] = {}
    unreachable: set[int] = set()
    orphaned: set[int] = set()
    told: list[Record] = []
    for topic in evidence.subscriptions:
        wanted = evidence.owed(topic)
        holdings = evidence.holdings(topic)
        let_go = evidence.let_go(topic)
        absent = bool(wanted.keys() - holdings.had)
        not_told = evidence.untold(topic) if absent else {}
        not_yet = evidence.busy(topic) if absent else {}
        not_given, asked = evidence.denied(topic) if absent else ({}, [])
        offered = holdings if let_go is None else evidence.handed(topic)
        owed += len(wanted)
        for place, line in wanted.items():
            if place in holdings.had:
                continue
            if (gone := evidence.told_gone(topic, line)) is not None:
                excused[place] = line
                told.append(gone)
            elif evidence.out_of_reach(line):
                unreachable.add(place)
            elif let_go is not None and place not in offered.had | offered.unknown:
                orphaned.add(place)
            elif evidence.says and place in holdings.unknown:
                unnamed.append(line)
            elif place in offered.unknown or evidence.perhaps_gone(topic, line):
                doubtful.append(line)
            elif place in not_told:
                untold.append(line)
            elif place in not_yet:
                busy.append(line)
            elif place in not_given:
                denied.append(line)
                questions += asked[-1:]
            else:
                missing.append(line)
    note = f" Not counted: {len(excused)} events purged before it could get them, as a 410 told it." if excused else ""
    if unreachable:
        note += f" Not counted: {len(unreachable)} that a fault kept back on a stream, and history forgot."
    if orphaned:
        note += f" Not counted: {len(orphaned)} that the client was never offered before its topic was deleted."
    if missing:
        what = "applied" if evidence.says else "received"
        return failed(
            f"{len(missing)} of {owed} never were {what}: {_sequences(missing)}.{note}",
            missing,
        )
    if untold:
        return unknown(
            f"The run was over before the client could know of {len(untold)} of {owed} that did not reach it: "
            f"{_sequences(untold)}. Its stream goes on, or the next one is not due or not answered yet, and it has not "
            f"read the history since. Give it longer: traffic that goes on, a longer bound in `expect`, --timeout, or "
            f"a client that reads history more often."
            f"{note}",
            untold,
        )
    if busy:
        return unknown(
            f"The run was over while the client was still at work: {len(busy)} of {owed} are behind the last that it "
            f"applied: {_sequences(busy)}. Give it longer (--timeout), or fewer events.{note}",
            busy,
        )
    if denied:
        return unknown(
            f"A fault kept the answers of history for {len(denied)} of {owed} from the client to the end: "
            f"{_sequences(denied)}. It did not give up asking. Let the fault strike less often, or the run last longer."
            f"{note}",
            denied + questions,
        )
    if doubtful:
        return unknown(
            f"{len(doubtful)} of {owed} went out on streams or in answers that broke, where a fault may have taken "
            f"them, or not past the client's window, and nothing the client did later shows whether it has them: "
            f"{_sequences(doubtful)}.{note}",
            doubtful,
        )
    if unnamed:
        return unknown(
            f"{len(unnamed)} of {owed} match several topics that the client watches, and were not applied once for "
            f"each, by lines that do not say for which: {_sequences(unnamed)}. Let them say their `topic`.{note}",
            unnamed,
        )
    if not owed:
        return unknown("Nothing was published while the client watched.")
    counted = owed - len(excused) - len(unreachable) - len(orphaned)
    return passed(f"All {counted} of {owed} events.{note}" if note else f"All {owed} events.", *told)


def _sequences(lines: list[Record]) -> str:
    return several(sorted(line["sequence"] for line in lines))
