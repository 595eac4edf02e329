"""Event loops on a pool's threads: thousands of coroutines live on each of them, side by side.

A loop is run by a body of the pool for as long as something is alive on it, background tasks included. On a pool of one worker
blocking calls come in between: the loop is left, and gone on with after them."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import weakref
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

from . import _execq

class Start:
    """One coroutine: how to make it, and whose future gets its outcome: one of an event loop, through its port."""

    __slots__ = ("args", "context", "func", "future", "home", "kwargs", "port", "task")

    def __init__(self, func: Callable[..., Coroutine[Any, Any, object]], args: tuple[Any, ...], kwargs: dict[str, Any],
                 context: contextvars.Context, future: Any, port: Any) -> None:
        self.func = func
        self.args = args
        self.kwargs = kwargs
        self.context = context
        self.future = future
        self.port: _execq.Port = port
        self.task: asyncio.Task[object] | None = None
        self.home: WorkerLoop | None = None

    def deliver(self, outcome: object, failed: bool) -> None:
        self.port.post(self.future, outcome, failed)

    def watch(self) -> None:
        """Has cancel() called where the future is canceled."""
        self.future._link = self.cancel

    def cancel(self) -> None:
        """From any thread."""
        home, task = self.home, self.task
        if home is not None and home.loop is not None and task is not None:
            _soon(home.loop, task.cancel)

    def finished(self, task: asyncio.Task[object]) -> None:
        if task.cancelled():
            self.deliver(asyncio.CancelledError(), True)
        elif (error := task.exception()) is not None:
            self.deliver(error, True)
        else:
            self.deliver(task.result(), False)
        self.let_go()
        assert self.home is not None
        self.home.ended()

    def let_go(self) -> None:
        """The future knows of this, by cancel(): with this, nothing is left for the collector."""
        self.future = self.task = None


class ThreadingStart(Start):
    """The same for a concurrent.futures.Future."""

    __slots__ = ()

    def deliver(self, outcome: object, failed: bool) -> None:
        future = self.future
        if failed and isinstance(outcome, asyncio.CancelledError):
            future.cancel()
        if future.cancelled() or (not future.running() and not future.set_running_or_notify_cancel()):
            return
        if failed:
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    def watch(self) -> None:
        self.future.add_done_callback(self.future_done)
        if self.future.running():
            self.future._on_stop(self.cancel)

    def future_done(self, future: Any) -> None:
        if future.cancelled():
            self.cancel()


class WorkerLoop:
    """One loop. The lock guards inbox and active; all else belongs to the thread that runs the loop."""

    def __init__(self, pool: _execq.Pool) -> None:
        self.pool = pool
        self.lock = threading.Lock()
        self.inbox: deque[Start] = deque()
        self.active = False  # a body of the pool runs the loop, or is on its way to
        self.called = False  # the loop is about to look into the inbox
        self.open = 0  # coroutines that were submitted and have not ended
        self.loop: asyncio.AbstractEventLoop | None = None
        self.told: weakref.WeakSet[asyncio.Task[Any]] = weakref.WeakSet()  # left behind, and canceled once

    def submit(self, start: Start) -> None:
        """From any thread."""
        with self.lock:
            self.inbox.append(start)
            self.open += 1
            begin = not self.active
            self.active = True
            call = not begin and not self.called
            self.called = True
        if begin:
            try:
                self.pool.again(self.run)
            except BaseException:
                with self.lock:
                    self.active = self.called = False
                    self.inbox.remove(start)
                    self.open -= 1
                raise
        elif call and self.loop is not None:
            self.loop.call_soon_threadsafe(self.look)

    def run(self) -> None:
        """A body of the pool: runs the loop until nothing is alive on it, or somebody else needs the thread."""
        if self.loop is None:
            self.loop = asyncio.new_event_loop()
        loop = self.loop
        before = _current_loop()
        asyncio.set_event_loop(loop)
        loop.call_soon(self.look)
        self.pool.loop(True)
        try:
            loop.run_forever()
        finally:
            self.pool.loop(False)
            asyncio.set_event_loop(before)
        with self.lock:
            again = bool(self.inbox) or bool(asyncio.all_tasks(loop))
            self.active = again
        if again:
            self.pool.again(self.run)
        elif self.pool.closed:
            self.close()

    def look(self) -> None:
        """On the loop: starts what is in the inbox."""
        with self.lock:
            starts = list(self.inbox)
            self.inbox.clear()
            self.called = False
        for start in starts:
            self.start(start)
        self.stop_if_idle()

    def start(self, start: Start) -> None:
        assert self.loop is not None
        if start.future.cancelled():
            self.ended()
            return
        start.home = self
        try:
            coroutine = start.context.run(start.func, *start.args, **start.kwargs)
            task = self.loop.create_task(coroutine, context=start.context)
        except BaseException as error:
            start.deliver(error, True)
            start.let_go()
            self.ended()
            return
        start.task = task
        start.watch()
        if start.future.cancelled():
            start.cancel()  # meanwhile
        task.add_done_callback(start.finished)

    def ended(self) -> None:
        with self.lock:
            self.open -= 1
        if not self.open:
            self.stop_if_idle()

    def stop_if_idle(self) -> None:
        """Leaves the thread once nothing is alive. Tasks that coroutines left behind go on, until the pool is closed: then they
        are canceled, as at the end of asyncio.run()."""
        if self.open or self.loop is None:
            return
        left = asyncio.all_tasks(self.loop)
        if left:
            if self.pool.closed:
                for task in left - set(self.told):
                    task.cancel()
                self.told.update(left)
            next(iter(left)).add_done_callback(lambda _: self.stop_if_idle())
        else:
            self.loop.stop()

    def preempt(self) -> None:
        """From any thread: blocking calls wait for the worker."""
        if self.loop is not None and self.active:
            _soon(self.loop, self.loop.stop)

    def closing(self) -> None:
        """From any thread: the pool is closed."""
        if self.loop is not None and self.active:
            _soon(self.loop, self.stop_if_idle)

    def close(self) -> None:
        """Where nothing runs the loop, and nothing will."""
        with self.lock:
            if self.active or self.loop is None:
                return
            loop, self.loop = self.loop, None
        loop.close()


def _soon(loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:  # it is closed: there is nothing left to be told
        pass


def _current_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_event_loop_policy().get_event_loop()
    except RuntimeError:
        return None


class Loops:
    """The loops of one pool: at most max(1, min(cpus, max_workers - 1)), so that a blocking call finds a thread."""

    def __init__(self, pool: _execq.Pool) -> None:
        self.pool = pool
        most = max(1, min(len(os.sched_getaffinity(0)), pool.max_workers - 1))
        self.loops = [WorkerLoop(pool) for _ in range(most)]
        if pool.max_workers == 1:
            pool.set_preempt(self.loops[0].preempt)

    def submit(self, start: Start) -> None:
        """On the loop with the fewest coroutines."""
        loops = self.loops
        (loops[0] if len(loops) == 1 else min(loops, key=lambda loop: loop.open)).submit(start)

    def cancel_waiting(self) -> None:
        """Cancels what no loop has started."""
        for loop in self.loops:
            with loop.lock:
                starts = list(loop.inbox)
                loop.inbox.clear()
                loop.open -= len(starts)
            for start in starts:
                start.deliver(asyncio.CancelledError(), True)

    def closing(self) -> None:
        """The pool is closed."""
        for loop in self.loops:
            loop.closing()

    def close(self) -> None:
        """Once the pool has ended."""
        for loop in self.loops:
            loop.close()
