"""execq.ThreadPoolExecutor: what it promises beyond CPython's own tests (cpython_suite.py)."""

import concurrent.futures
import contextvars
import gc
import os
import resource
import subprocess
import sys
import threading
import unittest
import weakref

import execq

FULL = int(os.environ.get("EXECQ_TASKS", "100000"))  # tasks of the growth test; 1000000 on demand
WAIT = 60


def raises(error):
    raise error


class Pool(unittest.TestCase):
    def pool(self, *args, **kwargs):
        executor = execq.ThreadPoolExecutor(*args, **kwargs)
        self.addCleanup(executor.shutdown)
        return executor

    def blocked(self, executor):
        """A task that occupies a worker until the event that is returned is set."""
        gate, inside = threading.Event(), threading.Event()
        self.addCleanup(gate.set)

        def body():
            inside.set()
            gate.wait(WAIT)

        executor.submit(body)
        self.assertTrue(inside.wait(WAIT))
        return gate


class DropIn(Pool):
    def test_futures_are_those_of_the_standard_library(self):
        future = self.pool(1).submit(pow, 2, 5)
        self.assertIsInstance(future, concurrent.futures.Future)
        self.assertEqual(concurrent.futures.wait([future]).done, {future})
        self.assertEqual(list(concurrent.futures.as_completed([future])), [future])
        self.assertEqual(future.result(), 32)

    def test_exceptions_have_their_traceback(self):
        error = self.pool(1).submit(raises, KeyError("k")).exception()
        self.assertIsInstance(error, KeyError)
        self.assertEqual(error.__traceback__.tb_frame.f_code.co_name, "raises")

    def test_tasks_start_in_order(self):
        executor, seen = self.pool(1), []
        gate = self.blocked(executor)
        futures = [executor.submit(seen.append, n) for n in range(1000)]
        gate.set()
        concurrent.futures.wait(futures)
        self.assertEqual(seen, list(range(1000)))

    def test_a_worker_is_a_named_thread(self):
        executor = self.pool(2, thread_name_prefix="mine")
        thread = executor.submit(threading.current_thread).result()
        self.assertEqual(thread.name, "mine_0")
        self.assertIn(thread, threading.enumerate())
        executor.shutdown()
        self.assertNotIn(thread, threading.enumerate())
        self.assertFalse(thread.is_alive())

    def test_thread_locals_last_as_long_as_the_thread(self):
        class Held:
            pass

        local, refs = threading.local(), []

        def put():
            local.value = Held()
            refs.append(weakref.ref(local.value))

        executor = self.pool(1)
        executor.submit(put).result()
        self.assertIsInstance(executor.submit(lambda: local.value).result(), Held)
        executor.shutdown()
        gc.collect()
        self.assertIsNone(refs[0]())

    def test_done_callbacks_run_and_may_fail(self):
        executor, seen = self.pool(1), []
        gate = self.blocked(executor)
        future = executor.submit(pow, 3, 2)
        future.add_done_callback(lambda f: seen.append(f.result()))
        with self.assertLogs("concurrent.futures", "ERROR"):
            future.add_done_callback(lambda f: raises(ValueError("callback")))
            gate.set()
            future.result()
            executor.shutdown()
        self.assertEqual(seen, [9])

    def test_a_blocking_callback_does_not_hold_others_up(self):
        executor = self.pool(2)
        gate = self.blocked(executor)
        future, stop, inside = executor.submit(pow, 1, 1), threading.Event(), threading.Event()

        def callback(_):
            inside.set()
            stop.wait(WAIT)

        future = executor.submit(pow, 1, 1)
        executor.submit(lambda: None)
        future.add_done_callback(callback)
        self.addCleanup(stop.set)
        gate.set()
        executor.submit(stop.set).result(WAIT)

    def test_a_cancelled_task_never_runs(self):
        executor, seen = self.pool(1), []
        gate = self.blocked(executor)
        future = executor.submit(seen.append, 1)
        self.assertTrue(future.cancel())
        gate.set()
        executor.shutdown()
        self.assertEqual(seen, [])
        self.assertEqual(future._state, "CANCELLED_AND_NOTIFIED")

    def test_bad_input_is_told_as_the_standard_library_does(self):
        with self.assertRaisesRegex(ValueError, "max_workers must be greater than 0"):
            execq.ThreadPoolExecutor(0)
        with self.assertRaisesRegex(TypeError, "initializer must be a callable"):
            execq.ThreadPoolExecutor(1, initializer=1)
        for wrong in ({"capacity": 0}, {"full_policy": "drop"}, {"max_workers": 100000}):
            with self.assertRaises(ValueError):
                execq.ThreadPoolExecutor(**{"max_workers": 1, **wrong})
        with self.assertRaises(TypeError):
            execq.ThreadPoolExecutor(1, capacity="1")
        executor = self.pool(1)
        for wrong in ({"priority": "urgent"}, {"timeout": float("nan")}):
            with self.assertRaises(ValueError):
                executor.with_options(**wrong)
        with self.assertRaises(TypeError):
            executor.with_options(timeout="1")
        self.assertIsInstance(executor.submit(None).exception(), TypeError)
        executor.shutdown()
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            executor.submit(pow, 1, 1)
        with self.assertRaisesRegex(RuntimeError, "cannot schedule new futures after shutdown"):
            executor.with_options(priority="high").submit(pow, 1, 1)

    def test_a_worker_cannot_join_its_own_pool(self):
        executor = self.pool(1)
        with self.assertRaisesRegex(RuntimeError, "cannot join current thread"):
            executor.submit(executor.shutdown).result(WAIT)

    def test_many_threads_submit(self):
        executor, done = self.pool(3), []

        def submit():
            for future in [executor.submit(done.append, 1) for _ in range(2000)]:
                future.result(WAIT)

        threads = [threading.Thread(target=submit) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(len(done), 8000)

    def test_a_million_tasks_leave_nothing(self):
        executor = self.pool(4)

        def round_trip(count):
            for begin in range(0, count, 1000):
                for future in [executor.submit(dict, a=n) for n in range(begin, begin + 1000)]:
                    future.result()

        round_trip(20000)
        gc.collect()
        objects, memory = len(gc.get_objects()), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        round_trip(FULL)
        gc.collect()
        self.assertLess(len(gc.get_objects()) - objects, 200)
        self.assertLess(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory, 8192)  # KiB


class Options(Pool):
    def test_a_worker_runs_what_it_waits_for(self):
        executor = self.pool(1)

        def nest(depth):
            return depth if depth == 0 else executor.submit(nest, depth - 1).result() + 1

        self.assertEqual(executor.submit(nest, 50).result(WAIT), 50)

    def test_urgent_tasks_go_first(self):
        executor, seen = self.pool(1), []
        gate = self.blocked(executor)
        futures = [executor.with_options(priority=p).submit(seen.append, p) for p in ("low", "normal", "high")]
        futures += [executor.submit(seen.append, "plain")]
        gate.set()
        concurrent.futures.wait(futures)
        self.assertEqual(seen.index("high"), 0)
        self.assertEqual(seen.index("low"), 3)

    def test_a_task_that_did_not_start_in_time_is_cancelled(self):
        executor, seen = self.pool(1), []
        gate = self.blocked(executor)
        future = executor.with_options(start_within=0.01).submit(seen.append, 1)
        with self.assertRaises(concurrent.futures.CancelledError):
            future.result(WAIT)
        gate.set()
        executor.shutdown()
        self.assertEqual(seen, [])

    def test_a_running_task_sees_its_deadline(self):
        def body():
            while not execq.cancel_requested():
                pass
            return "seen"

        self.assertEqual(self.pool(1).with_options(timeout=0.02).submit(body).result(WAIT), "seen")

    def test_a_running_task_sees_that_it_was_cancelled(self):
        executor, inside, told = self.pool(1), threading.Event(), []

        def body():
            execq.on_cancel(lambda: told.append(1))
            inside.set()
            while not execq.cancel_requested():
                pass
            return "seen"

        future = executor.submit(body)
        inside.wait(WAIT)
        self.assertFalse(future.cancel())
        self.assertEqual(future.result(WAIT), "seen")
        self.assertEqual(told, [1])
        self.assertFalse(executor.submit(execq.cancel_requested).result())
        self.assertFalse(execq.cancel_requested())
        with self.assertRaises(RuntimeError):
            execq.on_cancel(print)

    def test_a_delayed_task_and_its_cancellation(self):
        executor = self.pool(1)
        self.assertEqual(executor.with_options(delay=0.01).submit(pow, 2, 2).result(WAIT), 4)
        never = executor.with_options(delay=3600).submit(pow, 2, 2)
        self.assertTrue(never.cancel())
        self.assertTrue(never.cancelled())
        dropped = executor.with_options(delay=3600).submit(pow, 2, 2)
        executor.shutdown()
        self.assertTrue(dropped.cancelled())

    def test_a_context_is_copied_where_asked_for(self):
        var = contextvars.ContextVar("var", default="none")
        var.set("mine")
        executor = self.pool(1)
        self.assertEqual(executor.submit(var.get).result(), "none")
        self.assertEqual(executor.with_options(copy_context=True).submit(var.get).result(), "mine")

    def test_shutdown_cancels_tasks_of_all_kinds(self):
        executor = self.pool(1)
        gate = self.blocked(executor)
        futures = [executor.submit(pow, 1, 1), executor.with_options(priority="high").submit(pow, 1, 1)]
        executor.shutdown(wait=False, cancel_futures=True)
        gate.set()
        executor.shutdown()
        self.assertTrue(all(future.cancelled() for future in futures))

    def test_stats_tell_what_waits(self):
        executor = self.pool(1)
        gate = self.blocked(executor)
        futures = [executor.submit(pow, 1, 1), executor.with_options(priority="low").submit(pow, 1, 1)]
        self.assertEqual(executor.stats()["queued"], 2)
        self.assertEqual(executor.stats()["threads"], 1)
        gate.set()
        concurrent.futures.wait(futures)
        self.assertEqual(executor.stats()["queued"], 0)

    def test_tasks_with_options_share_with_plain_ones(self):
        executor, stop = self.pool(1), threading.Event()

        def again():
            if not stop.is_set():
                executor.submit(again)

        executor.submit(again)  # never lets the list run empty
        executor.with_options(copy_context=True, priority="low").submit(stop.set).result(WAIT)


class Bounded(Pool):
    def test_reject(self):
        executor = self.pool(1, capacity=1, full_policy="reject")
        gate = self.blocked(executor)
        first = executor.submit(pow, 2, 3)
        with self.assertRaises(execq.QueueFullError):
            executor.submit(pow, 2, 3)
        first.cancel()  # makes room at once
        second = executor.submit(pow, 2, 3)
        gate.set()
        self.assertEqual(second.result(WAIT), 8)

    def test_block(self):
        executor, seen = self.pool(1, capacity=1), []
        gate = self.blocked(executor)
        executor.submit(seen.append, 1)
        with self.assertRaises(execq.QueueFullError):
            executor.with_options(wait_for_room=False).submit(seen.append, 2)
        thread = threading.Thread(target=lambda: executor.submit(seen.append, 3).result())
        thread.start()
        gate.set()
        thread.join(WAIT)
        self.assertEqual(seen, [1, 3])

    def test_a_blocked_submitter_hears_of_the_shutdown(self):
        executor, seen, inside = self.pool(1, capacity=1), [], threading.Event()
        gate = self.blocked(executor)
        executor.submit(pow, 1, 1)

        def submit():
            inside.set()
            try:
                executor.submit(pow, 1, 1)
            except RuntimeError as error:
                seen.append(str(error))

        thread = threading.Thread(target=submit)
        thread.start()
        inside.wait(WAIT)
        executor.shutdown(wait=False)
        thread.join(WAIT)
        self.assertEqual(seen, ["cannot schedule new futures after shutdown"])
        gate.set()

    def test_caller_runs(self):
        executor = self.pool(1, capacity=1, full_policy="caller_runs")
        gate = self.blocked(executor)
        executor.submit(pow, 1, 1)
        self.assertEqual(executor.submit(threading.get_ident).result(), threading.get_ident())
        gate.set()

    def test_a_failing_initializer_breaks_a_bounded_pool_too(self):
        executor = self.pool(1, initializer=raises, initargs=(ValueError("init"),), capacity=5)
        with self.assertLogs("concurrent.futures", "CRITICAL"):
            self.assertIsInstance(executor.submit(pow, 1, 1).exception(WAIT), concurrent.futures.BrokenExecutor)


class Process(unittest.TestCase):
    def python(self, text, **kwargs):
        return subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, timeout=WAIT, check=True, **kwargs)

    def test_a_child_process_refuses_what_is_submitted_to_an_inherited_pool(self):
        done = self.python("""if True:
            import os, execq
            pool = execq.ThreadPoolExecutor(2)
            pool.submit(pow, 2, 2).result()
            child = os.fork()
            if not child:
                try:
                    pool.submit(pow, 2, 2)
                except RuntimeError as error:
                    print(error, flush=True)
                pool.shutdown()
                os._exit(0)
            os.waitpid(child, 0)
            print(pool.submit(pow, 2, 3).result())
            """)
        self.assertEqual(done.stdout, "cannot schedule new futures after fork\n8\n")
        self.assertEqual(done.stderr, "")

    def test_a_child_process_has_new_pools_and_a_new_default(self):
        done = self.python("""if True:
            import asyncio, os, sys, execq
            from execq import aio
            async def on_default():
                return await aio.exec_in_executor(None, pow, 2, 4)
            inherited = execq.ThreadPoolExecutor(2)
            inherited.submit(pow, 2, 2).result()
            asyncio.run(on_default())
            child = os.fork()
            if not child:
                with execq.ThreadPoolExecutor(2) as pool:
                    print(pool.submit(pow, 2, 3).result(), asyncio.run(on_default()), flush=True)
                sys.exit(3)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), inherited.submit(pow, 2, 5).result(), asyncio.run(on_default()))
            """)
        self.assertEqual((done.stdout, done.stderr), ("8 16\n3 32 16\n", ""))

    def test_a_child_process_ends_as_any_other(self):
        done = self.python("""if True:
            import os, execq, sys
            pool = execq.ThreadPoolExecutor(2)
            pool.submit(pow, 2, 2).result()
            child = os.fork()
            if not child:
                sys.exit(7)
            print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
            """)
        self.assertEqual((done.stdout, done.stderr), ("7\n", ""))

    def test_the_interpreter_ends_though_a_background_task_never_would(self):
        done = self.python("""if True:
            import asyncio, execq.aio
            kept = []
            async def leave():
                kept.append(asyncio.ensure_future(asyncio.Event().wait()))
            execq.aio.exec_in_executor_threading_future(None, leave).result()
            print("left")
            """)
        self.assertEqual((done.stdout, done.stderr), ("left\n", ""))

    def test_the_interpreter_ends_after_all_that_was_accepted(self):
        done = self.python("""if True:
            import execq, os, time
            pool = execq.ThreadPoolExecutor(2)
            for n in range(20):
                pool.submit(lambda n: (time.sleep(0.01), os.write(1, b'%d ' % n)), n)
            del pool
            """)
        self.assertEqual(sorted(map(int, done.stdout.split())), list(range(20)))
        self.assertEqual(done.stderr, "")


if __name__ == "__main__":
    unittest.main()
