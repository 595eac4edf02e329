"""python -m execq.bench: what a submission and a completion cost here, beside the standard library, in one run.

With alex-ber-utils installed, its exec_in_executor is measured, too."""

from __future__ import annotations

import argparse
import asyncio
import concurrent.futures
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import execq
from execq import aio

WORKERS = 4


def nothing() -> None:
    """The task."""


def submits(make: Callable[[int], concurrent.futures.Executor], count: int) -> float:
    """Submissions per second from a plain thread, while the workers run what was submitted."""
    with make(WORKERS) as pool:
        pool.submit(nothing).result()
        begin = time.perf_counter()
        futures = [pool.submit(nothing) for _ in range(count)]
        seconds = time.perf_counter() - begin
        concurrent.futures.wait(futures)
    return count / seconds


def round_trips(make: Callable[[int], concurrent.futures.Executor], count: int) -> float:
    """Tasks per second from a plain thread, from the first submission to the last result."""
    with make(WORKERS) as pool:
        pool.submit(nothing).result()
        begin = time.perf_counter()
        for future in [pool.submit(nothing) for _ in range(count)]:
            future.result()
        return count / (time.perf_counter() - begin)


async def in_flight(call: Callable[[], Awaitable[Any]], tasks: int, rounds: int) -> float:
    """Completions per second on a loop with so many tasks that each await one call after the other."""

    async def one() -> None:
        for _ in range(rounds):
            await call()

    await call()
    begin = time.perf_counter()
    await asyncio.gather(*[one() for _ in range(tasks)])
    return tasks * rounds / (time.perf_counter() - begin)


def original() -> Callable[..., Awaitable[Any]] | None:
    """exec_in_executor of the original package, where it is installed."""
    try:
        from alexber.utils.thread_locals import exec_in_executor  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        return None
    return exec_in_executor  # type: ignore[no-any-return,unused-ignore]


def measure(repeat: int, count: int) -> list[tuple[str, str, float, float]]:
    """Rows: what, who, rate, times the standard library's rate."""
    rows: list[tuple[str, str, float, float]] = []

    def add(what: str, who: str, samples: list[float], base: float | None) -> float:
        rate = statistics.median(samples)
        rows.append((what, who, rate, rate / (base or rate)))
        return rate

    pools: list[tuple[str, Callable[[int], concurrent.futures.Executor]]] = [
        ("concurrent.futures", concurrent.futures.ThreadPoolExecutor), ("execq", execq.ThreadPoolExecutor)]
    for what, function in (("submissions from a thread", submits), ("round trips from a thread", round_trips)):
        samples: dict[str, list[float]] = {who: [] for who, _ in pools}
        for _ in range(repeat):
            for who, make in pools:
                samples[who].append(function(make, count))
        base = add(what, pools[0][0], samples[pools[0][0]], None)
        add(what, "execq", samples["execq"], base)

    calls: list[tuple[str, Callable[[], Awaitable[Any]]]] = [
        ("asyncio.to_thread", lambda: asyncio.to_thread(nothing)),
        ("execq.aio.exec_in_executor", lambda: aio.exec_in_executor(None, nothing)),
        ("execq.aio.to_thread", lambda: aio.to_thread(nothing)),
    ]
    theirs = original()
    if theirs is not None:
        calls.append(("alexber.utils", lambda: theirs(None, nothing)))
    for tasks in (1, 1000):
        what = f"completions on a loop, {tasks} in flight"
        rounds = max(1, count // 4 // tasks)
        rates: dict[str, list[float]] = {who: [] for who, _ in calls}
        for _ in range(repeat):
            for who, call in calls:
                rates[who].append(asyncio.run(in_flight(call, tasks, rounds)))
        base = add(what, calls[0][0], rates[calls[0][0]], None)
        for who, _ in calls[1:]:
            add(what, who, rates[who], base)
    return rows


def main(arguments: list[str] | None = None) -> int:
    """Prints a table. With --check, 1 where the ratios are not what is promised."""
    parser = argparse.ArgumentParser(prog="python -m execq.bench", description=__doc__)
    parser.add_argument("--repeat", type=int, default=5, help="samples of each, of which the median counts (5)")
    parser.add_argument("--count", type=int, default=40000, help="tasks of a sample (40000)")
    parser.add_argument("--check", action="store_true", help="fail below 3 times to_thread at 1,000 in flight, 2 times submit")
    options = parser.parse_args(arguments)
    rows = measure(options.repeat, options.count)
    print(f"execq {execq.library_version()}, Python {sys.version.split()[0]}, {WORKERS} workers, "
          f"median of {options.repeat}")
    for what, who, rate, ratio in rows:
        print(f"{what:<40} {who:<28} {rate:>12,.0f}/s {ratio:>7.2f}x")
    bad = [(what, who) for what, who, _, ratio in rows
           if (who == "execq" and what.startswith("subm") and ratio < 2)
           or (who == "execq.aio.exec_in_executor" and "1000" in what and ratio < 3)]
    for what, who in bad:
        print(f"below what is promised: {what}, {who}")
    return 1 if options.check and bad else 0


if __name__ == "__main__":
    sys.exit(main())
