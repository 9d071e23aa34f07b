"""Dataclasses that are cheap to define, and one kind that is cheap to make. Use them as `dataclasses.dataclass`.

A frozen, slotted dataclass takes half a millisecond to define, and importing a fake defines a hundred of them: most of
that is code for `__repr__`, `__eq__` and `__hash__` that hardly one of them ever runs. Here they share one.

And a frozen one takes seven times as long to make as one that is not (ten fields: 1.7 us, 0.24 us), while a simulated
run makes hundreds of them: what `dataclass` decorates is frozen to a type checker, and to nobody when it runs. What
users hold in their hands, scenarios above all, is decorated with `strict_dataclass`, and is frozen to them, too.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from operator import attrgetter
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass", "strict_dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
    from dataclasses import dataclass as strict_dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False, kw_only: bool = False) -> Any:
        return lambda kind: _equipped(
            dataclasses.dataclass(slots=slots, kw_only=kw_only, repr=False, eq=False)(kind), hashed=frozen
        )

    def strict_dataclass(*, slots: bool, frozen: bool, kw_only: bool = False) -> Any:
        return lambda kind: _equipped(
            dataclasses.dataclass(slots=slots, frozen=frozen, kw_only=kw_only, repr=False, eq=False)(kind),
            hashed=frozen,
        )


def _equipped(kind: Any, *, hashed: bool) -> Any:
    """The class with what `dataclasses` would have written for it, as far as it does not say so itself."""
    own = vars(kind)
    if "__repr__" not in own:
        kind.__repr__ = _repr
    if "__eq__" not in own:
        kind._compared = _values_of([field.name for field in dataclasses.fields(kind) if field.compare])
        kind.__eq__ = _eq
        kind.__hash__ = _hash if hashed else None
    return kind


def _values_of(names: list[str]) -> Callable[[Any], Any]:
    if not names:
        return staticmethod(lambda _: ())
    return staticmethod(attrgetter(*names))


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{type(self).__qualname__}({', '.join(shown)})"


def _eq(self: Any, other: Any) -> bool:
    if type(other) is not type(self):
        return NotImplemented  # type: ignore[no-any-return]
    return bool(self._compared(self) == self._compared(other))


def _hash(self: Any) -> int:
    return hash((type(self), self._compared(self)))
