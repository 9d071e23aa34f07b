"""The cards of a lab in a file: JSON, Markdown or text, as the file's name says."""

from __future__ import annotations

import json
from collections.abc import Sequence

from mockcentral.conformance.results import Case, Run
from mockcentral.lab.card import as_dict, as_json, markdown, text


def render_text(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """As in the terminal."""
    return "\n\n".join(text(run.card) for run in runs if run.card is not None) + "\n"


def render_markdown(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """A table a card."""
    return "\n".join(markdown(run.card) for run in runs if run.card is not None)


def render_json(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    """One card as an object; several as a list of them."""
    cards = [run.card for run in runs if run.card is not None]
    if len(cards) == 1:
        return as_json(cards[0])
    return json.dumps([as_dict(card) for card in cards], indent=2, ensure_ascii=False) + "\n"


FORMS = {".json": render_json, ".md": render_markdown}
"""By the ending of the file; any other gets text."""
