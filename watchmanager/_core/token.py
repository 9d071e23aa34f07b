"""Tokens as the machine sees them: a value that never shows itself, and when to replace it (protocol 2.1, 2.2).

How a JWT is read is known to `watchmanager.auth`; here are only lives in seconds.
"""

from __future__ import annotations

from random import Random

REFRESH_AT = 0.8
"""Part of the remaining life after which a token is replaced: 4/5, as the Go client."""
SHORTEST_WAIT = 0.2
"""Between two refreshes, so that a provider that keeps returning the same dying token is not called in a loop."""
USUAL_GAP = 5.0
GREATEST_SKEW = 24 * 3600.0
"""What a Date header says beyond this is taken for a mistake of whoever wrote it."""


class Skew:
    """How far the server's clock is ahead of ours, learned from the Date of its answers. `seconds` is 0 until one says
    otherwise, and moves no further than the answers prove.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def learn(self, date: float, began: float, ended: float) -> None:
        """An answer says `date` (whole seconds); its request began and ended at these times of our clock."""
        # The server looked at its clock in between, and cut off the fraction.
        lower, upper = date - ended, date + 1.0 - began
        if lower <= upper and lower >= -GREATEST_SKEW and upper <= GREATEST_SKEW:
            self.seconds = min(max(self.seconds, lower), upper)


class Credential:
    """A token whose text is not shown by repr, logs, tracebacks or comparisons."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The token, for the wire and nothing else."""
        return self._value

    def __repr__(self) -> str:
        return "Credential(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Credential) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def refresh_after(life: float, random: Random) -> float:
    """Seconds until a token with `life` seconds left is replaced: 4/5 of it less up to a twentieth, so that a fleet
    started together does not refresh together, and never later than 4/5.

    Short lives shrink towards `SHORTEST_WAIT` instead of below it: the token may then end first, which is not our
    doing.
    """
    wait = life * REFRESH_AT * random.uniform(0.95, 1.0)
    if wait < USUAL_GAP:
        wait = max(wait, min(SHORTEST_WAIT, life))
    return max(wait, 0.0)


def retry_after(failures: int, left: float, random: Random) -> float:
    """Seconds until a failed refresh is tried again, with `left` seconds of the old token to go: backoff from half a
    second, at most a fifth of what is left so that several tries fit, not below `SHORTEST_WAIT`.
    """
    wait = random.uniform(0.5, 1.0) * 2.0 ** min(failures, 6)
    return max(min(wait, left / 5), SHORTEST_WAIT)
