"""What a flag takes, for argparse: the kinds that commands and the pytest plugin share.

Imports nothing of ours: the plugin is loaded in every run of pytest.
"""

from __future__ import annotations

import argparse


def seed(text: str) -> int:
    """The seed of a world. Raises ArgumentTypeError."""
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) >= 2**63:
        raise argparse.ArgumentTypeError(f"{text!r} is no seed: write a whole number from 0 to 2**63 - 1")
    return int(text)
