"""What inputs and effects are made of: a class of named fields, compared by value, cheap to define and to make.

To a type checker a `Record` is a frozen dataclass. It is none when it runs, because a dataclass takes half a
millisecond to define and, frozen, three times as long to make; there are some thirty of these classes, and a simulated
day makes a hundred thousand of them. What the user of the package gets to see is a real dataclass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: bool) -> Any:
        return lambda kind: kind


@dataclass_transform(frozen_default=True)
class _Kind(type):
    def __new__(mcs, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _Kind:
        fields = tuple(namespace.get("__annotations__", ()))
        defaults = {f"_{field}": namespace.pop(field) for field in fields if field in namespace}
        namespace["__slots__"] = namespace["__match_args__"] = fields
        if fields:
            given = ", ".join(f"{field}=_{field}" if f"_{field}" in defaults else field for field in fields)
            stored = "; ".join(f"self.{field} = {field}" for field in fields)
            exec(f"def __init__(self, {given}): {stored}", defaults, namespace)
        return super().__new__(mcs, name, bases, namespace)


class Record(metaclass=_Kind):
    """A base class: annotated names are the fields, in this order, with an immutable default if they have a value."""

    if TYPE_CHECKING:
        __slots__: ClassVar[tuple[str, ...]]

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field) for field in self.__slots__)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Record) and type(other) is type(self) and other._values() == self._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        fields = ", ".join(f"{field}={value!r}" for field, value in zip(self.__slots__, self._values(), strict=True))
        return f"{type(self).__name__}({fields})"
