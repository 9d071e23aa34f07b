"""What a person gave that cannot be used: the text is the one line they see, the exit code is 2."""

from __future__ import annotations


class UsageError(ValueError):
    """An argument, a pattern or a file that makes no sense."""
