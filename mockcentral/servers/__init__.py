"""The thin shells: sockets, asyncio, Flask. Decisions belong to `_core`."""
