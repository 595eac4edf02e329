"""What a user's type checker makes of the package: checked with mypy --strict, never run."""

import asyncio
import concurrent.futures
from typing import Any

import execq
from execq import aio


def use(pool: execq.ThreadPoolExecutor) -> int:
    future: concurrent.futures.Future[int] = pool.submit(len, "four")
    standard: concurrent.futures.Executor = pool.with_options(priority="high", timeout=1.5)
    return future.result() + standard.submit(len, "four").result() + sum(pool.map(len, ["a"]))


async def use_aio(pool: execq.ThreadPoolExecutor) -> str:
    future: asyncio.Future[Any] = aio.exec_in_executor(pool, len, "four")
    async with aio.AsyncExecutionQueue(executor=pool) as queue:
        await (await queue.aadd_task(len, "four"))
    await future
    return await aio.to_thread(str, 3)
