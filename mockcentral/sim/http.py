"""The HTTP side of a simulated Central: what `servers.http_api` says with Flask, in the fewest words.

Only what a watch client asks: a page of history, a token. The two are kept equal by
tests/properties/test_sim_agrees_with_sockets.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from mockcentral._core import harvester
from mockcentral._core.actions import AnswerHttp, Part
from mockcentral._core.central import Central
from mockcentral._core.journal import spoiled
from mockcentral._core.log import Gone
from mockcentral._core.shapes import misshapen
from mockcentral._core.tokens import GOOD
from mockcentral.sim.party import Answer

TOKEN_PATH = "/auth/realms/Broker/protocol/openid-connect/token"


def history(
    central: Central,
    connection: int,
    topic: str,
    query: harvester.Query,
    token: str,
    now: float,
    recording: bool,
    carry_out: Callable[[], None],
) -> tuple[Answer, AnswerHttp, dict[str, Any]]:
    """The answer to a harvester request, what faults want done to it, and its line for the journal, if it has one.
    `carry_out` is called for what was ordered before it is answered.
    """
    most = central.settings.harvester.page_size
    if query.page_size > most:
        query = harvester.Query(query.after, query.before, query.page, most, query.newest_first, query.asked_after)
    facts: dict[str, Any] = {}
    if recording:
        facts = {
            "conn": connection,
            "method": "GET",
            "path": f"/events{topic}",
            "query": query,
            "status": 0,
            "topic": topic,
            "after": query.asked_after,
            "page": query.page,
            "page_size": query.page_size,
            "sequences": [],
        }
    decision = central.http_request(("http", "harvest", "page"), connection, now, query.page)
    carry_out()
    if decision.status is not None:
        spoiled(facts)
        if facts and decision.gone == "with header":
            facts["max_sequence"] = central.log.max_sequence
        return _faulty(decision), _made(central, decision, (), connection, now), facts
    if decision.page_size is not None:
        query = replace(query, page_size=decision.page_size)
    answer = _page(central, topic, query, token, now, facts)
    decision = _made(central, decision, ("page",) if answer.status == 200 else (), connection, now)
    if not decision.whole:
        spoiled(facts)
        answer = _broken(answer, decision)
    return answer, decision, facts


def parameters(query: harvester.Query) -> str:
    """The query string a client would have sent."""
    given = {} if query.newest_first else {"page": str(query.page)}
    given["pageSize"] = str(query.page_size)
    given["sort"] = "sequenceID,DESC" if query.newest_first else "sequenceID,ASC"
    if query.asked_after is not None:
        given["query"] = f"sequenceID>{query.asked_after}"
    return urlencode(given)


def _page(
    central: Central, topic: str, query: harvester.Query, token: str, now: float, facts: dict[str, Any]
) -> Answer:
    verdict = central.tokens.judge(token, central.wall(now))
    if verdict.worth is not GOOD:
        return Answer(401, f"token refused: {verdict.worth.value}")
    page = central.history(topic, query, now)
    if page is None:
        return Answer(404, f"there is no watch topic {topic}")
    if isinstance(page, Gone):
        if facts:
            facts["max_sequence"] = page.max_sequence
        return Answer(410, "gone", {"x-axway-max-sequence-id": str(page.max_sequence)})
    if facts:
        facts["sequences"] = page.sequences
    return Answer(200, "", None, page.events)


def token(
    central: Central, connection: int, client_id: str, now: float, carry_out: Callable[[], None]
) -> tuple[Answer, AnswerHttp, dict[str, Any]]:
    """The answer to a token request, what faults want done to it, and its line for the journal."""
    facts: dict[str, Any] = {"conn": connection, "method": "POST", "path": TOKEN_PATH, "query": None, "status": 0}
    decision = central.http_request(("http", "token"), connection, now)
    carry_out()
    if decision.status is not None:
        return _faulty(decision), _made(central, decision, (), connection, now), facts
    pinned = decision.token is not None and not central.takes_effect(decision.token, client_id)
    decision = _made(central, decision, () if pinned else ("token",), connection, now)
    issued = central.token(client_id, now, answer=decision.token)
    expires = central.tokens.judge(issued, central.wall(now)).expires
    answer = Answer(200, "", None, None, issued, expires)
    return answer if decision.whole else _broken(answer, decision), decision, facts


def _made(central: Central, decision: AnswerHttp, parts: Sequence[Part], connection: int, now: float) -> AnswerHttp:
    """What is still to be done to an answer. A real one has a body in any case."""
    if not decision.words:
        return decision
    size = len(decision.body.encode())
    if decision.status is None:
        size = len(misshapen(b"[]", decision.shape)[1]) if decision.shape else 1
    return central.http_made(decision, parts, size, connection, now)


def _broken(answer: Answer, decision: AnswerHttp) -> Answer:
    """An answer that breaks off, or that is not what was asked for."""
    if decision.cut is not None:
        return Answer(0, "the answer broke off")
    _, body = misshapen(b"[]", decision.shape)
    return Answer(200, body.decode())


def _faulty(decision: AnswerHttp) -> Answer:
    assert decision.status is not None
    headers = {name.lower(): value for name, value in decision.headers}
    return Answer(decision.status, decision.body, headers)
