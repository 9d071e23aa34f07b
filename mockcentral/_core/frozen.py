"""`dataclass` for what is made by the thousand: frozen to a type checker, and to nobody when it runs.

A frozen dataclass takes seven times as long to make as one that is not (ten fields: 1.7 us, 0.24 us), and a simulated
run makes hundreds of them. Use it as `dataclasses.dataclass`, with `frozen=True`.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dataclasses import dataclass as dataclass
else:

    def dataclass(*, slots: bool, frozen: bool = False) -> Any:
        return dataclasses.dataclass(slots=slots, unsafe_hash=frozen)
