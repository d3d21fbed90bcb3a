"""Measures the cache of results, the official SDK in the same run: prints JSON.

    python benchmarks/cache.py [--peer PYTHON] [--rounds N]

    hit             an action answered from the cache, small inputs, microseconds; beside a plain action
    miss            an action that executes and whose result is stored, microseconds
    hit_100mb       the same hit with an array of 100 MB as input, against the digest of the array alone
    serialized      1,000 calls of one key at once: one executes, milliseconds in all

Each figure is the median of several fresh processes, ours and the peer's in turns, each with a home of its own. `cpu`
is the processor time of the same: on a busy machine it grows less than the time on the clock.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve()
CALLS = 2_000
MISSES = 300
LARGE_CALLS = 7
AT_ONCE = 1_000
LARGE_ITEMS = 12_500_000


def main() -> None:
    """Measures everything; `--workload` is one measured process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--peer", help="Python interpreter with the official `flyte` installed")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workload", choices=["flyte_nb", "flyte"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.workload:
        print(json.dumps(workload(arguments.workload)))
        return
    ours, theirs = [], []
    for _ in range(arguments.rounds):
        ours.append(measured(sys.executable, "flyte_nb"))
        if arguments.peer:
            theirs.append(measured(arguments.peer, "flyte"))
    print(json.dumps(figures(ours, theirs), indent=1))


def figures(ours: list[dict[str, float]], theirs: list[dict[str, float]]) -> dict[str, Any]:
    """The medians, and the ratios that count."""
    result: dict[str, Any] = {name: round(median(ours, name), 2) for name in ours[0]}
    result["hit_100mb_over_digest"] = round(median(ours, "hit_100mb_ms") / median(ours, "digest_100mb_ms"), 2)
    if theirs:
        result["peer_hit_us"] = round(median(theirs, "hit_us"), 1)
        result["hit_over_peer"] = round(median(ours, "hit_us") / median(theirs, "hit_us"), 3)
        result["peer_miss_us"] = round(median(theirs, "miss_us"), 1)
    return result


def median(samples: list[dict[str, float]], name: str) -> float:
    return statistics.median(sample[name] for sample in samples)


def measured(python: str, module: str) -> dict[str, float]:
    """One workload in a fresh process and home."""
    with tempfile.TemporaryDirectory() as home:
        environment = {
            **os.environ,
            "HOME": home,
            "FLYTE_NB_HOME": f"{home}/store",
            "PYTHONPATH": str(HERE.parent.parent) if module == "flyte_nb" else "",
            "LOG_LEVEL": "40",
            "DO_NOT_TRACK": "1",
        }
        command = [python, str(HERE), "--workload", module]
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
        samples: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return samples


def workload(module: str) -> dict[str, float]:
    """Declares the tasks and measures them from inside a root task."""
    flyte = importlib.import_module(module)
    env = flyte.TaskEnvironment("bench")

    @env.task(cache="auto")
    async def cached(x: int) -> int:
        return x + 1

    @env.task
    async def plain(x: int) -> int:
        return x + 1

    @env.task
    async def small() -> list[float]:
        await cached(0)
        await plain(0)
        cpu_began = time.process_time()
        hit = await seconds_each(lambda _: cached(0), CALLS)
        hit_cpu = (time.process_time() - cpu_began) / CALLS
        not_cached = await seconds_each(plain, CALLS)
        miss = await seconds_each(lambda at: cached(at + 1), MISSES)
        return [hit * 1e6, hit_cpu * 1e6, not_cached * 1e6, miss * 1e6]

    hit_us, hit_cpu_us, plain_us, miss_us = flyte.run(small).outputs()[0]
    result = {"hit_us": hit_us, "hit_cpu_us": hit_cpu_us, "plain_us": plain_us, "miss_us": miss_us}
    return result if module == "flyte" else {**result, **ours_alone(flyte, env)}


def ours_alone(flyte: Any, env: Any) -> dict[str, float]:
    """What the peer has no equal of: arrays by content, and calls that wait for one another."""
    import numpy as np
    from blake3 import blake3

    @env.task(cache="auto")
    async def first(array: Any) -> float:
        return float(array[0])

    @env.task(cache=flyte.Cache("auto", serialize=True))
    async def alone(x: int) -> int:
        await asyncio.sleep(0)
        return x

    @env.task
    async def large() -> list[float]:
        array = np.random.default_rng(1).random(LARGE_ITEMS)
        await first(array)
        hits, digests = [], []
        for _ in range(LARGE_CALLS):
            hits.append(await seconds_each(lambda _: first(array), 1))
            started = time.perf_counter()
            blake3(array.data.cast("B")).digest()
            digests.append(time.perf_counter() - started)
        return [statistics.median(hits) * 1e3, statistics.median(digests) * 1e3]

    @env.task
    async def at_once() -> float:
        started = time.perf_counter()
        await asyncio.gather(*[alone(1) for _ in range(AT_ONCE)])
        return (time.perf_counter() - started) * 1e3

    hit_ms, digest_ms = flyte.run(large).outputs()[0]
    return {
        "hit_100mb_ms": hit_ms,
        "digest_100mb_ms": digest_ms,
        "serialized_1000_ms": flyte.run(at_once).outputs()[0],
    }


async def seconds_each(call: Callable[[int], Awaitable[Any]], count: int) -> float:
    """How long one of `count` calls takes, one after the other."""
    started = time.perf_counter()
    for at in range(count):
        await call(at)
    return (time.perf_counter() - started) / count


if __name__ == "__main__":
    main()
