"""Measures deploying and calling what is deployed: prints JSON.

    python benchmarks/deployment.py [--rounds N]

    script_first_ms   a script's `flyte.deploy` of 20 tasks into a new store, with all that it loads for it
    kernel_first_ms   the same in a kernel after `%load_ext flyte_nb`
    again_ms          of the same once more, which changes nothing
    changed_ms        of the 20 tasks with another line in each
    local_ms          a call of a task of the kernel's own in a run; the same of its deployed self is
    deployed_ms

Each figure is the median of several fresh processes, each with a store of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TASKS = 20
CALLS = 500
MODULE = "import flyte_nb as flyte\n\nenv = flyte.TaskEnvironment('many')\n" + "".join(
    f"\n\n@env.task\nasync def task{number}(x: int, y: float = 1.0) -> float:\n    return x * y + {number}\n"
    for number in range(TASKS)
)
PROGRAM = """
import json, sys, time
if "IPython" in sys.argv:
    from IPython.core.interactiveshell import InteractiveShell
    InteractiveShell.instance().run_line_magic("load_ext", "flyte_nb")
import flyte_nb as flyte
import many, more
caller = flyte.TaskEnvironment("caller")

def timed(env):
    began = time.perf_counter()
    flyte.deploy(env)
    return (time.perf_counter() - began) * 1e3

async def called(task):
    await task(x=1)
    began = time.perf_counter()
    for number in range(CALLS):
        await task(x=number)
    return (time.perf_counter() - began) * 1e3 / CALLS

@caller.task
async def main() -> list[float]:
    there = flyte.remote.Task.get("many.task1", auto_version="latest")
    return [await called(many.task1), await called(there)]

told = {"first_ms": timed(many.env), "again_ms": timed(many.env), "changed_ms": timed(more.env)}
told["local_ms"], told["deployed_ms"] = flyte.run(main).outputs()[0]
print(json.dumps(told))
"""


def main() -> None:
    """Measures everything."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    script = [measured() for _ in range(rounds)]
    kernel = [measured("IPython") for _ in range(rounds)]
    figures = {"script_first_ms": median(script, "first_ms"), "kernel_first_ms": median(kernel, "first_ms")}
    print(json.dumps(figures | {name: median(kernel, name) for name in kernel[0] if name != "first_ms"}, indent=1))


def measured(*arguments: str) -> dict[str, float]:
    """What one fresh process measures."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "many.py").write_text(MODULE, encoding="utf-8")
        Path(folder, "more.py").write_text(MODULE.replace("x * y", "x + y"), encoding="utf-8")
        Path(folder, "program.py").write_text(PROGRAM.replace("CALLS", str(CALLS)), encoding="utf-8")
        done = subprocess.run(
            [sys.executable, "program.py", *arguments],
            cwd=folder,
            env={**os.environ, "FLYTE_NB_HOME": f"{folder}/.flyte_nb"},
            stdout=subprocess.PIPE,
            check=True,
        )
        told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return told


def median(rounds: list[dict[str, float]], name: str) -> float:
    """The middle of one figure, milliseconds."""
    return round(statistics.median(one[name] for one in rounds), 3)


if __name__ == "__main__":
    main()
