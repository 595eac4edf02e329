"""ThreadPoolExecutor: concurrent.futures' names and promises on libexecq's pool."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextvars
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from . import _execq
from ._future import Future
from ._loops import Loops, Start, ThreadingStart

T = TypeVar("T")

_log = logging.getLogger("concurrent.futures")
_number = itertools.count().__next__
_live: set[_execq.Pool] = set()  # pools that may have threads
_POLICIES = {"reject": 0, "block": 1, "caller_runs": 2}
_PRIORITIES = {"low": -1, "normal": 0, "high": 1}
_SLICE = 0.05  # seconds of a join after which signals are looked at


class QueueFullError(RuntimeError):
    """A bounded executor had no room, and its policy is to reject."""


_execq.set_full_error(QueueFullError)


class WorkerThread(threading.Thread):
    """A worker of a pool as a threading.Thread: it has the name, and join() waits for the pool's end."""

    _pool: _execq.Pool | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def __init__(self, name: str) -> None:
        super().__init__(name=name)
        self._ended = False
        self._started.set()  # type: ignore[attr-defined]

    def start(self) -> None:
        """Raises RuntimeError: the library starts its threads itself."""
        raise RuntimeError("threads can only be started once")

    def is_alive(self) -> bool:
        """Whether the thread may still run something."""
        return not self._ended

    def join(self, timeout: float | None = None) -> None:
        """Waits until the pool has ended."""
        if threading.current_thread() is self:
            raise RuntimeError("cannot join current thread")
        if self._pool is not None:
            _join(self._pool, timeout)

    def _adopt(self) -> None:
        self._set_ident()  # type: ignore[attr-defined]
        self._set_native_id()  # type: ignore[attr-defined]
        threading._active[self.ident] = self  # type: ignore[attr-defined]

    def _leave(self) -> None:
        if threading._active.get(self.ident) is self:  # type: ignore[attr-defined]
            del threading._active[self.ident]  # type: ignore[attr-defined]


class Workers:
    """The thread objects of one pool. It knows nothing of the executor, so that this can be forgotten by its owner."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.threads: set[threading.Thread] = set()
        self.pool: _execq.Pool | None = None
        self.nameless: list[WorkerThread] = []
        self.loops: Loops | None = None

    def add(self) -> None:
        """One more thread will come."""
        assert self.pool is not None
        thread = WorkerThread(f"{self.prefix}_{self.pool.threads}")
        thread._pool = self.pool
        self.pool.threads += 1
        self.threads.add(thread)
        self.nameless.insert(0, thread)

    def came(self) -> WorkerThread:
        """Called on a thread of the pool, first of all."""
        if not self.nameless:
            self.add()
        thread = self.nameless.pop()
        thread._adopt()
        return thread

    def left(self, thread: WorkerThread) -> None:
        """Called on a thread of the pool, last of all."""
        if thread._loop is not None:
            thread._loop.close()
            thread._loop = None
        thread._leave()

    def ensure_loop(self, thread: WorkerThread) -> None:
        """Called on a thread of the pool that runs something of execq.aio for the first time: its own event loop, for
        asyncio.get_event_loop() and run_until_complete() in blocking functions."""
        thread._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(thread._loop)

    def get_loops(self) -> Loops:
        """The event loops for coroutines."""
        assert self.pool is not None
        if self.loops is None:
            self.loops = Loops(self.pool)
        return self.loops

    def coroutine(self, coroutine: Coroutine[Any, Any, object], future: Any, port: _execq.Port | None,
                  context: contextvars.Context) -> None:
        """Called where a blocking function gave a coroutine."""
        kind = ThreadingStart if port is None else Start
        self.get_loops().submit(kind(lambda: coroutine, (), {}, context, future, port))

    def closing(self) -> None:
        """The pool is closed."""
        if self.loops is not None:
            self.loops.closing()

    def ended(self) -> None:
        """Every thread is gone, or will never come. What knows the pool forgets it: nothing is left for the collector."""
        self.pool = None
        for thread in self.threads:
            assert isinstance(thread, WorkerThread)
            thread._pool = None
            thread._ended = True
        self.nameless.clear()
        if self.loops is not None:
            self.loops.close()
            self.loops = None

    def initializer_failed(self, error: BaseException) -> None:
        """Called where the initializer raised."""
        _log.critical("Exception in initializer:", exc_info=error)


def _joined(pool: _execq.Pool) -> None:
    _live.discard(pool)
    pool.owner.ended()


def _join(pool: _execq.Pool, timeout: float | None = None) -> bool:
    until = None if timeout is None else time.monotonic() + max(0.0, timeout)
    while True:
        left = _SLICE if until is None else min(_SLICE, max(0.0, until - time.monotonic()))
        if not pool.closed:
            time.sleep(left)
        elif pool.join(left):
            _joined(pool)
            return True
        if until is not None and time.monotonic() >= until:
            return False


def _nanoseconds(value: float | None, name: str) -> int:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of seconds or None")
    if value != value:
        raise ValueError(f"{name} must be a number of seconds or None")
    return min(int(value * 1e9), 2**62) or -1 if value > 0 else -1


class ThreadPoolExecutor(_execq.ExecutorBase, concurrent.futures.Executor):
    """A drop-in for concurrent.futures.ThreadPoolExecutor.

    On top of that: a bounded queue (capacity, full_policy), priorities, delays and deadlines (with_options), stats(), and
    cancellation that running bodies see (execq.cancel_requested). A worker that waits for a task of its own pool that has not
    started runs it itself."""

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        capacity: int | None = None,
        full_policy: str = "block",
    ) -> None:
        """Makes an executor.

        max_workers: threads at most; they start on demand. Default: min(32, cpus + 4).
        thread_name_prefix: threads are called "<prefix>_<number>".
        initializer, initargs: called on each thread first of all.
        capacity: tasks that wait at most; None: any number.
        full_policy: what submit() does where they do: "block", "reject" (QueueFullError), "caller_runs"."""
        if max_workers is None:
            max_workers = min(32, (os.cpu_count() or 1) + 4)
        if max_workers <= 0:
            raise ValueError("max_workers must be greater than 0")
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        if full_policy not in _POLICIES:
            raise ValueError(f"full_policy must be one of {', '.join(map(repr, _POLICIES))}")
        if capacity is not None and (not isinstance(capacity, int) or isinstance(capacity, bool)):
            raise TypeError("capacity must be an int or None")
        if capacity is not None and capacity <= 0:
            raise ValueError("capacity must be greater than 0")
        _sweep()
        self._max_workers = max_workers
        self._thread_name_prefix = thread_name_prefix or f"ThreadPoolExecutor-{_number()}"
        workers = Workers(self._thread_name_prefix)
        self._pool = workers.pool = _execq.Pool(
            max_workers, thread_name_prefix or "execq", workers, initializer, tuple(initargs), capacity or 0,
            _POLICIES[full_policy])
        self._threads = workers.threads
        _live.add(self._pool)

    @property
    def _broken(self) -> str | bool:
        return self._pool.broken or False

    @property
    def _shutdown(self) -> bool:
        return self._pool.closed

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """As concurrent.futures.Executor.shutdown."""
        pool = self._pool
        pool.close()
        if cancel_futures:
            if pool.owner.loops is not None:
                pool.owner.loops.cancel_waiting()
            pool.cancel()
        pool.owner.closing()
        if wait:
            _join(pool)

    def with_options(
        self,
        *,
        priority: str = "normal",
        delay: float | None = None,
        start_within: float | None = None,
        timeout: float | None = None,
        wait_for_room: bool = True,
        copy_context: bool = False,
    ) -> OptionsView:
        """The same executor, for tasks with options; times are in seconds.

        priority: "high", "normal" or "low". delay: not started before. start_within: canceled if not started by then.
        timeout: canceled, or, once started, asked to stop, if not done by then. wait_for_room: False: a full executor always
        raises QueueFullError. copy_context: the task runs in a copy of the caller's context."""
        if priority not in _PRIORITIES:
            raise ValueError(f"priority must be one of {', '.join(map(repr, _PRIORITIES))}")
        options = (_PRIORITIES[priority], _nanoseconds(start_within, "start_within"), _nanoseconds(timeout, "timeout"),
                   _nanoseconds(delay, "delay"), not wait_for_room, bool(copy_context))
        return OptionsView(self, options)

    def stats(self) -> dict[str, int]:
        """What the executor does now (queued, running, threads, idle, threads_max, delayed), and did so far
        (threads_started, wakes, steals)."""
        return self._pool.stats()


class OptionsView(concurrent.futures.Executor):
    """An executor with options for each of its tasks: see ThreadPoolExecutor.with_options."""

    def __init__(self, executor: ThreadPoolExecutor, options: tuple[int, int, int, int, bool, bool]) -> None:
        self._executor = executor
        self._options = options

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[T]:
        """Runs fn(*args, **kwargs) on a worker. Returns its Future."""
        return self._executor._submit_with(self._options, Future[T](), fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Shuts the executor itself down."""
        self._executor.shutdown(wait, cancel_futures=cancel_futures)


def _sweep() -> None:
    """Forgets the pools that have ended by themselves."""
    for pool in list(_live):
        if pool.closed and pool.join(0):
            _joined(pool)


def _python_exit() -> None:
    """Runs what was accepted and ends all threads, while the interpreter is still whole."""
    _execq.set_exiting(1)
    for pool in list(_live):
        pool.close()
        pool.owner.closing()
    for pool in list(_live):
        _join(pool)
    _execq.set_exiting(2)


def _after_fork() -> None:
    """In a child process there are no threads: what is inherited is left alone, and new executors may be made."""
    for pool in list(_live):
        pool.mark_forked()
    _live.clear()


try:
    threading._register_atexit(_python_exit)  # type: ignore[attr-defined]
except AttributeError:  # a private name: plain atexit comes later, when non-daemon threads have been joined
    atexit.register(_python_exit)
os.register_at_fork(after_in_child=_after_fork)
