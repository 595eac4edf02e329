"""For asyncio: blocking functions and coroutines on a pool, awaited on the loop.

The names and contracts are those of exec_in_executor's family: exec_in_executor, exec_in_executor_threading_future, initConf
(initConfig), ensure_thread_event_loop, lift_to_async, get_main_event_loop, chain_future_results, AsyncExecutionQueue,
to_thread.

The executor is resolved at each call: the one that is given, else that of initConf(), else a default one of
min(32, cpus + 4) threads. The context is copied at the call, and the function runs in the copy. A failure that nobody looks at
is logged once, when its future goes; one that somebody looked at never."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Coroutine
from types import BuiltinFunctionType, FunctionType, MethodType, TracebackType
from typing import Any, TypeVar, cast

from . import _execq
from ._future import UNCONSUMED, WatchedFuture, logger
from ._loops import Start, ThreadingStart
from ._pool import OptionsView, ThreadPoolExecutor, WorkerThread

__all__ = [
    "AsyncExecutionQueue",
    "chain_future_results",
    "ensure_thread_event_loop",
    "exec_in_executor",
    "exec_in_executor_threading_future",
    "get_main_event_loop",
    "initConf",
    "initConfig",
    "lift_to_async",
    "to_thread",
]

T = TypeVar("T")

_main_loop: asyncio.AbstractEventLoop | None = None
_executor: concurrent.futures.Executor | None = None
_default: ThreadPoolExecutor | None = None
_default_lock = threading.Lock()
_own = threading.local()  # .owned: the _OwnedLoop that ensure_thread_event_loop() made on this thread
_UNSET: Any = object()
_LOOK = 0.2  # seconds after which a wait for another loop looks whether that is still there
_WITH_CONTEXT = (0, 0, 0, 0, False, True)
_COROUTINE = inspect.CO_COROUTINE


class AioFuture(asyncio.Future[T]):
    """An asyncio.Future whose failure is logged when it goes and nobody looked at it. Canceling it reaches the work: what has
    not started never does, a blocking body sees execq.cancel_requested(), a coroutine is canceled."""

    _link: Callable[[], object] | None = None

    def cancel(self, msg: Any | None = None) -> bool:
        """As asyncio.Future.cancel."""
        canceled = super().cancel(msg)
        if canceled and self._link is not None:
            self._link()
        return canceled

    def __del__(self) -> None:
        if self._log_traceback:
            logger.error(UNCONSUMED, exc_info=self._exception)


# ---- what is resolved at each call ----


def _default_executor() -> ThreadPoolExecutor:
    global _default
    with _default_lock:
        if _default is None or _default._pool.forked or _default._pool.closed:
            _default = ThreadPoolExecutor(thread_name_prefix="execq")
        return _default


def _resolve(executor: concurrent.futures.Executor | None) -> concurrent.futures.Executor:
    if executor is None:
        executor = _executor
        if executor is None:
            default = _default
            return default if default is not None and not default._pool.forked else _default_executor()
    return executor


def _checked(executor: object) -> concurrent.futures.Executor:
    if not callable(getattr(executor, "submit", None)):
        raise TypeError(f"executor must be a concurrent.futures.Executor or None, not {type(executor).__name__}")
    return cast(concurrent.futures.Executor, executor)


def _active_loop() -> tuple[asyncio.AbstractEventLoop, bool]:
    """The loop that outcomes go to, and whether it runs on this thread."""
    loop = asyncio._get_running_loop()
    if loop is not None:
        return loop, True
    main = _main_loop
    if main is not None and not main.is_closed() and main.is_running():
        return main, False
    raise RuntimeError("no event loop runs on this thread, and there is no main event loop that does: call initConf() on it")


def _port(loop: asyncio.AbstractEventLoop) -> _execq.Port:
    try:
        return loop._execq_port  # type: ignore[attr-defined, no-any-return]
    except AttributeError:
        return _make_port(loop)


def _make_port(loop: asyncio.AbstractEventLoop) -> _execq.Port:
    port = _execq.Port()
    loop.add_reader(port.fileno(), port.drain)
    loop._execq_port = port  # type: ignore[attr-defined]
    return port


def _is_async(func: Any) -> bool:
    """Coroutine functions, objects with an async __call__, and partials and bound methods of these."""
    kind = type(func)
    if kind is BuiltinFunctionType:
        return False
    if kind is MethodType:
        func = func.__func__
        kind = type(func)
    if kind is FunctionType:
        return bool(func.__code__.co_flags & _COROUTINE) or inspect.iscoroutinefunction(func)
    while isinstance(func, functools.partial):
        func = func.func
    return inspect.iscoroutinefunction(func) or inspect.iscoroutinefunction(getattr(func, "__call__", None))


# ---- other executors ----


def _run(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """The call on a worker of any other executor, in this process or another one."""
    try:
        if not _is_async(func):
            ensure_thread_event_loop()
        value = func(*args, **kwargs)
        return ensure_thread_event_loop().run_until_complete(value) if inspect.iscoroutine(value) else value
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error


def _submit_elsewhere(executor: concurrent.futures.Executor, func: Callable[..., Any], args: tuple[Any, ...],
                      kwargs: dict[str, Any]) -> concurrent.futures.Future[Any]:
    if isinstance(executor, (concurrent.futures.ThreadPoolExecutor, OptionsView)):
        return executor.submit(contextvars.copy_context().run, _run, func, args, kwargs)
    return _checked(executor).submit(_run, func, args, kwargs)  # a context does not travel to another process


def _outcome(source: concurrent.futures.Future[Any] | asyncio.Future[Any]) -> tuple[object, bool]:
    if source.cancelled():
        return asyncio.CancelledError(), True
    error = source.exception()
    return (source.result(), False) if error is None else (error, True)


# ---- submission ----


def exec_in_executor(executor: concurrent.futures.Executor | None, func: Callable[..., Any], /, *args: Any,
                     **kwargs: Any) -> asyncio.Future[Any]:
    """Runs func(*args, **kwargs) on the executor, and gives a future of the running loop (or else of the main loop).

    func may be a blocking function or a coroutine function. Coroutines on an execq.ThreadPoolExecutor share the loops of its
    workers; tasks that they leave behind go on running there. Any other concurrent.futures.Executor runs each to its end.
    A bounded executor that is full raises QueueFullError: a loop is never blocked.
    Raises TypeError, RuntimeError (closed executor, no loop), QueueFullError."""
    loop, here = _active_loop()
    if not callable(func):
        raise TypeError(f"func must be callable, not {type(func).__name__}")
    executor = _resolve(executor)
    future: AioFuture[Any] = AioFuture(loop=loop)
    port = _port(loop)
    if type(executor) is ThreadPoolExecutor or isinstance(executor, ThreadPoolExecutor):
        if not _is_async(func):
            executor._submit_to_port(port, future, func, *args, **kwargs)
            return future
        _submit_coroutine(executor, func, args, kwargs, future, port)
        return future
    source = _submit_elsewhere(executor, func, args, kwargs)
    future._link = source.cancel
    source.add_done_callback(lambda source: port.post(future, *_outcome(source)))
    return future


def _submit_coroutine(executor: ThreadPoolExecutor, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
                      future: Any, port: _execq.Port | None) -> None:
    pool = executor._pool
    if pool.broken or pool.closed or pool.forked:
        executor.submit(func)  # raises what there is to say
    kind = ThreadingStart if port is None else Start
    pool.owner.get_loops().submit(kind(func, args, kwargs, contextvars.copy_context(), future, port))


def exec_in_executor_threading_future(executor: concurrent.futures.Executor | None, func: Callable[..., Any], /, *args: Any,
                                      **kwargs: Any) -> concurrent.futures.Future[Any]:
    """As exec_in_executor, from any thread, with or without a loop: gives a concurrent.futures.Future, which gets the value,
    the exception or the cancellation."""
    if not callable(func):
        raise TypeError(f"func must be callable, not {type(func).__name__}")
    executor = _resolve(executor)
    future: WatchedFuture[Any] = WatchedFuture()
    if isinstance(executor, ThreadPoolExecutor):
        if _is_async(func):
            _submit_coroutine(executor, func, args, kwargs, future, None)
        else:
            executor._submit_with(_WITH_CONTEXT, future, _tame, func, *args, **kwargs)
        return future
    source = _submit_elsewhere(executor, func, args, kwargs)
    chain_future_results(source, future)
    return future


def _tame(func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    try:
        return func(*args, **kwargs)
    except StopIteration as error:
        raise RuntimeError("the function raised StopIteration") from error


async def to_thread(func: Callable[..., T], /, *args: Any, **kwargs: Any) -> T:
    """As asyncio.to_thread, on the executor of initConf() or the default one; func may be a coroutine function, too."""
    return cast(T, await exec_in_executor(None, func, *args, **kwargs))


# ---- configuration ----


def initConf(*, executor: concurrent.futures.Executor | None = _UNSET) -> None:
    """To be called on the main event loop: what other threads lift to, and what None stands for from now on.

    Without executor the earlier one stays; executor=None forgets it. Raises RuntimeError where no loop runs, TypeError."""
    global _main_loop, _executor
    loop = asyncio.get_running_loop()
    if executor is not _UNSET:
        _executor = None if executor is None else _checked(executor)
    _port(loop)
    _main_loop = loop


initConfig = initConf


def get_main_event_loop() -> asyncio.AbstractEventLoop | None:
    """The loop that initConf() was called on, or None."""
    return _main_loop


def ensure_thread_event_loop() -> asyncio.AbstractEventLoop:
    """The running event loop, else this thread's own one, which is made where there is none, is set as the current one, and is
    closed when the thread ends."""
    running = asyncio._get_running_loop()
    if running is not None:
        return running
    thread = threading.current_thread()
    if isinstance(thread, WorkerThread):
        if thread._loop is None or thread._loop.is_closed():
            thread._loop = asyncio.new_event_loop()
        loop = thread._loop
    else:
        owned: _OwnedLoop | None = getattr(_own, "owned", None)
        if owned is None or owned.loop.is_closed():
            owned = _own.owned = _OwnedLoop()
        loop = owned.loop
    asyncio.set_event_loop(loop)
    return loop


class _OwnedLoop:
    """A loop that goes with its thread."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()

    def __del__(self) -> None:
        if not self.loop.is_running():
            self.loop.close()


def lift_to_async(afunc: Callable[..., Coroutine[Any, Any, T]], /, *args: Any, **kwargs: Any) -> T:
    """Runs the coroutine on the main event loop, in a copy of the context, and waits for it here.

    Raises what it raises; RuntimeError where that could never end (on the main loop's own thread), there is no main loop, or it
    is closed meanwhile."""
    main = _main_loop
    if main is None or main.is_closed() or not main.is_running():
        raise RuntimeError("there is no main event loop that runs: call initConf() on it")
    if asyncio._get_running_loop() is main:
        raise RuntimeError("Cannot synchronously wait for a coroutine from its own event loop thread.")
    context = contextvars.copy_context()
    done: concurrent.futures.Future[T] = concurrent.futures.Future()

    def begin() -> None:
        try:
            task = main.create_task(context.run(functools.partial(afunc, *args, **kwargs)), context=context)
        except StopIteration as error:
            tamed = RuntimeError("the function raised StopIteration")
            tamed.__cause__ = error
            done.set_exception(tamed)
        except BaseException as error:
            done.set_exception(error)
        else:
            chain_future_results(task, done)

    main.call_soon_threadsafe(begin)
    while not done.done():
        concurrent.futures.wait([done], _LOOK)
        if main.is_closed() and not done.done():
            raise RuntimeError("the main event loop was closed")
    return done.result()


# ---- chains ----


def chain_future_results(source: concurrent.futures.Future[T] | asyncio.Future[T],
                         target: concurrent.futures.Future[T] | asyncio.Future[T]) -> None:
    """Has target end as source does: its value, its exception, or canceled; canceling target cancels source. Either may be of
    concurrent.futures or of asyncio, of any loop. A target that is done by then stays as it is; source then counts as
    consumed all the same."""
    for future in (source, target):
        if not isinstance(future, (concurrent.futures.Future, asyncio.Future)):
            raise TypeError(f"a future is required, not {type(future).__name__}")

    def settle(outcome: tuple[Any, bool]) -> None:
        if target.done():
            return
        value, failed = outcome
        if failed and isinstance(value, (asyncio.CancelledError, concurrent.futures.CancelledError)):
            target.cancel()
            if isinstance(target, concurrent.futures.Future) and target.cancelled():
                target.set_running_or_notify_cancel()
            return
        if isinstance(target, concurrent.futures.Future) and not target.running():
            if not target.set_running_or_notify_cancel():
                return
        if failed:
            target.set_exception(value)
        else:
            target.set_result(value)

    def on_source(done: Any) -> None:
        _on_loop_of(target, functools.partial(settle, _outcome(done)))

    def on_target(done: Any) -> None:
        if done.cancelled():
            _on_loop_of(source, source.cancel)

    _on_loop_of(target, functools.partial(target.add_done_callback, on_target))
    _on_loop_of(source, functools.partial(source.add_done_callback, on_source))


def _on_loop_of(future: Any, call: Callable[[], object]) -> None:
    """Runs the call where the future may be touched; where its loop is closed there is nobody to be told."""
    if isinstance(future, concurrent.futures.Future):
        call()
        return
    loop = future.get_loop()
    if loop is asyncio._get_running_loop():
        call()
        return
    try:
        loop.call_soon_threadsafe(call)
    except RuntimeError:
        pass


# ---- the queue ----


class AsyncExecutionQueue:
    """A queue of work in front of an executor: started in order, while the queue is open; `async with` opens and closes it.

    executor: as exec_in_executor. queue: an asyncio.Queue of one's own; one with a maxsize makes aadd_task() wait for room.
    A task that is added to a closed queue is a RuntimeError at once."""

    def __init__(self, *, executor: concurrent.futures.Executor | None = None,
                 queue: asyncio.Queue[Any] | None = None) -> None:
        self.executor = executor if executor is None else _checked(executor)
        self.queue: asyncio.Queue[Any] = asyncio.Queue() if queue is None else queue
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: asyncio.Task[None] | None = None
        self._closed = False
        self._over = False  # what takes tasks out has ended
        self._adding: set[object] = set()  # futures of tasks on their way into the queue
        self._added: asyncio.Event = asyncio.Event()  # one more has arrived

    async def __aenter__(self) -> AsyncExecutionQueue:
        if self._worker is not None and not self._worker.done():
            raise RuntimeError("the queue is open already")
        self._open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None,
                        trace: TracebackType | None) -> None:
        await self.aclose()

    def _open(self) -> None:
        self._closed = self._over = False
        self._loop = asyncio.get_running_loop()
        self._worker = self._loop.create_task(self._work())
        self._worker.add_done_callback(self._drop_waiting)

    def _refuse(self) -> None:
        if self._closed:
            raise RuntimeError("Cannot add a task to a closed AsyncExecutionQueue.")

    async def aclose(self) -> None:
        """Refuses what comes, and waits until all that was added has ended. Closing again is fine."""
        self._closed = True
        worker, self._worker = self._worker, None
        if worker is None:
            return
        while self._adding:
            self._added.clear()
            await self._added.wait()
        await self.queue.join()
        worker.cancel()
        while not self._over:
            await asyncio.wait([worker])
            await asyncio.sleep(0)

    async def aadd_task(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """Adds func(*args, **kwargs); gives the future of its outcome as soon as it is in the queue."""
        self._refuse()
        if not callable(func):
            raise TypeError(f"func must be callable, not {type(func).__name__}")
        loop = asyncio.get_running_loop()
        if self._worker is None:
            self._open()
        future: AioFuture[Any] = AioFuture(loop=loop)
        call = functools.partial(func, *args, **kwargs)
        context = contextvars.copy_context()
        if loop is self._loop:
            self._adding.add(future)
            await self._put(call, context, future)
        else:
            assert self._loop is not None
            inner: WatchedFuture[Any] = WatchedFuture()
            chain_future_results(inner, future)
            self._adding.add(inner)
            added = asyncio.run_coroutine_threadsafe(self._put(call, context, inner), self._loop)
            await asyncio.wrap_future(added)
        return future

    def add_task(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> concurrent.futures.Future[Any]:
        """Adds func(*args, **kwargs) from any thread, without waiting; gives the future of its outcome."""
        self._refuse()
        if not callable(func):
            raise TypeError(f"func must be callable, not {type(func).__name__}")
        if self._worker is None:
            if asyncio._get_running_loop() is None:
                raise RuntimeError("the queue is not open")
            self._open()
        loop = self._loop
        assert loop is not None
        future: WatchedFuture[Any] = WatchedFuture()
        self._adding.add(future)
        put = self._put(functools.partial(func, *args, **kwargs), contextvars.copy_context(), future)
        try:
            if loop is asyncio._get_running_loop():
                task = loop.create_task(put)
                task.add_done_callback(lambda done: self._not_added(done, future))
            else:
                asyncio.run_coroutine_threadsafe(put, loop).add_done_callback(lambda done: self._not_added(done, future))
        except RuntimeError:  # the loop is closed
            put.close()
            self._adding.discard(future)
            raise
        return future

    @staticmethod
    def _not_added(done: Any, future: concurrent.futures.Future[Any]) -> None:
        value, failed = _outcome(done)
        if not failed or future.done():
            return
        if isinstance(value, asyncio.CancelledError):
            future.cancel()
        else:
            future.set_exception(cast(BaseException, value))

    async def _put(self, call: Callable[[], Any], context: contextvars.Context, future: Any) -> None:
        try:
            await self.queue.put((call, context, future))
            if self._over:
                self._drop_waiting()
        finally:
            self._adding.discard(future)
            self._added.set()

    async def _work(self) -> None:
        while True:
            self._start(*await self.queue.get())

    def _drop_waiting(self, _: object = None) -> None:
        """Nobody takes anything out any more: the loop ends without an aclose(), or after it. Nobody is left waiting."""
        self._closed = self._over = True
        while not self.queue.empty():
            self.queue.get_nowait()[2].cancel()
            self.queue.task_done()

    def _start(self, call: Callable[[], Any], context: contextvars.Context, future: Any) -> None:
        if future.cancelled():
            self.queue.task_done()
            return
        try:
            source = context.run(exec_in_executor, self.executor, call)
        except BaseException as error:
            if not future.done():
                future.set_exception(error)
            self.queue.task_done()
        else:
            chain_future_results(source, future)
            source.add_done_callback(lambda _: self.queue.task_done())
