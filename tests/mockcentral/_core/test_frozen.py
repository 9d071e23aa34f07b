"""Our dataclasses behave as those of `dataclasses`."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from mockcentral._core.frozen import dataclass, strict_dataclass


def made(decorate: Any, **how: bool) -> type[Any]:
    @decorate(slots=True, **how)
    class Point:
        """A place."""

        x: int
        y: str = "y"
        note: str = dataclasses.field(default="", compare=False, repr=False)

    return Point


OURS = [made(dataclass, frozen=True), made(strict_dataclass, frozen=True)]
THEIRS = made(dataclasses.dataclass, frozen=True)


@pytest.mark.parametrize("ours", OURS)
def test_what_is_shown_compared_and_hashed_is_what_dataclasses_would(ours: type[Any]) -> None:
    one, same, other = ours(1, note="a"), ours(1, note="b"), ours(2)
    assert repr(one) == repr(THEIRS(1))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != THEIRS(1)
    assert len({one, same, other}) == 2
    assert dataclasses.replace(one, y="z") == ours(1, "z")
    assert dataclasses.asdict(one) == {"x": 1, "y": "y", "note": "a"}
    match one:
        case ours(x, y):
            assert (x, y) == (1, "y")
    with pytest.raises((AttributeError, TypeError)):
        one.z = 1


def test_one_is_frozen_when_it_runs_and_the_other_is_not() -> None:
    free, strict = (ours(1) for ours in OURS)
    free.x = 2
    assert free.x == 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        strict.x = 2


def test_what_may_change_has_no_hash() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(made(dataclass)(1))


def test_a_class_says_for_itself_what_it_says() -> None:
    @dataclass(slots=True, frozen=True)
    class Named:
        name: str

        def __repr__(self) -> str:
            return "mine"

        def __eq__(self, other: object) -> bool:
            return True

    assert repr(Named("a")) == "mine"
    assert Named("a") == 5


def test_nothing_at_all_equals_nothing_at_all() -> None:
    @strict_dataclass(slots=True, frozen=True)
    class Empty:
        """Nothing."""

    @strict_dataclass(slots=True, frozen=True)
    class Void:
        """Nothing else."""

    assert Empty() == Empty()
    assert len({Empty(), Void()}) == 2
    assert hash(Empty()) == hash(Empty())
