"""Whether what was ordered on a connection has left it: past the client's window, the slow line and the transport.

Bytes leave a connection in the order they were handed on, so all there is to know of an order is where in them it
ended. A `Departure` asks its `Link`; it neither counts nor waits itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mockcentral.servers.front_door import Link


class Departure:
    """One order on its way out of `link`. `let_out` says whether it has got past the client's window (None: not yet,
    False: it never will); without one, no window holds it up.
    """

    __slots__ = ("_let_out", "_mark", "link")

    def __init__(self, link: Link, let_out: Callable[[], bool | None] | None = None) -> None:
        self.link = link
        self._let_out = let_out
        self._mark: int | None = None
        """Where it ends in the bytes that were handed on; None until it was handed on."""

    def is_the_end(self) -> None:
        """It comes behind all that was handed on, and nothing comes behind it."""
        self._mark = self.link.handed_on

    def over(self, *, written: bool) -> bool | None:
        """Whether it has left; None: not yet, False: it never will. `written`: the link was asked to write out what it
        has since the order was carried out.
        """
        link = self.link
        if link.lost:
            return False
        if self._mark is None:
            if self._let_out is not None and (out := self._let_out()) is not True:
                return out
            if link.mute:
                return False
            if not written or not link.said_it_all:
                return False if link.closing else None
            self._mark = link.handed_on
        return link.has_let_out(self._mark)
