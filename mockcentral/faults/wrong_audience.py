"""The token endpoint issues a token for somebody else."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerToken
from mockcentral.faults.base import Fault, Moment
from mockcentral.scenario.fields import doc


@dataclass(frozen=True, slots=True, kw_only=True)
class WrongAudience(Fault):
    """Issue a token whose `aud` is another service; Central refuses it with `world.status.bad_token`.

    The client should feel a refusal that a fresh token cures, and not try the same token again and again.

    It stands for a client registered in the wrong realm: the tokens of dotnet/aspnetcore#21735 were for `master-realm`,
    not for the service.
    """

    name: ClassVar[str] = "wrong_audience"
    level: ClassVar[str] = "token"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"token"})
    shorthand: ClassVar[str | None] = "audience"
    answers: ClassVar[bool] = True

    audience: str = doc("the claim `aud`", "somebody-else", minimum=1, maximum=400)

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerToken(claims=(("aud", self.audience),)),)
