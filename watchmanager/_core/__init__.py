"""The rules of a watch, without clock, socket, thread or logger: plain objects that are told what happened and what
time it is.

Nothing here imports asyncio, grpc, httpx, threading, time or logging; a test checks it.
"""
