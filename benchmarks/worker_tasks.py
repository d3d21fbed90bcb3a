"""One workload of worker processes in a fresh process: under flyte_nb, and where it can under the official SDK.

    python worker_tasks.py MODULE CASE COUNT     prints one line of JSON

round_trip       COUNT trivial async tasks, awaited one by one, in one warm worker
round_trip_sync  the same, of sync tasks
nested           a task in a worker gathers COUNT children of the same pool of two workers
throughput       COUNT trivial async tasks, gathered, in a pool of two workers
cpu_bound        COUNT sync tasks of pure Python, a quarter of a second of cpu time each, in a pool of two workers
cpu_bound_unset  the same tasks without a word about processes but `flyte.init(isolation="process")`
start            a new pool's first call, the zygote warm and with pandas loaded
fresh            a task with a memory limit: a process of its own, from the call to the result
left_behind      what COUNT tasks of a pool leave in the kernel and in the system
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import statistics
import time
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any

BLOCKS = 5
BURN_SECONDS = 0.25
CORES = 2
LARGE_BYTES = 1_500_000

flyte: Any = None


def main() -> None:
    """Runs the case named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("case", choices=CASES)
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    global flyte
    flyte = importlib.import_module(arguments.module)
    print(json.dumps(CASES[arguments.case](arguments.count)))


def pool(name: str, replicas: int, concurrency: int) -> Any:
    """An environment with warm workers."""
    return flyte.TaskEnvironment(name, reusable=flyte.ReusePolicy(replicas=replicas, concurrency=concurrency))


def measured(work: Callable[[], Coroutine[Any, Any, dict[str, float]]], *environments: Any) -> dict[str, float]:
    """What a root task in the kernel measures."""
    kernel = flyte.TaskEnvironment("kernel", depends_on=list(environments))

    @kernel.task
    async def root() -> dict[str, float]:
        return await work()

    result: dict[str, float] = flyte.run(root).outputs()[0]
    return result


async def one_by_one(child: Any, count: int) -> dict[str, float]:
    """Seconds of one of so many calls, each awaited before the next."""

    async def calls() -> None:
        for number in range(count):
            await child.aio(number)

    await calls()
    return {"seconds": await median_seconds(calls) / count}


async def median_seconds(work: Callable[[], Awaitable[Any]]) -> float:
    """The median of some repetitions."""
    taken = []
    for _ in range(BLOCKS):
        started = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def round_trip(count: int) -> dict[str, float]:
    """Seconds of one call, awaited alone."""
    env = pool("one", 1, 2)

    @env.task
    async def child(x: int) -> int:
        return x + 1

    return measured(lambda: one_by_one(child, count), env)


def round_trip_sync(count: int) -> dict[str, float]:
    """Seconds of one call of a sync task, awaited alone."""
    env = pool("one", 1, 1)

    @env.task
    def child(x: int) -> int:
        return x + 1

    return measured(lambda: one_by_one(child, count), env)


def nested(count: int) -> dict[str, float]:
    """Seconds that a task in a worker waits for its children."""
    env = pool("two", 2, 64)

    @env.task
    async def child(x: int) -> int:
        return x + 1

    @env.task
    async def parent(n: int) -> float:
        async def children() -> None:
            await asyncio.gather(*[child(number) for number in range(n)])

        await children()
        return await median_seconds(children)

    async def work() -> dict[str, float]:
        return {"seconds": await parent(count)}

    return measured(work, env)


def throughput(count: int) -> dict[str, float]:
    """Tasks per second."""
    env = pool("two", 2, 64)

    @env.task
    async def child(x: int) -> int:
        return x + 1

    async def calls() -> None:
        await asyncio.gather(*[child(number) for number in range(count)])

    async def work() -> dict[str, float]:
        await calls()
        return {"tasks_per_second": count / await median_seconds(calls)}

    return measured(work, env)


def cpu_bound(count: int) -> dict[str, float]:
    """How much longer than the ideal pure Python takes on two cores."""
    return _cpu_bound(pool("two", 2, 1), count)


def cpu_bound_unset(count: int) -> dict[str, float]:
    """The same, where only the session says that tasks run in processes."""
    if flyte.__name__ == "flyte_nb":
        flyte.init(isolation="process")
    return _cpu_bound(flyte.TaskEnvironment("two"), count)


def start(count: int) -> dict[str, float]:
    """Seconds until a new worker has run its first task, where the zygote has pandas loaded."""
    importlib.import_module("pandas")

    def first_task(name: str) -> Any:
        @pool(name, 1, 2).task
        async def child(x: int) -> int:
            return x + 1

        return child

    children = [first_task(f"pool{number}") for number in range(count)]

    async def work() -> dict[str, float]:
        taken = []
        for child in children:
            started = time.perf_counter()
            await child(1)
            taken.append(time.perf_counter() - started)
        return {"seconds": statistics.median(taken)}

    return measured(work)


def fresh(count: int) -> dict[str, float]:
    """Seconds of one call in a process of its own."""
    env = flyte.TaskEnvironment("fresh", resources=flyte.Resources(memory="500Mi"))

    @env.task
    async def child(x: int) -> int:
        return x + 1

    return measured(lambda: one_by_one(child, count), env)


def left_behind(count: int) -> dict[str, float]:
    """Descriptors and mapped values more than after a few tasks, and processes that outlive the session."""
    from flyte_nb.testing import reset

    env = pool("two", 2, 2)
    contents = [bytes([number]) * LARGE_BYTES for number in range(10)]

    @env.task
    async def child(values: bytes) -> bytes:
        return values

    def held() -> tuple[int, int]:
        processes = [os.getpid(), *descendants(os.getpid())]
        return sum(map(descriptors, processes)), sum(map(mapped_values, processes))

    async def work() -> dict[str, float]:
        for content in contents:
            await asyncio.gather(child(content), child(content))
        before = held()
        for number in range(count):
            await child(contents[number % len(contents)])
        after = held()
        return {"descriptors": float(after[0] - before[0]), "mapped_values": float(after[1] - before[1])}

    figures = measured(work, env)
    workers = descendants(os.getpid())
    reset(os.environ["FLYTE_NB_HOME"])
    return {**figures, "processes": sum(map(is_running, workers))}


def descendants(pid: int) -> list[int]:
    """Every process that comes from this one."""
    lists = [file.read_text().split() for file in Path(f"/proc/{pid}/task").glob("*/children")]
    children = [int(child) for each in lists for child in each]
    return children + [each for child in children for each in descendants(child)]


def is_running(pid: int) -> bool:
    """Whether a process is there, and more than a name that nobody has taken note of."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def mapped_values(pid: int) -> int:
    """How many files of the value store a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text().count(f"{os.environ['FLYTE_NB_HOME']}/values/")


def _cpu_bound(env: Any, count: int) -> dict[str, float]:
    @env.task
    def burn(seconds: float) -> int:
        began = time.thread_time()
        loops = 0
        while time.thread_time() - began < seconds:
            loops += 1
        return loops

    @flyte.TaskEnvironment("parent", depends_on=[env]).task
    async def parent(seconds: list[float]) -> float:
        started = time.perf_counter()
        await asyncio.gather(*[burn.aio(each) for each in seconds])
        return time.perf_counter() - started

    flyte.run(parent, [0.0, 0.0])
    taken = float(flyte.run(parent, [BURN_SECONDS] * count).outputs()[0])
    return {"of_ideal": taken / (count * BURN_SECONDS / CORES)}


CASES: dict[str, Callable[[int], dict[str, float]]] = {
    case.__name__: case
    for case in (round_trip, round_trip_sync, nested, throughput, cpu_bound, cpu_bound_unset, start, fresh, left_behind)
}

if __name__ == "__main__":
    main()
