"""Measures recovery and traces: `python benchmarks/recovery.py`. Prints JSON.

    recovery    reusing 10,000 finished actions, against the figure of 15 us each plus 300 ms
    traces      one after another, and 1,000 at once, against the bare append + fsync of as many bytes
    keeping     what keeping a run's code costs at each run

Each figure is the median of several rounds in one process, which has a store of its own.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flyte_nb as flyte
from flyte_nb.engine.session import end_session, session

ACTIONS = 10_000
STEPS = 1_000
ROUNDS = 3

env = flyte.TaskEnvironment("recovery")


@env.task
async def leaf(x: int) -> int:
    """Does nothing."""
    return x


@flyte.trace
async def step(x: int) -> int:
    """Does nothing, on record."""
    return x


@env.task
async def fan_out(n: int, began: float) -> int:
    """As many children as asked for."""
    return sum(await asyncio.gather(*[leaf(x) for x in range(n)]))


@env.task
async def one_after_another(n: int) -> float:
    """Seconds that as many steps take, each awaited."""
    began = time.perf_counter()
    for x in range(n):
        await step(x)
    return time.perf_counter() - began


@env.task
async def at_once(n: int, at_a_time: int) -> float:
    """Seconds that as many steps take, so many of them at a time."""
    began = time.perf_counter()
    for first in range(0, n, at_a_time):
        await asyncio.gather(*[step(x) for x in range(first, first + at_a_time)])
    return time.perf_counter() - began


def main() -> None:
    """Measures everything."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["FLYTE_NB_HOME"] = f"{folder}/store"
        figures = {"recovery": recovery(), "traces": traces(Path(folder)), "keeping": keeping()}
        end_session()
    print(json.dumps(figures, indent=1))


def recovery() -> dict[str, float]:
    """Of a run whose root runs again and finds all its children finished, read from the store."""
    seconds, flat = [], []
    for number in range(ROUNDS):
        name = f"recovered-{number}"
        flyte.with_runcontext(name=name).run(fan_out, ACTIONS, 0.0)
        end_session()  # so that it is read from the store, as in another kernel
        flat.append(timed(partial(flyte.run, fan_out, 1, 0.0)))
        seconds.append(timed(partial(flyte.rerun, name, recover=True, began=1.0)))
    median = statistics.median(seconds)
    return {
        "actions": ACTIONS,
        "seconds": round(median, 3),
        "target_seconds": round(ACTIONS * 15e-6 + 0.3, 3),
        "us_per_action": round((median - statistics.median(flat)) / ACTIONS * 1e6, 1),
    }


def traces(folder: Path) -> dict[str, float]:
    """Steps against what the disk itself needs."""
    alone = statistics.median(flyte.run(one_after_another, STEPS // 2).outputs()[0] for _ in range(ROUNDS))
    bare = statistics.median(appends(folder / f"bare {number}", STEPS // 2) for number in range(ROUNDS))
    crowd = statistics.median(flyte.run(at_once, 10 * STEPS, STEPS).outputs()[0] for _ in range(ROUNDS))
    return {
        "us_per_step": round(alone / (STEPS // 2) * 1e6, 1),
        "us_per_append_and_fsync": round(bare / (STEPS // 2) * 1e6, 1),
        "ratio": round(alone / bare, 2),
        "per_second_with_1000_at_once": round(10 * STEPS / crowd),
    }


def appends(file: Path, count: int) -> float:
    """Seconds of as many appends of 300 bytes, each with an fsync."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    began = time.perf_counter()
    for _ in range(count):
        os.write(descriptor, b"x" * 300)
        os.fsync(descriptor)
    seconds = time.perf_counter() - began
    os.close(descriptor)
    return seconds


def keeping() -> dict[str, float]:
    """A run's code that has not changed since the last run."""
    keeper = session().code
    keeper.keep(fan_out)
    seconds = timed(lambda: [keeper.keep(fan_out) for _ in range(STEPS)])
    return {"us_per_run": round(seconds / STEPS * 1e6, 1)}


def timed(call: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
