"""Cached tasks that write a line to a witness file each time they execute, and wait for a gate: a file that opens.

python -m tests.engine.cached_tasks call WITNESS GATE      run `gated` and print where its result came from
python -m tests.engine.cached_tasks hold PATH              hold a key's lock, in a process that has forked another
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import flyte_nb as flyte
from flyte_nb.engine.cache.turns import KeyFile
from tests.processes import until

env = flyte.TaskEnvironment("cached_elsewhere")


@env.task(cache=flyte.Cache("auto", serialize=True))
def gated(witness: str, gate: str) -> int:
    with Path(witness).open("a") as file:
        file.write(f"{os.getpid()}\n")
    until(Path(gate).exists)
    return os.getpid()


def hold(path: str) -> None:
    """Takes the lock, says so, and stays until stdin ends; so does a child that it forks."""
    lock = KeyFile(path)
    assert lock.try_take()
    if os.fork():
        print("held", flush=True)
    sys.stdin.read()
    os._exit(0)


def main(command: str, *arguments: str) -> None:
    if command == "hold":
        hold(*arguments)
    run = flyte.run(gated, *arguments)
    print(run.root.source or "executed", run.outputs()[0], flush=True)


if __name__ == "__main__":
    sys.modules["tests.engine.cached_tasks"] = sys.modules["__main__"]
    main(*sys.argv[1:])
