"""One measured workload in a fresh process: the same program under flyte_nb and under the official SDK.

    python workload.py MODULE CASE COUNT [--persist]     prints one line of JSON

Cases: `sequence` awaits COUNT trivial children one by one, `gather` all at once; `import` only imports; `first` runs
one trivial task. Times are taken inside the root task, so starting up and shutting down do not count, but in `first`.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import resource
import sys
import time
from typing import Any

STARTED = time.perf_counter()


def main() -> None:
    """Runs the case named on the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("module")
    parser.add_argument("case", choices=["sequence", "gather", "import", "first"])
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--persist", action="store_true", help="the official SDK's recording, off by default")
    arguments = parser.parse_args()
    flyte = importlib.import_module(arguments.module)
    imported = time.perf_counter() - STARTED
    if arguments.case == "import":
        print(json.dumps({"seconds": imported, "modules": len(sys.modules)}))
        return
    if arguments.persist:
        flyte.init(local_persistence=True)
    seconds = run(flyte, arguments.case, arguments.count)
    total = time.perf_counter() - STARTED
    print(
        json.dumps(
            {
                "seconds": total if arguments.case == "first" else seconds,
                "us_per_action": seconds / arguments.count * 1e6,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def run(flyte: Any, case: str, count: int) -> float:
    """Declares the tasks and runs the case; returns the seconds that the children took."""
    env = flyte.TaskEnvironment("bench")

    @env.task
    async def child(x: int) -> int:
        return x + 1

    @env.task
    async def sequence(n: int) -> float:
        started = time.perf_counter()
        for i in range(n):
            await child(i)
        return time.perf_counter() - started

    @env.task
    async def gather(n: int) -> float:
        started = time.perf_counter()
        await asyncio.gather(*[child(i) for i in range(n)])
        return time.perf_counter() - started

    if case == "first":
        return float(flyte.run(child, 1).outputs()[0])
    if count >= 1000 and case != "first":
        flyte.run(sequence, 100)
    return float(flyte.run({"sequence": sequence, "gather": gather}[case], count).outputs()[0])


if __name__ == "__main__":
    main()
