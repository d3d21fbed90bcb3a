"""Measures `flyte.check` on 200 tasks in 100 cells, in a shell of IPython: prints JSON.

    python benchmarks/checking.py [--rounds N]

    first_ms    the first check in a fresh process: modules are imported, the source of every function is parsed
    cpu_ms      the time of the processor in it, for machines that are busy with something else
    again_ms    the same check again
    edited_ms   after one of the cells was run again

Each figure is the median of several fresh processes. Every cell has two tasks and a helper; each task calls the two of
the cell before, through the helper and directly; one cell has a mistake, so that it is seen that there was a check.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CELLS = 100
SETUP = """
import asyncio
import flyte_nb as flyte
env = flyte.TaskEnvironment("measured", cache="auto")
SCALE = {"factor": 3}

@env.task
async def first_0(x: int, label: str = "a") -> int:
    return x

@env.task
def second_0(x: int, label: str = "b") -> list[int]:
    return [x, x]
"""
CELL = """
async def helper_{n}(x: int) -> int:
    values = await second_{before}.aio(x, label="from {n}")
    return sum(values) * SCALE["factor"]

@env.task
async def first_{n}(x: int, label: str = "a") -> int:
    one, two = await asyncio.gather(first_{before}(x), helper_{n}(x + 1))
    results = [await first_{before}(at, label=f"{{label}} {{at}}") for at in range(3)]
    return one + two + sum(results)

@env.task
def second_{n}(x: int, label: str = "b") -> list[int]:
    total = 0
    for value in second_{before}(x, label):
        total += value
    return [total, x]
"""
MISTAKE = """
@env.task
async def main(n: int) -> int:
    return await first_{last}("n") + len(await second_{last}.aio(n))
"""


def main() -> None:
    """Measures everything; `--workload` is one measured process."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workload", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.workload:
        print(json.dumps(workload()))
        return
    samples = [measured() for _ in range(arguments.rounds)]
    print(json.dumps({name: statistics.median(sample[name] for sample in samples) for name in samples[0]}, indent=1))


def measured() -> dict[str, float]:
    """One workload in a fresh process and home."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "FLYTE_NB_HOME": f"{home}/store", "IPYTHONDIR": home}
        environment["PYTHONPATH"] = str(Path(__file__).resolve().parent.parent)
        words = [sys.executable, __file__, "--workload"]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
        measures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return measures


def workload() -> dict[str, float]:
    """Runs the cells, and checks."""
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell.instance()
    cells = [SETUP, *(CELL.format(n=n, before=n - 1) for n in range(1, CELLS))]
    cells[-1] += MISTAKE.format(last=CELLS - 1)
    for cell in cells:
        shell.run_cell(cell, store_history=True).raise_error()
    names = shell.user_ns
    cpu = time.process_time()
    first = timed(names)
    cpu = time.process_time() - cpu
    again = timed(names)
    shell.run_cell(cells[50], store_history=True).raise_error()
    return {"first_ms": first, "cpu_ms": round(cpu * 1e3, 1), "again_ms": again, "edited_ms": timed(names)}


def timed(names: dict[str, object]) -> float:
    flyte = names["flyte"]
    began = time.perf_counter()
    checked = flyte.check(names["main"])  # type: ignore[attr-defined]
    elapsed = time.perf_counter() - began
    assert len(checked.graph.nodes) == 2 * CELLS + 1, len(checked.graph.nodes)
    assert [problem.kind for problem in checked.problems] == ["types"], checked
    return round(elapsed * 1e3, 1)


if __name__ == "__main__":
    main()
