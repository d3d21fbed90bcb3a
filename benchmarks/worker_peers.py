"""One measured workload of another library's worker processes; the cases are those of `worker_tasks.py`.

    python worker_peers.py LIBRARY CASE COUNT     prints one line of JSON

LIBRARY is `pool` (the standard library's ProcessPoolExecutor, awaited through asyncio), `joblib` or `ray`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

BLOCKS = 5
BURN_SECONDS = 0.25
CORES = 2


def main() -> None:
    """Runs the case named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("library", choices=LIBRARIES)
    parser.add_argument("case")
    parser.add_argument("count", type=int)
    arguments = parser.parse_args()
    print(json.dumps(LIBRARIES[arguments.library](arguments.case, arguments.count)))


def add_one(x: int) -> int:
    """The trivial task."""
    return x + 1


def burn(seconds: float) -> int:
    """Pure Python for so much cpu time."""
    began = time.thread_time()
    loops = 0
    while time.thread_time() - began < seconds:
        loops += 1
    return loops


def pool(case: str, count: int) -> dict[str, float]:
    """The standard library's pool, awaited as a task would be."""
    with ProcessPoolExecutor(1 if case == "round_trip" else CORES) as executor:

        async def one_by_one() -> None:
            loop = asyncio.get_running_loop()
            for number in range(count):
                await loop.run_in_executor(executor, add_one, number)

        async def gathered(function: Callable[[Any], int], values: list[Any]) -> None:
            loop = asyncio.get_running_loop()
            await asyncio.gather(*[loop.run_in_executor(executor, function, value) for value in values])

        with asyncio.Runner() as runner:
            return figures(
                case,
                count,
                one_by_one=lambda: runner.run(one_by_one()),
                gathered=lambda function, values: runner.run(gathered(function, values)),
            )


def joblib(case: str, count: int) -> dict[str, float]:
    """joblib, which batches."""
    from joblib import Parallel, delayed

    with Parallel(n_jobs=CORES) as parallel:
        return figures(
            case, count, gathered=lambda function, values: parallel(delayed(function)(value) for value in values)
        )


def ray(case: str, count: int) -> dict[str, float]:
    """Ray on this machine."""
    import ray

    ray.init(num_cpus=CORES, include_dashboard=False, log_to_driver=False)
    child = ray.remote(add_one)

    @ray.remote
    def parent(n: int) -> float:
        def children() -> None:
            ray.get([child.remote(number) for number in range(n)])

        children()
        return median_seconds(children)

    def one_by_one() -> None:
        for number in range(count):
            ray.get(child.remote(number))

    def gathered(function: Callable[[Any], int], values: list[Any]) -> None:
        remote = ray.remote(function)
        ray.get([remote.remote(value) for value in values])

    if case == "nested":
        return {"seconds": ray.get(parent.remote(count))}
    return figures(case, count, one_by_one, gathered)


def figures(
    case: str,
    count: int,
    one_by_one: Callable[[], Any] | None = None,
    gathered: Callable[[Callable[[Any], int], list[Any]], Any] | None = None,
) -> dict[str, float]:
    """Measures a case, given how the library does it; the first round starts the workers."""
    if case == "round_trip" and one_by_one is not None:
        one_by_one()
        return {"seconds": median_seconds(one_by_one) / count}
    if case == "throughput" and gathered is not None:
        values = list(range(count))
        gathered(add_one, values)
        return {"tasks_per_second": count / median_seconds(lambda: gathered(add_one, values))}
    if case == "cpu_bound" and gathered is not None:
        gathered(burn, [0.01] * CORES)
        started = time.perf_counter()
        gathered(burn, [BURN_SECONDS] * count)
        return {"of_ideal": (time.perf_counter() - started) / (count * BURN_SECONDS / CORES)}
    raise ValueError(f"{case} is not measured with this library")


def median_seconds(work: Callable[[], Any]) -> float:
    """The median of some repetitions."""
    taken = []
    for _ in range(BLOCKS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


LIBRARIES: dict[str, Callable[[str, int], dict[str, float]]] = {"pool": pool, "joblib": joblib, "ray": ray}

if __name__ == "__main__":
    main()
