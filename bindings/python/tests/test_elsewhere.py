"""Beyond one machine: the same calls on ProcessPoolExecutor, on the standard thread pool, and on Dask's distributed."""

import asyncio
import concurrent.futures
import logging
import multiprocessing
import os
import threading
import unittest

import execq
from execq import aio

WAIT = 120


async def doubled(value):
    await asyncio.sleep(0)
    return 2 * value


def loop_inside(value):
    return asyncio.get_event_loop().run_until_complete(doubled(value))


def raises(text):
    raise ValueError(text)


def stops():
    raise StopIteration(1)


class Engine:
    """What any executor has to do."""

    def test_exec_in_executor(self):
        async def main():
            self.assertEqual(await aio.exec_in_executor(self.engine, pow, 2, 5), 32)
            self.assertEqual(await aio.exec_in_executor(self.engine, doubled, 5), 10)
            self.assertEqual(await aio.exec_in_executor(self.engine, loop_inside, 5), 10)
            with self.assertRaisesRegex(ValueError, "text"):
                await aio.exec_in_executor(self.engine, raises, "text")
            with self.assertRaises(RuntimeError):
                await aio.exec_in_executor(self.engine, stops)
            results = await asyncio.gather(*[aio.exec_in_executor(self.engine, pow, n, 1) for n in range(50)])
            self.assertEqual(results, list(range(50)))

        asyncio.run(asyncio.wait_for(main(), WAIT))

    def test_threading_futures(self):
        future = aio.exec_in_executor_threading_future(self.engine, doubled, 4)
        self.assertEqual(future.result(WAIT), 8)
        self.assertIsInstance(aio.exec_in_executor_threading_future(self.engine, raises, "x").exception(WAIT), ValueError)

    def test_the_queue(self):
        async def main():
            async with aio.AsyncExecutionQueue(executor=self.engine) as queue:
                futures = [await queue.aadd_task(pow, n, 2) for n in range(10)] + [queue.add_task(doubled, 4)]
            self.assertEqual([future.result() for future in futures], [n * n for n in range(10)] + [8])

        asyncio.run(asyncio.wait_for(main(), WAIT))

    def test_as_the_configured_executor(self):
        async def main():
            aio.initConf(executor=self.engine)
            try:
                self.assertEqual(await aio.to_thread(pow, 3, 2), 9)
            finally:
                aio.initConf(executor=None)

        asyncio.run(asyncio.wait_for(main(), WAIT))


class Processes(Engine, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = concurrent.futures.ProcessPoolExecutor(2, multiprocessing.get_context("spawn"))
        cls.addClassCleanup(cls.engine.shutdown)

    def test_it_is_another_process(self):
        self.assertNotEqual(aio.exec_in_executor_threading_future(self.engine, os.getpid).result(WAIT), os.getpid())


class StandardThreads(Engine, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.engine = concurrent.futures.ThreadPoolExecutor(2)
        cls.addClassCleanup(cls.engine.shutdown)

    def test_what_waits_is_cancelled(self):
        async def main():
            seen, gate = [], threading.Event()
            engine = concurrent.futures.ThreadPoolExecutor(1)
            first = aio.exec_in_executor(engine, gate.wait, WAIT)
            aio.exec_in_executor(engine, seen.append, 1).cancel()
            gate.set()
            await first
            await aio.exec_in_executor(engine, seen.append, 2)
            self.assertEqual(seen, [2])
            engine.shutdown()

        asyncio.run(asyncio.wait_for(main(), WAIT))


class WithOptions(Engine, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        pool = execq.ThreadPoolExecutor(2)
        cls.engine = pool.with_options(priority="high")
        cls.addClassCleanup(pool.shutdown)


class Dask(Engine, unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        from distributed import Client, LocalCluster

        cluster = LocalCluster(n_workers=1, threads_per_worker=2, processes=True, dashboard_address=None,
                               silence_logs=logging.CRITICAL)
        cls.addClassCleanup(cluster.close)
        client = Client(cluster)
        cls.addClassCleanup(client.close)
        client.upload_file(__file__)
        cls.engine = client.get_executor()

    def test_it_is_another_process(self):
        self.assertNotEqual(aio.exec_in_executor_threading_future(self.engine, os.getpid).result(WAIT), os.getpid())


if __name__ == "__main__":
    unittest.main()
