"""The HTTP side of a simulated Central: what `servers.http_api` says with Flask, in the fewest words.

Only what a watch client asks: a page of history, a token. The two are kept equal by
tests/properties/test_sim_agrees_with_sockets.py.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

from mockcentral._core import harvester
from mockcentral._core.actions import AnswerHttp
from mockcentral._core.central import Central
from mockcentral._core.log import Gone
from mockcentral._core.tokens import Worth
from mockcentral.sim.party import Answer

TOKEN_PATH = "/auth/realms/Broker/protocol/openid-connect/token"


def history(
    central: Central, connection: int, topic: str, parameters: Mapping[str, str], token: str, now: float
) -> tuple[Answer, AnswerHttp, dict[str, Any]]:
    """The answer to a harvester request, what faults want done to it, and its line for the journal."""
    facts: dict[str, Any] = {
        "conn": connection,
        "method": "GET",
        "path": f"/events{topic}",
        "query": parameters,
        "status": 0,
        "topic": topic,
        "after": None,
        "page": None,
        "page_size": None,
        "sequences": [],
    }
    decision = central.http_request(("http", "harvest"), connection, now)
    if decision.status is not None:
        _asked(central, parameters, facts)
        return _faulty(decision), decision, facts
    answer = _page(central, topic, parameters, token, now, facts)
    return answer, decision, facts


def _asked(central: Central, parameters: Mapping[str, str], facts: dict[str, Any]) -> None:
    with contextlib.suppress(ValueError):
        query = harvester.parse(parameters, central.settings.harvester.page_size)
        facts["after"], facts["page"], facts["page_size"] = query.asked_after, query.page, query.page_size


def _page(
    central: Central, topic: str, parameters: Mapping[str, str], token: str, now: float, facts: dict[str, Any]
) -> Answer:
    verdict = central.judge(token, now)
    if verdict.worth is not Worth.GOOD:
        _asked(central, parameters, facts)
        return Answer(401, f"token refused: {verdict.worth.value}")
    try:
        page = central.harvest(topic, parameters, now)
    except ValueError as error:
        return Answer(400, str(error))
    if page is None:
        _asked(central, parameters, facts)
        return Answer(404, f"there is no watch topic {topic}")
    if isinstance(page, Gone):
        facts["max_sequence"] = page.max_sequence
        _asked(central, parameters, facts)
        return Answer(410, "gone", {"x-axway-max-sequence-id": str(page.max_sequence)})
    facts["after"] = page.query.asked_after
    facts["page"], facts["page_size"] = page.query.page, page.query.page_size
    facts["sequences"] = page.sequences
    return Answer(200, events=page.events)


def token(central: Central, connection: int, client_id: str, now: float) -> tuple[Answer, AnswerHttp, dict[str, Any]]:
    """The answer to a token request, what faults want done to it, and its line for the journal."""
    facts: dict[str, Any] = {"conn": connection, "method": "POST", "path": TOKEN_PATH, "query": {}, "status": 0}
    decision = central.http_request(("http", "token"), connection, now)
    if decision.status is not None:
        return _faulty(decision), decision, facts
    return Answer(200, token=central.token(client_id, now)), decision, facts


def _faulty(decision: AnswerHttp) -> Answer:
    assert decision.status is not None
    headers = {name.lower(): value for name, value in decision.headers}
    return Answer(decision.status, decision.body, headers)
