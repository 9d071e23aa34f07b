"""Flow-control windows of a client's streams that pass through, and how to give it less than the server does (RFC 9113
6.9).

A relay hands both sides' frames on, so the client's window on a stream is what the server granted, until it is made
smaller: from then on the client is told of no grant of the server's. It gets leave from here, never more than the
server would take. What cannot be taken back: leave the server gave beyond its initial window, until it is used up; and
a client may be up to `size` bytes ahead of a server that lowers its initial window while streams are open.
"""

from __future__ import annotations

from collections.abc import Iterator

INITIAL = 65535
"""Before a SETTINGS frame says otherwise (RFC 9113 6.9.2)."""

INITIAL_WINDOW_SIZE = 0x4
"""The identifier of that setting."""

_ENTRY = 6


class _Window:
    __slots__ = ("client", "server")

    def __init__(self, client: int, server: int) -> None:
        self.client = client
        """Bytes that the client believes it may send."""
        self.server = server
        """Bytes that the server would take."""


class Windows:
    """The windows of one connection's streams. Those of the connection itself are left alone."""

    def __init__(self) -> None:
        self.size: int | None = None
        """What each stream is to have at most; None while everything is the server's."""
        self._server_initial = self._client_initial = INITIAL
        self._streams: dict[int, _Window] = {}

    def opened(self, stream: int) -> int:
        """A stream begins; by how many to raise the client's window on it."""
        window = self._streams[stream] = _Window(self._client_initial, self._server_initial)
        return self._leave(window)

    def closed(self, stream: int) -> None:
        self._streams.pop(stream, None)

    def sent(self, stream: int, count: int) -> int:
        """The client sent so many bytes of DATA; by how many to raise its window now."""
        window = self._streams.get(stream)
        if window is None:
            return 0
        window.client -= count
        window.server -= count
        return self._leave(window)

    def granted(self, stream: int, count: int) -> int | None:
        """The server raised the window of a stream: by how many to raise the client's, None to tell it as it is."""
        window = self._streams.get(stream)
        if window is None:
            return None
        window.server += count
        if self.size is None:
            window.client += count
            return None
        return self._leave(window)

    def configured(self, settings: bytes) -> bytes:
        """The payload of the server's SETTINGS, as the client is to see it."""
        shown = bytearray(settings)
        for at in range(0, len(settings) - _ENTRY + 1, _ENTRY):
            if int.from_bytes(settings[at : at + 2], "big") == INITIAL_WINDOW_SIZE:
                self._server_said(int.from_bytes(settings[at + 2 : at + _ENTRY], "big"))
                shown[at + 2 : at + _ENTRY] = self._client_initial.to_bytes(4, "big")
        return bytes(shown)

    def shrink(self, size: int) -> Iterator[tuple[int, int]]:
        """From now on a stream has at most `size` bytes, renewed as they are used; 0 is never renewed. The client has
        to be told of `client_initial` first, then to be given this: streams, and by how many to raise them.
        """
        # Never up again: streams that got leave from here would have it twice.
        initial = self._server_initial if self.size is None else self._client_initial
        self.size = size
        self._client_said(min(size, initial))
        for stream, window in self._streams.items():
            if more := self._leave(window):
                yield stream, more

    @property
    def client_initial(self) -> int:
        """The window the client is to think a new stream has."""
        return self._client_initial

    def _server_said(self, initial: int) -> None:
        for window in self._streams.values():
            window.server += initial - self._server_initial
        raised, self._server_initial = initial - self._server_initial, initial
        self._client_said(
            initial if self.size is None else min(self.size, initial, self._client_initial + max(0, raised))
        )

    def _client_said(self, initial: int) -> None:
        for window in self._streams.values():
            window.client += initial - self._client_initial
        self._client_initial = initial

    def _leave(self, window: _Window) -> int:
        """By how many bytes to raise the client's window; what is returned it is taken to have."""
        if not self.size:
            return 0
        more = max(0, min(self.size, window.server) - window.client)
        window.client += more
        return more
