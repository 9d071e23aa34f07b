"""What all tests share: Hypothesis without a stopwatch, since a busy machine is no bug."""

from __future__ import annotations

try:
    from hypothesis import HealthCheck, settings
except ImportError:  # the environments that try only the generated messages
    pass
else:
    settings.register_profile("unhurried", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("unhurried")
