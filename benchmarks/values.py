"""Measures how values of 100 MB cross to a worker and from there to another one. Prints JSON.

    python benchmarks/values.py [--rounds 7] [--megabytes 100]

first       from the call in the kernel to the first line of the task in a worker: digested, written, mapped
passed_on   the same from that worker to another one: neither digested nor written
again       as first, of content that is stored already, in memory that anybody may have written to: digested

Ratios are to a memcpy of the same size into a warm buffer, timed beside each crossing. A value is changed in place
and its file deleted between rounds, so that no round pays for memory that the machine has never touched before (on a
virtual machine ten times the price of a copy); `write` is what write(2) of such a file takes, the floor of `first`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import flyte_nb as flyte

MB = 1_000_000
ROW_BYTES = 64

workers = flyte.TaskEnvironment("workers", reusable=flyte.ReusePolicy(replicas=2, concurrency=1))
kernel = flyte.TaskEnvironment("kernel", depends_on=[workers])


@workers.task
async def last(value: Any) -> float:
    return time.perf_counter()


@workers.task
async def relay(value: Any) -> tuple[float, float]:
    """When the value was here, and how long it took from here to another worker."""
    arrived = time.perf_counter()
    return arrived, await last(value) - arrived


@kernel.task
async def crossings(name: str, megabytes: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of every round."""
    value, change = MAKERS[name](megabytes * MB)
    source, target = np.ones(megabytes * MB // 8), np.zeros(megabytes * MB // 8)
    seconds: dict[str, list[float]] = defaultdict(list)
    for number in range(rounds + 2):
        change(number)
        recycle(seconds["write"], source)
        started = time.perf_counter()
        np.copyto(target, source)
        seconds["memcpy"].append(time.perf_counter() - started)
        for figure in ("first", "again"):
            started = time.perf_counter()
            arrived, onwards = await relay(value)
            seconds[figure].append(arrived - started)
            seconds["passed_on"].append(onwards)
        delete_values()
    return {figure: taken[len(taken) * 2 // (rounds + 2) :] for figure, taken in seconds.items()}


def array(size_bytes: int) -> tuple[Any, Callable[[int], None]]:
    """A numpy array."""
    value = np.random.default_rng(0).random(size_bytes // 8)
    return value, lambda number: np.add(value, number, out=value)


def numeric_frame(size_bytes: int) -> tuple[Any, Callable[[int], None]]:
    """A pandas frame of ten columns of numbers."""
    value = pd.DataFrame(np.random.default_rng(0).random((size_bytes // 80, 10)), columns=list("abcdefghij"))
    return value, lambda number: value.isetitem(0, np.full(len(value), float(number)))


def mixed_frame(size_bytes: int) -> tuple[Any, Callable[[int], None]]:
    """A pandas frame of numbers, times and texts."""
    rows = size_bytes // ROW_BYTES
    texts = pd.Series([f"a text of forty letters, its number {k % 1000:04}" for k in range(1000)])
    value = pd.DataFrame(
        {
            "number": np.random.default_rng(0).random(rows),
            "at": pd.date_range("2020", periods=rows, freq="s"),
            "text": texts.take(np.arange(rows) % 1000).array,
        }
    )
    return value, lambda number: value.isetitem(0, np.full(rows, float(number)))


MAKERS = {"numpy": array, "pandas_numeric": numeric_frame, "pandas_mixed": mixed_frame}


def recycle(seconds: list[float], content: np.ndarray) -> None:
    """Writes a file as large as the value and deletes it: its memory is what the value's file gets."""
    with tempfile.NamedTemporaryFile(dir=os.environ["FLYTE_NB_HOME"], buffering=0) as file:
        started = time.perf_counter()
        file.write(content.data)
        seconds.append(time.perf_counter() - started)


def delete_values() -> None:
    """Empties the value store."""
    for file in Path(os.environ["FLYTE_NB_HOME"], "values").glob("??/*"):
        file.unlink()


def figures(name: str, megabytes: int, rounds: int) -> dict[str, Any]:
    """Milliseconds, and ratios to the memcpy of the same run."""
    seconds = flyte.run(crossings, name, megabytes, rounds).outputs()[0]
    milliseconds = {figure: 1000 * statistics.median(taken) for figure, taken in seconds.items()}
    return {
        "ms": {figure: round(taken, 2) for figure, taken in milliseconds.items()},
        "ratio": {figure: round(taken / milliseconds["memcpy"], 3) for figure, taken in milliseconds.items()},
    }


def main() -> None:
    """Measures every kind of value."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--megabytes", type=int, default=100)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["FLYTE_NB_HOME"] = home
        results = {name: figures(name, arguments.megabytes, arguments.rounds) for name in MAKERS}
    print(json.dumps({"megabytes": arguments.megabytes, "rounds": arguments.rounds, **results}, indent=1))


if __name__ == "__main__":
    main()
