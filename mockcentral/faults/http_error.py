"""An HTTP request is answered with an error, or with rubbish."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerHttp
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc
from mockcentral.scenario.types import Duration


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpError(Fault):
    """Answer with this status and body instead of the real ones.

    The client should feel a failed request, and ask again later: not before `Retry-After`, where it is given.

    It stands for an overloaded or half-deployed API: 502 and 503 from the proxy in front, 429 from its rate limit. A
    weekly script suddenly had 502 from GitHub, and minutes later its data (PyGithub/PyGithub#2400).
    """

    name: ClassVar[str] = "http_error"
    level: ClassVar[str] = "http"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"harvest", "http", "page", "token"})
    shorthand: ClassVar[str | None] = "status"
    answers: ClassVar[bool] = True

    status: int = doc("400 to 599, or 200 with a body that is not the real one", 503, minimum=200, maximum=599)
    retry_after: Duration | None = doc("the header Retry-After, in whole seconds, rounded up", None, maximum=86400)
    body: str = doc("the body, sent as it is", "", maximum=100_000)

    def problem(self) -> str | None:
        if 200 < self.status < 400:
            return f"status {self.status} is no error: write 400 to 599, or 200 with a body"
        return None

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        headers = () if self.retry_after is None else (("Retry-After", str(math.ceil(self.retry_after))),)
        return (AnswerHttp(self.status, headers=headers, body=self.body),)
