"""Central takes all tokens for expired."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, ExpireTokens
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpireAllTokens(Fault):
    """Every token issued so far is expired from now on; streams that live on one end, where the world says so.

    The client should feel a refusal, and come back with a fresh token instead of the old one.

    It stands for a signing key that was rotated in a hurry, or an operator who revoked every session, as CircleCI had
    to in January 2023.
    """

    name: ClassVar[str] = "expire_tokens"
    level: ClassVar[str] = "token"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ExpireTokens(),)
