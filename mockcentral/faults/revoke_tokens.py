"""Central takes all tokens for revoked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from mockcentral._core.actions import Action, ExpireTokens
from mockcentral.faults.base import Fault, Moment


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeTokens(Fault):
    """Every token issued so far is refused as a bad one from now on, and streams that live on one end with
    `world.status.bad_token`.

    The client should feel a refusal long before `exp`, and come back with a fresh token instead of the old one.

    It stands for an administrator who rotated the keys of a service account, as in kubernetes/kubernetes#91070, where
    the old tokens ended with the secrets that were deleted.
    """

    name: ClassVar[str] = "revoke_tokens"
    level: ClassVar[str] = "token"

    def actions(self, moment: Moment, random: Random) -> Iterable[Action]:
        return (ExpireTokens(revoke=True),)
