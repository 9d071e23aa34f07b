"""The token endpoint hands out the same token again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, AnswerToken
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class PinnedToken(Fault):
    """Answer with the token issued last to this client, whatever is left of its life; the first one is fresh.

    The client should feel a refresh that brings nothing new, and neither ask in a tight loop nor count the old token
    as new.

    It stands for a cache in front of the identity provider, such as that of Azure's managed identities, which gave the
    same token for a day, restarts or not (Azure/azure-sdk-for-net#27019).
    """

    name: ClassVar[str] = "pinned_token"
    level: ClassVar[str] = "token"
    anchors: ClassVar[frozenset[str] | None] = frozenset({"token"})
    answers: ClassVar[bool] = True

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (AnswerToken(pin=True),)
