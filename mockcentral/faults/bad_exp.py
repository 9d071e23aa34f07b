"""The token endpoint issues a token whose expiry cannot be used."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar, Literal

from mockcentral._core.actions import Action, AnswerToken
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class BadExp(Fault):
    """Issue a token whose `exp` is `missing`, a `text`, or `past`; Central refuses it.

    The client should feel a token it must not use as if it never expired, and ask for another, with pauses.

    It stands for an identity provider that was changed without its clients being told; in auth0/java-jwt#240 an `exp`
    written as an ISO date was passed over without a word.
    """

    name: ClassVar[str] = "bad_exp"
    level: ClassVar[str] = "token"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"token"})
    shorthand: ClassVar[str | None] = "how"
    answers: ClassVar[bool] = True

    how: Literal["missing", "text", "past"] = doc("what is wrong with `exp`", "missing")

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerToken(exp=self.how),)
