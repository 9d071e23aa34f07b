"""History as somebody reads it who opens no stream: page by page, with patience for a service in trouble."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from random import Random

from watchmanager._core.backoff import Pacer
from watchmanager._core.effects import FetchHistory
from watchmanager._core.inputs import HistoryFailed, HistoryGone
from watchmanager._driver.history import HistoryClient
from watchmanager.auth import TokenSource
from watchmanager.errors import HistoryError, HistoryProtocolError, SequenceExpired, Unauthenticated
from watchmanager.events import Event
from watchmanager.policy import Backoff

TRIES = 5
"""So often in a row a question is asked before its error is raised."""


async def read_pages(
    client: HistoryClient,
    tokens: TokenSource,
    topic: str,
    *,
    after: int | None,
    before: int | None,
    page_size: int,
    backoff: Backoff,
    random: Random,
) -> AsyncIterator[list[Event]]:
    """Events with `after` < sequence < `before`, in rising order, until a page is empty (protocol 3.3: by keyset).

    Raises SequenceExpired when `after` is no longer kept, DecodeError (with its `sequence`) for an event that cannot be
    read, after those before it, and what the token provider or history fails with.
    """
    cursor = after
    pacer = Pacer(backoff, random)
    credential, _ = await tokens.get(None)
    refused = False
    while True:
        question = FetchHistory(0, cursor, page_size, False, credential)
        answer = await client.fetch(topic, question)
        if isinstance(answer, HistoryFailed):
            error = answer.error
            if isinstance(error, Unauthenticated) and not refused:
                refused = True
                credential, _ = await tokens.get(credential)
                continue
            if isinstance(error, Unauthenticated) or not error.retryable or pacer.failures >= TRIES - 1:
                raise error
            delay = pacer.failed()
            if isinstance(error, HistoryError) and error.retry_after is not None:
                delay = max(delay, error.retry_after)
            await asyncio.sleep(delay)
            continue
        if isinstance(answer, HistoryGone):
            if cursor is None:
                raise HistoryError("history answers 410 to a question without a lower bound", status=410)
            newest = answer.server_max
            expired = SequenceExpired(
                cursor,
                newest,
                f"events after sequence {cursor} are no longer kept by the server (newest: {newest}); "
                "after=None reads from the oldest one kept",
            )
            expired.topic = topic
            raise expired
        pacer.succeeded()
        refused = False
        floor = cursor if cursor is not None else -1
        # One whose number cannot be read comes behind the event that it stands behind.
        unreadable = []
        for each in answer.poison:
            if each.before is not None:
                behind = max(each.sequence, floor) + 1
                each.error.sequence = each.before - 1 if each.before > 0 else behind
                unreadable.append((behind, each.error))
            elif each.sequence > floor:
                unreadable.append((each.sequence, each.error))
        place, reason = min(unreadable, key=lambda each: each[0], default=(None, None))
        end = min(each for each in (before, place, 2**63) if each is not None)
        fresh = sorted((each for each in answer.events if each.sequence > floor), key=lambda each: each.sequence)
        wanted = [each for each in fresh if each.sequence < end]
        if wanted:
            yield wanted
        if reason is not None and place is not None and (before is None or place < before):
            raise reason
        if not answer.events or len(wanted) < len(fresh):
            return
        if not fresh:
            raise HistoryProtocolError(
                f"history was asked for events after {floor} and answered with {len(answer.events)} that are not newer",
                status=200,
            )
        cursor = fresh[-1].sequence
        # A long reading outlives its token.
        credential, _ = await tokens.get(None)
