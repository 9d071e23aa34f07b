"""A scriptable fake of the Amplify Central watch service, which judges the clients that talk to it.

    with mockcentral.World(scenario="flaky") as world:
        run_my_agent(world.address, token=world.token)
        world.wait_traffic()
        print(world.verify())

See `World`; everything else public is imported from its own module. Importing this package imports nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mockcentral.world import World

__version__ = "0.1.0"
__all__ = ["World", "__version__"]


def __getattr__(name: str) -> Any:
    # Lazily (PEP 562): a pytest plugin that is not used must cost nothing.
    if name == "World":
        from mockcentral.world import World

        return World
    raise AttributeError(f"module 'mockcentral' has no attribute {name!r}")
