"""Blocking work off the event loop, on libexecq's pool of native threads.

ThreadPoolExecutor is a drop-in for concurrent.futures.ThreadPoolExecutor; execq.aio is for asyncio."""

from ._execq import library_version
from ._future import Future, cancel_requested, on_cancel
from ._native import native
from ._pool import QueueFullError, ThreadPoolExecutor

__all__ = [
    "Future",
    "QueueFullError",
    "ThreadPoolExecutor",
    "cancel_requested",
    "library_version",
    "native",
    "on_cancel",
]
