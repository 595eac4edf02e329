"""The situations that users of the original package have, one by one: the same calls with the same outcomes."""

import asyncio
import concurrent.futures
import threading
import unittest

import execq
from execq import aio

WAIT = 60


def add(x, y):
    return x + y


async def multiply(x, y):
    await asyncio.sleep(0.01)
    return x * y


def blocking_with_a_loop():
    async def inside():
        return await multiply(2, 3)

    return asyncio.get_event_loop().run_until_complete(inside())


def back_by_a_threading_future():
    return asyncio.run_coroutine_threadsafe(multiply(2, 3), aio.get_main_event_loop()).result(WAIT)


def back_by_an_awaited_future():
    async def inside():
        future = asyncio.run_coroutine_threadsafe(multiply(2, 3), aio.get_main_event_loop())
        return await asyncio.wrap_future(future)

    return asyncio.get_event_loop().run_until_complete(inside())


class Situations(unittest.TestCase):
    """Each on this library's pool, on the default executor, and on the standard library's pool."""

    def on_each(self, call):
        with execq.ThreadPoolExecutor(2) as own, concurrent.futures.ThreadPoolExecutor(2) as standard:
            for executor in (own, None, standard):
                with self.subTest(executor=type(executor).__name__):
                    call(executor)

    def awaited(self, function, *args):
        def call(executor):
            async def main():
                aio.initConf()
                return await asyncio.wait_for(aio.exec_in_executor(executor, function, *args), WAIT)

            self.assertEqual(asyncio.run(main()), 5 if function is add else 6)

        self.on_each(call)

    def waited_for(self, function, *args):
        def call(executor):
            async def main():  # code that knows nothing of the loop it is called on
                return aio.exec_in_executor_threading_future(executor, function, *args).result(WAIT)

            self.assertEqual(asyncio.run(main()), 6)
            future = aio.exec_in_executor_threading_future(executor, function, *args)
            self.assertEqual(future.result(WAIT), 6)

        self.on_each(call)

    def test_a_function_is_awaited(self):
        self.awaited(add, 2, 3)

    def test_a_coroutine_is_awaited(self):
        self.awaited(multiply, 2, 3)

    def test_blocking_work_with_a_loop_of_its_own_is_awaited(self):
        self.awaited(blocking_with_a_loop)

    def test_synchronous_code_waits_for_blocking_work_with_a_loop_of_its_own(self):
        self.waited_for(blocking_with_a_loop)

    def test_synchronous_code_waits_for_a_coroutine(self):
        self.waited_for(multiply, 2, 3)

    def test_a_worker_runs_a_coroutine_on_the_main_loop_and_waits(self):
        self.awaited(back_by_a_threading_future)

    def test_a_worker_runs_a_coroutine_on_the_main_loop_and_awaits_it_on_its_own(self):
        self.awaited(back_by_an_awaited_future)

    def test_the_main_thread_is_not_a_worker(self):
        async def main():
            return await aio.exec_in_executor(None, threading.current_thread)

        self.assertIsNot(asyncio.run(main()), threading.main_thread())


if __name__ == "__main__":
    unittest.main()
