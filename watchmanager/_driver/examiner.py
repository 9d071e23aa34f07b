"""Why a way is not to be gone: one walk along it for all who want to know at the same time."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from watchmanager._driver.route import Route

if TYPE_CHECKING:
    from watchmanager._driver.probe import Diagnosis


class Examiner:
    """Walks one way step by step. `grpc=False`: who waits at its end need not speak HTTP/2. Belongs to one loop."""

    def __init__(self, route: Route, *, grpc: bool = True) -> None:
        self._route = route
        self._grpc = grpc
        self._walk: asyncio.Task[Diagnosis] | None = None

    async def diagnose(self) -> Diagnosis:
        """What a walk finds that is under way or begins now; no step takes longer than connecting may."""
        if self._walk is None or self._walk.done():
            from watchmanager._driver.probe import diagnose

            self._walk = asyncio.ensure_future(
                diagnose(self._route, seconds=self._route.connect_timeout, grpc=self._grpc)
            )
        return await asyncio.shield(self._walk)

    async def aclose(self) -> None:
        """Leave a walk where it is."""
        if self._walk is not None:
            self._walk.cancel()
            with suppress(asyncio.CancelledError):
                await self._walk
