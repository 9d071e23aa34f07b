# docs/examples/watch_through_a_proxy.py
"""Follow a topic through a proxy, with TLS of your choosing. `python docs/examples/watch_through_a_proxy.py`"""

from __future__ import annotations

import asyncio
import contextlib

import mockcentral
import watchmanager as wm


async def watch(world: mockcentral.World, proxy_port: int) -> list[int]:
    manager = wm.AsyncWatchManager(
        f"https://{world.address}",
        tenant_id=world.tenant,
        token=lambda: world.token,
        proxy=wm.Proxy(url=f"http://me:s%40cret@127.0.0.1:{proxy_port}", no_proxy=(".example.com",)),
        tls=wm.TLS(extra_ca=world.ca_file, minimum_version="1.3"),
    )
    async with manager:
        print(manager.explain())
        found = await manager.diagnose(world.topics[0])
        print(found)  # one line for each step; `found.to_dict()` for JSON
        assert found.ok
        async with manager.watch(world.topics[0]) as events:
            await events.ready(timeout=30)
            return [(await events.__anext__()).sequence for _ in range(3)]


async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An HTTP proxy that knows CONNECT and nothing else; yours is somewhere in your network."""
    head = await reader.readuntil(b"\r\n\r\n")
    host, _, port = head.split()[1].decode().rpartition(":")
    far_reader, far_writer = await asyncio.open_connection(host, int(port))
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")

    async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await source.read(65536):
                sink.write(data)
                await sink.drain()
        sink.close()

    await asyncio.gather(copy(reader, far_writer), copy(far_reader, writer))


async def main() -> None:
    async with mockcentral.World(scenario="calm", tls=True) as world:
        server = await asyncio.start_server(proxy, "127.0.0.1", 0)
        async with server:
            print(await watch(world, server.sockets[0].getsockname()[1]))


if __name__ == "__main__":
    asyncio.run(main())
