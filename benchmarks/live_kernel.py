"""Measures what a kernel in use feels like: Stop, and runs beside gigabytes of variables. Prints JSON.

python benchmarks/live_kernel.py [--rounds N]

stop_ms     from Stop to the kernel's idle, per way to run a task that never ends: the longest of N rounds (5 unless
            told), milliseconds; the limit is 500
start_ms    from a line to its result, in an empty kernel and in one with 5 GB of variables (arrays, of which every
            hundredth page is touched, and two million small objects), per place where the task runs: medians of
            10 N rounds, milliseconds; the task touches none of the variables
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cells import execute
from jupyter_client.manager import start_new_kernel

PROJECT = Path(__file__).resolve().parent.parent
DECLARED = """
%load_ext flyte_nb
import asyncio, time
import flyte_nb as flyte
env = flyte.TaskEnvironment("measured")

@env.task
async def endless(x: int = 0) -> int:
    print("begun", flush=True)
    await asyncio.sleep(600)
    return x

@env.task
async def busy(x: int = 0) -> int:
    print("begun", flush=True)
    while True:
        x += 1

@env.task
def blocking(x: int = 0) -> int:
    print("begun", flush=True)
    while True:
        time.sleep(0.01)

@env.task
async def small(x: int) -> int:
    return x + 1
"""
FILLED = """
import numpy as np
arrays = [np.empty(125_000_000 // 2, dtype="float64") for _ in range(10)]
for array in arrays:
    array[:: 100 * 512] = 1.0
objects = [{"id": number, "tags": [number]} for number in range(1_000_000)]
"""
WAYS = {
    "line": "%flyte run endless",
    "line_busy": "%flyte run busy",
    "line_blocking": "%flyte run blocking",
    "line_process": "%flyte run --isolation process busy",
    "cell": "%%flyte run\nprint('begun', flush=True)\nwhile True:\n    pass",
    "run": "flyte.run(endless)",
    "awaited": "await flyte.run.aio(endless)",
    "map": "%flyte map endless x=range(3)",
    "wait": "%flyte run -b endless\n%flyte wait",
}
STARTS = {
    "plain": "y = 1 + 1",
    "kernel": "flyte.run(small, 1)",
    "process": "flyte.with_runcontext(isolation='process').run(small, 1)",
    "cell": "%%flyte run\ny = 1 + 1",
}
PAUSE_SECONDS = 0.05
"""Between cells, so that what the kernel does after one does not count for the next."""


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with kernel() as (manager, empty), kernel() as (_, filled):
        stopped = {name: max(stop(manager, empty, cell) for _ in range(rounds)) for name, cell in WAYS.items()}
        execute(filled, FILLED)
        starts = started({"empty": empty, "5_gb": filled}, 10 * rounds)
    print(json.dumps({"stop_ms": stopped, "start_ms": starts}, indent=1))


@contextmanager
def kernel() -> Iterator[tuple[Any, Any]]:
    """A kernel with a store of its own."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "FLYTE_NB_HOME": f"{home}/store", "PYTHONPATH": str(PROJECT), "IPYTHONDIR": home}
        manager, client = start_new_kernel(kernel_name="python3", cwd=home, env=environment)
        try:
            execute(client, DECLARED)
            yield manager, client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)
            manager.cleanup_resources()


def stop(manager: Any, client: Any, cell: str) -> float:
    """How long the kernel takes to be idle after Stop, milliseconds."""
    pressed: list[float] = []

    def press(message: dict[str, Any]) -> None:
        if not pressed and message["msg_type"] == "stream" and "begun" in message["content"]["text"]:
            pressed.append(time.perf_counter())
            os.kill(manager.provisioner.pid, signal.SIGINT)

    reply = client.execute_interactive(cell, output_hook=press, timeout=60)
    taken = time.perf_counter() - pressed[0]
    if reply["content"]["status"] != "error":
        raise RuntimeError(f"{cell} was not stopped")
    return round(taken * 1000, 1)


def started(kernels: dict[str, Any], rounds: int) -> dict[str, dict[str, float]]:
    """The medians of how long each cell takes in each kernel, milliseconds, all in turns."""
    samples: dict[tuple[str, str], list[float]] = {(cell, name): [] for cell in STARTS for name in kernels}
    for _ in range(rounds + 1):
        for cell, name in samples:
            samples[cell, name].append(execute(kernels[name], STARTS[cell]))
            time.sleep(PAUSE_SECONDS)
    medians = {key: round(statistics.median(taken[1:]), 2) for key, taken in samples.items()}  # the first one warms
    return {cell: {name: medians[cell, name] for name in kernels} for cell in STARTS}


if __name__ == "__main__":
    main()
