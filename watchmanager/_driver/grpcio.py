"""grpcio, imported without its fork handlers.

They want to stop every thread that is inside gRPC before a fork, and cannot stop the one that waits for a watch's
events: they complain on stderr, and some children (4 of 24) die of SIGSEGV in `os.fork()` before they run a line. A
child of ours needs no handlers: it may use nothing of its parent's and is told so (`ForkedProcessError`). Whoever sets
GRPC_ENABLE_FORK_SUPPORT, or imports grpc first, decides otherwise.
"""

from __future__ import annotations

import os

_SWITCH = "GRPC_ENABLE_FORK_SUPPORT"  # read when grpc is imported

if _SWITCH in os.environ:
    import grpc
    import grpc.aio
else:
    os.environ[_SWITCH] = "0"
    try:
        import grpc
        import grpc.aio
    finally:
        del os.environ[_SWITCH]

__all__ = ["grpc"]
