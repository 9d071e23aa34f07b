"""How long to wait before the next stream or the next question. Knows failures and random numbers, no clock.

Rules (see `policy.Backoff`): full jitter; growth is capped where it grows; failures are forgotten only after the server
said something on a stream that lived long enough. A stream that had delivered comes back almost at once, but a server
that keeps cutting such streams young is asked more and more slowly, up to a modest cap.
"""

from __future__ import annotations

from random import Random

from watchmanager.policy import Backoff

_CAP_EXPONENT = 32
"""Exponents are capped here, so that no number of failures can overflow a float."""
_QUICK = 8
"""Young streams in a row before their wait grows; then it doubles every fourth."""


class Pacer:
    """Waits for one kind of trying."""

    def __init__(self, policy: Backoff, random: Random) -> None:
        self._policy = policy
        self._random = random
        self.failures = 0
        self.flaps = 0

    def failed(self) -> float:
        """The wait after a try that brought nothing."""
        policy = self._policy
        bound = min(policy.maximum, policy.initial * policy.multiplier ** min(self.failures, _CAP_EXPONENT))
        self.failures = min(self.failures + 1, 1_000_000)
        return self._random.uniform(0.0, bound)

    def ended(self, *, heard: bool, lived: float) -> float:
        """The wait after a stream that stood for `lived` seconds and on which the server said something, or not."""
        if not heard:
            return self.failed()
        policy = self._policy
        if lived >= policy.min_life:
            self.failures = self.flaps = 0
        else:
            self.flaps = min(self.flaps + 1, 1_000_000)
        growth = min(max(0, self.flaps - _QUICK) // 4, _CAP_EXPONENT)
        return self._random.uniform(0.0, min(policy.rotation_maximum, policy.rotation * 2.0**growth))

    def succeeded(self) -> None:
        """A question was answered."""
        self.failures = self.flaps = 0
