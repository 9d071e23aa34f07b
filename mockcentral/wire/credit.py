"""What a peer may cost us before it is told to calm down (RFC 9113 10.5).

Knows which frames ask for nothing and yet cost work; refuses to know a connection or a clock.
"""

from __future__ import annotations

_DATA, _HEADERS, _SETTINGS, _PING, _WINDOW_UPDATE, _CONTINUATION = 0x0, 0x1, 0x4, 0x6, 0x8, 0x9
_ACK = _END_STREAM = 0x1


class Credit:
    """What a peer may still cost us in frames that ask for nothing; a bucket that fills again with time.

    A PING, a reset, an empty DATA frame, a PRIORITY each cost one; SETTINGS cost ten, because a changed window is
    carried over to every stream, and one for each setting. Acks of what we sent cost nothing, others as much as a PING;
    nor does what reading our DATA takes: window updates, and the PINGs with which grpc-go and grpcio measure the
    bandwidth. Requests and messages cost nothing here: `max_streams` and the windows bound those.

    The measure is taken from servers that met the floods in the wild: nghttp2 allows 1,000 resets at once and 33 more a
    second, Envoy 10 window updates for each DATA frame.
    """

    __slots__ = ("_at", "_earned", "_owed", "left")

    BURST = 1000.0
    RATE = 100.0
    FOR_A_DATA_FRAME = 10
    MAX_EARNED = 100_000

    def __init__(self) -> None:
        self.left = self.BURST
        """Negative: it is used up."""
        self._at = 0.0
        self._earned = 0
        self._owed = 0

    def refill(self, now: float) -> None:
        """`now` in seconds of any clock; one that goes backwards gives nothing."""
        if now > self._at:
            self.left = min(self.BURST, self.left + (now - self._at) * self.RATE)
            self._at = now

    def earn(self) -> None:
        """A DATA frame went out."""
        if self._earned < self.MAX_EARNED:
            self._earned += self.FOR_A_DATA_FRAME

    def owe(self, acks: int = 1) -> None:
        """SETTINGS or PINGs went out, and the peer has to answer so many."""
        self._owed += acks

    def spend(self, kind: int, flags: int, length: int) -> None:
        """Pay for a frame of the peer."""
        if kind in (_HEADERS, _CONTINUATION) or (kind == _DATA and (length or flags & _END_STREAM)):
            return
        if kind in (_PING, _SETTINGS) and flags & _ACK and self._owed:
            self._owed -= 1
        elif kind in (_PING, _WINDOW_UPDATE) and self._earned:
            self._earned -= 1
        elif kind == _SETTINGS:
            self.left -= 10 + length // 6
        else:
            self.left -= 1
