"""execq.aio on asyncio, and on uvloop: each test here runs on both (test_uvloop.py)."""

import asyncio
import concurrent.futures
import contextvars
import functools
import gc
import threading
import time
import unittest

import execq
from execq import aio

WAIT = 30
var = contextvars.ContextVar("var", default="none")


def raises(error):
    raise error


async def doubled(value):
    await asyncio.sleep(0)
    return 2 * value


class AsyncCallable:
    async def __call__(self, value):
        return await doubled(value)

    async def method(self, value):
        return await doubled(value)


class Aio(unittest.TestCase):
    """Each test is a coroutine with a pool of two workers."""

    new_loop = staticmethod(asyncio.new_event_loop)

    def run_async(self, coroutine):
        with asyncio.Runner(loop_factory=self.new_loop) as runner:
            return runner.run(asyncio.wait_for(coroutine, WAIT))

    def setUp(self):
        self.pool = execq.ThreadPoolExecutor(2)
        self.addCleanup(self.pool.shutdown)
        self.addCleanup(self.forget)

    def forget(self):
        aio._main_loop = aio._executor = None


class Submission(Aio):
    def test_functions_of_all_kinds(self):
        async def main():
            run = functools.partial(aio.exec_in_executor, self.pool)
            self.assertEqual(await run(pow, 2, 8), 256)
            self.assertEqual(await run(functools.partial(int, base=2), "101"), 5)
            self.assertEqual(await run(lambda *, key: key, key=3), 3)
            for func in (doubled, AsyncCallable(), AsyncCallable().method, functools.partial(doubled), lambda x: doubled(x)):
                self.assertEqual(await run(func, 4), 8)
            self.assertEqual(await aio.to_thread(pow, 2, 3), 8)
            self.assertEqual(await aio.to_thread(doubled, 3), 6)

        self.run_async(main())

    def test_exceptions(self):
        async def main():
            with self.assertRaisesRegex(ValueError, "one"):
                await aio.exec_in_executor(self.pool, raises, ValueError("one"))

            async def fails():
                raise ValueError("two")

            with self.assertRaisesRegex(ValueError, "two"):
                await aio.exec_in_executor(self.pool, fails)
            with self.assertRaises(RuntimeError) as caught:
                await aio.exec_in_executor(self.pool, raises, StopIteration(3))
            self.assertIsInstance(caught.exception.__cause__, StopIteration)
            with self.assertRaises(RuntimeError) as caught:
                aio.exec_in_executor_threading_future(self.pool, raises, StopIteration(3)).result(WAIT)
            self.assertIsInstance(caught.exception.__cause__, StopIteration)

        self.run_async(main())

    def test_the_context_is_copied(self):
        async def read():
            return var.get()

        def change():
            var.set("theirs")
            return var.get()

        async def main():
            var.set("mine")
            for func in (var.get, read):
                self.assertEqual(await aio.exec_in_executor(self.pool, func), "mine")
                self.assertEqual(aio.exec_in_executor_threading_future(self.pool, func).result(WAIT), "mine")
            self.assertEqual(await aio.exec_in_executor(self.pool, change), "theirs")
            self.assertEqual(var.get(), "mine")

        self.run_async(main())

    def test_bad_input(self):
        async def main():
            with self.assertRaises(TypeError):
                aio.exec_in_executor(self.pool, 3)
            with self.assertRaises(TypeError):
                aio.exec_in_executor(3, print)
            with self.assertRaises(TypeError):
                aio.exec_in_executor_threading_future(self.pool, None)
            with self.assertRaises(TypeError):
                aio.initConf(executor=3)
            with self.assertRaises(TypeError):
                aio.chain_future_results(1, 2)
            closed = execq.ThreadPoolExecutor(1)
            closed.shutdown()
            for func in (pow, doubled):
                with self.assertRaisesRegex(RuntimeError, "after shutdown"):
                    aio.exec_in_executor(closed, func, 1)
            full = execq.ThreadPoolExecutor(1, capacity=1)
            gate = threading.Event()
            first = aio.exec_in_executor(full, gate.wait, WAIT)
            while full.stats()["queued"]:
                await asyncio.sleep(0)
            aio.exec_in_executor(full, pow, 1, 1)
            with self.assertRaises(execq.QueueFullError):
                aio.exec_in_executor(full, pow, 1, 1)
            gate.set()
            await first
            full.shutdown()

        self.run_async(main())
        with self.assertRaisesRegex(RuntimeError, "initConf"):
            aio.exec_in_executor(self.pool, pow, 1, 1)
        with self.assertRaises(RuntimeError):
            aio.initConf()

    def test_loops_of_two_runs_and_of_several_threads(self):
        async def main(n):
            return sum(await asyncio.gather(*[aio.exec_in_executor(self.pool, pow, n, 1) for _ in range(200)]))

        self.assertEqual([self.run_async(main(n)) for n in (1, 2)], [200, 400])
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            self.assertEqual(list(threads.map(lambda n: self.run_async(main(n)), range(3))), [0, 200, 400])

    def test_a_loop_that_is_gone_keeps_nobody(self):
        gate = threading.Event()

        async def main():
            aio.exec_in_executor(self.pool, gate.wait, WAIT)

        self.run_async(main())
        gate.set()
        self.assertEqual(self.pool.submit(pow, 1, 1).result(WAIT), 1)


class Loops(Aio):
    def test_ten_thousand_coroutines_share_the_workers(self):
        async def nap(n):
            await asyncio.sleep(0.1)
            return n

        async def main():
            results = await asyncio.gather(*[aio.exec_in_executor(self.pool, nap, n) for n in range(10000)])
            self.assertEqual(results, list(range(10000)))
            self.assertLessEqual(self.pool.stats()["threads"], 2)

        begin = time.monotonic()
        self.run_async(main())
        self.assertLess(time.monotonic() - begin, 100)  # one after the other they would take a thousand seconds

    def test_background_tasks_go_on(self):
        done, gate = threading.Event(), threading.Event()
        kept = []

        async def later():
            while not gate.is_set():
                await asyncio.sleep(0.001)
            done.set()

        async def leave():
            kept.append(asyncio.ensure_future(later()))

        async def main():
            await aio.exec_in_executor(self.pool, leave)

        self.run_async(main())
        gate.set()
        self.assertTrue(done.wait(WAIT))

    def test_a_shutdown_cancels_what_coroutines_left_behind(self):
        ended = threading.Event()
        kept = []

        async def for_ever():
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        async def leave():
            kept.append(asyncio.ensure_future(for_ever()))
            await asyncio.sleep(0)

        aio.exec_in_executor_threading_future(self.pool, leave).result(WAIT)
        self.pool.shutdown()
        self.assertTrue(ended.is_set())

    def test_one_worker_runs_blocking_calls_between(self):
        pool = execq.ThreadPoolExecutor(1)
        release = threading.Event()

        async def wait():
            while not release.is_set():
                await asyncio.sleep(0.001)
            return "ended"

        async def main():
            waiting = aio.exec_in_executor(pool, wait)
            for n in range(5):
                self.assertEqual(await aio.exec_in_executor(pool, pow, n, 1), n)
            self.assertFalse(waiting.done())
            release.set()
            self.assertEqual(await waiting, "ended")

        self.run_async(main())
        pool.shutdown()

    def test_a_blocking_function_has_a_loop_of_its_own(self):
        def body():
            loop = asyncio.get_event_loop()
            self.assertIs(aio.ensure_thread_event_loop(), loop)
            return loop, loop.run_until_complete(doubled(4))

        async def main():
            loop, value = await aio.exec_in_executor(self.pool, body)
            self.assertEqual(value, 8)
            return loop

        loop = self.run_async(main())
        self.assertFalse(loop.is_closed())
        self.pool.shutdown()
        self.assertTrue(loop.is_closed())

    def test_shutdown_waits_for_coroutines_and_closes_their_loop(self):
        async def nap():
            await asyncio.sleep(0.05)
            return asyncio.get_running_loop()

        future = aio.exec_in_executor_threading_future(self.pool, nap)
        self.pool.shutdown()
        self.assertTrue(future.done())
        self.assertTrue(future.result().is_closed())

    def test_lift_to_async(self):
        async def where():
            return threading.current_thread(), var.get()

        async def main():
            aio.initConf()
            self.assertIs(aio.get_main_event_loop(), asyncio.get_running_loop())
            var.set("mine")
            thread, value = await aio.exec_in_executor(self.pool, aio.lift_to_async, where)
            self.assertEqual((thread, value), (threading.current_thread(), "mine"))

            async def from_a_worker_loop():
                return aio.lift_to_async(where)[0]

            self.assertIs(await aio.exec_in_executor(self.pool, from_a_worker_loop), threading.current_thread())
            with self.assertRaisesRegex(RuntimeError, "own event loop thread"):
                aio.lift_to_async(where)
            with self.assertRaisesRegex(ValueError, "x"):
                await aio.exec_in_executor(self.pool, aio.lift_to_async, raises, ValueError("x"))

        self.run_async(main())
        with self.assertRaisesRegex(RuntimeError, "initConf"):
            aio.lift_to_async(where)

    def test_what_is_lifted_to_a_loop_that_ends_hears_of_it(self):
        inside = threading.Event()

        async def for_ever():
            inside.set()
            await asyncio.Event().wait()

        async def main():
            aio.initConf()
            future = aio.exec_in_executor_threading_future(self.pool, aio.lift_to_async, for_ever)
            await asyncio.to_thread(inside.wait, WAIT)
            return future

        future = self.run_async(main())
        with self.assertRaises(concurrent.futures.CancelledError):
            future.result(WAIT)

    def test_lifting_to_a_loop_that_was_closed_before_it_began(self):
        class Stopped:  # runs nothing any more, and is then closed
            closed = False
            is_running = staticmethod(lambda: True)
            call_soon_threadsafe = staticmethod(lambda call: setattr(Stopped, "closed", True))
            is_closed = staticmethod(lambda: Stopped.closed)

        aio._main_loop = Stopped()
        with self.assertRaisesRegex(RuntimeError, "was closed"):
            aio.lift_to_async(doubled, 1)

    def test_configuration_stays_until_it_is_cleared(self):
        async def main():
            aio.initConf(executor=self.pool)
            aio.initConfig()
            names = [await aio.exec_in_executor(None, lambda: threading.current_thread().name)]
            aio.initConf(executor=None)
            names.append(await aio.exec_in_executor(None, lambda: threading.current_thread().name))
            self.assertTrue(names[0].startswith("ThreadPoolExecutor-"))
            self.assertTrue(names[1].startswith("execq_"))

        self.run_async(main())

    def test_another_thread_submits_to_the_main_loop(self):
        async def main():
            aio.initConf()
            future = await asyncio.to_thread(aio.exec_in_executor, self.pool, pow, 2, 6)
            self.assertIs(future.get_loop(), asyncio.get_running_loop())
            self.assertEqual(await future, 64)

        self.run_async(main())


class Growth(Aio):
    def test_many_calls_leave_nothing(self):
        async def one(n):
            return n

        async def round_trip(count):
            for begin in range(0, count, 500):
                span = range(begin, begin + 500)
                await asyncio.gather(*[aio.exec_in_executor(self.pool, dict, a=n) for n in span],
                                     *[aio.exec_in_executor(self.pool, one, n) for n in span])

        async def main():
            await round_trip(2000)
            gc.collect()
            objects = len(gc.get_objects())
            gc.disable()  # what only the collector could free would stay
            try:
                await round_trip(10000)
                self.assertLess(len(gc.get_objects()) - objects, 2000)
            finally:
                gc.enable()

        self.run_async(main())


class Cancellation(Aio):
    def test_what_has_not_started_never_does(self):
        async def main():
            pool, gate, seen = execq.ThreadPoolExecutor(1), threading.Event(), []
            first = aio.exec_in_executor(pool, gate.wait, WAIT)
            second = aio.exec_in_executor(pool, seen.append, 1)
            second.cancel()
            gate.set()
            await first
            await aio.exec_in_executor(pool, seen.append, 2)
            self.assertEqual(seen, [2])
            pool.shutdown()

        self.run_async(main())

    def test_a_running_function_sees_it(self):
        inside, seen = threading.Event(), threading.Event()

        def body():
            inside.set()
            while not execq.cancel_requested():
                time.sleep(0.001)
            seen.set()

        async def main():
            future = aio.exec_in_executor(self.pool, body)
            await asyncio.to_thread(inside.wait, WAIT)
            future.cancel()
            self.assertTrue(await asyncio.to_thread(seen.wait, WAIT))

        self.run_async(main())

    def test_a_coroutine_is_cancelled(self):
        async def body(inside, ended):
            inside.set()
            try:
                await asyncio.sleep(WAIT)
            finally:
                ended.set()

        async def main():
            for submit in (aio.exec_in_executor, aio.exec_in_executor_threading_future):
                inside, ended = threading.Event(), threading.Event()
                future = submit(self.pool, body, inside, ended)
                await asyncio.to_thread(inside.wait, WAIT)
                self.assertTrue(future.cancel())
                self.assertTrue(await asyncio.to_thread(ended.wait, WAIT))

        self.run_async(main())

    def test_a_coroutine_that_cancels_itself(self):
        async def body():
            raise asyncio.CancelledError

        async def main():
            with self.assertRaises(asyncio.CancelledError):
                await aio.exec_in_executor(self.pool, body)
            future = aio.exec_in_executor_threading_future(self.pool, body)
            with self.assertRaises(concurrent.futures.CancelledError):
                future.result(WAIT)

        self.run_async(main())


class Failures(Aio):
    def submit_and_forget(self, submit, func):
        """Fails twice, once consumed, and lets go of the futures."""
        async def main():
            for consume in (False, True):
                future = submit(self.pool, func, ValueError("lost"))
                while not future.done():
                    await asyncio.sleep(0.001)
                if consume:
                    self.assertIsInstance(future.exception(), ValueError)
                del future
                gc.collect()

        self.run_async(main())

    def test_an_unconsumed_failure_is_logged_once_and_a_consumed_one_never(self):
        async def raises_later(error):
            await asyncio.sleep(0)
            raise error

        for submit in (aio.exec_in_executor, aio.exec_in_executor_threading_future):
            for func in (raises, raises_later):
                with self.assertLogs(level="ERROR") as logs:
                    self.submit_and_forget(submit, func)
                self.assertEqual([record.getMessage() for record in logs.records],
                                 ["Unhandled exception in fire-and-forget task"])

    def test_an_awaited_failure_is_not_logged(self):
        async def main():
            with self.assertRaises(ValueError):
                await aio.exec_in_executor(self.pool, raises, ValueError("seen"))
            gc.collect()

        with self.assertNoLogs(level="ERROR"):
            self.run_async(main())


class Chains(Aio):
    def test_all_outcomes_between_all_kinds(self):
        async def main():
            loop = asyncio.get_running_loop()
            for make_source in (concurrent.futures.Future, loop.create_future):
                for make_target in (concurrent.futures.Future, loop.create_future):
                    for settle in ("value", "error", "cancel"):
                        source, target = make_source(), make_target()
                        aio.chain_future_results(source, target)
                        if settle == "value":
                            source.set_result(3)
                        elif settle == "error":
                            source.set_exception(ValueError("x"))
                        else:
                            source.cancel()
                        while not target.done():
                            await asyncio.sleep(0)
                        if settle == "value":
                            self.assertEqual(target.result(), 3)
                        elif settle == "error":
                            self.assertIsInstance(target.exception(), ValueError)
                        else:
                            self.assertTrue(target.cancelled())
                    source, target = make_source(), make_target()
                    aio.chain_future_results(source, target)
                    target.cancel()
                    while not source.done():
                        await asyncio.sleep(0)
                    self.assertTrue(source.cancelled())

        self.run_async(main())


class Queue(Aio):
    def test_what_was_added_has_ended_when_it_is_closed(self):
        async def main():
            async with aio.AsyncExecutionQueue(executor=self.pool) as queue:
                futures = [await queue.aadd_task(pow, n, 1) for n in range(50)]
                more = [queue.add_task(doubled, n) for n in range(50)]
                other = await asyncio.to_thread(queue.add_task, pow, 7, 1)
            self.assertTrue(all(future.done() for future in [*futures, *more, other]))
            self.assertEqual([await future for future in futures], list(range(50)))
            self.assertEqual([future.result() for future in more], [2 * n for n in range(50)])
            self.assertEqual(other.result(), 7)
            await queue.aclose()

        self.run_async(main())

    def test_tasks_start_in_order(self):
        async def main():
            pool, seen = execq.ThreadPoolExecutor(1), []
            async with aio.AsyncExecutionQueue(executor=pool) as queue:
                for n in range(100):
                    await queue.aadd_task(seen.append, n)
            self.assertEqual(seen, list(range(100)))
            pool.shutdown()

        self.run_async(main())

    def test_a_closed_queue_refuses_at_once_and_may_be_opened_again(self):
        async def main():
            queue = aio.AsyncExecutionQueue(executor=self.pool)
            async with queue:
                pass
            with self.assertRaisesRegex(RuntimeError, "closed"):
                await queue.aadd_task(pow, 1, 1)
            with self.assertRaisesRegex(RuntimeError, "closed"):
                queue.add_task(pow, 1, 1)
            async with queue:
                self.assertEqual(await (await queue.aadd_task(pow, 2, 2)), 4)
                with self.assertRaises(RuntimeError):
                    await queue.__aenter__()
                with self.assertRaises(TypeError):
                    queue.add_task(3)

        self.run_async(main())
        with self.assertRaises(RuntimeError):
            aio.AsyncExecutionQueue().add_task(pow, 1, 1)
        with self.assertRaises(TypeError):
            aio.AsyncExecutionQueue(executor=3)

    def test_failures_and_cancellation(self):
        async def main():
            async with aio.AsyncExecutionQueue(executor=self.pool) as queue:
                failing = await queue.aadd_task(raises, ValueError("x"))
                canceled = await queue.aadd_task(asyncio.sleep, WAIT)
                self.assertTrue(canceled.cancel())
                with self.assertRaises(ValueError):
                    await failing
                dead = execq.ThreadPoolExecutor(1)
                dead.shutdown()
                queue.executor = dead
                with self.assertRaisesRegex(RuntimeError, "after shutdown"):
                    await (await queue.aadd_task(pow, 1, 1))

        self.run_async(main())

    def test_a_queue_whose_loop_ends_leaves_nobody_waiting(self):
        async def main():
            queue = aio.AsyncExecutionQueue(executor=self.pool, queue=asyncio.Queue(1))
            await queue.__aenter__()
            queue._worker.cancel()  # as at the end of asyncio.run()
            return [queue.add_task(pow, 1, 1), queue.add_task(pow, 1, 1)]

        futures = self.run_async(main())
        self.assertTrue(all(future.cancelled() for future in futures))

    def test_a_worker_loop_adds_to_the_queue_of_another_loop(self):
        async def main():
            async with aio.AsyncExecutionQueue(executor=self.pool) as queue:
                async def add():
                    return await (await queue.aadd_task(pow, 5, 1))

                self.assertEqual(await aio.exec_in_executor(self.pool, add), 5)

        self.run_async(main())

    def test_the_context_and_a_queue_of_ones_own(self):
        async def main():
            var.set("mine")
            async with aio.AsyncExecutionQueue(executor=self.pool, queue=asyncio.Queue(1)) as queue:
                futures = [await queue.aadd_task(var.get) for _ in range(10)]
                more = [queue.add_task(var.get) for _ in range(10)]
            self.assertEqual({await future for future in futures} | {future.result() for future in more}, {"mine"})

        self.run_async(main())


if __name__ == "__main__":
    unittest.main()
