"""Every check against journals written by hand: what is right, what is wrong, and what cannot be told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mockcentral.conformance.checks.evidence import topic_key
from mockcentral.conformance.checks.finding import seconds, several
from mockcentral.conformance.checks.registry import CHECKS, by_name
from mockcentral.conformance.verdict import Outcome
from mockcentral.scenario import expectations
from mockcentral.scenario.expectations import EXPECTATIONS
from mockcentral.scenario.schema import Expectation
from mockcentral.scenario.types import Duration
from tests.mockcentral.conformance.journals import OTHER, PATH, TOPIC, Tape

PASS, FAIL, UNKNOWN, SKIPPED = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE, Outcome.SKIPPED
V1ALPHA1 = TOPIC.replace("/v1/", "/v1alpha1/")

Case = tuple[str, str, Outcome, Callable[[], Tape]]


def calm() -> Tape:
    """A client that watches from the start and gets three events."""
    return Tape().watch(1).publish(1, 2, 3).send(1, 1, 2, 3)


def broken() -> Tape:
    """Like `calm`, but the stream broke after the second event, which may have been lost."""
    return Tape().watch(1).publish(1, 2).send(1, 1, 2).end(1).publish(3).watch(2)


def kept_back(*sent: int) -> Tape:
    """A fault struck the second event of a stream that went on with `sent`."""
    tape = Tape().watch(1).publish(1, 2, 3).send(1, 1)
    return tape.fault("x", "lose", "armed", "triggered", "on_wire", attempt=1, sequence=2).send(1, *sent)


def gap(*sent: int) -> Tape:
    """A fault left a run of events out of a stream, of which only the first has a receipt."""
    tape = Tape().watch(1).publish(1, 2, 3, 4, 5).send(1, 1)
    return tape.fault("x", "gap", "armed", "triggered", "on_wire", attempt=1, sequence=2).send(1, *sent)


def kept_back_late() -> Tape:
    """History is read, and a fault takes the event that comes after it."""
    tape = Tape().watch(1).publish(1).send(1, 1).harvest(0, 1).publish(2)
    return tape.fault("x", "lose", "armed", "triggered", "on_wire", attempt=1, sequence=2)


def swallowed() -> Tape:
    """The second event goes out where bytes vanish."""
    tape = Tape().watch(1).publish(1).send(1, 1)
    return tape.doubt(1).fault("x", "blackhole", "armed", "triggered", "on_wire", conn=1).publish(2).send(1, 2)


def stuck(conn: int = 1, size: int = 0) -> Tape:
    """A client may send hardly anything where it is; its stream ends, and the next one gets no first message out."""
    tape = Tape().watch(1).publish(1).send(1, 1).narrow(size, conn)
    return tape.end(1, graceful=True).publish(2).open(2, conn=1)


def narrow(size: int = 0) -> Tape:
    """A client may send hardly anything on its connection, and lets the second event not come, nor the third."""
    return Tape().watch(1).publish(1).send(1, 1).apply(1).narrow(size).publish(2, 3).send(1, 2, 3).wait_out(1, 2)


def slow(*pauses: float, backlog: int = 20) -> Tape:
    """Everything is sent at once, and a client takes so long for each event."""
    tape = Tape().watch(1).publish(*range(1, backlog + 1)).send(1, *range(1, backlog + 1))
    for sequence, pause in enumerate(pauses, 1):
        tape.wait(pause).apply(sequence)
    return tape


def late_end(do: str = "close", *, slow: bool = True, at_once: bool = True, **where: int) -> Tape:
    """A fault orders the end of a stream, at once or later, on a slow line or on one that becomes so afterwards."""
    tape = Tape().watch(1).publish(1)
    if slow:
        tape.doubt(1, "slow").doubt(1, "drained")
    tape.send(1, 1).fault("fin", do, "triggered", **where).end(1)
    if at_once:
        tape.lines[-2]["t"] = tape.lines[-1]["t"]
    return tape if slow else tape.doubt(1, "slow")


def garbled() -> Tape:
    """The second event went out with another number and id; history has it as it was."""
    tape = Tape().watch(1).publish(1, 2, 3).send(1, 1)
    tape.fault("x", "corrupt", "armed", "triggered", "on_wire", attempt=1, sequence=2).send(1, 2)
    tape.lines[-1] |= {"altered": True, "sent_sequence": 0, "sent_id": "?"}
    return tape.send(1, 3)


def unsure(conn: int, kind: str = "unsure", **about: int) -> Tape:
    """Three events on attempt 1 (connection 1), two of them after something happened to a line."""
    tape = Tape().watch(1).publish(1).send(1, 1).doubt(conn, kind, **about)
    return tape.publish(2, 3).send(1, 2, 3)


def reset(*, ended_by: str = "server", pong: bool = False, **about: bool) -> Tape:
    """Three events on a call that ends well; then its connection is closed. `pong`: in between a PING was answered on
    another call of the same connection.
    """
    tape = Tape().watch(1).publish(1, 2, 3).send(1, 1, 2, 3).end(1, "OK", ended_by, graceful=True)
    if pong:
        tape.open(2, conn=1).subscribe(2, OTHER).ping(2, "a").pong(2, "a")
    return tape.close(1, "server", **about)


def held(messages: int = 1) -> Tape:
    """Three events on a call, so many of them still behind the client's window when the call ends in order."""
    tape = Tape().watch(1).publish(1, 2, 3).send(1, 1, 2, 3).end(1, "OK", graceful=True)
    return tape.wait_out(1, messages) if messages else tape


def swept_page(*, reset: bool = True) -> Tape:
    """The answer of history that has the third event goes out on a connection that is reset after it."""
    tape = broken().connect(5).harvest(1, 2, 3, conn=5)
    return tape.close(5, "server", reset=True) if reset else tape.close(5, "server")


def deleted_after_page(*, reset: bool) -> Tape:
    """A page of history offers an event, its topic is deleted, and the client ends."""
    tape = Tape(spawned=True).watch(1).publish(1).send(1, 1).apply(1).end(1).publish(2).connect(5)
    tape.harvest(1, 2, conn=5)
    if reset:
        tape.close(5, "server", reset=True)
    tape.add("topic.deleted", topic=TOPIC)
    return tape.harvest(1, status=404).exit(1)


def ill(*pauses: float, status: int = 503, **about: Any) -> Tape:
    """A stream broke before its second event, and history answers each question, after so long, with an error."""
    tape = Tape().watch(1).publish(1).send(1, 1).apply(1).fault("busy", "http_error", "armed", "triggered", "on_wire")
    tape.end(1).publish(2).watch(2)
    for pause in pauses:
        tape.wait(pause).harvest(1, status=status, **about)
    return tape


def shared() -> Tape:
    """An event of two topics is sent for both."""
    tape = Tape().watch(1).watch(2, OTHER).publish(1, topics=[TOPIC, OTHER])
    return tape.send(1, 1).send(2, 1, topic=OTHER)


def shared_with_history() -> Tape:
    """An event of a topic that is watched and of one of which only the history is read."""
    return Tape().watch(1).publish(1, topics=[TOPIC, OTHER]).send(1, 1).harvest(0, 1, topic=OTHER)


def renumbered() -> Tape:
    """Two events, and then two more with the same numbers."""
    tape = Tape().watch(1).publish(1, 2).send(1, 1, 2).apply(1, 2)
    tape.add("sequence.reset", to=1)
    return tape.publish(1, 2).send(1, 1, 2)


def deleted(*, again: bool = False) -> Tape:
    """A topic is deleted; its stream ends, and the client exits or comes back before it does."""
    tape = Tape(spawned=True).watch(1).publish(1).send(1, 1).apply(1).publish(2)
    tape.end(1, "NOT_FOUND", graceful=True)
    tape.add("topic.deleted", topic=TOPIC)
    tape.lines[-1]["t"] = tape.lines[-2]["t"]
    return tape.watch(2).exit(1) if again else tape.exit(1)


def deleted_unheard(*, unheard: bool) -> Tape:
    """A topic is deleted while its stream is down, and history says so to a client that is there or not."""
    tape = Tape(spawned=True).watch(1).publish(1).send(1, 1).apply(1).end(1).publish(2)
    tape.add("topic.deleted", topic=TOPIC)
    return tape.harvest(1, status=404, unheard=unheard).exit(1)


CASES: list[Case] = [
    # ------------------------------------------------------------------------------------ what faults did
    ("ordered", "a whole run that was left out comes late", PASS, lambda: gap(5).apply(1, 5, 2, 3, 4)),
    ("ordered", "what came after the run does not", FAIL, lambda: gap(4, 5).apply(1, 5, 2, 3, 4)),
    (
        "ordered",
        "an event under a made-up number says nothing",
        PASS,
        lambda: garbled().apply(1).apply(0, id="?").apply(3, 2),
    ),
    ("filterable", "an event under a made-up number", PASS, lambda: garbled().apply(1).apply(0, id="?").apply(3, 2)),
    (
        "filterable",
        "a made-up number that no fault sent",
        FAIL,
        lambda: garbled().apply(1).apply(0, id="!").apply(3, 2),
    ),
    ("complete", "an event only under a made-up number", FAIL, lambda: garbled().apply(1).apply(0, id="?").apply(3)),
    ("unique", "two made-up numbers", PASS, lambda: garbled().apply(1).apply(0, 0, id="?")),
    ("ordered", "numbers that begin anew", PASS, lambda: renumbered().apply(1, 2)),
    ("ordered", "numbers that begin anew, out of order", FAIL, lambda: renumbered().apply(2, 1)),
    ("unique", "numbers that begin anew", PASS, lambda: renumbered().apply(1, 2)),
    ("unique", "numbers that begin anew, twice", FAIL, lambda: renumbered().apply(1, 1, 2)),
    ("complete", "numbers that begin anew", PASS, lambda: renumbered().apply(1, 2)),
    ("complete", "numbers that begin anew, taken for known", FAIL, lambda: renumbered().apply(1).wait(5).status()),
    ("complete", "ended as its topic was deleted", PASS, deleted),
    ("complete", "did not end as its topic was deleted", FAIL, lambda: deleted(again=True)),
    ("complete", "missed what it was offered before its topic was deleted", FAIL, lambda: deleted().harvest(0, 2)),
    ("reconnects", "ended as its topic was deleted", PASS, deleted),
    ("reconnects", "did not end as its topic was deleted", FAIL, lambda: deleted(again=True).end(2).exit(1)),
    ("resumes", "ended as its topic was deleted", SKIPPED, deleted),
    # ------------------------------------------------------------------------------------ what has not left the server
    ("complete", "ended in order, and out", PASS, lambda: held(0)),
    ("complete", "ended in order, but not past the client's window", UNKNOWN, held),
    ("complete", "ended in order, and past the window later", PASS, lambda: held().let_out(1)),
    ("complete", "past the window when the client was told to stop", UNKNOWN, lambda: held().stop().let_out(1)),
    ("complete", "past the window when bytes vanish", UNKNOWN, lambda: held().doubt(1).let_out(1)),
    ("complete", "past the window before bytes vanish", PASS, lambda: held().let_out(1).doubt(1)),
    ("complete", "past the window on a line that is slow by now", UNKNOWN, lambda: held().doubt(1, "slow").let_out(1)),
    (
        "complete",
        "past the window after an answered PING, and then a reset",
        UNKNOWN,
        lambda: held().open(2, conn=1).subscribe(2, OTHER).ping(2, "a").pong(2, "a").let_out(1).close(1, reset=True),
    ),
    ("complete", "an open stream whose client reads nothing", UNKNOWN, lambda: calm().wait_out(1, 3)),
    ("complete", "an open stream whose client reads slowly", PASS, lambda: calm().wait_out(1, 3).let_out(1)),
    (
        "complete",
        "not past the window, and asked from beyond",
        PASS,
        lambda: held().harvest(3),
    ),
    (
        "complete",
        "a client that says what it applied and does not read what follows",
        FAIL,
        lambda: calm().wait_out(1, 1).apply(1).wait(5).status(),
    ),
    ("reconnects", "the end is not past the client's window", UNKNOWN, lambda: held().wait(11).publish(4)),
    ("reconnects", "the end got past it late", PASS, lambda: held().wait(11).let_out(1).wait(9).watch(2)),
    ("reconnects", "the end got past it, and nothing followed", FAIL, lambda: held().let_out(1).wait(11).publish(4)),
    # ------------------------------------------------------------------------------------ an answer that was swept away
    ("complete", "a page of history on a connection that is reset", UNKNOWN, swept_page),
    ("complete", "a page on a connection that is closed in order", PASS, lambda: swept_page(reset=False)),
    ("complete", "a page that was reset, asked from beyond", PASS, lambda: swept_page().harvest(3)),
    (
        "complete",
        "a page, and another question on its connection, and then a reset",
        PASS,
        lambda: broken().connect(5).harvest(1, 2, 3, conn=5).harvest(1, conn=5).close(5, "server", reset=True),
    ),
    (
        "complete",
        "a page, and another question beside it, and then a reset",
        UNKNOWN,
        lambda: broken().connect(5, "h2").harvest(1, 2, 3, conn=5).harvest(1, conn=5).close(5, "server", reset=True),
    ),
    (
        "complete",
        "a page on a connection that is reset after the client was told to stop",
        PASS,
        lambda: broken().connect(5).harvest(1, 2, 3, conn=5).stop().close(5, "server", reset=True),
    ),
    (
        "complete",
        "kept back, and a page of it reset",
        UNKNOWN,
        lambda: kept_back(3).apply(1, 3).harvest(1, 2, 3, conn=5).close(5, reset=True),
    ),
    ("complete", "offered by a page before its topic was deleted", FAIL, lambda: deleted_after_page(reset=False)),
    ("complete", "offered by a page that may not have come", UNKNOWN, lambda: deleted_after_page(reset=True)),
    (
        "complete",
        "purged, and the 410 may not have come",
        UNKNOWN,
        lambda: (
            calm().apply(1).end(1).purge(3).watch(2).harvest(1, status=410, max_sequence=3, conn=5).close(5, reset=True)
        ),
    ),
    (
        "handles_gone",
        "it asked the same again, for the first answer may not have come",
        PASS,
        lambda: (
            Tape()
            .watch(1)
            .harvest(5, status=410, max_sequence=9, conn=5)
            .close(5, reset=True)
            .harvest(5, status=410, max_sequence=9)
        ),
    ),
    (
        "handles_gone",
        "the only 410 may not have come",
        UNKNOWN,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9, conn=5).close(5, reset=True),
    ),
    # ------------------------------------------------------------------------------------ history that is ill
    ("complete", "history was ill to the end", UNKNOWN, lambda: ill(1, 2, 4)),
    ("complete", "history was ill, and asked less and less often", UNKNOWN, lambda: ill(1, 10, 20).wait(35).status()),
    ("complete", "history was ill, and well at last", PASS, lambda: ill(1, 2).harvest(1, 2).apply(2)),
    ("complete", "history was ill, and well, and not believed", FAIL, lambda: ill(1, 2).harvest(1, 2).wait(5).status()),
    ("complete", "history was ill, and then not asked for it", FAIL, lambda: ill(1, 2).harvest(2, status=503)),
    ("complete", "history was never asked", FAIL, ill),
    ("complete", "history refused a question that was wrong", FAIL, lambda: ill(1, 2, status=400)),
    ("complete", "history answered something else", UNKNOWN, lambda: ill(1, 2, status=400, spoiled=True)),
    ("complete", "history broke off", UNKNOWN, lambda: ill(1, 2, status=200, spoiled=True)),
    ("complete", "history was ill before", FAIL, lambda: Tape().watch(1).harvest(0, status=503).publish(1, 2).apply(1)),
    # ------------------------------------------------------------------------------------ ordered
    ("ordered", "events applied in order", PASS, lambda: calm().apply(1, 2, 3)),
    ("ordered", "holes do not matter", PASS, lambda: calm().apply(1, 3)),
    ("ordered", "two events swapped", FAIL, lambda: calm().apply(1, 3, 2)),
    ("ordered", "the first one comes last", FAIL, lambda: calm().apply(2, 3, 1)),
    ("ordered", "a repeated event is not out of order", PASS, lambda: calm().apply(1, 2, 1, 3)),
    ("ordered", "a new process may begin again", PASS, lambda: calm().apply(1, 2).exit().apply(1, 2, 3)),
    ("ordered", "a new process is judged too", FAIL, lambda: calm().apply(1).exit().apply(1, 3, 2)),
    ("ordered", "what the stream left out comes late", PASS, lambda: kept_back(3).apply(1, 3, 2)),
    ("ordered", "what was overtaken on the stream comes late", PASS, lambda: kept_back(3, 2).apply(1, 3, 2)),
    ("ordered", "what a fault touched and left in its place does not", FAIL, lambda: kept_back(2, 2, 3).apply(1, 3, 2)),
    ("ordered", "another one that comes late than the one left out", FAIL, lambda: kept_back(3).apply(2, 3, 1)),
    ("ordered", "nothing applied", UNKNOWN, lambda: calm().status()),
    ("ordered", "a silent client the wire served in order", PASS, calm),
    (
        "ordered",
        "a silent client that was offered events again",
        SKIPPED,
        lambda: broken().harvest(0, 1, 2, 3),
    ),
    ("ordered", "a silent client that got nothing", UNKNOWN, lambda: Tape().watch(1)),
    (
        "ordered",
        "two topics are two orders",
        PASS,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1).publish(2, topics=[OTHER]).apply(2, 1),
    ),
    (
        "ordered",
        "each of two topics has its own order",
        FAIL,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1, 3).publish(2, topics=[OTHER]).apply(3, 2, 1),
    ),
    (
        "ordered",
        "the line says which topic it was",
        FAIL,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1, 2, topics=[TOPIC, OTHER]).apply(2, 1, topic=TOPIC),
    ),
    (
        "ordered",
        "events of two topics may come by either stream",
        PASS,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1, 2, topics=[TOPIC, OTHER]).apply(2, 1, 2),
    ),
    # ------------------------------------------------------------------------------------ unique
    (
        "unique",
        "once for each topic the lines name",
        PASS,
        lambda: (
            Tape()
            .watch(1)
            .watch(2, OTHER)
            .publish(1, topics=[TOPIC, OTHER])
            .apply(1, topic=TOPIC)
            .apply(1, topic=OTHER)
        ),
    ),
    ("unique", "each event once", PASS, lambda: calm().apply(1, 2, 3)),
    ("unique", "an event twice", FAIL, lambda: calm().apply(1, 2, 2, 3)),
    ("unique", "an event again much later", FAIL, lambda: calm().apply(1, 2, 3, 1)),
    ("unique", "again after the process died", PASS, lambda: calm().apply(1, 2).exit().apply(2, 3)),
    ("unique", "twice by the second process", FAIL, lambda: calm().apply(1).exit().apply(2, 2)),
    ("unique", "nothing applied", UNKNOWN, lambda: calm().status()),
    ("unique", "a silent client that was offered each once", PASS, calm),
    ("unique", "a silent client that was sent two copies", SKIPPED, lambda: calm().send(1, 3)),
    (
        "unique",
        "once for each of two topics it matches",
        PASS,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1, topics=[TOPIC, OTHER]).apply(1, 1),
    ),
    (
        "unique",
        "three times for two topics",
        FAIL,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1, topics=[TOPIC, OTHER]).apply(1, 1, 1),
    ),
    (
        "unique",
        "a topic that is not watched allows no copy",
        FAIL,
        lambda: Tape().watch(1).publish(1, topics=[TOPIC, OTHER]).apply(1, 1),
    ),
    (
        "unique",
        "twice for the topic the line names",
        FAIL,
        lambda: (
            Tape()
            .watch(1)
            .watch(2, OTHER)
            .publish(1, topics=[TOPIC, OTHER])
            .apply(1, topic=TOPIC)
            .apply(1, topic=TOPIC)
        ),
    ),
    # ------------------------------------------------------------------------------------ complete
    ("complete", "everything applied", PASS, lambda: calm().apply(1, 2, 3)),
    ("complete", "one missed", FAIL, lambda: calm().apply(1, 3)),
    ("complete", "sent is not applied", FAIL, lambda: calm().status()),
    (
        "complete",
        "events of another topic are not owed",
        PASS,
        lambda: calm().publish(4, topics=[OTHER]).apply(1, 2, 3),
    ),
    ("complete", "events of no topic are not owed", PASS, lambda: calm().publish(4, topics=[]).apply(1, 2, 3)),
    (
        "complete",
        "events before the first stream are not owed",
        PASS,
        lambda: Tape().publish(1).watch(1).publish(2).apply(2),
    ),
    ("complete", "both names of a topic mean it", PASS, lambda: Tape().watch(1, V1ALPHA1).publish(1).apply(1)),
    (
        "complete",
        "both names of a topic mean it, also when one is missed",
        FAIL,
        lambda: Tape().watch(1, V1ALPHA1).publish(1).status(),
    ),
    (
        "complete",
        "owed from the opening of the stream",
        FAIL,
        lambda: Tape().open(1).publish(1).subscribe(1).publish(2).apply(2),
    ),
    (
        "complete",
        "owed from the first message in a world that delivers so",
        PASS,
        lambda: Tape("first_request").open(1).publish(1).subscribe(1).publish(2).apply(2),
    ),
    (
        "complete",
        "a refused subscription owes nothing",
        PASS,
        lambda: Tape().open(1).subscribe(1, accepted=False).end(1).publish(1).watch(2).publish(2).apply(2),
    ),
    ("complete", "two processes together", PASS, lambda: calm().apply(1).exit().apply(2, 3)),
    ("complete", "never subscribed", UNKNOWN, lambda: Tape().open(1).publish(1).end(1)),
    ("complete", "nothing published", UNKNOWN, lambda: Tape().watch(1).status()),
    ("complete", "a silent client whose stream is open", PASS, calm),
    ("complete", "a silent client whose stream ended in order", PASS, lambda: calm().end(1, "OK", graceful=True)),
    ("complete", "a silent client whose stream broke", UNKNOWN, lambda: calm().end(1)),
    ("complete", "a silent client whose stream broke after it was told to stop", PASS, lambda: calm().stop().end(1)),
    (
        "complete",
        "a silent client that never was sent an event",
        FAIL,
        lambda: Tape().watch(1).publish(1, 2).send(1, 2),
    ),
    ("complete", "history returned what the stream lost", PASS, lambda: broken().harvest(1, 2, 3)),
    ("complete", "asking from beyond an event says it was received", PASS, lambda: broken().harvest(2, 3)),
    (
        "complete",
        "asking from an event of the next stream says nothing of the one before",
        UNKNOWN,
        lambda: broken().send(2, 3).harvest(3),
    ),
    (
        "complete",
        "asking from what came by both streams",
        PASS,
        lambda: broken().send(2, 2, 3).harvest(2, 3),
    ),
    (
        "complete",
        "asking from a page of history says nothing of what is before it",
        UNKNOWN,
        lambda: broken().harvest(None, 3, newest=True).harvest(3),
    ),
    (
        "complete",
        "asking from before an event says nothing",
        UNKNOWN,
        lambda: broken().send(2, 3).harvest(1, status=500),
    ),
    (
        "complete",
        "asking before the event was sent says nothing",
        UNKNOWN,
        lambda: Tape().watch(1).publish(1).harvest(5).send(1, 1).end(1),
    ),
    (
        "complete",
        "the history of another topic says nothing",
        UNKNOWN,
        lambda: broken().send(2, 3).harvest(2, 3, topic=OTHER),
    ),
    (
        "complete",
        "what went into a black hole is unknown though the stream looks open",
        UNKNOWN,
        lambda: (
            Tape().watch(1).publish(1).fault("hole", "blackhole", "armed", "triggered", "on_wire", conn=1).send(1, 1)
        ),
    ),
    (
        "complete",
        "what was sent before the black hole arrived",
        PASS,
        lambda: calm().fault("hole", "blackhole", "armed", "triggered", "on_wire", conn=1),
    ),
    ("complete", "sent where nothing is sure to be read", UNKNOWN, lambda: unsure(1)),
    ("complete", "sent on a call where nothing is sure to be read", UNKNOWN, lambda: unsure(1, attempt=1)),
    ("complete", "sent beside a call where nothing is sure to be read", PASS, lambda: unsure(1, attempt=7)),
    ("complete", "sent beside a connection where nothing is sure to be read", PASS, lambda: unsure(7)),
    ("complete", "sent before nothing was sure to be read", PASS, lambda: calm().doubt(1)),
    ("complete", "what nobody was sure of, asked from beyond", PASS, lambda: unsure(1).harvest(3)),
    ("complete", "what nobody was sure of, asked from before", UNKNOWN, lambda: unsure(1).harvest(2)),
    ("complete", "what nobody was sure of, before an answered PING", PASS, lambda: unsure(1).ping(1, "a").pong(1, "a")),
    ("complete", "a PING without an answer proves nothing", UNKNOWN, lambda: unsure(1).ping(1, "a").pong(1, "b")),
    (
        "complete",
        "an answered PING proves nothing of what was sent after it",
        UNKNOWN,
        lambda: Tape().watch(1).doubt(1).publish(1).ping(1, "a").send(1, 1).pong(1, "a"),
    ),
    ("complete", "a PING answered on a stream that broke", PASS, lambda: calm().ping(1, "a").pong(1, "a").end(1)),
    ("complete", "unread when the connection was reset after a good end", UNKNOWN, lambda: reset(reset=True)),
    ("complete", "come back elsewhere after a reset proves nothing", UNKNOWN, lambda: reset(reset=True).watch(2)),
    ("complete", "asked from beyond after a reset", PASS, lambda: reset(reset=True).harvest(3)),
    ("complete", "a PING answered between a good end and a reset", PASS, lambda: reset(pong=True, reset=True)),
    ("complete", "reset after the client had left by itself", PASS, lambda: reset(ended_by="client", reset=True)),
    ("complete", "closed in order after a good end", PASS, lambda: reset()),
    ("complete", "under way on a slow line", UNKNOWN, lambda: unsure(1, "slow")),
    ("complete", "come out of a slow line", PASS, lambda: unsure(1, "slow").doubt(1, "drained")),
    (
        "complete",
        "an answer of history under way on a slow line",
        UNKNOWN,
        lambda: broken().doubt(5, "slow").harvest(1, 2, 3, conn=5),
    ),
    (
        "complete",
        "an answer of history come out of a slow line",
        PASS,
        lambda: broken().doubt(5, "slow").harvest(1, 2, 3, conn=5).doubt(5, "drained"),
    ),
    (
        "complete",
        "purged and told so",
        PASS,
        lambda: calm().apply(1).end(1).purge(3).watch(2).harvest(1, status=410, max_sequence=3),
    ),
    (
        "complete",
        "purged, and gone before it was told so",
        FAIL,
        lambda: calm().apply(1).end(1).purge(3).watch(2).harvest(1, status=410, max_sequence=3, unheard=True),
    ),
    (
        "complete",
        "its topic was deleted, and it was gone before history told it so",
        FAIL,
        lambda: deleted_unheard(unheard=True),
    ),
    ("complete", "its topic was deleted, as history told it", PASS, lambda: deleted_unheard(unheard=False)),
    ("complete", "kept back and purged", PASS, lambda: kept_back(3).purge(2).apply(1, 3)),
    # A run may end before a client can know what a fault took.
    ("complete", "kept back on a stream that goes on", UNKNOWN, lambda: kept_back(3).purge(1).apply(1, 3)),
    ("complete", "kept back, and nothing after it", UNKNOWN, lambda: kept_back().apply(1)),
    ("complete", "kept back from a silent client", UNKNOWN, lambda: kept_back(3)),
    ("complete", "a run kept back", UNKNOWN, lambda: gap(5).apply(1, 5)),
    ("complete", "kept back, and another that was sent", FAIL, lambda: kept_back(3).apply(1).wait(5).status()),
    (
        "complete",
        "kept back on a stream that ends at the stop",
        UNKNOWN,
        lambda: kept_back(3).apply(1, 3).stop().end(1),
    ),
    ("complete", "kept back on a stream that ended", FAIL, lambda: kept_back(3).apply(1, 3).end(1)),
    ("complete", "kept back, and a new stream", FAIL, lambda: kept_back(3).apply(1, 3).end(1).watch(2)),
    ("complete", "kept back, and a new stream first", FAIL, lambda: kept_back(3).apply(1, 3).watch(2).end(1)),
    ("complete", "kept back, and the client left", FAIL, lambda: kept_back(3).apply(1, 3).end(1, by="client").stop()),
    ("complete", "kept back, and history read", FAIL, lambda: kept_back(3).apply(1, 3).harvest(1, 2, 3)),
    ("complete", "kept back, and history asked from beyond", FAIL, lambda: kept_back(3).apply(1, 3).harvest(3)),
    ("complete", "kept back, and history read before", UNKNOWN, lambda: kept_back_late().apply(1)),
    ("complete", "kept back, and history ill", UNKNOWN, lambda: kept_back(3).apply(1, 3).harvest(1, status=503)),
    (
        "complete",
        "kept back, and history of another topic",
        UNKNOWN,
        lambda: kept_back(3).apply(1, 3).harvest(3, topic=OTHER),
    ),
    ("complete", "not sent, and no fault on the wire", FAIL, lambda: Tape().watch(1).publish(1, 2).send(1, 2).apply(2)),
    ("complete", "into a black hole, not noticed yet", UNKNOWN, lambda: swallowed().apply(1)),
    ("complete", "into a black hole that was noticed", FAIL, lambda: swallowed().apply(1).end(1).watch(2)),
    ("complete", "waits on a stream that nobody reads", UNKNOWN, lambda: stuck().apply(1)),
    ("complete", "waits on one, and what it got before it", FAIL, lambda: stuck().status()),
    ("complete", "waits on one, and has read history", FAIL, lambda: stuck().apply(1).harvest(1, 2).wait(5).status()),
    ("complete", "a stream that nobody reads, and another one", FAIL, lambda: stuck().apply(1).watch(3)),
    ("complete", "waits on a stream that no fault struck", FAIL, lambda: stuck(conn=7).apply(1)),
    # A window of some bytes lets everything through in time: from then on it is the client that sends nothing.
    (
        "complete",
        "waits on a stream that is read byte by byte",
        UNKNOWN,
        lambda: stuck(size=1).apply(1).wait(9).status(),
    ),
    (
        "complete",
        "waits on a stream that is read byte by byte, for too long",
        FAIL,
        lambda: stuck(size=1).apply(1).wait(11).status(),
    ),
    ("complete", "waits on a stream that nobody reads, for long", UNKNOWN, lambda: stuck().apply(1).wait(60).status()),
    # What the client may not send keeps nothing from it: what it does not let come is its own doing.
    ("complete", "does not read when it cannot write", FAIL, narrow),
    ("complete", "cannot write, and reads on", PASS, lambda: narrow().let_out(1).apply(2, 3)),
    # ------------------------------------------------------------------------------------ lines without a topic
    ("complete", "an event of two topics, once, and nobody says for which", UNKNOWN, lambda: shared().apply(1)),
    ("complete", "an event of two topics, twice", PASS, lambda: shared().apply(1, 1)),
    ("complete", "an event of two topics, for one of them", FAIL, lambda: shared().apply(1, topic=TOPIC)),
    (
        "complete",
        "an event of two topics, for each",
        PASS,
        lambda: shared().apply(1, topic=TOPIC).apply(1, topic=OTHER),
    ),
    ("complete", "an event of two topics, once by each process", UNKNOWN, lambda: shared().apply(1).exit(1).apply(1)),
    (
        "complete",
        "an event of two topics, before the second was watched",
        PASS,
        lambda: Tape().watch(1).publish(1, topics=[TOPIC, OTHER]).send(1, 1).watch(2, OTHER).apply(1),
    ),
    ("complete", "an event of a topic that is only harvested", PASS, lambda: shared_with_history().apply(1)),
    # ------------------------------------------------------------------------------------ a slow handler
    ("complete", "still applying when the run is over", UNKNOWN, lambda: slow(5, 5, 5).wait(8).status()),
    ("complete", "still applying when the time is over", UNKNOWN, lambda: slow(*[1] * 19).stop()),
    ("complete", "applied all of it slowly", PASS, lambda: slow(*[1] * 20)),
    ("complete", "applied some, and then nothing more", FAIL, lambda: slow(1, 1, 1).wait(8).status()),
    ("complete", "applied nothing", FAIL, lambda: slow().wait(8).status()),
    ("complete", "still at the second when the run is over", UNKNOWN, lambda: slow(9).wait(8).status()),
    (
        "complete",
        "what took long was to get the first again",
        FAIL,
        lambda: (
            Tape()
            .watch(1)
            .publish(1, 2)
            .send(1, 1, 2)
            .end(1)
            .wait(9)
            .watch(2)
            .harvest(0, 1, 2)
            .apply(1)
            .wait(8)
            .status()
        ),
    ),
    ("complete", "still applying, and left one out", FAIL, lambda: slow(5, 5, 5).apply(5).wait(8).status()),
    (
        "complete",
        "its pauses were those of the traffic",
        FAIL,
        lambda: calm().apply(1, 2, 3).wait(20).publish(4, 5).send(1, 4, 5).apply(4).wait(8).status(),
    ),
    (
        "complete",
        "a handler that takes long, but has nothing to do",
        FAIL,
        lambda: slow(5, 5, backlog=2).publish(3).watch(3).wait(1).status(),
    ),
    ("complete", "was still applying when it exited", FAIL, lambda: slow(5, 5, 5).exit(1).wait(1).status()),
    ("resumes", "kept back and purged", PASS, lambda: kept_back(3).purge(2).apply(1, 3).end(1).watch(2)),
    ("resumes", "kept back and still in the history", FAIL, lambda: kept_back(3).apply(1, 3).end(1).watch(2)),
    ("complete", "purged and never told", FAIL, lambda: calm().apply(1).end(1).purge(3).watch(2).harvest(None)),
    (
        "complete",
        "told about an older position only",
        FAIL,
        lambda: (
            Tape().watch(1).publish(1, 2).purge(2).harvest(0, status=410, max_sequence=2).publish(3).purge(3).status()
        ),
    ),
    (
        "complete",
        "told about another topic",
        FAIL,
        lambda: calm().apply(1).end(1).purge(3).watch(2).harvest(1, status=410, max_sequence=3, topic=OTHER),
    ),
    (
        "complete",
        "asking from beyond a missed event is no excuse",
        FAIL,
        lambda: calm().apply(2, 3).purge(3).harvest(3, status=410, max_sequence=3),
    ),
    (
        "complete",
        "events between the purged ones and the newest are excused by the 410 as well",
        PASS,
        lambda: calm().apply(1).end(1).purge(2).watch(2).harvest(1, status=410, max_sequence=3),
    ),
    (
        "complete",
        "two topics, one with a hole",
        FAIL,
        lambda: calm().watch(2, OTHER).publish(4, topics=[OTHER]).apply(1, 2, 3),
    ),
    (
        "complete",
        "a silent client got it for another topic only",
        FAIL,
        lambda: Tape().watch(1).watch(2, OTHER).publish(1, topics=[TOPIC, OTHER]).send(2, 1, topic=OTHER),
    ),
    (
        "complete",
        "a black hole that was only planned swallows nothing",
        PASS,
        lambda: Tape().watch(1).publish(1).fault("hole", "blackhole", "armed", "triggered", conn=1).send(1, 1),
    ),
    (
        "complete",
        "a 410 that names no sequence, and the newest asked for",
        PASS,
        lambda: Tape().watch(1).publish(1, 2).harvest(0, status=410).publish(3).harvest(None, 3, newest=True),
    ),
    (
        "complete",
        "a 410 that names no sequence excuses nothing that came after it",
        FAIL,
        lambda: Tape().watch(1).publish(1, 2).harvest(0, status=410).publish(3).status(),
    ),
    (
        "complete",
        "a 410 that names the newest needs no question for it",
        FAIL,
        lambda: (
            Tape()
            .watch(1)
            .publish(1, 2)
            .harvest(0, status=410, max_sequence=2)
            .publish(3, 4)
            .harvest(None, 4, newest=True)
            .status()
        ),
    ),
    # ------------------------------------------------------------------------------------ filterable
    ("filterable", "a silent client that was sent a PING", PASS, lambda: calm().ping(1, "p")),
    ("filterable", "only matching events", PASS, lambda: calm().apply(1, 2, 3)),
    ("filterable", "an event of another topic", FAIL, lambda: calm().publish(4, topics=[OTHER]).apply(1, 4)),
    ("filterable", "an event of no topic", FAIL, lambda: calm().publish(4, topics=[]).apply(1, 4)),
    ("filterable", "an event nobody published", FAIL, lambda: calm().apply(1, 99)),
    ("filterable", "an event under another id", FAIL, lambda: calm().apply(1, id="id-2")),
    ("filterable", "a line without an id", PASS, lambda: calm().apply(1, id=None)),
    ("filterable", "a PING is not an event", FAIL, lambda: calm().ping(1, "p").apply(0, id="p", op="PING")),
    ("filterable", "a topic that is only harvested counts", PASS, lambda: Tape().publish(1).harvest(0, 1).apply(1)),
    (
        "filterable",
        "the line names a topic the event does not match",
        FAIL,
        lambda: calm().watch(2, OTHER).apply(1, topic=OTHER),
    ),
    ("filterable", "nothing applied", UNKNOWN, lambda: calm().status()),
    ("filterable", "a silent client", PASS, calm),
    ("filterable", "the fake sent something foreign", FAIL, lambda: calm().publish(4, topics=[OTHER]).send(1, 4)),
    ("filterable", "history returned something foreign", FAIL, lambda: calm().publish(4, topics=[OTHER]).harvest(3, 4)),
    ("filterable", "a silent client that got nothing", UNKNOWN, lambda: Tape().watch(1)),
    # ------------------------------------------------------------------------------------ reconnects
    ("reconnects", "a new stream soon after", PASS, lambda: Tape().watch(1).end(1).wait(9).watch(2)),
    ("reconnects", "a new stream too late", FAIL, lambda: Tape().watch(1).end(1).wait(11).watch(2)),
    ("reconnects", "no new stream", FAIL, lambda: Tape().watch(1).end(1).wait(11).publish(1)),
    ("reconnects", "the run was over too early", UNKNOWN, lambda: Tape().watch(1).end(1).wait(5).publish(1)),
    ("reconnects", "no stream ended", PASS, lambda: Tape().watch(1)),
    ("reconnects", "no stream was opened", UNKNOWN, Tape),
    (
        "reconnects",
        "an older stream of the topic is still open",
        PASS,
        lambda: Tape().watch(1).watch(2).end(2).wait(11).publish(1),
    ),
    (
        "reconnects",
        "an older stream of another topic is still open",
        FAIL,
        lambda: Tape().watch(1, OTHER).watch(2).end(2).wait(11).publish(1),
    ),
    ("reconnects", "a refused attempt has to be followed too", FAIL, lambda: Tape().open(1).end(1).wait(11).watch(2)),
    (
        "reconnects",
        "the third one is missing",
        FAIL,
        lambda: Tape().watch(1).end(1).watch(2).end(2).wait(11).publish(1),
    ),
    ("reconnects", "make before break", PASS, lambda: Tape().watch(1).watch(2).end(1).wait(11).publish(1)),
    (
        "reconnects",
        "a stream of another topic is no successor",
        FAIL,
        lambda: Tape().watch(1).watch(2, OTHER).end(1).wait(11).watch(3, OTHER),
    ),
    (
        "reconnects",
        "the client ended it and left",
        PASS,
        lambda: Tape().watch(1).end(1, "CANCELLED", "client").wait(11).publish(1),
    ),
    (
        "reconnects",
        "a client we spawned ended it and stayed away",
        FAIL,
        lambda: Tape(spawned=True).watch(1).end(1, "CANCELLED", "client").wait(11).publish(1),
    ),
    (
        "reconnects",
        "a client we spawned had enough and exited with 0",
        PASS,
        lambda: Tape(spawned=True).watch(1).end(1, "CANCELLED", "client").exit(0).wait(11).publish(1),
    ),
    # The end of a stream waits on a slow line behind what is under way there.
    ("reconnects", "the end is still under way on a slow line", UNKNOWN, lambda: late_end().wait(11).publish(2)),
    (
        "reconnects",
        "the end is under way on a slow line until the client is stopped",
        UNKNOWN,
        lambda: late_end().wait(11).stop().doubt(1, "drained"),
    ),
    (
        "reconnects",
        "the end came out of a slow line late",
        PASS,
        lambda: late_end().wait(11).doubt(1, "drained").wait(9).watch(2),
    ),
    (
        "reconnects",
        "the end came out of a slow line, and nothing followed",
        FAIL,
        lambda: late_end().doubt(1, "drained").wait(11).publish(2),
    ),
    (
        "reconnects",
        "the fault that ended it has its receipt late",
        PASS,
        lambda: late_end(conn=1).wait(11).fault("fin", "close", "on_wire", conn=1).wait(9).watch(2),
    ),
    (
        "reconnects",
        "the fault that ended it has its receipt, and nothing followed",
        FAIL,
        lambda: late_end("end_status").fault("fin", "end_status", "on_wire", attempt=1).wait(11).publish(2),
    ),
    (
        "reconnects",
        "a restart ends every connection",
        FAIL,
        lambda: late_end("restart").fault("fin", "restart", "on_wire").wait(11).publish(2),
    ),
    (
        "reconnects",
        "what came out of another slow line says nothing",
        UNKNOWN,
        lambda: late_end().doubt(2, "drained").wait(11).publish(2),
    ),
    (
        "reconnects",
        "the receipt of another call says nothing",
        UNKNOWN,
        lambda: late_end("reset").fault("fin", "reset", "on_wire", attempt=2).wait(11).publish(2),
    ),
    (
        "reconnects",
        "the receipt of what came before the end says nothing",
        PASS,
        lambda: (
            late_end("goaway", at_once=False)
            .fault("fin", "goaway", "on_wire", conn=1)
            .wait(11)
            .doubt(1, "drained")
            .wait(9)
            .watch(2)
        ),
    ),
    ("reconnects", "the end came before the line was slow", FAIL, lambda: late_end(slow=False).wait(11).publish(2)),
    ("reconnects", "it exited instead", FAIL, lambda: Tape(spawned=True).watch(1).end(1).exit(1)),
    (
        "reconnects",
        "it was told to stop while it waited",
        UNKNOWN,
        lambda: Tape(spawned=True).watch(1).end(1).wait(5).stop().exit(0),
    ),
    (
        "reconnects",
        "it was told to stop when it had waited for too long",
        FAIL,
        lambda: Tape(spawned=True).watch(1).end(1).wait(11).stop().exit(0),
    ),
    ("reconnects", "it was told to stop", PASS, lambda: Tape(spawned=True).watch(1).stop().end(1).wait(11).exit(0)),
    # ------------------------------------------------------------------------------------ refreshes_token
    (
        "refreshes_token",
        "a newer token in time",
        PASS,
        lambda: Tape().watch(1, life=10).wait(8).refresh(1, life=10).wait(5).publish(1),
    ),
    ("refreshes_token", "the token ran out", FAIL, lambda: Tape().watch(1, life=10).wait(11).publish(1)),
    (
        "refreshes_token",
        "the server ended the stream when the token ran out",
        FAIL,
        lambda: Tape().watch(1, life=10).wait(9.9).end(1, "UNAUTHENTICATED", graceful=True),
    ),
    ("refreshes_token", "a newer token too late", FAIL, lambda: Tape().watch(1, life=10).wait(11).refresh(1, life=10)),
    (
        "refreshes_token",
        "the second refresh is missing",
        FAIL,
        lambda: Tape().watch(1, life=10).wait(8).refresh(1, life=10).wait(11).publish(1),
    ),
    (
        "refreshes_token",
        "the same token once more is allowed",
        PASS,
        lambda: Tape().watch(1, life=10).wait(7.9).refresh(1, life=2).wait(1).refresh(1, life=10).wait(5).publish(1),
    ),
    (
        "refreshes_token",
        "the same token once more is not enough",
        FAIL,
        lambda: Tape().watch(1, life=10).wait(7.9).refresh(1, life=2).wait(3).publish(1),
    ),
    (
        "refreshes_token",
        "a refused refresh is none",
        FAIL,
        lambda: Tape().watch(1, life=10).wait(8).refresh(1, life=10, accepted=False).wait(5).publish(1),
    ),
    (
        "refreshes_token",
        "the stream ended before",
        UNKNOWN,
        lambda: Tape().watch(1, life=10).wait(5).end(1).wait(20).publish(1),
    ),
    ("refreshes_token", "the run was over before", UNKNOWN, lambda: Tape().watch(1, life=10).wait(5).publish(1)),
    ("refreshes_token", "it was told to stop before", UNKNOWN, lambda: Tape().watch(1, life=10).stop().wait(20).end(1)),
    ("refreshes_token", "no stream", UNKNOWN, Tape),
    (
        "refreshes_token",
        "what went into a black hole cannot be known",
        UNKNOWN,
        lambda: Tape().watch(1, life=10).fault("hole", "blackhole", "triggered", "on_wire", conn=1).wait(20).publish(1),
    ),
    ("refreshes_token", "no token", UNKNOWN, lambda: Tape().watch(1, life=None).wait(20).publish(1)),
    # ------------------------------------------------------------------------------------ answers_pings
    ("answers_pings", "answered", PASS, lambda: Tape().watch(1).ping(1, "a").pong(1, "a")),
    (
        "answers_pings",
        "answered in another order",
        PASS,
        lambda: Tape().watch(1).ping(1, "a").ping(1, "b").pong(1, "b").pong(1, "a"),
    ),
    (
        "answers_pings",
        "one unanswered",
        FAIL,
        lambda: Tape().watch(1).ping(1, "a").ping(1, "b").pong(1, "b").wait(6).publish(1),
    ),
    ("answers_pings", "answered too late", FAIL, lambda: Tape().watch(1).ping(1, "a").wait(6).pong(1, "a")),
    ("answers_pings", "an id no PING had", FAIL, lambda: Tape().watch(1).ping(1, "a").pong(1, "a").pong(1, "x")),
    (
        "answers_pings",
        "answered on another stream",
        FAIL,
        lambda: Tape().watch(1).watch(2).ping(1, "a").pong(2, "a").wait(6).publish(1),
    ),
    ("answers_pings", "not due yet", UNKNOWN, lambda: Tape().watch(1).ping(1, "a").wait(2).publish(1)),
    (
        "answers_pings",
        "the stream ended before it was due",
        UNKNOWN,
        lambda: Tape().watch(1).ping(1, "a").end(1).wait(6).publish(1),
    ),
    (
        "answers_pings",
        "it went into a black hole",
        UNKNOWN,
        lambda: (
            Tape().watch(1).fault("hole", "blackhole", "triggered", "on_wire", conn=1).ping(1, "a").wait(6).publish(1)
        ),
    ),
    (
        "answers_pings",
        "the client does not offer it",
        SKIPPED,
        lambda: Tape().watch(1, capabilities=None).wait(60).publish(1),
    ),
    ("answers_pings", "none was sent", UNKNOWN, lambda: Tape().watch(1)),
    # ------------------------------------------------------------------------------------ first_message
    ("first_message", "as it should be", PASS, lambda: Tape().watch(1)),
    ("first_message", "TOKEN_REFRESH written out is tolerated", PASS, lambda: Tape().watch(1, request_type=0)),
    ("first_message", "also after a refusal", PASS, lambda: Tape().open(1).end(1).watch(2)),
    (
        "first_message",
        "an AGENT_STATUS comes first",
        FAIL,
        lambda: Tape().open(1).request(1, "agent_status").subscribe(1),
    ),
    ("first_message", "a request type", FAIL, lambda: Tape().watch(1, request_type=7)),
    ("first_message", "no selfLink", FAIL, lambda: Tape().watch(1, "", accepted=False)),
    ("first_message", "a bare name", FAIL, lambda: Tape().watch(1, "sample-watch-topic", accepted=False)),
    ("first_message", "no token", FAIL, lambda: Tape().watch(1, life=None, accepted=False)),
    ("first_message", "an expired token", FAIL, lambda: Tape().watch(1, life=-5.0, accepted=False)),
    ("first_message", "another path", FAIL, lambda: Tape().open(1, path=PATH.upper()).subscribe(1)),
    ("first_message", "another tenant", FAIL, lambda: Tape().open(1, tenant="999").end(1)),
    ("first_message", "no token in the metadata", FAIL, lambda: Tape().open(1, token="").end(1)),
    ("first_message", "only the second stream is wrong", FAIL, lambda: Tape().watch(1).end(1).watch(2, request_type=2)),
    ("first_message", "no message yet", UNKNOWN, lambda: Tape().open(1)),
    # ------------------------------------------------------------------------------------ notices_dead_peer
    (
        "notices_dead_peer",
        "it closed the connection",
        PASS,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").wait(20).close(1),
    ),
    (
        "notices_dead_peer",
        "it opened a stream elsewhere",
        PASS,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").wait(20).watch(2),
    ),
    (
        "notices_dead_peer",
        "a stream of another topic elsewhere is no sign",
        FAIL,
        lambda: Tape().watch(1).watch(2, OTHER).http2_ping(1, 1, "withheld").end(2).watch(3, OTHER).wait(66).publish(1),
    ),
    (
        "notices_dead_peer",
        "one of the topics of the connection was opened elsewhere",
        PASS,
        lambda: (
            Tape()
            .watch(1)
            .open(2, conn=1)
            .subscribe(2, OTHER)
            .http2_ping(1, 1, "withheld")
            .wait(20)
            .watch(3, OTHER)
            .wait(66)
            .publish(1)
        ),
    ),
    (
        "notices_dead_peer",
        "it kept waiting",
        FAIL,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").wait(66).publish(1),
    ),
    (
        "notices_dead_peer",
        "it noticed too late",
        FAIL,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").wait(66).close(1),
    ),
    (
        "notices_dead_peer",
        "a stream on the same connection is no sign",
        FAIL,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").open(2, conn=1).wait(66).publish(1),
    ),
    (
        "notices_dead_peer",
        "the run was over too early",
        UNKNOWN,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").wait(20).publish(1),
    ),
    (
        "notices_dead_peer",
        "acks came back",
        UNKNOWN,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").http2_ping(1, 2, "acked").wait(66).publish(1),
    ),
    ("notices_dead_peer", "no silence", UNKNOWN, lambda: Tape().watch(1).http2_ping(1, 1, "acked").wait(66).close(1)),
    (
        "notices_dead_peer",
        "the server closed it",
        UNKNOWN,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").close(1, "server"),
    ),
    (
        "notices_dead_peer",
        "a black hole, left in time",
        PASS,
        lambda: Tape().watch(1).fault("hole", "blackhole", "triggered", "on_wire", conn=1).wait(50).watch(2),
    ),
    (
        "notices_dead_peer",
        "a black hole, never left",
        FAIL,
        lambda: Tape().watch(1).fault("hole", "blackhole", "triggered", "on_wire", conn=1).wait(66).publish(1),
    ),
    (
        "notices_dead_peer",
        "the silence began with the first withheld ack",
        FAIL,
        lambda: Tape().watch(1).http2_ping(1, 1, "withheld").wait(40).http2_ping(1, 2, "withheld").wait(40).close(1),
    ),
    (
        "notices_dead_peer",
        "the silence began before the black hole",
        FAIL,
        lambda: (
            Tape()
            .watch(1)
            .http2_ping(1, 1, "withheld")
            .wait(40)
            .fault("hole", "blackhole", "triggered", "on_wire", conn=1)
            .wait(40)
            .close(1)
        ),
    ),
    (
        "notices_dead_peer",
        "the silence began with the black hole",
        FAIL,
        lambda: (
            Tape()
            .watch(1)
            .fault("hole", "blackhole", "triggered", "on_wire", conn=1)
            .wait(40)
            .http2_ping(1, 1, "withheld")
            .wait(40)
            .close(1)
        ),
    ),
    # ------------------------------------------------------------------------------------ resumes
    ("resumes", "it asked from its last event", PASS, lambda: broken().apply(1, 2).harvest(2, 3).apply(3)),
    ("resumes", "it asked from before its last event", PASS, lambda: broken().apply(1, 2).harvest(0, 1, 2, 3).apply(3)),
    (
        "resumes",
        "it asked before it opened the stream",
        PASS,
        lambda: Tape().watch(1).publish(1).end(1).publish(2).harvest(0, 1, 2).watch(2).apply(1, 2),
    ),
    ("resumes", "it asked from beyond what it missed", FAIL, lambda: broken().apply(1).harvest(2, 3).apply(3)),
    (
        "resumes",
        "what a 410 said is gone need not be asked for after the next stream",
        PASS,
        lambda: broken().apply(1, 2).harvest(2, status=410, max_sequence=3).end(2).watch(3).harvest(3),
    ),
    ("resumes", "it never asked", FAIL, lambda: broken().apply(1, 2)),
    (
        "resumes",
        "it asked only before the stream ended",
        FAIL,
        lambda: Tape().harvest(0).watch(1).publish(1).end(1).publish(2).watch(2).apply(1),
    ),
    ("resumes", "it asked about another topic", FAIL, lambda: broken().apply(1, 2).harvest(2, 3, topic=OTHER)),
    ("resumes", "it had everything otherwise", PASS, lambda: broken().send(2, 3).apply(1, 2, 3)),
    (
        "resumes",
        "asking is enough though the answer was an error",
        PASS,
        lambda: broken().apply(1, 2).harvest(2, status=500),
    ),
    ("resumes", "the newest event is no question", FAIL, lambda: broken().apply(1, 2).harvest(None, 3)),
    (
        "resumes",
        "what comes after the reconnect is not its business",
        PASS,
        lambda: broken().apply(1, 2).harvest(2, 3).apply(3).publish(4),
    ),
    ("resumes", "a silent client that asked", PASS, lambda: broken().harvest(2, 3)),
    ("resumes", "a silent client that skipped", FAIL, lambda: broken().harvest(3)),
    (
        "resumes",
        "a silent client that never asked",
        UNKNOWN,
        lambda: Tape().watch(1).publish(1).send(1, 1).end(1).watch(2),
    ),
    ("resumes", "one stream", PASS, lambda: calm().apply(1, 2, 3)),
    ("resumes", "one stream, and then none", UNKNOWN, lambda: calm().apply(1, 2, 3).end(1)),
    ("resumes", "told to stop, then one more stream", PASS, lambda: calm().apply(1, 2).stop().end(1).watch(2)),
    ("resumes", "two streams side by side", PASS, lambda: Tape().watch(1).publish(1).watch(2).send(2, 1).status()),
    ("resumes", "no stream", UNKNOWN, Tape),
    (
        "resumes",
        "a refused stream between them",
        PASS,
        lambda: Tape().watch(1).end(1).open(2).end(2).publish(1).watch(3).harvest(0, 1).apply(1),
    ),
    # ------------------------------------------------------------------------------------ backs_off
    ("backs_off", "ten attempts in a second", PASS, lambda: _attempts(10)),
    ("backs_off", "eleven attempts in a second", FAIL, lambda: _attempts(11)),
    ("backs_off", "eleven attempts, spaced out", PASS, lambda: _attempts(11, pause=0.2)),
    ("backs_off", "a burst after a long calm", FAIL, lambda: _attempts(11, Tape().watch(1).wait(100))),
    (
        "backs_off",
        "two topics may attempt twice as often",
        PASS,
        lambda: _attempts(15, Tape().watch(1).watch(2, OTHER).wait(100)),
    ),
    ("backs_off", "no attempt", UNKNOWN, Tape),
    # ------------------------------------------------------------------------------------ handles_gone
    (
        "handles_gone",
        "it went on from the newest",
        PASS,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9).harvest(9),
    ),
    (
        "handles_gone",
        "it asked the same again",
        FAIL,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9).harvest(5, status=410, max_sequence=9),
    ),
    (
        "handles_gone",
        "it asked the same again, for it had not heard the answer",
        PASS,
        lambda: (
            Tape().watch(1).harvest(5, status=410, max_sequence=9, unheard=True).harvest(5, status=410, max_sequence=9)
        ),
    ),
    (
        "handles_gone",
        "it asked from before",
        FAIL,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9).harvest(4, status=410, max_sequence=9),
    ),
    (
        "handles_gone",
        "it asked for the newest event",
        PASS,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9).harvest(None, 9),
    ),
    (
        "handles_gone",
        "another topic may ask the same",
        PASS,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9).harvest(5, topic=OTHER),
    ),
    (
        "handles_gone",
        "a new process may ask once",
        PASS,
        lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9).exit().harvest(5, status=410, max_sequence=9),
    ),
    ("handles_gone", "it stopped", PASS, lambda: Tape().watch(1).harvest(5, status=410, max_sequence=9)),
    (
        "handles_gone",
        "a second 410 moves the mark",
        FAIL,
        lambda: Tape().watch(1).harvest(5, status=410).harvest(9, status=410).harvest(7, status=410),
    ),
    ("handles_gone", "nothing was gone", UNKNOWN, lambda: Tape().watch(1).harvest(5, 6)),
]


def _attempts(count: int, tape: Tape | None = None, *, pause: float = 0.0) -> Tape:
    tape = tape or Tape()
    for number in range(count):
        tape.open(100 + number)
        tape.t -= 0.05  # two a tape tick
        tape.wait(pause)
    return tape


def settings(name: str) -> Expectation:
    kind = expectations.by_name(name)
    assert kind is not None
    return kind()


@pytest.mark.parametrize(
    ("name", "story", "outcome", "tape"), CASES, ids=[f"{name}: {story}" for name, story, *_ in CASES]
)
def test_the_check_tells(name: str, story: str, outcome: Outcome, tape: Callable[[], Tape]) -> None:
    lines = tape().lines
    verdict = by_name(name).judge(lines, settings(name))
    assert verdict.outcome is outcome, verdict.message
    assert verdict.check == name
    assert verdict.message
    known = {line["n"] for line in lines}
    assert set(verdict.evidence) <= known
    if outcome is FAIL:
        assert verdict.evidence, "a failure names the lines that prove it"
        assert verdict.message.startswith(by_name(name).sentence), "a red line teaches"


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_check_has_a_right_and_a_wrong_journal(check: object) -> None:
    outcomes = {outcome for name, _, outcome, _ in CASES if name == check.name}  # type: ignore[attr-defined]
    assert outcomes >= {PASS, FAIL, UNKNOWN}


def test_there_is_a_check_for_every_expectation() -> None:
    assert [check.name for check in CHECKS] == [kind.name for kind in EXPECTATIONS]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_a_journal_that_lost_its_beginning_judges_nobody(check: object) -> None:
    tail = calm().apply(1, 2, 3).lines[2:]
    verdict = check.judge(tail, settings(check.name))  # type: ignore[attr-defined]
    assert verdict.outcome is UNKNOWN
    assert "--journal" in verdict.message


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_an_empty_journal_judges_nobody(check: object) -> None:
    assert check.judge([], settings(check.name)).outcome is UNKNOWN  # type: ignore[attr-defined]


def test_bounds_are_settings() -> None:
    tape = Tape().watch(1).end(1).wait(3).watch(2)
    strict = expectations.Reconnects(within=Duration(2.0))
    assert by_name("reconnects").judge(tape.lines, strict).outcome is FAIL
    lax = expectations.BacksOff(at_most=20)
    assert by_name("backs_off").judge(_attempts(11).lines, lax).outcome is PASS


def test_the_evidence_of_a_missed_event_is_its_publication() -> None:
    tape = calm().apply(1, 3)
    verdict = by_name("complete").judge(tape.lines, settings("complete"))
    assert [line["sequence"] for line in tape.lines if line["n"] in verdict.evidence] == [2]
    assert "1 of 3" in verdict.message


@pytest.mark.parametrize(
    ("link", "key"),
    [
        (TOPIC, "/management/watchtopics/sample-watch-topic"),
        (V1ALPHA1, "/management/watchtopics/sample-watch-topic"),
        ("management/v1/watchtopics/x", "management/v1/watchtopics/x"),
        ("/a/b", "/a/b"),
        ("", ""),
    ],
)
def test_a_topic_is_the_same_in_every_version(link: str, key: str) -> None:
    assert topic_key(link) == key


def test_a_message_counts_what_it_does_not_list() -> None:
    assert several(range(3)) == "0, 1, 2"
    assert several(range(5)) == "0, 1, 2, 3, 4"
    assert several(range(7)) == "0, 1, 2, 3, 4 and 2 more"
    assert seconds(0.25) == "250 ms"
    assert seconds(65.0) == "65 s"
    message = by_name("ordered").judge(calm().apply(3, 2, 1).lines, settings("ordered")).message
    assert message.endswith("2 was applied after 3, and 1 more like it.")
    message = by_name("ordered").judge(calm().apply(1, 3, 2).lines, settings("ordered")).message
    assert message.endswith("2 was applied after 3.")


def test_the_message_says_that_purged_events_were_not_counted() -> None:
    tape = calm().apply(1).end(1).purge(3).watch(2).harvest(1, status=410, max_sequence=3)
    message = by_name("complete").judge(tape.lines, settings("complete")).message
    assert "2 events purged" in message
    assert "410" in message
