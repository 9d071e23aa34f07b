"""Tell where two journals part."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

SAME, DIFFERENT = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Compare two journals by what happened: order of lines, what was asked, sent, applied and ended. Times, ids, "
        "ports and the like are left out, so two runs of one scenario can be compared, simulated or not."
    )
    parser.add_argument("one", metavar="JOURNAL")
    parser.add_argument("other", metavar="JOURNAL")
    parser.add_argument("--exact", action="store_true", help="compare everything, as two runs of one seed must agree")
    parser.add_argument(
        "--kind", action="append", metavar="KIND", help="only lines of this kind, or of all that begin so: stream."
    )


def run(arguments: argparse.Namespace) -> int:
    """0 they tell the same, 1 they differ, 2 one cannot be read."""
    from mockcentral.conformance import stored, story

    one, other = (stored.read(Path(word)) for word in (arguments.one, arguments.other))
    kinds = tuple(arguments.kind or ())
    difference = story.difference(
        one, other, names=(arguments.one, arguments.other), exact=arguments.exact, kinds=kinds
    )
    if not difference:
        print("the same", file=sys.stderr)
        return SAME
    print("\n".join(difference))
    return DIFFERENT
