"""Whether what was ordered on a connection has left it: past the client's window, the slow line and the transport.

Bytes leave a connection in the order they were handed on, so all there is to know of an order is where in them it
ended. A `Departure` asks its `Link`; it neither counts nor waits itself. `Marks` are the same for events.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from mockcentral.servers.front_door import Link

Receipt: TypeAlias = Callable[[float], None]
"""Tells Central, with the time, that something a fault wanted is on the wire."""


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


class Marks:
    """What faults did to the events of one call, each with the place at which it shows, in their order.

    Of those that the window holds up only the first is asked, so it does not matter how many there are.
    """

    __slots__ = ("_held", "_out", "_stream", "link")

    def __init__(self, link: Link, stream: int) -> None:
        self.link = link
        self._stream = stream
        self._held: deque[tuple[Callable[[], bool | None], Receipt]] = deque()
        self._out: deque[tuple[int, Receipt]] = deque()
        """Those that were handed on: where they end in the bytes that were."""

    def __bool__(self) -> bool:
        return bool(self._held or self._out)

    def add(self, let_out: Callable[[], bool | None], receipt: Receipt) -> None:
        """One more, behind the others. `let_out` says whether it has got past the client's window, as for a
        `Departure`.
        """
        self._held.append((let_out, receipt))

    def hand_on(self) -> None:
        """To be said when all that the window has let out was handed on."""
        held = self._held
        while held and (out := held[0][0]()) is not None:
            _, receipt = held.popleft()
            if out and not self.link.has_cut(self._stream):
                self._out.append((self.link.handed_on, receipt))

    def left(self, *, written: bool) -> list[Receipt]:
        """The receipts of those that have left since this was asked; what never will is forgotten. `written` as for a
        `Departure`.
        """
        link = self.link
        if link.lost:
            self._held.clear()
            self._out.clear()
        elif self._held:
            if written and link.said_it_all and not link.mute:
                self.hand_on()
            if link.mute or link.closing:
                self._held.clear()
        found = []
        while self._out and (over := link.has_let_out(self._out[0][0])) is not None:
            _, receipt = self._out.popleft()
            if over:
                found.append(receipt)
        return found
