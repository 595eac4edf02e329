"""Futures, and what a running body sees of its own."""

from __future__ import annotations

import concurrent.futures
import logging
from collections.abc import Callable
from typing import TypeVar

from . import _execq

T = TypeVar("T")

logger = logging.getLogger("execq")
UNCONSUMED = "Unhandled exception in fire-and-forget task"


class Future(_execq.FutureBase, concurrent.futures.Future[T]):
    """A concurrent.futures.Future, with its condition made only when somebody waits.

    cancel() of a running body answers False, as ever, and asks the body to stop: see cancel_requested and on_cancel."""

    __slots__ = ()


class WatchedFuture(Future[T]):
    """A future whose failure is logged when it goes and nobody looked at it."""

    __slots__ = ()

    def __del__(self) -> None:
        exception = self._exception
        if exception is not None and not self._retrieved:
            logger.error(UNCONSUMED, exc_info=exception)


def cancel_requested() -> bool:
    """Whether the call that runs on this thread was asked to stop: its future was canceled, or its time is over."""
    return _execq.cancel_requested()


def on_cancel(call: Callable[[], object]) -> None:
    """Has call() called once when the body that runs on this thread is asked to stop by its future's cancel(): on the thread
    that cancels, or inside this call if it was asked before. A deadline is seen by cancel_requested alone."""
    target = _execq.current_target()
    if not isinstance(target, _execq.FutureBase):
        raise RuntimeError("on_cancel() belongs into a call that was submitted for a concurrent.futures.Future")
    if not callable(call):
        raise TypeError("on_cancel() takes a callable")
    target._on_stop(call)


_execq.set_future_class(Future)
