"""What a scenario may expect."""

from __future__ import annotations

import dataclasses

import pytest

from mockcentral.scenario import expectations
from mockcentral.scenario.expectations import EXPECTATIONS, by_name
from mockcentral.scenario.schema import Expectation


def test_every_expectation_has_a_name_of_its_own() -> None:
    assert len({kind.name for kind in EXPECTATIONS}) == len(EXPECTATIONS)
    here = expectations.__name__
    defined = [kind for kind in vars(expectations).values() if isinstance(kind, type) and kind.__module__ == here]
    assert set(defined) == set(EXPECTATIONS)
    assert all(by_name(kind.name) is kind for kind in EXPECTATIONS)
    assert by_name("nope") is None


@pytest.mark.parametrize("kind", EXPECTATIONS, ids=lambda kind: kind.name)
def test_an_expectation_is_a_sentence_with_settings_that_have_defaults(kind: type[Expectation]) -> None:
    doc = kind.__doc__ or ""
    assert doc.endswith(".")
    assert "\n" not in doc
    assert kind() == kind()
    assert hash(kind()) == hash(kind())
    assert all("doc" in field.metadata for field in dataclasses.fields(kind))
